//! Removes secrets from texts that others wrote.

use crate::model::endpoint::Endpoint;
use alloc::string::String;

/// Stands in place of a secret.
const HIDDEN: char = '…';

/// The shortest part of a token that is hidden at the end of a cut text. Fewer characters may match by chance.
const MIN_PART: usize = 4;

const PARAMETER: &str = "qstash_token=";

impl Endpoint {
    /// Removes the secrets from a text of others, such as an error of an HTTP library. The token is hidden in every form in
    /// which it is sent, and so are the user and the query of a URL.
    ///
    /// ```
    /// use upstash_dlq_core::{Endpoint, Token};
    /// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("s3/cret")?)?;
    /// assert_eq!(endpoint.redact("bad: https://h/x?count=1&qstash_token=s3%2Fcret (s3/cret)"), "bad: https://h/x?… (…)");
    /// # Ok::<(), upstash_dlq_core::model::EndpointError>(())
    /// ```
    pub fn redact(&self, text: &str) -> String {
        let token = self.token();
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let hidden = if let Some(length) = written(token.as_bytes(), rest.as_bytes()) {
                length
            } else if starts_with_parameter(rest) {
                shown.push_str(PARAMETER);
                PARAMETER.len() + word(rest.get(PARAMETER.len()..).unwrap_or_default(), "&")
            } else if shown.ends_with("://") {
                user(rest)
            } else if first == '?' && in_url(&shown) {
                shown.push('?');
                1 + word(rest.get(1..).unwrap_or_default(), "")
            } else {
                0
            };
            if hidden == 0 {
                shown.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            } else {
                shown.push(HIDDEN);
                rest = rest.get(hidden..).unwrap_or_default();
            }
        }
        shown
    }
}

impl Endpoint {
    /// The same for a text that was cut, perhaps within the token.
    pub(crate) fn redact_cut(&self, text: &str) -> String {
        let mut shown = self.redact(text);
        let token = self.token();
        let cut = shown.char_indices().map(|(at, _)| at).find(|at| {
            shown.as_bytes().get(*at..).and_then(|tail| beginning(token.as_bytes(), tail)) >= Some(MIN_PART)
        });
        if let Some(at) = cut {
            shown.truncate(at);
            shown.push(HIDDEN);
        }
        shown
    }
}

/// How many bytes of `text` the token takes at its start, each byte of it plain or percent-encoded.
fn written(token: &[u8], text: &[u8]) -> Option<usize> {
    if text.starts_with(token) {
        return Some(token.len());
    }
    let mut at = 0;
    for byte in token {
        at += match text.get(at..)? {
            [b'%', high, low, ..] if hex(*high).zip(hex(*low)).is_some_and(|(h, l)| h * 16 + l == *byte) => 3,
            [plain, ..] if plain == byte => 1,
            _ => return None,
        };
    }
    Some(at)
}

/// How many bytes of the token `text` is the beginning of, each byte of it plain or percent-encoded. The text may end within an
/// escape. `None` if it is no beginning of the token.
fn beginning(token: &[u8], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for (count, byte) in token.iter().enumerate() {
        at += match text.get(at..)? {
            [] | [b'%'] => return Some(count),
            [b'%', high] if hex(*high) == Some(*byte >> 4) => return Some(count),
            [b'%', high, low, ..] if hex(*high).zip(hex(*low)).is_some_and(|(h, l)| h * 16 + l == *byte) => 3,
            [plain, ..] if plain == byte => 1,
            _ => return None,
        };
    }
    None
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn starts_with_parameter(text: &str) -> bool {
    text.get(..PARAMETER.len()).is_some_and(|start| start.eq_ignore_ascii_case(PARAMETER))
}

/// How many bytes come before white space, a quote, a bracket, or one of `also`.
fn word(text: &str, also: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || "\"'`<>()[]{},;".contains(c) || also.contains(c)).unwrap_or(text.len())
}

