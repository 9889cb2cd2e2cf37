//! FNV-1a, 64 bits (Fowler, Noll and Vo): the hash of digests. It tells results apart; it is no protection against people.

/// The hash of the bytes that have been given to it so far.
///
/// ```
/// use kscout_core::fnv::Fnv1a;
/// assert_eq!(Fnv1a::NOTHING.of(*b"foo").of(*b"bar").value(), 0x85944171f73967e8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fnv1a(u64);

impl Fnv1a {
    /// The hash of no bytes.
    pub const NOTHING: Self = Self(0xcbf2_9ce4_8422_2325);

    /// The hash with `bytes` behind those before.
    pub fn of(self, bytes: impl IntoIterator<Item = u8>) -> Self {
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.into_iter().fold(self.0, add))
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_published_values() {
        let hash = |text: &str| Fnv1a::NOTHING.of(text.bytes()).value();
        assert_eq!(
            ["", "a", "foobar"].map(hash),
            [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]
        );
    }
}
