//! Acting on runs that the service has shown: when batches are handed over, given up and counted, and how the lanes share a
//! listing.

use crate::odd_listings::{Odd, delete, refined};
use crate::one_lane::Respond;
use crate::world::{NOW, endpoint, lanes};
use http::{Method, Request, Response};
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::selection::{Ids, Refined, Refinement};
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{BulkResume, Filter, GetMany, Halt, Listing, Operation, Selection, Step, UnixMillis};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;

fn minutes(runs: i64) -> Odd {
    Odd::new((0..runs).map(|n| Some(NOW - n * MINUTE)))
}

fn ids(count: usize) -> Ids {
    Ids::parse((0..count).map(|n| format!("r-{n}"))).unwrap()
}

fn next_request(operation: &mut impl Operation) -> (RequestId, Request<()>) {
    match operation.poll(Duration::ZERO) {
        Step::Send(id, request) => (id, request),
        _ => panic!("it sends nothing"),
    }
}

/// The batch that the listing ends with does not wait for the batch before it.
#[test]
fn a_delete_acts_on_what_it_found_while_other_batches_are_in_flight() {
    let mut odd = minutes(150);
    let mut operation = delete(refined(500), 2).page_size(NonZeroU32::new(100).unwrap()).build();
    let mut ask = |operation: &mut _, method| {
        let (id, request) = next_request(operation);
        assert_eq!(request.method(), method);
        (id, Response::new(odd.respond(&request)))
    };
    let (first_page, response) = ask(&mut operation, Method::GET);
    operation.respond(first_page, &response).unwrap();
    let (last_page, last_response) = ask(&mut operation, Method::GET);
    let (batch, batch_response) = ask(&mut operation, Method::DELETE);
    operation.respond(last_page, &last_response).unwrap();
    let (rest, rest_response) = ask(&mut operation, Method::DELETE);
    operation.respond(rest, &rest_response).unwrap();
    operation.respond(batch, &batch_response).unwrap();
    assert_eq!(odd.run(&mut operation, |_, _| ()).totals.affected, 150);
}

#[test]
fn a_listing_is_left_once_the_maximum_is_chosen() {
    let mut odd = minutes(1_000);
    let outcome = odd.run(&mut delete(refined(500), 1).max(NonZeroU64::new(5)).build(), |_, _| ());
    assert_eq!(outcome.totals.affected, 5);
    let methods: Vec<&Method> = odd.log.iter().map(|(method, _)| method).collect();
    assert_eq!(methods, [Method::GET, Method::DELETE]);
}

/// A batch that its caller gives up is listed again, also if nothing is verified. Its runs are counted once.
#[test]
fn a_batch_that_is_given_up_is_found_again_and_counted_once() {
    // The server compares the key. Its messages have none.
    let keyed = Selection::Filter(Filter::builder().flow_control_key("k").build().unwrap());
    for (selection, unchecked) in [(keyed, 5), (Selection::Everything, 0)] {
        let mut operation = delete(selection, 4).verify(false).build_archived();
        let mut odd = minutes(5);
        let mut batches = 0;
        let outcome = odd.run(&mut operation, |operation, page| {
            if let Some(batch) = page.batch {
                batches += 1;
                if batches == 1 { operation.not_stored(batch.number) } else { operation.stored(batch.number) }.unwrap();
            }
        });
        assert_eq!((batches, outcome.halted), (2, None));
        assert_eq!((outcome.totals.affected, outcome.archived, outcome.unchecked), (5, 5, unchecked));
    }
}

/// The service compared the key, and its messages have none. They are acted on, and counted.
#[test]
fn what_could_not_be_checked_is_counted() {
    let keyed = Filter::builder().flow_control_key("k").build().unwrap();
    let status = Refinement::builder().status(500).build().unwrap();
    for (filter, unchecked) in [(Some(keyed), 150), (None, 0)] {
        let refined = Selection::Refined(Refined::new(filter, status.clone()));
        let outcome = minutes(150).run(&mut delete(refined, 4).build(), |_, _| ());
        assert_eq!((outcome.totals.affected, outcome.unchecked), (150, unchecked));
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json.get("unchecked").map_or(0, |count| count.as_u64().unwrap()), unchecked, "{json}");
        assert_eq!(json.get("unchecked").is_some(), unchecked > 0);
        assert_eq!(serde_json::from_value::<upstash_dlq_core::Outcome>(json).unwrap(), outcome);
        assert_eq!(outcome.into_result().unwrap().unchecked, unchecked);
    }
}

