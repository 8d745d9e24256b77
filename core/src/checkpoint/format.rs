//! The format of a checkpoint file, and how its parts must fit together.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::fingerprint::Fingerprint;
use crate::checkpoint::saved_selection::SavedSelection;
use crate::checkpoint::seal;
use crate::checkpoint::version::VERSION;
use crate::engine::settings::MAX_LANES;
use crate::engine::totals::{Totals, add_one};
use crate::job::pages::Place;
use crate::model::time::UnixMillis;
use crate::plan::cut::Pass;
use crate::selection::window::Window;
use crate::wire::bulk::{BulkOperation, Delete, Restart, Resume};
use alloc::string::String;
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything that a later process needs to continue an operation, with any number of lanes. It contains no token and no ids. A
/// caller with ids gives them again, and the fingerprint tells whether they are the same.
///
/// The file is not trusted: whatever it contains, no request asks for a run outside the selection that is given with it.
///
/// ```
/// use upstash_dlq_core::{BulkDelete, Checkpoint, Endpoint, Selection, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let delete = BulkDelete::builder(endpoint, Selection::Everything);
/// let saved = delete.clone().build().checkpoint().to_json();
/// let _goes_on = delete.resume_from(Checkpoint::from_json(saved.as_bytes())?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint(pub(crate) Saved);

/// It is a text, the one of [`Checkpoint::to_json`].
impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_json())
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_json(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) operation: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) selection: SavedSelection,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) verify: bool,
    /// Without the requests in flight, which are saved with their lanes. Those of a refinement have no lanes here, and count.
    pub(crate) totals: Totals,
    pub(crate) progress: Progress,
}

/// How far the operation has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
pub(crate) enum Progress {
    /// For a filter or everything.
    Windows(Windows),
    /// For ids.
    Batches(Batches),
    /// For a refinement. Looking begins anew, unless it has come to its end.
    Refined(RefinedProgress),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefinedProgress {
    /// What is left of the maximum.
    pub(crate) left: Option<u64>,
    /// Once it has come to its end: whether it has seen that nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Windows {
    pub(crate) whole: Window,
    /// What is left of the maximum.
    pub(crate) left: Option<u64>,
    pub(crate) pass: Pass,
    pub(crate) lanes: Vec<WindowLane>,
}

/// A window that may still have runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowLane {
    pub(crate) window: Window,
    pub(crate) place: Place,
    pub(crate) request: SavedRequest,
    /// Whether an attempt at the request may have been carried out.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(crate) doubtful: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batches {
    /// How many ids of the same list come before these.
    pub(crate) before: u64,
    /// What was listed to find the ids, if their list is stored next to the checkpoint.
    pub(crate) listed: Option<Listed>,
    /// How many of the ids are in batches that were begun.
    pub(crate) begun: usize,
    /// The batches that were begun and have no response yet.
    pub(crate) lanes: Vec<BatchLane>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) selection: SavedSelection,
    /// The digest of the list of ids.
    pub(crate) digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchLane {
    /// The index of its first id, and the index after its last id, in the list of ids.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) request: SavedRequest,
    /// Whether an attempt at the request may have been carried out, so that its answer does not tell which ids were missing.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(crate) doubtful: bool,
}

/// The state of a lane's request, with how many runs it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SavedRequest {
    None,
    InFlight(u64),
    InDoubt(u64),
    /// In doubt, and whoever settles it has been shown that it is.
    Shown(u64),
}

impl Checkpoint {
    /// The checkpoint as one line of JSON.
    pub fn to_json(&self) -> String {
        seal::seal(VERSION, &self.0)
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::checkpoint::CheckpointError;
    /// use upstash_dlq_core::{BulkDelete, Checkpoint, Selection};
    /// let json = BulkDelete::builder(endpoint, Selection::Everything).build().checkpoint().to_json();
    /// assert!(Checkpoint::from_json(&json).is_ok());
    /// let changed = json.replace("100", "200");
    /// assert!(matches!(Checkpoint::from_json(changed), Err(CheckpointError::Damaged(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`CheckpointError::Version`] if it has another format, and [`CheckpointError::Damaged`] if it is not a complete
    /// checkpoint or was changed since it was written.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, CheckpointError> {
        let saved: Saved = seal::open(VERSION, json.as_ref())?;
        let is_delete = saved.operation == Delete::NAME;
        if !is_delete && ![Resume::NAME, Restart::NAME].contains(&saved.operation.as_str()) {
            return Err(CheckpointError::Damaged("its operation is not known".into()));
        }
        let fits = saved.requests().all(|request| request.is_possible(is_delete))
            && match &saved.progress {
                Progress::Windows(windows) => windows.fit(saved.max),
                Progress::Batches(batches) => batches.fit(),
                Progress::Refined(refined) => is_left_of(refined.left, saved.max),
            };
        if fits { Ok(Self(saved)) } else { Err(CheckpointError::Damaged("its parts do not fit together".into())) }
    }

    /// The resolved times of the selection, the lower and the upper end, to be shown.
    pub fn window(&self) -> (Option<UnixMillis>, Option<UnixMillis>) {
        let selection = match &self.0.progress {
            Progress::Batches(Batches { listed: Some(listed), .. }) => &listed.selection,
            _ => &self.0.selection,
        };
        match selection {
            SavedSelection::Filter(filter) | SavedSelection::Refined { filter: Some(filter), .. } => {
                (filter.from(), filter.to())
            }
            SavedSelection::Ids(_) | SavedSelection::Refined { filter: None, .. } | SavedSelection::Everything => {
                (None, None)
            }
        }
    }

