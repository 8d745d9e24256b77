//! One situation a test: the edges of the state graph and the traps of the contract.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{Delete, GetMessage, List, ResponseError};
use upstash_dlq_core::{
    BulkDelete, Delivery, Endpoint, Event, Filter, Halt, Listing, RetryPolicy, Selection, SingleCall, Token, Totals,
};

use crate::one_lane::{One, OneDelete, OneLane, OneStep, end, exchange, nothing_is_in_flight, response, resume, wait};

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn delete() -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), Selection::Filter(Filter::builder().label("a").build().unwrap()))
}

fn by_ids(ids: &[&str]) -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), Selection::Ids(Ids::parse(ids.iter().copied()).unwrap()))
}

fn attempts(n: u32) -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::new(n).unwrap())
}

const FIRST: &str = "label=a&count=100";

fn send(bulk: &mut OneDelete) -> String {
    let OneStep::Send(request) = bulk.poll() else { panic!("a request was expected") };
    request.uri().query().unwrap_or_default().to_owned()
}

/// A server or a proxy may repeat what it was sent.
#[test]
fn no_message_contains_the_token() {
    let endpoint =
        || Endpoint::builder().token_in_query().build("https://h", Token::new("s3cret/T0ken").unwrap()).unwrap();
    let cut = format!("{}s3cret/T0ken", "x".repeat(1_018));
    for (status, body) in [
        (401, r#"{"error":"invalid token: Bearer s3cret/T0ken; try again"}"#),
        (401, "<h1>https://h/v2/workflows/dlq?count=100&qstash_token=s3cret%2FT0ken could not be retrieved</h1>"),
        (401, cut.as_str()),
        (302, "s3cret/T0ken"),
    ] {
        let mut texts = Vec::new();
        let mut bulk = BulkDelete::builder(endpoint(), Selection::Everything).one();
        let OneStep::Send(_) = bulk.poll() else { panic!() };
        drop(bulk.on_response(&response(status, body)).unwrap());
        texts.push(format!("{:?} {}", bulk.outcome_so_far(), bulk.outcome_so_far().halted.unwrap()));
        let mut listing =
            OneLane::new(Listing::builder(endpoint(), List::everything()).retry(RetryPolicy::default(), 1).build());
        let OneStep::Send(_) = listing.poll() else { panic!() };
        drop(listing.on_response(&response(status, body)).unwrap());
        let OneStep::Done(outcome) = listing.poll() else { panic!() };
        texts.push(format!("{outcome:?} {}", outcome.halted.as_ref().unwrap()));
        let get = GetMessage("a".parse().unwrap());
        let mut single = OneLane::new(SingleCall::builder(endpoint(), get).retry(RetryPolicy::default(), 1).build());
        let OneStep::Send(_) = single.poll() else { panic!() };
        drop(single.on_response(&response(status, body)).unwrap());
        let OneStep::Done(Err(halt)) = single.poll() else { panic!() };
        texts.push(format!("{halt:?} {halt}"));
        assert!(texts.iter().all(|texts| !texts.contains("s3cr") && !texts.contains("T0ken")), "{texts:?}");
    }
}

#[test]
fn the_empty_cursor_is_the_end() {
    for last in ["{\"deleted\":0,\"cursor\":\"\"}", "{\"deleted\":0,\"cursor\":null}", "{\"deleted\":0}"] {
        let mut bulk = delete().one();
        exchange(&mut bulk, 200, last);
        let outcome = end(&mut bulk);
        assert!(outcome.verified && outcome.halted.is_none() && outcome.totals.requests == 1, "{last}");
    }
}

#[test]
fn a_short_page_is_not_the_end() {
    let mut bulk = delete().one();
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"x\"}"), FIRST);
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":0,\"cursor\":\"y\"}"), "label=a&count=100&cursor=x");
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":3}"), "label=a&count=100&cursor=y");
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":0}"), FIRST);
    let outcome = end(&mut bulk);
    assert!(outcome.verified && outcome.totals.affected == 4 && outcome.totals.pages == 4);
}

#[test]
fn a_pass_that_deleted_is_followed_by_one_that_confirms() {
    let mut bulk = delete().one();
    exchange(&mut bulk, 200, "{\"deleted\":5}");
    exchange(&mut bulk, 200, "{\"deleted\":2}");
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    assert!(end(&mut bulk).verified);
}

#[test]
fn a_pass_with_a_lost_response_is_not_clean() {
    let mut bulk = delete().one();
    send(&mut bulk);
    bulk.on_failure(Delivery::Unknown).unwrap();
    wait(&mut bulk);
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    let outcome = end(&mut bulk);
    assert!(outcome.verified && outcome.totals.unconfirmed == 1 && outcome.totals.requests == 3);
}

