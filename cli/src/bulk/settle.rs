//! Settles a start whose response was lost: says how to find out what happened, and tells the operation.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::BulkContext;
use crate::input::selection::Window;
use crate::interrupt;
use crate::output::suggestion::Suggestion;
use crate::output::time::Zone;
use crate::output::wording;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::operation::{Bulk, InDoubt};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{DlqId, Halt, Settlement};

/// Tells the operation what happened, and saves that before anything further is sent. An operation that has not begun has
/// nothing to settle.
///
/// `is_shown` is whether an earlier process has shown the request that is in doubt. If none has, whoever gives the option cannot mean
/// this one: the same command was run again, or the process was killed, or its disk was full, after a settlement. So the option is
/// left out, and the command halts and shows the request.
pub(crate) fn apply(
    bulk: &BulkContext<'_>,
    settlement: Option<Settlement>,
    operation: Option<&mut Bulk<impl BulkOperation>>,
    is_shown: bool,
    file: Option<&CheckpointFile>,
) -> Result<(), String> {
    let Some(settlement) = settlement else { return Ok(()) };
    let nothing = || "--settle: there is no request to settle: leave it out".to_owned();
    let operation = operation.ok_or_else(nothing)?;
    if operation.in_doubt().is_some() && !is_shown {
        bulk.terminal().note("--settle is left out: you may not have been shown the request that is in doubt now");
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
    let names_runs = matches!(in_doubt, Some(InDoubt::Ids(_)));
    let look = match in_doubt {
        Some(InDoubt::Ids(ids)) => look_at_first(ids, *asked, bulk),
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
            look_at_count(stats.end(), started_before(operation), *asked)
        }
    };
    let runs = if *asked == 1 { "1 run was".to_owned() } else { format!("up to {asked} runs were") };
    let then = match (has_checkpoint, names_runs) {
        (true, true) => {
            "Then run the same command with --settle applied (they have left the DLQ, or new runs of theirs have begun) or --settle not-applied (they are still there, and none has begun)"
        }
        // The next request is for whatever the service lists then.
        (true, false) => {
            "Then run the same command with --settle applied (they were started, and have left the DLQ: one that is still listed would be started again) or --settle not-applied (none was started). With --parallel 2 from the beginning, a request names its runs"
        }
        (false, _) => {
            "Then run the command again only for runs that were not started: one that is still listed may have been (with --checkpoint it could continue from here)"
        }
    };
    let lost = wording::asked(cause.to_string(), cause, endpoint);
    let others = match operation.all_in_doubt() {
        (0 | 1, _) => String::new(),
        (requests, runs) if !has_checkpoint => format!(
            ". {requests} requests are in doubt, for up to {runs} runs in all, and this is the first; without --checkpoint the others cannot be named: of all runs that are still listed, look whether they have begun"
        ),
        (requests, runs) => format!(
            ". {requests} requests are in doubt, for up to {runs} runs in all: each is named and settled by itself, and this is the first"
        ),
    };
    let wait = bulk.context.wait_for_late_requests();
    format!("{lost}; it is unknown whether {runs} started. {wait}. {look}. {then}{others}")
}

/// Looks for the first of the runs that a request named.
fn look_at_first(ids: &[DlqId], asked: u64, bulk: &BulkContext<'_>) -> String {
    let Some(id) = ids.first() else { return "Check whether they are still in the DLQ".to_owned() };
    let first = if ids.len() > 1 { format!(", the first of the {asked} that were requested") } else { String::new() };
    match Suggestion::new("get", bulk.context.global).id(id.as_str()) {
        Some(command) => format!("Check with `{command}`{first}"),
        None if ids.len() > 1 => format!("Check whether {}{first}, is still in the DLQ", Escaped(id.as_str())),
        None => format!("Check whether {} is still in the DLQ", Escaped(id.as_str())),
    }
}

/// How many runs were started before the request in doubt. `None` if that is not known: a request that was settled as carried out
/// started some, and nobody knows how many.
fn started_before(operation: &Bulk<impl BulkOperation>) -> Option<u64> {
    let totals = operation.totals();
    (totals.unconfirmed <= operation.all_in_doubt().0 as u64).then_some(totals.affected)
}

/// Counts what matches. `done` is how many runs were started before this request, if that is known.
fn look_at_count(command: Option<String>, done: Option<u64>, asked: u64) -> String {
    let look = command.map_or_else(|| "Count what matches".to_owned(), |command| format!("Check with `{command}`"));
    match done {
        None | Some(0) => {
            format!("{look}: if it was carried out, the total is up to {asked} lower than just before it")
        }
        Some(done) => format!(
            "{look}: the total is {done} lower than at the beginning if it was not carried out, and up to {asked} lower still if it was"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::look_at_count;

    #[test]
    fn what_was_started_before_is_no_sign_that_this_request_was() {
        let command = || Some("stats".to_owned());
        assert_eq!(
            look_at_count(command(), Some(0), 1),
            "Check with `stats`: if it was carried out, the total is up to 1 lower than just before it"
        );
        assert_eq!(
            look_at_count(command(), Some(50), 20),
            "Check with `stats`: the total is 50 lower than at the beginning if it was not carried out, and up to 20 lower still if it was"
        );
        // Nor is it known how many a request has started that was settled as carried out.
        assert_eq!(look_at_count(command(), None, 1), look_at_count(command(), Some(0), 1));
        assert!(look_at_count(None, Some(0), 50).starts_with("Count what matches: if it was"));
    }
}
