//! Asks a person a question, on standard error and input, or on the terminal itself if standard input holds something else.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};

#[derive(Debug)]
pub(crate) enum Asker {
    Standard,
    Terminal(File),
}

impl Asker {
    /// `None` if nobody can see the question and respond. `input_is_taken` says that standard input holds something else.
    pub(crate) fn find(input_is_taken: bool) -> Option<Self> {
        if input_is_taken {
            let terminal = cfg!(unix).then(|| File::options().read(true).write(true).open("/dev/tty"));
            terminal?.ok().map(Self::Terminal)
        } else {
            (std::io::stdin().is_terminal() && std::io::stderr().is_terminal()).then_some(Self::Standard)
        }
    }

    /// `None` if the input ends before a response.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        match self {
            Self::Standard => {
                let _ = write!(std::io::stderr().lock(), "{question} [y/N] ");
                let _ = std::io::stderr().flush();
                yes_or_no(std::io::stdin().lock())
            }
            Self::Terminal(terminal) => {
                let mut out = terminal;
                write!(out, "{question} [y/N] ").ok()?;
                yes_or_no(BufReader::new(terminal))
            }
        }
    }
}

fn yes_or_no(mut input: impl BufRead) -> Option<bool> {
    let mut line = String::new();
    let read = input.read_line(&mut line).ok()?;
    (read > 0).then(|| matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
