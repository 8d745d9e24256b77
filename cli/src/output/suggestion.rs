//! Commands for copying: safe to paste into a POSIX shell, or not suggested.

use crate::cli::Global;
use crate::output::terminal::escaped;

/// A command, or nothing once one of its words cannot be written. Quoting comes last: nothing cuts or escapes a word
/// afterwards.
pub(crate) struct Suggestion(Option<String>);

impl Suggestion {
    /// Starts a command that talks to the same service as this one.
    pub(crate) fn new(command: &str, global: &Global) -> Self {
        let path = global.token_file.as_deref();
        // A path that is not text cannot be written.
        let path_is_text = path.is_none_or(|path| path.to_str().is_some());
        Self(path_is_text.then(|| format!("upstash-dlq {command}")))
            .options("url", global.url.as_deref())
            .options("region", global.region.as_deref())
            .options("token-file", path.and_then(|path| path.to_str()))
    }

    /// Adds `--name=value`, so that no value is taken for an option.
    pub(crate) fn option(self, name: &str, value: &str) -> Self {
        self.word(&format!("--{name}="), value)
    }

    fn options<'a>(self, name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        values.into_iter().fold(self, |so_far, value| so_far.option(name, value))
    }

    /// Ends the command with an id, after `--` if it would be taken for an option.
    pub(crate) fn id(self, id: &str) -> Option<String> {
        self.word(if id.starts_with('-') { "-- " } else { "" }, id).end()
    }

    pub(crate) fn end(self) -> Option<String> {
        self.0
    }

    fn word(self, before: &str, value: &str) -> Self {
        Self(self.0.zip(quoted(value)).map(|(words, value)| format!("{words} {before}{value}")))
    }
}

/// A word as a shell reads it back. `None` if it must not reach a terminal: escaped, it would be another word.
fn quoted(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+".contains(c);
    if escaped(text) != text {
        None
    } else if !text.is_empty() && text.chars().all(plain) {
        Some(text.to_owned())
    } else {
        Some(format!("'{}'", text.replace('\'', "'\\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words() {
        for (text, word) in [
            ("1752829295505-0", Some("1752829295505-0")),
            ("", Some("''")),
            ("it's", Some("'it'\\''s'")),
            ("$(x) `y` \\", Some("'$(x) `y` \\'")),
            ("=ls", Some("'=ls'")),
            ("a\nb", None),
            ("a\u{202e}b", None),
        ] {
            assert_eq!(quoted(text).as_deref(), word, "{text:?}");
        }
        let long = "'".repeat(2_000);
        assert_eq!(quoted(&long).map(|word| word.len()), Some(8_002));
    }
}
