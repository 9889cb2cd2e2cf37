//! Nearest neighbour over the centre lines: copies the mask that was best for the most alike training slice.
//!
//! *Best*: the lines that [forward selection](super::forward) on that slice alone finds, its truth known, after the centre
//! lines. *Most alike*: whose quantised image of the centre lines has the largest correlation (Pearson's) with that of the
//! slice at hand, which is all that a scan has seen by then. A slice of the same patient does not count, so that training slices
//! can be scanned too without knowing their own truth.

use indicatif::ProgressBar;
use kscout_core::kspace::Reconstruction;
use rayon::prelude::*;

use crate::data::measured::{Measured, MeasuredVolume};
use crate::samplers::forward::Forward;
use crate::samplers::scorer::Scorer;
use crate::samplers::tries::{PartialSlice, candidates};
use crate::samplers::{LineOrder, OrderError, first};
use crate::shard::Together;

/// Training slices and their best masks.
pub struct Neighbours {
    reconstruction: Reconstruction,
    centre: Vec<u16>,
    known: Vec<Known>,
}

struct Known {
    patient: String,
    /// The image of the centre lines, its mean taken off, of length 1.
    image: Vec<f32>,
    /// The centre lines, and those that are best for the slice after them.
    lines: Vec<u16>,
}

/// Which masks are tried.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Lines of the centre that every mask begins with.
    pub centre: usize,
    /// The other lines are among so many nearest to the centre.
    pub nearest: usize,
    /// Lines of a mask.
    pub budget: usize,
}

impl Neighbours {
    /// The name in tables and lists.
    pub const NAME: &'static str = "nearest-neighbour";

    /// Finds the best masks of training slices, of one size and at least one; `bar` advances with each slice.
    ///
    /// # Errors
    /// [`OrderError`] where the core cannot reconstruct the slices, or `search.centre` is not from 1 to all lines.
    pub fn learn(
        scorer: &Scorer<'_>,
        slices: &[Measured<'_>],
        search: Search,
        bar: &ProgressBar,
    ) -> Result<Self, OrderError> {
        let width = slices.first().map_or(0, |measured| measured.slice.width);
        let Search { nearest, budget, .. } = search;
        let (reconstruction, centre) = (scorer.reconstruction(), candidates(width, search.centre)?);
        let one = |measured: &Measured<'_>| {
            let forward = Forward { scorer, start: &centre, nearest, budget };
            let lines = forward.select(&[vec![measured]], &mut Together::alone(), |_, _| ())?;
            bar.inc(1);
            let image = standard(&PartialSlice::new(measured, &centre, reconstruction)?.levels());
            Ok(Known { patient: measured.slice.id.patient.clone(), image, lines })
        };
        let known = slices.par_iter().map(one).collect::<Result<_, OrderError>>()?;
        Ok(Self { reconstruction, centre, known })
    }

    /// The lines of the most alike slice of another patient; the centre lines alone where there is none.
    fn lines(&self, measured: &Measured<'_>) -> Result<&[u16], OrderError> {
        let image = standard(&PartialSlice::new(measured, &self.centre, self.reconstruction)?.levels());
        let alike = |known: &Known| known.image.iter().zip(&image).map(|(a, b)| a * b).sum::<f32>();
        let others = self.known.iter().filter(|known| known.patient != measured.slice.id.patient);
        let known = others.map(|known| (known, alike(known)));
        let nearest = known.reduce(|best, next| if next.1 > best.1 { next } else { best });
        Ok(nearest.map_or(&self.centre, |(known, _)| &known.lines))
    }
}

impl LineOrder for Neighbours {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let of = |measured| first(self.name(), self.lines(measured)?, budget);
        volume.slices.par_iter().map(of).collect()
    }
}

