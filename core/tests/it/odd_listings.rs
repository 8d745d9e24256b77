//! Listings that keep to the letter of the service's description, and are odd all the same.

use crate::one_lane::Respond;
use crate::world::{NOW, endpoint, lanes};
use http::{Method, Request, Response};
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::selection::{Ids, Refined, Refinement};
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{BulkDelete, BulkResume, Event, Filter, Halt, Listing, Operation, Selection, Step, UnixMillis};

const MINUTE: i64 = 60_000;

/// A DLQ whose service is odd in one way.
#[derive(Default)]
pub(crate) struct Odd {
    runs: Vec<Run>,
    /// By how much a run enters the DLQ later than it says. Dates look at when it entered.
    delay: i64,
    /// Each page is the first one, with a new cursor.
    is_endless: bool,
    /// The pages go round and round, each time from another run on.
    is_round: bool,
    /// Each request shows runs of all times.
    pub(crate) ignores_dates: bool,
    /// Runs without a time are in no window that is narrower than a day.
    hides_timeless: bool,
    /// What was deleted is listed until this time.
    lags_until: Duration,
    pub(crate) clock: Duration,
    /// The methods and queries of all requests.
    pub(crate) log: Vec<(Method, String)>,
    pub(crate) most_in_flight: usize,
}

struct Run {
    id: String,
    at: Option<i64>,
    is_deleted: bool,
}

impl Odd {
    pub(crate) fn new(times: impl IntoIterator<Item = Option<i64>>) -> Self {
        let runs = times.into_iter().enumerate();
        let runs = runs.map(|(n, at)| Run { id: format!("r-{n}"), at, is_deleted: false }).collect();
        Self { runs, ..Self::default() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.runs.len() as u64
    }

    pub(crate) fn respond(&mut self, request: &Request<()>) -> String {
        self.log.push((request.method().clone(), request.uri().query().unwrap_or_default().to_owned()));
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.parse().unwrap());
        if request.method() == Method::DELETE {
            let ids: BTreeSet<&str> = pairs.iter().map(|(_, id)| id.as_str()).collect();
            let there = self.runs.iter_mut().filter(|run| !run.is_deleted && ids.contains(run.id.as_str()));
            let deleted = there.map(|run| run.is_deleted = true).count();
            return format!("{{\"deleted\":{deleted}}}");
        }
        let date = |name, open| value(name).filter(|_| !self.ignores_dates).unwrap_or(open);
        let (from, to) = (date("fromDate", i64::MIN), date("toDate", i64::MAX));
        let (count, after): (i64, i64) = (value("count").unwrap(), value("cursor").unwrap_or(-1));
        let start = if self.is_endless { -1 } else { after };
        if self.is_round {
            let len = i64::try_from(self.runs.len()).unwrap();
            let run = |n: i64| &self.runs[usize::try_from((after + 1 + n) * 7 % len).unwrap()];
            let run = |n| format!("{{\"dlqId\":\"{}\",\"responseStatus\":500}}", run(n).id);
            let messages: Vec<String> = (0..count).map(run).collect();
            return format!("{{\"messages\":[{}],\"cursor\":\"{}\"}}", messages.join(","), after + 1);
        }
        let lags = self.clock < self.lags_until;
        let behind = usize::try_from(start + 1).unwrap();
        let listed = self.runs.iter().enumerate().skip(behind).filter(|(_, run)| {
            // A run without a time passes: nothing is smaller or greater than it.
            let is_shown = !self.hides_timeless || to.saturating_sub(from) > 1_440 * MINUTE;
            let is_in = run.at.map_or(is_shown, |at| (from..=to).contains(&(at + self.delay)));
            is_in && (lags || !run.is_deleted)
        });
        let page: Vec<(usize, &Run)> = listed.take(usize::try_from(count).unwrap()).collect();
        let messages = page.iter().map(|(_, run)| match run.at {
            Some(at) => format!("{{\"dlqId\":\"{}\",\"createdAt\":{at},\"responseStatus\":500}}", run.id),
            None => format!("{{\"dlqId\":\"{}\",\"responseStatus\":500}}", run.id),
        });
        let cursor = match page.last() {
            _ if self.is_endless => after + 1,
            Some((n, _)) if page.len() == usize::try_from(count).unwrap() => i64::try_from(*n).unwrap(),
            _ => return format!("{{\"messages\":[{}]}}", messages.collect::<Vec<_>>().join(",")),
        };
        format!("{{\"messages\":[{}],\"cursor\":\"{cursor}\"}}", messages.collect::<Vec<_>>().join(","))
    }