#[test]
fn one_pass_is_enough_without_verification() {
    let mut bulk = delete().verify(false).one();
    exchange(&mut bulk, 200, "{\"deleted\":5}");
    let outcome = end(&mut bulk);
    assert!(!outcome.verified && outcome.halted.is_none() && outcome.totals.affected == 5);
    let mut bulk = delete().verify(false).one();
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    assert!(end(&mut bulk).verified, "that pass was clean");
}

#[test]
fn a_refused_cursor_starts_over_once() {
    for status in [400, 404, 410, 412] {
        let mut bulk = delete().one();
        exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"x\"}");
        exchange(&mut bulk, status, "{\"error\":\"cursor\"}");
        assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":0,\"cursor\":\"y\"}"), FIRST, "{status}");
        exchange(&mut bulk, status, "");
        let outcome = end(&mut bulk);
        assert!(
            matches!(outcome.halted, Some(Halt::Refused { error: ResponseError::Status { .. }, .. })),
            "{outcome:?}"
        );
        assert_eq!(outcome.totals.requests, 4);
    }
}

#[test]
fn a_refused_cursor_starts_over_again_after_progress() {
    let mut bulk = delete().one();
    for _ in 0..5 {
        assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"x\"}"), FIRST);
        exchange(&mut bulk, 410, "");
    }
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    assert!(end(&mut bulk).verified);
}

#[test]
fn a_refusal_without_a_cursor_is_final() {
    for status in [400, 401, 403, 404, 405, 408, 410, 412, 413, 418] {
        let mut bulk = delete().one();
        exchange(&mut bulk, status, "{\"error\":\"no\"}");
        let outcome = end(&mut bulk);
        assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{status}");
        assert_eq!((outcome.totals.requests, outcome.totals.unconfirmed), (1, 0));
    }
    let mut bulk = delete().one();
    exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"x\"}");
    exchange(&mut bulk, 401, "");
    assert!(matches!(end(&mut bulk).halted, Some(Halt::Refused { .. })), "401 says nothing of the cursor");
}

#[test]
fn a_redirect_is_not_followed() {
    for status in [300, 301, 302, 303, 307, 308] {
        let mut bulk = delete().one();
        let mut redirect = response(status, "");
        redirect.headers_mut().insert("location", "https://elsewhere.example".parse().unwrap());
        send(&mut bulk);
        assert_eq!(bulk.on_response(&redirect), Ok(Event::Ended));
        let outcome = end(&mut bulk);
        assert!(
            matches!(outcome.halted, Some(Halt::Refused { error: ResponseError::Redirect { .. }, .. })),
            "{outcome:?}"
        );
        assert_eq!(outcome.totals.requests, 1);
    }
}

#[test]
fn a_thousand_empty_pages_are_no_progress() {
    let mut bulk = delete().one();
    for n in 0..1_000 {
        exchange(&mut bulk, 200, &format!("{{\"deleted\":0,\"cursor\":\"{n}\"}}"));
    }
    assert_eq!(end(&mut bulk).halted, Some(Halt::NoProgress));
    let mut bulk = delete().one();
    for n in 0..999 {
        exchange(&mut bulk, 200, &format!("{{\"deleted\":0,\"cursor\":\"{n}\"}}"));
    }
    exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"z\"}");
    exchange(&mut bulk, 200, "{\"deleted\":0,\"cursor\":\"y\"}");
    exchange(&mut bulk, 200, "{\"deleted\":0}");
}

#[test]
fn cursors_that_repeat_are_no_progress() {
    for period in [1, 2, 3, 10] {
        let mut bulk = delete().one();
        let mut sent = 0;
        while let OneStep::Send(_) = bulk.poll() {
            let page = format!("{{\"deleted\":0,\"cursor\":\"{}\"}}", sent % period);
            bulk.on_response(&response(200, &page)).unwrap();
            sent += 1;
        }
        assert_eq!(end(&mut bulk).halted, Some(Halt::NoProgress));
        assert!(sent <= 4 * period + 4, "{sent} requests for a cycle of {period}");
    }
    let mut bulk = delete().one();
    for _ in 0..50 {
        exchange(&mut bulk, 200, "{\"deleted\":1,\"cursor\":\"same\"}");
    }
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    exchange(&mut bulk, 200, "{\"deleted\":0}");
    assert!(end(&mut bulk).verified, "a cursor that stays is fine while runs are deleted");
}

