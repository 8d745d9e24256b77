//! FNV-1a of 128 bits: tells texts and lists of texts apart. It is no protection against forgery.

use alloc::string::String;

#[derive(Clone, Debug)]
pub(crate) struct Fnv(u128);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    /// The length goes first, so that no two different lists run together into the same bytes.
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    pub(crate) fn pair(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    pub(crate) fn finish(&self) -> String {
        alloc::format!("{:032x}", self.0)
    }

    /// Both halves in one.
    pub(crate) fn folded(&self) -> u64 {
        let folded = self.0 ^ (self.0 >> 64);
        u64::try_from(folded & u128::from(u64::MAX)).unwrap_or_default()
    }
}

/// Tells ids apart. Two ids are mistaken for one with a probability of one in 2⁶⁴.
pub(crate) fn hash_of(text: &str) -> u64 {
    let mut hash = Fnv::new();
    hash.bytes(text.as_bytes());
    hash.folded()
}

/// A digest of 128 bits, in hexadecimal.
pub(crate) fn digest_of(text: &str) -> String {
    let mut hash = Fnv::new();
    hash.bytes(text.as_bytes());
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::{digest_of, hash_of};

    /// The digests as published with the algorithm. The shorter hash depends on both halves of them.
    #[test]
    fn the_hash_is_the_known_one() {
        for (text, high, low) in [
            ("", 0x6c62_272e_07bb_0142_u64, 0x62b8_2175_6295_c58d_u64),
            ("a", 0xd228_cb69_6f1a_8caf, 0x7891_2b70_4e4a_8964),
            ("foobar", 0x343e_1662_793c_64bf, 0x6f0d_3597_ba44_6f18),
        ] {
            assert_eq!(digest_of(text), alloc::format!("{high:016x}{low:016x}"));
            assert_eq!(hash_of(text), high ^ low);
        }
    }
}