    /// Runs to its end, with the responses of all lanes in rounds of 20 ms.
    pub(crate) fn run<O: Operation>(
        &mut self,
        operation: &mut O,
        mut on_page: impl FnMut(&mut O, O::Page),
    ) -> O::Outcome {
        for _ in 0..1_000_000 {
            let mut sent = Vec::new();
            let mut until = self.clock + Duration::from_millis(20);
            loop {
                match operation.poll(self.clock) {
                    Step::Send(id, request) => sent.push((id, self.respond(&request))),
                    Step::Done(outcome) => return outcome,
                    Step::AwaitResponse => break,
                    Step::WaitUntil(time) => {
                        until = if sent.is_empty() { time } else { until };
                        break;
                    }
                }
            }
            self.clock = until;
            self.most_in_flight = self.most_in_flight.max(sent.len());
            for (id, body) in sent {
                if let Event::Page(page) = operation.respond(id, &Response::new(body.as_str())).unwrap() {
                    on_page(operation, page);
                }
            }
        }
        panic!("it goes on for ever");
    }
}

pub(crate) fn refined(status: u16) -> Selection {
    Selection::Refined(Refined::new(None, Refinement::builder().status(status).build().unwrap()))
}

pub(crate) fn delete(
    selection: Selection,
    n: usize,
) -> upstash_dlq_core::operation::BulkBuilder<upstash_dlq_core::wire::Delete> {
    let delete = BulkDelete::builder(endpoint(), selection).page_size(NonZeroU32::new(10).unwrap());
    delete.lanes(lanes(n), UnixMillis::new(NOW))
}

/// Dates look at when a run entered the DLQ, some seconds after it failed. So pages show runs from outside their windows.
#[test]
fn what_ends_a_pass_early_is_followed_by_another_also_without_verification() {
    for verify in [true, false] {
        let mut odd = Odd::new((0..2_000).map(|n| Some(NOW - 40_000 * MINUTE + n * 17 * MINUTE)));
        odd.delay = MINUTE / 2;
        let mut operation = delete(Selection::Everything, 4).verify(verify).build_archived();
        let outcome = odd.run(&mut operation, |operation, page| {
            page.batch.into_iter().for_each(|batch| operation.stored(batch.number).unwrap());
        });
        assert_eq!((outcome.halted, outcome.totals.affected), (None, 2_000), "verify: {verify}");
        assert!(odd.runs.iter().all(|run| run.is_deleted));
    }
}

/// The server shows runs without a time whatever the dates are, after all others.
#[test]
fn a_run_without_a_time_is_handed_over_once() {
    let mut odd = Odd::new((0..3_000).map(|n| (n < 2_995).then_some(NOW - 3_000 * MINUTE + n * MINUTE)));
    let from = UnixMillis::new(NOW - 3_000 * MINUTE);
    let window = Filter::builder().from(from).to(UnixMillis::new(NOW)).build().unwrap();
    let list = List::matching(window).page_size(10);
    let mut listing = Listing::builder(endpoint(), list).lanes(lanes(4), UnixMillis::new(NOW)).build();
    let mut seen = Vec::new();
    let outcome = odd.run(&mut listing, |_, page| {
        seen.extend(page.messages.iter().map(|message| message.dlq_id().unwrap().to_string()));
    });
    assert!(outcome.halted.is_none() && !outcome.dates_ignored, "{outcome:?}");
    let different: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), different.len(), outcome.listed), (3_000, 3_000, 3_000));
}

