//! The result of a request in doubt, as its caller found it out.

/// Whether a request in doubt was carried out.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use upstash_dlq_core::{BulkResume, Delivery, Ids, Operation, Selection, Settlement, Step};
/// let ids = Selection::Ids(Ids::parse(["a", "b"])?);
/// let mut resume = BulkResume::builder(endpoint, ids).build();
/// let Step::Send(id, first) = resume.poll(std::time::Duration::ZERO) else { panic!() };
/// resume.on_failure(id, Delivery::Unknown.into())?;
/// resume.settle(Settlement::NotApplied)?; // both are still in the DLQ
/// let Step::Send(_, again) = resume.poll(std::time::Duration::ZERO) else { panic!() };
/// assert_eq!(again.uri(), first.uri());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The request was carried out: its runs have left the DLQ.
    Applied,
    /// The request was not carried out: its runs are still in the DLQ.
    NotApplied,
}
