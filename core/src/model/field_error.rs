//! The error of a value that the caller gave.

use crate::model::text::Escaped;
use alloc::string::{String, ToString};
use core::fmt;

/// Why a value cannot be used. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    field: &'static str,
    value: Option<String>,
    problem: &'static str,
}

impl FieldError {
    pub(crate) fn new(field: &'static str, value: &str, problem: &'static str) -> Self {
        Self { field, value: Some(value.to_string()), problem }
    }

    pub(crate) fn empty(field: &'static str, problem: &'static str) -> Self {
        Self { field, value: None, problem }
    }

    /// The name of the field in the API, or of what was given (`filter`, `refinement`, `shard`, `period`).
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value, if there is one. It is not escaped: wrap it in [`Escaped`] before it is shown.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What is wrong and what to do. To be shown after the value or the name of the field.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: \"{}\" {}", self.field, Escaped(value), self.problem),
            None => write!(f, "{}: {}", self.field, self.problem),
        }
    }
}

impl core::error::Error for FieldError {}