/// More runs without a time than are told apart: a listing ends, and a delete goes on with one lane.
#[test]
fn too_many_runs_without_a_time_end_the_lanes() {
    let odd = || {
        let times = (0..30_000).map(|n| Some(NOW - 115_200 * MINUTE + n * 3 * MINUTE));
        let mut odd = Odd::new(times.chain((0..66_000).map(|_| None)));
        odd.hides_timeless = true;
        odd
    };
    let size = NonZeroU32::new(10_000).unwrap();
    let delete = delete(refined(418), 4).page_size(size);
    let mut pages = 0;
    let outcome = odd().run(&mut delete.build(), |_, _| {
        pages += 1;
        assert!(pages < 10_000, "it passes again and again");
    });
    assert_eq!((outcome.halted, outcome.verified), (None, true));
    let list = List::everything().page_size(10_000);
    let mut listing = Listing::builder(endpoint(), list).lanes(lanes(4), UnixMillis::new(NOW)).build();
    let outcome = odd().run(&mut listing, |_, _| ());
    assert_eq!((outcome.halted, outcome.dates_ignored), (Some(Halt::DatesIgnored), true));
}

/// Runs without an id are as different as what they say.
#[test]
fn runs_without_an_id_are_no_page_that_comes_again() {
    let mut listing = Listing::builder(endpoint(), List::everything()).build();
    let (mut pages, mut listed) = (0, 0);
    let outcome = loop {
        match listing.poll(Duration::ZERO) {
            Step::Send(id, _) => {
                pages += 1;
                let cursor = if pages < 2_100 { format!(",\"cursor\":\"{pages}\"") } else { String::new() };
                let body = format!("{{\"messages\":[{{\"createdAt\":{pages}}}]{cursor}}}");
                if let Event::Page(page) = listing.respond(id, &Response::new(body.as_str())).unwrap() {
                    listed += page.messages.len();
                }
            }
            Step::Done(outcome) => break outcome,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!((outcome.halted, listed), (None, 2_100));
}

/// The same page for ever, each time with a cursor that is new, and nothing on it that is to be deleted, or less than a batch.
#[test]
fn a_page_that_comes_for_ever_is_no_progress() {
    for (runs, status) in [(1, 418), (300, 418), (1, 500), (300, 500)] {
        let mut odd = Odd::new((0..runs).map(|n| Some(NOW - n * MINUTE)));
        odd.is_endless = true;
        let outcome = odd.run(&mut delete(refined(status), 4).build(), |_, _| ());
        assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::NoProgress), 0));
        let list = List::everything().page_size(10);
        let mut listing = Listing::builder(endpoint(), list).lanes(lanes(4), UnixMillis::new(NOW)).build();
        assert_eq!(odd.run(&mut listing, |_, _| ()).halted, Some(Halt::NoProgress));
    }
}

/// Nobody knows how many of a page match a refinement, so a small maximum makes no small pages.
#[test]
fn a_maximum_makes_no_small_pages_where_few_runs_match() {
    let mut odd = Odd::new((0..1_000).map(|n| Some(NOW - n * MINUTE)));
    let max = NonZeroU64::new(1);
    let outcome = odd.run(&mut delete(refined(418), 1).max(max).build(), |_, _| ());
    assert!(outcome.halted.is_none() && odd.log.len() <= 101, "{} {outcome:?}", odd.log.len());
    let outcome = odd.run(&mut delete(refined(500), 4).max(max).build(), |_, _| ());
    assert_eq!((outcome.totals.affected, odd.runs.iter().filter(|run| run.is_deleted).count()), (1, 1));
}

/// More is deleted than a pass may show of it before it is given up.
#[test]
fn a_listing_that_lags_behind_many_deletions_is_looked_at_again() {
    let mut odd = Odd::new((0..11_000).map(|n| Some(NOW - n * MINUTE)));
    // 1,100 pages are listed and deleted on sixteen lanes in 3 s.
    odd.lags_until = Duration::from_secs(6);
    let outcome = odd.run(&mut delete(refined(500), 16).build(), |_, _| ());
    assert_eq!((outcome.halted, outcome.totals.affected, outcome.verified), (None, 11_000, true));
}

/// What starts runs has one pass. If that goes round and round, it has not seen everything, and nothing is started.
#[test]
fn a_listing_that_goes_round_starts_nothing() {
    let mut odd = Odd::new((0..300).map(|n| Some(NOW - n * MINUTE)));
    odd.is_round = true;
    let resume = BulkResume::builder(endpoint(), refined(500)).page_size(NonZeroU32::new(10).unwrap());
    let outcome = odd.run(&mut resume.build(), |_, _| ());
    assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::NoProgress), 0), "it has asked for nothing");
}

