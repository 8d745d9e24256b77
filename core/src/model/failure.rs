//! What the response of a failed run says: the error's name, and its message. It must not know what of it identifies a cause.

use crate::model::base64;
use crate::model::json_prefix::{End, each_entry, is_whole_string, unescaped};
use crate::model::message::DlqMessage;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use core::ops::ControlFlow;

/// How many bytes of a response body are read. What comes later says nothing new about a failure.
const LIMIT: usize = 16 * 1024;
/// How many bytes are read first. They usually hold name and message, and the stack need not be read then.
const HEAD: usize = 1024;
/// How many errors may lie in each other.
const DEPTH: usize = 4;
/// The most characters of [`DlqMessage::failure_text`].
const SHOWN: usize = 300;
/// What a sender writes in place of a field that it redacts.
const REDACTED: &str = "REDACTED:";

/// An error as a response body tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure<'a> {
    /// `TypeError`. Empty if there is none.
    pub(crate) name: Cow<'a, str>,
    /// The message, or the whole text of a body of another form.
    pub(crate) message: Cow<'a, str>,
}

impl DlqMessage {
    /// What the response body says about the failure: the error's name and message, or the text of a page or a plain body.
    /// At most 300 characters of it, on one line. `None` if the body is missing, empty, or no text. It comes from outside: wrap
    /// it in [`Escaped`](crate::model::Escaped) before it is shown.
    ///
    /// ```
    /// use upstash_dlq_core::DlqMessage;
    /// let body = r#"{\"error\":\"TypeError\",\"message\":\"x is not a function\",\"stack\":\"…\"}"#;
    /// let message = DlqMessage::parse(&format!(r#"{{"responseStatus":500,"responseBody":"{body}"}}"#))?;
    /// assert_eq!(message.failure_text().as_deref(), Some("TypeError: x is not a function"));
    /// # Ok::<(), upstash_dlq_core::model::MessageError>(())
    /// ```
    pub fn failure_text(&self) -> Option<String> {
        with_failure(self, |failure| {
            let text = failure?.joined();
            let mut shown = String::new();
            for word in text.split_whitespace() {
                if shown.len() > 4 * SHOWN {
                    break;
                }
                if !shown.is_empty() {
                    shown.push(' ');
                }
                shown.push_str(word);
            }
            if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
                shown.truncate(end);
            }
            Some(shown).filter(|shown| !shown.is_empty())
        })
    }

    /// Whether the error's name and message contain a text that is in small letters, in letters of either case.
    pub(crate) fn failure_contains(&self, wanted: &str) -> bool {
        with_failure(self, |failure| failure.is_some_and(|failure| failure.joined().to_lowercase().contains(wanted)))
    }
}

impl Failure<'_> {
    /// `TypeError: x is not a function`
    pub(crate) fn joined(&self) -> Cow<'_, str> {
        match (self.name.is_empty(), self.message.is_empty()) {
            (true, _) => Cow::Borrowed(&self.message),
            (false, true) => Cow::Borrowed(&self.name),
            (false, false) => Cow::Owned(format!("{}: {}", self.name, self.message)),
        }
    }
}

/// Calls `act` with what the response body says, or with `None` if it is missing, empty or no text.
pub(crate) fn with_failure<T>(message: &DlqMessage, act: impl FnOnce(Option<&Failure<'_>>) -> T) -> T {
    let [plain, encoded] = message.raw_response_body();
    if let Some(plain) = plain.filter(|raw| raw.len() > 2 && raw.starts_with('"')) {
        if plain.len() > HEAD {
            let (head, _) = unescaped(plain, HEAD);
            let found = read_entries(&head);
            if found.is_enough() {
                return act(Some(&found.failure(0)));
            }
        }
        let (text, whole) = unescaped(plain, LIMIT);
        return act(read(&text, whole).as_ref());
    }
    let Some(encoded) = encoded.filter(|raw| raw.starts_with('"')) else { return act(None) };
    // A cut text ends after a whole group of four.
    let (digits, whole) = unescaped(encoded, LIMIT.div_ceil(3) * 4);
    let bytes = base64::decode(&digits).unwrap_or_default();
    let whole = whole && bytes.len() <= LIMIT;
    let bytes = bytes.get(..LIMIT).unwrap_or(&bytes);
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if !whole && error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
        }
        Err(_) => "",
    };
    act(read(text, whole).as_ref())
}

