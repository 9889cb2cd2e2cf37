//! At random, near lines more often.

use super::{Order, PatternError};

pub(super) fn order(order: &mut Order<'_>) -> Result<(), PatternError> {
    let (width, budget) = (order.width(), order.room());
    order.draw(|line| low_bias(line, width, budget));
    Ok(())
}

/// The density in units of 2^-32, rounded to whole ones, so that draws are in integers.
fn low_bias(line: usize, width: usize, budget: usize) -> u64 {
    const UNIT: f64 = 4_294_967_296.0;
    let deviations = 10.0 * (line as f64 - (width / 2) as f64) / width as f64;
    libm::round(UNIT * (libm::exp(-0.5 * deviations * deviations) + 0.5 * budget as f64 / width as f64)) as u64
}
