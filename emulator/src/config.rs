//! How the service behaves where the contract leaves it open, and where a broken server would differ.

use crate::fault::FaultPlan;
use crate::setters::setters;
use http::Method;

/// The public token of the official local server.
pub const LOCAL_TOKEN: &str = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=";

/// What a cursor stands for. The contract leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorKind {
    /// The last run of the page.
    #[default]
    Key,
    /// How many matching runs came before; deleting while paging skips runs.
    Offset,
}

/// A limit on the rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// The most requests that are served within a second.
    pub per_second: u32,
}

/// How the service behaves.
///
/// ```
/// use upstash_dlq_emulator::{Config, CursorKind};
/// let config = Config::default().cursors(CursorKind::Offset).newest_first(true);
/// assert!(config.newest_first && config.split_commas);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The token that requests must carry.
    pub token: String,
    /// What cursors stand for.
    pub cursors: CursorKind,
    /// Whether values are split at commas, as the newer service does.
    pub split_commas: bool,
    /// The largest `count` of a listing: the most runs of a page.
    pub max_count: u32,
    /// The largest `count` of a bulk delete: the most runs that one request deletes. `None` for no limit; the contract names none.
    pub delete_max_count: Option<u32>,
    /// The rate limit, if there is one.
    pub rate_limit: Option<RateLimit>,
    /// When the service misbehaves.
    pub faults: FaultPlan,
    /// Whether unknown query names are refused.
    pub strict_query: bool,
    /// Parts of the query that are ignored, as a broken server might do.
    pub ignored: Vec<Ignored>,
    /// Whether a cursor is valid only for the filters and the method that it was given out for. Other requests with it are
    /// refused with a 400.
    pub bound_cursors: bool,
    /// Whether pages begin with the newest run; the contract promises no order.
    pub newest_first: bool,
    /// In how many more listings a run appears after it was deleted.
    pub listing_lag: u32,
    /// Whether runs that were resumed or restarted stay in the DLQ; the contract leaves it open.
    pub started_runs_stay: bool,
}

/// A part of the query that the service ignores.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ignored {
    /// The method of the requests it is ignored in, or `None` for every method.
    pub method: Option<Method>,
    /// The name in the query, such as `fromDate` or `label`.
    pub name: &'static str,
}

setters! {
    Config {
        cursors: CursorKind, split_commas: bool, max_count: u32, delete_max_count: Option<u32>, rate_limit: Option<RateLimit>,
        faults: FaultPlan, strict_query: bool, ignored: Vec<Ignored>, bound_cursors: bool,
        newest_first: bool, listing_lag: u32, started_runs_stay: bool,
    }
    into { token: String }
}

impl Config {
    /// Whether `fromDate` and `toDate` are ignored in every request, as a broken server might do: two entries of
    /// [`Self::ignored`].
    #[must_use]
    pub fn ignore_dates(mut self, yes: bool) -> Self {
        let dates = ["fromDate", "toDate"].map(|name| Ignored::new(None, name));
        self.ignored.retain(|ignored| !dates.contains(ignored));
        if yes {
            self.ignored.extend(dates);
        }
        self
    }
}

impl RateLimit {
    /// So many requests are served within a second, and no more.
    pub fn per_second(per_second: u32) -> Self {
        Self { per_second }
    }
}

impl Ignored {
    /// Ignored in requests with this method, or in all.
    pub fn new(method: Option<Method>, name: &'static str) -> Self {
        Self { method, name }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: LOCAL_TOKEN.into(),
            cursors: CursorKind::default(),
            split_commas: true,
            max_count: 100,
            delete_max_count: None,
            rate_limit: None,
            faults: FaultPlan::none(),
            strict_query: true,
            ignored: Vec::new(),
            bound_cursors: false,
            newest_first: false,
            listing_lag: 0,
            started_runs_stay: false,
        }
    }
}
