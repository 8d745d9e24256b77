//! `upstash-dlq list`: a table for people, NDJSON for programs.

use crate::cli::List;
use crate::context::Context;
use crate::drive::{Parallelism, each_page};
use crate::exit::{CommandError, ExitStatus};
use crate::output::progress::Progress;
use crate::output::runs;
use crate::output::table::Stream;
use crate::output::terminal::{Lost, json_line, print_line};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use upstash_dlq_core::DlqMessage;

/// So many bytes of messages are printed at once. Otherwise ten million lines would be ten million system calls, or a page of large
/// messages would be in memory once more.
const GATHERED: usize = 64 * 1024;

fn print_messages(messages: &[DlqMessage]) -> Result<(), Lost> {
    let mut lines = String::new();
    for message in messages {
        let json = message.as_json();
        if !lines.is_empty() && lines.len() + json.len() >= GATHERED {
            print_line(&lines)?;
            lines.clear();
        }
        if json.len() >= GATHERED {
            print_line(&json_line(json))?;
            continue;
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(&json_line(json));
    }
    if lines.is_empty() { Ok(()) } else { print_line(&lines) }
}

pub(crate) fn run(context: &Context<'_>, args: &List) -> Result<ExitStatus, CommandError> {
    let terminal = context.terminal;
    let list = args.filters.listing(context.now).map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    let limit = args.limit.map_or(u64::MAX, std::num::NonZeroU64::get);
    let list = list.page_size(u32::try_from(limit).unwrap_or(u32::MAX));
    let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
    let mut progress = if std::io::stdout().is_terminal() {
        Progress::new(terminal, None, "listed")
    } else {
        // Whoever reads the list (`| less`) may write to the same terminal, where a bar would be drawn over it.
        Progress::in_lines(terminal, "listed")
    };
    let mut table = runs::table(Stream::Output).bold(terminal.colours_results());
    let mut shown = 0_u64;
    let mut lost = None;
    let (_, result) = each_page(&client, list, context.policy(), parallelism, terminal, &mut progress, |page| {
        // A page of a lane whose response was on its way.
        if lost.is_some() {
            return ControlFlow::Break(());
        }
        let room = usize::try_from(limit - shown).unwrap_or(usize::MAX);
        let messages = page.messages.get(..room.min(page.messages.len())).unwrap_or_default();
        shown += messages.len() as u64;
        if terminal.json() {
            lost = print_messages(messages).err();
        } else if !messages.is_empty() {
            let now = context.now.millis();
            let rows: Vec<_> = messages.iter().map(|message| runs::row(message, now)).collect();
            lost = print_line(&table.lines(&rows).join("\n")).err();
        }
        if lost.is_some() || shown >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish();
    if let Some(lost) = lost {
        return Err(lost.into());
    }
    result.map_err(|stopped| stopped.into_error(client.endpoint()))?;
    if shown == 0 && !terminal.json() {
        terminal.note("no failed runs match");
    }
    Ok(ExitStatus::Success)
}
