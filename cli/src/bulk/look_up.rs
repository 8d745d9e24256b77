//! Looks ids up one by one, and changes nothing.

use crate::bulk::context::BulkContext;
use crate::bulk::preview::{self, Preview, SAMPLES};
use crate::drive::{self, Stopped};
use crate::input::ids::IdList;
use crate::interrupt;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::runs;
use crate::output::wording;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use upstash_dlq_core::wire::GetMessage;
use upstash_dlq_core::{DlqId, DlqMessage, Halt};

pub(crate) enum LookUpError {
    Stopped(Stopped),
    /// The list cannot be read.
    NoIds(String),
}

/// Looks each id up. The report counts missing ids and requests.
pub(crate) fn each(
    bulk: &BulkContext<'_>,
    list: &mut IdList,
    rate: Option<NonZeroU32>,
    report: &mut Report,
) -> Result<Preview, LookUpError> {
    let mut progress = Progress::new(bulk.terminal(), Some(list.total()), "looked up");
    let mut preview = preview::of_ids(0);
    let (mut looked_up, mut missing, mut requests) = (0, 0, 0);
    let result = loop {
        let ids = match list.part(looked_up) {
            Ok(Some(ids)) => ids,
            Ok(None) => break Ok(()),
            Err(sentence) => break Err(LookUpError::NoIds(sentence)),
        };
        let part = ids.as_slice().iter().try_for_each(|id| {
            match one(bulk, id, rate, &mut progress, &mut requests)? {
                Some(message) => {
                    preview.matching += 1;
                    if preview.samples.len() < SAMPLES {
                        preview.samples.push(runs::row(&message, bulk.context.now.millis()));
                    }
                }
                None => missing += 1,
            }
            looked_up += 1;
            progress.on_page(looked_up);
            Ok(())
        });
        if let Err(stopped) = part {
            break Err(LookUpError::Stopped(stopped));
        }
    };
    progress.finish();
    report.set_requests_before(requests);
    report.missing = Some(missing);
    result.map(|()| preview)
}

/// `None` if the service says that there is no such run.
fn one(
    bulk: &BulkContext<'_>,
    id: &DlqId,
    rate: Option<NonZeroU32>,
    progress: &mut Progress,
    requests: &mut u64,
) -> Result<Option<DlqMessage>, Stopped> {
    let start = Instant::now();
    let (sent, result) = drive::call(&bulk.client, bulk.policy, progress, GetMessage(id.clone()));
    *requests += sent;
    // Each call is an operation of its own: the rate between them is kept here.
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
    interrupt::sleep(interval.saturating_sub(start.elapsed()));
    match result {
        Ok(message) if message.dlq_id().as_ref() == Some(id) => Ok(Some(message)),
        Ok(_) => Err(Stopped::Halted(Halt::UnusableMessage)),
        Err(Stopped::Halted(Halt::Refused { error, .. })) if wording::is_missing(&error) => Ok(None),
        Err(stopped) => Err(stopped),
    }
}
