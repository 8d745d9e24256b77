//! Many lanes against servers that mean no good: every operation ends, whatever they say.

use crate::cases::cases;
use crate::one_lane::{ArchiveStep, One, Respond};
use crate::world::{NOW, endpoint, lanes};
use http::Response;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{GetMessage, List};
use upstash_dlq_core::{
    BulkDelete, BulkRestart, BulkResume, Delivery, DlqId, Halt, Listing, Operation, RetryPolicy, Selection, SingleCall,
    Step, UnixMillis,
};

/// What the server says to one request.
#[derive(Clone, Debug)]
enum Word {
    /// Nothing was done, and there is more: under one of so many cursors, or under one never seen before.
    Empty {
        cursors: Option<u64>,
    },
    /// Another run is listed, and nothing was done.
    Listed,
    /// A run that was listed before is listed again, and there is more.
    Stale,
    /// Something was done, and there is more.
    Progress,
    Status(u16, &'static str),
    Lost(Delivery),
}

fn word() -> impl Strategy<Value = Word> {
    let statuses =
        vec![(200, "{\"deleted\":"), (200, "<html>"), (204, ""), (400, ""), (410, ""), (429, ""), (500, ""), (503, "")];
    prop_oneof![
        3 => prop_oneof![1..5_u64, 1..2_000_u64].prop_map(|cursors| Word::Empty { cursors: Some(cursors) }),
        3 => Just(Word::Empty { cursors: None }),
        2 => Just(Word::Listed),
        2 => Just(Word::Stale),
        4 => prop::sample::select(statuses).prop_map(|(status, body)| Word::Status(status, body)),
        2 => prop::sample::select(vec![Delivery::NotSent, Delivery::Unknown]).prop_map(Word::Lost),
    ]
}

/// A server with so many deletions in it, and then only words.
struct Adversary {
    words: Vec<Word>,
    deletions: u32,
    turn: u64,
    random: u64,
}

impl Adversary {
    fn says(&mut self) -> Result<Response<String>, Delivery> {
        self.turn += 1;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = usize::try_from(self.random >> 33).unwrap();
        let word = if self.deletions > 0 && dice % 2 == 0 {
            self.deletions -= 1;
            &Word::Progress
        } else {
            &self.words[dice % self.words.len()]
        };
        // One body for each operation: each reads its own part of it.
        let page = |runs: u32, cursor: String| {
            let messages = match word {
                Word::Stale => format!(r#"{{"dlqId":"m0","createdAt":{NOW}}}"#),
                Word::Listed => format!(r#"{{"dlqId":"m{}","createdAt":{NOW}}}"#, self.turn),
                _ if runs > 0 => format!(r#"{{"dlqId":"m{}","createdAt":{NOW}}}"#, self.turn),
                _ => String::new(),
            };
            let started = if runs > 0 { format!(r#"{{"workflowRunId":"w{}"}}"#, self.turn) } else { String::new() };
            Response::new(format!(
                r#"{{"deleted":{runs},"messages":[{messages}],"workflowRuns":[{started}],"cursor":"{cursor}"}}"#
            ))
        };
        match word {
            Word::Empty { cursors } => {
                Ok(page(0, format!("c{}", cursors.map_or(self.turn, |cursors| self.turn % cursors))))
            }
            Word::Listed => Ok(page(0, String::new())),
            Word::Stale => Ok(page(0, format!("s{}", self.turn))),
            Word::Progress => Ok(page(1, format!("p{}", self.turn))),
            Word::Status(status, body) => Ok(Response::builder().status(*status).body((*body).to_owned()).unwrap()),
            Word::Lost(delivery) => Err(*delivery),
        }
    }

    /// Drives lanes until they end, with responses in any order.
    fn drive<L: Operation>(&mut self, lanes: &mut L, bound: u64) -> Option<L::Outcome> {
        let mut clock = Duration::ZERO;
        let mut out: BTreeMap<RequestId, ()> = BTreeMap::new();
        for _ in 0..bound {
            match lanes.poll(clock) {
                Step::Done(outcome) => {
                    assert!(out.is_empty(), "done with requests out");
                    return Some(outcome);
                }
                Step::Send(lane, _) => {
                    assert!(out.insert(lane, ()).is_none());
                    if self.random & 0x1000 == 0 {
                        continue;
                    }
                }
                Step::WaitUntil(at) if out.is_empty() => {
                    assert!(at > clock);
                    clock = at;
                    continue;
                }
                Step::WaitUntil(_) | Step::AwaitResponse => {}
            }
            let at = usize::try_from(self.random >> 40).unwrap() % out.len();
            let lane = *out.keys().nth(at).unwrap();
            out.remove(&lane);
            match self.says() {
                Ok(response) => drop(lanes.respond(lane, &response).unwrap()),
                Err(delivery) => drop(lanes.on_failure(lane, delivery.into()).unwrap()),
            }
        }
        None
    }
}

proptest! {
    #![proptest_config(cases(150, 7_500))]

    #[test]
    fn lanes_end_against_every_server(
        words in prop::collection::vec(word(), 1..5), deletions in 0..60_u32, random in any::<u64>(), n in 1_usize..9,
        attempts in 1..4_u32, verify in any::<bool>(), max in prop::option::of(1..200_u64), kind in 0..8_u8,
    ) {
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap());
        let now = UnixMillis::new(NOW);
        let max = max.and_then(NonZeroU64::new);
        // A listing hands over whatever is listed, and goes on for as long as the server lists runs.
        let words = if kind == 2 { words.into_iter().map(|word| if matches!(word, Word::Stale) { Word::Listed } else { word }).collect() } else { words };
        let mut server = Adversary { words, deletions, turn: 0, random };
        // So many passes at most stay barren, each of whose windows has a thousand empty pages at most, so many attempts each
        // and a wait each; and each deletion opens windows.
        let bound = 100_000 * u64::from(attempts + 3) * (n as u64 + 1);
        let ids = || Selection::Ids(Ids::parse((0..300).map(|n| format!("m{n}{}", "x".repeat(n % 200)))).unwrap());
        let delete = || BulkDelete::builder(endpoint(), Selection::Everything).max(max).verify(verify).retry(policy, 1);
        match kind {
            0 => {
                let mut operation = delete().lanes(lanes(n), now).build();
                let outcome = server.drive(&mut operation, bound);
                prop_assert!(outcome.is_some(), "a delete does not end: {} requests", server.turn);
                prop_assert!(max.is_none_or(|max| outcome.unwrap().totals.affected <= max.get()));
            }
            1 => {
                let resume = BulkResume::builder(endpoint(), Selection::Everything).max(max).retry(policy, 1);
                let mut operation = resume.lanes(lanes(n), now).build();
                let outcome = server.drive(&mut operation, bound);
                prop_assert!(outcome.is_some(), "a resume does not end: {} requests", server.turn);
            }
            2 => {
                let mut operation = Listing::builder(endpoint(), List::everything()).retry(policy, 1).lanes(lanes(n), now).build();
                let outcome = server.drive(&mut operation, bound);
                prop_assert!(outcome.is_some(), "a listing does not end: {} requests", server.turn);
            }
            3 => {
                let mut bulk = BulkDelete::builder(endpoint(), ids()).max(max).retry(policy, 1).lanes(lanes(n), now).build();
                let outcome = server.drive(&mut bulk, bound);
                prop_assert!(outcome.is_some(), "a delete of ids does not end: {} requests", server.turn);
                prop_assert!(!outcome.unwrap().verified || max.is_none_or(|max| max.get() >= 300));
            }
            4 => {
                let mut bulk = BulkRestart::builder(endpoint(), ids()).max(max).retry(policy, 1).lanes(lanes(n), now).build();
                let outcome = server.drive(&mut bulk, bound);
                prop_assert!(outcome.is_some(), "a restart of ids does not end: {} requests", server.turn);
            }
            5 => {
                let get = GetMessage(DlqId::new("m1").unwrap());
                let mut call = SingleCall::builder(endpoint(), get).retry(policy, 1).build();
                prop_assert!(server.drive(&mut call, bound).is_some(), "a call does not end: {} requests", server.turn);
            }
            kind => {
                let selected = if kind == 6 { Selection::Everything } else { ids() };
                let delete = BulkDelete::builder(endpoint(), selected).max(max).verify(verify).retry(policy, 1);
                let mut archive = delete.build_archived().one();
                let mut ended = false;
                for _ in 0..bound {
                    match archive.poll() {
                        ArchiveStep::Done(_) => {
                            ended = true;
                            break;
                        }
                        ArchiveStep::Wait => {}
                        ArchiveStep::Store(_) => archive.stored().unwrap(),
                        ArchiveStep::Send(_) => match server.says() {
                            Ok(response) => archive.on_response(&response).unwrap(),
                            Err(delivery) => archive.on_failure(delivery).unwrap(),
                        },
                    }
                }
                prop_assert!(ended, "an archive does not end: {} requests", server.turn);
            }
        }
    }
}

/// A 5xx is one lane's own misfortune, and uses up its attempts; only a 429 is everybody's.
#[test]
fn a_server_that_only_fails_is_given_up() {
    for n in [1, 4, 16] {
        for status in [500, 502, 503] {
            let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(3).unwrap());
            let mut server = Adversary { words: vec![Word::Status(status, "")], deletions: 0, turn: 0, random: 7 };
            let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
            let outcome = server.drive(&mut delete.lanes(lanes(n), UnixMillis::new(NOW)).build(), 1_000).unwrap();
            assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 3, .. })), "{outcome:?}");
            assert_eq!(server.turn, 3);
        }
    }
}