/// The values with their mean taken off, scaled to a length of 1; zeros where all are equal.
fn standard(levels: &[i8]) -> Vec<f32> {
    let mean = levels.iter().map(|&q| f32::from(q)).sum::<f32>() / levels.len().max(1) as f32;
    let centred = levels.iter().map(|&q| f32::from(q) - mean);
    let length = centred.clone().map(|v| v * v).sum::<f32>().sqrt();
    centred.map(|v| if length > 0.0 { v / length } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::measured::measure;
    use crate::mri::Protocol;
    use crate::mri::observation::{observed_levels, pattern_mask};
    use crate::samplers::Score;
    use crate::samplers::threshold::{Threshold, phantoms};
    use kscout_core::kspace::{Pattern, Reconstruction};
    use std::collections::BTreeSet;

    const CENTRE: [u16; 4] = [32, 31, 33, 30];

    /// The plain way: the correlation of images, from their means and deviations.
    fn correlation(a: &Measured<'_>, b: &Measured<'_>) -> f64 {
        let mask = pattern_mask(Pattern::CentreOut, 64, 4, 0);
        let [a, b] = [a, b].map(|measured| observed_levels(&measured.kspace, &mask, Reconstruction::ZeroFilled));
        let mean = |v: &[i8]| v.iter().map(|&q| f64::from(q)).sum::<f64>() / v.len() as f64;
        let (mean_a, mean_b) = (mean(&a), mean(&b));
        let product = |v: &[i8], m: f64, w: &[i8], n: f64| -> f64 {
            v.iter().zip(w).map(|(&v, &w)| (f64::from(v) - m) * (f64::from(w) - n)).sum()
        };
        let deviations = product(&a, mean_a, &a, mean_a) * product(&b, mean_b, &b, mean_b);
        product(&a, mean_a, &b, mean_b) / deviations.sqrt()
    }

    #[test]
    fn a_slice_gets_the_best_mask_of_the_most_alike_slice_of_another_patient() {
        let (segmenter, data) = (Threshold::new(64), phantoms(3));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let protocol = Protocol::scanner();
        let slices = data.slices(Split::Train);
        let slices: Vec<Measured<'_>> =
            slices.iter().step_by(4).map(|slice| Measured::new(slice, &protocol, 1)).collect();
        let neighbours =
            Neighbours::learn(&scorer, &slices, Search { centre: 4, nearest: 16, budget: 8 }, &ProgressBar::hidden())
                .unwrap();
        let volume = measure(&data, Split::Train, &protocol, 1).swap_remove(0);
        let orders = neighbours.orders(&volume, 8).unwrap();
        for (measured, lines) in volume.slices.iter().zip(&orders) {
            let others = slices.iter().filter(|known| known.slice.id.patient != measured.slice.id.patient);
            let alike = others.max_by(|a, b| correlation(measured, a).total_cmp(&correlation(measured, b))).unwrap();
            let forward = Forward { scorer: &scorer, start: &CENTRE, nearest: 16, budget: 8 };
            let expected = forward.select(&[vec![alike]], &mut Together::alone(), |_, _| ()).unwrap();
            assert_eq!(lines, &expected, "{}", measured.slice.id);
        }
        let different: BTreeSet<_> = orders.iter().collect();
        assert!(different.len() > 1, "{different:?}");
        let few = neighbours.orders(&volume, 3).unwrap();
        assert!(few.iter().all(|lines| lines == &CENTRE[..3]));
        assert!(matches!(neighbours.orders(&volume, 9), Err(OrderError::TooFew { has: 8, .. })));
    }

    #[test]
    fn likeness_is_a_correlation() {
        let dot = |a: &[i8], b: &[i8]| standard(a).iter().zip(standard(b)).map(|(a, b)| a * b).sum::<f32>();
        assert!((dot(&[1, 5, 3, 9], &[2, 10, 6, 18]) - 1.0).abs() < 1e-6);
        assert!((dot(&[1, 5, 3, 9], &[-1, -5, -3, -9]) + 1.0).abs() < 1e-6);
        assert_eq!(dot(&[4, 4, 4, 4], &[1, 2, 3, 4]), 0.0);
    }
}