/// How many bytes the user and the password take at the start of a URL's authority.
fn user(authority: &str) -> usize {
    let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(authority.len());
    authority.get(..end).and_then(|authority| authority.rfind('@')).unwrap_or(0)
}

/// Whether the last word so far is a URL, or the path of a request.
fn in_url(shown: &str) -> bool {
    let last = shown.rsplit(|c: char| c.is_whitespace() || "\"'`<>()".contains(c)).next();
    last.is_some_and(|word| word.contains("://") || word.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use crate::model::endpoint::{Endpoint, Token};
    use alloc::string::String;

    #[test]
    fn nothing_secret_is_left() {
        let token = "a+b/c=d%41";
        let header = Endpoint::new("https://h", Token::new(token).unwrap()).unwrap();
        let query = Endpoint::builder().token_in_query().build("https://h", Token::new(token).unwrap()).unwrap();
        for (text, shown) in [
            ("nothing to hide: is it?", "nothing to hide: is it?"),
            ("Authorization: Bearer a+b/c=d%41", "Authorization: Bearer …"),
            ("a%2Bb%2fc%3Dd%2541!", "…!"),
            ("a%2bb/c=d%41", "…"),
            ("x a+b/c=d%42", "x a+b/c=d%42"),
            ("x a%zz %+b %", "x a%zz %+b %"),
            ("https only: http://h:1/p?qstash_token=a%2Bb%2Fc%3Dd%2541&count=1", "https only: http://h:1/p?…"),
            ("(https://h/p?a=b), then", "(https://h/p?…), then"),
            ("/p?a=b", "/p?…"),
            ("GET /p?a=b", "GET /p?…"),
            ("proxy:\u{a0}https://h/p?a=b", "proxy:\u{a0}https://h/p?…"),
            ("https://h/p is what? the base", "https://h/p is what? the base"),
            ("https://h/ of me@example.com", "https://h/ of me@example.com"),
            ("https://h of me@example.com", "https://h of me@example.com"),
            ("QSTASH_TOKEN=other&x", "qstash_token=…&x"),
            ("proxy http://me:pa@ss@proxy:3128/ said", "proxy http://…@proxy:3128/ said"),
            ("mail me@example.com?", "mail me@example.com?"),
            ("größe 🦀", "größe 🦀"),
            ("", ""),
        ] {
            assert_eq!(header.redact(text), shown);
            assert_eq!(query.redact(text), shown);
        }
    }

    /// A body is cut at a bound, wherever the token stands in it.
    #[test]
    fn no_part_of_the_token_is_left_where_a_text_was_cut() {
        let token = "a+b/c=d%41";
        let endpoint = Endpoint::new("https://h", Token::new(token).unwrap()).unwrap();
        let encoded: String = token.bytes().map(|byte| alloc::format!("%{byte:02x}")).collect();
        for written in [token, "a%2Bb%2Fc%3Dd%2541", "a%2bb/c=d%41", &encoded] {
            for end in 0..=written.len() {
                let shown = endpoint.redact_cut(&alloc::format!("said {}", &written[..end]));
                // Up to three characters may be there by chance, and the third escape may have begun.
                assert!(shown.len() <= "said ".len() + 3 * 3 + 2 || shown == "said …", "{shown}");
            }
        }
        for end in
            ["a+b", "a%2Bb", "a+b/d", "a+b/c=d%42", "%61%2b%62%", "%61%2b%62%2f%9", "%61%2b%62%2f%z", "A+B/C", ""]
        {
            let text = alloc::format!("said {end}");
            assert_eq!(endpoint.redact_cut(&text), text);
        }
        assert_eq!(endpoint.redact_cut("said a+b/"), "said …");
        assert_eq!(endpoint.redact_cut("said %61%2b%62%2"), "said %61%2b%62%2");
        assert_eq!(endpoint.redact_cut("said %61%2b%62%2f%"), "said …");
        assert_eq!(endpoint.redact_cut("größe a+b/c=d%4"), "größe …");
    }
}
