//! `upstash-dlq resume` and `upstash-dlq restart`.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::fleet;
use crate::bulk::{Job, Stand, usage};
use crate::cli::{Global, OverrideArgs, Settle, Start};
use crate::commands::delete;
use crate::input::selection::{self, Resolved};
use crate::input::time::Age;
use crate::listing::Speed;
use crate::output::report::Report;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::Terminal;
use crate::output::wording::{self, Words};
use serde::Serialize;
use std::process::ExitCode;
use upstash_dlq_core::{
    Bulk, BulkBuilder, Escaped, FlowControl, Halt, OutOfTurn, Overrides, Restart, Resume, Selection, Settlement,
    StartedRun, UnixMillis, Unsettled, Verb,
};

/// What the library gives to both verbs, but not to delete.
pub(crate) trait Starts: Verb {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self>;
}

impl Starts for Resume {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self> {
        builder.overrides(overrides)
    }
}

impl Starts for Restart {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self> {
        builder.overrides(overrides)
    }
}

pub(crate) fn run<V: Starts>(global: &Global, args: &Start) -> ExitCode {
    let terminal = Terminal::new(global);
    let words = Words::of::<V>();
    if args.dry_run && args.checkpoint.is_some() {
        return usage(Report::new(words, (None, None)), delete::NO_POSITION.into()).print(&terminal, global.json);
    }
    let (resolved, overrides) =
        match args.selection.resolve(Age::from_clock()).and_then(|s| Ok((s, args.overrides.build()?))) {
            Ok(both) => both,
            Err(sentence) => return usage(Report::new(words, (None, None)), sentence).print(&terminal, global.json),
        };
    let mut report = Report::new(words, resolved.window());
    report.missing = resolved.missing();
    start::<V>(global, args, words, resolved, overrides, report).print(&terminal, global.json)
}

fn start<V: Starts>(
    global: &Global,
    args: &Start,
    words: Words,
    resolved: Resolved,
    overrides: Overrides,
    report: Report,
) -> Report {
    let job = match Job::new(global, &args.selection, words, args.yes || args.dry_run, args.max) {
        Ok(job) => job,
        Err(sentence) => return usage(report, sentence),
    };
    let speed = Speed { lanes: args.parallel, rate: args.rate };
    if args.dry_run {
        return delete::dry_run(&job, resolved, speed, false, report);
    }
    let build = |selection: Selection| {
        let fingerprint = job.fingerprint(&selection);
        let builder = BulkBuilder::<V>::new(job.client.endpoint().clone(), selection)
            .fingerprint(fingerprint)
            .relative_times(args.selection.relative_times())
            .max(args.max)
            .retry(job.policy, job.client.seed());
        V::with(builder, overrides.clone())
    };
    let file = match args.checkpoint.clone().map(CheckpointFile::open).transpose() {
        Ok(file) => file,
        Err(sentence) => return usage(report, sentence),
    };
    let settlement = args.settle.map(Settlement::from);
    let selection = match resolved {
        Resolved::Ids(list) => {
            let settle = |bulk: &mut Bulk<V>| {
                settled(settlement, |how| bulk.settle(how))?;
                keep(bulk, settlement, file.as_ref())
            };
            return job.run_ids(list, build, file.as_ref(), settle, args.rate, report);
        }
        Resolved::Matching(selection) => selection,
    };
    fleet::run(&job, build(selection), speed, file.as_ref(), settlement, report)
}

/// Tells the machine what somebody has found out.
pub(crate) fn settled(
    settlement: Option<Settlement>,
    settle: impl FnOnce(Settlement) -> Result<(), OutOfTurn>,
) -> Result<(), String> {
    let nothing = |OutOfTurn| "--settle: no request waits to be settled: leave it out".to_owned();
    settlement.map_or(Ok(()), |how| settle(how).map_err(nothing))
}

/// What was told is on disk before anything comes of it.
pub(crate) fn keep(
    stand: &impl Stand,
    settlement: Option<Settlement>,
    file: Option<&CheckpointFile>,
) -> Result<(), String> {
    match (settlement, file) {
        (Some(_), Some(file)) => file.write(&Stand::checkpoint(stand)),
        _ => Ok(()),
    }
}

impl From<Settle> for Settlement {
    fn from(settle: Settle) -> Self {
        match settle {
            Settle::Applied => Self::Applied,
            Settle::NotApplied => Self::NotApplied,
        }
    }
}

