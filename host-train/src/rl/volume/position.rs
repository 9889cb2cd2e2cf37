//! The best that can be done without looking: lines by a slice's place between base and apex.

use rayon::prelude::*;

use super::allocate::Allocate;
use super::heart::Heart;
use super::sharing::Sharing;

/// Places between the first slice and the last at which lines are learned; between them they are interpolated.
const PLACES: usize = 8;
/// The smallest change of a place's lines that is tried.
const FINEST: f64 = 0.125;

/// Lines a slice at each place, for one budget.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPosition {
    /// Lines at each place, relative to the mean.
    pub shares: [f64; PLACES],
    /// Lines a slice that it is made for.
    pub mean: usize,
    /// Lines that every slice has.
    pub first: usize,
}

impl ByPosition {
    /// Lines of the slices of a volume of `slices`: they sum up to the budget.
    pub fn lines(&self, slices: usize, most: usize) -> Vec<usize> {
        let first = self.first.min(self.mean) as f64;
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
    pub fn learn(hearts: &[Heart], mean: usize, first: usize) -> Self {
        let mut best = Self { shares: [1.0; PLACES], mean, first };
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

    fn score(&self, hearts: &[Heart]) -> f64 {
        let dice = |heart: &Heart| heart.tally(&self.lines(heart.slices.len(), most(heart))).mean_dice();
        hearts.par_iter().map(dice).sum::<f64>() / hearts.len() as f64
    }
}

fn most(heart: &Heart) -> usize {
    let scan = Sharing::new(heart, 0, 0);
    (0..heart.slices.len()).map(|slice| scan.most(slice)).min().unwrap_or(0)
}

impl Allocate for ByPosition {
    fn name(&self) -> &'static str {
        "by position"
    }

    fn next(&self, scans: &[&Sharing<'_>]) -> Vec<usize> {
        let next = |scan: &&Sharing<'_>| {
            let wanted = self.lines(scan.lines().len(), most(scan.heart()));
            let missing = |slice: usize| wanted[slice] as i64 - scan.lines()[slice] as i64;
            scan.open().max_by_key(|&slice| missing(slice)).expect("an open slice")
        };
        scans.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_sum_up_to_the_budget_and_follow_the_shares() {
        let mut shares = [1.0; PLACES];
        shares[PLACES - 1] = 0.0;
        let plan = ByPosition { shares, mean: 6, first: 2 };
        for slices in 1..20 {
            let lines = plan.lines(slices, 48);
            assert_eq!(lines.iter().sum::<usize>(), 6 * slices, "{slices} slices");
            assert!(lines.iter().all(|&n| n >= 2));
        }
        let lines = plan.lines(10, 48);
        assert_eq!(lines[9], 2, "{lines:?}");
    }
}
