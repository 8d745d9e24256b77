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
    /// The server refused the request, or redirected it. Sending it again would not change that.
    Refused(ResponseError),
    /// Every attempt at one request failed.
    GaveUp {
        /// How often the request was sent.
        attempts: u32,
        /// What happened at the last attempt.
        last: Cause,
    },
    /// The server asks for a longer wait than [`RetryPolicy::max_wait`](crate::RetryPolicy::max_wait) allows.
    WaitTooLong {
        /// The wait that the server asks for.
        wait: Duration,
        /// The response that asks for it.
        cause: Cause,
    },
    /// The server keeps returning the same pages: a cursor came again, 1,000 pages in a row were empty, or passes only
    /// repeated.
    NoProgress,
    /// The maximum is used up, but not all of its requests are confirmed. It is unknown whether as many runs are gone.
    MaximumUnconfirmed,
    /// It is unknown whether a request started runs. It is not sent again before the caller has settled it: see
    /// [`Bulk::settle`](crate::operation::Bulk::settle).
    InDoubt {
        /// How many runs the request asked for.
        asked: u64,
        /// Why the result is unknown.
        cause: Cause,
    },
    /// The server sent a message without a usable id, or with another id than the one asked for. It cannot be archived and
    /// deleted by its id.
    UnusableMessage,
    /// The server listed a run that does not match the filter. That run and the rest of its page were left alone.
    Mismatch {
        /// The run.
        id: DlqId,
        /// The field of the filter that it does not match, by its name in the API.
        field: &'static str,
    },
    /// The server returned runs from outside the dates it was asked for, after windows of time had been listed in parallel.
    /// It is unknown which runs are missing. A listing on one lane does not depend on dates.
    DatesIgnored,
    /// After every attempt, the server still lists runs that it was asked to delete.
    StillListed,
    /// A request could not be built. This is a defect of this library.
    Unbuildable(String),
}

impl Halt {
    /// So many passes in a row deleted nothing and proved nothing. The reason is what kept their results unknown, if
    /// that is known.
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
                    "the server asks to wait for {} seconds, which is longer than the limit: {cause}",
                    wait.as_secs()
                )
            }
            Self::NoProgress => f.write_str("the server keeps returning the same pages (no progress)"),
            Self::MaximumUnconfirmed => {
                f.write_str("the maximum is used up, but the result of some requests is unknown: check what is left, then run it again")
            }
            Self::InDoubt { asked, cause } => {
                let runs =
                    if *asked == 1 { "1 run was".to_string() } else { alloc::format!("up to {asked} runs were") };
                write!(
                    f,
                    "{cause}; it is unknown whether {runs} started, and sending the request again could start them twice: check, then settle it"
                )
            }
            Self::UnusableMessage => f.write_str("the server sent a run without a usable id"),
            Self::Mismatch { id, field } => write!(
                f,
                "the server listed a run that does not match the filter: {} differs in {field}, so it was left alone",
                Escaped(id.as_str())
            ),
            Self::DatesIgnored => f.write_str("the server returns runs from outside the dates it was asked for: list again with one request at a time"),
            Self::StillListed => f.write_str("the server still lists runs that it was asked to delete"),
            Self::Unbuildable(problem) => write!(f, "the request could not be built: {problem}"),
        }
    }
}

impl core::error::Error for Halt {}
