//! What goes to the terminal, and whether there is one.

use crate::args::{Global, When};
use std::io::{IsTerminal, Write};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    colour: bool,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let colour = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self { quiet: global.quiet, colour }
    }

    pub(crate) fn error(&self, sentence: &str) {
        let (on, off) = if self.colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{on}error:{off} {sentence}");
    }

    pub(crate) fn note(&self, sentence: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{sentence}");
        }
    }

    /// Whether a person is there who sees a question and can answer it.
    pub(crate) fn can_ask() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// `None` when standard input ended without an answer.
    pub(crate) fn ask(question: &str) -> Option<bool> {
        let _ = write!(std::io::stderr().lock(), "{question} [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        match std::io::stdin().read_line(&mut answer) {
            Ok(read) if read > 0 => Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")),
            _ => None,
        }
    }

    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet
    }
}

/// A line of results. A reader that has gone away (`| head`) is no error of ours.
pub(crate) fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
