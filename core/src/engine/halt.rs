//! Why an operation stopped short.

use crate::engine::failure::{Cause, text_of};
use crate::engine::oversized::Oversized;
use crate::model::byte_size::ByteSize;
use crate::model::dlq_id::DlqId;
use crate::model::text::Escaped;
use crate::selection::matches::{FieldName, field_name};
use crate::wire::error::ResponseError;
use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::time::Duration;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Why an operation could not be completed.
///
/// `Display` says it in one sentence, with its cause. [`source`](Error::source) is the [`Cause`] or the [`ResponseError`] behind
/// it, and then what the HTTP library said. With serde, it is `{"kind": "gave_up", "detail": {…}}`.
///
/// ```
/// use upstash_dlq_core::{Delivery, Halt, TransportFailure, engine::Cause};
/// let lost = Cause::Transport(TransportFailure::from(Delivery::Unknown));
/// let gave_up = Halt::GaveUp { attempts: 6, last: lost, may_have_changed: true };
/// assert!(gave_up.is_retryable() && gave_up.may_have_changed() && gave_up.status().is_none());
/// assert_eq!(gave_up.to_string(), "gave up after 6 attempts: no response arrived");
/// assert!(Halt::Stopped.is_retryable() && !Halt::Stopped.may_have_changed());
/// assert!(!Halt::NoProgress.is_retryable(), "somebody has to look first");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Halt {
    /// The server refused the request, redirected it, or sent another run than the one asked for. Sending it again would not change
    /// that.
    Refused {
        /// What the server responded.
        error: ResponseError,
        /// Whether an earlier attempt at the same request may have been carried out.
        may_have_changed: bool,
    },
    /// Every attempt at one request failed. Or so many passes of a delete in a row deleted nothing, and each left a request unknown.
    GaveUp {
        /// How often the request was sent, or how many passes there were.
        attempts: u32,
        /// What happened at the last attempt, or why the last unknown request is unknown.
        last: Cause,
        /// Whether any of the attempts may have been carried out.
        may_have_changed: bool,
    },
    /// The server asks for a longer wait than [`RetryPolicy::max_wait`](crate::RetryPolicy::max_wait) allows.
    WaitTooLong {
        /// The wait that the server asks for.
        wait: Duration,
        /// The response that asks for it.
        cause: Cause,
        /// Whether an attempt at the request may have been carried out.
        may_have_changed: bool,
    },
    /// The server keeps returning the same pages: a cursor came again, 1,000 pages in a row were empty, or passes only
    /// repeated.
    NoProgress,
    /// The maximum is used up, but not all of its requests are confirmed. It is unknown whether as many runs are gone. Check what is
    /// left, then begin anew: a checkpoint leads to the same halt.
    MaximumUnconfirmed,
    /// It is unknown whether a request that must not be repeated was carried out. A bulk operation goes on once it is settled:
    /// see [`Bulk::settle`](crate::operation::Bulk::settle). A single call has ended: look, then make it again if it was not
    /// carried out.
    InDoubt {
        /// How many runs the request asked for.
        asked: u64,
        /// Why the result is unknown.
        cause: Cause,
    },
    /// The server sent a message without an id that can be used in a request. Its run cannot be acted on, or told from others.
    UnusableMessage,
    /// The server listed a run that does not match the filter. That run and the rest of its page were left alone.
    Mismatch {
        /// The run.
        id: DlqId,
        /// The field of the filter that it does not match, by its name in the API.
        #[serde(deserialize_with = "field_name")]
        field: FieldName,
    },
    /// Windows of time were listed in parallel, but runs cannot be told apart by their dates: the server returned some from outside
    /// the dates it was asked for, or more than 65,536 without a time. It is unknown which runs are missing. A listing on one lane
    /// does not depend on dates.
    DatesIgnored,
    /// A response that only reads is larger than its bound, and cannot be asked for in smaller parts.
    TooLarge {
        /// Which response it is.
        what: Oversized,
        /// The bound of the transport, in bytes.
        bound: u64,
    },
    /// After every attempt, the server still lists runs that it was asked to delete.
    StillListed,
    /// A request could not be built. This is a defect of this library.
    Unbuildable(String),
    /// The caller stopped the operation. It can continue.
    Stopped,
    /// The caller stopped a single call, and it is unknown whether an attempt was carried out.
    StoppedUnconfirmed,
    /// A store failed. While the operation runs, the request that depends on it is not sent, and nothing after it. At the end,
    /// everything may be done already: see the totals.
    StoreFailed(StoreFailure),
    /// A setting of the operation cannot be used. Nothing was sent.
    InvalidSetting {
        /// The setting, by the name of its method.
        setting: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why an archive or a checkpoint could not be stored or read, as text.
///
/// ```
/// use upstash_dlq_core::engine::StoreFailure;
/// assert_eq!(StoreFailure::new("the disk is full").to_string(), "the disk is full");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFailure(String);

impl StoreFailure {
    /// Keeps the text of an error and of its causes.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(text_of(&*error.into()))
    }
}

