//! Pieces of sentences: counts and paths.

use std::path::Path;
use upstash_dlq_core::model::Escaped;

/// A path, with nothing in it that steers a terminal.
pub(crate) fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// `; 3 of the listed runs lack a field that the filter names`, if any do.
pub(crate) fn unchecked(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 of the listed runs lacks a field that the filter names".to_owned(),
        count => format!("; {} of the listed runs lack a field that the filter names", thousands(count)),
    }
}

/// `3 of the ids were not found`
pub(crate) fn absent(n: u64) -> String {
    format!("{} of the ids {} not found", thousands(n), if n == 1 { "was" } else { "were" })
}

/// `at least 3 more runs match`. `None` if there are none. `maybe` says that there may be more than those that are known.
pub(crate) fn more_match(known: u64, maybe: bool) -> Option<String> {
    let least = if maybe { "at least " } else { "" };
    match known {
        0 => maybe.then(|| "more runs may match".to_owned()),
        1 => Some(format!("{least}1 more run matches")),
        _ => Some(format!("{least}{} more runs match", thousands(known))),
    }
}

/// `3 runs have no id that can be used, and were left out`
pub(crate) fn without_id(n: u64) -> String {
    let (have, were) = if n == 1 { ("has", "was") } else { ("have", "were") };
    format!("{} {have} no id that can be used, and {were} left out", runs(n))
}

/// `3 runs`
pub(crate) fn runs(n: u64) -> String {
    format!("{} {}", thousands(n), if n == 1 { "run" } else { "runs" })
}

/// `3 requests`
pub(crate) fn requests(n: u64) -> String {
    format!("{} {}", thousands(n), if n == 1 { "request" } else { "requests" })
}

/// `(1 other value; --json lists it)`, `(1,234 other values; --json lists them)`. `in_json` says that JSON has all of them.
pub(crate) fn other(n: u64, what: &str, in_json: bool) -> String {
    let (s, it) = if n == 1 { ("", "it") } else { ("s", "them") };
    let json = if in_json { format!("; --json lists {it}") } else { String::new() };
    format!("({} other {what}{s}{json})", thousands(n))
}

/// `1,234,567`
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_other_is_not_many() {
        assert_eq!(
            [1, 2, 1_234].map(|n| super::other(n, "error", n < 1_000)),
            ["(1 other error; --json lists it)", "(2 other errors; --json lists them)", "(1,234 other errors)"]
        );
    }

    #[test]
    fn what_more_there_is() {
        let sentences = [(0, false), (1, false), (2_000, false), (0, true), (1, true), (60, true)]
            .map(|(known, maybe)| super::more_match(known, maybe).unwrap_or_default());
        let expected = [
            "",
            "1 more run matches",
            "2,000 more runs match",
            "more runs may match",
            "at least 1 more run matches",
            "at least 60 more runs match",
        ];
        assert_eq!(sentences, expected);
    }

    #[test]
    fn thousands() {
        let shown = [0, 999, 1_000, 1_234_567].map(super::thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