/// As long as a message is in flight, the batch may grow.
#[test]
fn messages_of_several_lanes_are_stored_together() {
    let mut operation = delete(Selection::Ids(ids(5)), 5).build_archived();
    let sent: Vec<(RequestId, Request<()>)> = (0..5).map(|_| next_request(&mut operation)).collect();
    let mut batches = Vec::new();
    for (id, request) in sent {
        let run = request.uri().path().rsplit('/').next().unwrap();
        let event = operation.respond(id, &Response::new(format!("{{\"dlqId\":\"{run}\"}}").as_str())).unwrap();
        let upstash_dlq_core::Event::Page(page) = event else { panic!("{event:?}") };
        batches.extend(page.batch.map(|batch| batch.messages.len()));
    }
    assert_eq!(batches, [5]);
}

/// Runs to its end. Every request is answered before the next poll.
fn run<O: Operation>(operation: &mut O, mut respond: impl FnMut(&Request<()>) -> String) -> O::Outcome {
    let mut clock = Duration::ZERO;
    for _ in 0..100_000 {
        match operation.poll(clock) {
            Step::Send(id, request) => drop(operation.respond(id, &Response::new(respond(&request).as_str())).unwrap()),
            Step::WaitUntil(time) => clock = time,
            Step::AwaitResponse => panic!("every request has its response"),
            Step::Done(outcome) => return outcome,
        }
    }
    panic!("it goes on for ever");
}

fn query(request: &Request<()>) -> BTreeMap<String, String> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A thousand pages show nothing but runs that were chosen before. The pass is given up, and does not count as one that has looked at
/// everything.
#[test]
fn a_pass_that_is_given_up_is_followed_by_another_also_without_verification() {
    let page = |ids: &[&str], cursor: Option<u32>| {
        let runs: Vec<String> = ids.iter().map(|id| format!("{{\"dlqId\":\"{id}\",\"responseStatus\":500}}")).collect();
        let cursor = cursor.map(|cursor| format!(",\"cursor\":\"{cursor}\"")).unwrap_or_default();
        format!("{{\"messages\":[{}]{cursor}}}", runs.join(","))
    };
    for verify in [true, false] {
        let (mut deleted, mut pages) = (0, 0);
        let outcome = run(&mut delete(refined(500), 1).verify(verify).build(), |request| {
            if request.method() == Method::DELETE {
                let count = request.uri().query().unwrap().split('&').count();
                deleted += count;
                return format!("{{\"deleted\":{count}}}");
            }
            pages += 1;
            match (deleted, pages) {
                (0, 1) => page(&["a", "b"], Some(pages)),
                (0, _) => page(&[if pages % 2 == 0 { "a" } else { "b" }], Some(pages)),
                (2, _) => page(&["behind-them"], None),
                _ => page(&[], None),
            }
        });
        assert_eq!((outcome.halted, outcome.totals.affected, outcome.verified), (None, 3, verify), "{pages} pages");
    }
}

/// One run comes again and again while its batch waits to be stored. Nothing was asked to be deleted.
#[test]
fn a_listing_that_stays_while_nothing_is_stored_is_no_progress() {
    let mut pages = 0;
    let outcome = run(&mut delete(refined(500), 2).build_archived(), |request| {
        assert_eq!(request.method(), Method::GET);
        pages += 1;
        format!("{{\"messages\":[{{\"dlqId\":\"a\",\"responseStatus\":500}}],\"cursor\":\"{pages}\"}}")
    });
    assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::NoProgress), 0), "{pages} pages");
}

/// The page with which a listing is given up is the last one of its window. Other windows are not at their end, so nothing is started.
#[test]
fn a_start_whose_listing_is_given_up_at_the_end_of_a_window_starts_nothing() {
    let resume = BulkResume::builder(endpoint(), refined(500)).page_size(NonZeroU32::new(1).unwrap());
    let (mut requests, mut stale) = (0, 0);
    let outcome = run(&mut resume.lanes(lanes(4), UnixMillis::new(NOW)).build(), |request| {
        assert_eq!(request.method(), Method::GET, "it starts runs");
        requests += 1;
        let query = query(request);
        let end = |name| query.get(name).map(|at| at.parse::<i64>().unwrap());
        let (id, at) = match (end("fromDate").or(end("toDate")), requests) {
            // The probe.
            (Some(_), 9) => return "{\"messages\":[]}".to_owned(),
            (Some(end), _) => (format!("w-{end}"), end),
            (None, _) => (format!("r-{requests}"), NOW - 40 * DAY - requests * DAY),
        };
        stale += i32::from(requests > 9 && query.contains_key("cursor"));
        let cursor = if stale == 1_000 { String::new() } else { format!(",\"cursor\":\"{requests}\"") };
        format!("{{\"messages\":[{{\"dlqId\":\"{id}\",\"createdAt\":{at},\"responseStatus\":500}}]{cursor}}}")
    });
    assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::NoProgress), 0), "{stale} {requests}");
}

