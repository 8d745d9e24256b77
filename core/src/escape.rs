use core::fmt::{self, Write};

/// Text from outside, made safe to show in a terminal.
///
/// Control characters (C0, DEL, C1) and the invisible formatting characters that reorder or hide text are written as
/// `\u{…}`; text longer than [`Escaped::LIMIT`] characters is cut and ends in `…`.
///
/// ```
/// use upstash_dlq_core::Escaped;
/// assert_eq!(Escaped("red\u{1b}[31m").to_string(), "red\\u{1b}[31m");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl Escaped<'_> {
    /// How many characters are shown at most.
    pub const LIMIT: usize = 500;
}

/// True for what must not reach a terminal as it is.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
    fn long_text_is_cut() {
        let shown = Escaped(&"ä".repeat(2_000)).to_string();
        assert_eq!(shown.chars().count(), Escaped::LIMIT + 1);
    }
}
