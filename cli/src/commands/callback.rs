//! `upstash-dlq callback`: sends the failure callback of one run again, or cancels it.

use crate::cli::{Callback, Get};
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus};
use crate::input::ids;
use crate::interrupt;
use crate::output::runs;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::{json_line, print_line};
use upstash_dlq_core::DlqId;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::wire::{Call, CancelCallback, RetryCallback};

pub(crate) fn run(context: &Context<'_>, args: &Callback) -> Result<ExitStatus, CommandError> {
    let (json, sentence) = match args {
        Callback::Retry(args) => {
            let wait = context.wait_for_late_requests();
            let look = look(context, args).map_or(String::new(), |look| format!(". Then {look}"));
            interrupt::say_if_left(format!("it is unknown whether the failure callback was sent again. {wait}{look}"));
            let run = call(context, args, RetryCallback)?;
            let id = Escaped(&run.workflow_run_id).to_string();
            (runs::started(&run), format!("The failure callback is being retried, for run {id}."))
        }
        Callback::Cancel(args) => {
            call(context, args, CancelCallback)?;
            let json = serde_json::json!({ "canceled": args.id }).to_string();
            (json, "The failure callback was canceled.".to_owned())
        }
    };
    let line = if context.terminal.json() { json_line(&json) } else { sentence.into() };
    print_line(&line).map_err(|lost| CommandError::from(lost).after_a_change())?;
    Ok(ExitStatus::Success)
}

/// How to see what has become of the callback.
fn look(context: &Context<'_>, args: &Get) -> Option<String> {
    let command = Suggestion::new("get", context.global).id(&args.id)?;
    Some(format!("look at its state with: {command}"))
}

/// Makes the call. If it may have been carried out, the error says how to check.
fn call<C: Call>(context: &Context<'_>, args: &Get, build: impl FnOnce(DlqId) -> C) -> Result<C::Output, CommandError> {
    let id = ids::one(&args.id).map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    context.call(&client, build(id)).map_err(|mut error| {
        if let CommandError::Failed(failure) = &mut error {
            if failure.status == ExitStatus::Changed {
                failure.advice = look(context, args);
            }
        }
        error
    })
}
