//! The state of a failure callback.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// The state of a run's failure callback (`failureFunctionState`): one of the four that the service documents, or one that it adds later.
///
/// ```
/// use upstash_dlq_core::model::FailureFunctionState;
/// assert_eq!(FailureFunctionState::from("CALLBACK_FAIL"), FailureFunctionState::Fail);
/// assert_eq!(FailureFunctionState::from("CALLBACK_NEW").as_str(), "CALLBACK_NEW");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureFunctionState {
    /// `CALLBACK_INPROGRESS`
    InProgress,
    /// `CALLBACK_SUCCESS`
    Success,
    /// `CALLBACK_FAIL`
    Fail,
    /// `CALLBACK_CANCELED`
    Canceled,
    /// A state that this version does not know, as the service wrote it.
    Other(String),
}

impl FailureFunctionState {
    /// The name of the state on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InProgress => "CALLBACK_INPROGRESS",
            Self::Success => "CALLBACK_SUCCESS",
            Self::Fail => "CALLBACK_FAIL",
            Self::Canceled => "CALLBACK_CANCELED",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for FailureFunctionState {
    fn from(name: &str) -> Self {
        match name {
            "CALLBACK_INPROGRESS" => Self::InProgress,
            "CALLBACK_SUCCESS" => Self::Success,
            "CALLBACK_FAIL" => Self::Fail,
            "CALLBACK_CANCELED" => Self::Canceled,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for FailureFunctionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
