//! Why a client cannot be built.

use alloc::string::String;
use core::fmt;

/// Why a client cannot be built. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(String);

impl BuildError {
    /// Makes an error, for transports. The message says what is wrong and what to do, and must not contain a secret.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BuildError {}
