//! The line of a terminal that the progress is drawn in.

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};
use std::io::Result;

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
