//! `upstash-dlq list`: a table for people, NDJSON for programs.

use crate::cli::{Global, List};
use crate::context;
use crate::input::time::{self, Age};
use crate::interrupt;
use crate::listing::{Speed, each_page};
use crate::output::failure::{Failure, conclude};
use crate::output::progress::Progress;
use crate::output::table::{Stream, Table, width};
use crate::output::terminal::{Terminal, json_line, print_line};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::process::ExitCode;
use upstash_dlq_core::{DlqMessage, List as Listing, RetryPolicy};

pub(crate) fn run(global: &Global, args: &List) -> ExitCode {
    let terminal = Terminal::new(global);
    let now = Age::from_clock();
    let prepared =
        args.filters.listing(now).and_then(|list| Ok((list, context::client(global, context::endpoint(global)?)?)));
    let (list, client) = match prepared {
        Ok(prepared) => prepared,
        Err(sentence) => return Failure::usage(sentence).tell(terminal),
    };
    let limit = args.limit.map_or(u64::MAX, std::num::NonZeroU64::get);
    let list = list.page_size(u32::try_from(limit).unwrap_or(u32::MAX));
    let policy = RetryPolicy { max_attempts: global.max_attempts, ..RetryPolicy::default() };
    interrupt::install();

    let speed = Speed { lanes: args.parallel, rate: args.rate };
    let mut progress = if std::io::stdout().is_terminal() {
        Progress::new(terminal, None, "listed")
    } else {
        // Whoever reads the list (`| less`) may write to the same terminal, where a bar would be drawn over it.
        Progress::in_lines(terminal, "listed")
    };
    let mut table = table(Stream::Output).bold(terminal.colours_results());
    let mut shown = 0_u64;
    let mut lost = None;
    let (_, result) = each_page(&client, list, policy, speed, terminal, &mut progress, |page| {
        // Of lanes whose response was on its way.
        if lost.is_some() {
            return ControlFlow::Break(());
        }
        let room = usize::try_from(limit - shown).unwrap_or(usize::MAX);
        let messages = page.messages.get(..room.min(page.messages.len())).unwrap_or_default();
        shown += messages.len() as u64;
        let lines: Vec<String> = if global.json {
            messages.iter().map(|message| json_line(message.as_json())).collect()
        } else if messages.is_empty() {
            Vec::new()
        } else {
            table.lines(&messages.iter().map(|message| row(message, now)).collect::<Vec<_>>())
        };
        // A page at once: ten million lines are that many system calls otherwise.
        if !lines.is_empty() {
            lost = print_line(&lines.join("\n")).err();
        }
        if lost.is_some() || shown >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish();
    let result = lost.map_or(result, |lost| Err(lost.into()));
    conclude(terminal, client.endpoint(), result, || {
        if shown == 0 && !global.json {
            terminal.note("no failed run matches");
        }
        Ok(())
    })
}

impl crate::cli::Filters {
    /// Without a filter everything, with no end in time.
    pub(crate) fn listing(&self, now: Age) -> Result<Listing, String> {
        if self.is_empty() { Ok(Listing::everything()) } else { self.build(now).map(Listing::matching) }
    }
}

/// A table of runs.
pub(crate) fn table(stream: Stream) -> Table<7> {
    Table::new(["ID", "WORKFLOW URL", "RUN ID", "LABEL", "STATE", "STATUS", "AGE"], &[0], width(stream))
}

pub(crate) fn row(message: &DlqMessage, now: Age) -> [String; 7] {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let labels = message.labels().join(", ");
    let state = message.failure_function_state();
    [
        or_dash(message.dlq_id().as_ref().map(|id| id.as_str())),
        or_dash(message.workflow_url().as_deref()),
        or_dash(message.workflow_run_id().as_deref()),
        or_dash(Some(labels.as_str()).filter(|labels| !labels.is_empty())),
        or_dash(state.as_ref().map(|state| state.as_str())),
        message.response_status().map_or_else(|| "-".into(), |status| status.to_string()),
        message.created_at().map_or_else(|| "-".into(), |at| time::age(at, now)),
    ]
}
