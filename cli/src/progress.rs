//! How far a delete has come: a bar on a terminal, a line now and then elsewhere.

use crate::report::thousands;
use crate::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use upstash_dlq_core::Retried;

/// How far apart the plain lines are.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    bar: ProgressBar,
    plain: Option<Terminal>,
    last: Instant,
    done: &'static str,
}

impl Progress {
    /// `expected` is how many runs there are, where that is known; `done` is what happens to them, such as "deleted".
    pub(crate) fn new(terminal: Terminal, expected: Option<u64>, done: &'static str) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let bar = if terminal.shows_progress() && on_terminal {
            let bar = ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr());
            let template = if expected.is_some() {
                format!("{{bar:30}} {{human_pos}}/{{human_len}} {done}, {{elapsed}} {{msg}}")
            } else {
                format!("{{spinner}} {{human_pos}} {done}, {{elapsed}} {{msg}}")
            };
            // The template is ours and constant; a mistake in it would leave the default style.
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        let plain = (terminal.shows_progress() && !on_terminal).then_some(terminal);
        Self { bar, plain, last: Instant::now(), done }
    }

    /// So many so far.
    pub(crate) fn on_page(&mut self, runs: u64) {
        self.bar.set_message("");
        if self.bar.length().is_some_and(|length| length < runs) {
            self.bar.set_length(runs);
        }
        self.bar.set_position(runs);
        if let Some(terminal) = self.plain.filter(|_| self.last.elapsed() >= EVERY) {
            self.last = Instant::now();
            terminal.note(&format!("{} {} so far", thousands(runs), self.done));
        }
    }

    /// Prints results without the bar in between.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(crate) fn on_retry(&mut self, retried: &Retried) {
        let seconds = retried.after.as_secs_f64();
        match self.plain {
            Some(terminal) => terminal.note(&format!("{}; trying again in {seconds:.1} s", retried.cause)),
            None => self.bar.set_message(format!("({}; trying again in {seconds:.1} s)", retried.cause)),
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
