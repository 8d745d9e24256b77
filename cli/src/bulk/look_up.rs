//! Looks ids up, each with a request of its own, on lanes. Changes nothing.

use crate::bulk::context::BulkContext;
use crate::bulk::preview::{self, Preview, SAMPLES};
use crate::drive::{Handler, Parallelism, Stopped};
use crate::input::ids::IdList;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::runs::{self, Row};
use crate::output::text::thousands;
use crate::output::wording;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::operation::Fetched;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::{DlqId, Driven, GetMany, UnixMillis};

/// Until there are samples enough, ids are looked up a few at a time, and twice as many each time: runs come in any order, and the
/// samples are the first of the list.
const FEW: usize = 32;
const MANY: usize = 1_024;

pub(crate) enum LookUpError {
    Stopped(Stopped),
    /// The list cannot be read.
    Unreadable(String),
}

/// Looks each id up. The report counts missing ids and requests.
pub(crate) fn each(
    bulk: &BulkContext<'_>,
    list: &mut IdList,
    parallelism: Parallelism,
    report: &mut Report,
) -> Result<Preview, LookUpError> {
    let mut progress = Progress::new(bulk.terminal(), Some(list.total()), "looked up");
    let mut found = LookedUp {
        preview: preview::of_ids(0),
        rows: BTreeMap::new(),
        ids: 0,
        missing: 0,
        missing_ids: Vec::new(),
        missing_here: BTreeSet::new(),
        requests: 0,
        now: bulk.context.now.millis(),
    };
    let mut few = parallelism.lanes.get().saturating_mul(4).clamp(FEW, MANY);
    let mut read = || -> Result<(), LookUpError> {
        while let Some(ids) = list.part(found.ids).map_err(LookUpError::Unreadable)? {
            let mut rest = ids.as_slice();
            while !rest.is_empty() {
                let (part, later) = rest.split_at(if found.has_samples() { rest.len() } else { rest.len().min(few) });
                few = (few * 2).min(MANY);
                rest = later;
                look_up(bulk, part, parallelism, &mut progress, &mut found).map_err(LookUpError::Stopped)?;
                found.take_samples(part);
            }
        }
        Ok(())
    };
    let result = read();
    progress.finish();
    report.set_requests_before(found.requests);
    report.missing = Some(found.missing);
    result.map(|()| Preview { notes: found.notes(bulk), ..found.preview })
}

fn look_up(
    bulk: &BulkContext<'_>,
    part: &[DlqId],
    parallelism: Parallelism,
    progress: &mut Progress,
    found: &mut LookedUp,
) -> Result<(), Stopped> {
    // A part of a list is not empty.
    let Ok(ids) = Ids::new(part.to_vec()) else { return Ok(()) };
    let mut get = GetMany::builder(bulk.client.endpoint().clone(), ids)
        .lanes(parallelism.lanes)
        .max_requests_per_second(parallelism.rate)
        .retry(bulk.policy, bulk.client.seed())
        .build();
    let driven = bulk.run(&mut get, progress, &mut *found);
    found.requests += get.outcome_so_far().totals.requests;
    match driven {
        Driven::Done(outcome) => outcome.halted.map_or(Ok(()), |halt| Err(Stopped::Halted(halt))),
        Driven::Stopped => Err(Stopped::Interrupted),
    }
}

/// What was found so far.
struct LookedUp {
    preview: Preview,
    /// The runs of this part, while samples are looked for.
    rows: BTreeMap<DlqId, Row>,
    /// How many ids were looked up.
    ids: u64,
    missing: u64,
    /// The first few missing ids of the list.
    missing_ids: Vec<DlqId>,
    /// The missing ids of this part, while the first few are looked for.
    missing_here: BTreeSet<DlqId>,
    requests: u64,
    now: UnixMillis,
}

impl LookedUp {
    fn has_samples(&self) -> bool {
        self.preview.samples.len() >= SAMPLES
    }

    /// Names ids that are missing, and says what they mean to a resume or restart.
    fn notes(&self, bulk: &BulkContext<'_>) -> Vec<String> {
        if self.missing == 0 {
            return Vec::new();
        }
        let names: Vec<String> = self.missing_ids.iter().map(|id| Escaped(id.as_str()).to_string()).collect();
        let more = self.missing.saturating_sub(names.len() as u64);
        let more = if more > 0 { format!(" and {} more", thousands(more)) } else { String::new() };
        let mut notes = vec![format!("not found: {}{more}", names.join(", "))];
        if bulk.verb != wording::DELETE && self.preview.matching > 0 {
            notes.push(format!(
                "warning: the service refuses a request to {} runs if one of them is not found: take those ids out",
                bulk.verb.infinitive
            ));
        }
        notes
    }

    /// Takes the first runs and the first missing ids of this part, in the order of the list.
    fn take_samples(&mut self, part: &[DlqId]) {
        let (mut rows, missing) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.missing_here));
        let wanted = SAMPLES.saturating_sub(self.preview.samples.len());
        self.preview.samples.extend(part.iter().filter_map(|id| rows.remove(id)).take(wanted));
        let wanted = SAMPLES.saturating_sub(self.missing_ids.len());
        self.missing_ids.extend(part.iter().filter(|id| missing.contains(id)).take(wanted).cloned());
    }
}

impl Handler<GetMany, Fetched> for LookedUp {
    fn on_page(&mut self, _: &mut GetMany, fetched: &Fetched, progress: &mut Progress) -> ControlFlow<()> {
        match &fetched.message {
            Some(message) => {
                self.preview.matching += 1;
                if !self.has_samples() {
                    self.rows.insert(fetched.id.clone(), runs::row(message, self.now));
                }
            }
            None => {
                self.missing += 1;
                if self.missing_ids.len() < SAMPLES {
                    self.missing_here.insert(fetched.id.clone());
                }
            }
        }
        self.ids += 1;
        progress.on_page(self.ids);
        ControlFlow::Continue(())
    }
}
