//! A checkpoint file that anybody may have written.

use super::forge::{sealed, version};
use super::given::{Given, endpoint};
use super::shown::assert_safe_to_show;
use super::wire::pairs;
use http::{Request, Response};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::checkpoint::CheckpointError;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::{BulkOperation, Delete, Restart, Resume};
use upstash_dlq_core::{BulkDelete, Checkpoint, Delivery, Operation, Selection, Settlement, Step, UnixMillis};

const NOW: UnixMillis = UnixMillis::new(1_764_000_000_000);

/// A checkpoint file: read, written and read again it is the same; continuing from it asks for nothing that was not given, on
/// one lane or many, even if somebody has changed the file.
pub fn checkpoint(data: &[u8]) {
    file(data);
    // Whoever changes a file can seal it again.
    let Ok(text) = serde_json::from_slice::<&RawValue>(data) else { return };
    let version = version(&BulkDelete::builder(endpoint(), Selection::Everything).build().checkpoint().to_json());
    file(sealed(version, text.get()).as_bytes());
    let other = sealed(version.wrapping_add(1), text.get());
    assert_eq!(Checkpoint::from_json(other.as_bytes()), Err(CheckpointError::Version(version.wrapping_add(1))));
}

fn file(data: &[u8]) {
    let checkpoint = match Checkpoint::from_json(data) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    let json = checkpoint.to_json();
    assert_eq!(Checkpoint::from_json(json.as_bytes()).as_ref(), Ok(&checkpoint), "{json}");
    let file: Value = serde_json::from_str(&json).expect("a file that core wrote");
    let option = |name: &str| file["checkpoint"][name].clone();
    let max: Option<NonZeroU64> = serde_json::from_value(option("max")).expect("a maximum");
    let verify = serde_json::from_value(option("verify")).expect("yes or no");
    for given in Given::all() {
        for lanes in [1, 4] {
            let run = Run { checkpoint: &checkpoint, given: &given, max, lanes };
            match option("operation").as_str() {
                Some(Delete::NAME) => run.go_on(run.builder::<Delete>(&option).verify(verify)),
                Some(Resume::NAME) => run.go_on(run.builder::<Resume>(&option)),
                Some(Restart::NAME) => run.go_on(run.builder::<Restart>(&option)),
                other => unreachable!("{other:?} is no operation"),
            }
        }
    }
}

/// One way to continue from a file.
struct Run<'a> {
    checkpoint: &'a Checkpoint,
    given: &'a Given,
    max: Option<NonZeroU64>,
    lanes: usize,
}

impl Run<'_> {
    /// The operation that the file is of, by its own account, but of a selection that is given.
    fn builder<O: BulkOperation>(&self, option: impl Fn(&str) -> Value) -> BulkBuilder<O> {
        Bulk::<O>::builder(endpoint(), self.given.selection.clone())
            .fingerprint(serde_json::from_value(option("fingerprint")).expect("a fingerprint"))
            .page_size(serde_json::from_value(option("page_size")).expect("a page size"))
            .max(self.max)
    }

    fn go_on<O: BulkOperation>(&self, builder: BulkBuilder<O>) {
        let lanes = NonZeroUsize::new(self.lanes).unwrap_or(NonZeroUsize::MIN);
        let mut bulk = match builder.lanes(lanes, NOW).resume_from(self.checkpoint.clone()) {
            Ok(bulk) => bulk,
            Err(error) => return assert_safe_to_show(&error.to_string()),
        };
        assert!(bulk.concurrency() <= self.lanes);
        let mut started = BTreeSet::new();
        let mut settled = 0;
        for turn in 0..24_u64 {
            match bulk.poll(Duration::from_secs(60 * turn)) {
                Step::Send(id, request) => {
                    self.given.assert_within(&request, self.max.map(NonZeroU64::get));
                    assert!(bulk.in_doubt().is_none(), "sent while a request is in doubt");
                    if !O::RETRY_SAFE {
                        assert_starts_nothing_twice(&request, &mut started);
                    }
                    let page = match (O::RETRY_SAFE, turn % 3) {
                        (true, 0) => "{\"deleted\":1,\"cursor\":\"x\"}".to_string(),
                        (true, _) => "{\"deleted\":0}".to_string(),
                        (false, 0) => {
                            format!("{{\"workflowRuns\":[{{\"workflowRunId\":\"w\"}}],\"cursor\":\"x{turn}\"}}")
                        }
                        (false, _) => "{\"workflowRuns\":[]}".to_string(),
                    };
                    let taken = match turn % 3 {
                        0 | 1 => bulk.on_response(id, Response::new(page.as_bytes())),
                        _ => bulk.on_failure(id, Delivery::Unknown.into()),
                    };
                    assert!(taken.is_ok());
                }
                Step::WaitUntil(_) => {}
                Step::AwaitResponse => unreachable!("nothing is in flight"),
                Step::Done(_) if bulk.in_doubt().is_some() && settled < 6 => {
                    settled += 1;
                    assert!(bulk.settle(Settlement::Applied).is_ok());
                }
                Step::Done(_) => break,
            }
        }
    }
}

/// Every request gets its response or is settled as applied: no id and no cursor is sent again.
fn assert_starts_nothing_twice(request: &Request<()>, started: &mut BTreeSet<String>) {
    for (name, value) in pairs(request) {
        if name == "dlqIds" {
            assert!(started.insert(value), "a run is started twice");
        }
    }
}
