//! At random, all lines alike.

use super::{Order, PatternError};

pub(super) fn order(order: &mut Order<'_>) -> Result<(), PatternError> {
    order.draw(|_| 1);
    Ok(())
}
