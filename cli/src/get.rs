//! `upstash-dlq get`: one run, whole.

use crate::args::{Get, Global};
use crate::failure::{self, Failure};
use crate::listing::Failed;
use crate::terminal::{Terminal, json_line, print_line};
use crate::time::{self, Age};
use crate::{connect, interrupt, selection, table};
use std::process::ExitCode;
use upstash_dlq_core::{
    Call, DlqId, DlqMessage, Driven, Endpoint, Escaped, Event, GetMessage, Halt, RetryPolicy, Single, drive,
};

/// No value is shown beyond so many cells, and a body to so many lines; `--json` has it whole.
const LONGEST: usize = 400;

pub(crate) fn run(global: &Global, args: &Get) -> ExitCode {
    let terminal = Terminal::new(global);
    let message = match call(global, args, GetMessage) {
        Ok(message) => message,
        Err(stopped) => return stopped.tell(terminal),
    };
    let text = if global.json { json_line(message.as_json()) } else { show(&message).join("\n") };
    print_line(&text).map_or_else(|lost| failure::lost(terminal, lost, 1), |()| ExitCode::SUCCESS)
}

pub(crate) enum Stopped {
    Usage(String),
    Failed(Failed, Box<Endpoint>),
}

impl Stopped {
    pub(crate) fn tell(self, terminal: Terminal) -> ExitCode {
        match self {
            Self::Usage(sentence) => Failure::usage(sentence).tell(terminal),
            Self::Failed(failed, endpoint) => failure::conclude(terminal, &endpoint, Err(failed), || Ok(())),
        }
    }

    /// Whether it is left open that something was changed.
    pub(crate) fn may_have_changed(&self) -> bool {
        matches!(self, Self::Failed(Failed::Halted(Halt::Unsettled { .. }), _))
    }
}

impl From<String> for Stopped {
    fn from(sentence: String) -> Self {
        Self::Usage(sentence)
    }
}

/// One call on one run, with the retries and the interrupt of every command.
pub(crate) fn call<C: Call<Output: Clone>>(
    global: &Global,
    args: &Get,
    call: impl FnOnce(DlqId) -> C,
) -> Result<C::Output, Stopped> {
    let id = DlqId::new(args.id.as_str()).map_err(|error| selection::in_words_of_the_command(&error))?;
    let endpoint = connect::endpoint(global)?;
    let client = connect::client(global, endpoint.clone())?;
    let policy = RetryPolicy { max_attempts: global.max_attempts, ..RetryPolicy::default() };
    interrupt::install();
    let terminal = Terminal::new(global);
    let mut single = Single::new(endpoint.clone(), call(id), policy, client.seed());
    let mut observer = Retries(terminal);
    match drive(&mut single, |request| client.send(request), interrupt::sleep, &mut observer) {
        Driven::Done(Ok(output)) => Ok(output),
        Driven::Done(Err(halt)) => Err(Stopped::Failed(Failed::Halted(halt), Box::new(endpoint))),
        Driven::Stopped => Err(Stopped::Failed(Failed::Interrupted, Box::new(endpoint))),
    }
}

struct Retries(Terminal);

impl<C: Call<Output: Clone>> upstash_dlq_core::Observer<Single<C>> for Retries {
    fn before_send(&mut self, _: &Single<C>) -> std::ops::ControlFlow<()> {
        if interrupt::requested() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }

    fn after(&mut self, _: &Single<C>, event: &Event<()>) -> std::ops::ControlFlow<()> {
        if let Event::Retry(retried) = event {
            self.0.note(&format!("{}; trying again in {:.1} s", retried.cause, retried.after.as_secs_f64()));
        }
        std::ops::ControlFlow::Continue(())
    }
}

fn show(message: &DlqMessage) -> Vec<String> {
    let now = Age::from_clock();
    let mut lines = Vec::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{:<24}  {}", table::cell(name, 24), value));
        }
    };
    let text = |text: Option<&str>| text.map(|text| table::cell(text, LONGEST));
    let moment = |at| Some(format!("{} ({} ago)", time::show(at), time::age(at, now)));
    line("DLQ id", message.dlq_id().map(|id| Escaped(id.as_str()).to_string()));
    line("Workflow run", text(message.workflow_run_id()));
    line("Workflow", text(message.workflow_url()));
    line("Run created", message.workflow_created_at().and_then(moment));
    line("Failed", message.created_at().and_then(moment));
    line("Labels", text(Some(&message.labels().join(", "))));
    line("Flow control key", text(message.flow_control_key()));
    line("Caller", text(message.caller_ip()));
    line("Not before", message.not_before().and_then(moment));
    line("Failed step", text(Some(&format!("{} {}", message.method().unwrap_or("-"), message.url().unwrap_or("-")))));
    line("Retries", message.max_retries().map(|retries| retries.to_string()));
    for (name, values) in message.header() {
        line(&format!("  {name}"), text(Some(&values.join(", "))));
    }
    line("  body", message.body().map(|body| shown_body(&body)));
    line("Response status", message.response_status().map(|status| status.to_string()));
    for (name, values) in message.response_header() {
        line(&format!("  {name}"), text(Some(&values.join(", "))));
    }
    line("  body", message.response_body().map(|body| shown_body(&body)));
    line("Failure callback", text(message.failure_callback()));
    line("Failure function state", text(message.failure_function_state().as_ref().map(|state| state.as_str())));
    if let Some(info) = message.failure_callback_info() {
        line("  state", text(info.state().as_ref().map(|state| state.as_str())));
        line("  response status", info.response_status().map(|status| status.to_string()));
        line("  response body", text(info.response_body()));
    }
    lines
}

fn shown_body(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => table::cell(text, LONGEST),
        Err(_) => format!("({} bytes that are not text; --json has them)", body.len()),
    }
}