/// Not more lanes are wanted than there is work for.
#[test]
fn the_concurrency_is_that_of_the_work_left() {
    let get_many = |n| GetMany::builder(endpoint(), ids(n)).lanes(lanes(4)).build();
    assert_eq!([3, 4, 9].map(|n| get_many(n).concurrency()), [3, 4, 4]);
    let archived = |n| delete(Selection::Ids(ids(n)), 4).build_archived();
    assert_eq!([3, 4, 9].map(|n| archived(n).concurrency()), [3, 4, 4]);

    // Two batches wait to be stored, and one message for the next. Until then, the lanes have nothing to do.
    let mut operation = delete(Selection::Ids(ids(500)), 2).build_archived();
    let mut fetched = 0;
    while let Step::Send(id, request) = operation.poll(Duration::ZERO) {
        let run = request.uri().path().rsplit('/').next().unwrap();
        operation.respond(id, &Response::new(format!("{{\"dlqId\":\"{run}\"}}").as_str())).unwrap();
        fetched += 1;
    }
    assert_eq!((fetched, operation.concurrency()), (201, 1));
}

/// All runs lie within one of the windows that a delete begins with. It is cut until all lanes have work.
#[test]
fn the_lanes_of_a_listing_share_a_crowded_window() {
    let mut odd = Odd::new((0..4_000).map(|n| Some(NOW - 30 * DAY - n * 900)));
    let outcome = odd.run(&mut delete(refined(500), 16).build(), |_, _| ());
    assert_eq!((outcome.halted, outcome.totals.affected), (None, 4_000));
    // One lane would need 400 rounds of 20 ms for the pages alone.
    assert!(odd.clock < Duration::from_millis(20 * 100), "{:?}", odd.clock);
    assert!(odd.most_in_flight >= 12, "{}", odd.most_in_flight);
}

/// Windows are cut only where the server has shown that it keeps to dates.
#[test]
fn a_listing_is_not_cut_before_its_server_is_probed() {
    let mut odd = minutes(1_000);
    odd.ignores_dates = true;
    let outcome = odd.run(&mut delete(refined(418), 16).build(), |_, _| ());
    assert_eq!((outcome.halted, outcome.verified), (None, true));
    // A hundred pages, the probe, and an empty page.
    assert_eq!((odd.most_in_flight, odd.log.len()), (1, 102));
}

fn listing(list: List) -> Listing {
    Listing::builder(endpoint(), list.page_size(10)).lanes(lanes(4), UnixMillis::new(NOW)).build()
}

/// What a listing asks for after its first eight pages, which show where runs lie.
fn probe(times: impl IntoIterator<Item = i64>) -> (String, Odd) {
    let mut odd = Odd::new(times.into_iter().map(Some));
    let outcome = odd.run(&mut listing(List::everything()), |_, _| ());
    assert_eq!((outcome.halted, outcome.dates_ignored), (None, false));
    assert_eq!(outcome.listed, odd.len());
    (odd.log[8].1.clone(), odd)
}

/// The narrowest window between two runs shows whether the server keeps to dates.
#[test]
fn a_listing_probes_the_narrowest_gap() {
    let gap = |n: i64| if n < 40 { 0 } else { 990 };
    let (query, _) = probe((0..1_000).map(|n| NOW - n * 1_000 + gap(n)));
    assert_eq!(query, format!("fromDate={}&toDate={}&count=10", NOW - 39_009, NOW - 39_001));
}

/// Runs failed in every millisecond: the one with the fewest of them is most likely to be a page.
#[test]
fn a_listing_without_gaps_probes_the_millisecond_with_the_fewest_runs() {
    let runs = |at: i64| match at {
        1 => 30,
        2 => 3,
        _ => 20,
    };
    let (query, odd) = probe((0..50).flat_map(|at| (0..runs(at)).map(move |_| NOW + at - 50)));
    assert_eq!(query, format!("fromDate={0}&toDate={0}&count=10", NOW - 48));
    assert!(odd.most_in_flight > 1, "a window of one page shows that the server keeps to dates");
}

/// There is nothing to cut in a window that begins and ends now, also if runs have failed since.
#[test]
fn a_window_of_a_millisecond_is_listed_in_one_lane() {
    let mut odd = Odd::new((0..200).map(|n| Some(NOW + n * MINUTE)));
    let list = List::matching(Filter::builder().from(UnixMillis::new(NOW)).build().unwrap());
    let outcome = odd.run(&mut listing(list), |_, _| ());
    assert_eq!((outcome.listed, outcome.totals.requests, odd.most_in_flight), (200, 21, 1));
}
