//! A better order of the same lines.
//!
//! Forward selection takes what is best for the next line. Where conjugate symmetry fills in the other side of k-space, a line
//! that is best now (one on either side in turn) can cost more a few lines later, when all would better lie on one side.
//! What counts is the order as a whole: the sum of the scores with its first line, its first two, and on to all. Single
//! lines are moved to other places as long as that sum grows.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::data::measured::Measured;
use crate::io::stop;
use crate::samplers::OrderError;
use crate::samplers::forward::{by_pool, mean_score};
use crate::samplers::scorer::{Scorer, Tally};
use crate::samplers::tries::{PartialSlice, Trial};
use crate::shard::Together;

/// What a move must add to the sum of scores: such as a ten-thousandth of Dice at one number of lines. With less, orders that are as
/// good as equal would be tried for long.
const LEAST_GAIN: f64 = 1e-4;

/// A line's move within an order; the lines between shift by one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The line's place before.
    pub from: usize,
    /// Its place after.
    pub to: usize,
}

impl Move {
    /// Places of the order that the move changes.
    fn places(self) -> std::ops::RangeInclusive<usize> {
        self.from.min(self.to)..=self.from.max(self.to)
    }

    fn apply(self, lines: &mut Vec<u16>) {
        let line = lines.remove(self.from);
        lines.insert(self.to, line);
    }
}

/// Orders of lines for slices in pools, each pool a volume or a part of it, and what is known of their scores.
pub struct Reordering<'a> {
    scorer: &'a Scorer<'a>,
    together: &'a mut Together,
    /// The slices of the pools that are scored here.
    slices: Vec<&'a Measured<'a>>,
    /// How many each of these pools has.
    own: Vec<usize>,
    /// Slices of each pool.
    sizes: Vec<usize>,
    /// Scores of sets of lines, each set sorted: which of its lines came first changes no more than the image's rounding.
    scores: HashMap<Vec<u16>, f64>,
}

impl<'a> Reordering<'a> {
    /// The score is the mean over the pools of the pooled score, as in [`Forward`](super::forward::Forward).
    ///
    /// Pools are dealt out to those who work `together`.
    pub fn new(scorer: &'a Scorer<'a>, pools: &[Vec<&'a Measured<'a>>], together: &'a mut Together) -> Self {
        let sizes = pools.iter().map(Vec::len).collect();
        let here = pools.iter().enumerate().filter(|&(place, _)| together.takes(place));
        let here: Vec<Vec<&Measured<'_>>> = here.map(|(_, pool)| pool.clone()).collect();
        let own = here.iter().map(Vec::len).collect();
        Self { scorer, together, slices: here.concat(), own, sizes, scores: HashMap::new() }
    }

    /// Moves lines until no move gains more than next to nothing, or the command is to end; returns whether none does. `each` is told the
    /// order after every round of moves that do not touch each other, and the score with its first line, its first two, and on.
    ///
    /// # Errors
    /// [`OrderError`] where the core cannot reconstruct the slices, or others' results cannot be had; [`OrderError::Stopped`] where the
    /// command is to end before these are there.
    pub fn improve(
        &mut self,
        lines: &mut Vec<u16>,
        mut each: impl FnMut(&[u16], Vec<f64>),
    ) -> Result<bool, OrderError> {
        loop {
            let moves = self.round(lines)?;
            if moves.is_empty() {
                return Ok(true);
            }
            moves.into_iter().for_each(|step| step.apply(lines));
            each(lines, self.scores(lines)?);
            if stop::asked() {
                return Ok(false);
            }
        }
    }

    /// The best moves that do not touch each other.
    fn round(&mut self, lines: &[u16]) -> Result<Vec<Move>, OrderError> {
        let gains = self.gains(lines)?;
        let mut moved = vec![false; lines.len()];
        let alone = |&(step, _): &(Move, f64)| {
            let free = step.places().all(|place| !moved[place]);
            if free {
                step.places().for_each(|place| moved[place] = true);
            }
            free
        };
        Ok(gains.into_iter().filter(alone).map(|(step, _)| step).collect())
    }

    /// The moves that gain, and what each gains in all, the best first.
    fn gains(&mut self, lines: &[u16]) -> Result<Vec<(Move, f64)>, OrderError> {
        let now = self.scores(lines)?;
        let mut gains = Vec::new();
        for from in 0..lines.len() {
            let mut others = lines.to_vec();
            let line = others.remove(from);
            // With the line left out, and with the line from the start on: a later place takes the first, an earlier one the other.
            let without = self.scores(&others)?;
            others.insert(0, line);
            let with = self.scores(&others[..=from])?;
            let gain = |to: usize| {
                let (then, changed) = if to > from { (&without, from..to) } else { (&with, to..from) };
                changed.map(|place| then[place] - now[place]).sum::<f64>()
            };
            let places = (0..lines.len()).filter(|&to| to != from);
            gains.extend(places.map(|to| (Move { from, to }, gain(to))).filter(|&(_, gain)| gain > LEAST_GAIN));
        }
        gains.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(gains)
    }

    /// The score with the first of `lines`, the first two, and on.
    fn scores(&mut self, lines: &[u16]) -> Result<Vec<f64>, OrderError> {
        let sets: Vec<Vec<u16>> = (1..=lines.len())
            .map(|many| {
                let mut set = lines[..many].to_vec();
                set.sort_unstable();
                set
            })
            .collect();
        let unknown: Vec<bool> = sets.iter().map(|set| !self.scores.contains_key(set)).collect();
        if unknown.contains(&true) {
            let tallies = self.tallies(lines, &unknown)?;
            let asked = (0..lines.len()).filter(|&place| unknown[place]);
            for (nth, place) in asked.enumerate() {
                let score = mean_score(self.scorer.score(), tallies.iter().map(|of_slice| of_slice[nth]), &self.sizes);
                self.scores.insert(sets[place].clone(), score);
            }
        }
        Ok(sets.iter().map(|set| self.scores[set]).collect())
    }

