//! Settles a start whose response was lost: says how to find out what happened, and tells the operation.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::{BulkContext, Window};
use crate::interrupt;
use crate::output::suggestion::Suggestion;
use crate::output::time::Zone;
use crate::output::wording;
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::operation::{Bulk, InDoubt};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{Halt, Settlement};

/// Tells the operation what happened, and saves that before anything further is sent. An operation that has not begun has
/// nothing to settle.
///
/// A request that an earlier process left in flight was shown to nobody. Whoever gives the option cannot mean that one: the same
/// command was run again, or the process was killed while it went on after a settlement. So the option is left out, and the command
/// halts and shows the request.
pub(crate) fn apply(
    bulk: &BulkContext<'_>,
    settlement: Option<Settlement>,
    operation: Option<&mut Bulk<impl BulkOperation>>,
    file: Option<&CheckpointFile>,
) -> Result<(), String> {
    let Some(settlement) = settlement else { return Ok(()) };
    let nothing = || "--settle: there is no request to settle: leave it out".to_owned();
    let operation = operation.ok_or_else(nothing)?;
    if let Some(Halt::InDoubt { cause: Cause::ProcessEnded, .. }) = operation.outcome_so_far().halted {
        bulk.terminal().note("--settle is left out: nobody has been shown the request that is in doubt now");
        return Ok(());
    }
    operation.settle(settlement).map_err(|_| nothing())?;
    file.map_or(Ok(()), |file| file.write(&operation.checkpoint().to_json()))
}

/// Prepares what a second interrupt says while requests that change something are in flight. `window` is the
/// one that the operation acts on.
pub(crate) fn announce<O: BulkOperation>(bulk: &BulkContext<'_>, has_checkpoint: bool, window: Window) {
    if O::RETRY_SAFE {
        let done = bulk.verb.done;
        let again = if has_checkpoint { wording::AGAIN.to_owned() } else { bulk.again(window, None) };
        interrupt::say_if_left(format!("some of the runs that were asked for may have been {done}; {again}"));
        return;
    }
    let then = if has_checkpoint {
        "Then run the same command again: it sends nothing, and says how to find out what happened and how to settle the request"
    } else {
        "Then list what is still in the DLQ. A run that is still listed may have been started all the same: look for it before you start it again"
    };
    let wait = bulk.context.wait_for_late_requests();
    interrupt::say_if_left(format!(
        "it is unknown whether the runs that were asked for were {}. {wait}. {then}",
        bulk.verb.done
    ));
}

/// How to find out what happened, and which command to run then.
pub(crate) fn how_to(
    operation: &Bulk<impl BulkOperation>,
    halt: &Halt,
    bulk: &BulkContext<'_>,
    has_checkpoint: bool,
) -> String {
    let in_doubt = operation.in_doubt();
    let endpoint = bulk.client.endpoint();
    let Halt::InDoubt { asked, cause } = halt else { return wording::halt(halt, endpoint) };
    // No listing shows which runs a request by filter was for.
    let compare = match in_doubt {
        Some(InDoubt::Ids([_, _, ..])) => {
            format!(", the first of the {asked} that were requested")
        }
        Some(InDoubt::Ids(_)) => String::new(),
        _ => format!(
            ": if it was carried out, up to {asked} runs fewer match than before. Which runs it was for, the service does not say: with --parallel 2 the command lists them first, and names one"
        ),
    };
    let look = match in_doubt {
        Some(InDoubt::Ids(ids)) => {
            ids.first().and_then(|id| Suggestion::new("get", bulk.context.global).id(id.as_str()))
        }
        in_doubt => {
            let given = bulk.args.filters.as_given().into_iter().filter(|(name, _)| !matches!(*name, "from" | "to"));
            let mut stats = given
                .fold(Suggestion::new("stats", bulk.context.global), |stats, (name, value)| stats.option(name, value));
            if let Some(InDoubt::Listing(of_lane)) = in_doubt {
                // The window of the lane whose response was lost.
                let times = of_lane.filter().map_or((None, None), |filter| (filter.from(), filter.to()));
                for (name, at) in [("from", times.0), ("to", times.1)] {
                    stats = at.into_iter().fold(stats, |stats, at| stats.option(name, &Zone::Utc.moment(at)));
                }
            }
            stats.end()
        }
    };
    let look =
        look.map_or_else(|| "Check whether they are still in the DLQ".into(), |look| format!("Check with `{look}`"));
    let runs = if *asked == 1 { "1 run was".to_owned() } else { format!("up to {asked} runs were") };
    let then = if has_checkpoint {
        "Then run the same command with --settle applied (they have left the DLQ, or new runs of theirs have begun) or --settle not-applied (they are still there, and none has begun)"
    } else {
        "Then run the command again only for runs that were not started: one that is still listed may have been (with --checkpoint it could continue from here)"
    };
    let lost = wording::asked(cause.to_string(), cause, endpoint);
    let others = match operation.all_in_doubt() {
        (0 | 1, _) => String::new(),
        (requests, runs) => format!(
            ". {requests} requests are in doubt, for up to {runs} runs in all: each is named and settled by itself, and this is the first"
        ),
    };
    let wait = bulk.context.wait_for_late_requests();
    format!("{lost}; it is unknown whether {runs} started. {wait}. {look}{compare}. {then}{others}")
}
