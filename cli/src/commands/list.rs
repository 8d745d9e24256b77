//! `upstash-dlq list`: a table for people, ids or NDJSON for programs.

use crate::cli::{List, ListOutput};
use crate::context::Context;
use crate::drive::{Parallelism, Stopped, each_page};
use crate::exit::{CommandError, ExitStatus};
use crate::output::newest::Newest;
use crate::output::progress::Progress;
use crate::output::runs;
use crate::output::table::{Stream, Table, screenful};
use crate::output::terminal::{Lost, Terminal, json_line, line, print_line};
use crate::output::text::{more_match, without_id};
use std::borrow::Cow;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use upstash_dlq_core::selection::Refinement;
use upstash_dlq_core::{DlqMessage, UnixMillis, wire};
use upstash_dlq_ureq::Client;

/// How many lines are printed at once, where all are there already.
const AT_ONCE: usize = 1_000;
/// So many bytes of lines are printed at once. Otherwise ten million lines would be ten million system calls, or a page of large
/// messages would be in memory once more.
const GATHERED: usize = 64 * 1024;

pub(crate) fn run(context: &Context<'_>, args: &List) -> Result<ExitStatus, CommandError> {
    let terminal = context.terminal;
    let output = output(args, terminal).map_err(CommandError::usage)?;
    let list = args.filters.listing(context.now).map_err(CommandError::usage)?;
    args.filters.unknown_states().iter().for_each(|note| terminal.note(note));
    let refinement = args.refinements.build().map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    // Whoever gave no limit wants to see what is there, and not a million lines rush by.
    let screen = (args.limit.is_none() && output == ListOutput::Table && std::io::stdout().is_terminal())
        .then(|| screenful() as u64);
    let limit = args.limit.map(std::num::NonZeroU64::get).or(screen).unwrap_or(u64::MAX);
    let listing = ToList { context, client: &client, args, list, limit };
    let is_refined = refinement.is_some();
    let mut printer = Printer::new(context, output, refinement);
    let (shown, left) = if args.newest_first { listing.newest(&mut printer) } else { listing.in_order(&mut printer) }?;
    if shown == 0 && printer.without_id == 0 && (is_refined || !terminal.json()) {
        terminal.note("no failed runs match");
    }
    if let Some(sentence) = left.filter(|_| screen.is_some()).and_then(Left::sentence) {
        terminal.note(&sentence);
    }
    if printer.without_id > 0 {
        terminal.note(&without_id(printer.without_id));
    }
    Ok(ExitStatus::Success)
}

/// What the runs are printed as. `--json` and another `--output` contradict each other.
fn output(args: &List, terminal: Terminal) -> Result<ListOutput, String> {
    match (args.output, terminal.json()) {
        (Some(ListOutput::Table | ListOutput::Ids), true) => {
            Err("--json and --output ask for different formats: give one of them".to_owned())
        }
        (Some(output), _) => Ok(output),
        (None, true) => Ok(ListOutput::Json),
        (None, false) => Ok(ListOutput::Table),
    }
}

/// What matches and is not shown.
#[derive(Clone, Copy)]
struct Left {
    /// As many were listed and not shown.
    known: u64,
    /// Whether there may be more than that.
    maybe_more: bool,
}

impl Left {
    /// `None` if everything is shown.
    fn sentence(self) -> Option<String> {
        let more = more_match(self.known, self.maybe_more)?;
        Some(format!("{more}; --limit N shows N of them, a pipe such as `| less` shows all"))
    }
}

struct ToList<'a> {
    context: &'a Context<'a>,
    client: &'a Client,
    args: &'a List,
    list: wire::List,
    limit: u64,
}