#[test]
fn retry_after_is_honoured() {
    for status in [429, 503] {
        let mut bulk = delete().one();
        let mut busy = response(status, "");
        busy.headers_mut().insert("retry-after", "17".parse().unwrap());
        send(&mut bulk);
        let Ok(Event::Retry(retried)) = bulk.on_response(&busy) else { panic!() };
        assert_eq!(retried.after, Duration::from_secs(17));
        assert_eq!(wait(&mut bulk), Duration::from_secs(17));
        assert_eq!(bulk.totals().unconfirmed, u64::from(status == 503), "429 says that nothing was done");
        assert_eq!(send(&mut bulk), FIRST);
    }
}

#[test]
fn a_wait_that_is_too_long_ends_it() {
    let mut bulk = delete().one();
    let mut busy = response(429, "{\"error\":\"daily quota\"}");
    busy.headers_mut().insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
    busy.headers_mut().insert("ratelimit-reset", "784115377".parse().unwrap());
    send(&mut bulk);
    assert_eq!(bulk.on_response(&busy), Ok(Event::Ended));
    let Some(Halt::WaitTooLong { wait, cause: Cause::Response(_), .. }) = end(&mut bulk).halted else { panic!() };
    assert_eq!(wait, Duration::from_secs(3_600));
}

#[test]
fn attempts_are_used_up() {
    let fail: [fn(&mut OneDelete); 5] = [
        |bulk| drop(bulk.on_failure(Delivery::NotSent).unwrap()),
        |bulk| drop(bulk.on_failure(Delivery::Unknown).unwrap()),
        |bulk| drop(bulk.on_response(&response(429, "")).unwrap()),
        |bulk| drop(bulk.on_response(&response(500, "")).unwrap()),
        |bulk| drop(bulk.on_response(&response(200, "<html>")).unwrap()),
    ];
    for (n, fail) in fail.into_iter().enumerate() {
        let mut bulk = delete().retry(attempts(3), 1).one();
        for attempt in 1..=3 {
            assert_eq!(send(&mut bulk), FIRST);
            fail(&mut bulk);
            if attempt < 3 {
                wait(&mut bulk);
            }
        }
        let outcome = end(&mut bulk);
        assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 3, .. })), "{outcome:?}");
        assert_eq!(outcome.totals.retries, 2);
        assert_eq!(outcome.totals.requests, if n == 0 { 0 } else { 3 });
        assert_eq!(outcome.totals.unconfirmed, if n == 0 || n == 2 { 0 } else { 3 });
    }
}

#[test]
fn every_request_has_attempts_of_its_own() {
    let mut bulk = delete().retry(attempts(2), 1).one();
    for n in 0..20 {
        send(&mut bulk);
        bulk.on_failure(Delivery::NotSent).unwrap();
        wait(&mut bulk);
        exchange(&mut bulk, 200, &format!("{{\"deleted\":1,\"cursor\":\"{n}\"}}"));
    }
    assert_eq!(bulk.totals().affected, 20);
}

#[test]
fn a_cancelled_request_was_never_sent() {
    let mut bulk = delete().one();
    let first = send(&mut bulk);
    bulk.cancel_unsent().unwrap();
    nothing_is_in_flight(&bulk);
    assert_eq!(bulk.totals(), Totals::default());
    assert_eq!(resume(&bulk, &delete()).totals(), bulk.totals());
    assert_eq!(send(&mut bulk), first);
    assert_eq!(resume(&bulk, &delete()).totals().unconfirmed, 1, "this one was in flight");
}

#[test]
fn a_maximum_shrinks_the_last_page() {
    let mut bulk = delete().max(NonZeroU64::new(150)).one();
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":100,\"cursor\":\"x\"}"), FIRST);
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":30,\"cursor\":\"y\"}"), "label=a&count=50&cursor=x");
    assert_eq!(send(&mut bulk), "label=a&count=20&cursor=y");
    bulk.on_failure(Delivery::Unknown).unwrap();
    let outcome = end(&mut bulk);
    assert!(!outcome.verified, "all that may be asked for was asked for");
    assert_eq!(outcome.halted, Some(Halt::MaximumUnconfirmed));
    assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed), (130, 1));
}

#[test]
fn a_request_that_was_not_carried_out_is_not_charged() {
    let mut bulk = delete().max(NonZeroU64::new(100)).one();
    exchange(&mut bulk, 429, "");
    wait(&mut bulk);
    assert_eq!(send(&mut bulk), FIRST);
    bulk.on_failure(Delivery::NotSent).unwrap();
    wait(&mut bulk);
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":100,\"cursor\":\"x\"}"), FIRST);
    assert_eq!(end(&mut bulk).totals.affected, 100);
}

