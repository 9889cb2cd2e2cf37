//! A budget on its way to the slices of a volume: how many lines each slice has, and the objective with them.

use kscout_core::contract::{FEATURES, FIRST_LINES, MAX_SLICE_LINES};
use kscout_core::volume::{SliceStats, write_features};

use crate::objective::ObjectiveWeights;
use crate::volume::trajectories::{Tally, VolumeTrajectories};

/// The scan of a volume under way.
#[derive(Clone, Debug)]
pub struct AllocationEnv<'a> {
    heart: &'a VolumeTrajectories,
    weights: ObjectiveWeights,
    lines: Vec<usize>,
    left: usize,
    tally: Tally,
}

impl<'a> AllocationEnv<'a> {
    /// A scan of `mean` lines a slice on average, of which each slice has had its first ones. Its objective is Dice.
    pub fn new(heart: &'a VolumeTrajectories, mean: usize) -> Self {
        Self::weighing(heart, mean, ObjectiveWeights::DICE)
    }

    /// A scan whose objective `weights` say.
    pub fn weighing(heart: &'a VolumeTrajectories, mean: usize, weights: ObjectiveWeights) -> Self {
        let given = FIRST_LINES.min(mean);
        let lines = vec![given; heart.slices.len()];
        let tally = heart.tally(&lines);
        Self { heart, weights, left: (mean - given) * lines.len(), lines, tally }
    }

    /// The volume.
    pub fn heart(&self) -> &'a VolumeTrajectories {
        self.heart
    }

    /// Lines of each slice.
    pub fn lines(&self) -> &[usize] {
        &self.lines
    }

    /// Lines that may still be measured.
    pub fn left(&self) -> usize {
        if self.open().next().is_none() { 0 } else { self.left }
    }

    /// The volume's segmentation as it stands.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The most lines of a slice.
    pub fn most(&self, slice: usize) -> usize {
        MAX_SLICE_LINES.min(self.heart.slices[slice].stages.len() - 1)
    }

    /// The slices that may have another line.
    pub fn open(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.lines.len()).filter(|&slice| self.lines[slice] < self.most(slice))
    }

    /// Measures another line of an open slice; returns what the objective gains.
    pub fn give(&mut self, slice: usize) -> f64 {
        let before = self.tally.mean_dice();
        let lines = self.lines[slice];
        let ssim = self.ssim_gain(slice, lines + 1);
        self.tally.replace(&self.heart.part(slice, lines), &self.heart.part(slice, lines + 1));
        self.lines[slice] += 1;
        self.left -= 1;
        self.weights.of(ssim, self.tally.mean_dice() - before)
    }

    /// What the mean SSIM gains when slice `slice` has `then` lines.
    fn ssim_gain(&self, slice: usize, then: usize) -> f64 {
        let now = self.heart.ssim(slice, self.lines[slice]);
        (self.heart.ssim(slice, then) - now) / self.lines.len() as f64
    }

    /// What the slice policy sees of each slice.
    pub fn features(&self) -> Vec<[i8; FEATURES]> {
        let stage = |(slice, &lines): (usize, &usize)| self.heart.slices[slice].stages[lines].stats;
        let stats: Vec<SliceStats> = self.lines.iter().enumerate().map(stage).collect();
        let features = |slice| {
            let mut features = [0; FEATURES];
            write_features(&stats, slice, self.left, &mut features).expect("one of the slices");
            features
        };
        (0..stats.len()).map(features).collect()
    }

    /// What `ahead` more lines, or as many as there may be, gain in slice `slice` to first order, a line.
    pub fn gain(&self, slice: usize, ahead: usize) -> f64 {
        let lines = self.lines[slice];
        let then = (lines + ahead).min(self.most(slice));
        if then == lines {
            return 0.0;
        }
        let dice = self.tally.gain(&self.heart.part(slice, lines), &self.heart.part(slice, then));
        self.weights.of(self.ssim_gain(slice, then), dice) / (then - lines) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::trajectory::{Stage, Trajectory};

    /// Two slices whose segmentation and image get better line by line, at rates of their own.
    fn heart() -> VolumeTrajectories {
        let slice = |rate: u32| {
            let stage = |lines: u32| {
                let mut stats = SliceStats::blank(32, 32);
                stats.area = [20 + lines, 10, 5];
                let hits = [(rate * lines).min(30), lines.min(10), lines.min(5)];
                Stage { stats, hits, ssim: 1.0 - 1.0 / (1 + rate * lines) as f32 }
            };
            Trajectory { stages: (0..=32).map(stage).collect(), truth: [40, 12, 6] }
        };
        VolumeTrajectories::new(vec![slice(1), slice(3)])
    }

    #[test]
    fn what_lines_earn_adds_up_to_the_objective() {
        let heart = heart();
        for weights in [
            ObjectiveWeights::DICE,
            ObjectiveWeights { lambda1: 0.7, lambda2: 0.0 },
            ObjectiveWeights { lambda1: 0.5, lambda2: 2.0 },
        ] {
            let mut scan = AllocationEnv::weighing(&heart, 6, weights);
            let objective =
                |scan: &AllocationEnv<'_>| weights.of(heart.mean_ssim(scan.lines()), scan.tally().mean_dice());
            let before = objective(&scan);
            let mut earned = 0.0;
            for slice in [0, 1, 1, 0, 1, 1, 1, 0] {
                earned += scan.give(slice);
            }
            assert_eq!((scan.left(), scan.lines()), (0, [5, 7].as_slice()));
            assert!((objective(&scan) - before - earned).abs() < 1e-12, "{weights:?}: {earned}");
        }
    }

    #[test]
    fn the_gain_of_reconstruction_is_exact_and_counts_slices_alike() {
        let heart = heart();
        let scan = AllocationEnv::weighing(&heart, 6, ObjectiveWeights { lambda1: 2.0, lambda2: 0.0 });
        let exact = 2.0 * (heart.ssim(1, 5) - heart.ssim(1, 2)) / 2.0 / 3.0;
        assert!((scan.gain(1, 3) - exact).abs() < 1e-12);
        assert!(scan.gain(1, 3) < scan.gain(0, 3), "slice 1 is nearly there");
        assert!(
            AllocationEnv::new(&heart, 6).gain(1, 3) > AllocationEnv::new(&heart, 6).gain(0, 3),
            "but its segmentation gains more"
        );
    }
}
