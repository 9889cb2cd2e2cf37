//! A block in the centre and the rest at random, sparser and sparser outward.

use super::{MAX_POWER, Order, PatternError};

pub(super) fn order(order: &mut Order<'_>, centre_fraction: f32, power: u8) -> Result<(), PatternError> {
    if power > MAX_POWER {
        return Err(PatternError::Power { power });
    }
    let (block, width) = (order.block(centre_fraction)?, order.width());
    order.take_block(block);
    order.draw(|line| polynomial(line, width, power));
    Ok(())
}

/// `(W/2 + 1 - |k - W/2|)^power`: at most 257^6, and 512 of them, below 2^58.
fn polynomial(line: usize, width: usize, power: u8) -> u64 {
    let centre = width / 2;
    ((centre + 1 - centre.abs_diff(line)) as u64).saturating_pow(u32::from(power))
}
