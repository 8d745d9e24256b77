//! How a command that is not a bulk one fails: a sentence for people, with `--json` one line for programs.

use crate::interrupt;
use crate::listing::Failed;
use crate::output::terminal::{Lost, Terminal};
use crate::output::wording;
use serde::Serialize;
use std::process::ExitCode;
use upstash_dlq_core::{Cause, Delivery, Endpoint, Halt, ResponseError};

#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    /// One of those in the help of `--json`.
    code: &'static str,
    message: String,
    http_status: Option<u16>,
    #[serde(skip)]
    exit: u8,
}

impl Failure {
    /// Nothing was sent.
    pub(crate) fn usage(message: String) -> Self {
        Self { code: "usage", message, http_status: None, exit: 2 }
    }

    pub(crate) fn new(code: &'static str, message: String) -> Self {
        Self { code, message, http_status: None, exit: 1 }
    }

    pub(crate) fn of(halt: &Halt, endpoint: &Endpoint) -> Self {
        let (code, http_status) = code(halt);
        let exit = if matches!(halt, Halt::Unsettled { .. }) { 3 } else { 1 };
        Self { code, message: wording::halt(halt, endpoint), http_status, exit }
    }

    /// Prints it, and says what the process ends with.
    pub(crate) fn tell(&self, terminal: Terminal) -> ExitCode {
        terminal.fail(self, &self.message);
        ExitCode::from(self.exit)
    }
}

fn code(halt: &Halt) -> (&'static str, Option<u16>) {
    match halt {
        Halt::Refused(error) => of_response(error),
        Halt::GaveUp { last: cause, .. } | Halt::WaitTooLong { cause, .. } => of_cause(cause),
        Halt::Unsettled { cause, .. } => ("unsettled", of_cause(cause).1),
        Halt::NoProgress => ("no_progress", None),
        Halt::UnusableMessage => ("unusable_message", None),
        Halt::Unbuildable(_) => ("internal", None),
        _ => ("failed", None),
    }
}

fn of_cause(cause: &Cause) -> (&'static str, Option<u16>) {
    match cause {
        Cause::Response(error) => of_response(error),
        Cause::Transport(failure) if failure.delivery == Delivery::NotSent => ("not_sent", None),
        Cause::Transport(_) => ("no_response", None),
        _ => ("failed", None),
    }
}

fn of_response(error: &ResponseError) -> (&'static str, Option<u16>) {
    let status = error.status().as_u16();
    let code = match error {
        ResponseError::Redirect { .. } => "redirect",
        ResponseError::OtherRun { .. } => "other_run",
        ResponseError::Status { .. } if error.is_wrong_region() => "wrong_region",
        ResponseError::Status { .. } => match status {
            401 | 403 => "unauthorized",
            404 => "not_found",
            429 => "rate_limited",
            500.. => "server_error",
            _ => "refused",
        },
        _ => "unreadable_response",
    };
    (code, Some(status))
}

/// What could not be printed, told once; a reader that has gone is no failure.
pub(crate) fn lost(terminal: Terminal, lost: Lost, exit: u8) -> ExitCode {
    match lost {
        Lost::NoReader => ExitCode::SUCCESS,
        Lost::Unwritable(message) => Failure { code: "output", message, http_status: None, exit }.tell(terminal),
    }
}

/// What every reading command ends in.
pub(crate) fn conclude(
    terminal: Terminal,
    endpoint: &Endpoint,
    result: Result<(), Failed>,
    on_success: impl FnOnce() -> Result<(), Lost>,
) -> ExitCode {
    match result.and_then(|()| Ok(on_success()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Interrupted) => {
            terminal.interrupted();
            ExitCode::from(interrupt::EXIT_STATUS)
        }
        Err(Failed::Halted(halt)) => Failure::of(&halt, endpoint).tell(terminal),
        Err(Failed::Output(reason)) => lost(terminal, reason, 1),
    }
}
