//! The terminal itself, for a question while standard input is taken by something else.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};

#[derive(Debug)]
pub(crate) struct Tty(File);

impl Tty {
    /// `None` where there is none, or no name for it.
    pub(crate) fn open() -> Option<Self> {
        if !cfg!(unix) {
            return None;
        }
        File::options().read(true).write(true).open("/dev/tty").ok().map(Self)
    }

    /// `None` when it is gone, or closed without an answer.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        write!(&self.0, "{question} [y/N] ").ok()?;
        let mut answer = String::new();
        let read = BufReader::new(&self.0).read_line(&mut answer).ok()?;
        (read > 0).then(|| matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}
