//! What became of a request in doubt.

/// What became of a request whose response was lost, as somebody found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was carried out: its runs have left the DLQ.
    Applied,
    /// It was not carried out: its runs are still there, as they were.
    NotApplied,
}
