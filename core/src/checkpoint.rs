//! Where an operation stood.

pub(crate) mod fingerprint;
pub(crate) mod seal;

pub use self::fingerprint::{Fingerprint, FingerprintOfMany};

use crate::engine::cycle::CycleDetector;
use crate::engine::outcome::Totals;
use crate::model::cursor::Cursor;
use crate::model::field_error::SelectionError;
use crate::selection::filter::Filter;
use crate::selection::filter::RelativeTimes;
use crate::selection::selected::Selection;
use crate::wire::bulk::{Delete, Restart, Resume, Verb};
use crate::{FleetCheckpoint, fleet_checkpoint};
use alloc::string::{String, ToString};
use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};
use serde::{Deserialize, Serialize};

/// Where an operation stood: what a later process needs to go on. It holds no token and no ids; who gives ids gives them
/// again, and the fingerprint tells whether they are the same.
///
/// ```
/// use upstash_dlq_core::{BulkDelete, Checkpoint, Endpoint, Selection, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let delete = BulkDelete::new(endpoint, Selection::Everything);
/// let saved = delete.clone().build().checkpoint().to_json();
/// let _goes_on = delete.restore(Checkpoint::from_json(saved.as_bytes())?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub(crate) operation: String,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) selection: SavedSelection,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) verify: bool,
    /// How many runs the request asked for that was out.
    pub(crate) in_flight: Option<u64>,
    pub(crate) position: Position,
}

/// The part of the machine that lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) cursor: Option<Cursor>,
    pub(crate) sent_ids: usize,
    /// Ids of the same list that earlier parts have dealt with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) ids_before: u64,
    /// How many runs a request asked for that may have been carried out and must not be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsettled: Option<u64>,
    /// What is left of the maximum.
    pub(crate) remaining: Option<u64>,
    pub(crate) pass_deleted: bool,
    pub(crate) pass_unconfirmed: bool,
    /// Passes in a row that deleted nothing and yet proved nothing.
    pub(crate) barren_passes: u32,
    pub(crate) empty_pages: u32,
    pub(crate) cursor_refused: bool,
    /// The last page has come of what must not be begun again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) finished: bool,
    /// A cursor came round again for what must not be begun again: no request is left that would not repeat one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) in_circles: bool,
    pub(crate) cycle: CycleDetector,
    pub(crate) totals: Totals,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The selection with its times resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SavedSelection {
    Ids(usize),
    Filter(Filter),
    Everything,
}

impl SavedSelection {
    pub(crate) fn of(selection: &Selection) -> Self {
        match selection {
            Selection::Ids(ids) => Self::Ids(ids.len()),
            Selection::Filter(filter) => Self::Filter(filter.clone()),
            Selection::Everything => Self::Everything,
        }
    }

    /// What was given, with the saved times. Everything else must be the same, and no end of the window may have gone or be
    /// wider than what was given: the file is not to be trusted with what gets deleted.
    pub(crate) fn apply_to(self, given: Selection, relative: RelativeTimes) -> Result<Selection, CheckpointError> {
        match (self, given) {
            (Self::Ids(saved), Selection::Ids(ids)) if saved == ids.len() => Ok(Selection::Ids(ids)),
            (Self::Filter(saved), Selection::Filter(given)) if saved.is_an_earlier(&given, relative) => {
                Ok(Selection::Filter(saved))
            }
            (Self::Everything, Selection::Everything) => Ok(Selection::Everything),
            _ => Err(CheckpointError::OtherSelection),
        }
    }
}

pub(crate) const VERSION: u32 = 3;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    operation: String,
    fingerprint: Fingerprint,
    selection: SavedSelection,
    page_size: NonZeroU32,
    max: Option<NonZeroU64>,
    verify: bool,
    in_flight: Option<u64>,
    position: Position,
}

impl Checkpoint {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        let this = self.clone();
        let file = File {
            operation: this.operation,
            fingerprint: this.fingerprint,
            selection: this.selection,
            page_size: this.page_size,
            max: this.max,
            verify: this.verify,
            in_flight: this.in_flight,
            position: this.position,
        };
        seal::seal(VERSION, &file)
    }

    /// # Errors
    /// Text that is not a checkpoint, one of a version that is not known, one that was changed since it was written, or one
    /// of lanes, for which there is [`FleetCheckpoint`].
    pub fn from_json(json: &[u8]) -> Result<Self, CheckpointError> {
        if seal::version(json)? == fleet_checkpoint::VERSION {
            // Ours, and of lanes, which no list of ids has.
            return FleetCheckpoint::from_json(json).and(Err(CheckpointError::OtherSelection));
        }
        let file: File = seal::open(VERSION, json)?;
        if ![Delete::NAME, Resume::NAME, Restart::NAME].contains(&file.operation.as_str()) {
            return Err(CheckpointError::Damaged("its operation is not known".into()));
        }
        if file.position.remaining.is_some() != file.max.is_some()
            || file.position.remaining > file.max.map(NonZeroU64::get)
            || file.in_flight == Some(0)
            || file.position.unsettled == Some(0)
            || (file.in_flight.is_some() && file.position.unsettled.is_some())
        {
            return Err(CheckpointError::Damaged("its maximum and what is left of it do not fit together".into()));
        }
        Ok(Self {
            operation: file.operation,
            fingerprint: file.fingerprint,
            selection: file.selection,
            page_size: file.page_size,
            max: file.max,
            verify: file.verify,
            in_flight: file.in_flight,
            position: file.position,
        })
    }

    /// The resolved times, for people: the lower and the upper end.
    pub fn window(&self) -> (Option<crate::model::time::UnixMillis>, Option<crate::model::time::UnixMillis>) {
        match &self.selection {
            SavedSelection::Filter(filter) => (filter.from(), filter.to()),
            SavedSelection::Ids(_) | SavedSelection::Everything => (None, None),
        }
    }

    /// How many ids of a longer list lay before the part that this is of; see [`BulkBuilder::part`](crate::BulkBuilder::part).
    pub fn ids_before(&self) -> u64 {
        self.position.ids_before
    }

    /// What had happened; a request that was in flight counts as unconfirmed.
    pub fn totals(&self) -> Totals {
        self.position.totals_with(self.in_flight.is_some())
    }
}

/// Why a checkpoint cannot be gone on from. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not a checkpoint, or not whole.
    Damaged(String),
    /// Written by another version.
    Version(u32),
    /// Of another operation, which this names.
    OtherOperation(String),
    /// Of another endpoint, selection or overrides.
    OtherSelection,
    /// Of the same selection with another page size, maximum or verification.
    OtherOptions,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) => write!(f, "checkpoint: cannot be read ({}): give another file, or remove it to start anew", crate::model::text::Escaped(problem)),
            Self::Version(version) => write!(f, "checkpoint: has version {version}, this program knows {VERSION}: use the program that wrote it"),
            Self::OtherOperation(operation) => write!(f, "checkpoint: belongs to a {}: give the same command again, or another file", crate::model::text::Escaped(operation)),
            Self::OtherSelection => f.write_str("checkpoint: belongs to another endpoint, selection or overrides: give the same ones again, or another file"),
            Self::OtherOptions => {
                f.write_str("checkpoint: was taken with another page size, maximum or verification: give the same ones again, or another file")
            }
        }
    }
}

impl core::error::Error for CheckpointError {}

impl From<SelectionError> for CheckpointError {
    fn from(error: SelectionError) -> Self {
        Self::Damaged(error.to_string())
    }
}
