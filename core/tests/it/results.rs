//! What callers make of results: `?`, serde, whether to try again, and whether anything may have changed.

use crate::cases::cases;
use crate::one_lane::Respond;
use crate::world::{World, endpoint, faults, lanes, policy, service};
use http::{Response, StatusCode};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::engine::{Cause, LibraryError, Oversized, RequestId, Retried, StoreFailure};
use upstash_dlq_core::operation::{ArchivePage, GetManyOutcome, ListingOutcome};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{
    DeleteOne, DeletePage, ErrorBody, GetMessage, ListPage, ResponseError, StartedPage, StartedRun,
};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Delivery, DlqId, DlqMessage, Endpoint, Event, GetMany, Halt, Incomplete, Operation,
    Outcome, RetryPolicy, Selection, Settlement, SingleCall, Step, Token, Totals, TransportFailure, UnixMillis,
};
use upstash_dlq_emulator::Config;

fn once() -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::MIN)
}

/// Every halt there is.
pub(crate) fn halts() -> Vec<Halt> {
    let response = Response::builder().status(503).body(br#"{"error":"busy"}"#).unwrap();
    let error = ResponseError::from_response(&response).unwrap();
    let lost = Cause::Transport(TransportFailure::unknown(io::Error::from(io::ErrorKind::ConnectionReset)));
    let refused = Cause::Transport(TransportFailure::not_sent("no route to host"));
    vec![
        Halt::Refused { error: error.clone(), may_have_changed: true },
        Halt::Refused { error: ResponseError::Redirect { status: StatusCode::FOUND }, may_have_changed: false },
        Halt::Refused { error: ResponseError::OtherRun { status: StatusCode::OK }, may_have_changed: false },
        Halt::GaveUp { attempts: 3, last: lost, may_have_changed: true },
        Halt::GaveUp { attempts: 3, last: refused, may_have_changed: false },
        Halt::WaitTooLong { wait: Duration::from_secs(90), cause: Cause::Response(error), may_have_changed: false },
        Halt::NoProgress,
        Halt::MaximumUnconfirmed,
        Halt::InDoubt { asked: 50, cause: Cause::ProcessEnded },
        Halt::InDoubt { asked: 1, cause: Cause::LeftInDoubt },
        Halt::UnusableMessage,
        Halt::Mismatch { id: DlqId::new("a").unwrap(), field: "toDate" },
        Halt::DatesIgnored,
        Halt::TooLarge { what: Oversized::Run { id: DlqId::new("a").unwrap() }, bound: 64 << 20 },
        Halt::TooLarge { what: Oversized::Response, bound: 1 },
        Halt::StillListed,
        Halt::Unbuildable("a defect".into()),
        Halt::Stopped,
        Halt::StoppedUnconfirmed,
        Halt::StoreFailed(StoreFailure::new(io::Error::from(io::ErrorKind::StorageFull))),
        Halt::InvalidSetting { setting: "lanes".into(), problem: "at least 1".into() },
    ]
}

#[test]
fn results_survive_serde() {
    let back = |halt: &Halt| serde_json::from_str::<Halt>(&serde_json::to_string(halt).unwrap()).unwrap();
    for halt in halts() {
        assert_eq!(back(&halt), halt);
        let outcome = Outcome::halted(Totals::default(), halt.clone());
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome, "{json}");
        let error = outcome.into_result().unwrap_err();
        assert_eq!(*error.halt(), halt);
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<Incomplete>(&json).unwrap(), error, "{json}");
    }
    assert!(serde_json::from_str::<Halt>(r#"{"kind":"mismatch","detail":{"id":"a","field":"made up"}}"#).is_err());
}

/// Programs read this. A change breaks them.
#[test]
fn the_json_of_results_stays() {
    let json = |halt: &Halt| serde_json::to_string(halt).unwrap();
    let halts = halts();
    assert_eq!(
        json(&halts[0]),
        r#"{"kind":"refused","detail":{"error":{"kind":"status","status":503,"body":{"kind":"message","text":"busy"}},"may_have_changed":true}}"#
    );
    assert_eq!(
        json(&halts[3]),
        r#"{"kind":"gave_up","detail":{"attempts":3,"last":{"kind":"transport","detail":{"delivery":"unknown","message":"no response arrived: connection reset","library":"connection reset"}},"may_have_changed":true}}"#
    );
    assert_eq!(json(&Halt::NoProgress), r#"{"kind":"no_progress"}"#);
    let complete = Outcome::complete(Totals::default(), true);
    assert_eq!(
        serde_json::to_string(&complete).unwrap(),
        r#"{"totals":{"affected":0,"unconfirmed":0,"pages":0,"requests":0,"retries":0},"verified":true,"halted":null}"#
    );
}

#[test]
fn events_and_pages_survive_serde() {
    fn same<P: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(page: P) {
        let event = Event::Page(page);
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event<P>>(&json).unwrap(), event, "{json}");
        // A database may sort the names, or keep no text.
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event<P>>(&value.to_string()).unwrap(), event, "{value}");
        assert_eq!(serde_json::from_value::<Event<P>>(value).unwrap(), event);
    }
    let message = DlqMessage::parse(r#"{"dlqId":"a","n":1e999,"s":"\u0041"}"#).unwrap();
    same(DeletePage::new(3, None));
    same(StartedPage::new(vec![StartedRun::new("wfr_1", Some(UnixMillis::new(5)))], None));
    let plain = DlqMessage::parse(r#"{"dlqId":"a","responseStatus":500}"#).unwrap();
    same(ListPage::new(vec![plain], None));
    let retry =
        Event::<DeletePage>::Retry(Retried::new(Cause::Transport(Delivery::NotSent.into()), Duration::from_millis(7)));
    let json = serde_json::to_string(&retry).unwrap();
    assert_eq!(serde_json::from_str::<Event<DeletePage>>(&json).unwrap(), retry);
    let ended = serde_json::from_str::<Event<DeletePage>>(r#"{"kind":"ended"}"#);
    assert_eq!(ended.unwrap(), Event::Ended);
    assert!(serde_json::from_str::<Event<DeletePage>>(r#"{"kind":"other"}"#).is_err());
    assert_eq!(serde_json::to_string(&message).unwrap(), message.as_json(), "it stays as the server sent it");
    let page: ArchivePage = serde_json::from_str(r#"{"batch":null}"#).unwrap();
    same(page);
}

#[test]
fn the_question_mark_keeps_everything() {
    fn run(outcome: Outcome) -> Result<u64, Box<dyn Error>> {
        Ok(outcome.into_result()?.totals.affected)
    }
    let totals = |affected, unconfirmed| {
        let mut totals = Totals::default();
        (totals.affected, totals.unconfirmed) = (affected, unconfirmed);
        totals
    };
    assert_eq!(run(Outcome::complete(totals(7, 0), true)).unwrap(), 7);
    let error = run(Outcome::halted(totals(1, 2), Halt::NoProgress)).unwrap_err();
    let error = error.downcast_ref::<Incomplete>().unwrap();
    assert!(error.may_have_changed() && error.totals == totals(1, 2));
    assert_eq!(
        error.to_string(),
        "1 run was affected, and the results of 2 requests are unknown: the server keeps returning the same pages (no progress)"
    );
    let listing = ListingOutcome::default().into_result().unwrap();
    assert_eq!(listing.listed, 0);
}

/// `source()` leads to the words of the library, level by level, and none of them holds the token.
#[test]
fn sources_lead_to_the_library_and_hold_no_token() {
    let endpoint = Endpoint::builder().token_in_query().build("https://h", Token::new("s3cret").unwrap()).unwrap();
    let mut delete = BulkDelete::builder(endpoint, Selection::Everything).retry(once(), 1).build();
    let Step::Send(id, request) = delete.poll(Duration::ZERO) else { panic!() };
    assert!(request.uri().to_string().contains("s3cret"));
    let inner = io::Error::other(format!("refused {}", request.uri()));
    let library = io::Error::other(format!("for {}: {inner}", request.uri()));
    let failure = TransportFailure::not_sent(library);
    assert!(failure.to_string().contains("s3cret"), "the transport could not know");
    delete.on_failure(id, failure).unwrap();
    let Step::Done(outcome) = delete.poll(Duration::ZERO) else { panic!() };
    assert!(outcome.checkpoint().is_some(), "what another process needs to continue");
    let error = outcome.into_result().unwrap_err();
    assert!(error.checkpoint().is_some() && !error.may_have_changed());
    let mut texts = vec![format!("{error:?}"), serde_json::to_string(&error).unwrap()];
    let mut kinds = Vec::new();
    let mut level: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = level {
        texts.push(format!("{error} {error:?}"));
        kinds.push((error.is::<Incomplete>(), error.is::<Halt>(), error.is::<Cause>(), error.is::<LibraryError>()));
        level = error.source();
    }
    let levels = [(true, false, false, false), (false, true, false, false), (false, false, true, false)];
    assert_eq!(kinds[..3], levels);
    assert_eq!(kinds[3..], [(false, false, false, true)]);
    assert!(texts.iter().all(|text| !text.contains("s3cret")), "{texts:?}");
}

/// What people read of each halt: what happened, and what to do if somebody has to act.
#[test]
fn each_halt_is_a_sentence() {
    let sentences = [
        "the server responded with 503 Service Unavailable: busy",
        "the server responded with 302 Found, a redirect, which is never followed: check the URL",
        "the server responded with 200 OK and another run than the one that was asked for",
        "gave up after 3 attempts: no response arrived: connection reset",
        "gave up after 3 attempts: the request could not be sent: no route to host",
        "the server asks to wait for 90 seconds, which is longer than the limit: the server responded with 503 Service Unavailable: busy",
        "the server keeps returning the same pages (no progress)",
        "the maximum is used up, but the result of some requests is unknown",
        "an earlier process ended before the response arrived; it is unknown whether up to 50 runs were started, and sending the request again could start them twice: check, then settle it",
        "an earlier process did not learn the result of a request; it is unknown whether the request was carried out, and sending it again could do it twice: check, then settle it, or make the call again only if it was not carried out",
        "the server sent a run without a usable id",
        "the server listed a run that does not match the filter: a differs in toDate, so it was left alone",
        "runs cannot be told apart by their dates (some are from outside those asked for, or too many have no time)",
        "the message of the run a is larger than 64 MiB, the most that is read",
        "the response is larger than 1 byte, the most that is read",
        "the server still lists runs that it was asked to delete",
        "the request could not be built: a defect",
        "stopped by the caller",
        "stopped by the caller, and it is unknown whether the request was carried out",
        "no storage space",
        "lanes cannot be used: at least 1",
    ];
    let halts = halts();
    assert_eq!(halts.len(), sentences.len());
    for (halt, sentence) in halts.iter().zip(sentences) {
        assert_eq!(halt.to_string(), sentence);
    }
    let once = Cause::Transport(Delivery::Unknown.into());
    let once = Halt::GaveUp { attempts: 1, last: once, may_have_changed: true };
    assert_eq!(once.to_string(), "no response arrived", "one attempt is no giving up");
}

/// The error behind each halt, and the words of the library behind that.
#[test]
fn each_halt_leads_to_its_cause() {
    let behind = |halt: &Halt| {
        let mut texts = Vec::new();
        let mut level = halt.source();
        while let Some(error) = level {
            texts.push(error.to_string());
            level = error.source();
        }
        texts
    };
    let busy = "the server responded with 503 Service Unavailable: busy";
    for (halt, texts) in halts().iter().zip([
        &[busy] as &[&str],
        &["the server responded with 302 Found, a redirect, which is never followed: check the URL"],
        &["the server responded with 200 OK and another run than the one that was asked for"],
        &["no response arrived: connection reset", "connection reset"],
        &["the request could not be sent: no route to host", "no route to host"],
        &[busy],
        &[],
        &[],
        &["an earlier process ended before the response arrived"],
        &["an earlier process did not learn the result of a request"],
    ]) {
        assert_eq!(behind(halt), texts, "{halt:?}");
    }
    assert_eq!(behind(&halts()[19]), ["no storage space"]);
    assert_eq!(halts().iter().filter(|halt| halt.source().is_some()).count(), 9);
    // By themselves, too: each says whether there was a response.
    assert_eq!(halts()[8].status(), None);
    assert_eq!(
        halts().iter().map(|halt| halt.status().map(|status| status.as_u16())).collect::<Vec<_>>()[..3],
        [Some(503), Some(302), Some(200)]
    );
}

/// What may have changed is said of a halt whose request may have been carried out, and of no other.
#[test]
fn halts_say_whether_anything_may_have_changed() {
    let changed: Vec<_> =
        halts().iter().enumerate().filter(|(_, halt)| halt.may_have_changed()).map(|(at, _)| at).collect();
    assert_eq!(changed, [0, 3, 7, 8, 9, 15, 18]);
}

/// An error and its causes are one line, in which nothing is said twice.
#[test]
fn causes_are_told_once() {
    #[derive(Debug)]
    struct Because(&'static str, Option<Box<Because>>);
    impl std::fmt::Display for Because {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Because {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }
    let because = |text, cause: Because| Because(text, Some(Box::new(cause)));
    let chain = || because("sending failed", because("TLS: no certificate", Because("no certificate", None)));
    let failure = TransportFailure::unknown(chain());
    assert_eq!(failure.to_string(), "no response arrived: sending failed: TLS: no certificate");
    assert_eq!(failure.source().unwrap().to_string(), "sending failed: TLS: no certificate");
    assert_eq!(StoreFailure::new(chain()).to_string(), "sending failed: TLS: no certificate");
    // An error without words leaves no colon behind, and nothing to lead to.
    let silent = TransportFailure::not_sent(Because("", None));
    assert_eq!((silent.to_string().as_str(), silent.source().is_none()), ("the request could not be sent", true));
}

#[test]
fn what_is_incomplete_says_how_much_was_done() {
    for ((affected, unconfirmed), beginning) in [
        ((0, 0), "no run was affected: "),
        ((0, 1), "0 runs were affected, and the result of 1 request is unknown: "),
        ((1, 0), "1 run was affected: "),
        ((2, 3), "2 runs were affected, and the results of 3 requests are unknown: "),
    ] {
        let error =
            Outcome::halted(Totals::from_counts(affected, unconfirmed), Halt::Stopped).into_result().unwrap_err();
        assert_eq!(error.to_string(), format!("{beginning}stopped by the caller"));
        assert_eq!(
            (error.source().unwrap().to_string(), error.into_halt()),
            ("stopped by the caller".into(), Halt::Stopped)
        );
    }
}

#[test]
fn halts_say_whether_to_try_again() {
    let retryable = |halt: &Halt| halt.is_retryable();
    assert_eq!(halts().iter().filter(|halt| retryable(halt)).count(), 6);
    assert_eq!(halts()[0].status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(halts()[5].status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(halts()[3].status(), None);
}

/// A 404 after a lost response does not say that nothing was deleted.
#[test]
fn an_earlier_attempt_counts() {
    let id = DlqId::new("a").unwrap();
    for (lost, changed) in [(Delivery::Unknown, true), (Delivery::NotSent, false)] {
        let mut delete = SingleCall::builder(endpoint(), DeleteOne(id.clone())).build();
        let Step::Send(first, _) = delete.poll(Duration::ZERO) else { panic!() };
        delete.on_failure(first, lost.into()).unwrap();
        let Step::WaitUntil(at) = delete.poll(Duration::ZERO) else { panic!() };
        let Step::Send(second, _) = delete.poll(at) else { panic!() };
        let response = Response::builder().status(404).body(br#"{"error":"not found"}"#.to_vec()).unwrap();
        delete.respond(second, &response).unwrap();
        let Step::Done(Err(halt)) = delete.poll(at) else { panic!() };
        assert_eq!((halt.may_have_changed(), halt.status()), (changed, Some(StatusCode::NOT_FOUND)), "{halt:?}");
        assert!(matches!(halt, Halt::Refused { error: ResponseError::Status { body: ErrorBody::Message(_), .. }, .. }));
    }
}

/// … but not one at another request, which was answered since.
#[test]
fn an_attempt_at_another_request_does_not_count() {
    let policy = once().max_attempts(NonZeroU32::new(2).unwrap()).base(Duration::ZERO);
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1).build();
    let mut send = |delivery: Option<Delivery>| {
        let id = loop {
            match delete.poll(Duration::ZERO) {
                Step::Send(id, _) => break id,
                Step::WaitUntil(Duration::ZERO) => {}
                other => return Some(other),
            }
        };
        match delivery {
            Some(delivery) => drop(delete.on_failure(id, delivery.into()).unwrap()),
            None => drop(delete.respond(id, &Response::new(br#"{"deleted":1,"cursor":"c"}"#.to_vec())).unwrap()),
        }
        None
    };
    for delivery in [Some(Delivery::Unknown), None, Some(Delivery::NotSent), Some(Delivery::NotSent)] {
        assert!(send(delivery).is_none());
    }
    let Some(Step::Done(outcome)) = send(None) else { panic!() };
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { may_have_changed: false, .. })), "{outcome:?}");
    assert!(outcome.into_result().unwrap_err().may_have_changed(), "the operation as a whole may have");
}

fn refusal() -> Response<Vec<u8>> {
    Response::builder().status(401).body(br#"{"error":"no"}"#.to_vec()).unwrap()
}

fn sent<O: Operation>(operation: &mut O) -> RequestId {
    let Step::Send(id, _) = operation.poll(Duration::from_secs(1_000)) else { panic!("a request was expected") };
    id
}

fn changed(bulk: &mut impl Operation<Outcome = Outcome>) -> bool {
    let Step::Done(outcome) = bulk.poll(Duration::from_secs(1_000)) else { panic!("the end was expected") };
    outcome.halted.unwrap().may_have_changed()
}

/// What an earlier process left in flight counts …
#[test]
fn a_request_of_an_earlier_process_counts() {
    let delete = || BulkDelete::builder(endpoint(), Selection::Everything);
    let mut first = delete().build();
    sent(&mut first);
    let mut second = delete().resume_from(first.checkpoint()).unwrap();
    let id = sent(&mut second);
    second.respond(id, &refusal()).unwrap();
    assert!(changed(&mut second));
}

/// … and what a person has settled no longer does.
#[test]
fn a_settled_request_does_not_count() {
    for settlement in [Settlement::Applied, Settlement::NotApplied] {
        let ids = Selection::Ids(Ids::parse((0..120).map(|n| format!("id-{n}"))).unwrap());
        let mut resume = BulkResume::builder(endpoint(), ids).build();
        let id = sent(&mut resume);
        resume.on_failure(id, Delivery::Unknown.into()).unwrap();
        assert!(changed(&mut resume));
        resume.settle(settlement).unwrap();
        let id = sent(&mut resume);
        resume.respond(id, &refusal()).unwrap();
        assert!(!changed(&mut resume), "{settlement:?}");
    }
}

/// Whoever stops a call learns whether it was carried out, as far as anybody knows.
#[test]
fn a_stopped_call_tells_what_is_known() {
    let call = || SingleCall::builder(endpoint(), DeleteOne(DlqId::new("a").unwrap())).build();
    assert_eq!(call().outcome_halted(Halt::Stopped), Err(Halt::Stopped));
    let mut lost = call();
    let id = sent(&mut lost);
    lost.on_failure(id, Delivery::Unknown.into()).unwrap();
    let halt = lost.outcome_halted(Halt::Stopped).unwrap_err();
    assert!(halt == Halt::StoppedUnconfirmed && halt.may_have_changed() && halt.is_retryable());
    let mut answered = call();
    let id = sent(&mut answered);
    answered.respond(id, &Response::new(Vec::new())).unwrap();
    assert_eq!(answered.outcome_halted(Halt::Stopped), Ok(()), "it was answered before it was stopped");
}

/// Many gets keep to their rate, and one that stops short says so.
#[test]
fn many_gets_that_stop_short_are_incomplete() {
    let ids = Ids::parse(["a", "b"]).unwrap();
    let rate = NonZeroU32::new(1);
    let mut get = GetMany::builder(endpoint(), ids).max_requests_per_second(rate).retry(once(), 1).build();
    let Step::Send(id, _) = get.poll(Duration::ZERO) else { panic!() };
    get.respond(id, &Response::new(r#"{"dlqId":"a"}"#)).unwrap();
    assert_eq!((get.outcome_so_far().found, get.outcome_so_far().totals.missing), (1, 0));
    let second = Duration::from_secs(1);
    assert!(matches!(get.poll(Duration::ZERO), Step::WaitUntil(at) if at == second));
    let Step::Send(id, _) = get.poll(second) else { panic!() };
    get.respond(id, &refusal()).unwrap();
    let Step::Done(outcome) = get.poll(second) else { panic!() };
    assert_eq!((outcome.found, outcome.halted.as_ref().and_then(Halt::status)), (1, Some(StatusCode::UNAUTHORIZED)));
    let error = outcome.into_result().unwrap_err();
    assert!(matches!(error.halt(), Halt::Refused { .. }) && !error.may_have_changed(), "{error}");
}

/// For tests of code that gets outcomes.
#[test]
fn an_outcome_can_be_made_up() {
    let checkpoint = BulkDelete::builder(endpoint(), Selection::Everything).build().checkpoint();
    let outcome = Outcome::nothing(Halt::NoProgress).with_checkpoint(checkpoint.clone());
    assert_eq!((outcome.totals, outcome.verified), (Totals::default(), false));
    let error = outcome.into_result().unwrap_err();
    assert_eq!((error.checkpoint(), error.may_have_changed()), (Some(&checkpoint), false));
}

/// What a listing cannot read is asked for again, and in the end told with what is wrong with it.
#[test]
fn a_listing_that_cannot_be_read_says_what_was_expected() {
    let list = upstash_dlq_core::List::everything();
    let mut listing = upstash_dlq_core::Listing::builder(endpoint(), list).retry(once(), 1).build();
    let Step::Send(id, _) = listing.poll(Duration::ZERO) else { panic!() };
    listing.respond(id, &Response::new(r#"{"messages":7}"#)).unwrap();
    let Step::Done(outcome) = listing.poll(Duration::ZERO) else { panic!() };
    let error = outcome.into_result().unwrap_err().to_string();
    assert!(error.contains("a body that cannot be read") && error.contains("a list of messages"), "{error}");
}

/// Each operation has a name, which logs show, and has done nothing before it is driven.
#[test]
fn operations_have_names() {
    fn at_its_start(operation: &impl Operation) -> &'static str {
        assert_eq!((operation.halt(), operation.totals(), operation.in_flight()), (None, Totals::default(), 0));
        operation.name()
    }
    let delete = || BulkDelete::builder(endpoint(), Selection::Everything);
    let ids = Ids::parse(["a"]).unwrap();
    assert_eq!(at_its_start(&delete().build()), "delete");
    assert_eq!(at_its_start(&BulkResume::builder(endpoint(), Selection::Ids(ids.clone())).build()), "resume");
    assert_eq!(at_its_start(&delete().build_archived()), "archive");
    assert_eq!(at_its_start(&GetMany::builder(endpoint(), ids).build()), "get");
    // A checkpoint continues the operation that it was taken from, and no other.
    let list = upstash_dlq_core::Listing::builder(endpoint(), upstash_dlq_core::List::everything());
    let saved = delete().build().checkpoint();
    let error = upstash_dlq_core::operation::OperationBuilder::resume_from(list, saved).unwrap_err();
    assert!(error.to_string().starts_with("the checkpoint belongs to a delete: "), "{error}");
}

#[test]
fn stopping_is_told_and_changes_nothing() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
    let outcome = delete.outcome_halted(Halt::Stopped);
    assert_eq!((outcome.halted.clone(), outcome.totals.unconfirmed), (Some(Halt::Stopped), 1));
    assert_eq!(outcome.checkpoint(), Some(&delete.checkpoint()));
    delete.respond(id, &Response::new(br#"{"deleted":0}"#.to_vec())).unwrap();
    let Step::Done(done) = delete.poll(Duration::ZERO) else { panic!() };
    assert_eq!(delete.outcome_halted(Halt::Stopped), done, "it had ended by then");
}

proptest! {
    #![proptest_config(cases(400, 20_000))]

    /// A halt that says that nothing may have changed is right: the run is still there.
    #[test]
    fn nothing_has_changed_where_a_halt_says_so(plan in faults(), attempts in 1_u32..4, seed: u64) {
        let mut world = World::new(service(6, Config::default().faults(plan)), seed);
        let ids: Vec<_> = world.service.runs().map(|run| run.dlq_id.clone()).collect();
        let id = &ids[usize::try_from(seed % 6).unwrap()];
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap());
        let call = SingleCall::builder(endpoint(), DeleteOne(DlqId::new(id.clone()).unwrap()));
        let mut call = call.retry(policy, seed).build();
        let outcome = world.run(&mut call, 1_000, |_, _| ()).unwrap();
        let gone = world.service.runs().all(|run| run.dlq_id != *id);
        match outcome {
            Ok(()) => prop_assert!(gone),
            Err(halt) => prop_assert!(halt.may_have_changed() || !gone, "{halt:?}"),
        }
        let mut get = SingleCall::builder(endpoint(), GetMessage(DlqId::new("nobody").unwrap())).build();
        if let Err(halt) = world.run(&mut get, 1_000, |_, _| ()).unwrap() {
            prop_assert!(!halt.may_have_changed(), "{halt:?}");
        }
    }

    /// Many runs by their ids, on any number of lanes: each id is told once, with its run or without.
    #[test]
    fn every_id_is_fetched_once(plan in faults(), n in 1_usize..9, absent in 0_usize..5, seed: u64) {
        let mut world = World::new(service(20, Config::default().faults(plan)), seed);
        let present: BTreeSet<_> = world.service.runs().map(|run| run.dlq_id.clone()).collect();
        let ids = Ids::parse(present.iter().cloned().chain((0..absent).map(|n| format!("absent-{n}")))).unwrap();
        let mut get = GetMany::builder(endpoint(), ids.clone()).lanes(lanes(n)).retry(policy(), seed).build();
        let (mut told, mut unusable) = (Vec::new(), false);
        let outcome = world.run(&mut get, 10_000, |_, event| {
            if let Some(Event::Page(fetched)) = event {
                let has_id = fetched.message.as_ref().is_none_or(|m| m.dlq_id().as_ref() == Some(&fetched.id));
                assert!(!has_id || fetched.message.is_some() == present.contains(fetched.id.as_str()));
                told.push(fetched.id.clone());
                unusable |= !has_id;
            }
        });
        let outcome = outcome.unwrap();
        prop_assert!(world.most_in_flight <= n);
        prop_assert_eq!(outcome.totals.affected + outcome.totals.unconfirmed, 0);
        let once: BTreeSet<_> = told.iter().cloned().collect();
        prop_assert_eq!(once.len(), told.len());
        prop_assert!(!unusable || outcome.halted.is_some());
        if let GetManyOutcome { halted: None, found, totals: Totals { missing, .. }, .. } = outcome {
            prop_assert_eq!(told.len(), ids.len());
            prop_assert_eq!((found, missing), (present.len() as u64, absent as u64));
        }
    }
}
