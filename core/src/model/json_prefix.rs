//! Reads JSON text of which only the beginning may be there. It checks no more of the syntax than it needs to find its way.
//! It must not know what the text says.

use alloc::borrow::Cow;
use alloc::string::String;
use core::ops::ControlFlow;

/// How the reading of an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// At its last bracket, or because the visitor had enough.
    Whole,
    /// The text ends before the object does.
    Cut,
    /// It is not an object.
    Invalid,
}

/// The text of a JSON string, at most `limit` bytes of it, and whether that is all. `raw` begins with the quote; the closing
/// one may be missing, and the text is then not all.
pub(crate) fn unescaped(raw: &str, limit: usize) -> (Cow<'_, str>, bool) {
    let text = raw.strip_prefix('"').unwrap_or(raw);
    let plain = run(text);
    match text.as_bytes().get(plain) {
        Some(b'\\') => {}
        end => return (Cow::Borrowed(prefix(text, plain.min(limit))), plain <= limit && end == Some(&b'"')),
    }
    let mut out = String::with_capacity(text.len().min(limit));
    let mut rest = text;
    loop {
        let plain = run(rest);
        let room = limit.saturating_sub(out.len());
        if plain > room {
            out.push_str(prefix(rest, room));
            return (Cow::Owned(out), false);
        }
        out.push_str(prefix(rest, plain));
        rest = rest.get(plain..).unwrap_or_default();
        match rest.as_bytes() {
            [b'\\', ..] => {
                let (c, length) = escape(rest);
                if out.len() + c.len_utf8() > limit {
                    return (Cow::Owned(out), false);
                }
                out.push(c);
                rest = rest.get(length..).unwrap_or_default();
            }
            end => return (Cow::Owned(out), end.first() == Some(&b'"')),
        }
    }
}

/// How many bytes come before a quote or an escape.
fn run(text: &str) -> usize {
    text.bytes().position(|byte| byte == b'"' || byte == b'\\').unwrap_or(text.len())
}

/// At most this many bytes, and whole characters.
pub(crate) fn prefix(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The character of an escape, and how many bytes the escape takes. What is no escape is the replacement character.
fn escape(text: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let simple = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'u') => match unit(2) {
            Some(high @ 0xd800..0xdc00) if text.get(6..8) == Some("\\u") => match unit(8) {
                Some(low @ 0xdc00..0xe000) => {
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
                }
                _ => return (char::REPLACEMENT_CHARACTER, 6),
            },
            Some(code) => return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            None => return (char::REPLACEMENT_CHARACTER, 2),
        },
        Some(byte) if byte.is_ascii() => char::REPLACEMENT_CHARACTER,
        // Only the backslash, so that a character of several bytes stays whole.
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (simple, 2)
}

/// Visits the entries of an object: the name between its quotes, as it is written, and the value, as it is written. The last
/// value of a cut text may be cut.
pub(crate) fn each_entry<'a>(object: &'a str, mut visit: impl FnMut(&'a str, &'a str) -> ControlFlow<()>) -> End {
    let Some(mut rest) = object.trim_start().strip_prefix('{') else { return End::Invalid };
    rest = rest.trim_start();
    if rest.starts_with('}') {
        return End::Whole;
    }
    loop {
        if rest.is_empty() {
            return End::Cut;
        }
        if !rest.starts_with('"') {
            return End::Invalid;
        }
        let Some(length) = string(rest) else { return End::Cut };
        let (name, after) = (rest.get(1..length - 1).unwrap_or_default(), rest.get(length..).unwrap_or_default());
        rest = match after.trim_start().strip_prefix(':') {
            Some(value) => value.trim_start(),
            None if after.trim_start().is_empty() => return End::Cut,
            None => return End::Invalid,
        };
        let length = value(rest);
        if length == Some(0) {
            return End::Invalid;
        }
        let (value, after) = rest.split_at(length.unwrap_or(rest.len()));
        if !value.is_empty() && visit(name, value).is_break() {
            return End::Whole;
        }
        rest = after.trim_start();
        if rest.is_empty() {
            return End::Cut;
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.starts_with('}') => return End::Whole,
            None => return End::Invalid,
        }
    }
}

/// Whether a value that begins with a quote, as [`each_entry`] hands it out, has its closing one.
pub(crate) fn is_whole_string(value: &str) -> bool {
    string(value) == Some(value.len())
}