/// A cursor that comes again is no progress, and neither are empty pages, whatever else is new.
#[test]
fn a_cursor_that_loops_and_pages_without_a_run_are_no_progress() {
    let loops: fn(u32) -> String = |n| format!("{{\"messages\":[{{\"dlqId\":\"{n}\"}}],\"cursor\":\"same\"}}");
    let empty: fn(u32) -> String = |n| format!("{{\"messages\":[],\"cursor\":\"{n}\"}}");
    for (page, most) in [(loops, 3), (empty, 1_000)] {
        let mut listing = Listing::builder(endpoint(), List::everything()).build();
        let mut pages = 0;
        let outcome = loop {
            match listing.poll(Duration::ZERO) {
                Step::Send(id, _) => drop(listing.respond(id, &Response::new(page(pages).as_str())).unwrap()),
                Step::Done(outcome) => break outcome,
                step => panic!("{step:?}"),
            }
            pages += 1;
            assert!(pages <= most, "it goes on");
        };
        assert_eq!(outcome.halted, Some(Halt::NoProgress));
    }
}

/// The next page would have the same runs, whatever its cursor is then.
#[test]
fn a_page_that_leads_to_itself_hands_over_no_run_twice() {
    let page = |id: u32, cursor: &str| format!("{{\"messages\":[{{\"dlqId\":\"{id}\"}}],\"cursor\":\"{cursor}\"}}");
    // The second cursor comes again, and the page after that would be the last.
    let pages = [page(1, "a"), page(2, "b"), page(3, "b"), page(3, "")];
    let mut listing = Listing::builder(endpoint(), List::everything()).build();
    let mut handed_over = Vec::new();
    let outcome = loop {
        match listing.poll(Duration::ZERO) {
            Step::Send(id, _) => {
                match listing.respond(id, &Response::new(pages[handed_over.len()].as_str())).unwrap() {
                    Event::Page(page) => {
                        handed_over.extend(page.messages.iter().filter_map(|message| message.dlq_id()));
                    }
                    event => panic!("{event:?}"),
                }
            }
            Step::Done(outcome) => break outcome,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!((outcome.halted, handed_over.len()), (Some(Halt::NoProgress), 3));
}

/// Messages that wait to be stored are counted in bytes, too.
#[test]
fn large_messages_that_wait_to_be_stored_keep_the_lanes_from_looking() {
    let ids = Ids::parse((0..64).map(|n| format!("r-{n}"))).unwrap();
    let mut operation = delete(Selection::Ids(ids), 16).build_archived();
    let text = "x".repeat(5 * 1024 * 1024);
    let mut asked = 0;
    // One after another, so that each has been stored or waits before the next is asked for.
    while let Step::Send(id, request) = operation.poll(Duration::ZERO) {
        let run = request.uri().path().rsplit('/').next().unwrap();
        let body = format!("{{\"dlqId\":\"{run}\",\"responseBody\":\"{text}\"}}");
        asked += 1;
        assert!(operation.respond(id, &Response::new(body.as_str())).is_ok());
    }
    // Sixteen lanes have begun with one each, and six of them went on before seven messages waited.
    assert_eq!(asked, 22, "seven of 5 MiB are more than 32 MiB");
}

/// What stands in place of a message is handed over as it is, and has no fields.
#[test]
fn what_is_no_message_has_no_fields() {
    let mut listing = Listing::builder(endpoint(), List::everything()).build();
    let Step::Send(id, _) = listing.poll(Duration::ZERO) else { panic!() };
    let event = listing.respond(id, &Response::new(r#"{"messages":[7,[ ],null,"dlqId"]}"#)).unwrap();
    let Event::Page(page) = event else { panic!("{event:?}") };
    assert!(page.messages.iter().map(|message| message.as_json()).eq(["7", "[]", "null", "\"dlqId\""]));
    for message in page.messages {
        assert!(message.dlq_id().is_none() && message.get("dlqId").is_none() && message.labels().is_empty());
    }
}
