//! Turns the core's reasons to halt into errors of the command: a sentence for people, a code for programs.

use crate::exit::{CommandError, ExitStatus, Failure};
use crate::output::wording;
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::wire::ResponseError;
use upstash_dlq_core::{Delivery, DlqId, Endpoint, Halt};

/// The code of a run that is not in the DLQ.
const NOT_FOUND: &str = "not_found";

/// The failure of an id that is not in the DLQ.
pub(crate) fn missing(id: &DlqId) -> Failure {
    Failure { http_status: Some(404), ..Failure::new(NOT_FOUND, wording::missing(id)) }
}

/// The error of a call on one run. The service's "not found" does not say which run: the id does.
pub(crate) fn of_one(halt: &Halt, id: &DlqId, endpoint: &Endpoint) -> CommandError {
    match halt {
        Halt::Refused { error, may_have_changed: false } if error.is_run_missing() => CommandError::Failed(missing(id)),
        _ => halted(halt, endpoint),
    }
}

/// The error of a command other than a bulk one, whose report says it.
pub(crate) fn halted(halt: &Halt, endpoint: &Endpoint) -> CommandError {
    let (code, http_status) = code(halt);
    let status = ExitStatus::failure(halt.may_have_changed());
    CommandError::Failed(Failure { http_status, status, ..Failure::new(code, wording::halt(halt, endpoint)) })
}

fn code(halt: &Halt) -> (&'static str, Option<u16>) {
    match halt {
        Halt::Refused { error, .. } => of_response(error),
        Halt::GaveUp { last: cause, .. } | Halt::WaitTooLong { cause, .. } => of_cause(cause),
        Halt::InDoubt { cause, .. } => ("unsettled", of_cause(cause).1),
        Halt::TooLarge { .. } => ("too_large", None),
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
        Cause::Transport(_) | Cause::ProcessEnded | Cause::LeftInDoubt => ("no_response", None),
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
            404 if error.is_run_missing() => NOT_FOUND,
            429 => "rate_limited",
            500.. => "server_error",
            _ => "refused",
        },
        _ => "unreadable_response",
    };
    (code, Some(status))
}
