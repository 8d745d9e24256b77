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

/// The column of URLs has this much room, or the column that can be left out is, in cells of the terminal.
const ROOMY: usize = 20;

/// What is particular to some columns, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns {
    /// Never narrowed, because people copy from them.
    pub(crate) whole: &'static [usize],
    /// URLs: they lose `https://` first, then their middle. What tells them from each other stands at their ends.
    pub(crate) urls: Option<usize>,
    /// Left out where it would leave too little room for URLs.
    pub(crate) optional: Option<usize>,
}

/// Rows under a header. The widths are those of the first rows, narrowed until a line fits.
pub(crate) struct Table<const N: usize> {
    header: [&'static str; N],
    columns: Columns,
    fit: Option<usize>,
    /// 0 for a column that is left out.
    widths: Option<[usize; N]>,
    bold: bool,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(header: [&'static str; N], columns: Columns, fit: Option<usize>) -> Self {
        Self { header, columns, fit, widths: None, bold: false }
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
        if self.columns.whole.contains(&at) { escaped(text) } else { Escaped(text).to_string() }
    }

    fn measure(&self, rows: &[[String; N]]) -> [usize; N] {
        let mut widths = self.header.map(str::width);
        for row in rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        let Some(fit) = self.fit.filter(|fit| line_width(&widths) > *fit) else { return widths };
        let mut wanted = ROOMY;
        if let Some(urls) = self.columns.urls {
            let of_row = rows.iter().map(|row| without_scheme(&row[urls]).width());
            widths[urls] = of_row.chain([self.header[urls].width()]).max().unwrap_or_default();
            wanted = wanted.min(widths[urls]);
        }
        let narrow = self.narrowed(widths, fit);
        let has_room = line_width(&narrow) <= fit && self.columns.urls.is_none_or(|urls| narrow[urls] >= wanted);
        match self.columns.optional.filter(|_| !has_room) {
            Some(optional) => {
                widths[optional] = 0;
                self.narrowed(widths, fit)
            }
            None => narrow,
        }
    }

    /// Takes from the widest column until a line fits, or no column can give any more.
    fn narrowed(&self, mut widths: [usize; N], fit: usize) -> [usize; N] {
        while line_width(&widths) > fit {
            let wide = |at: usize, width: usize| width > NARROWEST && !self.columns.whole.contains(&at);
            let widest = (0..N).filter(|at| wide(*at, widths[*at])).max_by_key(|at| widths[*at]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (at, (text, width)) in row.iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            if at > 0 {
                line.push_str("  ");
            }
            // A later row may be wider than those that were measured.
            let narrow = self.fit.is_some() && !self.columns.whole.contains(&at);
            let text = match narrow {
                true if self.columns.urls == Some(at) && text.contains('/') => cut_middle(text, *width),
                true => cut(text, *width),
                false => text.clone(),
            };
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

/// How wide a line is: columns of no width are left out.
fn line_width(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    shown.fold(0, |line, width| line + width + if line > 0 { GAP } else { 0 })
}

fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

/// A URL without `https://` if it is too long, and without its middle if it still is.
fn cut_middle(shown: &str, width: usize) -> String {
    if shown.width() <= width {
        return shown.to_owned();
    }
    let shown = without_scheme(shown);
    if shown.width() <= width {
        return shown.to_owned();
    }
    // The end of a path says more than the host, which many rows share.
    let (mut end, mut used) = (Vec::new(), 0);
    for c in shown.chars().rev() {
        used += c.width().unwrap_or(0);
        if used > width.saturating_sub(1 + width / 3) {
            break;
        }
        end.push(c);
    }
    let end: String = end.into_iter().rev().collect();
    cut(shown, width.saturating_sub(end.width())) + &end
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
        let mut table = Table::new(["ONE", "TWO"], Columns::default(), Some(30));
        let lines = table.lines(&rows);
        assert!(lines.iter().all(|line| line.width() <= 30), "{lines:?}");
        assert!(!lines.concat().contains('\u{1b}'));
        let second =
            |line: &String| line.char_indices().rev().find(|(_, c)| *c == ' ').map(|(at, _)| line[..at].width());
        assert_eq!(second(&lines[0]), second(&lines[1]));
        assert_eq!(second(&lines[1]), second(&lines[2]));
        let whole = Table::new(["ONE", "TWO"], Columns::default(), None).lines(&rows);
        assert!(whole[1].starts_with(&"a".repeat(40)));
    }

    #[test]
    fn a_width_of_nothing_is_no_reason_to_panic() {
        let lines =
            Table::new(["ONE", "TWO"], Columns::default(), Some(1)).lines(&[["abcdefghijkl".into(), String::new()]]);
        assert_eq!(lines, ["ONE     TWO", "abcde…"]);
    }

    #[test]
    fn urls_lose_what_they_share_first() {
        let url = "https://h.example/api/workflow/checkout";
        for (width, shown) in [
            (39, url),
            (38, "h.example/api/workflow/checkout"),
            (31, "h.example/api/workflow/checkout"),
            (20, "h.exam…flow/checkout"),
            (6, "h.…out"),
            (2, "…t"),
        ] {
            assert_eq!((cut_middle(url, width).as_str(), shown.width() <= width), (shown, true), "{width}");
        }
        assert_eq!(cut_middle("日本語日本語日本語", 9).width(), 9);
    }

    #[test]
    fn a_column_is_left_out_before_urls_are_cut_to_pieces() {
        let columns = Columns { whole: &[0, 2], urls: Some(1), optional: Some(2) };
        let rows = [["id-1", "/a/checkout", "wfr_1"], ["id-2", "/a/invoices", "wfr_2"]]
            .map(|[id, path, run]| [id.to_owned(), format!("https://shop.example.com{path}"), run.repeat(4)]);
        let at = |fit| Table::new(["ID", "URL", "RUN"], columns, Some(fit)).lines(&rows);
        let whole = at(64);
        assert!(whole[1].ends_with(&"wfr_1".repeat(4)) && whole[1].contains(" https://shop"), "{whole:?}");
        let bare = at(59);
        assert!(
            bare[1].ends_with(&"wfr_1".repeat(4)) && bare[1].contains("  shop.example.com/a/checkout  "),
            "{bare:?}"
        );
        let narrow = at(40);
        assert_eq!(narrow, ["ID    URL", "id-1  shop.example.com/a/checkout", "id-2  shop.example.com/a/invoices"]);
        let little = at(20);
        assert_eq!(little, ["ID    URL", "id-1  shop…/checkout", "id-2  shop…/invoices"]);
    }
}
