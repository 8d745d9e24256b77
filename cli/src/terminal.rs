//! What goes to the terminal, and whether there is one.

use crate::args::{Global, When};
use std::io::{IsTerminal, Write};
use upstash_dlq_core::Escaped;

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

/// A line of results. False when nobody reads them any more (`| head`), which is no error of ours.
pub(crate) fn print_line(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// JSON as it was sent; on a terminal the characters that would steer it, which JSON allows in strings, are written as
/// JSON's own escapes, which mean the same.
pub(crate) fn json_line(json: &str) -> String {
    if std::io::stdout().is_terminal() { escaped_json(json) } else { json.to_owned() }
}

fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let one = c.encode_utf8(&mut [0; 4]).to_owned();
        if Escaped(&one).to_string() == one {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_says_the_same_without_steering() {
        let json = "{\"a\":\"\u{9b}2J\u{7f}\u{202e}ä\u{e0041}\"}";
        let shown = super::escaped_json(json);
        assert_eq!(shown, "{\"a\":\"\\u009b2J\\u007f\\u202eä\\udb40\\udc41\"}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(json), value(&shown));
    }
}
