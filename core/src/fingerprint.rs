use crate::{Endpoint, Selection};
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Tells whether a checkpoint belongs to a command: a hash (FNV-1a, 128 bits) of the endpoint's base URL and the
/// selection *as it was given*, before relative times became absolute. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a selection as it stands.
    pub fn of(endpoint: &Endpoint, selection: &Selection) -> Self {
        let mut hash = Fnv::new();
        hash.text(endpoint.base_url());
        match selection {
            Selection::Ids(ids) => ids.as_slice().iter().for_each(|id| hash.pair("dlqIds", id.as_str())),
            Selection::Filter(filter) => filter.for_each_pair(|name, value| hash.pair(name, value)),
            Selection::Everything => hash.text("everything"),
        }
        hash.finish()
    }

    /// Of whatever the caller's words were, for instance `("from", "7d")`; the order counts.
    pub fn of_pairs<'a>(endpoint: &Endpoint, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Fnv::new();
        hash.text(endpoint.base_url());
        pairs.into_iter().for_each(|(name, value)| hash.pair(name, value));
        hash.finish()
    }

    /// Of this and more.
    pub(crate) fn and<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Fnv::new();
        hash.text(&self.0);
        pairs.into_iter().for_each(|(name, value)| hash.pair(name, value));
        hash.finish()
    }
}

/// Makes a [`Fingerprint`] of a list too long to hold, one value at a time.
#[derive(Clone, Debug)]
pub struct FingerprintOfMany(Fnv);

impl Default for FingerprintOfMany {
    fn default() -> Self {
        Self(Fnv::new())
    }
}

impl FingerprintOfMany {
    /// The next value; the order counts.
    pub fn add(&mut self, value: &str) {
        self.0.text(value);
    }

    /// Of all of them, at an endpoint.
    pub fn at(&self, endpoint: &Endpoint) -> Fingerprint {
        let Fingerprint(values) = Fnv(self.0.0).finish();
        Fingerprint::of_pairs(endpoint, [("many", values.as_str())])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For telling ids apart where a chance of one in 2⁶⁴ to mistake one is good enough.
pub(crate) fn hash_of(text: &str) -> u64 {
    let mut hash = Fnv::new();
    hash.bytes(text.as_bytes());
    let folded = hash.0 ^ (hash.0 >> 64);
    u64::try_from(folded & u128::from(u64::MAX)).unwrap_or_default()
}

/// 128 bits in hexadecimal.
pub(crate) fn digest_of(text: &str) -> String {
    let mut hash = Fnv::new();
    hash.bytes(text.as_bytes());
    hash.finish().0
}

#[derive(Clone, Debug)]
struct Fnv(u128);

impl Fnv {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    /// The length goes first, so that no two different lists run together into the same bytes.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(alloc::format!("{:032x}", self.0))
    }
}
