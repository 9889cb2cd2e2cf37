//! From DC outward.

use super::{Order, PatternError, centre_out};

pub(super) fn order(order: &mut Order<'_>) -> Result<(), PatternError> {
    centre_out(order.width()).for_each(|line| order.take(line));
    Ok(())
}
