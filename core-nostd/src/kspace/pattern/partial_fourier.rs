//! A symmetric block and one side of the centre before the other.

use super::{Order, PatternError};

pub(super) fn order(order: &mut Order<'_>, centre_fraction: f32) -> Result<(), PatternError> {
    let block = block(order, centre_fraction)?;
    order.take_block(block);
    let centre = order.width() / 2;
    (0..centre).rev().chain(centre..order.width()).for_each(|line| order.take(line));
    Ok(())
}

/// An odd number of lines: as many on either side of DC.
pub(super) fn block(order: &Order<'_>, centre_fraction: f32) -> Result<usize, PatternError> {
    Ok((order.share(centre_fraction)? | 1).min(order.room()))
}