#[test]
fn passes_that_prove_nothing_do_not_go_on_for_ever() {
    let mut bulk = delete().retry(attempts(4), 1).one();
    for _ in 0..4 {
        exchange(&mut bulk, 502, "");
        wait(&mut bulk);
        exchange(&mut bulk, 200, "{\"deleted\":0}");
    }
    let outcome = end(&mut bulk);
    // The halt has the reason, not that the same thing happened four times.
    assert!(
        matches!(&outcome.halted, Some(Halt::GaveUp { attempts: 4, last: Cause::Response(error), .. }) if error.status() == 502)
    );
    assert!(!outcome.verified, "{outcome:?}");
}

/// What an attempt of an earlier process may have done counts in the halt of a later one.
#[test]
fn an_attempt_of_an_earlier_process_may_have_changed_something() {
    let mut bulk = delete().one();
    exchange(&mut bulk, 502, "");
    bulk = delete().resume_from(bulk.checkpoint()).unwrap().one();
    exchange(&mut bulk, 401, "");
    let halted = end(&mut bulk).halted.unwrap();
    assert!(matches!(halted, Halt::Refused { may_have_changed: true, .. }), "{halted:?}");
}

/// The reason of an unknown result is not in a checkpoint. That an earlier process did not learn it is a reason, too.
#[test]
fn passes_that_prove_nothing_end_also_if_each_is_of_two_processes() {
    let delete = delete().retry(attempts(4), 1);
    let mut bulk = delete.clone().one();
    for _ in 0..4 {
        exchange(&mut bulk, 502, "");
        bulk = delete.clone().resume_from(bulk.checkpoint()).unwrap().one();
        exchange(&mut bulk, 200, "{\"deleted\":0}");
    }
    let expected = Halt::GaveUp { attempts: 4, last: Cause::LeftInDoubt, may_have_changed: true };
    assert_eq!(end(&mut bulk).halted, Some(expected));
}

#[test]
fn ids_are_done_when_every_request_got_its_response() {
    let mut bulk = by_ids(&["a", "b", "a"]).one();
    assert_eq!(exchange(&mut bulk, 503, ""), "dlqIds=a&dlqIds=b");
    wait(&mut bulk);
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":0}"), "dlqIds=a&dlqIds=b");
    let outcome = end(&mut bulk);
    assert!(outcome.verified && outcome.totals.unconfirmed == 1 && outcome.totals.affected == 0);
    let mut bulk = by_ids(&["a", "b", "c"]).max(NonZeroU64::new(2)).one();
    assert_eq!(exchange(&mut bulk, 200, "{\"deleted\":2}"), "dlqIds=a&dlqIds=b");
    let outcome = end(&mut bulk);
    assert!(!outcome.verified && outcome.halted.is_none(), "one id was not asked for");
}

#[test]
fn a_listing_ends_repeats_and_gives_up() {
    let listing = || OneLane::new(Listing::builder(endpoint(), List::everything()).retry(attempts(2), 1).build());
    let page = |listing: &mut OneLane<Listing>, status, body: &str| {
        let OneStep::Send(request) = listing.poll() else { panic!() };
        listing.on_response(&response(status, body)).unwrap();
        request.uri().query().unwrap_or_default().to_owned()
    };
    let mut one = listing();
    assert_eq!(page(&mut one, 200, "{\"messages\":[],\"cursor\":\"x\"}"), "count=100");
    assert_eq!(page(&mut one, 503, ""), "count=100&cursor=x");
    assert!(matches!(one.poll(), OneStep::Wait(_)));
    assert_eq!(page(&mut one, 200, "{\"messages\":[{\"dlqId\":\"a\"}],\"cursor\":\"\"}"), "count=100&cursor=x");
    assert!(matches!(one.poll(), OneStep::Done(outcome) if outcome.halted.is_none()));
    assert!(one.on_failure(Delivery::Unknown).is_err() && one.cancel_unsent().is_err());
    let mut repeating = listing();
    while let OneStep::Send(_) = repeating.poll() {
        repeating.on_response(&response(200, "{\"messages\":[{}],\"cursor\":\"same\"}")).unwrap();
    }
    assert!(matches!(repeating.poll(), OneStep::Done(outcome) if outcome.halted == Some(Halt::NoProgress)));
    let mut lost = listing();
    assert!(matches!(lost.poll(), OneStep::Send(_)));
    assert!(matches!(lost.poll(), OneStep::Wait(_)), "a second poll is an unknown result");
    assert!(matches!(lost.poll(), OneStep::Send(_)));
    assert!(
        matches!(lost.poll(), OneStep::Done(outcome) if matches!(outcome.halted, Some(Halt::GaveUp { attempts: 2, .. })))
    );
}
