//! What every builder takes, whatever it builds.

use crate::one_lane::Respond;
use crate::world::{NOW, endpoint, lanes};
use http::Response;
use std::time::Duration;
use upstash_dlq_core::operation::OperationBuilder;
use upstash_dlq_core::wire::GetMessage;
use upstash_dlq_core::{
    BulkDelete, BulkResume, DlqId, Event, GetMany, Ids, List, Listing, Operation, Selection, SingleCall, Step,
    UnixMillis,
};

fn ids(n: usize) -> Ids {
    Ids::parse((0..n).map(|n| format!("r{n}"))).unwrap()
}

/// How many requests an operation on so many lanes sends before the first response.
fn sent_at_once<B: OperationBuilder>(builder: B, n: usize) -> usize {
    let mut operation = builder.lanes(lanes(n), UnixMillis::new(NOW)).build();
    let mut sent = 0;
    while let Step::Send(..) = operation.poll(Duration::ZERO) {
        sent += 1;
    }
    assert_eq!(operation.in_flight(), sent);
    sent
}

/// Lanes are set in the same way for all of them. What has only one request at a time takes the setting, and keeps to one.
#[test]
fn every_builder_takes_lanes() {
    let delete = |selection| BulkDelete::builder(endpoint(), selection);
    for n in [1, 2, 7] {
        assert_eq!(sent_at_once(delete(Selection::Ids(ids(9_000))), n), n);
        assert_eq!(sent_at_once(BulkResume::builder(endpoint(), Selection::Ids(ids(1_000))), n), n);
        assert_eq!(sent_at_once(delete(Selection::Ids(ids(1_000))).archived(), n), n);
        assert_eq!(sent_at_once(GetMany::builder(endpoint(), ids(1_000)), n), n);
        assert_eq!(sent_at_once(SingleCall::builder(endpoint(), GetMessage(DlqId::new("a").unwrap())), n), 1);
        assert_eq!(sent_at_once(delete(Selection::Everything), n), 1, "the first page tells whether there is more");
        assert_eq!(sent_at_once(Listing::builder(endpoint(), List::everything()), n), 1);
    }
}

/// More lanes than there can be are no error: each request has one.
#[test]
fn too_many_lanes_are_no_error() {
    let delete = || BulkDelete::builder(endpoint(), Selection::Ids(ids(300)));
    assert_eq!(sent_at_once(delete().archived(), usize::MAX), 300);
    assert_eq!(sent_at_once(GetMany::builder(endpoint(), ids(300)), usize::MAX), 300);
    let batches = sent_at_once(delete(), 300);
    assert!(batches < 300 && batches == sent_at_once(delete(), usize::MAX), "{batches}");
}

/// The rate is set in the same way, too: the second request waits.
#[test]
fn every_builder_takes_a_rate() {
    fn waits<B: OperationBuilder>(builder: B, response: &str) -> Option<Duration> {
        let rate = std::num::NonZeroU32::new(4);
        let mut operation = builder.max_requests_per_second(rate).build();
        let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!("a request was expected") };
        assert!(matches!(operation.respond(id, &Response::new(response)), Ok(Event::Page(_))));
        match operation.poll(Duration::ZERO) {
            Step::WaitUntil(at) => Some(at),
            _ => None,
        }
    }
    let quarter = Some(Duration::from_millis(250));
    let delete = |selection| BulkDelete::builder(endpoint(), selection);
    assert_eq!(waits(delete(Selection::Everything), r#"{"deleted":3,"cursor":"c"}"#), quarter);
    assert_eq!(waits(delete(Selection::Ids(ids(2))).archived(), r#"{"dlqId":"r0"}"#), quarter);
    assert_eq!(waits(GetMany::builder(endpoint(), ids(2)), r#"{"dlqId":"r0"}"#), quarter);
    let page = r#"{"messages":[{"dlqId":"a"}],"cursor":"c"}"#;
    assert_eq!(waits(Listing::builder(endpoint(), List::everything()), page), quarter);
    let get = SingleCall::builder(endpoint(), GetMessage(DlqId::new("a").unwrap()));
    assert_eq!(waits(get, r#"{"dlqId":"a"}"#), None, "it was the only one");
}
