//! The refinement: which listed runs match, by what the service cannot filter by.

use crate::model::field_error::FieldError;
use crate::model::message::DlqMessage;
use crate::model::signature::Signature;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Which of the listed runs match, by fields that the service has no filter for. A run matches if it meets all given fields. It
/// meets a field if it has one of the field's values. A refinement without a condition cannot be built.
///
/// It is never sent: runs are listed, and each message is checked with [`Self::matches`].
///
/// It is serialised with serde. Deserialising checks what [`RefinementBuilder::build`] checks.
///
/// ```
/// use upstash_dlq_core::{DlqMessage, selection::Refinement};
/// let refinement = Refinement::builder().status(502).status(504).error_text("Bad Gateway").build()?;
/// assert!(refinement.matches(&DlqMessage::parse(r#"{"responseStatus":502,"responseBody":"bad gateway"}"#)?));
/// assert!(!refinement.matches(&DlqMessage::parse(r#"{"responseStatus":500,"responseBody":"bad gateway"}"#)?));
/// assert!(Refinement::builder().build().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RefinementBuilder", into = "RefinementBuilder")]
pub struct Refinement {
    given: RefinementBuilder,
    /// The text in small letters.
    wanted: Option<String>,
}

/// Collects the conditions of a [`Refinement`]. [`build`](Self::build) checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[must_use]
pub struct RefinementBuilder {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_status: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error: Vec<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_text: Option<String>,
}

impl Refinement {
    /// Starts an empty refinement. It needs at least one condition to be built.
    pub fn builder() -> RefinementBuilder {
        RefinementBuilder::default()
    }

    /// The response statuses that match. Empty if any does.
    pub fn statuses(&self) -> &[u16] {
        &self.given.response_status
    }

    /// The signatures that match. Empty if any does.
    pub fn signatures(&self) -> &[Signature] {
        &self.given.error
    }

    /// The text that the error contains, as it was given.
    pub fn error_text(&self) -> Option<&str> {
        self.given.error_text.as_deref()
    }

    /// Calls `with` with each condition, by its name in a checkpoint.
    pub(crate) fn for_each_pair(&self, mut with: impl FnMut(&str, &str)) {
        let RefinementBuilder { response_status, error, error_text } = &self.given;
        response_status.iter().for_each(|status| with("responseStatus", &status.to_string()));
        error.iter().for_each(|signature| with("error", &signature.to_string()));
        error_text.iter().for_each(|text| with("errorText", text));
    }

    /// Whether a listed run matches. A run without a response status does not match a status, and one without a text in its
    /// response body does not match a text.
    pub fn matches(&self, message: &DlqMessage) -> bool {
        let RefinementBuilder { response_status, error, .. } = &self.given;
        let status = || message.response_status();
        let status_matches = response_status.is_empty()
            || status().is_some_and(|status| response_status.iter().any(|s| i64::from(*s) == status));
        status_matches
            && (error.is_empty() || error.contains(&message.signature()))
            && self.wanted.as_deref().is_none_or(|wanted| message.failure_contains(wanted))
    }
}

impl RefinementBuilder {
    /// Runs whose step responded with this status, from 100 to 599. May be given again for alternatives.
    pub fn status(mut self, status: u16) -> Self {
        self.response_status.push(status);
        self
    }

    /// Runs that failed for this reason. May be given again for alternatives.
    ///
    /// ```
    /// use upstash_dlq_core::DlqMessage;
    /// use upstash_dlq_core::selection::Refinement;
    /// let failed = DlqMessage::parse(r#"{"responseStatus":500,"responseBody":"no stock for order 7"}"#)?;
    /// let again = DlqMessage::parse(r#"{"responseStatus":500,"responseBody":"no stock for order 8"}"#)?;
    /// let other = DlqMessage::parse(r#"{"responseStatus":500,"responseBody":"card declined"}"#)?;
    /// let same_cause = Refinement::builder().signature(failed.signature()).build()?;
    /// assert!(same_cause.matches(&again) && !same_cause.matches(&other));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn signature(mut self, signature: Signature) -> Self {
        self.error.push(signature);
        self
    }

    /// Runs whose error contains this text, in letters of either case: in its name, its message, or both as in `TypeError: x is
    /// not a function`. Of a response body of another form, its text is searched. The first 16 KiB of a body are searched.
    pub fn error_text(mut self, text: impl Into<String>) -> Self {
        self.error_text = Some(text.into());
        self
    }

    /// Checks the conditions and builds the refinement.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if
    /// - there is no condition,
    /// - a status is not one of HTTP (`responseStatus`), or
    /// - the text is empty or blank (`errorText`).
    pub fn build(self) -> Result<Refinement, FieldError> {
        if let Some(wrong) = self.response_status.iter().find(|status| !(100..=599).contains(*status)) {
            return Err(FieldError::new(
                "responseStatus",
                &wrong.to_string(),
                "is not the status of a response: give a number from 100 to 599",
            ));
        }
        if let Some(text) = self.error_text.as_deref().filter(|text| text.trim().is_empty()) {
            return Err(FieldError::new(
                "errorText",
                text,
                "is empty, which every error contains: leave it out or give a text",
            ));
        }
        if self == Self::default() {
            return Err(FieldError::empty("refinement", "no condition is given: give a status, a signature or a text"));
        }
        let wanted = self.error_text.as_ref().map(|text| text.to_lowercase());
        Ok(Refinement { given: self, wanted })
    }
}

impl TryFrom<RefinementBuilder> for Refinement {
    type Error = FieldError;
    fn try_from(builder: RefinementBuilder) -> Result<Self, Self::Error> {
        builder.build()
    }
}

impl core::convert::From<Refinement> for RefinementBuilder {
    fn from(refinement: Refinement) -> Self {
        refinement.given
    }
}
