//! Parses numbers of bytes as people write them.

/// The largest bound of a message, in bytes (256 MiB). The service's largest message has 50 MB.
pub(crate) const LARGEST: u64 = 256 * 1024 * 1024;

/// A number of bytes: plain, or with a unit (kB, MB; KiB, MiB; also in small letters).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let size = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "kib" => Some(1024),
        "mib" => Some(1024 * 1024),
        _ => None,
    };
    let (Some(size), false) = (size, digits.is_empty()) else {
        return Err("is not a size: give one such as 64MiB, 100MB or a number of bytes".into());
    };
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(size)) {
        Some(0) => Err("must be more than 0".into()),
        Some(bytes) if bytes <= LARGEST => Ok(bytes),
        Some(_) | None => Err("is more than 256MiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("1000", 1_000),
            ("7b", 7),
            ("64MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("100MB", 100_000_000),
            ("3kB", 3_000),
            ("2KiB", 2_048),
            ("256MiB", LARGEST),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, problem) in [
            ("", "is not a size"),
            ("MiB", "is not a size"),
            ("-1", "is not a size"),
            ("1.5MB", "is not a size"),
            ("1 MB", "is not a size"),
            ("1GB", "is not a size"),
            ("1é", "is not a size"),
            ("0", "must be more than 0"),
            ("0MiB", "must be more than 0"),
            ("257MiB", "is more than 256MiB"),
            ("99999999999999999999", "is more than 256MiB"),
            ("18446744073709551615kB", "is more than 256MiB"),
        ] {
            assert!(parse_size(text).unwrap_err().starts_with(problem), "{text}");
        }
    }
}