    /// How many ids of the list come before the part that this checkpoint is of. See
    /// [`BulkBuilder::part`](crate::operation::BulkBuilder::part).
    pub fn ids_before(&self) -> u64 {
        match &self.0.progress {
            Progress::Batches(batches) => batches.before,
            Progress::Windows(_) | Progress::Refined(_) => 0,
        }
    }

    /// The digest of the list that the ids come from, if it is stored next to the checkpoint. See
    /// [`BulkBuilder::listed`](crate::operation::BulkBuilder::listed).
    pub fn id_list(&self) -> Option<&str> {
        match &self.0.progress {
            Progress::Batches(batches) => batches.listed.as_ref().map(|listed| listed.digest.as_str()),
            Progress::Windows(_) | Progress::Refined(_) => None,
        }
    }

    /// Whether the operation acts on ids. Otherwise it acts on a filter, a refinement or everything.
    pub fn is_of_ids(&self) -> bool {
        matches!(self.0.progress, Progress::Batches(_))
    }

    /// What the operation had done. Requests that were in flight count as unconfirmed.
    pub fn totals(&self) -> Totals {
        let mut totals = self.0.totals;
        for _ in self.0.requests().filter(|request| matches!(request, SavedRequest::InFlight(_))) {
            add_one(&mut totals.requests);
            add_one(&mut totals.unconfirmed);
        }
        totals
    }

    /// Notes that the request in doubt, the first if there are several, was shown to whoever settles it. For the checkpoint of an
    /// operation that has halted: one that an earlier process left may hold the request as in flight, which nobody has been shown.
    ///
    /// A program that takes a settlement from a command line shows the request, saves this, and takes the settlement in a later run
    /// only if [`is_doubt_shown`](Self::is_doubt_shown). Otherwise a command line that is run again settles a request that nobody has
    /// seen: the settlement that it is about was made before, and this is the next one.
    #[must_use]
    pub fn with_doubt_shown(mut self) -> Self {
        if let Some(request) = self.0.requests_mut().find(|request| **request != SavedRequest::None) {
            if let SavedRequest::InDoubt(asked) = *request {
                *request = SavedRequest::Shown(asked);
            }
        }
        self
    }

    /// Whether the request that has to be settled first was shown. See [`with_doubt_shown`](Self::with_doubt_shown).
    pub fn is_doubt_shown(&self) -> bool {
        let first = self.0.requests().find(|request| *request != SavedRequest::None);
        matches!(first, Some(SavedRequest::Shown(_)))
    }
}

impl Saved {
    fn requests_mut(&mut self) -> impl Iterator<Item = &mut SavedRequest> {
        let (windows, batches): (&mut [WindowLane], &mut [BatchLane]) = match &mut self.progress {
            Progress::Windows(windows) => (&mut windows.lanes, &mut []),
            Progress::Batches(batches) => (&mut [], &mut batches.lanes),
            Progress::Refined(_) => (&mut [], &mut []),
        };
        windows.iter_mut().map(|lane| &mut lane.request).chain(batches.iter_mut().map(|lane| &mut lane.request))
    }

    fn requests(&self) -> impl Iterator<Item = SavedRequest> {
        let (windows, batches): (&[WindowLane], &[BatchLane]) = match &self.progress {
            Progress::Windows(windows) => (&windows.lanes, &[]),
            Progress::Batches(batches) => (&[], &batches.lanes),
            Progress::Refined(_) => (&[], &[]),
        };
        windows.iter().map(|lane| lane.request).chain(batches.iter().map(|lane| lane.request))
    }
}

impl SavedRequest {
    fn is_possible(self, is_delete: bool) -> bool {
        match self {
            Self::None => true,
            Self::InFlight(asked) => asked > 0,
            Self::InDoubt(asked) | Self::Shown(asked) => asked > 0 && !is_delete,
        }
    }
}

/// Whether so much can be left of the maximum.
fn is_left_of(left: Option<u64>, max: Option<NonZeroU64>) -> bool {
    left.is_some() == max.is_some() && left <= max.map(NonZeroU64::get)
}

impl Windows {
    fn fit(&self, max: Option<NonZeroU64>) -> bool {
        is_left_of(self.left, max)
            // A cut leaves one part more than there are lanes.
            && self.lanes.len() <= MAX_LANES.get().saturating_add(1)
            && self.whole.lo <= self.whole.hi
            && self.lanes.iter().all(|lane| lane.window.lies_in(&self.whole))
            && self.are_disjoint()
    }

    /// Whether no two windows overlap. Otherwise runs could be started twice.
    fn are_disjoint(&self) -> bool {
        let mut windows: Vec<Window> = self.lanes.iter().map(|lane| lane.window).collect();
        windows.sort_unstable_by_key(|window| window.lo);
        windows
            .iter()
            .zip(windows.iter().skip(1))
            .all(|(one, next)| one.hi < next.lo && !one.open_above && !next.open_below)
    }
}

impl Batches {
    fn fit(&self) -> bool {
        let mut ranges: Vec<(usize, usize)> = self.lanes.iter().map(|lane| (lane.from, lane.to)).collect();
        ranges.sort_unstable();
        ranges.len() <= MAX_LANES.get()
            && ranges.iter().all(|(from, to)| from < to && *to <= self.begun)
            && ranges.iter().zip(ranges.iter().skip(1)).all(|((_, to), (from, _))| to <= from)
    }
}
