//! `upstash-dlq callback`: sends the failure callback of one run again, or cancels it.

use crate::cli::{Callback, Get};
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus};
use crate::input::ids;
use crate::output::runs;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::{json_line, print_line};
use upstash_dlq_core::DlqId;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::wire::{Call, CancelCallback, RetryCallback};

pub(crate) fn run(context: &Context<'_>, args: &Callback) -> Result<ExitStatus, CommandError> {
    let (json, sentence) = match args {
        Callback::Retry(args) => {
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
    let line = if context.terminal.json() { json_line(&json) } else { sentence };
    print_line(&line).map_err(|lost| CommandError::from(lost).after_a_change())?;
    Ok(ExitStatus::Success)
}

/// Makes the call. If it may have been carried out, the error says how to check.
fn call<C: Call>(context: &Context<'_>, args: &Get, build: impl FnOnce(DlqId) -> C) -> Result<C::Output, CommandError> {
    let id = ids::one(&args.id).map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    context.call(&client, build(id)).map_err(|mut error| {
        if let CommandError::Failed(failure) = &mut error {
            if failure.status == ExitStatus::Changed {
                let look = Suggestion::new("get", context.global).id(&args.id);
                failure.advice = look.map(|command| format!("look at its state with: {command}"));
            }
        }
        error
    })
}