/// What a body says. `whole` is false if it was cut.
fn read(text: &str, whole: bool) -> Option<Failure<'_>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.starts_with(REDACTED) {
        return Some(Failure { name: Cow::Borrowed("REDACTED"), message: Cow::Borrowed("") });
    }
    Some(of_text(text, whole, 0))
}

/// An error that is the text of a body, or a text in one.
fn of_text(text: &str, whole: bool, depth: usize) -> Failure<'_> {
    if text.starts_with('{') && depth < DEPTH {
        let found = read_entries(text);
        let is_json = found.end == End::Whole || (found.end == End::Cut && !whole);
        if is_json && found.has_any() {
            return found.failure(depth);
        }
    }
    let message = if is_html(text) {
        Cow::Owned(visible(text))
    } else if text.starts_with('"') && is_whole_string(text) {
        unescaped(text, LIMIT).0
    } else {
        Cow::Borrowed(text)
    };
    Failure { name: Cow::Borrowed(""), message }
}

/// The values of the entries that name an error, as they are written. The first of each name counts.
struct Found<'a> {
    error: Option<&'a str>,
    /// Other names that an error's name goes by, the best first.
    names: [Option<&'a str>; 3],
    message: Option<&'a str>,
    stack: Option<&'a str>,
    end: End,
}

fn read_entries(text: &str) -> Found<'_> {
    let mut found = Found { error: None, names: [None; 3], message: None, stack: None, end: End::Whole };
    found.end = each_entry(text, |name, value| {
        let place = match name {
            "error" => &mut found.error,
            "name" => &mut found.names[0],
            "type" => &mut found.names[1],
            "code" => &mut found.names[2],
            "message" => &mut found.message,
            "stack" => &mut found.stack,
            _ => return ControlFlow::Continue(()),
        };
        if value != "null" {
            place.get_or_insert(value);
        }
        if found.error.is_some() && found.message.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}

impl<'a> Found<'a> {
    fn has_any(&self) -> bool {
        self.error.is_some() || self.message.is_some() || self.stack.is_some()
    }

    /// Whether reading on would change nothing. A value may be cut at the end of the text.
    fn is_enough(&self) -> bool {
        let is_whole = |value: Option<&str>| value.is_some_and(is_whole_string);
        is_whole(self.error) && is_whole(self.message)
    }

    fn failure(&self, depth: usize) -> Failure<'a> {
        let name = self.names.iter().flatten().find(|name| name.starts_with('"'));
        let mut failure = match (self.error, self.message) {
            // `{"error": "TypeError", "message": …}`, or the error has a name and a message of its own.
            (Some(error), Some(message)) => {
                let mut message = of_value(message, depth + 1);
                let error = of_value(error, depth + 1);
                if error.name.is_empty() {
                    message.prepend_name();
                    Failure { name: error.message, ..message }
                } else {
                    error
                }
            }
            (Some(only), None) | (None, Some(only)) => of_value(only, depth + 1),
            (None, None) => Failure { message: self.stack.map(text_of).unwrap_or_default(), ..Failure::default() },
        };
        if let (true, Some(name)) = (failure.name.is_empty(), name) {
            failure.name = text_of(name);
        }
        failure
    }
}

impl Failure<'_> {
    /// The name goes in front of the message, to make room for another name.
    fn prepend_name(&mut self) {
        if !self.name.is_empty() {
            self.message = Cow::Owned(self.joined().to_string());
            self.name = Cow::Borrowed("");
        }
    }
}

/// The error that a value tells: a text, which may be JSON itself, an object, or anything else as it is written.
fn of_value(raw: &str, depth: usize) -> Failure<'_> {
    if !raw.starts_with('"') {
        return of_text(raw, true, depth);
    }
    match text_of(raw) {
        Cow::Borrowed(text) => of_text(text.trim(), true, depth),
        // What is read of an own text cannot be borrowed from it.
        Cow::Owned(text) => {
            let Failure { name, message } = of_text(text.trim(), true, depth);
            Failure { name: Cow::Owned(name.into_owned()), message: Cow::Owned(message.into_owned()) }
        }
    }
}

