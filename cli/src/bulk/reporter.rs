//! Saves the position before each request of a bulk operation, and prints the runs it started afterwards. If either fails,
//! nothing further is sent.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::drive::Handler;
use crate::output::progress::Progress;
use crate::output::runs;
use crate::output::terminal::{Lost, Terminal, json_line, print_line};
use std::ops::ControlFlow;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::BulkPage;
use upstash_dlq_core::wire::{BulkOperation, StartedRun};

pub(crate) struct BulkReporter<'a> {
    terminal: Terminal,
    file: Option<&'a CheckpointFile>,
    /// Why no further request is sent.
    pub(crate) broken: Option<Broken>,
}

/// What could not be written, and has to be before anything further is sent.
pub(crate) enum Broken {
    Checkpoint(String),
    /// The ids of started runs, which nothing else records.
    Output(Lost),
}

impl<'a> BulkReporter<'a> {
    pub(crate) fn new(terminal: Terminal, file: Option<&'a CheckpointFile>) -> Self {
        Self { terminal, file, broken: None }
    }

    fn unless_broken(&self) -> ControlFlow<()> {
        if self.broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn started_line(&self, run: &StartedRun) -> String {
        if self.terminal.json() {
            json_line(&runs::started(run)).into_owned()
        } else {
            format!("started {}", Escaped(&run.workflow_run_id))
        }
    }
}

impl<O: BulkOperation> Handler<Bulk<O>, O::Page> for BulkReporter<'_> {
    /// Returns once the position is on disk.
    fn before_send(&mut self, operation: &Bulk<O>, progress: &mut Progress) -> ControlFlow<()> {
        progress.begin_at(operation.totals().affected);
        self.unless_broken()?;
        if let Some(Err(sentence)) = self.file.map(|file| file.write(&operation.checkpoint().to_json())) {
            self.broken = Some(Broken::Checkpoint(sentence));
        }
        self.unless_broken()
    }

    fn on_page(&mut self, operation: &mut Bulk<O>, page: &O::Page, progress: &mut Progress) -> ControlFlow<()> {
        let lines: Vec<String> = page.started().iter().map(|run| self.started_line(run)).collect();
        if !lines.is_empty() {
            let text = lines.join("\n");
            if let Err(lost) = print_line(&text) {
                self.terminal.rescue(&lost, &text);
                self.broken.get_or_insert(Broken::Output(lost));
            }
        }
        progress.on_page(operation.totals().affected);
        self.unless_broken()
    }
}
