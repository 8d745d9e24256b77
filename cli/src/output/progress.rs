//! Shows how far a command has come: a bar on a terminal, a line now and then elsewhere.

use crate::output::progress_bar::{self, draw_target};
use crate::output::speed::{self, shown_rate, so_far, time_left};
use crate::output::terminal::Terminal;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use upstash_dlq_core::engine::{Cause, Retried};

/// The time between two plain lines.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    bar: ProgressBar,
    plain: Option<Terminal>,
    last: Instant,
    started: Instant,
    expected: Option<u64>,
    done: &'static str,
    /// How many runs an earlier process did.
    base: Arc<AtomicU64>,
    begun: bool,
    /// Whether it was said that responses are too large.
    asks_for_less: bool,
}

/// Runs per second since this process began. What an earlier process did says nothing about the speed of this one.
fn per_second(state: &ProgressState, base: &AtomicU64) -> Option<f64> {
    speed::per_second(state.pos().saturating_sub(base.load(Ordering::Relaxed)), state.elapsed())
}

fn rate(base: Arc<AtomicU64>) -> impl Fn(&ProgressState, &mut dyn Write) + Clone {
    move |state, out| {
        if let Some(rate) = per_second(state, &base) {
            let _ = write!(out, ", {}", shown_rate(rate));
        }
    }
}

/// Nothing where no rate is known yet.
fn left(base: Arc<AtomicU64>) -> impl Fn(&ProgressState, &mut dyn Write) + Clone {
    move |state, out| {
        let runs = state.len().unwrap_or(0).saturating_sub(state.pos());
        if let Some(left) = per_second(state, &base).and_then(|rate| time_left(runs, rate)) {
            let _ = write!(out, ", {left}");
        }
    }
}

impl Progress {
    /// `expected` is how many runs there are, where that is known; `done` is what happens to them, such as "deleted".
    pub(crate) fn new(terminal: Terminal, expected: Option<u64>, done: &'static str) -> Self {
        let base = Arc::new(AtomicU64::new(0));
        let on_terminal = std::io::stderr().is_terminal();
        let bar = if terminal.shows_progress() && on_terminal {
            let bar = ProgressBar::with_draw_target(expected, draw_target());
            // A message is cut where the line ends: what is longer than a line is not taken back whole.
            let template = if expected.is_some() {
                format!("{{bar:30}} {{human_pos}}/{{human_len}} {done}, {{elapsed}}{{rate}}{{left}} {{wide_msg}}")
            } else {
                format!("{{spinner}} {{human_pos}} {done}, {{elapsed}}{{rate}} {{wide_msg}}")
            };
            // The template is ours and constant; a mistake in it would leave the default style.
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.with_key("rate", rate(base.clone())).with_key("left", left(base.clone())));
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            progress_bar::show(&bar);
            bar
        } else {
            ProgressBar::hidden()
        };
        let plain = (terminal.shows_progress() && !on_terminal).then_some(terminal);
        Self {
            bar,
            plain,
            last: Instant::now(),
            started: Instant::now(),
            expected,
            done,
            base,
            begun: false,
            asks_for_less: false,
        }
    }

    /// Lines now and then, also on a terminal.
    pub(crate) fn in_lines(terminal: Terminal, done: &'static str) -> Self {
        let plain = terminal.shows_progress().then_some(terminal);
        let base = Arc::new(AtomicU64::new(0));
        let (last, started) = (Instant::now(), Instant::now());
        Self {
            bar: ProgressBar::hidden(),
            plain,
            last,
            started,
            expected: None,
            done,
            base,
            begun: false,
            asks_for_less: false,
        }
    }

    /// Sets how many runs an earlier process did. Only the first call counts.
    pub(crate) fn begin_at(&mut self, runs: u64) {
        if !std::mem::replace(&mut self.begun, true) {
            self.base.store(runs, Ordering::Relaxed);
            self.bar.set_position(runs);
        }
    }

    /// Shows how many runs are done so far.
    pub(crate) fn on_page(&mut self, runs: u64) {
        self.bar.set_message("");
        if self.bar.length().is_some_and(|length| length < runs) {
            self.bar.set_length(runs);
        }
        self.bar.set_position(runs);
        if let Some(terminal) = self.plain.filter(|_| self.last.elapsed() >= EVERY) {
            self.last = Instant::now();
            let earlier = self.base.load(Ordering::Relaxed);
            terminal.note(&so_far(runs, self.done, earlier, self.expected, self.started.elapsed()));
        }
    }

    pub(crate) fn on_retry(&mut self, retried: &Retried) {
        if asks_for_less(retried) {
            // Large messages may lie anywhere in a long listing: said once, it is no news.
            if let (Some(terminal), false) = (self.plain, std::mem::replace(&mut self.asks_for_less, true)) {
                terminal.note(&format!("{}; asking for fewer runs at once", retried.cause));
            }
            return;
        }
        let seconds = retried.after.as_secs_f64();
        match self.plain {
            Some(terminal) => terminal.note(&format!("{}; trying again in {seconds:.1} s", retried.cause)),
            None => self.bar.set_message(format!("(trying again in {seconds:.1} s: {})", retried.cause)),
        }
    }

    pub(crate) fn finish(&self) {
        if !self.bar.is_hidden() {
            progress_bar::clear();
        }
    }
}

/// Whether the next request asks for less, because a response was too large.
fn asks_for_less(retried: &Retried) -> bool {
    matches!(&retried.cause, Cause::Transport(failure) if failure.larger_than.is_some()) && retried.after.is_zero()
}

impl Drop for Progress {
    /// Removes the bar, whichever way a command ends.
    fn drop(&mut self) {
        self.finish();
    }
}
