//! A block in the centre and even gaps around it.

use super::{Order, PatternError, centre_out};

pub(super) fn order(order: &mut Order<'_>, centre_fraction: f32) -> Result<(), PatternError> {
    let block = order.block(centre_fraction)?;
    order.take_block(block);
    spread_evenly(order);
    Ok(())
}

/// Line i of as many as there is room for is the one in the middle of the i-th of as many equal parts of the lines not yet chosen.
fn spread_evenly(order: &mut Order<'_>) {
    let (block, count) = (order.chosen.clone(), order.room());
    let others = block.width() - block.len();
    let mut spread = block.clone();
    spread.clear();
    let mut part = 0;
    for (index, line) in block.missing().enumerate() {
        let middle = ((2 * part + 1) * others).checked_div(2 * count);
        if part < count && middle == Some(index) {
            let _ = spread.insert(line);
            part += 1;
        }
    }
    centre_out(block.width()).filter(|&line| spread.contains(line)).for_each(|line| order.take(line));
}
