//! How a bulk operation ended.

use crate::checkpoint::format::Checkpoint;
use crate::engine::halt::Halt;
use crate::engine::totals::{Ending, Totals};
use crate::operation::incomplete::Incomplete;
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// How a bulk operation ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// For a delete by filter, by a refinement or of everything: a whole pass found nothing left. With `verify(false)` only the
    /// first pass can show that. By ids: no id was left out, and each request had its response or was settled as applied. Always
    /// false for a resume or restart that is not by ids, for such a delete whose maximum was reached, and after a halt.
    pub verified: bool,
    /// By a refinement: how many of the runs that this process acted on lacked a field that the filter speaks of, so that it could
    /// not be checked. The service matched them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchecked: u64,
    /// `None` if the operation is complete. Otherwise, why it is not. [`Self::checkpoint`] says whether another process can continue.
    pub halted: Option<Halt>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    checkpoint: Option<Box<Checkpoint>>,
}

/// A bulk operation that was completed. [`Outcome::into_result`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Completed {
    /// What was done.
    pub totals: Totals,
    /// See [`Outcome::verified`].
    pub verified: bool,
    /// See [`Outcome::unchecked`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchecked: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Outcome {
    /// The outcome of an operation that is complete. For tests of code that gets outcomes.
    ///
    /// ```
    /// use upstash_dlq_core::{Outcome, Totals};
    /// /// Yours.
    /// fn report(outcome: &Outcome) -> String {
    ///     format!("{} deleted", outcome.totals.affected)
    /// }
    /// assert_eq!(report(&Outcome::complete(Totals::from_counts(7, 0), true)), "7 deleted");
    /// ```
    pub fn complete(totals: Totals, verified: bool) -> Self {
        Self { totals, verified, unchecked: 0, halted: None, checkpoint: None }
    }

    /// The outcome of an operation that stopped short. For tests of code that gets outcomes.
    pub fn halted(totals: Totals, halt: Halt) -> Self {
        Self { totals, verified: false, unchecked: 0, halted: Some(halt), checkpoint: None }
    }

    /// The outcome of an operation that did nothing.
    pub fn nothing(halt: Halt) -> Self {
        Self::halted(Totals::default(), halt)
    }

    /// The same outcome with a checkpoint.
    pub fn with_checkpoint(self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint: Some(Box::new(checkpoint)), ..self }
    }

    /// Adds the checkpoint if the operation is not complete.
    pub(crate) fn from_ending(ending: Ending, checkpoint: impl FnOnce() -> Option<Checkpoint>) -> Self {
        let Ending { totals, verified, unchecked, halted } = ending;
        // An operation that has not begun has nothing to continue. A checkpoint of it could replace a better one.
        let has_begun = totals.requests > 0
            || !matches!(halted, Some(Halt::InvalidSetting { .. } | Halt::StoreFailed(_) | Halt::Stopped));
        let checkpoint = if halted.is_some() && has_begun { checkpoint().map(Box::new) } else { None };
        Self { totals, verified, unchecked, halted, checkpoint }
    }

    /// What another process needs to continue. `None` if the operation is complete, has sent nothing, or cannot be continued: a
    /// resume or restart by a refinement.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_deref()
    }

    /// Returns an error if the operation is not complete, for the `?` operator.
    ///
    /// ```
    /// # use upstash_dlq_core::{Halt, Outcome, Totals, operation::Incomplete};
    /// # fn run() -> Outcome { Outcome::complete(Totals::default(), true) }
    /// fn clean_up() -> Result<u64, Incomplete> {
    ///     let completed = run().into_result()?;
    ///     Ok(completed.totals.affected)
    /// }
    /// # clean_up().unwrap();
    /// ```
    ///
    /// # Errors
    /// Returns [`Incomplete`], which holds the totals, the [`Halt`] and the checkpoint. Requests may have been sent:
    /// [`Incomplete::may_have_changed`] says whether anything in the DLQ was or may have been changed.
    pub fn into_result(self) -> Result<Completed, Incomplete> {
        match self.halted {
            None => Ok(Completed { totals: self.totals, verified: self.verified, unchecked: self.unchecked }),
            Some(halt) => Err(Incomplete::new(self.totals, halt, self.checkpoint)),
        }
    }
}
