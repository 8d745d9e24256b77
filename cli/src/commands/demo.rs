//! `upstash-dlq demo`: the way from a full DLQ to an empty one in six steps, with the real stack against an emulator inside the
//! process. Each step shows a command, and carries out what clap reads from it.

mod balance;
mod stage;

use crate::bulk::outcome::conclude;
use crate::bulk::preview;
use crate::cli::{Cli, Command, Demo};
use crate::commands::delete::delete_with;
use crate::commands::demo::balance::{Balance, Deleted};
use crate::commands::demo::stage::{INDENT, Stage, failed};
use crate::commands::stats;
use crate::context::Context;
use crate::drive::{self, Handler, Parallelism};
use crate::exit::{CommandError, ExitStatus};
use crate::input::selection::Resolved;
use crate::output::causes::Cause;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::table::{self, Stream};
use crate::output::text::{runs, thousands};
use crate::output::wording::{DELETE, RESUME};
use http::Method;
use std::ops::ControlFlow;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::{BulkPage, Resume, StartedPage};
use upstash_dlq_core::{BulkResume, Selection};
use upstash_dlq_emulator::Fault;

/// How many causes are shown.
const CAUSES: usize = 3;
/// Lines without a terminal are this wide, so that a cause stays on a line. In cells.
const WIDTH: usize = 100;
/// The label of step 4. Some of the sample runs carry it.
const LABEL: &str = "nightly";

pub(crate) fn run(context: &Context<'_>, args: &Demo) -> Result<ExitStatus, CommandError> {
    let terminal = context.terminal.indented(INDENT);
    let context = &Context { terminal, ..*context };
    let stage = Stage::build(context, args.runs)?;
    let total = u64::from(args.runs);
    stage.tell(&format!(
        "An emulator with {} is listening on {}. Nothing leaves this machine.",
        stats::failed_runs(total),
        stage.url()
    ))?;
    look(&stage)?;
    let cause = group(&stage)?;
    let kept = keep_and_delete(&stage, cause.as_ref())?;
    let labelled = lose_a_response(&stage)?;
    let resumed = resume(&stage)?;
    verify(&stage, Balance { total, kept, labelled, resumed, ..Balance::default() })?;
    Ok(ExitStatus::Success)
}

fn look(stage: &Stage<'_>) -> Result<(), CommandError> {
    stage.step("1. Look: which runs have failed?", &["list"])?;
    let (everything, now) = (Selection::Everything, stage.context.now.millis());
    let (client, terminal) = (&stage.client, stage.context.terminal);
    let (_, counted) =
        preview::count(client, &everything, u64::MAX, now, stage.policy, Parallelism::IN_ORDER, terminal);
    let preview = counted.map_err(|stopped| stage.stopped(stopped))?;
    stage.result(&format!("{}.", preview.sentence()))?;
    stage.lines(&preview.sample_lines(Stream::Output))
}

/// Returns the cause whose runs are deleted: the second most frequent, so that it is seen to be a choice.
fn group(stage: &Stage<'_>) -> Result<Option<Cause>, CommandError> {
    let cli = stage.step("2. Group by error: which causes are behind them?", &["stats"])?;
    let tally = stage.count(&cli)?;
    let total = tally.total;
    let (mut causes, others) = tally.causes.sorted();
    if causes.is_empty() {
        stage.result("There are none.")?;
        return Ok(None);
    }
    let width = table::width(Stream::Output).unwrap_or(WIDTH).max(40);
    stage.lines(&stats::cause_lines(&causes, others, total, CAUSES, width, stage.context.terminal.zone()))?;
    Ok(Some(causes.swap_remove(usize::from(causes.len() > 1))))
}

fn keep_and_delete(stage: &Stage<'_>, cause: Option<&Cause>) -> Result<Deleted, CommandError> {
    let title = "3. Keep and delete: nobody needs the runs of one cause, but a copy is kept.";
    let Some(cause) = cause else {
        stage.say(title)?;
        stage.result("There is no cause, so there is nothing to keep.")?;
        return Ok(Deleted::default());
    };
    let error = format!("--error={}", cause.signature);
    let cli = stage.step(title, &["delete", &error, "--archive=copy.ndjson", "--yes"])?;
    let before = stage.truly_deleted();
    let report = delete(stage, cli)?;
    stage.result(&report.sentence())?;
    let truly = stage.truly_deleted() - before;
    let lines = stage.archived()?;
    stage.result(&format!(
        "The file holds {}. Each run was on disk before it was deleted.",
        if lines == 1 { "1 message".into() } else { format!("{} messages", thousands(lines)) }
    ))?;
    Ok(Deleted { told: report.runs(), or_more: 0, truly, expected: cause.runs, archived: Some(lines), left: 0 })
}

