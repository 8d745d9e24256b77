//! What ids would hit: each is looked up, and nothing is changed.

use crate::bulk::Job;
use crate::bulk::preview::{self, Preview, SAMPLES};
use crate::input::ids::IdList;
use crate::interrupt;
use crate::listing::{Failed, unless_interrupted};
use crate::output::progress::Progress;
use crate::output::report::Report;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use upstash_dlq_core::{
    Delivery, DlqId, DlqMessage, Driven, ErrorBody, Event, GetMessage, Halt, Observer, ResponseError, Single, drive,
};

pub(crate) enum Stopped {
    Failed(Failed),
    /// The list cannot be read.
    NoIds(String),
}

/// Looks each one up, and counts in the report what is missing and the requests.
pub(crate) fn each(
    job: &Job<'_>,
    list: &mut IdList,
    rate: Option<NonZeroU32>,
    report: &mut Report,
) -> Result<Preview, Stopped> {
    let mut watch = Watch(Progress::new(job.terminal, Some(list.total()), "looked up"));
    let mut preview = preview::of_ids(0);
    let (mut looked_up, mut missing, mut requests) = (0, 0, 0);
    let result = loop {
        let ids = match list.part(looked_up) {
            Ok(Some(ids)) => ids,
            Ok(None) => break Ok(()),
            Err(sentence) => break Err(Stopped::NoIds(sentence)),
        };
        let part = ids.as_slice().iter().try_for_each(|id| {
            match one(job, id, rate, &mut watch, &mut requests)? {
                Some(message) => {
                    preview.matching += 1;
                    if preview.samples.len() < SAMPLES {
                        preview.samples.push(message);
                    }
                }
                None => missing += 1,
            }
            looked_up += 1;
            watch.0.on_page(looked_up);
            Ok(())
        });
        if let Err(failed) = part {
            break Err(Stopped::Failed(failed));
        }
    };
    watch.0.finish();
    report.set_requests_before(requests);
    report.missing = Some(missing);
    result.map(|()| preview)
}

/// `None` where the service says that it is not there.
fn one(
    job: &Job<'_>,
    id: &DlqId,
    rate: Option<NonZeroU32>,
    watch: &mut Watch,
    requests: &mut u64,
) -> Result<Option<DlqMessage>, Failed> {
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
    let endpoint = job.client.endpoint().clone();
    let mut single = Single::new(endpoint, GetMessage(id.clone()), job.policy, job.client.seed());
    let send = |request| {
        let sent = Instant::now();
        let response = job.client.send(request);
        *requests += u64::from(!matches!(&response, Err(failure) if failure.delivery == Delivery::NotSent));
        interrupt::sleep(interval.saturating_sub(sent.elapsed()));
        response
    };
    match drive(&mut single, send, interrupt::sleep, watch) {
        Driven::Done(Ok(message)) if message.dlq_id().as_ref() == Some(id) => Ok(Some(message)),
        Driven::Done(Ok(_)) => Err(Failed::Halted(Halt::UnusableMessage)),
        Driven::Done(Err(Halt::Refused(error))) if is_missing(&error) => Ok(None),
        Driven::Done(Err(halt)) => Err(Failed::Halted(halt)),
        Driven::Stopped => Err(Failed::Interrupted),
    }
}

/// The service's own words that there is no such run. A proxy's 404, and one that speaks of the region, say nothing of it.
fn is_missing(error: &ResponseError) -> bool {
    let is_its_own = matches!(error, ResponseError::Status { body: ErrorBody::Message(_), .. });
    is_its_own && error.status() == http::StatusCode::NOT_FOUND && !error.is_wrong_region()
}

struct Watch(Progress);

impl Observer<Single<GetMessage>> for Watch {
    fn before_send(&mut self, _: &Single<GetMessage>) -> ControlFlow<()> {
        unless_interrupted()
    }

    fn after(&mut self, _: &Single<GetMessage>, event: &Event<()>) -> ControlFlow<()> {
        if let Event::Retry(retried) = event {
            self.0.on_retry(retried);
        }
        ControlFlow::Continue(())
    }
}