impl StoreFailure {
    /// Why an operation has halted that had perhaps halted before, for `earlier`, when its store failed. The failure of the
    /// store counts more: it may mean that what was kept is gone.
    pub fn after(self, earlier: Option<&Halt>) -> Halt {
        Halt::StoreFailed(match earlier {
            None | Some(Halt::Stopped) => self,
            Some(earlier) => Self(alloc::format!("{}; before that: {earlier}", self.0)),
        })
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl Error for StoreFailure {}

impl Halt {
    /// Whether the operation may succeed if it is continued later with no other change: the server was overloaded or could not
    /// be reached, asked for a wait, or the caller stopped it. False if somebody has to act first: change the request, look
    /// at what is in doubt, or make room for the archive.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::GaveUp { .. }
                | Self::WaitTooLong { .. }
                | Self::StillListed
                | Self::Stopped
                | Self::StoppedUnconfirmed
        )
    }

    /// Whether the request that led to this halt may have changed something in the DLQ. What the operation changed before is in
    /// its [`Totals`](crate::Totals).
    pub fn may_have_changed(&self) -> bool {
        match self {
            Self::Refused { may_have_changed, .. }
            | Self::GaveUp { may_have_changed, .. }
            | Self::WaitTooLong { may_have_changed, .. } => *may_have_changed,
            Self::InDoubt { .. } | Self::MaximumUnconfirmed | Self::StillListed | Self::StoppedUnconfirmed => true,
            Self::NoProgress
            | Self::UnusableMessage
            | Self::Mismatch { .. }
            | Self::DatesIgnored
            | Self::TooLarge { .. }
            | Self::Unbuildable(_)
            | Self::Stopped
            | Self::StoreFailed(_)
            | Self::InvalidSetting { .. } => false,
        }
    }

    /// The status of the response behind this halt. `None` if there was no response.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { error, .. } => Some(error.status()),
            Self::GaveUp { last: cause, .. } | Self::WaitTooLong { cause, .. } | Self::InDoubt { cause, .. } => {
                cause.status()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { error, .. } => error.fmt(f),
            Self::GaveUp { attempts: 1, last, .. } => last.fmt(f),
            Self::GaveUp { attempts, last, .. } => write!(f, "gave up after {attempts} attempts: {last}"),
            Self::WaitTooLong { wait, cause, .. } => {
                write!(
                    f,
                    "the server asks to wait for {} seconds, which is longer than the limit: {cause}",
                    wait.as_secs()
                )
            }
            Self::NoProgress => f.write_str("the server keeps returning the same pages (no progress)"),
            Self::MaximumUnconfirmed => {
                f.write_str("the maximum is used up, but the result of some requests is unknown")
            }
            Self::InDoubt { asked, cause } => {
                if *asked == 1 {
                    return write!(
                        f,
                        "{cause}; it is unknown whether the request was carried out, and sending it again could do it twice: check, then settle it, or make the call again only if it was not carried out"
                    );
                }
                write!(
                    f,
                    "{cause}; it is unknown whether up to {asked} runs were started, and sending the request again could start them twice: check, then settle it"
                )
            }
            Self::UnusableMessage => f.write_str("the server sent a run without a usable id"),
            Self::Mismatch { id, field } => write!(
                f,
                "the server listed a run that does not match the filter: {} differs in {field}, so it was left alone",
                Escaped(id.as_str())
            ),
            Self::DatesIgnored => f.write_str("runs cannot be told apart by their dates (some are from outside those asked for, or too many have no time)"),
            Self::TooLarge { what, bound } => {
                write!(f, "{what} is larger than {}, the most that is read", ByteSize(*bound))
            }
            Self::StillListed => f.write_str("the server still lists runs that it was asked to delete"),
            Self::Unbuildable(problem) => write!(f, "the request could not be built: {problem}"),
            Self::Stopped => f.write_str("stopped by the caller"),
            Self::StoppedUnconfirmed => {
                f.write_str("stopped by the caller, and it is unknown whether the request was carried out")
            }
            Self::StoreFailed(failure) => failure.fmt(f),
            Self::InvalidSetting { setting, problem } => {
                write!(f, "{setting} cannot be used: {}", Escaped(problem))
            }
        }
    }
}

impl Error for Halt {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused { error, .. } => Some(error),
            Self::GaveUp { last: cause, .. } | Self::WaitTooLong { cause, .. } | Self::InDoubt { cause, .. } => {
                Some(cause)
            }
            Self::StoreFailed(failure) => Some(failure),
            _ => None,
        }
    }
}
