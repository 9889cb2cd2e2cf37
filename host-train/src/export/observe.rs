//! What the networks see, at every stage of a scan: the inputs that quantisation is calibrated on.

use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kspace::{LineSet, Pattern};
use kscout_core::scan::write_state;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::augment::{MaskConfig, random_mask};
use crate::data::Slice;
use crate::mri::observation::observed_levels;
use crate::mri::random::mix;
use crate::mri::{Acquisition, acquire, seed_for};

/// How many observations are enough; more change the ranges by next to nothing.
pub const CALIBRATION: usize = 128;

/// Scans in progress have budgets from this many lines, log-uniform up to all lines.
const SMALLEST_BUDGET: usize = 4;

/// One moment of a scan, quantised as on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalibrationSample {
    /// The quantised image, `height * width` levels.
    pub levels: Vec<i8>,
    /// The state vector, `width + 3` values; see [`write_state`].
    pub state: Vec<i8>,
}

impl CalibrationSample {
    /// Whether the scan may still measure a line, so that a policy would be asked.
    pub fn goes_on(&self) -> bool {
        let remaining = self.state.len().checked_sub(STATE_EXTRAS).and_then(|at| self.state.get(at));
        remaining.is_some_and(|&share| share > 0)
    }
}

/// `count` observations of slices spread evenly over `slices`, measured and reconstructed as `acquisition` says; none if there is no
/// slice.
///
/// Half of them are measured through the random masks of the segmenter's training, which reach from few lines to all;
/// the other half are scans in progress, centre-out and of variable density, from before the first line on.
pub fn observe(slices: &[&Slice], count: usize, acquisition: Acquisition, seed: u64) -> Vec<CalibrationSample> {
    if slices.is_empty() {
        return Vec::new();
    }
    let one = |index: usize| observe_slice(slices[index * slices.len() / count], index, acquisition, seed);
    (0..count).into_par_iter().map(one).collect()
}

fn observe_slice(slice: &Slice, index: usize, acquisition: Acquisition, seed: u64) -> CalibrationSample {
    let measured = seed_for(&slice.id.patient, slice.id.n, seed);
    let kspace = acquire(&slice.image, slice.height, slice.width, &acquisition.protocol, measured);
    let mut rng = ChaCha8Rng::seed_from_u64(mix(seed) ^ index as u64);
    let (mask, budget) = if index.is_multiple_of(2) {
        let mask = random_mask(slice.width, &MaskConfig::default(), &mut rng);
        let budget = rng.random_range(mask.len()..=slice.width);
        (mask, budget)
    } else {
        scan_in_progress(slice.width, index % 4 == 1, &mut rng)
    };
    let mut state = vec![0; slice.width + STATE_EXTRAS];
    write_state(&mask, budget, &mut state).expect("a state of its length");
    CalibrationSample { levels: observed_levels(&kspace, &mask, acquisition.reconstruction), state }
}

/// The lines of a scan that has measured some of its budget, and the budget.
fn scan_in_progress(width: usize, centre_out: bool, rng: &mut impl Rng) -> (LineSet, usize) {
    let fewest = SMALLEST_BUDGET.min(width) as f32;
    let budget = (fewest * (width as f32 / fewest).powf(rng.random::<f32>())).round() as usize;
    let budget = budget.clamp(1, width);
    let pattern = if centre_out {
        Pattern::CentreOut
    } else {
        Pattern::VariableDensity { centre_fraction: rng.random_range(0.2..0.8), power: rng.random_range(1..=6) }
    };
    let order = pattern.lines(width, budget, rng.random()).expect("a budget of 1 to width lines");
    let mut mask = LineSet::new(width).expect("a width that the core supports");
    for &line in &order[..rng.random_range(0..budget)] {
        mask.insert(usize::from(line)).expect("a line of the image");
    }
    (mask, budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_in_progress_has_lines_left() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut unstarted = 0;
        for i in 0..200 {
            let (mask, budget) = scan_in_progress(64, i % 2 == 0, &mut rng);
            assert!(mask.len() < budget && budget <= 64, "{} of {budget}", mask.len());
            unstarted += usize::from(mask.is_empty());
        }
        assert!(unstarted > 0, "the first decision of a scan is among them");
    }

    #[test]
    fn a_spent_budget_asks_no_policy() {
        let mut state = vec![0; 64 + STATE_EXTRAS];
        let mut mask = LineSet::new(64).unwrap();
        mask.insert(3).unwrap();
        write_state(&mask, 2, &mut state).expect("a state of its length");
        assert!(CalibrationSample { levels: vec![], state: state.clone() }.goes_on());
        write_state(&mask, 1, &mut state).expect("a state of its length");
        assert!(!CalibrationSample { levels: vec![], state }.goes_on());
        assert!(!CalibrationSample { levels: vec![], state: vec![] }.goes_on());
    }
}
