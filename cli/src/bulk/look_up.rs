//! Looks ids up one by one, and changes nothing.

use crate::bulk::context::BulkContext;
use crate::bulk::preview::{self, Preview, SAMPLES};
use crate::drive::{self, Handler, Parallelism, Stopped};
use crate::input::ids::IdList;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::runs;
use std::ops::ControlFlow;
use upstash_dlq_core::operation::Fetched;
use upstash_dlq_core::{Driven, GetMany, UnixMillis};

pub(crate) enum LookUpError {
    Stopped(Stopped),
    /// The list cannot be read.
    NoIds(String),
}

/// Looks each id up. The report counts missing ids and requests.
pub(crate) fn each(
    bulk: &BulkContext<'_>,
    list: &mut IdList,
    parallelism: Parallelism,
    report: &mut Report,
) -> Result<Preview, LookUpError> {
    let mut progress = Progress::new(bulk.terminal(), Some(list.total()), "looked up");
    let mut found = LookedUp { preview: preview::of_ids(0), ids: 0, missing: 0, now: bulk.context.now.millis() };
    let mut requests = 0;
    let result = loop {
        let ids = match list.part(found.ids) {
            Ok(Some(ids)) => ids,
            Ok(None) => break Ok(()),
            Err(sentence) => break Err(LookUpError::NoIds(sentence)),
        };
        let mut get = GetMany::builder(bulk.client.endpoint().clone(), ids)
            .lanes(parallelism.lanes)
            .max_requests_per_second(parallelism.rate)
            .retry(bulk.policy, bulk.client.seed())
            .build();
        let driven = drive::run(&bulk.client, &mut get, &mut progress, &mut found);
        requests += get.outcome_so_far().totals.requests;
        match driven {
            Driven::Done(outcome) => match outcome.halted {
                None => {}
                Some(halt) => break Err(LookUpError::Stopped(Stopped::Halted(halt))),
            },
            Driven::Stopped => break Err(LookUpError::Stopped(Stopped::Interrupted)),
        }
    };
    progress.finish();
    report.set_requests_before(requests);
    report.missing = Some(found.missing);
    result.map(|()| found.preview)
}

/// What was found so far.
struct LookedUp {
    preview: Preview,
    /// How many ids were looked up.
    ids: u64,
    missing: u64,
    now: UnixMillis,
}

impl Handler<GetMany, Fetched> for LookedUp {
    fn on_page(&mut self, _: &mut GetMany, fetched: &Fetched, progress: &mut Progress) -> ControlFlow<()> {
        match &fetched.message {
            Some(message) => {
                self.preview.matching += 1;
                if self.preview.samples.len() < SAMPLES {
                    self.preview.samples.push(runs::row(message, self.now));
                }
            }
            None => self.missing += 1,
        }
        self.ids += 1;
        progress.on_page(self.ids);
        ControlFlow::Continue(())
    }
}
