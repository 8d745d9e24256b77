//! `upstash-dlq callback`: the failure callback of one run, again or no more.

use crate::cli::{Callback, Global};
use crate::commands::get::call;
use crate::commands::restart::StartedLine;
use crate::output::failure;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::{Terminal, json_line, print_line};
use std::process::ExitCode;
use upstash_dlq_core::{CancelCallback, Escaped, RetryCallback};

pub(crate) fn run(global: &Global, args: &Callback) -> ExitCode {
    let terminal = Terminal::new(global);
    let done = match args {
        Callback::Retry(args) => call(global, args, RetryCallback).map(|run| {
            let id = Escaped(&run.workflow_run_id).to_string();
            (StartedLine::of(&run), format!("The failure callback is on its way again, for run {id}."))
        }),
        Callback::Cancel(args) => call(global, args, CancelCallback).map(|()| {
            (serde_json::json!({ "canceled": args.id }).to_string(), "The failure callback is canceled.".to_owned())
        }),
    };
    match done {
        Ok((json, sentence)) => {
            // It is done, so that a failure to say so is one after a change.
            let printed = print_line(&if global.json { json_line(&json) } else { sentence });
            printed.map_or_else(|lost| failure::lost(terminal, lost, 3), |()| ExitCode::SUCCESS)
        }
        Err(stopped) => {
            let changed = stopped.may_have_changed();
            let status = stopped.tell(terminal);
            if changed {
                let (Callback::Retry(args) | Callback::Cancel(args)) = args;
                if let Some(command) = Suggestion::new("get", global).id(&args.id) {
                    terminal.note(&format!("look at its state with: {command}"));
                }
            }
            status
        }
    }
}
