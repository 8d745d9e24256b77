//! What a bulk operation is built from, and must be built from again to go on from a checkpoint.

use crate::checkpoint::fingerprint::Fingerprint;
use crate::engine::outcome::Totals;
use crate::engine::settings::Settings;
use crate::model::time::UnixMillis;
use crate::selection::filter::RelativeTimes;
use crate::selection::selected::Selection;
use crate::wire::overrides::Overrides;
use alloc::string::String;
use core::num::{NonZeroU32, NonZeroU64};

#[derive(Clone, Debug)]
pub(crate) struct BulkConfig {
    pub(crate) settings: Settings,
    pub(crate) selection: Selection,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) relative_times: RelativeTimes,
    /// Where an open window is cut from.
    pub(crate) now: UnixMillis,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) verify: bool,
    /// Whether an archived delete takes the server's word that what it lists matches.
    pub(crate) trust_server: bool,
    pub(crate) overrides: Overrides,
    /// Ids of the same list that earlier parts have dealt with, and what that came to.
    pub(crate) before: u64,
    /// What was listed to find the ids, and a digest of the list, which lies beside the checkpoint.
    pub(crate) listed: Option<(Selection, String)>,
    pub(crate) carried: Totals,
}

impl BulkConfig {
    pub(crate) fn full_fingerprint(&self) -> Fingerprint {
        if self.overrides.is_empty() { self.fingerprint.clone() } else { self.fingerprint.and(self.overrides.pairs()) }
    }
}
