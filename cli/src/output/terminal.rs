//! Writes to standard output and standard error, and knows whether they are a terminal.

use crate::cli::{Global, When};
use crate::exit::{CommandError, ExitStatus, Failure};
use crate::output::progress_bar;
use crate::output::time::Zone;
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use upstash_dlq_core::model::Escaped;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    quiet: bool,
    json: bool,
    colour: bool,
    colour_results: bool,
    zone: Zone,
    /// Before each note.
    indent: &'static str,
}

impl Terminal {
    /// For a command line that was not understood.
    pub(crate) const PLAIN: Self =
        Self { quiet: false, json: false, colour: false, colour_results: false, zone: Zone::Utc, indent: "" };

    /// For a command line that was not understood but holds `--json`.
    pub(crate) const JSON: Self = Self { json: true, ..Self::PLAIN };

    pub(crate) fn new(global: &Global) -> Self {
        let colour = |is_terminal: bool| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self {
            quiet: global.quiet,
            json: global.json,
            colour: colour(std::io::stderr().is_terminal()),
            colour_results: colour(std::io::stdout().is_terminal()),
            zone: if global.local { Zone::local().unwrap_or(Zone::Utc) } else { Zone::Utc },
            indent: "",
        }
    }

    /// Returns whether it was written.
    pub(crate) fn error(&self, sentence: &str) -> bool {
        let (on, off) = if self.colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        tell(&format!("{on}error:{off} {sentence}"))
    }

    /// Prints the error of a command: a sentence for people, with `--json` one line for programs. Returns whether it was written.
    pub(crate) fn fail(&self, failure: &Failure) -> bool {
        let is_written = match serde_json::to_string(failure) {
            Ok(json) if self.json && !failure.in_result => tell(&format!("{{\"error\":{}}}", escaped_json(&json))),
            // No error, but it may say what is in doubt: printed also with --quiet.
            _ if failure.status == ExitStatus::Interrupted => tell(&failure.message),
            _ => self.error(&failure.message),
        };
        failure.advice.iter().for_each(|advice| self.note(advice));
        is_written
    }

    pub(crate) fn note(&self, sentence: &str) {
        if !self.quiet {
            tell(&format!("{}{sentence}", self.indent));
        }
    }

    /// The same with its notes indented, as parts of a step.
    pub(crate) fn indented(self, indent: &'static str) -> Self {
        Self { indent, ..self }
    }

    /// Whether standard output takes color.
    pub(crate) fn colours_results(&self) -> bool {
        self.colour_results
    }

    /// In which time zone people read times.
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Prints to standard error what could not be written to standard output.
    pub(crate) fn rescue(&self, lost: &Lost, text: &str) {
        if let Lost::Unwritable(_) = lost {
            tell(text);
        }
    }

    /// Prints what a person has to see before a question, also with --quiet.
    pub(crate) fn show(lines: &[String]) {
        for line in lines {
            tell(line);
        }
    }

    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet
    }
}

/// Prints to standard error. If that is gone, there is nobody left to tell.
/// Returns whether it was written.
fn tell(line: &str) -> bool {
    progress_bar::aside(|| writeln!(std::io::stderr().lock(), "{line}").is_ok())
}

pub(crate) fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}

/// Why results could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The reader has gone (`| head`), which is not an error of ours.
    NoReader,
    /// Anything else, such as a full disk, in a sentence.
    Unwritable(String),
}

impl From<Lost> for CommandError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NoReader => Self::NoReader,
            Lost::Unwritable(sentence) => Self::new("output", sentence),
        }
    }
}

/// Prints lines of results. After an error they were not written, or not completely.
pub(crate) fn print_line(line: &str) -> Result<(), Lost> {
    let print = || {
        // In one write, so that no line of another process comes in between. A large page is not copied.
        if line.len() < 64 * 1024 {
            print_bytes(format!("{line}\n").as_bytes())
        } else {
            print_bytes(line.as_bytes()).and_then(|()| print_bytes(b"\n"))
        }
    };
    if std::io::stdout().is_terminal() { progress_bar::aside(print) } else { print() }
}

/// Prints bytes as they are. Every result goes through here.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Lost> {
    let print = || {
        std::io::stdout().flush()?;
        let mut out = output()?;
        out.write_all(bytes)?;
        // A failure at the end of the process would go unnoticed.
        out.flush()
    };
    judged(print())
}

/// Checks what clap has written to the library's standard output. An empty write shows errors that the library hides.
pub(crate) fn printed(written: std::io::Result<()>) -> Result<(), Lost> {
    judged(written.and_then(|()| std::io::stdout().flush()).and_then(|()| output()?.write(&[]).map(drop)))
}

/// Standard output without the library's wrapper, which silently drops everything if the descriptor cannot be written to.
#[cfg(unix)]
fn output() -> std::io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    Ok(std::io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn output() -> std::io::Result<std::io::StdoutLock<'static>> {
    Ok(std::io::stdout().lock())
}

fn judged(written: std::io::Result<()>) -> Result<(), Lost> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Lost::NoReader,
        _ => Lost::Unwritable(format!("standard output cannot be written: {error}")),
    })
}

/// JSON as it was sent; on a terminal the characters that would steer it, which JSON allows in strings, are written as
/// JSON's own escapes, which mean the same.
pub(crate) fn json_line(json: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() { escaped_json(json).into() } else { json.into() }
}

/// Text from outside as a result: on a terminal with nothing in it that steers it, and elsewhere as it was sent.
pub(crate) fn line(text: &str) -> String {
    if std::io::stdout().is_terminal() { escaped(text) } else { text.to_owned() }
}

/// Text from outside, whole, with nothing in it that steers a terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        // Letter by letter, since longer text is cut.
        out.push_str(&Escaped(c.encode_utf8(&mut buffer)).to_string());
    }
    out
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
