//! The best that can be done without looking: lines by a slice's place between base and apex.

use std::fs;
use std::path::{Path, PathBuf};

use kscout_core::contract::FIRST_LINES;
use kscout_core::kspace::LineSet;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::io::whole::write_atomically;
use crate::volume::allocate::Allocate;
use crate::volume::allocation::AllocationEnv;
use crate::volume::trajectories::VolumeTrajectories;

/// Places between the first slice and the last at which lines are learned; between them they are interpolated.
const PLACES: usize = 8;
/// The smallest change of a place's lines that is tried.
const FINEST: f64 = 0.125;

/// Lines a slice at each place, for one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByPosition {
    /// Lines at each place, relative to the mean.
    pub shares: [f64; PLACES],
    /// Lines a slice that it is made for.
    pub mean: usize,
}

impl ByPosition {
    /// Lines of the slices of a volume of `slices`: they sum up to the budget.
    pub fn lines(&self, slices: usize, most: usize) -> Vec<usize> {
        let first = FIRST_LINES.min(self.mean) as f64;
        let at = |slice: usize| {
            let place = slice as f64 / (slices.max(2) - 1) as f64 * (PLACES - 1) as f64;
            let below = (place as usize).min(PLACES - 2);
            let within = place - below as f64;
            (self.shares[below] * (1.0 - within) + self.shares[below + 1] * within).max(0.0)
        };
        let wanted: Vec<f64> = (0..slices).map(at).collect();
        let total: f64 = wanted.iter().sum();
        let extra = (self.mean as f64 - first) * slices as f64;
        let scale = if total > 0.0 { extra / total } else { 0.0 };
        let exact: Vec<f64> = wanted.iter().map(|w| (first + w * scale).min(most as f64)).collect();
        let mut lines: Vec<usize> = exact.iter().map(|&lines| lines as usize).collect();
        // The largest remainders get what rounding down has left.
        let mut order: Vec<usize> = (0..slices).collect();
        order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())));
        let mut left = (self.mean * slices).saturating_sub(lines.iter().sum());
        while left > 0 && lines.iter().any(|&n| n < most) {
            for &slice in &order {
                if left > 0 && lines[slice] < most {
                    lines[slice] += 1;
                    left -= 1;
                }
            }
        }
        lines
    }

    /// Learns the shares on `hearts`: places take from each other as long as the mean Dice rises.
    pub fn learn(hearts: &[VolumeTrajectories], mean: usize) -> Self {
        let mut best = Self { shares: [1.0; PLACES], mean };
        let mut score = best.score(hearts);
        let mut step = 0.5;
        while step >= FINEST {
            let mut better = false;
            for place in 0..PLACES {
                for change in [1.0 + step, 1.0 / (1.0 + step)] {
                    let mut tried = best.clone();
                    tried.shares[place] *= change;
                    let tried_score = tried.score(hearts);
                    if tried_score > score {
                        (best, score, better) = (tried, tried_score, true);
                    }
                }
            }
            if !better {
                step /= 2.0;
            }
        }
        best
    }

    fn score(&self, hearts: &[VolumeTrajectories]) -> f64 {
        let dice = |heart: &VolumeTrajectories| heart.tally(&self.lines(heart.slices.len(), most(heart))).mean_dice();
        hearts.par_iter().map(dice).sum::<f64>() / hearts.len() as f64
    }
}

fn most(heart: &VolumeTrajectories) -> usize {
    let scan = AllocationEnv::new(heart, 0);
    (0..heart.slices.len()).map(|slice| scan.most(slice)).min().unwrap_or(0)
}

/// Plans for some budgets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plans {
    /// One a budget.
    pub plans: Vec<ByPosition>,
    /// Lines of a slice in order; none: centre-out.
    pub line_order: Vec<u16>,
}

/// Why a file of plans could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}; `kscout train slice-policy` writes this file")]
pub struct PlansError {
    path: PathBuf,
    message: String,
}

impl Plans {
    /// The file's name in a training's folder.
    pub const FILE: &str = "positions.json";

