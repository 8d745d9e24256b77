//! The settings of a bulk operation. To continue from a checkpoint it must be built with the same ones.

use crate::checkpoint::fingerprint::Fingerprint;
use crate::engine::settings::Settings;
use crate::engine::totals::Totals;
use crate::model::time::UnixMillis;
use crate::plan::chosen::ChosenScope;
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
    /// The present, up to which an open window is cut.
    pub(crate) now: UnixMillis,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) verify: bool,
    /// Whether a delete that lists first trusts the server that all runs it lists match.
    pub(crate) trust_server: bool,
    pub(crate) overrides: Overrides,
    /// How many ids of the same list earlier parts have handled.
    pub(crate) before: u64,
    /// The selection that was listed to find the ids, and a digest of their list, which is stored next to the checkpoint.
    pub(crate) listed: Option<(Selection, String)>,
    /// The totals of earlier parts.
    pub(crate) carried: Totals,
}

impl BulkConfig {
    /// What an operation works on that looks at runs first. `stores` is whether its caller stores them.
    pub(crate) fn chosen_scope(&self, stores: bool) -> ChosenScope {
        ChosenScope {
            endpoint: self.settings.endpoint.clone(),
            selection: self.selection.clone(),
            lanes: self.settings.lanes,
            now: self.now,
            page_size: self.page_size,
            max: self.max,
            before: self.before,
            overrides: self.overrides.clone(),
            verify: self.verify,
            trust_server: self.trust_server,
            stores,
        }
    }

    pub(crate) fn full_fingerprint(&self) -> Fingerprint {
        if self.overrides.is_empty() { self.fingerprint.clone() } else { self.fingerprint.and(self.overrides.pairs()) }
    }
}