impl OverrideArgs {
    fn build(&self) -> Result<Overrides, String> {
        let mut overrides = Overrides::builder();
        if let Some(retries) = self.set_retries {
            overrides = overrides.retries(retries);
        }
        if let Some(delay) = &self.set_delay {
            overrides = overrides.delay(delay.clone());
        }
        if let Some(expression) = &self.set_retry_delay {
            overrides = overrides.retry_delay(expression);
        }
        if let Some(key) = &self.set_flow_control_key {
            let mut flow = FlowControl::key(key);
            if let Some(parallelism) = self.set_parallelism {
                flow = flow.parallelism(parallelism);
            }
            flow = match (self.set_rate, &self.set_period) {
                (Some(rate), Some(period)) => flow.rate(rate, period.clone()),
                (Some(rate), None) => flow.rate_per_second(rate),
                (None, _) => flow,
            };
            overrides = overrides.flow_control(flow);
        }
        for label in &self.set_label {
            overrides = overrides.label(label);
        }
        if let Some(url) = &self.set_failure_callback {
            overrides = overrides.failure_callback(url);
        }
        overrides.build().map_err(|error| {
            let flag = match error.field() {
                "retryDelay" => "--set-retry-delay",
                "flowControlKey" => "--set-flow-control-key",
                "flowControl" => "--set-flow-control-key needs --set-parallelism or --set-rate",
                "parallelism" => "--set-parallelism",
                "rate" => "--set-rate",
                "label" => "--set-label",
                "failureCallback" => "--set-failure-callback",
                other => other,
            };
            selection::with_flag(&error, flag)
        })
    }
}

/// A run that was started, as a line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartedLine<'a> {
    workflow_run_id: &'a str,
    workflow_created_at: Option<UnixMillis>,
}

impl<'a> StartedLine<'a> {
    pub(crate) fn of(run: &'a StartedRun) -> String {
        let line = Self { workflow_run_id: &run.workflow_run_id, workflow_created_at: run.workflow_created_at };
        // A string and a number: nothing in it can fail to serialize.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// Where to look, and what to type then.
pub(crate) fn how_to_settle(
    unsettled: Option<Unsettled<'_>>,
    halt: &Halt,
    job: &Job<'_>,
    has_checkpoint: bool,
) -> String {
    let endpoint = job.client.endpoint();
    let Halt::Unsettled { asked, cause } = halt else { return wording::halt(halt, endpoint) };
    // What a listing shows says nothing of which runs were asked for.
    let compare = match unsettled {
        Some(Unsettled::Ids([first, _, ..])) => {
            format!(". {} is the first of the {asked} that were asked for", Escaped(first.as_str()))
        }
        Some(Unsettled::Ids(_)) => String::new(),
        _ => ". A list does not tell which runs were asked for: count with `upstash-dlq stats` and the same filters, and compare with the number that matched before".to_owned(),
    };
    let look = match unsettled {
        Some(Unsettled::Ids(ids)) => ids.first().and_then(|id| Suggestion::new("get", job.global).id(id.as_str())),
        unsettled => {
            let given = job.args.filters.words().into_iter().filter(|(name, _)| !matches!(*name, "from" | "to"));
            let mut list =
                given.fold(Suggestion::new("list", job.global), |list, (name, value)| list.option(name, value));
            if let Some(Unsettled::Listing(of_lane)) = unsettled {
                // Of the lane whose response was lost.
                let times = of_lane.filter().map_or((None, None), |filter| (filter.from(), filter.to()));
                for (name, at) in [("from", times.0), ("to", times.1)] {
                    list = at.into_iter().fold(list, |list, at| list.option(name, &at.to_string()));
                }
            }
            list.option("limit", &asked.to_string()).end()
        }
    };
    let look =
        look.map_or_else(|| "Look whether they are still in the DLQ".into(), |look| format!("Look with `{look}`"));
    let runs = if *asked == 1 { "1 run was".to_owned() } else { format!("up to {asked} runs were") };
    let then = if has_checkpoint {
        "then run the same command with --settle applied (they have left the DLQ) or --settle not-applied (they are still there)"
    } else {
        "and run the command again only for what is still there (with --checkpoint it could go on from here)"
    };
    let lost = wording::asked(cause.to_string(), cause, endpoint);
    format!("{lost}; it is unknown whether {runs} started. {look}, {then}{compare}")
}