impl ToList<'_> {
    fn progress(&self) -> Progress {
        if std::io::stdout().is_terminal() {
            Progress::new(self.context.terminal, None, "listed")
        } else {
            // Whoever reads the list (`| less`) may write to the same terminal, where a bar would be drawn over it.
            Progress::in_lines(self.context.terminal, "listed")
        }
    }

    fn each_page(
        &self,
        list: wire::List,
        on_page: impl FnMut(&wire::ListPage) -> ControlFlow<()> + Send,
    ) -> Result<(), Stopped> {
        let (policy, terminal) = (self.context.policy(), self.context.terminal);
        let parallelism = Parallelism { lanes: self.args.parallel, rate: self.args.rate };
        let mut progress = self.progress();
        let pages = each_page(self.client, list, policy, parallelism, terminal, &mut progress, on_page);
        progress.finish();
        pages.result
    }

    /// Prints pages as they come. Returns how many runs were shown, and what is left if the limit was reached.
    fn in_order(&self, printer: &mut Printer) -> Result<(u64, Option<Left>), CommandError> {
        let list = self.list.clone().page_size(u32::try_from(self.limit).unwrap_or(u32::MAX));
        // The page that fills a screen tells how many more there are at least.
        // Of a page only some runs may meet a refinement.
        let is_refined = printer.refinement.is_some();
        let list =
            if self.args.limit.is_none() || is_refined { list.page_size(wire::List::MAX_PAGE_SIZE) } else { list };
        let (mut shown, mut lost, mut left) = (0_u64, None, None);
        let result = self.each_page(list, |page| {
            // A page of a lane whose response was on its way.
            if lost.is_some() || left.is_some() {
                return ControlFlow::Break(());
            }
            let messages = printer.chosen(&page.messages);
            let room = usize::try_from(self.limit - shown).unwrap_or(usize::MAX);
            let items: Vec<Item<'_>> = messages.iter().take(room).filter_map(|message| printer.item(message)).collect();
            let known = (messages.len() - items.len()) as u64;
            shown += items.len() as u64;
            lost = printer.print(items).err();
            if shown >= self.limit {
                left = Some(Left { known, maybe_more: page.cursor.is_some() || self.args.parallel.get() > 1 });
            }
            if lost.is_some() || left.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some(lost) = lost {
            return Err(lost.into());
        }
        result.map_err(|stopped| stopped.into_error(self.client.endpoint()))?;
        Ok((shown, left))
    }

    /// Reads all pages, and prints the newest runs at the end.
    fn newest(&self, printer: &mut Printer) -> Result<(u64, Option<Left>), CommandError> {
        let mut newest = Newest::new(usize::try_from(self.limit).unwrap_or(usize::MAX));
        let result = self.each_page(self.list.clone(), |page| {
            for message in printer.chosen(&page.messages) {
                newest.add(message.created_at(), || printer.item(message).map(Item::into_owned));
            }
            ControlFlow::Continue(())
        });
        result.map_err(|stopped| stopped.into_error(self.client.endpoint()))?;
        let seen = newest.seen();
        let mut items = newest.into_items().flatten().peekable();
        let mut shown = 0;
        while items.peek().is_some() {
            let part: Vec<Item<'_>> = items.by_ref().take(AT_ONCE).collect();
            shown += part.len() as u64;
            printer.print(part).map_err(CommandError::from)?;
        }
        Ok((shown, Some(Left { known: seen - shown, maybe_more: false })))
    }
}

/// One run, ready to be printed.
enum Item<'a> {
    Row([String; 7]),
    Line(Cow<'a, str>),
}

impl Item<'_> {
    fn into_owned(self) -> Item<'static> {
        match self {
            Self::Row(row) => Item::Row(row),
            Self::Line(line) => Item::Line(line.into_owned().into()),
        }
    }
}

/// Prints runs in one format.
struct Printer {
    output: ListOutput,
    table: Table<7>,
    now: UnixMillis,
    refinement: Option<Refinement>,
    /// How many could not be printed as an id.
    without_id: u64,
}

impl Printer {
    fn new(context: &Context<'_>, output: ListOutput, refinement: Option<Refinement>) -> Self {
        let table = runs::table(Stream::Output).bold(context.terminal.colours_results());
        Self { output, table, now: context.now.millis(), refinement, without_id: 0 }
    }

    /// The runs that meet the refinement and can be printed. Those that cannot are counted.
    fn chosen<'a>(&mut self, messages: &'a [DlqMessage]) -> Vec<&'a DlqMessage> {
        let meets = |message: &&DlqMessage| self.refinement.as_ref().is_none_or(|one| one.matches(message));
        let met: Vec<_> = messages.iter().filter(meets).collect();
        let ids = self.output == ListOutput::Ids;
        let all = met.len();
        let kept: Vec<_> = met.into_iter().filter(|message| !ids || message.dlq_id().is_some()).collect();
        self.without_id += (all - kept.len()) as u64;
        kept
    }

    /// `None` for a run without an id, where ids are printed.
    fn item<'a>(&self, message: &'a DlqMessage) -> Option<Item<'a>> {
        match self.output {
            ListOutput::Table => Some(Item::Row(runs::row(message, self.now))),
            ListOutput::Json => Some(Item::Line(json_line(message.as_json()))),
            ListOutput::Ids => message.dlq_id().map(|id| Item::Line(line(id.as_str()).into())),
        }
    }

    fn print(&mut self, items: Vec<Item<'_>>) -> Result<(), Lost> {
        let (mut gathered, mut rows) = (String::new(), Vec::new());
        for item in items {
            match item {
                Item::Row(row) => rows.push(row),
                Item::Line(line) => gather(&mut gathered, &line)?,
            }
        }
        if !rows.is_empty() {
            gathered = self.table.lines(&rows).join("\n");
        }
        if gathered.is_empty() { Ok(()) } else { print_line(&gathered) }
    }
}

/// Adds a line to those that are printed at once.
fn gather(lines: &mut String, line: &str) -> Result<(), Lost> {
    if !lines.is_empty() && lines.len() + line.len() >= GATHERED {
        print_line(lines)?;
        lines.clear();
    }
    if line.len() >= GATHERED {
        return print_line(line);
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines.push_str(line);
    Ok(())
}
