//! CRC-32/ISO-HDLC, the one of zip, zlib and PNG: what blobs and captures carry.

use crc::{CRC_32_ISO_HDLC, Crc};

// Not a constant: its table would be written out wherever it is used.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// CRC-32 of the parts, one after another.
pub(crate) fn crc32<const N: usize>(parts: [&[u8]; N]) -> u32 {
    let mut digest = CRC.digest();
    parts.into_iter().for_each(|part| digest.update(part));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_of_zip() {
        assert_eq!(crc32([b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32([b"1234", b"", b"56789"]), 0xCBF4_3926);
        assert_eq!(crc32([]), 0);
    }
}
