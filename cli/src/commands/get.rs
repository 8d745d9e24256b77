//! `upstash-dlq get`: runs by their ids, each of them whole.

use crate::cli::RunIds;
use crate::context::Context;
use crate::drive::{self, Handler, Stopped};
use crate::exit::{CommandError, ExitStatus};
use crate::input::ids;
use crate::output::failure;
use crate::output::progress::Progress;
use crate::output::suggestion::Suggestion;
use crate::output::terminal::{Lost, escaped, json_line, print_line};
use crate::output::time;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use unicode_width::UnicodeWidthStr;
use upstash_dlq_core::operation::Fetched;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::GetMessage;
use upstash_dlq_core::{DlqId, DlqMessage, Driven, GetMany};

/// Where values begin, in cells of the terminal.
const LEFT: usize = 24;
/// How many levels of JSON are indented.
const DEEPEST: usize = 32;

/// How many runs are fetched at a time.
const LANES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);
/// How many ids one operation gets. As many messages are in memory at most: those that came before their turn wait.
const PART: usize = 32;

pub(crate) fn run(context: &Context<'_>, args: &RunIds) -> Result<ExitStatus, CommandError> {
    let ids = ids::few(&args.ids).map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    let mut printer = Printer { context, printed: false, missing: false };
    if let [id] = ids.as_slice() {
        let message = context.call(&client, id, GetMessage(id.clone()))?;
        printer.print(&message)?;
        return Ok(ExitStatus::Success);
    }
    let mut progress = Progress::in_lines(context.terminal, "");
    for part in ids.as_slice().chunks(PART) {
        let part = Ids::new(part.to_vec()).map_err(|error| CommandError::new("internal", error.to_string()))?;
        let mut in_order = InOrder::new(&part, &mut printer);
        let mut get = GetMany::builder(client.endpoint().clone(), part)
            .lanes(LANES)
            .retry(context.policy(), client.seed())
            .build();
        let driven = drive::run(&client, &mut get, &mut progress, &mut in_order);
        in_order.end()?;
        let Driven::Done(outcome) = driven else { return Err(CommandError::interrupted()) };
        if let Some(halt) = outcome.halted {
            return Err(Stopped::Halted(halt).into_error(client.endpoint()));
        }
    }
    Ok(if printer.missing { ExitStatus::Unchanged } else { ExitStatus::Success })
}

/// Prints runs, and names those that are not there.
struct Printer<'a> {
    context: &'a Context<'a>,
    printed: bool,
    missing: bool,
}

impl Printer<'_> {
    fn print(&mut self, message: &DlqMessage) -> Result<(), Lost> {
        let between = if std::mem::replace(&mut self.printed, true) { "\n" } else { "" };
        if self.context.terminal.json() {
            print_line(&json_line(message.as_json()))
        } else {
            print_line(&format!("{between}{}", show(message, self.context).join("\n")))
        }
    }

    fn name_missing(&mut self, id: &DlqId) {
        self.missing = true;
        self.context.terminal.fail(&failure::missing(id));
    }
}

/// Brings runs that come in any order into that of their ids.
struct InOrder<'a, 'b> {
    printer: &'a mut Printer<'b>,
    /// Whose turn it is, and who comes after; with what came for them.
    waiting: VecDeque<(DlqId, Option<Fetched>)>,
    lost: Option<Lost>,
}

impl<'a, 'b> InOrder<'a, 'b> {
    fn new(ids: &Ids, printer: &'a mut Printer<'b>) -> Self {
        Self { printer, waiting: ids.as_slice().iter().map(|id| (id.clone(), None)).collect(), lost: None }
    }

    /// Prints one that has its turn. After an error nothing more is said: a reader that has gone wants nothing more.
    fn say(&mut self, fetched: &Fetched) {
        match &fetched.message {
            _ if self.lost.is_some() => {}
            Some(message) => self.lost = self.printer.print(message).err(),
            None => self.printer.name_missing(&fetched.id),
        }
    }

    /// Prints also what waits for a turn that does not come.
    fn end(mut self) -> Result<(), Lost> {
        for (_, fetched) in std::mem::take(&mut self.waiting) {
            fetched.iter().for_each(|fetched| self.say(fetched));
        }
        self.lost.map_or(Ok(()), Err)
    }
}

impl Handler<GetMany, Fetched> for InOrder<'_, '_> {
    fn on_page(&mut self, _: &mut GetMany, fetched: &Fetched, _: &mut Progress) -> ControlFlow<()> {
        if let Some((_, place)) = self.waiting.iter_mut().find(|(id, _)| *id == fetched.id) {
            *place = Some(fetched.clone());
        }
        while let Some((_, Some(_))) = self.waiting.front() {
            let next = self.waiting.pop_front();
            next.iter().filter_map(|(_, fetched)| fetched.as_ref()).for_each(|fetched| self.say(fetched));
        }
        if self.lost.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn show(message: &DlqMessage, context: &Context<'_>) -> Vec<String> {
    let (mut lines, now) = (Vec::new(), context.now.millis());
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // Line by line, so that line breaks stay while everything else is escaped.
            let mut name = escaped(name);
            for line in value.lines() {
                let left = " ".repeat(LEFT.saturating_sub(name.width()));
                lines.push(format!("{name}{left}  {}", escaped(line)).trim_end().to_owned());
                name.clear();
            }
        }
    };
    let text = |text: Option<&str>| text.map(one_line);
    let moment = |at| Some(format!("{} ({} ago)", context.terminal.zone().moment(at), time::age(at, now)));
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
    line("Signature", Some(signature(message, context)));
    line("Failure callback", text(message.failure_callback().as_deref()));
    line("Failure function state", text(message.failure_function_state().as_ref().map(|state| state.as_str())));
    if let Some(info) = message.failure_callback_info() {
        line("  state", text(info.state().as_ref().map(|state| state.as_str())));
        line("  response status", info.response_status().map(|status| status.to_string()));
        line("  response body", info.response_body().map(|body| shown_body(body.as_bytes())));
    }
    lines
}

/// `e1-4k7q0zbd   (all like it: upstash-dlq list --error=e1-4k7q0zbd)`
fn signature(message: &DlqMessage, context: &Context<'_>) -> String {
    let signature = message.signature().to_string();
    match Suggestion::new("list", context.global).option("error", &signature).end() {
        Some(list) => format!("{signature}   (all like it: {list})"),
        None => signature,
    }
}

/// Escapes the line breaks of a value other than a body.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\u{a}").replace('\r', "\\u{d}")
}

/// The whole body; JSON is indented.
fn shown_body(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if is_json_container(text) => indented(text),
        Ok(text) => text.to_owned(),
        Err(_) => format!("({} bytes that are not text; use --json to see them)", body.len()),
    }
}

fn is_json_container(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The same JSON with other white space between its parts. Numbers and the order of keys stay as they are.
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
        // Empty brackets stay together.
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
