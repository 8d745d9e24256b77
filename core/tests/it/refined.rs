//! Deletes, resumes and restarts by a refinement: what they claim after a crash, and when windows of time cannot be trusted.

use crate::one_lane::Respond;
use crate::world::{NOW, TOKEN, World, endpoint, lanes, policy, runs_at};
use http::{Method, Response};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::checkpoint::CheckpointError;
use upstash_dlq_core::client::setup::Setup;
use upstash_dlq_core::engine::InvalidState;
use upstash_dlq_core::operation::{BulkBuilder, InDoubt};
use upstash_dlq_core::selection::{Refined, Refinement};
use upstash_dlq_core::wire::{BulkOperation, Delete, Resume};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, Delivery, Filter, Halt, Operation, Outcome, Selection, Settlement, Step,
    TransportFailure, UnixMillis,
};
use upstash_dlq_emulator::{Config, Ignored, Service};

fn failed_with_500() -> Selection {
    Selection::Refined(Refined::new(None, Refinement::builder().status(500).build().unwrap()))
}

fn delete(max: u64) -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), failed_with_500()).max(NonZeroU64::new(max)).retry(policy(), 1)
}

fn listing(ids: &[&str]) -> String {
    let messages: Vec<String> = ids.iter().map(|id| format!(r#"{{"dlqId":"{id}","responseStatus":500}}"#)).collect();
    format!(r#"{{"messages":[{}],"cursor":""}}"#, messages.join(","))
}

/// Drives a delete up to its first request that deletes. Returns that request's query.
fn up_to_the_deletion(operation: &mut BulkDelete, ids: &[&str]) -> String {
    let Step::Send(id, list) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!(list.method(), Method::GET);
    operation.on_response(id, Response::new(listing(ids).as_bytes())).unwrap();
    let Step::Send(_, request) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.method(), Method::DELETE);
    request.uri().query().unwrap().to_owned()
}

fn go_on(max: u64, earlier: &BulkDelete) -> BulkDelete {
    delete(max).resume_from(Checkpoint::from_json(earlier.checkpoint().to_json()).unwrap()).unwrap()
}

fn outcome(operation: &mut BulkDelete) -> Outcome {
    match operation.poll(Duration::ZERO) {
        Step::Done(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// The process dies with a deletion in flight. Nobody knows whether its runs are gone, so no later process says that the maximum
/// was reached.
#[test]
fn a_maximum_that_lost_requests_have_used_up_is_no_success() {
    let mut first = delete(2).build();
    assert_eq!(up_to_the_deletion(&mut first, &["a", "b"]), "dlqIds=a&dlqIds=b");
    let mut second = go_on(2, &first);
    for _ in 0..2 {
        let outcome = outcome(&mut second);
        assert_eq!(outcome.halted, Some(Halt::MaximumUnconfirmed));
        assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed), (0, 1));
        second = go_on(2, &second);
    }
}

/// The same if the last of the maximum is spent after the crash.
#[test]
fn what_is_left_of_the_maximum_makes_no_success_of_lost_requests() {
    let mut first = delete(3).build();
    assert_eq!(up_to_the_deletion(&mut first, &["a", "b"]), "dlqIds=a&dlqIds=b");
    let mut second = go_on(3, &first);
    let Step::Send(id, _) = second.poll(Duration::ZERO) else { panic!() };
    second.on_response(id, Response::new(listing(&["a", "b", "c"]).as_bytes())).unwrap();
    let Step::Send(id, request) = second.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.uri().query(), Some("dlqIds=a"), "one run is left of the maximum");
    second.on_response(id, Response::new(&br#"{"deleted":1}"#[..])).unwrap();
    assert_eq!(outcome(&mut second).halted, Some(Halt::MaximumUnconfirmed));
}

/// A first process asks for one of two runs. It gets this answer, after one that was lost or at once. A later process deletes
/// another.
fn one_of_two_and_another(is_lost: bool, answer: &str) -> Outcome {
    let mut first = delete(2).build();
    let Step::Send(id, _) = first.poll(Duration::ZERO) else { panic!() };
    first.on_response(id, Response::new(listing(&["a"]).as_bytes())).unwrap();
    let Step::Send(mut id, _) = first.poll(Duration::ZERO) else { panic!() };
    if is_lost {
        first.on_failure(id, TransportFailure::unknown("reset")).unwrap();
        let Step::WaitUntil(at) = first.poll(Duration::ZERO) else { panic!() };
        let Step::Send(again, _) = first.poll(at) else { panic!() };
        id = again;
    }
    first.on_response(id, Response::new(answer.as_bytes())).unwrap();
    let mut second = go_on(2, &first);
    let Step::Send(id, _) = second.poll(Duration::ZERO) else { panic!() };
    second.on_response(id, Response::new(listing(&["b", "c"]).as_bytes())).unwrap();
    let Step::Send(id, request) = second.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.uri().query(), Some("dlqIds=b"));
    second.on_response(id, Response::new(&br#"{"deleted":1}"#[..])).unwrap();
    outcome(&mut second)
}

#[test]
fn a_maximum_that_two_processes_have_reached_is_a_success() {
    let confirmed = one_of_two_and_another(true, r#"{"deleted":1}"#);
    assert_eq!((confirmed.halted, confirmed.totals.affected, confirmed.totals.unconfirmed), (None, 2, 1));
    // Somebody else has deleted the first run. It was asked for, and nothing is unknown.
    let gone = one_of_two_and_another(false, r#"{"deleted":0}"#);
    assert_eq!((gone.halted, gone.totals.affected, gone.totals.unconfirmed), (None, 1, 0));
}

/// A run that was chosen and is in no request yet is left of the maximum.
#[test]
fn what_was_chosen_and_not_asked_for_is_not_spent() {
    for (chosen, left) in [(3, 150), (100, 150), (140, 150), (150, 150)] {
        let mut first = delete(150).build();
        let Step::Send(id, _) = first.poll(Duration::ZERO) else { panic!() };
        let ids: Vec<String> = (0..chosen).map(|n| format!("r{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let page = listing(&ids).replace(r#""cursor":"""#, r#""cursor":"1""#);
        first.on_response(id, Response::new(page.as_bytes())).unwrap();
        let saved = first.checkpoint().to_json();
        assert!(saved.contains(&format!(r#""left":{left}"#)), "{chosen} are chosen: {saved}");
    }
}

/// Two runs are asked for. While their request waits to be sent again, they are spent if it may have arrived before.
#[test]
fn what_may_have_been_deleted_is_spent() {
    for (failure, left) in [(TransportFailure::not_sent("refused"), 3), (TransportFailure::unknown("reset"), 1)] {
        let mut first = delete(3).build();
        let Step::Send(id, _) = first.poll(Duration::ZERO) else { panic!() };
        first.on_response(id, Response::new(listing(&["a", "b"]).as_bytes())).unwrap();
        let Step::Send(id, _) = first.poll(Duration::ZERO) else { panic!() };
        let in_flight = first.checkpoint().to_json();
        assert!(in_flight.contains(r#""left":1"#), "{in_flight}");
        first.on_failure(id, failure).unwrap();
        assert!(matches!(first.poll(Duration::ZERO), Step::WaitUntil(_)));
        let saved = first.checkpoint().to_json();
        assert!(saved.contains(&format!(r#""left":{left}"#)), "{saved}");
    }
}

/// Drives a delete up to the response to its second attempt at a run. Nobody knows what became of the first one; by the second one,
/// the run is gone. Returns when that was.
fn up_to_a_deletion_that_was_lost(operation: &mut BulkDelete) -> Duration {
    let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!() };
    operation.on_response(id, Response::new(listing(&["a"]).as_bytes())).unwrap();
    let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!() };
    operation.on_failure(id, TransportFailure::unknown("reset")).unwrap();
    let Step::WaitUntil(at) = operation.poll(Duration::ZERO) else { panic!() };
    let Step::Send(id, _) = operation.poll(at) else { panic!() };
    operation.on_response(id, Response::new(&br#"{"deleted":0}"#[..])).unwrap();
    at
}

/// One process comes to its end, and dies before it tells that. The next one tells the same end, and sends nothing.
#[test]
fn an_end_stays_the_same_end() {
    for max in [1, 5] {
        for verify in [true, false] {
            let build = || delete(max).verify(verify);
            let mut first = build().build();
            let at = up_to_a_deletion_that_was_lost(&mut first);
            let told = loop {
                match first.poll(at) {
                    Step::Send(id, _) => {
                        first.on_response(id, Response::new(listing(&[]).as_bytes())).unwrap();
                    }
                    Step::Done(outcome) => break outcome,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((told.halted.clone(), told.verified), (None, max == 5 && verify));
            let saved = Checkpoint::from_json(first.checkpoint().to_json()).unwrap();
            let mut second = build().resume_from(saved).unwrap();
            for _ in 0..2 {
                let again = outcome(&mut second);
                assert_eq!((again.halted, again.verified), (told.halted.clone(), told.verified));
                assert_eq!(again.totals, told.totals);
            }
        }
    }
}

/// A deletion that was lost and then confirmed leaves nothing unknown, in one process and over several.
#[test]
fn a_maximum_that_was_reached_is_a_success() {
    let mut first = delete(1).build();
    let at = up_to_a_deletion_that_was_lost(&mut first);
    let Step::Done(outcome) = first.poll(at) else { panic!() };
    assert_eq!(outcome.halted, None);
}

/// Whoever has to settle a request is told how many runs it named.
#[test]
fn a_request_in_doubt_says_how_many_runs_it_asked_for() {
    let mut resume = BulkResume::builder(endpoint(), failed_with_500()).retry(policy(), 1).build();
    let Step::Send(id, _) = resume.poll(Duration::ZERO) else { panic!() };
    resume.on_response(id, Response::new(listing(&["a", "b", "c"]).as_bytes())).unwrap();
    let Step::Send(id, _) = resume.poll(Duration::ZERO) else { panic!() };
    resume.on_failure(id, TransportFailure::unknown("reset")).unwrap();
    assert!(matches!(resume.halt(), Some(Halt::InDoubt { asked: 3, .. })), "{:?}", resume.halt());
}

/// The caller says what became of a request in doubt. Then the rest is started, and the request's own runs if they were not.
#[test]
fn a_request_that_was_settled_is_not_in_doubt() {
    let ids: Vec<String> = (0..60).map(|n| format!("r{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let query = |ids: &[&str]| ids.iter().map(|id| format!("dlqIds={id}")).collect::<Vec<_>>().join("&");
    let started = |n: usize| {
        let runs: Vec<String> = (0..n).map(|n| format!(r#"{{"workflowRunId":"w{n}"}}"#)).collect();
        Response::new(format!(r#"{{"workflowRuns":[{}]}}"#, runs.join(",")))
    };
    for (settlement, affected, unconfirmed) in [(Settlement::Applied, 10, 1), (Settlement::NotApplied, 60, 0)] {
        let mut resume = BulkResume::builder(endpoint(), failed_with_500()).retry(policy(), 1).build();
        assert_eq!(resume.in_doubt(), None);
        assert_eq!(resume.settle(settlement), Err(InvalidState));
        let Step::Send(id, _) = resume.poll(Duration::ZERO) else { panic!() };
        resume.on_response(id, Response::new(listing(&ids).as_bytes())).unwrap();
        let Step::Send(id, request) = resume.poll(Duration::ZERO) else { panic!() };
        assert_eq!(request.uri().query(), Some(&*query(&ids[..50])));
        resume.on_failure(id, TransportFailure::unknown("reset")).unwrap();
        let Some(InDoubt::Ids(named)) = resume.in_doubt() else { panic!("it is in doubt") };
        assert!(named.iter().map(|id| id.as_str()).eq(ids[..50].iter().copied()));
        assert_eq!((resume.all_in_doubt(), resume.totals().unconfirmed), ((1, 50), 1));
        resume.settle(settlement).unwrap();
        assert_eq!((resume.all_in_doubt(), resume.settle(settlement)), ((0, 0), Err(InvalidState)));
        let left = if settlement == Settlement::Applied { &ids[50..] } else { &ids[..] };
        for batch in if left.len() > 50 { vec![&left[..50], &left[50..]] } else { vec![left] } {
            let Step::Send(id, request) = resume.poll(Duration::ZERO) else { panic!() };
            assert_eq!(request.uri().query(), Some(&*query(batch)));
            resume.respond(id, &started(batch.len())).unwrap();
        }
        let Step::Done(outcome) = resume.poll(Duration::ZERO) else { panic!() };
        assert_eq!((outcome.halted, outcome.totals.affected), (None, affected));
        assert_eq!(outcome.totals.unconfirmed, unconfirmed, "what nobody has seen stays unconfirmed");
    }
}

/// What starts runs by a refinement would start those again that are still listed. So its file is refused, and says what to do.
#[test]
fn what_starts_runs_by_a_refinement_cannot_go_on() {
    let resume = || BulkResume::builder(endpoint(), failed_with_500());
    let error = resume().resume_from(resume().build().checkpoint()).unwrap_err();
    assert_eq!(error, CheckpointError::NotResumable);
    assert_eq!(
        error.to_string(),
        "a resume or restart by a refinement cannot be continued: list the runs, and start them by their ids"
    );
    // So it hands out no checkpoint, and takes no store for one. A delete does both.
    let mut stopped = resume().build();
    let Step::Send(id, _) = stopped.poll(Duration::ZERO) else { panic!() };
    stopped.on_failure(id, Delivery::Unknown.into()).unwrap();
    assert!(stopped.outcome_halted(Halt::Stopped).checkpoint().is_none());
    let refused = Setup::new(resume()).refuse_checkpoint_unless_resumable().begin(Ok(None)).unwrap_err();
    assert!(matches!(refused.halt(), Some(Halt::InvalidSetting { setting, .. }) if setting == "checkpoint"));
    let delete = || BulkDelete::builder(endpoint(), failed_with_500());
    let mut stopped = delete().build();
    let Step::Send(id, _) = stopped.poll(Duration::ZERO) else { panic!() };
    stopped.on_failure(id, Delivery::Unknown.into()).unwrap();
    assert!(stopped.outcome_halted(Halt::Stopped).checkpoint().is_some());
    assert!(Setup::new(delete()).refuse_checkpoint_unless_resumable().begin(Ok(None)).is_ok());
}

/// Runs an operation against a server that begins to ignore dates once the windows are listed to their ends.
fn run_while_dates_become_ignored<O: BulkOperation>(builder: BulkBuilder<O>, name: &'static str) -> (World, Outcome) {
    let config = Config::default().newest_first(name == "fromDate");
    let build = |config: Config| Service::new(config.token(TOKEN));
    let mut service = build(config.clone());
    let runs = runs_at((0..2_000).map(|n| NOW - n * 3_000_000));
    runs.into_iter().for_each(|run| service.insert(run.response_status(500)));
    let mut world = World::new(service, 7);
    let builder = builder.page_size(NonZeroU32::new(10).unwrap()).retry(policy(), 1);
    let mut operation = builder.lanes(lanes(4), UnixMillis::new(NOW)).build();
    assert!(world.run(&mut operation, 150, |_, _| {}).is_none());
    let ignored = vec![Ignored::new(None, name)];
    let mut forgetful = build(config.ignored(ignored));
    world.service.runs().cloned().for_each(|run| forgetful.insert(run));
    world.service = forgetful;
    let outcome = world.run(&mut operation, 1_000_000, |_, _| {}).unwrap();
    (world, outcome)
}

/// What starts runs passes once over everything. If the server begins to ignore dates, the rest is not known, so none is started.
#[test]
fn a_listing_that_is_cut_short_starts_nothing() {
    for name in ["fromDate", "toDate"] {
        let resume: BulkBuilder<Resume> = BulkResume::builder(endpoint(), failed_with_500());
        let (world, outcome) = run_while_dates_become_ignored(resume, name);
        assert_eq!(outcome.halted, Some(Halt::DatesIgnored), "{name}");
        assert_eq!(world.service.started().count(), 0, "{name}");
    }
}

/// A delete may pass over everything again, in one lane.
#[test]
fn a_delete_whose_listing_is_cut_short_looks_again() {
    for name in ["fromDate", "toDate"] {
        let (world, outcome) = run_while_dates_become_ignored(BulkDelete::builder(endpoint(), failed_with_500()), name);
        assert!(outcome.verified && outcome.halted.is_none() && world.service.is_empty(), "{name}: {outcome:?}");
    }
}

/// A batch that is full is deleted before the listing goes on to its end.
#[test]
fn a_delete_acts_while_it_looks() {
    let ids: Vec<String> = (0..100).map(|n| format!("r{n}")).collect();
    for (chosen, acts) in [(99, false), (100, true)] {
        let mut operation = delete(150).build();
        let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!() };
        let chosen: Vec<&str> = ids.iter().take(chosen).map(String::as_str).collect();
        let page = listing(&chosen).replace(r#""cursor":"""#, r#""cursor":"1""#);
        operation.on_response(id, Response::new(page.as_bytes())).unwrap();
        let mut sent = Vec::new();
        while let Step::Send(_, request) = operation.poll(Duration::ZERO) {
            sent.push(request.method().clone());
        }
        assert_eq!(sent.contains(&Method::DELETE), acts, "{} are chosen: {sent:?}", chosen.len());
    }
}

/// A lane that waits to send again has nothing left to do once the server is known to ignore dates. The rest is looked at all
/// the same, and nothing is proved before that.
#[test]
fn the_rest_is_looked_at_where_a_lane_waits_as_dates_turn_out_to_be_ignored() {
    let run = |n: i64, status: u16| {
        let at = NOW - n * 3_600_000;
        format!(r#"{{"dlqId":"r{n}","createdAt":{at},"responseStatus":{status}}}"#)
    };
    let page = |messages: &[String], cursor: &str| {
        Response::new(format!(r#"{{"messages":[{}],"cursor":"{cursor}"}}"#, messages.join(",")).into_bytes())
    };
    let mut operation = BulkDelete::builder(endpoint(), failed_with_500())
        .retry(policy(), 1)
        .lanes(lanes(4), UnixMillis::new(NOW))
        .build();
    // No run of the first pages matches. Then comes the probe, whose window is empty.
    for n in 0..3 {
        let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!() };
        let response =
            if n < 2 { page(&[run(2 * n, 400), run(2 * n + 1, 400)], &format!("c{n}")) } else { page(&[], "") };
        operation.respond(id, &response).unwrap();
    }
    let mut windows = Vec::new();
    while let Step::Send(id, request) = operation.poll(Duration::ZERO) {
        assert!(request.uri().query().unwrap().contains("Date="), "{request:?}");
        windows.push(id);
    }
    let [waits, ignores, others @ ..] = windows.as_slice() else { panic!("{windows:?}") };
    operation.on_failure(*waits, TransportFailure::not_sent("refused")).unwrap();
    let everything: Vec<String> = (0..16).map(|n| run(n, 400)).collect();
    for id in [&[*ignores], others].concat() {
        operation.respond(id, &page(&everything, "")).unwrap();
    }
    let Step::Send(id, request) = operation.poll(Duration::ZERO) else { panic!("the rest was not looked at") };
    assert_eq!(request.uri().query(), Some("count=100"), "another pass, on one lane");
    operation.respond(id, &page(&[run(16, 500)], "")).unwrap();
    let Step::Send(_, request) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!((request.method(), request.uri().query()), (&Method::DELETE, Some("dlqIds=r16")));
}

/// Windows of a millisecond each cannot be cut, however many lanes have nothing to do. Each run is listed once, and looked for once
/// more.
#[test]
fn a_millisecond_is_not_cut() {
    let mut service = Service::new(Config::default().token(TOKEN));
    // The first pages have a gap between two times, which proves that the server keeps to dates.
    let runs = runs_at((0..1_200).map(|n| if n == 0 { NOW } else { NOW + 2 + n % 4 }));
    runs.into_iter().for_each(|run| service.insert(run.response_status(500)));
    let mut world = World::new(service, 7);
    let dates = Filter::builder().from(UnixMillis::new(NOW)).to(UnixMillis::new(NOW + 5)).build().unwrap();
    let refined = Refined::new(Some(dates), Refinement::builder().status(500).build().unwrap());
    let delete = BulkDelete::builder(endpoint(), Selection::Refined(refined)).page_size(NonZeroU32::new(10).unwrap());
    let mut delete = delete.retry(policy(), 1).lanes(lanes(16), UnixMillis::new(NOW)).build();
    let outcome = world.run(&mut delete, 10_000, |_, _| {}).unwrap();
    assert!(outcome.verified && outcome.halted.is_none() && world.service.is_empty(), "{outcome:?}");
    assert!(world.most_in_flight > 3 && world.requests < 200, "{} requests for 1,200 runs", world.requests);
}
