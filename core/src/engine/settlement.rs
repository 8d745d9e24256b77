//! The result of a request in doubt, as its caller found it out.

/// Whether a request in doubt was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The request was carried out: its runs have left the DLQ.
    Applied,
    /// The request was not carried out: its runs are still in the DLQ.
    NotApplied,
}
