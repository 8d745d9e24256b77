//! Why an operation stopped short.

use crate::engine::failure::Cause;
use crate::model::dlq_id::DlqId;
use crate::model::text::Escaped;
use crate::wire::error::ResponseError;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

/// Why an operation could not be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// An answer that repeating does not change: the service said no, or a redirect came.
    Refused(ResponseError),
    /// Every attempt at one request failed.
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        last: Cause,
    },
    /// The server asks to wait longer than the policy allows.
    WaitTooLong {
        /// How long.
        wait: Duration,
        /// Its answer.
        cause: Cause,
    },
    /// The server leads in circles: a cursor came round again, a thousand pages were empty, or pass after pass stayed
    /// unconfirmed.
    NoProgress,
    /// The maximum is used up, in part by requests that may or may not have been carried out: whether as many runs are gone
    /// is not known.
    MaximumUnconfirmed,
    /// A request may have started runs, and nobody knows: it is not sent again before somebody has looked, see
    /// [`Bulk::settle`](crate::Bulk::settle).
    InDoubt {
        /// How many runs it asked for.
        asked: u64,
        /// Why it is not known.
        cause: Cause,
    },
    /// A message came without an id that can be used, or with another id than the one asked for: it cannot be kept and
    /// deleted by that id.
    UnusableMessage,
    /// The server listed a run that does not match the filter it was asked for. It was left alone, and so was the rest of
    /// its page.
    Mismatch {
        /// The run.
        id: DlqId,
        /// The field of the filter that it does not match, by its name in the API.
        field: &'static str,
    },
    /// Windows of time were listed side by side, and the server turned out not to keep to their dates when much had been
    /// listed: what is left is not known. One lane trusts no date.
    DatesIgnored,
    /// The server still lists runs that it was asked to delete, however often it is asked.
    StillListed,
    /// A request could not be built; a defect of this library.
    Unbuildable(String),
}

impl Halt {
    /// So many passes deleted nothing and yet proved nothing: what kept their results unknown is the reason, where it is known.
    pub(crate) fn barren(passes: u32, last: Option<Cause>) -> Self {
        last.map_or(Self::NoProgress, |last| Self::GaveUp { attempts: passes, last })
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::GaveUp { attempts: 1, last } => last.fmt(f),
            Self::GaveUp { attempts, last } => write!(f, "gave up after {attempts} attempts: {last}"),
            Self::WaitTooLong { wait, cause } => {
                write!(
                    f,
                    "the server asks to wait for {} seconds, which is too long to sit out: {cause}",
                    wait.as_secs()
                )
            }
            Self::NoProgress => f.write_str("the server leads in circles: its pages come round again (no progress)"),
            Self::MaximumUnconfirmed => {
                f.write_str("the maximum is used up, in part by requests whose result is unknown: look, then run it again for what is left")
            }
            Self::InDoubt { asked, cause } => {
                let runs =
                    if *asked == 1 { "1 run was".to_string() } else { alloc::format!("up to {asked} runs were") };
                write!(
                    f,
                    "{cause}; nobody knows whether {runs} started, and a second start is not harmless: look, then settle it"
                )
            }
            Self::UnusableMessage => f.write_str("the server listed a run without an id that can be used"),
            Self::Mismatch { id, field } => write!(
                f,
                "the server listed a run that does not match the filter: {} differs in {field}, so it was left alone",
                Escaped(id.as_str())
            ),
            Self::DatesIgnored => f.write_str("the server does not keep to the dates it is asked for: list again on one lane"),
            Self::StillListed => f.write_str("the server still lists runs that it was asked to delete"),
            Self::Unbuildable(problem) => write!(f, "the request could not be built: {problem}"),
        }
    }
}

impl core::error::Error for Halt {}
