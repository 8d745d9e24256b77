//! Replaces what differs from one failure to the next of the same cause: numbers, ids, times, addresses. It must not know where
//! a text comes from, or what becomes of the result.

use crate::model::varying::{
    DIGIT, JOIN, LONG, LOWER, QUOTE, SPACE, UPPER, WORD, begins_address, begins_token, class, classes, is_address,
    is_hexadecimal, is_long_token, is_prefix, is_sign, length, quoted, token, uuid,
};

/// Stands for what was replaced. No UTF-8 text has this byte.
pub(crate) const MASK: u8 = 0xff;

/// Where a masked text goes.
pub(crate) trait Sink {
    fn bytes(&mut self, bytes: &[u8]);
}

/// Hands the text to `out`, masked, at most `limit` bytes of it.
///
/// A digit makes a word vary: `user42`, `4f3a`, `30s`. Neighbours that vary are one, so a list of three numbers is like one of
/// two, and `10.0.0.1:80` like `10.0.0.1`. What ends the text after one does not count. A blank stands for any white space.
pub(crate) fn mask(text: &str, limit: usize, out: &mut impl Sink) {
    let bytes = text.trim().as_bytes();
    let mut out = Masked { out, room: limit, after_mask: false, pending: [0; 4], pending_len: 0 };
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        if out.room == 0 {
            return;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).map_or(0, |byte| class(*byte));
        at += match class(byte) {
            SPACE => {
                out.separator(b' ');
                length(rest, SPACE)
            }
            QUOTE => match quoted(rest).filter(|_| before & WORD == 0) {
                Some(length) => {
                    out.separator(byte);
                    out.mask();
                    out.separator(byte);
                    length
                }
                None => {
                    out.separator(byte);
                    1
                }
            },
            // An address may begin with `::`, and a token with what joins others.
            JOIN if before & WORD == 0 && (begins_address(rest) || begins_token(rest)) => out.chunk(rest),
            // A sign varies with its number.
            JOIN if before & WORD == 0 && is_sign(rest) => 1,
            class if class & WORD != 0 => out.chunk(rest),
            _ => {
                out.separator(byte);
                1
            }
        };
    }
}

/// The result as it grows. Separators after a mask wait: if another mask follows, both are one.
struct Masked<'o, S> {
    out: &'o mut S,
    room: usize,
    after_mask: bool,
    pending: [u8; 4],
    pending_len: usize,
}

