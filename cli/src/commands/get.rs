//! `upstash-dlq get`: one run, whole.

use crate::cli::{Get, Global};
use crate::context;
use crate::input::selection;
use crate::input::time::{self, Age};
use crate::interrupt;
use crate::listing::Failed;
use crate::output::failure::{self, Failure};
use crate::output::terminal::{Terminal, escaped, json_line, print_line};
use std::process::ExitCode;
use unicode_width::UnicodeWidthStr;
use upstash_dlq_core::{
    Call, DlqId, DlqMessage, Driven, Endpoint, Event, GetMessage, Halt, RetryPolicy, Single, drive,
};

/// Where values begin, in cells of the terminal.
const LEFT: usize = 24;
/// JSON is indented to so many levels.
const DEEPEST: usize = 32;

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
    let endpoint = context::endpoint(global)?;
    let client = context::client(global, endpoint.clone())?;
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
            // Line by line: what a line holds is escaped, and does not end it.
            let mut name = escaped(name);
            for line in value.lines() {
                let left = " ".repeat(LEFT.saturating_sub(name.width()));
                lines.push(format!("{name}{left}  {}", escaped(line)).trim_end().to_owned());
                name.clear();
            }
        }
    };
    let text = |text: Option<&str>| text.map(one_line);
    let moment = |at| Some(format!("{} ({} ago)", time::show(at), time::age(at, now)));
    line("DLQ id", message.dlq_id().map(|id| id.as_str().to_owned()));
    line("Workflow run", text(message.workflow_run_id().as_deref()));
    line("Workflow", text(message.workflow_url().as_deref()));
    line("Run created", message.workflow_created_at().and_then(moment));
    line("Failed", message.created_at().and_then(moment));
    line("Labels", text(Some(&message.labels().join(", "))));
    line("Flow control key", text(message.flow_control_key().as_deref()));
    line("Caller", text(message.caller_ip().as_deref()));
    line("Not before", message.not_before().and_then(moment));
    line(
        "Failed step",
        text(Some(&format!(
            "{} {}",
            message.method().as_deref().unwrap_or("-"),
            message.url().as_deref().unwrap_or("-")
        ))),
    );
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
    line("Failure callback", text(message.failure_callback().as_deref()));
    line("Failure function state", text(message.failure_function_state().as_ref().map(|state| state.as_str())));
    if let Some(info) = message.failure_callback_info() {
        line("  state", text(info.state().as_ref().map(|state| state.as_str())));
        line("  response status", info.response_status().map(|status| status.to_string()));
        line("  response body", info.response_body().map(|body| shown_body(body.as_bytes())));
    }
    lines
}

/// A value that is no body has no lines.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\u{a}").replace('\r', "\\u{d}")
}

/// Whole; JSON with an indentation.
fn shown_body(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if is_json_container(text) => indented(text),
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are not text; --json has them)", body.len()),
    }
}

fn is_json_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The same JSON, letter by letter but for the white space between its parts: numbers and the order of keys stay.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escape, mut empty) = (0_usize, false, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    for c in json.chars() {
        if in_string {
            out.push(c);
            in_string = escape || c != '"';
            escape = c == '\\' && !escape;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        depth -= usize::from(closes).min(depth);
        // Between the brackets of what is empty there is nothing.
        if empty != closes && (empty || closes) {
            line(&mut out, depth);
        }
        out.push(c);
        empty = matches!(c, '{' | '[');
        depth += usize::from(empty);
        match c {
            '"' => in_string = true,
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::indented;

    #[test]
    fn json_is_indented_and_stays_the_same() {
        let json = r#"{"b":[1.0e400,{}, [ ] ,"a\\\"{,: }"],"a":{"x":null},"a":12345678901234567890123}"#;
        let shown = indented(json);
        assert_eq!(
            shown,
            "{\n  \"b\": [\n    1.0e400,\n    {},\n    [],\n    \"a\\\\\\\"{,: }\"\n  ],\n  \"a\": {\n    \"x\": null\n  },\n  \"a\": 12345678901234567890123\n}"
        );
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(indented(&deep).len() < 10_000 * 70);
    }
}