fn lose_a_response(stage: &Stage<'_>) -> Result<Deleted, CommandError> {
    let label = format!("--label={LABEL}");
    let title = "4. Trouble on the way: the service is busy once, fails once, and one response is lost.";
    let cli = stage.step(title, &["delete", &label, "--parallel=1", "--yes"])?;
    let expected = stage.labelled(LABEL);
    let before = stage.truly_deleted();
    // One request after another, so that each demo tells the same. The first page is understood, so that the count is not zero
    // where only a few runs match.
    let busy = Fault::TooManyRequests { retry_after_s: None };
    let faults = [Some(Fault::ServerError(503)), None, Some(busy), Some(Fault::LostResponse)];
    let page_size = match &cli.command {
        Command::Delete(args) => u64::from(args.page_size.get()),
        _ => 0,
    };
    let report = stage.with_faults(&faults, Method::DELETE, || delete(stage, cli))?;
    stage.result(&report.sentence())?;
    let truly = stage.truly_deleted() - before;
    stage.result(&if report.is_exact() {
        format!("No response was lost, so {} is exact. The emulator deleted {}.", told(&report), thousands(truly))
    } else {
        format!(
            "Nobody knows what the unconfirmed requests did, so {} is a lower bound. The emulator deleted {}.",
            told(&report),
            thousands(truly)
        )
    })?;
    let or_more = report.unconfirmed() * page_size;
    Ok(Deleted { told: report.runs(), or_more, truly, expected, archived: None, left: stage.labelled(LABEL) })
}

fn told(report: &Report) -> String {
    thousands(report.runs())
}

/// Returns how many runs the client counted.
fn resume(stage: &Stage<'_>) -> Result<u64, CommandError> {
    let title = "5. Recover: the cause of the rest is mended, so each run goes on where it failed.";
    let cli = stage.step(title, &["resume", "--all", "--yes"])?;
    let Command::Resume(args) = &cli.command else { return Err(failed("the command does not resume")) };
    let Resolved::Matching(selection) = args.selection.resolve(stage.context.now).map_err(failed)? else {
        return Err(failed("the command selects no runs"));
    };
    let bulk = stage.bulk(&args.selection, RESUME);
    let mut operation: BulkResume = bulk.builder::<Resume>(selection).build();
    let mut progress = Progress::new(bulk.terminal(), None, RESUME.done);
    let mut started = Started::default();
    let report = Report::new(RESUME, (None, None));
    let driven = drive::run(&stage.client, &mut operation, &mut progress, &mut started);
    progress.finish();
    let report = stage.completed(conclude(&bulk, &operation, None, driven, None, None, report))?;
    stage.result(&report.sentence())?;
    stage.result(&match started.last {
        Some(last) => {
            let runs = if started.count == 1 { "run" } else { "runs" };
            format!("The service started {} new {runs}; the last one is {}.", thousands(started.count), Escaped(&last))
        }
        None => "Nothing was left to start.".into(),
    })?;
    Ok(started.count)
}

fn verify(stage: &Stage<'_>, balance: Balance) -> Result<(), CommandError> {
    let cli = stage.step("6. Verify: what is left, and does the emulator agree?", &["stats"])?;
    let listed = stage.count(&cli)?.total;
    let balance = stage.truth(Balance { listed, ..balance });
    stage.result(&format!("{}.", stats::failed_runs(listed)))?;
    let Balance { kept, labelled, resumed, .. } = &balance;
    let least = if labelled.or_more == 0 { "" } else { "at least " };
    stage.result(&format!(
        "The client counted {} deleted and kept, {least}{} deleted, {} resumed.",
        thousands(kept.told),
        thousands(labelled.told),
        thousands(*resumed)
    ))?;
    stage.result(&format!(
        "The emulator counted {} and {} deleted, {} resumed, none of them twice.",
        thousands(kept.truly),
        thousands(labelled.truly),
        thousands(balance.started)
    ))?;
    balance.check().map_err(failed)?;
    stage.result(&format!(
        "Together {} of {}: nothing is lost, and nothing is left.",
        thousands(balance.handled()),
        runs(balance.total)
    ))
}

/// Deletes as `upstash-dlq delete` does.
fn delete(stage: &Stage<'_>, cli: Cli) -> Result<Report, CommandError> {
    let Command::Delete(mut args) = cli.command else { return Err(failed("the command does not delete")) };
    // Not where somebody may have a file of this name.
    args.archive = args.archive.map(|name| stage.folder.path().join(name));
    let resolved = args.selection.resolve(stage.context.now).map_err(failed)?;
    let bulk = stage.bulk(&args.selection, DELETE);
    let report = Report::new(DELETE, resolved.window());
    stage.completed(delete_with(&bulk, &args, resolved, None, report))
}

/// Counts the runs that were started. The command prints each of them.
#[derive(Default)]
struct Started {
    count: u64,
    last: Option<String>,
}

impl Handler<Bulk<Resume>, StartedPage> for Started {
    fn on_page(&mut self, bulk: &mut Bulk<Resume>, page: &StartedPage, progress: &mut Progress) -> ControlFlow<()> {
        self.count += page.started().len() as u64;
        if let Some(run) = page.started().last() {
            self.last = Some(run.workflow_run_id.clone());
        }
        progress.on_page(bulk.totals().affected);
        ControlFlow::Continue(())
    }
}