/// How many bytes a string takes, with its quotes. `None` if it is cut.
fn string(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += run(text.get(at..)?);
        match text.as_bytes().get(at)? {
            b'"' => return Some(at + 1),
            // No character that an escape begins with is longer than the two bytes skipped, or holds a quote.
            _ => at += 1 + text.get(at + 1..)?.chars().next()?.len_utf8(),
        }
    }
}

/// How many bytes a value takes. `None` if it is cut.
fn value(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.as_bytes().get(at)? {
            b'"' => at += string(text.get(at..)?)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_string_is_read_up_to_a_bound() {
        for (raw, limit, text, whole) in [
            (r#""plain""#, 9, "plain", true),
            (r#""plain""#, 5, "plain", true),
            (r#""plain""#, 4, "plai", false),
            (r#""plain"#, 9, "plain", false),
            (r#""a\nb\u00e4\ud83e\udd80\/""#, 99, "a\nbä🦀/", true),
            (r#""a\nb""#, 2, "a\n", false),
            (r#""a\nb""#, 3, "a\nb", true),
            (r#""a\"b""#, 3, "a\"b", true),
            (r#""\ud83e\ud83e""#, 99, "\u{fffd}\u{fffd}", true),
            (r#""\ud83ex""#, 99, "\u{fffd}x", true),
            (r#""\ud83exxdd80""#, 99, "\u{fffd}xxdd80", true),
            (r#""\u+123""#, 99, "\u{fffd}+123", true),
            (r#""ää""#, 3, "ä", false),
            (r#""\u00e4\u00e4""#, 3, "ä", false),
            (r#""\u00e4""#, 1, "", false),
            (r#""abc\n""#, 3, "abc", false),
            (r#""abc\n""#, 2, "ab", false),
            (r#""\"#, 9, "\u{fffd}", false),
            (r#""\ä""#, 9, "\u{fffd}ä", true),
            (r#""\b\f\r\t""#, 9, "\u{8}\u{c}\r\t", true),
            (r#""\x41""#, 9, "\u{fffd}41", true),
            (r#""\ud83e\u0041""#, 99, "\u{fffd}A", true),
            (r#""\udd80""#, 99, "\u{fffd}", true),
            (r#""\u00"#, 99, "\u{fffd}00", false),
            (r#""""#, 9, "", true),
            ("", 9, "", false),
        ] {
            assert_eq!(unescaped(raw, limit), (text.into(), whole), "{raw} {limit}");
        }
    }

    #[test]
    fn an_object_is_read_as_far_as_it_goes() {
        let json = r#" { "a" : "x\"}" , "b":[1,{"c":"]"}],"n":null, "o":{"p":{}} ,"z":-1.5e3 } tail"#;
        let read = |json: &'static str| {
            let mut entries = Vec::new();
            let end = each_entry(json, |name, value| {
                entries.push((name, value));
                ControlFlow::Continue(())
            });
            (entries, end)
        };
        let (entries, end) = read(json);
        assert_eq!(end, End::Whole);
        assert_eq!(
            entries,
            [("a", r#""x\"}""#), ("b", r#"[1,{"c":"]"}]"#), ("n", "null"), ("o", r#"{"p":{}}"#), ("z", "-1.5e3")]
        );
        for (json, end) in [
            ("{}", End::Whole),
            ("{", End::Cut),
            (r#"{"a"#, End::Cut),
            (r#"{"a""#, End::Cut),
            (r#"{"a":"#, End::Cut),
            (r#"{"a":1"#, End::Cut),
            (r#"{"a":1,"#, End::Cut),
            ("[]", End::Invalid),
            ("", End::Invalid),
            (r#"{"a" 1}"#, End::Invalid),
            (r#"{"a":,}"#, End::Invalid),
            (r#"{"a":1 2}"#, End::Invalid),
            ("{a:1}", End::Invalid),
            (r#"{"\ä":1}"#, End::Whole),
            (r#"{"a\"#, End::Cut),
            (r#"{"a":"b\"#, End::Cut),
            (r#"{"a":["b"#, End::Cut),
            (r#"{"a":{"b\"#, End::Cut),
            (r#"{"a":[1,{"b":2}"#, End::Cut),
            (r#"{"a":1]"#, End::Invalid),
        ] {
            assert_eq!(read(json).1, end, "{json}");
        }
        assert_eq!(read(r#"{"a":"cut"#).0, [("a", "\"cut")]);
        assert!(is_whole_string("\"a\"") && !is_whole_string("\"a") && !is_whole_string("\"a\\\""));
    }
}
