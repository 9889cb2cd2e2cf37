//! An order of lines while a pattern writes it.

use super::PatternError;
use crate::kspace::mask::LineSet;
use crate::rng::SplitMix64;

/// An order under way: what has been chosen, and room for the rest of the budget. Lines beyond the budget are passed over.
pub(super) struct Order<'o> {
    pub(super) chosen: LineSet,
    slots: core::slice::IterMut<'o, u16>,
    seed: u64,
}

impl<'o> Order<'o> {
    /// Nothing chosen yet of a k-space of `width` lines; the budget is the length of `out`.
    pub(super) fn new(width: usize, seed: u64, out: &'o mut [u16]) -> Result<Self, PatternError> {
        let chosen = LineSet::new(width).map_err(|_| PatternError::Width { width })?;
        Ok(Self { chosen, slots: out.iter_mut(), seed })
    }

    /// The number of lines of the k-space, W; DC is line W/2.
    pub(super) fn width(&self) -> usize {
        self.chosen.width()
    }

    /// How many lines are still to be chosen; before any is, the budget.
    pub(super) fn room(&self) -> usize {
        self.slots.len()
    }

    /// Chooses `line` next, unless it is chosen already.
    pub(super) fn take(&mut self, line: usize) {
        if self.room() > 0
            && self.chosen.insert(line) == Ok(true)
            && let Some(slot) = self.slots.next()
        {
            *slot = line as u16;
        }
    }

    /// Chooses the `count` lines around DC, from DC outward.
    pub(super) fn take_block(&mut self, count: usize) {
        centre_out(self.width()).take(count).for_each(|line| self.take(line));
    }

    /// The share `centre_fraction` of the room, rounded to lines.
    ///
    /// # Errors
    /// [`PatternError::CentreFraction`] if it is not from 0 to 1.
    pub(super) fn share(&self, centre_fraction: f32) -> Result<usize, PatternError> {
        if !(0.0..=1.0).contains(&centre_fraction) {
            return Err(PatternError::CentreFraction { centre_fraction });
        }
        Ok((self.room() as f32 * centre_fraction + 0.5) as usize)
    }

    /// [`share`](Self::share), which is never lost to rounding.
    pub(super) fn block(&self, centre_fraction: f32) -> Result<usize, PatternError> {
        let rounded = self.share(centre_fraction)?;
        Ok(if centre_fraction > 0.0 { rounded.clamp(1, self.room()) } else { 0 })
    }

    /// Draws the rest without replacement, each line with its weight; all weights together are below 2^64.
    pub(super) fn draw(&mut self, weight: impl Fn(usize) -> u64) {
        let mut total: u64 = self.chosen.missing().map(&weight).sum();
        let mut rng = SplitMix64::new(self.seed);
        while self.room() > 0 {
            let mut ticket = rng.below(total);
            let winner = self.chosen.missing().find(|&line| {
                let passed = ticket >= weight(line);
                ticket = ticket.saturating_sub(weight(line));
                !passed
            });
            let Some(line) = winner else { return };
            total -= weight(line);
            self.take(line);
        }
    }
}

/// Every line of `0..width`, outward from DC, the lower one first.
pub(crate) fn centre_out(width: usize) -> impl Iterator<Item = usize> {
    (0..width).map(move |n| {
        let distance = n.div_ceil(2);
        if n % 2 == 1 { (width / 2).wrapping_sub(distance) } else { width / 2 + distance }
    })
}
