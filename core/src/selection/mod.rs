//! Which runs an operation acts on.
//!
//! Floor 1: it knows nothing about requests.

pub(crate) mod filter;
pub(crate) mod ids;
pub(crate) mod matches;
pub(crate) mod selected;
pub(crate) mod shard;
pub(crate) mod window;

pub use self::filter::{Filter, FilterBuilder, RelativeTimes};
pub use self::ids::Ids;
pub use self::matches::Match;
pub use self::selected::Selection;
pub use self::shard::Shard;
