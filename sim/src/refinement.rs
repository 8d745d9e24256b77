//! What listed runs are held against: in the library's words, and read naively, as an oracle.

use crate::population::{Population, Reason, RunIndex};
use crate::schedule::Refine;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;
use upstash_dlq_core::selection::Refinement;

impl Refine {
    /// The refinement, as a caller writes it down.
    pub(crate) fn refinement(self, of: Population) -> Option<Refinement> {
        let signature = |run| signature_of(of, run);
        let refinement = Refinement::builder();
        let refinement = match self {
            Self::Status => refinement.status(502),
            Self::TwoStatuses => refinement.status(500).status(504),
            Self::Signature => refinement.signature(signature(0)?),
            Self::TwoSignatures => refinement.signature(signature(0)?).signature(signature(3)?),
            Self::Text => refinement.error_text("Is Not ITERABLE"),
            Self::StatusAndText => refinement.status(500).error_text("error: no answer"),
            Self::One => refinement.error_text("order 0 is"),
            Self::Nothing => refinement.status(599),
        };
        refinement.build().ok()
    }

    /// Whether a run matches.
    pub(crate) fn wants(self, index: RunIndex) -> bool {
        let (status, reason) = (Population::status(index), Population::reason(index));
        let fails_as = |run| (status, reason) == (Population::status(run), Population::reason(run));
        match self {
            Self::Status => status == 502,
            Self::TwoStatuses => matches!(status, 500 | 504),
            Self::Signature => fails_as(0),
            Self::TwoSignatures => fails_as(0) || fails_as(3),
            Self::Text => reason == Reason::TypeError,
            Self::StatusAndText => status == 500 && reason == Reason::Timeout,
            Self::One => index == 0,
            Self::Nothing => false,
        }
    }
}

/// The signature of a run's failure, which the library makes.
fn signature_of(of: Population, run: RunIndex) -> Option<Signature> {
    DlqMessage::parse(&of.run(run).to_json()).ok().map(|message| message.signature())
}
