//! How the process ends: the exit status, and the error that a command ends with.
//!
//! Plain data: `main` shows an error and ends the process. `interrupt` ends it, too, but shows no error.

use serde::Serialize;

/// The exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Everything was done.
    Success,
    /// It failed, and nothing was or may have been changed.
    Unchanged,
    /// The command line cannot be carried out. Nothing was sent.
    WrongUsage,
    /// It failed, and something was or may have been changed.
    Changed,
    /// Ctrl-C, or another signal that ends a process.
    Interrupted,
}

impl ExitStatus {
    /// The status of a command that failed.
    pub(crate) fn failure(may_have_changed: bool) -> Self {
        if may_have_changed { Self::Changed } else { Self::Unchanged }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unchanged => 1,
            Self::WrongUsage => 2,
            Self::Changed => 3,
            Self::Interrupted => 130,
        }
    }
}

/// How a bulk command ended, before it is known whether anything was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// Wrong usage. Nothing was sent.
    Usage,
    Failure,
    Interrupted,
}

impl Exit {
    /// Decides the exit status of a bulk command.
    pub(crate) fn status(self, may_have_changed: bool) -> ExitStatus {
        match self {
            Self::Success => ExitStatus::Success,
            Self::Usage => ExitStatus::WrongUsage,
            Self::Interrupted => ExitStatus::Interrupted,
            Self::Failure => ExitStatus::failure(may_have_changed),
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum CommandError {
    Failed(Failure),
    /// It has been printed.
    Told(ExitStatus),
    /// The reader of standard output has gone (`| head`). That is not a failure, and nothing is printed.
    NoReader,
}

/// A failure as it is printed. With `--json` the fields are printed under these names.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    /// One of those in docs/json.md.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) http_status: Option<u16>,
    #[serde(skip)]
    pub(crate) status: ExitStatus,
    /// What to do next.
    #[serde(skip)]
    pub(crate) advice: Option<String>,
    /// Whether the result on standard output holds the message, too. Then standard error is for people, even with `--json`.
    #[serde(skip)]
    pub(crate) in_result: bool,
}

impl CommandError {
    /// An error before anything was sent.
    pub(crate) fn usage(message: String) -> Self {
        Self::Failed(Failure { status: ExitStatus::WrongUsage, ..Failure::new("usage", message) })
    }

    /// An error after which nothing has changed.
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self::Failed(Failure::new(code, message))
    }

    pub(crate) fn interrupted() -> Self {
        Self::Failed(Failure {
            status: ExitStatus::Interrupted,
            ..Failure::new("interrupted", "interrupted".to_owned())
        })
    }

    /// The same error after something was changed.
    pub(crate) fn after_a_change(self) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(Failure { status: ExitStatus::Changed, ..failure }),
            Self::Told(_) => Self::Told(ExitStatus::Changed),
            Self::NoReader => Self::NoReader,
        }
    }
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { code, message, http_status: None, status: ExitStatus::Unchanged, advice: None, in_result: false }
    }
}