    /// For each slice the tallies after those of `lines` that are `asked` about.
    fn tallies(&mut self, lines: &[u16], asked: &[bool]) -> Result<Vec<Vec<Tally>>, OrderError> {
        let (mut failed, scorer, slices, own) = (None, self.scorer, &self.slices, &self.own);
        let gathered = self.together.gather(|| match tallies(scorer, slices, lines, asked) {
            Ok(tallies) => Some(by_pool(tallies, own)),
            Err(error) => {
                failed = Some(error);
                None
            }
        })?;
        match (gathered, failed) {
            (Some(tallies), _) => Ok(tallies.concat()),
            (None, Some(error)) => Err(error),
            (None, None) => Err(OrderError::Stopped),
        }
    }
}

/// For each of `slices` the tallies after those of `lines` that are `asked` about.
fn tallies(
    scorer: &Scorer<'_>,
    slices: &[&Measured<'_>],
    lines: &[u16],
    asked: &[bool],
) -> Result<Vec<Vec<Tally>>, OrderError> {
    let of_slice = |trial: &mut Trial, measured: &&Measured<'_>| {
        let mut slice = PartialSlice::new(measured, &[], scorer.reconstruction())?;
        let mut tallies = Vec::new();
        for (&line, &asked) in lines.iter().zip(asked) {
            slice.push_line(line)?;
            if asked {
                tallies.push(slice.tally(scorer, trial));
            }
        }
        Ok(tallies)
    };
    slices.par_iter().map_init(|| Trial::new(scorer), of_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::measured::{MeasuredVolume, measure};
    use crate::eval::run::{Method, mean_dice, scan_volumes, score};
    use crate::inference::segment::CoreSegmenter;
    use crate::mri::Protocol;
    use crate::samplers::threshold::{Threshold, phantoms};
    use crate::samplers::{Fixed, Score};

    fn moved(lines: &[u16], from: usize, to: usize) -> Vec<u16> {
        let mut lines = lines.to_vec();
        Move { from, to }.apply(&mut lines);
        lines
    }

    #[test]
    fn no_single_move_makes_an_order_better_by_what_evaluation_says() {
        let (segmenter, data) = (Threshold::new(64), phantoms(2));
        let model = segmenter.model();
        let volumes: Vec<MeasuredVolume<'_>> = measure(&data, Split::Train, &Protocol::scanner(), 1);
        let pools: Vec<Vec<&Measured<'_>>> = volumes.iter().map(|volume| volume.slices.iter().collect()).collect();
        let core = CoreSegmenter { graph: model.segmenter().unwrap() };
        let evaluated = |lines: &[u16]| -> Vec<f64> {
            let fixed = Fixed { name: "tried", lines: lines.to_vec() };
            let dice = |budget: usize| {
                let scans = scan_volumes(model.plan(), &core, &volumes, Method::Order(&fixed), budget).unwrap();
                mean_dice(&score(&volumes, &scans).unwrap()).mean().unwrap()
            };
            (1..=lines.len()).map(dice).collect()
        };
        let sum = |lines: &[u16]| evaluated(lines).iter().sum::<f64>();

        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let start = vec![37, 27, 31, 34, 32, 33];
        let (mut lines, mut told) = (start.clone(), Vec::new());
        let each = |lines: &[u16], scores: Vec<f64>| told.push((lines.to_vec(), scores));
        Reordering::new(&scorer, &pools, &mut Together::alone()).improve(&mut lines, each).unwrap();

        let mut before = sum(&start);
        for (order, said) in &told {
            let scores = evaluated(order);
            assert!(scores.iter().zip(said).all(|(a, b)| (a - b).abs() < 1e-6), "{scores:?} {said:?}");
            let now: f64 = scores.iter().sum();
            assert!(now > before + LEAST_GAIN - 1e-6, "{order:?}: {now} after {before}");
            before = now;
        }
        assert_eq!(told.last().map(|(order, _)| order), Some(&lines), "at least one move gains");
        let all = |lines: &[u16]| {
            let mut lines = lines.to_vec();
            lines.sort_unstable();
            lines
        };
        assert_eq!(all(&lines), all(&start));
        for (from, to) in (0..6).flat_map(|from| (0..6).map(move |to| (from, to))) {
            let other = moved(&lines, from, to);
            assert!(sum(&other) <= before + LEAST_GAIN + 1e-6, "{other:?} is better than {lines:?}");
        }
    }

    #[test]
    fn a_move_shifts_the_lines_between() {
        assert_eq!(moved(&[5, 6, 7, 8], 0, 2), [6, 7, 5, 8]);
        assert_eq!(moved(&[5, 6, 7, 8], 3, 1), [5, 8, 6, 7]);
    }

    #[test]
    fn an_order_of_no_or_one_line_stays() {
        let segmenter = Threshold::new(64);
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        for order in [vec![], vec![32]] {
            let mut lines = order.clone();
            let mut alone = Together::alone();
            let mut reordering = Reordering::new(&scorer, &[], &mut alone);
            reordering.improve(&mut lines, |_, _| panic!("nothing to move")).unwrap();
            assert_eq!(lines, order);
        }
    }
}
