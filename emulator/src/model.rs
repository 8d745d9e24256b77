//! The dead-letter queue as a pure model: its runs, its pages and its counts. It has no clock and does no I/O.

use crate::config::{Config, CursorKind};
use crate::fault::{FaultPlan, Wire};
use crate::query::Query;
use crate::response::Refusal;
use crate::run::Run;
use crate::started::Started;
use http::{Method, StatusCode};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;

/// One request as the service saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// The method.
    pub method: Method,
    /// Path and query, without a token.
    pub target: String,
    /// The status of the response that was made. Where [`Self::wire`] is set, the client may never have seen it, and 200 does not
    /// say that the request was carried out.
    pub status: StatusCode,
    /// What was done to the connection besides, if a fault asked for it.
    pub wire: Option<Wire>,
}

/// In the DLQ's order.
pub(crate) type Key = (i64, String);

/// The dead-letter queue and its rules. It has no clock and does no I/O: the time and a request come in, a response goes out.
///
/// ```
/// use upstash_dlq_emulator::{Config, Run, Service};
/// let mut service = Service::new(Config::default());
/// service.insert(Run::default().dlq_id("a").created_at(1_764_000_000_000));
/// assert!(service.len() == 1 && service.contains("a"));
/// assert_eq!((service.requests_total(), service.deleted_total()), (0, 0));
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: Config,
    pub(crate) runs: BTreeMap<Key, Run>,
    by_id: HashMap<String, i64>,
    deleted: u64,
    pub(crate) started: Vec<Started>,
    pub(crate) requests: u64,
    pub(crate) log: VecDeque<LoggedRequest>,
    pub(crate) window: (i64, u32),
    /// Runs that are deleted and still listed, and for how many more listings.
    pub(crate) ghosts: Vec<(u32, Run)>,
}

impl Service {
    /// Creates a service with an empty queue.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            runs: BTreeMap::new(),
            by_id: HashMap::new(),
            deleted: 0,
            started: Vec::new(),
            requests: 0,
            log: VecDeque::new(),
            window: (0, 0),
            ghosts: Vec::new(),
        }
    }

    /// Adds a run that has failed for good. It replaces a run with the same id.
    pub fn insert(&mut self, run: Run) {
        if let Some(at) = self.by_id.insert(run.dlq_id.clone(), run.created_at) {
            self.runs.remove(&(at, run.dlq_id.clone()));
        }
        self.runs.insert((run.created_at, run.dlq_id.clone()), run);
    }

    /// Sets the plan by which the service misbehaves from now on.
    pub fn set_faults(&mut self, faults: FaultPlan) {
        self.config.faults = faults;
    }

    /// Returns the number of runs in the queue.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns the runs, oldest first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Returns whether a run is in the queue.
    pub fn contains(&self, dlq_id: &str) -> bool {
        self.by_id.contains_key(dlq_id)
    }

    /// Returns the number of runs that were really deleted, whatever the responses said.
    pub fn deleted_total(&self) -> u64 {
        self.deleted
    }

    /// Returns every run that was started and every failure callback that was sent again, in order, whatever the responses
    /// said.
    pub fn started(&self) -> impl Iterator<Item = &Started> {
        self.started.iter()
    }

    /// Returns the number of requests that came, whether they were served or not.
    pub fn requests_total(&self) -> u64 {
        self.requests
    }

    /// Returns the last ten thousand requests, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &LoggedRequest> {
        self.log.iter()
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Run> {
        let at = self.by_id.remove(id)?;
        self.runs.remove(&(at, id.to_owned()))
    }

    pub(crate) fn delete(&mut self, id: &str) -> bool {
        let removed = self.remove(id);
        let there = removed.is_some();
        self.deleted += u64::from(there);
        if self.config.listing_lag > 0 {
            self.ghosts.extend(removed.map(|run| (self.config.listing_lag, run)));
        }
        there
    }

    pub(crate) fn run(&self, id: &str) -> Option<&Run> {
        self.runs.get(&(*self.by_id.get(id)?, id.to_owned()))
    }

    pub(crate) fn run_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.get_mut(&(*self.by_id.get(id)?, id.to_owned()))
    }

    /// Returns one page of matching keys, and the cursor of the next page. A full page always has a next one, which may be
    /// empty.
    pub(crate) fn page(
        &self,
        query: &Query,
        max: Option<u32>,
        default: u64,
    ) -> Result<(Vec<Key>, Option<String>), Refusal> {
        let bad = |words: &str| Refusal(StatusCode::BAD_REQUEST, words.into());
        let count = query.count.unwrap_or(default);
        if max.is_some_and(|max| count > u64::from(max)) {
            return Err(bad("count is too large"));
        }
        let count = usize::try_from(count).map_err(|_| bad("count is too large"))?;
        let matches = |(_, run): &(&Key, &Run)| query.matches(run);
        let keys: Vec<Key>;
        let next;
        match self.config.cursors {
            CursorKind::Key => {
                let after = match &query.cursor {
                    None => Bound::Unbounded,
                    Some(cursor) => Bound::Excluded(parse_key(cursor).ok_or_else(|| bad("invalid cursor"))?),
                };
                keys = if self.config.newest_first {
                    let range = self.runs.range((Bound::Unbounded, after)).rev();
                    range.filter(matches).take(count).map(|(key, _)| key.clone()).collect()
                } else {
                    let range = self.runs.range((after, Bound::Unbounded));
                    range.filter(matches).take(count).map(|(key, _)| key.clone()).collect()
                };
                next = keys.last().map(|(at, id)| format!("k{at}~{id}"));
            }
            CursorKind::Offset => {
                let offset: usize = match &query.cursor {
                    None => 0,
                    Some(cursor) => cursor.parse().map_err(|_| bad("invalid cursor"))?,
                };
                let page = |runs: &mut dyn Iterator<Item = (&Key, &Run)>| {
                    runs.skip(offset).take(count).map(|(key, _)| key.clone()).collect()
                };
                let mut matching = self.runs.iter().filter(matches);
                keys = if self.config.newest_first { page(&mut matching.rev()) } else { page(&mut matching) };
                next = Some((offset.saturating_add(keys.len())).to_string());
            }
        }
        let full = keys.len() == count;
        let next = next.filter(|_| full).map(|next| match &query.binding {
            Some(binding) => format!("{binding}!{next}"),
            None => next,
        });
        Ok((keys, next))
    }
}

/// Adds runs that have failed for good, as [`Service::insert`] does.
impl Extend<Run> for Service {
    fn extend<I: IntoIterator<Item = Run>>(&mut self, runs: I) {
        runs.into_iter().for_each(|run| self.insert(run));
    }
}

fn parse_key(cursor: &str) -> Option<Key> {
    let (at, id) = cursor.strip_prefix('k')?.split_once('~')?;
    Some((at.parse().ok()?, id.to_owned()))
}
