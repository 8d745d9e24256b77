//! How far a failure callback has come.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// How the failure function of a run ended. The four states that the service documents, and any it adds later.
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
    /// A state this version does not know, kept as it is.
    Other(String),
}

impl FailureFunctionState {
    /// The name on the wire.
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
