//! Makes texts of others safe for a terminal.

use core::fmt::{self, Write};

/// Shows a text from outside safely in a terminal.
///
/// Control characters (C0, DEL, C1) and invisible characters, which can reorder or hide text, are written as `\u{…}`. A text
/// longer than [`Escaped::LIMIT`] characters is cut and ends in `…`.
///
/// ```
/// use upstash_dlq_core::model::Escaped;
/// assert_eq!(Escaped("red\u{1b}[31m").to_string(), "red\\u{1b}[31m");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// The most characters that are shown.
    pub const LIMIT: usize = 500;
}

/// Whether a character must not reach a terminal as it is.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        // Unicode's Default_Ignorable_Code_Point, in which the bidirectional controls are …
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
        // … and what else ends a line, brackets text unseen, joins signs, or is a letter of nothing but blank.
        || matches!(c,
            '\u{2028}'..='\u{2029}' | '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}')
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shown, c) in self.0.chars().enumerate() {
            if shown == Self::LIMIT {
                return f.write_char('…');
            }
            if is_unsafe(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        let hostile = "a\u{1b}]0;x\u{7}b\r\nc\u{9b}1m\u{202e}d\u{200b}\u{7f}";
        let shown = Escaped(hostile).to_string();
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}]0;x\\u{7}b\\u{d}\\u{a}c"));
    }

    #[test]
    fn nothing_invisible_passes() {
        // One of each stretch, both ends.
        let hidden = "\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180f}\u{200e}\u{2028}\u{2029}\u{202a}\u{202e}\
            \u{2060}\u{2065}\u{206a}\u{206f}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fffb}\u{13430}\
            \u{1bca0}\u{1bca3}\u{1d173}\u{1d17a}\u{e0001}\u{e0100}\u{e01ef}\u{e0fff}";
        for c in hidden.chars() {
            assert_eq!(Escaped(&c.to_string()).to_string(), c.escape_unicode().to_string());
        }
        // What is seen stays as it is.
        let seen = "ä ß 日本語 한글 ខ្មែរ ᠮᠣᠩ ⠁ ❤ 👍🏽 𝅘 العربية \u{a0}";
        assert_eq!(Escaped(seen).to_string(), seen);
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Escaped(&"ä".repeat(2_000)).to_string();
        assert_eq!(shown.chars().count(), Escaped::LIMIT + 1);
    }
}