impl<S: Sink> Masked<'_, S> {
    fn write(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(..self.room).unwrap_or(bytes);
        self.room -= bytes.len();
        self.out.bytes(bytes);
    }

    fn flush(&mut self) {
        let pending = self.pending;
        self.write(pending.get(..self.pending_len).unwrap_or_default());
        self.pending_len = 0;
        self.after_mask = false;
    }

    fn word(&mut self, bytes: &[u8]) {
        self.flush();
        self.write(bytes);
    }

    fn separator(&mut self, byte: u8) {
        let joins = class(byte) & (JOIN | SPACE) != 0 || matches!(byte, b',' | b';');
        match self.pending.get_mut(self.pending_len) {
            Some(place) if self.after_mask && joins => {
                *place = byte;
                self.pending_len += 1;
            }
            _ => self.word(&[byte]),
        }
    }

    fn mask(&mut self) {
        if self.after_mask {
            self.pending_len = 0;
        } else {
            self.word(&[MASK]);
            self.after_mask = true;
        }
    }

    /// Takes the words at the start with what joins them, and returns how many bytes that is.
    fn chunk(&mut self, bytes: &[u8]) -> usize {
        let whole = bytes.get(..length(bytes, WORD | JOIN)).unwrap_or_default();
        let colon = whole.iter().position(|byte| *byte == b':').unwrap_or(whole.len());
        if whole.get(colon..).is_some_and(|after| after.starts_with(b"://")) {
            return self.url(bytes, colon);
        }
        // What ends a sentence is no part of it.
        let last = whole.iter().rposition(|byte| class(*byte) & WORD != 0);
        let mut end = last.map_or(whole.len(), |last| last + 1);
        let chunk = bytes.get(..end).unwrap_or_default();
        let all = classes(chunk);
        if all & DIGIT == 0 && end < LONG && !chunk.contains(&b'@') && !is_hexadecimal(chunk) {
            let next = bytes.get(end..).unwrap_or_default();
            let is_time = (all & UPPER != 0 || self.after_mask) && self.is_of_a_time(chunk, next);
            if is_time { self.mask() } else { self.word(chunk) }
        } else if is_address(chunk) {
            self.mask();
        } else if let Some(length) = token(whole) {
            self.mask();
            end = length;
        } else {
            self.compound(chunk);
        }
        if self.after_mask && self.pending_len == 0 {
            // The padding of Base64 varies with its length.
            end += bytes.get(end..).unwrap_or_default().iter().take_while(|byte| **byte == b'=').count();
        }
        end
    }

    /// The name of a day or a month beside a number, or the half of a day after one.
    fn is_of_a_time(&self, word: &[u8], next: &[u8]) -> bool {
        let begins = |names: &[&str]| {
            let abbreviated = |name: &&str| name.as_bytes() == word || name.as_bytes().get(..3) == Some(word);
            names.iter().any(abbreviated)
        };
        let separators = next.iter().position(|byte| !matches!(byte, b' ' | b',' | b'.')).unwrap_or(next.len());
        let after = next.get(separators..).unwrap_or_default();
        let number_follows = after.first().is_some_and(u8::is_ascii_digit);
        match word.len() {
            2 => self.after_mask && matches!(word, b"AM" | b"PM" | b"am" | b"pm"),
            3..=9 if begins(&DAYS) => {
                let month = after.get(..length(after, WORD)).unwrap_or_default();
                number_follows
                    || self.after_mask
                    || MONTHS.iter().any(|name| name.as_bytes().starts_with(month) && month.len() >= 3)
            }
            3..=9 => (number_follows || self.after_mask) && begins(&MONTHS),
            _ => false,
        }
    }

    /// A URL keeps its scheme, its host and the words of its path. Returns how many bytes it takes.
    fn url(&mut self, bytes: &[u8], scheme: usize) -> usize {
        let start = bytes.get(..scheme).unwrap_or_default().iter().rposition(|byte| !byte.is_ascii_alphanumeric());
        let start = start.map_or(0, |before| before + 1);
        self.compound(bytes.get(..start).unwrap_or_default());
        self.word(bytes.get(start..scheme + 3).unwrap_or_default());
        let rest = bytes.get(scheme + 3..).unwrap_or_default();
        let end = |byte: &u8| class(*byte) & (SPACE | QUOTE) != 0 || b"<>()[]{}|^".contains(byte);
        // The brackets of an IPv6 address are no end.
        let address =
            rest.first().filter(|byte| **byte == b'[').and_then(|_| rest.iter().position(|byte| *byte == b']'));
        let from = address.map_or(0, |end| end + 1);
        let length = rest.iter().skip(from).position(end).map_or(rest.len(), |at| from + at);
        let mut url = rest.get(..length).unwrap_or_default();
        while let [shorter @ .., b'.' | b',' | b':' | b';' | b'!' | b'?'] = url {
            url = shorter;
        }
        let taken = scheme + 3 + url.len();
        let query = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
        let (authority, path) = {
            let before = url.get(..query).unwrap_or_default();
            before.split_at(before.iter().position(|byte| *byte == b'/').unwrap_or(before.len()))
        };
        let host = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
        let host = authority.get(host..).unwrap_or_default();
        let host = match host.iter().rposition(|byte| *byte == b':') {
            Some(port) if host.iter().skip(port + 1).all(u8::is_ascii_digit) => host.get(..port).unwrap_or_default(),
            _ => host,
        };
        let is_number = host.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        if host.first() == Some(&b'[') || (is_number && !host.is_empty()) {
            self.mask();
        } else {
            self.word(host);
        }
        // A list of paths is one of words.
        let path = path.get(..path.iter().position(|byte| *byte == b',').unwrap_or(path.len())).unwrap_or_default();
        for part in path.split(|byte| *byte == b'/').skip(1) {
            self.separator(b'/');
            if part.contains(&b'%') { self.mask() } else { self.compound(part) }
        }
        taken
    }

    /// Words with what joins them, without a URL. An e-mail address in it is replaced.
    fn compound(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'@') {
            let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
            let name = |byte: &u8| class(*byte) & WORD != 0 || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%');
            let start = before.iter().rposition(|byte| !name(byte)).map_or(0, |before| before + 1);
            let domain = after.iter().position(|byte| class(*byte) & WORD == 0 && !matches!(byte, b'.' | b'-'));
            let domain = after.get(..domain.unwrap_or(after.len())).unwrap_or_default();
            let top = domain.iter().rposition(|byte| *byte == b'.').and_then(|dot| domain.get(dot + 1..));
            let is_mail = start < at && top.is_some_and(|top| top.len() >= 2 && classes(top) & (DIGIT | JOIN) == 0);
            if is_mail {
                self.parts(before.get(..start).unwrap_or_default());
                self.mask();
                rest = after.get(domain.len()..).unwrap_or_default();
            } else {
                self.parts(before);
                self.separator(b'@');
                rest = after;
            }
        }
        self.parts(rest);
    }

    /// Parts between joiners other than `-` and `_`, which may join the segments of an id.
    fn parts(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if class(*first) & JOIN != 0 {
                // The sign of an offset varies with the offset.
                self.separator(if *first == b'+' { b'-' } else { *first });
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let end = rest.iter().position(|byte| class(*byte) & JOIN != 0 && !matches!(byte, b'-' | b'_'));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.part(part);
            rest = after;
        }
    }

    /// Segments between `-` and `_`: words, numbers, ids.
    fn part(&mut self, part: &[u8]) {
        let is_soft = |byte: &u8| matches!(byte, b'-' | b'_');
        let digits = classes(part) & DIGIT != 0;
        let is_random = |segment: &[u8]| segment.len() >= 4 && classes(segment) & WORD == WORD;
        let random = digits && part.split(is_soft).any(is_random);
        // The name of a constant, such as `ERR_HTTP2_STREAM`.
        let constant = classes(part) & LOWER == 0 && !part.contains(&b'-');
        // What comes after a number and `::` goes on with its id, as in `fra1::abcde-1731000000000`.
        let goes_on = self.after_mask && self.pending.get(..self.pending_len) == Some(b"::");
        let (mut seen_digit, mut seen_mixed) = (false, false);
        let mut rest = part;
        while !rest.is_empty() {
            if let Some(length) = uuid(rest) {
                self.mask();
                seen_digit = true;
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            let (segment, after) = rest.split_at(rest.iter().position(is_soft).unwrap_or(rest.len()));
            let of = classes(segment);
            let varies = match (of & DIGIT != 0, seen_digit) {
                (true, _) => true,
                (false, true) => (seen_mixed && !constant) || random,
                // What stands before the first digit may be a word that says what kind of id it is.
                (false, false) => (digits && (goes_on || !is_prefix(segment, of, random))) || is_long_token(segment),
            };
            if varies && !segment.is_empty() {
                self.mask();
            } else {
                self.word_or_nothing(segment);
            }
            seen_digit |= of & DIGIT != 0 || (varies && random);
            seen_mixed |= of & DIGIT != 0 && of & (UPPER | LOWER) != 0;
            match after.split_first() {
                Some((joiner, next)) => {
                    self.separator(*joiner);
                    rest = next;
                }
                None => rest = after,
            }
        }
    }

    fn word_or_nothing(&mut self, word: &[u8]) {
        if !word.is_empty() {
            self.word(word);
        }
    }
}

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use super::{MASK, Sink, mask};
    use alloc::string::String;
    use alloc::vec::Vec;

    impl Sink for Vec<u8> {
        fn bytes(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    /// The masked text, with `#` for the mask.
    fn masked(text: &str, limit: usize) -> String {
        let mut out = Vec::new();
        mask(text, limit, &mut out);
        out.iter_mut().filter(|byte| **byte == MASK).for_each(|byte| *byte = b'#');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_varies_is_masked_and_the_rest_is_kept() {
        let mut failed = String::new();
        for (text, expected) in [
            ("plain words, kept: as they are.", "plain words, kept: as they are."),
            ("  much \t\n white  space ", "much white space"),
            ("42 is -7 or +3.5, 1,000 and 1e-9", "# is # or # and #"),
            ("user42 order-4711 wfr_01hx9k run/99", "# order-# wfr_# run/#"),
            ("id 550e8400-e29b-41d4-a716-446655440000.", "id #"),
            ("id abcdefab-abcd-abcd-abcd-abcdefabcdef!", "id #!"),
            ("job_550e8400-e29b-41d4-a716-446655440000", "job_#"),
            ("0xdeadbeef deadbeefcafe facade 4f3a9c", "# facade #"),
            ("nano V1StGXR8_Z5jdHi6B-myT ends", "nano # ends"),
            ("pod checkout-7d9f8b6c5d-xkzqw is gone", "pod checkout-# is gone"),
            ("order-4711-items and us-east-1", "order-#-items and us-east-#"),
            ("key sk_live_4eC39HqLyjWDarjtT1zdp7dc", "key #"),
            ("XyZ-12, as fooBar-12, as x-12, as Order-12", "#, as #, as #, as Order-#"),
            ("a1b2_cdef, as AB12-CDEF, as AB12_CDEF", "#, as #, as #_CDEF"),
            ("abcDEFghiJKLmnoPQRst abcDEFghiJKLmnoPQRs", "# abcDEFghiJKLmnoPQRs"),
            ("order-x-12 order-12-x x-y-12 order-items-aB3d", "order-# order-#-x # order-items-#"),
            ("a= b", "a= b"),
            ("aBcDeF_gHiJkL_mNoPqRsT", "aBcDeF_gHiJkL_mNoPqRsT"),
            ("code NGHTTP2_REFUSED_STREAM is ERR_HTTP2_STREAM_ERROR", "code #_REFUSED_STREAM is ERR_#_STREAM_ERROR"),
            ("TIMEOUT fra1::abcde-1731000000000-0123456789ab", "TIMEOUT #"),
            ("rt::fmt::order-12", "rt::fmt::order-#"),
            ("token dGhpcyBpcyBh/IHRlc3Q+aGVsbG8=", "token #"),
            ("token QWxhZGRpbjpvcGVuIHNlc2FtZQ==.", "token #"),
            ("token dGhpcyBpcyBh/IHRlc3Q0aGVsbG8", "token #"),
            ("src/aB1cD/XyZ.TS", "src/#/XyZ.TS"),
            ("/aBcDeFgHiJ0kLmNoPqRs+tUvW: go /aBcDEf7hIjKlMnOpQrSt/uv==, /srv/Base64Decoder/index7", "#: go #, /srv/#"),
            ("jwt eyJhbGciOi.eyJzdWIiOi.SflKxwRJSM", "jwt #"),
            ("getServerSidePropsFromRequest is camel", "getServerSidePropsFromRequest is camel"),
            ("at 2026-11-24T08:30:00.123Z it", "at # it"),
            ("at 2026-11-24 08:30:00 +0100 it", "at # it"),
            ("on Tue Nov 24 2026 08:30:00 GMT+0100", "on # GMT-#"),
            ("on Tuesday, 24 November 2026, 8:30 PM", "on #"),
            ("in May 2026, but he may; Monday mornings", "in #, but he may; Monday mornings"),
            ("from 10.0.0.1:8080 to 2001:db8::17 and ::1", "from # to # and #"),
            ("http://[2001:db8::17]:80/a and http://10.0.0.1:80/a", "http://#/a and http://#/a"),
            ("mail jo.doe+x@mail.example.com now", "mail # now"),
            ("mailto:jo@example.com,", "mailto:#"),
            ("jo@example.com/inbox a:@example.com jo@example.c pkg@1.23", "#/inbox a:@example.com jo@example.c pkg@#"),
            ("@scope/name@1.2.3 and a@b", "@scope/name@# and a@b"),
            (
                "GET https://u:p@api2.example.com:8443/v2/users/4711/items?x=1#y failed",
                "GET https://api2.example.com/#/users/#/items failed",
            ),
            ("url=https://h.example/a%20b/c?q, then", "url=https://h.example/#/c, then"),
            ("see https://h.example.", "see https://h.example."),
            ("s3://bucket/key x9=s3://bucket git+ssh://h", "s3://bucket/key #=s3://bucket git-ssh://h"),
            ("http://h.example:port/a http://h.example:80/a", "http://h.example:port/a http://h.example/a"),
            ("(https://h.example/x?a=(b)) no", "(https://h.example/x(b)) no"),
            ("/var/task/chunks/4711.js:12:34 in C:\\me\\file.ts:7", "/var/task/chunks/#.js:# in C:\\me\\file.ts:#"),
            ("reading 'price' of \"item\"", "reading 'price' of \"item\""),
            ("no 'Blue Chair 12' and \"a1b2\" or `x9`", "no '#' and \"#\" or `#`"),
            ("module './chunks/4711.js' don't", "module './chunks/#.js' don't"),
            ("'a b 7'c and 'a b 7' c", "'a b #'c and '#' c"),
            ("'one two three four five 6' it's", "'one two three four five #' it's"),
            ("{\"id\":\"a1\",\"n\":[1, 2, 3]}", "{\"id\":\"#\",\"n\":[#]}"),
            ("größe 12€ 日本語", "größe # 日本語"),
            ("rt::fmt::Error 3:4", "rt::fmt::Error #"),
            ("#4 $5 *6* <7>", "## $# *#* <#>"),
            ("- a -- b", "- a -- b"),
            ("", ""),
            ("://", "://"),
        ] {
            let shown = masked(text, 1_000);
            if shown != expected {
                failed.push_str(&alloc::format!("{text}\n {shown}\n {expected}\n"));
            }
        }
        assert!(failed.is_empty(), "{failed}");
    }

    #[test]
    fn a_long_quoted_text_keeps_its_words() {
        for (words, expected) in [(62, "'#'".into()), (63, alloc::format!("'{} #'", "w".repeat(63)))] {
            assert_eq!(masked(&alloc::format!("'{} 7'", "w".repeat(words)), 1_000), expected);
        }
    }

    #[test]
    fn the_result_has_a_bound() {
        assert_eq!(masked("one two three", 7), "one two");
        assert_eq!(masked("12345678901234567890 two", 3), "# t");
        assert_eq!(masked("1 two", 0), "");
    }
}
