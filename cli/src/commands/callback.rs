//! `upstash-dlq callback`: sends the failure callbacks of runs again, or cancels them, one run after another.

use crate::cli::Callback;
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus, Failure};
use crate::input::ids;
use crate::interrupt;
use crate::output::runs;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::{Lost, json_line, print_line};
use crate::output::text::thousands;
use upstash_dlq_core::DlqId;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::wire::{Call, CancelCallback, RetryCallback};
use upstash_dlq_ureq::Client;

pub(crate) fn run(context: &Context<'_>, args: &Callback) -> Result<ExitStatus, CommandError> {
    let (Callback::Retry(given) | Callback::Cancel(given)) = args;
    let ids = ids::few(&given.ids).map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    let ids = ids.as_slice();
    let (mut done, mut refused) = (false, false);
    for (at, id) in ids.iter().enumerate() {
        match one(context, &client, args, id) {
            Ok(line) => {
                done = true;
                match print_line(&line) {
                    Ok(()) => {}
                    // A reader that has gone wanted no more.
                    Err(Lost::NoReader) => {
                        let left = ids.len() - at - 1;
                        if left > 0 {
                            context.terminal.note(&format!("standard output was closed{}", not_sent(left)));
                        }
                        break;
                    }
                    Err(lost) => return Err(CommandError::from(lost).after_a_change()),
                }
            }
            Err(CommandError::Failed(failure)) if ids.len() > 1 => {
                let goes_on = is_about_one_run(&failure);
                let failure = match failure.status {
                    // Before this one was sent.
                    ExitStatus::Interrupted => ended(failure, None, ids.len() - at, done),
                    _ => ended(failure, Some(id), if goes_on { 0 } else { ids.len() - at - 1 }, done),
                };
                if !goes_on {
                    return Err(CommandError::Failed(failure));
                }
                refused = true;
                context.terminal.fail(&failure);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if refused { ExitStatus::failure(done) } else { ExitStatus::Success })
}

/// Whether the service refused this run alone, and changed nothing. Anything else may have changed something, or would meet the
/// next run, too.
fn is_about_one_run(failure: &Failure) -> bool {
    failure.status == ExitStatus::Unchanged && matches!(failure.code, "not_found" | "refused")
}

/// The failure with its id, if it is about one, and with what was not sent. `done` says that something was changed before.
fn ended(failure: Failure, id: Option<&DlqId>, left: usize, done: bool) -> Failure {
    let not_sent = not_sent(left);
    let said = &failure.message;
    let name = id.map(|id| Escaped(id.as_str()).to_string()).filter(|id| !said.starts_with(id));
    let name = name.map_or_else(String::new, |id| format!("{id}: "));
    let message = format!("{name}{said}{not_sent}");
    let status = if failure.status == ExitStatus::Unchanged { ExitStatus::failure(done) } else { failure.status };
    Failure { message, status, ..failure }
}

/// `; the last 3 ids were not sent`
fn not_sent(left: usize) -> String {
    match left {
        0 => String::new(),
        1 => "; the last id was not sent".to_owned(),
        left => format!("; the last {} ids were not sent", thousands(left as u64)),
    }
}

/// Makes the call for one run. Returns the line to print.
fn one(context: &Context<'_>, client: &Client, args: &Callback, id: &DlqId) -> Result<String, CommandError> {
    let what = match args {
        Callback::Retry(_) => "sent again",
        Callback::Cancel(_) => "canceled",
    };
    let wait = context.wait_for_late_requests();
    let then = look(context, id).map_or(String::new(), |look| format!(". Then {look}"));
    interrupt::say_if_left(format!("it is unknown whether the failure callback was {what}. {wait}{then}"));
    let (json, sentence) = match args {
        Callback::Retry(_) => {
            let run = call(context, client, id, RetryCallback(id.clone()))?;
            let run_id = Escaped(&run.workflow_run_id).to_string();
            (runs::started(&run), format!("The failure callback is being retried, for run {run_id}."))
        }
        Callback::Cancel(_) => {
            call(context, client, id, CancelCallback(id.clone()))?;
            let json = serde_json::json!({ "canceled": id.as_str() }).to_string();
            (json, "The failure callback was canceled.".to_owned())
        }
    };
    Ok(if context.terminal.json() { json_line(&json).into_owned() } else { sentence })
}

/// How to see what has become of the callback.
fn look(context: &Context<'_>, id: &DlqId) -> Option<String> {
    let command = Suggestion::new("get", context.global).id(id.as_str())?;
    Some(format!("look at its state with: {command}"))
}

/// Makes the call. If it may have been carried out, the error says how to check.
fn call<C: Call>(context: &Context<'_>, client: &Client, id: &DlqId, call: C) -> Result<C::Output, CommandError> {
    context.call(client, id, call).map_err(|mut error| {
        if let CommandError::Failed(failure) = &mut error {
            if failure.status == ExitStatus::Changed {
                failure.advice = look(context, id);
            }
        }
        error
    })
}
