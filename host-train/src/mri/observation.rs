//! What the networks are shown of a measurement: the core's quantised image of some lines.

use kscout_core::contract::IMAGE_LEVELS_PER_RMS;
use kscout_core::kspace::{LineSet, Pattern, Reconstruction, quantise_magnitude};

use super::KSpace;

/// The mask of a pattern's first `budget` lines. `budget` is within `1..=width`.
pub fn pattern_mask(pattern: Pattern, width: usize, budget: usize, seed: u64) -> LineSet {
    let order = pattern.lines(width, budget, seed).expect("a budget of 1 to width lines");
    let mut mask = LineSet::new(width).expect("a width that the core supports");
    for line in order {
        mask.insert(usize::from(line)).expect("a line of the image");
    }
    mask
}

/// The quantised image of `kspace` under `mask`, as int8 levels: what the core makes of it.
pub fn observed_levels(kspace: &KSpace, mask: &LineSet, reconstruction: Reconstruction) -> Vec<i8> {
    let image = kspace.reconstructed(mask, reconstruction);
    let mut levels = vec![0i8; image.len()];
    quantise_magnitude(&image, kspace.width, &mut levels).expect("an image of whole rows");
    levels
}

/// The real values that int8 levels stand for.
pub fn levels_to_real(levels: &[i8]) -> impl Iterator<Item = f32> + '_ {
    levels.iter().map(|&q| (f32::from(q) + 128.0) / IMAGE_LEVELS_PER_RMS)
}

/// The real values that a state vector stands for.
pub fn state_to_real(state: &[i8]) -> impl Iterator<Item = f32> + '_ {
    state.iter().map(|&q| f32::from(q) / 127.0)
}
