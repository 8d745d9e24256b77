//! Columns that fit the terminal, with nothing in them that steers it.

use crate::output::terminal::{bold, escaped};
use std::io::IsTerminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use upstash_dlq_core::model::Escaped;

/// No column is made narrower than this to fit, in cells of the terminal.
const NARROWEST: usize = 6;
/// No line is longer to fit, in cells of the terminal.
const WIDEST: usize = 10_000;
const GAP: usize = 2;
/// No screen has more lines.
const TALLEST: usize = 1_000;
/// The lines of a screen that are not rows of a table: its header, two for what is said below it, and the next prompt.
const BESIDE_ROWS: usize = 4;

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// The width of a line in cells, from `COLUMNS` or the terminal. `None` if neither says.
pub(crate) fn width(stream: Stream) -> Option<usize> {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    // No terminal is wider; without a bound a histogram would print as many characters.
    let given = given.map(|columns: usize| columns.min(WIDEST));
    let seen = || match stream {
        Stream::Output if std::io::stdout().is_terminal() => terminal_size::terminal_size_of(std::io::stdout()),
        Stream::Error if std::io::stderr().is_terminal() => terminal_size::terminal_size_of(std::io::stderr()),
        _ => None,
    };
    given.or_else(|| seen().map(|(width, _)| usize::from(width.0)))
}

/// How many rows fit a screen with their header, what is said below them, and the next prompt. At least ten.
pub(crate) fn screenful() -> usize {
    let given = std::env::var("LINES").ok().and_then(|lines| lines.parse().ok()).filter(|lines| *lines > 0);
    let seen = || terminal_size::terminal_size_of(std::io::stdout()).map(|(_, height)| usize::from(height.0));
    given.or_else(seen).unwrap_or(24).min(TALLEST).saturating_sub(BESIDE_ROWS).max(10)
}

/// Rows under a header. The widths are those of the first rows, narrowed until a line fits.
pub(crate) struct Table<const N: usize> {
    header: [&'static str; N],
    /// Columns that are never narrowed, because people copy from them.
    whole: &'static [usize],
    fit: Option<usize>,
    widths: Option<[usize; N]>,
    bold: bool,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(header: [&'static str; N], whole: &'static [usize], fit: Option<usize>) -> Self {
        Self { header, whole, fit, widths: None, bold: false }
    }

    /// Lets the header stand out.
    pub(crate) fn bold(self, bold: bool) -> Self {
        Self { bold, ..self }
    }

    /// The lines for these rows, the header before the first.
    pub(crate) fn lines(&mut self, rows: &[[String; N]]) -> Vec<String> {
        let shown: Vec<[String; N]> =
            rows.iter().map(|row| std::array::from_fn(|at| self.escaped(at, &row[at]))).collect();
        let mut lines = Vec::with_capacity(rows.len() + 1);
        let widths = match self.widths {
            Some(widths) => widths,
            None => {
                let widths = self.measure(&shown);
                self.widths = Some(widths);
                let header = self.line(&self.header.map(str::to_owned), &widths);
                lines.push(if self.bold { bold(&header) } else { header });
                widths
            }
        };
        lines.extend(shown.iter().map(|row| self.line(row, &widths)));
        lines
    }

    fn escaped(&self, at: usize, text: &str) -> String {
        if self.whole.contains(&at) { escaped(text) } else { Escaped(text).to_string() }
    }

    fn measure(&self, rows: &[[String; N]]) -> [usize; N] {
        let mut widths = self.header.map(str::width);
        for row in rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        if let Some(fit) = self.fit {
            let room = fit.saturating_sub(GAP * N.saturating_sub(1));
            while widths.iter().sum::<usize>() > room {
                let wide = |at: usize, width: usize| width > NARROWEST && !self.whole.contains(&at);
                let widest = (0..N).filter(|at| wide(*at, widths[*at])).max_by_key(|at| widths[*at]);
                let Some(widest) = widest else { break };
                widths[widest] -= 1;
            }
        }
        widths
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (at, (text, width)) in row.iter().zip(widths).enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            // A later row may be wider than those that were measured.
            let narrow = self.fit.is_some() && !self.whole.contains(&at);
            let text = if narrow { cut(text, *width) } else { text.clone() };
            line.push_str(&text);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(text.width())));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Escaped first, then cut: an escape never gets through by being cut in half.
pub(crate) fn cell(text: &str, width: usize) -> String {
    cut(&Escaped(text).to_string(), width)
}

fn cut(shown: &str, width: usize) -> String {
    if shown.width() <= width {
        return shown.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in shown.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_columns_stand_under_each_other() {
        let rows = [["a".repeat(40), "\u{1b}[2J".into()], ["日本語".repeat(9), "x".into()]];
        let mut table = Table::new(["ONE", "TWO"], &[], Some(30));
        let lines = table.lines(&rows);
        assert!(lines.iter().all(|line| line.width() <= 30), "{lines:?}");
        assert!(!lines.concat().contains('\u{1b}'));
        let second =
            |line: &String| line.char_indices().rev().find(|(_, c)| *c == ' ').map(|(at, _)| line[..at].width());
        assert_eq!(second(&lines[0]), second(&lines[1]));
        assert_eq!(second(&lines[1]), second(&lines[2]));
        let whole = Table::new(["ONE", "TWO"], &[], None).lines(&rows);
        assert!(whole[1].starts_with(&"a".repeat(40)));
    }

    #[test]
    fn a_width_of_nothing_is_no_reason_to_panic() {
        let lines = Table::new(["ONE", "TWO"], &[], Some(1)).lines(&[["abcdefghijkl".into(), String::new()]]);
        assert_eq!(lines, ["ONE     TWO", "abcde…"]);
    }
}