fn text_of(raw: &str) -> Cow<'_, str> {
    if raw.starts_with('"') { unescaped(raw, LIMIT).0 } else { Cow::Borrowed(raw) }
}

fn is_html(text: &str) -> bool {
    let mut start = text.bytes();
    start.next() == Some(b'<')
        && start.next().is_some_and(|byte| byte == b'!' || byte == b'?' || byte.is_ascii_alphabetic())
}

/// The text of a page without its tags, its comments and what stands in scripts and styles.
fn visible(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some((text, tag)) = rest.split_once('<') {
        out.push_str(text);
        out.push(' ');
        let is = |name: &str| tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let end = if is("!--") {
            "-->"
        } else if is("script") {
            "</script"
        } else if is("style") {
            "</style"
        } else {
            ">"
        };
        // What never ends is no text.
        rest = after(tag, end).unwrap_or_default();
        if end.starts_with("</") {
            rest = after(rest, ">").unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// What comes after the first place of `end`, in letters of any case.
fn after<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let at = text.as_bytes().windows(end.len()).position(|bytes| bytes.eq_ignore_ascii_case(end.as_bytes()))?;
    text.get(at + end.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> (String, String) {
        let json = serde_json::json!({ "responseBody": body }).to_string();
        let message = DlqMessage::parse(&json).unwrap();
        with_failure(&message, |failure| {
            failure.map(|failure| (failure.name.to_string(), failure.message.to_string())).unwrap_or_default()
        })
    }

    #[test]
    fn a_body_tells_its_error() {
        let long = "x".repeat(3 * HEAD);
        let cut = "y".repeat(2 * LIMIT);
        for (body, name, message) in [
            (r#"{"error":"TypeError","message":"no\nway","stack":"at x"}"#, "TypeError", "no\nway"),
            (r#"{"stack":"at x","message":"m","error":"E"}"#, "E", "m"),
            (r#"{"error":"only"}"#, "", "only"),
            (r#"{"error":"E","message":""}"#, "E", ""),
            (r#"{"error":null,"message":"m"}"#, "", "m"),
            (r#"{"name":"E","message":"m","code":"C"}"#, "E", "m"),
            (r#"{"error":{"type":"T","message":"m","code":17}}"#, "T", "m"),
            (r#"{"error":{"code":"C","message":"m"},"message":"outer"}"#, "C", "m"),
            (r#"{"error":{"message":"m"},"message":"outer"}"#, "m", "outer"),
            (r#"{"error":"E","message":"{\"error\":\"F\",\"message\":\"deep \\\"x\\\"\"}"}"#, "E", "F: deep \"x\""),
            (r#"{"error":"{\"error\":\"F\",\"message\":\"m\"}"}"#, "F", "m"),
            (r#"{"error":["a",1]}"#, "", r#"["a",1]"#),
            (r#"{"error":17,"message":"m"}"#, "17", "m"),
            (r#"{"stack":"E: m\n at f"}"#, "", "E: m\n at f"),
            (r#"{"stack":["E: m",1]}"#, "", r#"["E: m",1]"#),
            (r#"{"detail":"d"}"#, "", r#"{"detail":"d"}"#),
            (r#"{"error":"E""#, "", r#"{"error":"E""#),
            (r#""quoted \"text\"""#, "", "quoted \"text\""),
            (r#""not closed"#, "", r#""not closed"#),
            (r#"not opened""#, "", r#"not opened""#),
            ("  plain\n", "", "plain"),
            (r#"{"message":" a\nb "}"#, "", "a\nb"),
            ("REDACTED:ab12", "REDACTED", ""),
            ("", "", ""),
            (" \n", "", ""),
            (
                "<html><head><STYLE>a{}</STYLE ><title>502 Bad</title></head><!-- <b>x --><p>Gate",
                "",
                "    502 Bad    Gate",
            ),
            ("<!DOCTYPE html><p>x", "", "  x"),
            ("<?xml version='1.0'?><p>x", "", "  x"),
            ("<b", "", " "),
            ("< 5", "", "< 5"),
            (&format!(r#"{{"error":"E","message":"m","stack":"{long}"}}"#), "E", "m"),
            (&format!(r#"{{"stack":"{long}","error":"E","message":"m"}}"#), "E", "m"),
            (&format!(r#"{{"error":"E","message":"{long}"}}"#), "E", &long),
            (&format!(r#"{{"error":"E","stack":"{cut}","message":"m"}}"#), "", "E"),
        ] {
            let (told_name, told_message) = told(body);
            assert_eq!((told_name.as_str(), told_message.as_str()), (name, message), "{body}");
        }
        let (name, message) = told(&format!(r#"{{"error":"E","message":"{cut}"}}"#));
        assert!(name == "E" && message.len() > LIMIT - 100 && message.bytes().all(|byte| byte == b'y'));
        assert_eq!(told(&cut).1.len(), LIMIT);
        // Four errors in each other are read. The fifth is a text.
        let fifth = r#"{"error":"x"}"#;
        let within =
            |key: &str, times: usize| format!("{}{fifth}{}", format!(r#"{{"{key}":"#).repeat(times), "}".repeat(times));
        assert_eq!(told(&within("error", 4)), ("".into(), fifth.into()));
        assert_eq!(told(&within("error", 3)), ("".into(), "x".into()));
        assert_eq!(told(&format!(r#"{{"error":"E","message":{}}}"#, within("message", 3))), ("E".into(), fifth.into()));
        assert_eq!(told(&format!(r#"{{"error":{},"message":"m"}}"#, within("error", 3))), (fifth.into(), "m".into()));
        let deep = format!("{}1{}", r#"{"error":"#.repeat(9_000), "}".repeat(9_000));
        assert!(told(&deep).1.starts_with(r#"{"error":{"error""#));
    }

    #[test]
    fn a_body_in_base64_tells_the_same() {
        let told = |encoded: &str| {
            DlqMessage::parse(&format!(r#"{{"responseBodyBase64":"{encoded}"}}"#)).unwrap().failure_text()
        };
        assert_eq!(told("eyJlcnJvciI6IkUiLCJtZXNzYWdlIjoibSJ9").as_deref(), Some("E: m"));
        assert_eq!(told("w6Q=").as_deref(), Some("ä"));
        let both = r#"{"responseBody":"","responseBodyBase64":"w6Q="}"#;
        assert_eq!(DlqMessage::parse(both).unwrap().failure_text().as_deref(), Some("ä"), "the plain one is empty");
        assert_eq!(told("\\/\\/8="), None, "no text");
        assert_eq!(told("eOKC"), None, "it ends within a character");
        let long = format!("////{}", "eHh4".repeat(6_000));
        assert_eq!(told(&long), None, "no text, and too long");
        assert_eq!(told("*"), None);
        // All of the first 16 KiB count: "xxx" 4,000 times, and "needle".
        let long = format!("{0}bmVlZGxl{0}", "eHh4".repeat(4_000));
        let long = DlqMessage::parse(&format!(r#"{{"responseBodyBase64":"{long}"}}"#)).unwrap();
        assert!(long.failure_contains("needle"));
        // 16 KiB end within a character of three bytes.
        for times in [5_462, 20_000] {
            assert_eq!(told(&"4oKs".repeat(times)).map(|text| text.chars().all(|c| c == '€')), Some(true));
        }
        assert_eq!(told(&"wqLCosKi".repeat(20_000)).map(|text| text.chars().all(|c| c == '¢')), Some(true));
    }

    #[test]
    fn the_text_to_show_is_short_and_on_one_line() {
        let text = |body: String| {
            let json = serde_json::json!({ "responseBody": body }).to_string();
            DlqMessage::parse(&json).unwrap().failure_text()
        };
        assert_eq!(text("a\r\n\tb  c".into()).as_deref(), Some("a b c"));
        assert_eq!(text("ä".repeat(900)).map(|text| text.chars().count()), Some(300));
        // However long its characters and its words are.
        for word in ["a", "🦀", "🦀🦀🦀", &"ä".repeat(299), &"🦀".repeat(301)] {
            let shown = text(format!("{word} \n ").repeat(900)).unwrap();
            let whole = format!("{word} ").repeat(900);
            assert!(shown.chars().count() == 300 && whole.starts_with(&shown), "{shown}");
        }
        assert_eq!(text("<p></p>".into()), None);
        assert_eq!(DlqMessage::parse("{}").unwrap().failure_text(), None);
    }
}
