//! The one-step oracle: at each step it measures the line whose addition gives the best score, the truth known. It is no
//! policy; it says how much there is to gain by choosing lines for the slice at hand.

use crate::data::measured::MeasuredVolume;
use crate::samplers::forward::first_best;
use crate::samplers::scorer::{Scorer, Tally};
use crate::samplers::tries::{PartialSlice, Trial, candidates, tally_each};
use crate::samplers::{LineOrder, OrderError};

/// Passes over the slices of a volume in which they choose anew; hardly ever are there more than three.
const PASSES: usize = 8;

/// Chooses with the truth known, one step ahead.
///
/// All slices of a volume measure their next line at once, each the one that is best for the *volume's* score: first to first
/// order ([`Score::share`](super::Score::share)), then each slice again with the choices of the others known, until none
/// changes. With one slice that is the best line of all. Lines for a small budget begin those for a large one.
pub struct Oracle<'a> {
    /// FoldSegmenters every try.
    pub scorer: &'a Scorer<'a>,
    /// So many centre lines are measured first. One step ahead, the very first choices are blind: a line that is best alone is
    /// often one that others do not go well with.
    pub centre: usize,
    /// Lines are tried among so many nearest to the centre; then the others, outward.
    pub nearest: usize,
}

impl LineOrder for Oracle<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let Some(width) = volume.slices.first().map(|measured| measured.slice.width) else { return Ok(Vec::new()) };
        let reconstruction = self.scorer.reconstruction();
        let order = candidates(width, width)?;
        let centre = &order[..self.centre.min(budget).min(width)];
        let slices = volume.slices.iter().map(|measured| PartialSlice::new(measured, centre, reconstruction));
        let mut slices = slices.collect::<Result<Vec<_>, _>>()?;
        let (near, far) = order.split_at(self.nearest.clamp(1, width));
        let mut trial = Trial::new(self.scorer);
        let mut sofar: Tally = slices.iter().map(|slice| slice.tally(self.scorer, &mut trial)).sum();
        for step in centre.len()..budget {
            let tried = if step < near.len() { near } else { &far[..(step + 1 - near.len()).min(far.len())] };
            let tallies = tally_each(self.scorer, &slices, tried);
            let (chosen, pooled) = self.choose(&tallies, sofar);
            sofar = pooled;
            slices.iter_mut().zip(chosen).try_for_each(|(slice, line)| slice.push_line(tried[line]))?;
        }
        Ok(slices.iter().map(|slice| slice.lines().to_vec()).collect())
    }
}

impl Oracle<'_> {
    /// The name in tables and lists.
    pub const NAME: &'static str = "one-step-oracle";

    /// A line for each slice, by its place among those tried, and the volume's tally with them; `sofar` is that without them.
    fn choose(&self, tallies: &[Vec<Option<Tally>>], sofar: Tally) -> (Vec<usize>, Tally) {
        let score = self.scorer.score();
        let share =
            |tally: &Option<Tally>| tally.as_ref().map_or(f64::NEG_INFINITY, |tally| score.share(tally, &sofar));
        let best_share =
            |of_slice: &Vec<Option<Tally>>| first_best(of_slice.iter().map(share)).map_or(0, |best| best.0);
        let mut chosen: Vec<usize> = tallies.iter().map(best_share).collect();
        let others = |chosen: &[usize], slice: usize| -> Tally {
            (0..chosen.len()).filter(|&other| other != slice).filter_map(|other| tallies[other][chosen[other]]).sum()
        };
        for _ in 0..PASSES {
            let before = chosen.clone();
            for (slice, of_slice) in tallies.iter().enumerate() {
                let rest = others(&chosen, slice);
                let whole = |tally: &Option<Tally>| {
                    let whole = tally.map(|tally| [rest, tally].into_iter().sum());
                    whole.and_then(|whole| score.of(&whole)).unwrap_or(f64::NEG_INFINITY)
                };
                let now = whole(&of_slice[chosen[slice]]);
                if let Some((line, _)) = first_best(of_slice.iter().map(whole)).filter(|best| best.1 > now) {
                    chosen[slice] = line;
                }
            }
            if chosen == before {
                break;
            }
        }
        let pooled = others(&chosen, usize::MAX);
        (chosen, pooled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::measured::measure;
    use crate::eval::run::{Method, mean_dice, scan_volumes, score};
    use crate::inference::segment::CoreSegmenter;
    use crate::mri::Protocol;
    use crate::samplers::Score;
    use crate::samplers::threshold::{Threshold, phantoms};
    use kscout_core::kspace::Pattern;

    #[test]
    fn in_a_volume_of_one_slice_every_line_is_the_best_of_all() {
        let (segmenter, data) = (Threshold::new(64), phantoms(1));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let mut volume = measure(&data, Split::Train, &Protocol::scanner(), 1).swap_remove(0);
        volume.slices = volume.slices.drain(4..5).collect();
        let lines = Oracle { scorer: &scorer, centre: 0, nearest: 64 }.orders(&volume, 4).unwrap().swap_remove(0);
        let mut trial = Trial::new(&scorer);
        let mut dice = |lines: &[u16]| {
            let slice = PartialSlice::new(&volume.slices[0], lines, scorer.reconstruction()).unwrap();
            Score::Dice.of(&slice.tally(&scorer, &mut trial)).unwrap()
        };
        for step in 0..4 {
            let chosen = dice(&lines[..=step]);
            for other in (0..64).filter(|other| !lines[..step].contains(other)) {
                let tried = dice(&[&lines[..step], &[other]].concat());
                assert!(tried <= chosen + 1e-12, "step {step}: {other} gives {tried}, {} {chosen}", lines[step]);
            }
        }
    }

    #[test]
    fn from_the_same_lines_it_is_never_behind_the_best_line_for_all_slices() {
        let (segmenter, data) = (Threshold::new(64), phantoms(3));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let volumes = measure(&data, Split::Train, &Protocol::scanner(), 1);
        let core = CoreSegmenter { graph: model.segmenter().unwrap() };
        let dice = |method, budget| {
            let scores =
                score(&volumes, &scan_volumes(model.plan(), &core, &volumes, method, budget).unwrap()).unwrap();
            mean_dice(&scores).mean().unwrap()
        };
        let oracle = Oracle { scorer: &scorer, centre: 0, nearest: 64 };
        for budget in [1, 4, 8] {
            let (best, centre) =
                (dice(Method::Order(&oracle), budget), dice(Method::Pattern(Pattern::CentreOut), budget));
            assert!(best > centre, "{budget} lines: {best} and {centre}");
        }
    }

    #[test]
    fn far_lines_come_outward_once_the_near_ones_are_measured() {
        let (segmenter, data) = (Threshold::new(64), phantoms(1));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let volume = measure(&data, Split::Train, &Protocol::igs(), 1).swap_remove(0);
        for lines in (Oracle { scorer: &scorer, centre: 2, nearest: 3 }).orders(&volume, 6).unwrap() {
            let mut near = lines[..3].to_vec();
            assert_eq!(near[..2], [32, 31], "two of the centre to begin with");
            near.sort_unstable();
            assert_eq!((&near[..], &lines[3..]), (&[31, 32, 33][..], &[30, 34, 29][..]));
        }
    }
}
