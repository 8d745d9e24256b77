//! `upstash-dlq demo`: the real stack against an emulator inside the process.

use crate::bulk::preview;
use crate::cli::Demo;
use crate::context::Context;
use crate::drive::{self, Handler, Parallelism};
use crate::exit::{CommandError, ExitStatus};
use crate::output::progress::Progress;
use crate::output::table::Stream;
use crate::output::terminal::print_line;
use crate::output::text::{requests, thousands};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::Duration;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::DeletePage;
use upstash_dlq_core::{BulkDelete, Driven, Endpoint, Filter, RetryPolicy, Selection, Token, Totals};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

pub(crate) fn run(context: &Context<'_>, args: &Demo) -> Result<ExitStatus, CommandError> {
    let now = context.now.millis();
    let count = usize::try_from(args.runs).unwrap_or(usize::MAX);
    let mut service = Service::new(Config::default());
    let runs = sample::runs(count, 1, now.get());
    let ids: Vec<String> = runs.iter().take(3).map(|run| run.dlq_id.clone()).collect();
    runs.into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).map_err(failed)?;
    print_line(&format!("An emulator with {} failed runs is listening on {}.", thousands(count as u64), server.url()))?;

    let endpoint = Token::new(LOCAL_TOKEN).and_then(|token| Endpoint::new(&server.url(), token)).map_err(failed)?;
    let client = context.client_for(endpoint.clone()).map_err(failed)?;
    let policy = RetryPolicy { base: Duration::from_millis(50), ..RetryPolicy::default() };

    let (_, counted) =
        preview::count(&client, &Selection::Everything, u64::MAX, now, policy, Parallelism::IN_ORDER, context.terminal);
    let preview = counted.map_err(|stopped| stopped.into_error(&endpoint))?;
    print_line(&format!("Listing all of them: {}. The first ones:", preview.sentence()))?;
    print_line(&preview.sample_lines(Stream::Output).join("\n"))?;

    // A lost response and a busy server on the way, so that the demo shows more than fair weather.
    let faults = vec![
        None,
        None,
        None,
        Some(Fault::ServerError(503)),
        None,
        Some(Fault::TooManyRequests { retry_after_s: None }),
    ];
    server.with_service(|service| {
        service.set_faults(FaultPlan::script([faults, vec![None; 8], vec![Some(Fault::LostResponse)]].concat()));
    });

    let by_label = Filter::builder().label("nightly").label("red & white").to(now).build().map_err(failed)?;
    let steps = [
        ("three of them by id", Selection::Ids(Ids::parse(ids).map_err(failed)?)),
        ("those labelled \"nightly\" or \"red & white\"", Selection::Filter(by_label)),
        ("everything else", Selection::Everything.until(now).map_err(failed)?),
    ];
    let mut total = Totals::default();
    for (what, selection) in steps {
        print_line(&format!("Deleting {what} …"))?;
        let mut bulk = BulkDelete::builder(endpoint.clone(), selection)
            .page_size(NonZeroU32::MIN.saturating_add(49))
            .retry(policy, client.seed())
            .build();
        let mut progress = Progress::new(context.terminal, None, "deleted");
        let driven = drive::run(&client, &mut bulk, &mut progress, Count);
        progress.finish();
        let Driven::Done(outcome) = driven else { return Err(CommandError::interrupted()) };
        if let Some(halt) = outcome.halted {
            return Err(failed(halt));
        }
        let totals = outcome.totals;
        let deleted = match totals.unconfirmed {
            0 => format!("{} deleted", thousands(totals.affected)),
            _ => format!("at least {} deleted, because responses were lost on the way", thousands(totals.affected)),
        };
        print_line(&format!(
            "  {deleted}; {} ({} retried); verified: {}",
            requests(totals.requests),
            thousands(totals.retries),
            if outcome.verified { "yes" } else { "no" }
        ))?;
        total.affected += totals.affected;
        total.requests += totals.requests;
    }
    let (truth, left) = server.with_service(|service| (service.deleted_total(), service.len()));
    print_line(&format!("The client counted {} deleted in {}.", thousands(total.affected), requests(total.requests)))?;
    print_line(&format!("The emulator counted {} deleted, {} left.", thousands(truth), thousands(left as u64)))?;
    if left > 0 || truth != count as u64 {
        return Err(failed("the emulator still holds runs that should be gone"));
    }
    Ok(ExitStatus::Success)
}

fn failed(error: impl ToString) -> CommandError {
    CommandError::new("failed", error.to_string())
}

/// Shows how many were deleted so far.
struct Count;

impl Handler<BulkDelete, DeletePage> for Count {
    fn on_page(&mut self, bulk: &mut BulkDelete, _: &DeletePage, progress: &mut Progress) -> ControlFlow<()> {
        progress.on_page(bulk.totals().affected);
        ControlFlow::Continue(())
    }
}
