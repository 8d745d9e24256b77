//! `upstash-dlq callback`: the failure callback of one run, again or no more.

use crate::args::{Callback, Global};
use crate::get::{Stopped, call, may_have_changed};
use crate::list;
use crate::start::StartedLine;
use crate::terminal::{Terminal, json_line, print_line};
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
            print_line(&if global.json { json_line(&json) } else { sentence });
            ExitCode::SUCCESS
        }
        Err(Stopped::Usage(sentence)) => {
            terminal.error(&sentence);
            ExitCode::from(2)
        }
        Err(Stopped::Failed(failed)) => {
            let changed = may_have_changed(&failed);
            let code = list::conclude(terminal, Err(failed), || ());
            if changed {
                let (Callback::Retry(args) | Callback::Cancel(args)) = args;
                terminal.note(&format!("look at its state with: upstash-dlq get {}", crate::start::quoted(&args.id)));
                return ExitCode::from(3);
            }
            code
        }
    }
}
