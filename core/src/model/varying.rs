//! Recognises what differs from one failure to the next of the same cause: ids, tokens, addresses. It must not know what stands in
//! their place.

pub(crate) const DIGIT: u8 = 1;
pub(crate) const UPPER: u8 = 2;
/// Also every byte of a character that is not ASCII.
pub(crate) const LOWER: u8 = 4;
pub(crate) const WORD: u8 = DIGIT | UPPER | LOWER;
/// Joins words to a path, an address, an id.
pub(crate) const JOIN: u8 = 8;
pub(crate) const SPACE: u8 = 16;
pub(crate) const QUOTE: u8 = 32;

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte {
            0x30..=0x39 => DIGIT,
            0x41..=0x5a => UPPER,
            0x61..=0x7a | 0x80.. => LOWER,
            0x09..=0x0d | 0x20 => SPACE,
            0x22 | 0x27 | 0x60 => QUOTE,
            // % + - . / : = @ \ _ ~
            0x25 | 0x2b | 0x2d..=0x2f | 0x3a | 0x3d | 0x40 | 0x5c | 0x5f | 0x7e => JOIN,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// What kind of byte this is.
pub(crate) fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// All kinds of bytes in a text.
pub(crate) fn classes(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |all, byte| all | class(*byte))
}

/// A text in quotes is replaced as a whole if it has a digit, no slash, and at most this many bytes …
const QUOTED_BYTES: usize = 64;
/// … and this many blanks.
const QUOTED_BLANKS: usize = 3;
/// A word of this many bytes may be a token although it has no digit.
pub(crate) const LONG: usize = 20;

/// How many bytes at the start are of these classes.
pub(crate) fn length(bytes: &[u8], of: u8) -> usize {
    bytes.iter().position(|byte| class(*byte) & of == 0).unwrap_or(bytes.len())
}

pub(crate) fn is_sign(bytes: &[u8]) -> bool {
    matches!(bytes, [b'+' | b'-', next, ..] if next.is_ascii_digit())
}

pub(crate) fn begins_token(bytes: &[u8]) -> bool {
    matches!(bytes, [b'+' | b'/', ..]) && token(bytes.get(..length(bytes, WORD | JOIN)).unwrap_or_default()).is_some()
}

pub(crate) fn begins_address(bytes: &[u8]) -> bool {
    matches!(bytes, [b':', b':', next, ..] if next.is_ascii_hexdigit())
}

/// How many bytes a text takes that is replaced as a whole, with its quotes: what somebody named, with a digit in it.
pub(crate) fn quoted(bytes: &[u8]) -> Option<usize> {
    let (quote, rest) = bytes.split_first()?;
    let inner = rest.get(..rest.iter().take(QUOTED_BYTES + 1).position(|byte| byte == quote)?)?;
    let ends = rest.get(inner.len() + 1).is_none_or(|next| class(*next) & WORD == 0);
    let blanks = inner.iter().filter(|byte| class(**byte) == SPACE).count();
    // A path and a URL keep their words.
    let has_words = inner.iter().any(|byte| matches!(byte, b'/' | b'\\'));
    let varies = classes(inner) & DIGIT != 0 && blanks <= QUOTED_BLANKS && !has_words;
    (ends && varies).then_some(inner.len() + 2)
}

/// Whether a segment before the first digit is a word. Beside a random segment it may be a part of the same random text, and
/// only a longer one of one case is a word.
pub(crate) fn is_prefix(segment: &[u8], of: u8, random: bool) -> bool {
    let one_case = of & UPPER == 0 || of & LOWER == 0;
    let capital = segment.first().is_some_and(|first| class(*first) == UPPER)
        && segment.get(1..).is_some_and(|rest| classes(rest) & UPPER == 0);
    if random { one_case && segment.len() >= 3 } else { (one_case || capital) && segment.len() >= 2 }
}

/// A long word in which many letters are capitals, or a hexadecimal number that happens to have no digit.
pub(crate) fn is_long_token(word: &[u8]) -> bool {
    let capitals = word.iter().filter(|byte| class(**byte) == UPPER).count();
    let all_mixed = word.len() >= LONG && (3 * word.len()..=7 * word.len()).contains(&(10 * capitals));
    all_mixed || is_hexadecimal(word)
}

/// A longer hexadecimal number. Without a digit in it, it is hardly a word.
pub(crate) fn is_hexadecimal(word: &[u8]) -> bool {
    word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit)
}

/// An IPv6 address, or a time of day.
pub(crate) fn is_address(chunk: &[u8]) -> bool {
    let colons = chunk.iter().filter(|byte| **byte == b':').count();
    colons >= 2 && chunk.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
}

/// How many bytes Base64 and its like take: it is long, joined by `+` or `/`, and has all kinds of letters within one segment.
/// Also a JSON Web Token.
pub(crate) fn token(chunk: &[u8]) -> Option<usize> {
    let end = chunk.iter().rposition(|byte| !matches!(byte, b'.' | b':' | b'%' | b'@' | b'~' | b'\\'))?;
    let chunk = chunk.get(..=end)?;
    if chunk.len() < LONG {
        return None;
    }
    if chunk.starts_with(b"eyJ") {
        return Some(chunk.len());
    }
    let (text, padding) = chunk.split_at(chunk.iter().position(|byte| *byte == b'=').unwrap_or(chunk.len()));
    let only = text.iter().all(|byte| class(*byte) & WORD != 0 || matches!(byte, b'+' | b'/' | b'-' | b'_'));
    let random = |segment: &[u8]| segment.len() >= 5 && classes(segment) & WORD == WORD;
    // Words in a path, in camel case or not, have few capitals.
    let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let capitals = text.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let is_token = only
        && (letters..=3 * letters).contains(&(4 * capitals))
        && padding.iter().all(|byte| *byte == b'=')
        // A path begins with a slash, too.
        && text.iter().any(|byte| *byte == b'+' || (*byte == b'/' && (text.first() != Some(&b'/') || !padding.is_empty())))
        && text.split(|byte| class(*byte) & JOIN != 0).any(random);
    is_token.then_some(chunk.len())
}

/// How many bytes a UUID at the start takes.
pub(crate) fn uuid(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let text = bytes.get(..LENGTH)?;
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let ends = bytes.get(LENGTH).is_none_or(|next| class(*next) & WORD == 0);
    (ends && text.iter().enumerate().all(fits)).then_some(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn a_token_is_long_to_the_byte() {
        let text: String = "aB3dE+".chars().cycle().take(LONG).collect();
        assert_eq!(token(text.as_bytes()), Some(LONG));
        assert_eq!(token(&text.as_bytes()[1..]), None);
        assert_eq!(token(format!("{text}.").as_bytes()), Some(LONG), "a full stop after it is no part of it");
    }

    #[test]
    fn a_token_has_all_kinds_of_letters_in_one_segment() {
        assert_eq!(token(b"Abcde/fghij/KLMNo/pqrst"), None, "no digit");
        assert_eq!(token(b"Abcd1/fghij/KLMNo/pqrst"), Some(23));
        assert_eq!(token(b"Abcd1/fghij.KLMNo/pqrst"), None, "a full stop in it");
    }

    #[test]
    fn a_uuid_ends_where_it_ends() {
        let text = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(uuid(text.as_bytes()), Some(36));
        assert_eq!(uuid(format!("{text}-x").as_bytes()), Some(36));
        assert_eq!(uuid(format!("{text}x").as_bytes()), None);
        assert_eq!(uuid(text.replace('5', "x").as_bytes()), None);
    }
}
