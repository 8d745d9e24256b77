//! The service of the search, as small as it can be: a set of at most sixteen runs. It is written anew from the contract, and shares
//! nothing with the emulator.

use http::{Method, Request};
use std::fmt;

/// The most runs that a service has.
pub(crate) const MOST: usize = 16;

/// A set of runs: bit `n` is run `n`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Runs(u16);

impl Runs {
    pub(crate) fn first(count: usize) -> Self {
        Self((0..count).map(|n| 1 << n).sum())
    }

    pub(crate) fn has(self, run: usize) -> bool {
        self.0 >> run & 1 == 1
    }

    pub(crate) fn add(&mut self, run: usize) {
        self.0 |= 1 << run;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |run| self.has(*run))
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What the contract leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) offset_cursors: bool,
    pub(crate) started_runs_stay: bool,
    /// Deleted runs are listed once more.
    pub(crate) listing_lags: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    kind: Kind,
    pub(crate) present: Runs,
    /// How often each run was started.
    pub(crate) started: [u8; MOST],
    /// Runs that are gone and are still listed once.
    ghosts: Runs,
}

/// A request as the service reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) ids: Vec<usize>,
    /// The run whose own address it is.
    one: Option<usize>,
    pub(crate) cursor: Option<String>,
    count: usize,
    from: i64,
    to: i64,
    pub(crate) label: Option<String>,
}

/// When a run failed, in milliseconds. The runs come in pairs of neighbours, 15 days apart.
pub(crate) fn created_at(run: usize) -> i64 {
    let run = i64::try_from(run).unwrap_or(0);
    1_764_000_000_000 + run / 2 * 15 * 86_400_000 + run % 2
}

/// The last run is blue, and the others are red.
pub(crate) fn is_red(run: usize, runs: usize) -> bool {
    run + 1 < runs
}

/// The status of the response that a run failed with.
pub(crate) fn status_of(run: usize) -> u16 {
    if run % 3 == 1 { 502 } else { 500 }
}

pub(crate) fn id_of(run: usize) -> String {
    format!("r{run}")
}

/// An id that is so long in a request that few have room. So there are several batches.
pub(crate) fn long_id_of(run: usize) -> String {
    format!("r{run}{}", "/".repeat(1_000))
}

/// The run of an id, long or short, as it is or percent-encoded.
pub(crate) fn run_of(id: &str) -> Option<usize> {
    let number = id.strip_prefix('r')?.split(['/', '%']).next()?;
    number.parse().ok().filter(|run| *run < MOST)
}

impl Asked {
    pub(crate) fn read(request: &Request<()>) -> Self {
        let mut asked = Self {
            method: request.method().clone(),
            ids: Vec::new(),
            one: request.uri().path().split_once("/v2/workflows/dlq/").and_then(|(_, id)| run_of(id)),
            cursor: None,
            count: 100,
            from: i64::MIN,
            to: i64::MAX,
            label: None,
        };
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            match &*name {
                "dlqIds" => asked.ids.extend(run_of(&value)),
                "cursor" => asked.cursor = Some(value.into_owned()),
                "count" => asked.count = value.parse().unwrap_or(0),
                "fromDate" => asked.from = value.parse().unwrap_or(0),
                "toDate" => asked.to = value.parse().unwrap_or(0),
                "label" => asked.label = Some(value.into_owned()),
                _ => {}
            }
        }
        asked
    }
}

impl Service {
    pub(crate) fn new(kind: Kind, runs: usize) -> Self {
        Self { kind, present: Runs::first(runs), started: [0; MOST], ghosts: Runs::default() }
    }

    /// Carries a request out. Returns the status, the body, and the runs that it deleted or started.
    pub(crate) fn serve(&mut self, asked: &Asked, runs: usize) -> (u16, String, Runs) {
        if let Some(one) = asked.one {
            let body = format!(r#"{{"dlqId":"{}"}}"#, long_id_of(one));
            let is_there = self.present.has(one);
            return if is_there { (200, body, Runs::default()) } else { (404, "{}".into(), Runs::default()) };
        }
        let (page, cursor) = if asked.ids.is_empty() { self.page(asked, runs) } else { (asked.ids.clone(), None) };
        let cursor = cursor.unwrap_or_default();
        let mut effects = Runs::default();
        if asked.method == Method::GET {
            self.ghosts = Runs::default();
            let message = |run: &usize| {
                let (id, at) = (id_of(*run), created_at(*run));
                let label = if is_red(*run, runs) { "red" } else { "blue" };
                let status = status_of(*run);
                format!(r#"{{"dlqId":"{id}","createdAt":{at},"labels":["{label}"],"responseStatus":{status}}}"#)
            };
            let messages: Vec<String> = page.iter().map(message).collect();
            return (200, format!(r#"{{"messages":[{}],"cursor":"{cursor}"}}"#, messages.join(",")), effects);
        }
        if asked.method == Method::POST && page.iter().any(|run| !self.present.has(*run)) {
            return (404, r#"{"error":"some were not found"}"#.into(), effects);
        }
        page.into_iter().filter(|run| self.present.has(*run)).for_each(|run| effects.add(run));
        if asked.method == Method::DELETE {
            self.leave(effects);
            return (200, format!(r#"{{"deleted":{},"cursor":"{cursor}"}}"#, effects.len()), effects);
        }
        for run in effects.iter() {
            if let Some(times) = self.started.get_mut(run) {
                *times += 1;
            }
        }
        if !self.kind.started_runs_stay {
            self.leave(effects);
        }
        let started: Vec<&str> = effects.iter().map(|_| r#"{"workflowRunId":"w"}"#).collect();
        (200, format!(r#"{{"workflowRuns":[{}],"cursor":"{cursor}"}}"#, started.join(",")), effects)
    }

    fn leave(&mut self, gone: Runs) {
        self.present = self.present.without(gone);
        if self.kind.listing_lags {
            self.ghosts = self.ghosts.with(gone);
        }
    }

    /// One page, and the cursor of the next one. A full page always has one.
    fn page(&self, asked: &Asked, runs: usize) -> (Vec<usize>, Option<String>) {
        let shown = if asked.method == Method::GET { self.present.with(self.ghosts) } else { self.present };
        let matching = shown.iter().filter(|run| {
            (asked.from..=asked.to).contains(&created_at(*run))
                && asked.label.as_deref().is_none_or(|label| (label == "red") == is_red(*run, runs))
        });
        let at: Option<usize> = asked.cursor.as_ref().and_then(|cursor| cursor.parse().ok());
        let page: Vec<usize> = if self.kind.offset_cursors {
            matching.skip(at.unwrap_or(0)).take(asked.count).collect()
        } else {
            matching.filter(|run| at.is_none_or(|after| *run > after)).take(asked.count).collect()
        };
        let next = if self.kind.offset_cursors { Some(at.unwrap_or(0) + page.len()) } else { page.last().copied() };
        let is_full = page.len() == asked.count;
        (page, next.filter(|_| is_full).map(|next| next.to_string()))
    }
}
