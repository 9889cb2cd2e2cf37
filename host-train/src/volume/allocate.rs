//! Ways to share a budget among the slices of a volume.

use rayon::prelude::*;

use crate::volume::allocation::AllocationEnv;
use crate::volume::trajectories::VolumeTrajectories;

/// Shares a budget.
pub trait Allocate: Sync {
    /// The name in tables.
    fn name(&self) -> &'static str;

    /// The slice of the next line, for each scan; every scan has an open slice.
    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize>;

    /// Shares `mean` lines a slice in every heart; the lines of each slice.
    fn share(&self, hearts: &[VolumeTrajectories], mean: usize) -> Vec<Vec<usize>> {
        let mut scans: Vec<AllocationEnv<'_>> = hearts.iter().map(|heart| AllocationEnv::new(heart, mean)).collect();
        loop {
            let active: Vec<usize> = (0..scans.len()).filter(|&i| scans[i].left() > 0).collect();
            if active.is_empty() {
                return scans.into_iter().map(|scan| scan.lines().to_vec()).collect();
            }
            let asked: Vec<&AllocationEnv<'_>> = active.iter().map(|&i| &scans[i]).collect();
            for (i, slice) in active.into_iter().zip(self.next(&asked)) {
                scans[i].give(slice);
            }
        }
    }
}

/// What a method reaches with a budget, means over volumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Lines a slice on average.
    pub budget: usize,
    /// Mean Dice.
    pub dice: f64,
    /// Mean SSIM of the slices; 0 where it was not followed.
    pub ssim: f64,
}

impl Reached {
    /// What `method` reaches on `hearts` with `budget` lines a slice.
    pub fn by(method: &dyn Allocate, hearts: &[VolumeTrajectories], budget: usize) -> Self {
        let lines = method.share(hearts, budget);
        let mean = |of: &dyn Fn(&VolumeTrajectories, &[usize]) -> f64| {
            let sum: f64 = hearts.iter().zip(&lines).map(|(heart, lines)| of(heart, lines)).sum();
            sum / hearts.len() as f64
        };
        Self {
            budget,
            dice: mean(&|heart, lines| heart.tally(lines).mean_dice()),
            ssim: mean(&|heart, lines| heart.mean_ssim(lines)),
        }
    }
}

/// As many lines to each slice.
pub struct Uniform;

impl Allocate for Uniform {
    fn name(&self) -> &'static str {
        "uniform"
    }

    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize> {
        let fewest = |scan: &&AllocationEnv<'_>| scan.open().min_by_key(|&slice| scan.lines()[slice]);
        scans.iter().map(|scan| fewest(scan).expect("an open slice")).collect()
    }
}

/// Knows the truth: gives the next line to the slice whose next few lines gain the most, a line. What it reaches is no
/// bound, but more than any policy can know.
pub struct Oracle {
    /// How many lines it looks ahead.
    pub ahead: usize,
}

impl Oracle {
    /// The slice, and how many lines it should have: the gain shows with the last of them.
    fn best(&self, scan: &AllocationEnv<'_>) -> (usize, usize) {
        let tally = scan.tally();
        let mut best = (f64::NEG_INFINITY, 0, 1);
        for slice in scan.open() {
            let lines = scan.lines()[slice];
            let old = scan.heart().part(slice, lines);
            for ahead in 1..=self.ahead.min(scan.left()).min(scan.most(slice) - lines) {
                let mut after = *tally;
                after.replace(&old, &scan.heart().part(slice, lines + ahead));
                let gain = (after.mean_dice() - tally.mean_dice()) / ahead as f64;
                if gain > best.0 {
                    best = (gain, slice, ahead);
                }
            }
        }
        (best.1, best.2)
    }
}

impl Allocate for Oracle {
    fn name(&self) -> &'static str {
        "allocation-oracle"
    }

    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize> {
        scans.iter().map(|scan| self.best(scan).0).collect()
    }

    fn share(&self, hearts: &[VolumeTrajectories], mean: usize) -> Vec<Vec<usize>> {
        let share = |heart: &VolumeTrajectories| {
            let mut scan = AllocationEnv::new(heart, mean);
            while scan.left() > 0 {
                let (slice, count) = self.best(&scan);
                (0..count).for_each(|_| {
                    scan.give(slice);
                });
            }
            scan.lines().to_vec()
        };
        hearts.par_iter().map(share).collect()
    }
}
