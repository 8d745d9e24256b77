//! A digest (FNV-1a, 128 bits). It detects a change, but is no protection against forgery.

/// A digest in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u128);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    /// Adds a digest's value.
    pub(crate) fn add_digest(&mut self, digest: Self) {
        self.add(&digest.0.to_le_bytes());
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::new();
        digest.add(bytes);
        digest
    }

    /// 32 hexadecimal digits.
    pub(crate) fn to_text(self) -> String {
        format!("{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published values (draft-eastlake-fnv).
    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(Digest::of(b"").to_text(), "6c62272e07bb014262b821756295c58d");
        assert_eq!(Digest::of(b"a").to_text(), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(Digest::of(b"foobar").to_text(), "343e1662793c64bf6f0d3597ba446f18");
    }
}
