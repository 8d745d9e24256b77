//! A person who looks what became of a request in doubt.

use crate::client::context::Context;
use crate::network::LATEST_MS;
use http::Request;
use std::time::Duration;
use upstash_dlq_core::Settlement;
use upstash_dlq_core::operation::{Bulk, InDoubt};
use upstash_dlq_core::wire::{BulkOperation, Call};

/// Looks at each request in doubt, and settles it. `None` if one cannot be settled.
pub(super) fn settle<O: BulkOperation>(context: &Context, operation: &mut Bulk<O>) -> Option<Vec<Settlement>> {
    let mut settlements = Vec::new();
    while let Some(in_doubt) = operation.in_doubt() {
        let cursor = match &in_doubt {
            InDoubt::Ids(_) => None,
            InDoubt::Listing(list) => list.to_request(&context.endpoint).ok().as_ref().and_then(cursor_of),
        };
        let settlement = context.world.look(&in_doubt, cursor.as_deref())?;
        settlements.push(settlement);
        operation.settle(settlement).ok()?;
        if context.world.schedule.settles_one() && !context.world.is_calm() {
            break;
        }
    }
    Some(settlements)
}

fn cursor_of(request: &Request<()>) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).find_map(|(name, value)| (name == "cursor").then(|| value.into_owned()))
}

/// Waits until everything that was sent has arrived.
pub(super) async fn wait_for_arrivals(context: &Context) {
    tokio::time::sleep(Duration::from_millis(LATEST_MS + 30_000)).await;
    context.world.on_waited(&context.process);
}
