//! Greedy forward selection: one mask for many slices.
//!
//! From no lines, or some, on: at each step every line that is left is added to all slices in turn, the segmenter scorers, and
//! the line with the best score stays. It is how IGS (Razumov, Rogov and Dylov, arXiv 2108.04914) learns its mask, whose
//! candidates it ranks by the gradient of the loss; here a segmentation is cheap enough to try them all.

use crate::data::measured::Measured;
use crate::io::stop;
use crate::samplers::OrderError;
use crate::samplers::scorer::{Score, Scorer, Tally};
use crate::samplers::tries::{PartialSlice, candidates, tally_each};
use crate::shard::Together;

/// How lines are selected.
pub struct Forward<'a> {
    /// FoldSegmenters every try.
    pub scorer: &'a Scorer<'a>,
    /// Lines that are measured to begin with, in order.
    pub start: &'a [u16],
    /// Lines are selected among so many nearest to the centre.
    pub nearest: usize,
    /// Lines in the end, with those to begin with.
    pub budget: usize,
}

impl Forward<'_> {
    /// The lines for slices in pools, each pool a volume or a part of it: those that make the mean over the pools of the
    /// pooled score as large as one line after the other can. Of equally good lines the one nearest to the centre is taken.
    ///
    /// `each` is told every line that is selected and the score with it. Fewer lines than the budget are given where fewer are
    /// to select among, or where the command is to end.
    ///
    /// Pools are dealt out to those who work `together`.
    ///
    /// # Errors
    /// [`OrderError`] where the core cannot reconstruct the slices, or others' results cannot be had.
    pub fn select(
        &self,
        pools: &[Vec<&Measured<'_>>],
        together: &mut Together,
        mut each: impl FnMut(u16, f64),
    ) -> Result<Vec<u16>, OrderError> {
        let Some(width) = pools.iter().flatten().next().map(|measured| measured.slice.width) else {
            return Ok(self.start.to_vec());
        };
        let sizes: Vec<usize> = pools.iter().map(Vec::len).collect();
        let reconstruction = self.scorer.reconstruction();
        let here: Vec<&Vec<&Measured<'_>>> =
            pools.iter().enumerate().filter(|&(place, _)| together.takes(place)).map(|(_, pool)| pool).collect();
        let own: Vec<usize> = here.iter().map(|pool| pool.len()).collect();
        let slices = here.into_iter().flatten().map(|measured| PartialSlice::new(measured, self.start, reconstruction));
        let mut slices = slices.collect::<Result<Vec<_>, OrderError>>()?;
        let candidates = candidates(width, self.nearest)?;
        let mut lines = self.start.to_vec();
        while lines.len() < self.budget {
            let left: Vec<u16> = candidates.iter().copied().filter(|line| !lines.contains(line)).collect();
            let tallies = together.gather(|| {
                let tallies = tally_each(self.scorer, &slices, &left);
                (!stop::asked()).then(|| by_pool(tallies, &own))
            })?;
            let Some(tallies) = tallies else { break };
            let tallies = tallies.concat();
            let score = |line: usize| {
                let with_line = tallies.iter().filter_map(|of_slice| of_slice[line]);
                mean_score(self.scorer.score(), with_line, &sizes)
            };
            let Some((best, score)) = first_best((0..left.len()).map(score)) else { break };
            slices.iter_mut().try_for_each(|slice| slice.push_line(left[best]))?;
            lines.push(left[best]);
            each(left[best], score);
        }
        Ok(lines)
    }
}

/// What was found of slices, by the pools of `sizes` slices that they are of.
pub(super) fn by_pool<T>(of_slices: Vec<T>, sizes: &[usize]) -> Vec<Vec<T>> {
    let mut of_slices = of_slices.into_iter();
    sizes.iter().map(|&size| of_slices.by_ref().take(size).collect()).collect()
}

/// The mean over pools of `sizes` slices of the score of each pool's tallies.
pub(super) fn mean_score(score: Score, mut tallies: impl Iterator<Item = Tally>, sizes: &[usize]) -> f64 {
    let pooled = sizes.iter().map(|&size| tallies.by_ref().take(size).sum::<Tally>());
    let scores: Vec<f64> = pooled.filter_map(|tally| score.of(&tally)).collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

/// The first of the largest scores, and its place.
pub(super) fn first_best(scores: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    scores.enumerate().reduce(better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::measured::{MeasuredVolume, measure};
    use crate::eval::run::{Method, mean_dice, scan_volumes, score};
    use crate::inference::segment::CoreSegmenter;
    use crate::mri::Protocol;
    use crate::samplers::Fixed;
    use crate::samplers::threshold::{Threshold, phantoms};

    fn pools<'a>(volumes: &'a [MeasuredVolume<'a>]) -> Vec<Vec<&'a Measured<'a>>> {
        volumes.iter().map(|volume| volume.slices.iter().collect()).collect()
    }

    #[test]
    fn each_line_is_the_best_of_all_by_what_evaluation_says() {
        let (segmenter, data) = (Threshold::new(64), phantoms(2));
        let model = segmenter.model();
        let volumes = measure(&data, Split::Train, &Protocol::scanner(), 1);
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let mut told = Vec::new();
        let forward = Forward { scorer: &scorer, start: &[], nearest: 64, budget: 3 };
        let each = |line, score| told.push((line, score));
        let lines = forward.select(&pools(&volumes), &mut Together::alone(), each).unwrap();
        assert_eq!(lines, told.iter().map(|&(line, _)| line).collect::<Vec<_>>());

        let core = CoreSegmenter { graph: model.segmenter().unwrap() };
        let evaluated = |lines: &[u16]| {
            let fixed = Fixed { name: "tried", lines: lines.to_vec() };
            let scans = scan_volumes(model.plan(), &core, &volumes, Method::Order(&fixed), lines.len()).unwrap();
            mean_dice(&score(&volumes, &scans).unwrap()).mean().unwrap()
        };
        for step in 0..3 {
            let (chosen, said) = told[step];
            let with = |line: u16| evaluated(&[&lines[..step], &[line]].concat());
            assert!((with(chosen) - said).abs() < 1e-9, "line {chosen}: {} and {said}", with(chosen));
            for other in (20..44).filter(|line| !lines[..step].contains(line)) {
                assert!(with(other) <= said + 1e-9, "step {step}: {other} is better than {chosen}");
            }
        }
    }

    #[test]
    fn candidates_and_a_start_are_kept_to() {
        let (segmenter, data) = (Threshold::new(64), phantoms(1));
        let model = segmenter.model();
        let volumes = measure(&data, Split::Train, &Protocol::igs(), 1);
        for score in Score::ALL {
            let scorer = Scorer::new(&model, score).unwrap();
            let forward = Forward { scorer: &scorer, start: &[32, 33], nearest: 5, budget: 9 };
            let lines = forward.select(&pools(&volumes), &mut Together::alone(), |_, _| ()).unwrap();
            assert_eq!(lines[..2], [32, 33], "{score}");
            let mut sorted = lines;
            sorted.sort_unstable();
            assert_eq!(sorted, [30, 31, 32, 33, 34], "{score}: all five, and no more");
        }
    }

    #[test]
    fn equally_good_lines_are_taken_from_the_centre() {
        assert_eq!(first_best([0.5, 0.7, 0.7, 0.1].into_iter()), Some((1, 0.7)));
        assert_eq!(first_best(std::iter::empty()), None);
    }
}