    /// Learns a plan for each budget, on volumes that were followed in `line_order`.
    pub fn learn(hearts: &[VolumeTrajectories], budgets: &[usize], line_order: Vec<u16>) -> Self {
        Self { plans: budgets.iter().map(|&mean| ByPosition::learn(hearts, mean)).collect(), line_order }
    }

    /// The plan for `mean` lines a slice: the one made for the nearest budget.
    pub fn plan(&self, mean: usize) -> ByPosition {
        let nearest = self.plans.iter().min_by_key(|plan| plan.mean.abs_diff(mean));
        let shares = nearest.map_or([1.0; PLACES], |plan| plan.shares);
        ByPosition { shares, mean }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> Result<(), PlansError> {
        let text = serde_json::to_string_pretty(self).expect("numbers only");
        write_atomically(path, text.as_bytes()).map_err(|error| refused(path, error))
    }

    /// Reads a file for images of `width` lines.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_for(path: &Path, width: usize) -> Result<Self, PlansError> {
        let text = fs::read_to_string(path).map_err(|error| refused(path, error))?;
        let plans: Self = serde_json::from_str(&text).map_err(|error| refused(path, error))?;
        let sound = |share: &f64| share.is_finite() && *share >= 0.0;
        if !plans.plans.iter().all(|plan| plan.shares.iter().all(sound)) {
            return Err(refused(path, "a share is negative or no number"));
        }
        if plans.plans.is_empty() {
            return Err(refused(path, "holds no plan"));
        }
        let mut order = LineSet::new(width).map_err(|error| refused(path, error))?;
        for &line in &plans.line_order {
            if order.insert(usize::from(line)).map_err(|error| refused(path, error))? {
                continue;
            }
            return Err(refused(path, format!("line {line} comes twice")));
        }
        Ok(plans)
    }
}

fn refused(path: &Path, message: impl ToString) -> PlansError {
    PlansError { path: path.to_owned(), message: message.to_string() }
}

impl Allocate for Plans {
    fn name(&self) -> &'static str {
        "by-position"
    }

    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize> {
        let next = |scan: &&AllocationEnv<'_>| {
            let (slices, given) = (scan.lines().len(), scan.lines().iter().sum::<usize>());
            let wanted = self.plan((given + scan.left()) / slices).lines(slices, most(scan.heart()));
            let missing = |slice: usize| wanted[slice] as i64 - scan.lines()[slice] as i64;
            scan.open().max_by_key(|&slice| missing(slice)).expect("an open slice")
        };
        scans.iter().map(next).collect()
    }

    fn share(&self, hearts: &[VolumeTrajectories], mean: usize) -> Vec<Vec<usize>> {
        let plan = self.plan(mean);
        hearts.iter().map(|heart| plan.lines(heart.slices.len(), most(heart))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_plans_that_cannot_be_used_are_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("plans.json");
        let plan = ByPosition { shares: [1.0; PLACES], mean: 6 };
        let read = |plans: Vec<ByPosition>, line_order: Vec<u16>| {
            Plans { plans, line_order }.write(&path).unwrap();
            Plans::read_for(&path, 32).map_err(|error| error.to_string())
        };
        assert_eq!(read(vec![plan.clone()], vec![16, 15]).unwrap().line_order, [16, 15]);
        assert!(read(vec![], vec![]).unwrap_err().contains("holds no plan"));
        assert!(read(vec![plan.clone()], vec![16, 16]).unwrap_err().contains("line 16 comes twice"));
        assert!(read(vec![plan.clone()], vec![32]).unwrap_err().contains("32"));
        let negative = ByPosition { shares: [-1.0; PLACES], ..plan };
        assert!(read(vec![negative], vec![]).unwrap_err().contains("negative"));
    }

    #[test]
    fn lines_sum_up_to_the_budget_and_follow_the_shares() {
        let mut shares = [1.0; PLACES];
        shares[PLACES - 1] = 0.0;
        let plan = ByPosition { shares, mean: 6 };
        for slices in 1..20 {
            let lines = plan.lines(slices, 48);
            assert_eq!(lines.iter().sum::<usize>(), 6 * slices, "{slices} slices");
            assert!(lines.iter().all(|&n| n >= 2));
        }
        let lines = plan.lines(10, 48);
        assert_eq!(lines[9], 2, "{lines:?}");
    }
}
