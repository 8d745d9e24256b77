//! Turns what the service cannot filter by into the core's [`Refinement`].

use crate::cli::Refinements;
use crate::input::flag;
use upstash_dlq_core::selection::{Refinement, RefinementBuilder};

impl Refinements {
    /// The name of the first refinement that was given, for an error.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        self.as_given().first().map(|(name, _)| *name)
    }

    /// The refinements as they were given. A checkpoint is recognised by them.
    pub(crate) fn as_given(&self) -> Vec<(&'static str, String)> {
        let Self { status, error, error_text } = self;
        let status = status.iter().map(|status| ("status", status.to_string()));
        let error = error.iter().map(|signature| ("error", signature.to_string()));
        status.chain(error).chain(error_text.iter().map(|text| ("error-text", text.clone()))).collect()
    }

    /// `None` if nothing was given.
    pub(crate) fn build(&self) -> Result<Option<Refinement>, String> {
        let Self { status, error, error_text } = self;
        if status.is_empty() && error.is_empty() && error_text.is_none() {
            return Ok(None);
        }
        let mut refinement = status.iter().copied().fold(Refinement::builder(), RefinementBuilder::status);
        refinement = error.iter().copied().fold(refinement, RefinementBuilder::signature);
        refinement = error_text.iter().fold(refinement, RefinementBuilder::error_text);
        refinement.build().map(Some).map_err(|error| flag::selection(&error))
    }
}
