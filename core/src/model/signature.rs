//! Signatures of failures: runs that failed for the same reason have the same one. It must not know what is done with them.

use crate::model::failure::{Failure, with_failure};
use crate::model::field_error::FieldError;
use crate::model::hash::Fnv;
use crate::model::masking::{Sink, mask};
use crate::model::message::DlqMessage;
use alloc::string::{String, ToString};
use core::fmt;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// How many bytes of the masked message count. What comes later is rarely of the cause.
const LIMIT: usize = 2 * 1024;
/// How many letters and digits a signature has.
const DIGITS: usize = 8;
/// How many there are to choose from.
const BASE: u32 = 36;
const COUNT: u64 = (BASE as u64).pow(8);
const PREFIX: &str = "e1-";
/// Ends a part of what is hashed. No UTF-8 text has this byte, and it is not the mask.
const END: &[u8] = b"\xfe";

/// Why a run failed, as eight letters and digits: `e1-4k7q0zbd`. Runs that failed for the same reason have the same signature,
/// although their errors name different ids, numbers and times.
///
/// It is a hash of the response status, the error's name, and the error's message in which everything that varies is replaced:
/// numbers, words with a digit, UUIDs, tokens, times, e-mail and IP addresses, positions in files, and short texts in quotes with a
/// digit in them. A URL counts with its host and the words of its path. The message counts up to its first stack frame, and up to
/// 2,048 bytes after the replacing; the stack does not count, because its frames change with every deployment. Of a body of another
/// form, such as a proxy's page, the text counts; a body that is empty or no text leaves the status alone.
///
/// [`DlqMessage::signature`] makes it from a message; a text such as the one that `upstash-dlq stats` prints is parsed with
/// [`str::parse`]. [`RefinementBuilder::signature`](crate::selection::RefinementBuilder::signature) selects by it.
///
/// A signature stays the same in all versions of this library that begin it with `e1`. Two reasons share one by accident with a
/// probability of one in 10¹², and whoever writes the errors can make them share one: it is no protection against forgery.
///
/// ```
/// use upstash_dlq_core::DlqMessage;
/// use upstash_dlq_core::model::Signature;
/// let failed = |body: &str| DlqMessage::parse(&format!(r#"{{"responseStatus":504,"responseBody":"{body}"}}"#));
/// let signature = failed("no response from 10.0.0.7:443 after 30s")?.signature();
/// assert_eq!(failed("no response from 10.0.1.9:443 after 12s")?.signature(), signature);
/// assert_ne!(failed("no route to 10.0.0.7:443")?.signature(), signature);
/// assert_eq!(signature.to_string().parse::<Signature>()?, signature);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(u64);

impl DlqMessage {
    /// The signature of this run's failure. Every message has one.
    pub fn signature(&self) -> Signature {
        with_failure(self, |failure| Signature::new(self.response_status(), failure))
    }
}

impl Signature {
    fn new(status: Option<i64>, failure: Option<&Failure<'_>>) -> Self {
        let mut hash = Fnv::new();
        hash.bytes(&status.unwrap_or(-1).to_le_bytes());
        if let Some(failure) = failure {
            mask(&failure.name, LIMIT, &mut hash);
            hash.bytes(END);
            mask(without_frames(&failure.message), LIMIT, &mut hash);
        }
        Self(hash.folded() % COUNT)
    }
}

impl Sink for Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        Self::bytes(self, bytes);
    }
}

/// The message up to its first stack frame, a line that begins with `at`.
fn without_frames(message: &str) -> &str {
    let mut at = 0;
    while let Some(end) = message.get(at..).and_then(|rest| rest.find('\n')) {
        let next = at + end + 1;
        let line = message.get(next..).unwrap_or_default().trim_start_matches([' ', '\t']);
        if line.starts_with("at ") {
            return message.get(..at + end).unwrap_or_default();
        }
        at = next;
    }
    message
}

impl core::str::FromStr for Signature {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let digits = text.strip_prefix(PREFIX).unwrap_or_default();
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let fits = digits.len() == DIGITS && digits.bytes().all(is_digit);
        match u64::from_str_radix(digits, BASE) {
            Ok(number) if fits => Ok(Self(number)),
            _ => Err(FieldError::new(
                "error",
                text,
                "is not the signature of an error: give one as stats shows it, e1- and eight lower-case letters or digits",
            )),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [b'0'; DIGITS];
        let mut rest = self.0;
        for place in digits.iter_mut().rev() {
            let digit = u32::try_from(rest % u64::from(BASE)).ok().and_then(|digit| char::from_digit(digit, BASE));
            *place = digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0');
            rest /= u64::from(BASE);
        }
        f.write_str(PREFIX)?;
        f.write_str(core::str::from_utf8(&digits).unwrap_or_default())
    }
}

/// As its text.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|error: FieldError| D::Error::custom(error.to_string()))
    }
}
