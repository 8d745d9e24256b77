//! Which runs an operation acts on.
//!
//! Floor 1: it knows nothing about requests.

pub(crate) mod filter;
pub(crate) mod ids;
pub(crate) mod matches;
pub(crate) mod refinement;
pub(crate) mod selected;
pub(crate) mod shard;
pub(crate) mod window;

pub use self::filter::{Filter, FilterBuilder, RelativeTimes};
pub use self::ids::Ids;
pub use self::matches::{Listed, Match};
pub use self::refinement::{Refinement, RefinementBuilder};
pub use self::selected::{Refined, Selection};
pub use self::shard::Shard;
