//! `upstash-dlq demo`: the real stack against an emulator inside the process.

use crate::bulk::preview;
use crate::cli::{Demo, Global};
use crate::context;
use crate::input::time::Age;
use crate::interrupt;
use crate::listing::Speed;
use crate::output::failure::{self, Failure};
use crate::output::progress::Progress;
use crate::output::report::thousands;
use crate::output::table::Stream;
use crate::output::terminal::{Lost, Terminal, print_line};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;
use upstash_dlq_core::{
    Bulk, BulkDelete, DeletePage, Driven, Endpoint, Event, Filter, Ids, Observer, RetryPolicy, Selection, Token,
    Totals, drive,
};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

pub(crate) fn run(global: &Global, args: &Demo) -> ExitCode {
    interrupt::install();
    let terminal = Terminal::new(global);
    match show(global, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Output(lost)) => failure::lost(terminal, lost, 1),
        Err(Stop::Failed(_)) if interrupt::requested() => {
            terminal.interrupted();
            ExitCode::from(interrupt::EXIT_STATUS)
        }
        Err(Stop::Failed(sentence)) => Failure::new("failed", sentence).tell(terminal),
    }
}

enum Stop {
    Failed(String),
    Output(Lost),
}

impl From<String> for Stop {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<Lost> for Stop {
    fn from(lost: Lost) -> Self {
        Self::Output(lost)
    }
}

fn show(global: &Global, args: &Demo) -> Result<(), Stop> {
    let sentence = |error: &dyn std::fmt::Display| error.to_string();
    let now = Age::from_clock().now();
    let count = usize::try_from(args.runs).unwrap_or(usize::MAX);
    let mut service = Service::new(Config::default());
    let runs = sample::runs(count, 1, now.get());
    let ids: Vec<String> = runs.iter().take(3).map(|run| run.dlq_id.clone()).collect();
    runs.into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).map_err(|e| sentence(&e))?;
    print_line(&format!("An emulator with {} failed runs listens on {}.", thousands(count as u64), server.url()))?;

    let endpoint =
        Token::new(LOCAL_TOKEN).and_then(|token| Endpoint::new(&server.url(), token)).map_err(|e| sentence(&e))?;
    let client = context::client(global, endpoint.clone())?;
    let policy = RetryPolicy { base: Duration::from_millis(50), ..RetryPolicy::default() };

    let (_, counted) =
        preview::count(&client, &Selection::Everything, u64::MAX, policy, Speed::IN_ORDER, Terminal::new(global));
    let preview = counted.map_err(|_| "the listing failed".to_owned())?;
    print_line(&format!("Listing them all: {}. The first are", preview.sentence()))?;
    print_line(&preview.sample_lines(Stream::Output).join("\n"))?;

    // A lost answer and a busy server on the way, so that the demo shows more than fair weather.
    let faults = vec![
        None,
        None,
        None,
        Some(Fault::ServerError(503)),
        None,
        Some(Fault::TooManyRequests { retry_after_s: None }),
    ];
    server.with_service(|service| {
        service.set_faults(FaultPlan::script([faults, vec![None; 8], vec![Some(Fault::LostAnswer)]].concat()));
    });

    let by_label = Filter::builder().label("nightly").label("red & white").to(now).build().map_err(|e| sentence(&e))?;
    let steps = [
        ("three of them by id", Selection::Ids(Ids::parse(ids).map_err(|e| sentence(&e))?)),
        ("those labelled \"nightly\" or \"red & white\"", Selection::Filter(by_label)),
        ("everything else", Selection::Everything.until(now).map_err(|e| sentence(&e))?),
    ];
    let mut total = Totals::default();
    for (what, selection) in steps {
        print_line(&format!("Deleting {what} …"))?;
        let mut bulk = BulkDelete::new(endpoint.clone(), selection)
            .page_size(NonZeroU32::MIN.saturating_add(49))
            .retry(policy, client.seed())
            .build();
        let mut watch = Watch(Progress::new(Terminal::new(global), None, "deleted"));
        let driven = drive(&mut bulk, |request| client.send(request), interrupt::sleep, &mut watch);
        watch.0.finish();
        let Driven::Done(outcome) = driven else { return Err(Stop::Failed("interrupted".into())) };
        if let Some(halt) = outcome.halted {
            return Err(halt.to_string().into());
        }
        let totals = outcome.totals;
        let unconfirmed = if totals.unconfirmed > 0 { " or more, as answers were lost on the way" } else { "" };
        print_line(&format!(
            "  {} deleted{unconfirmed}; {} requests, {} of them retries; verified: {}",
            thousands(totals.runs),
            thousands(totals.requests),
            thousands(totals.retries),
            if outcome.verified { "yes" } else { "no" }
        ))?;
        total.runs += totals.runs;
        total.requests += totals.requests;
    }
    let (truth, left) = server.with_service(|service| (service.deleted_total(), service.len()));
    print_line(&format!(
        "The client counted {} deleted in {} requests.",
        thousands(total.runs),
        thousands(total.requests)
    ))?;
    print_line(&format!("The emulator counted {} deleted, {} left.", thousands(truth), thousands(left as u64)))?;
    if left > 0 || truth != count as u64 {
        return Err(Stop::Failed("the emulator still holds runs that should be gone".into()));
    }
    Ok(())
}

struct Watch(Progress);

impl Observer<Bulk> for Watch {
    fn before_send(&mut self, _: &Bulk) -> std::ops::ControlFlow<()> {
        if interrupt::requested() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }

    fn after(&mut self, bulk: &Bulk, event: &Event<DeletePage>) -> std::ops::ControlFlow<()> {
        match event {
            Event::Page(_) => self.0.on_page(bulk.totals().runs),
            Event::Retry(retried) => self.0.on_retry(retried),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    }
}
