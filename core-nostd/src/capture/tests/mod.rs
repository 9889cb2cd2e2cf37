use std::vec::Vec;

use super::bytes::put_crc;
use crate::Complex32;

mod slice;
mod tamper;
mod volume;

fn kspace(count: usize) -> Vec<Complex32> {
    (0..count).map(|i| Complex32::new(i as f32, -0.5 * i as f32)).collect()
}

/// A file that was changed, with its checksum made right again.
fn with_right_crc(mut file: Vec<u8>) -> Vec<u8> {
    put_crc(&mut file);
    file
}
