//! The error of an operation that was not completed.

use crate::checkpoint::format::Checkpoint;
use crate::engine::halt::Halt;
use crate::engine::totals::Totals;
use alloc::boxed::Box;
use core::error::Error;
use core::fmt;
use serde::{Deserialize, Serialize};

/// An operation that was not completed: what it did, why it stopped, and how to continue.
///
/// `Display` says all of it in one sentence. [`source`](Error::source) leads to the [`Halt`], from there to the
/// [`Cause`](crate::engine::Cause) or the [`ResponseError`](crate::wire::ResponseError), and then to what the HTTP library said.
/// Nowhere is the token.
///
/// ```
/// use std::error::Error;
/// use upstash_dlq_core::{Halt, Outcome, Totals, TransportFailure, engine::Cause};
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let last = Cause::Transport(TransportFailure::not_sent(refused));
/// let halt = Halt::GaveUp { attempts: 6, last, may_have_changed: false };
/// let error = Outcome::halted(Totals::default(), halt).into_result().unwrap_err();
/// assert!(error.halt().is_retryable() && !error.may_have_changed());
/// assert_eq!(
///     error.to_string(),
///     "no run was affected: gave up after 6 attempts: the request could not be sent: connection refused"
/// );
/// let halt = error.source().unwrap().downcast_ref::<Halt>().unwrap();
/// let cause = halt.source().unwrap().downcast_ref::<Cause>().unwrap();
/// assert_eq!(cause.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incomplete {
    /// What was done.
    pub totals: Totals,
    halt: Box<Halt>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    checkpoint: Option<Box<Checkpoint>>,
}

impl Incomplete {
    pub(crate) fn new(totals: Totals, halt: Halt, checkpoint: Option<Box<Checkpoint>>) -> Self {
        Self { totals, halt: Box::new(halt), checkpoint }
    }

    /// Why the operation stopped.
    pub fn halt(&self) -> &Halt {
        &self.halt
    }

    /// Why the operation stopped.
    pub fn into_halt(self) -> Halt {
        *self.halt
    }

    /// What another process needs to continue. `None` if the operation keeps no checkpoint, cannot be continued, or
    /// has sent nothing.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_deref()
    }

    /// Whether the operation has changed something in the DLQ, or may have.
    ///
    /// ```
    /// use upstash_dlq_core::{Halt, Outcome, Totals};
    /// let stopped = |totals| Outcome::halted(totals, Halt::Stopped).into_result().unwrap_err();
    /// assert!(!stopped(Totals::default()).may_have_changed());
    /// assert!(stopped(Totals::from_counts(0, 1)).may_have_changed(), "one request is unknown");
    /// ```
    pub fn may_have_changed(&self) -> bool {
        self.totals.affected > 0 || self.totals.unconfirmed > 0 || self.halt.may_have_changed()
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { affected, unconfirmed, .. } = self.totals;
        match (affected, unconfirmed) {
            (0, 0) => f.write_str("no run was affected")?,
            (1, _) => f.write_str("1 run was affected")?,
            (runs, _) => write!(f, "{runs} runs were affected")?,
        }
        match unconfirmed {
            0 => {}
            1 => f.write_str(", and the result of 1 request is unknown")?,
            requests => write!(f, ", and the results of {requests} requests are unknown")?,
        }
        write!(f, ": {}", self.halt)
    }
}

impl Error for Incomplete {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.halt)
    }
}
