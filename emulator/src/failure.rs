//! How sample runs failed: a dozen causes, told as real servers tell them, with other ids and numbers each time.

use crate::random::SplitMix64;
use serde::Serialize;
use std::fmt::{self, Write};

/// What a failed step responded with.
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// A cause: how often it is drawn, the status, the form of the body, the error's name, and its text. In the text stand `{n}` for a
/// number, `{id}` for an id, `{ip}` for an address, `{mail}` for another, `{at}` for a time.
type Cause = (u64, u16, Form, &'static str, &'static str);

#[derive(Clone, Copy)]
enum Form {
    /// As the service's own libraries write an error: name, message, stack.
    Sdk,
    /// As an API writes an error: an object with a code.
    Api,
    /// A proxy's page.
    Page,
    Text,
}

/// The cause that most runs of the bad hour have.
const OUTAGE: Cause =
    (14, 500, Form::Sdk, "ConnectionError", "connection to database {ip}:5432 refused after {n} ms (attempt {n})");

const CAUSES: [Cause; 13] = [
    OUTAGE,
    (20, 500, Form::Sdk, "TypeError", "Cannot read properties of undefined (reading 'price')"),
    (12, 502, Form::Page, "502 Bad Gateway", "edge/2.{n}, request {id}"),
    (11, 504, Form::Text, "", "no response from https://data.example.com/rows/{n}?cursor={id} within {n} ms"),
    (10, 429, Form::Api, "rate_limit_exceeded", "account {id} may make {n} requests per minute; try again in {n}s"),
    (8, 400, Form::Sdk, "ValidationError", "order {n}: items[{n}].quantity must be greater than 0, but is -{n}"),
    (7, 500, Form::Sdk, "UniqueViolation", "an invoice with number 'INV-{n}' exists already (row {n})"),
    (6, 500, Form::Sdk, "NotFoundError", "customer cus_{id} was deleted at {at}"),
    (5, 402, Form::Api, "card_declined", "charge ch_{id} of {n} cents was declined: insufficient funds"),
    (4, 500, Form::Sdk, "SyntaxError", "response of step {n} is not JSON: unexpected '<' at position {n}"),
    (3, 401, Form::Api, "token_expired", "the token of user {mail} expired at {at}"),
    (2, 500, Form::Sdk, "MailboxError", "the mailbox of {mail} is full ({n} MB)"),
    (2, 503, Form::Text, "", "function ran out of memory: {n} MB of 1024 MB\n\nreference: fra1-{id}"),
];

/// One failure. In a bad hour most have one cause.
pub(crate) fn draw(random: &mut SplitMix64, bad_hour: bool) -> Failure {
    let total = CAUSES.iter().map(|cause| cause.0).sum();
    let mut at = random.below(total);
    let drawn = CAUSES.iter().find(|cause| {
        let found = at < cause.0;
        at = at.saturating_sub(cause.0);
        found
    });
    let outage = bad_hour && random.below(10) < 7;
    let (_, status, form, name, text) = if outage { OUTAGE } else { drawn.copied().unwrap_or(OUTAGE) };
    let text = fill(text, random);
    let (content_type, body) = match form {
        Form::Sdk => ("application/json", sdk(name, &text, random)),
        Form::Api => {
            let error = serde_json::json!({ "error": { "code": name, "message": text }, "request": id(random) });
            ("application/json", error.to_string())
        }
        Form::Page => (
            "text/html",
            format!(
                "<html>\r\n<head><title>{name}</title></head>\r\n<body>\r\n<h1>{name}</h1>\r\n<hr><center>{text}</center>\r\n</body>\r\n</html>\r\n"
            ),
        ),
        Form::Text => ("text/plain", text),
    };
    Failure { status, content_type, body }
}

/// An error as the service's own libraries write it. The fields stand in the order of their names.
#[derive(Serialize)]
struct Sdk<'a> {
    error: &'a str,
    message: &'a str,
    stack: &'a str,
}

fn sdk(name: &str, text: &str, random: &mut SplitMix64) -> String {
    let mut stack = format!("{name}: {text}");
    for function in ["step", "run", "handle"] {
        let (file, line, column) = (random.next() >> 32, random.below(4_000), random.below(90));
        push(&mut stack, format_args!("\n    at {function} (/srv/app/{file:08x}.js:{line}:{column})"));
    }
    serde_json::to_string(&Sdk { error: name, message: text, stack: &stack }).unwrap_or_default()
}

fn fill(template: &str, random: &mut SplitMix64) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (kind, rest) = part.split_once('}').unwrap_or(("", part));
        let mut below = |bound| random.below(bound);
        match kind {
            "n" => push(&mut text, format_args!("{}", below(100_000))),
            "id" => text.push_str(&id(random)),
            "ip" => push(&mut text, format_args!("10.0.{}.{}", below(256), below(256))),
            "mail" => push(&mut text, format_args!("user{}@mail.example.com", below(100_000))),
            _ => push(
                &mut text,
                format_args!("2025-11-{:02}T{:02}:{:02}:{:02}Z", 1 + below(28), below(24), below(60), below(60)),
            ),
        }
        text.push_str(rest);
    }
    text
}

/// Writes into a text, which cannot fail.
fn push(text: &mut String, what: fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn id(random: &mut SplitMix64) -> String {
    format!("{:016x}", random.next())
}