/// One lane gets on while another meets nothing but 5xx: its attempts are not given back by the others' pages.
#[test]
fn a_lane_that_fails_halts_although_others_make_progress() {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(3).unwrap());
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
    let mut operation = delete.lanes(lanes(2), UnixMillis::new(NOW)).build();
    let (mut clock, mut first, mut pages, mut out) = (Duration::ZERO, None, 0, Vec::new());
    let outcome = loop {
        assert!(pages < 1_000, "it does not end");
        match operation.poll(clock) {
            Step::Done(outcome) => break outcome,
            Step::Send(lane, _) => {
                out.push(lane);
                continue;
            }
            Step::WaitUntil(at) if out.is_empty() => clock = at,
            Step::WaitUntil(_) | Step::AwaitResponse => {}
        }
        for lane in out.drain(..) {
            clock += Duration::from_millis(20);
            if *first.get_or_insert(lane) == lane {
                pages += 1;
                operation.respond(lane, &Response::new(format!(r#"{{"deleted":1,"cursor":"c{pages}"}}"#))).unwrap();
            } else {
                let unavailable = Response::builder().status(503).body(String::new()).unwrap();
                operation.respond(lane, &unavailable).unwrap();
            }
        }
    };
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 3, .. })), "{outcome:?}");
}

/// A window that deletes nothing is not cut: cutting forgets its cursor, and the scan would begin again.
#[test]
fn empty_pages_are_not_cut() {
    let mut operation =
        BulkDelete::builder(endpoint(), Selection::Everything).lanes(lanes(8), UnixMillis::new(NOW)).build();
    let mut sent = 0_u64;
    let outcome = loop {
        match operation.poll(Duration::ZERO) {
            Step::Done(outcome) => break outcome,
            Step::Send(lane, request) => {
                let cursor = if sent == 0 { "count=100".to_owned() } else { format!("count=100&cursor=c{sent}") };
                assert_eq!(request.uri().query(), Some(cursor.as_str()));
                sent += 1;
                operation.respond(lane, &Response::new(format!(r#"{{"deleted":0,"cursor":"c{sent}"}}"#))).unwrap();
                assert_eq!(operation.concurrency(), 1, "cut");
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((outcome.halted, sent), (Some(Halt::NoProgress), 1_000));
}
