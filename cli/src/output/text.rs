//! Pieces of sentences: counts and paths.

use std::path::Path;
use upstash_dlq_core::model::Escaped;

/// A path, with nothing in it that steers a terminal.
pub(crate) fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// `3 of the ids were not found`
pub(crate) fn absent(n: u64) -> String {
    format!("{} of the ids {} not found", thousands(n), if n == 1 { "was" } else { "were" })
}

/// `3 runs`
pub(crate) fn runs(n: u64) -> String {
    format!("{} {}", thousands(n), if n == 1 { "run" } else { "runs" })
}

/// `3 requests`
pub(crate) fn requests(n: u64) -> String {
    format!("{} {}", thousands(n), if n == 1 { "request" } else { "requests" })
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
    fn thousands() {
        let shown = [0, 999, 1_000, 1_234_567].map(super::thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
