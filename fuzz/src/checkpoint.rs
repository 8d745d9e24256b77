//! A checkpoint file that anybody may have written.

use super::forge::{sealed, version};
use super::given::{Given, endpoint};
use super::shown::assert_safe_to_show;
use http::Response;
use serde_json::Value;
use serde_json::value::RawValue;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::{
    BulkBuilder, BulkDelete, Checkpoint, Delete, Delivery, FleetCheckpoint, FleetStep, Selection, Step, UnixMillis,
};

const LANES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
const NOW: UnixMillis = UnixMillis::new(1_764_000_000_000);

/// A checkpoint file: read, written and read again it is the same; going on from it asks for nothing that was not given,
/// even if somebody has changed the file.
pub fn checkpoint(data: &[u8]) {
    one_checkpoint(data);
    fleet_checkpoint(data);
    // Whoever changes a file can seal it again.
    let Ok(text) = serde_json::from_slice::<&RawValue>(data) else { return };
    let delete = BulkDelete::new(endpoint(), Selection::Everything);
    let of_one = version(&delete.clone().build().checkpoint().to_json());
    let of_many = version(&delete.build_fleet(LANES, NOW).checkpoint().to_json());
    one_checkpoint(sealed(of_one, text.get()).as_bytes());
    fleet_checkpoint(sealed(of_many, text.get()).as_bytes());
}

/// The delete that the file is of, by its own account, but of a selection that is given.
fn delete(file: &str, given: &Given) -> (BulkBuilder<Delete>, Option<u64>) {
    let mut file: Value = serde_json::from_str(file).expect("a file that core wrote");
    let mut option = |name: &str| file["checkpoint"][name].take();
    let max: Option<NonZeroU64> = serde_json::from_value(option("max")).expect("a maximum");
    let delete = BulkDelete::new(endpoint(), given.selection.clone())
        .fingerprint(serde_json::from_value(option("fingerprint")).expect("a fingerprint"))
        .page_size(serde_json::from_value(option("page_size")).expect("a page size"))
        .max(max)
        .verify(serde_json::from_value(option("verify")).expect("yes or no"));
    (delete, max.map(NonZeroU64::get))
}

fn one_checkpoint(data: &[u8]) {
    let checkpoint = match Checkpoint::from_json(data) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    let json = checkpoint.to_json();
    assert_eq!(Checkpoint::from_json(json.as_bytes()).as_ref(), Ok(&checkpoint), "{json}");
    for given in Given::all() {
        let (delete, max) = delete(&json, &given);
        let Ok(mut bulk) = delete.restore(checkpoint.clone()) else { continue };
        for turn in 0..12 {
            match bulk.poll() {
                Step::Send(request) => given.assert_within(&request, max),
                Step::Wait(_) => continue,
                Step::Done(_) => break,
            }
            let taken = match turn % 3 {
                0 => bulk.on_response(&Response::new("{\"deleted\":1,\"cursor\":\"x\"}")),
                1 => bulk.on_response(&Response::new("{\"deleted\":0}")),
                _ => bulk.on_failure(Delivery::Unknown),
            };
            assert!(taken.is_ok());
        }
    }
}

/// The same for the file of many lanes.
fn fleet_checkpoint(data: &[u8]) {
    let saved = match FleetCheckpoint::from_json(data) {
        Ok(saved) => saved,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    let json = saved.to_json();
    assert_eq!(FleetCheckpoint::from_json(json.as_bytes()).as_ref(), Ok(&saved), "{json}");
    for given in Given::all() {
        let (delete, max) = delete(&json, &given);
        let Ok(mut fleet) = delete.restore_fleet(saved.clone(), LANES, NOW) else { continue };
        for turn in 0..24_u64 {
            match fleet.poll(Duration::from_secs(60 * turn)) {
                FleetStep::Send(lane, request) => {
                    given.assert_within(&request, max);
                    let taken = match turn % 3 {
                        0 => fleet.on_response(lane, &Response::new("{\"deleted\":1,\"cursor\":\"x\"}")),
                        1 => fleet.on_response(lane, &Response::new("{\"deleted\":0}")),
                        _ => fleet.on_failure(lane, Delivery::Unknown),
                    };
                    assert!(taken.is_ok());
                }
                FleetStep::WaitUntil(_) => {}
                FleetStep::Idle => unreachable!("nothing is out"),
                FleetStep::Done(_) => break,
            }
        }
    }
}
