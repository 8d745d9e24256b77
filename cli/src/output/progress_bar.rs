//! The line of the terminal where the progress bar is drawn. Whoever else writes to the terminal goes through here.

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, TermLike};
use std::io::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The bar that is shown.
static CURRENT: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<ProgressBar>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this the bar that is shown.
pub(crate) fn show(bar: &ProgressBar) {
    *current() = Some(bar.clone());
}

/// Hides the bar while `print` writes. `print` must not call this again.
pub(crate) fn aside<T>(print: impl FnOnce() -> T) -> T {
    let bar = current().clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Removes the bar from the terminal.
pub(crate) fn clear() {
    let bar = current().take();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Room at the end of the line for what the terminal itself writes there when somebody types Ctrl-C, twice.
const ECHO: u16 = 5;

/// A line that ends with its text. indicatif fills it with blanks up to the edge, where an echoed `^C` wraps into a second
/// line, which nobody takes back.
#[derive(Debug)]
struct Line(Term);

pub(crate) fn draw_target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Line(Term::buffered_stderr())), 20)
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        let (_, columns) = self.0.size();
        columns.saturating_sub(ECHO).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> Result<()> {
        self.0.write_line(text)
    }

    /// The line is cleared before each drawing, so that blanks alone have nothing to cover.
    fn write_str(&self, text: &str) -> Result<()> {
        if text.chars().all(|c| c == ' ') { Ok(()) } else { self.0.write_str(text) }
    }

    fn clear_line(&self) -> Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }
}
