//! A volume whose slices have been followed line by line, and the score of a segmentation of it.

use kscout_core::contract::MAX_SLICE_LINES;
use kscout_core::kspace::Pattern;
use kscout_core::model::Model;
use kscout_core::scan::ScanError;
use kscout_core::volume::STRUCTURES;
use rayon::prelude::*;

use super::trajectory::{Course, Trajectory};
use crate::augment::{AugmentConfig, vary_image, vary_kspace};
use crate::data::Volume;
use crate::data::measured::MeasuredVolume;
use crate::metrics::dice::{Occurring, SliceDice};
use crate::mri::{Protocol, acquire, random::mix};
use crate::runtime::scan_arena;

/// A volume's trajectories, from base to apex.
#[derive(Clone, Debug)]
pub struct VolumeTrajectories {
    /// One a slice.
    pub slices: Vec<Trajectory>,
    /// Which structures occur in the data set that it is of. The others are no part of the objective of a scan of it, nor of its score.
    pub occurring: Occurring,
}

/// Pixels of each structure in a volume, or in a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that the segmentation has right.
    pub hits: [u32; STRUCTURES],
    /// Those that it has found.
    pub found: [u32; STRUCTURES],
    /// Those that there are.
    pub truth: [u32; STRUCTURES],
}

impl Tally {
    /// Adds another part.
    pub fn add(&mut self, part: &Self) {
        for s in 0..STRUCTURES {
            self.hits[s] += part.hits[s];
            self.found[s] += part.found[s];
            self.truth[s] += part.truth[s];
        }
    }

    /// Puts `new` in the place of the part `old`.
    pub fn replace(&mut self, old: &Self, new: &Self) {
        for s in 0..STRUCTURES {
            self.hits[s] = self.hits[s] + new.hits[s] - old.hits[s];
            self.found[s] = self.found[s] + new.found[s] - old.found[s];
            self.truth[s] = self.truth[s] + new.truth[s] - old.truth[s];
        }
    }

    /// Dice of each structure, `None` where it is neither there nor found.
    pub fn dice(&self) -> [Option<f64>; STRUCTURES] {
        std::array::from_fn(|s| {
            let all = f64::from(self.found[s] + self.truth[s]);
            (all > 0.0).then(|| 2.0 * f64::from(self.hits[s]) / all)
        })
    }

    /// Mean Dice of the structures that are there or found; 1 where there are none. What a score is made of, and what a step of a
    /// scan gains by, so that steps add up to what the score gains. A structure that is found where this volume has none, but others
    /// of the data set do, is a fault to be mended.
    pub fn mean_dice(&self) -> f64 {
        SliceDice(self.dice()).mean().unwrap_or(1.0)
    }

    /// What replacing the part `old` by `new` gains in mean Dice, to first order: the mean over structures of
    /// `(2 dTP - d dP) / (P + T)`, d being the volume's Dice. Gains of different slices add up.
    /// A structure that is not there has a Dice of 0 or none, which has no first order: it adds nothing.
    pub fn gain(&self, old: &Self, new: &Self) -> f64 {
        let gain = |(s, dice): (usize, Option<f64>)| {
            let all = f64::from(self.found[s] + self.truth[s]);
            let hits = f64::from(new.hits[s]) - f64::from(old.hits[s]);
            let found = f64::from(new.found[s]) - f64::from(old.found[s]);
            Some((2.0 * hits - dice? * found) / all)
        };
        let gains: Vec<f64> = self.dice().into_iter().enumerate().filter_map(gain).collect();
        gains.iter().sum::<f64>() / gains.len().max(1) as f64
    }
}

impl VolumeTrajectories {
    /// A volume of which it is not known what else its data set holds.
    pub const fn new(slices: Vec<Trajectory>) -> Self {
        Self { slices, occurring: Occurring::ALL }
    }

    /// The volumes of a whole data set.
    pub fn of_a_data_set(mut hearts: Vec<Self>) -> Vec<Self> {
        let slices = hearts.iter().flat_map(|heart| &heart.slices);
        let occurring = Occurring::of(slices.map(|slice| slice.truth.map(|pixels| pixels > 0)));
        hearts.iter_mut().for_each(|heart| heart.occurring = occurring);
        hearts
    }

    /// Slice `slice` after `lines` lines, of the structures that occur.
    pub fn part(&self, slice: usize, lines: usize) -> Tally {
        let trajectory = &self.slices[slice];
        let stage = &trajectory.stages[lines];
        let found = self.occurring.only(stage.stats.area.map(Some)).map(Option::unwrap_or_default);
        Tally { hits: stage.hits, found, truth: trajectory.truth }
    }

    /// SSIM of slice `slice` after `lines` lines, where it was asked for.
    pub fn ssim(&self, slice: usize, lines: usize) -> f64 {
        f64::from(self.slices[slice].stages[lines].ssim)
    }

    /// Mean SSIM of the slices with `lines[s]` lines of slice s.
    pub fn mean_ssim(&self, lines: &[usize]) -> f64 {
        let sum: f64 = lines.iter().enumerate().map(|(slice, &lines)| self.ssim(slice, lines)).sum();
        sum / lines.len() as f64
    }

    /// The volume with `lines[s]` lines of slice s.
    pub fn tally(&self, lines: &[usize]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().enumerate().for_each(|(slice, &lines)| tally.add(&self.part(slice, lines)));
        tally
    }
}

/// The lines of a slice in the order in which a volume's scan measures them, as many as a slice may have.
pub fn centre_out(width: usize) -> Vec<u16> {
    Pattern::CentreOut.lines(width, MAX_SLICE_LINES.min(width), 0).expect("a width that the core supports").to_vec()
}

/// The lines `first`, then the others from the centre out, as many as a slice may have.
pub fn continued(first: &[u16], width: usize) -> Vec<u16> {
    let all = Pattern::CentreOut.lines(width, width, 0).expect("a width that the core supports");
    let others = all.iter().filter(|line| !first.contains(line));
    first.iter().chain(others).copied().take(MAX_SLICE_LINES.min(width)).collect()
}

/// Follows measured volumes, every slice by the lines of `course`.
///
/// # Errors
/// Those of the core's scan; the model has a segmenter.
pub fn follow(
    model: &Model<'_>,
    volumes: &[MeasuredVolume<'_>],
    course: Course<'_>,
) -> Result<Vec<VolumeTrajectories>, ScanError> {
    let arena = || scan_arena(model);
    let heart = |volume: &MeasuredVolume<'_>| {
        let slices = volume.slices.par_iter().map_init(arena, |arena, measured| {
            Trajectory::measure(model, arena, &measured.kspace, &measured.slice.label, course)
        });
        Ok(VolumeTrajectories::new(slices.collect::<Result<_, _>>()?))
    };
    volumes.iter().map(heart).collect()
}

/// How training volumes are varied and followed.
pub struct Variation<'a> {
    /// Segments.
    pub model: &'a Model<'a>,
    /// How slices are measured.
    pub protocol: &'a Protocol,
    /// How images are varied.
    pub augment: &'a AugmentConfig,
    /// How each slice is followed.
    pub course: Course<'a>,
}

impl Variation<'_> {
    /// `volume`, varied as a whole, with phase and noise of each slice's own: the same for the same seed.
    ///
    /// # Errors
    /// Those of [`follow`].
    pub fn follow(&self, volume: &Volume<'_>, seed: u64) -> Result<VolumeTrajectories, ScanError> {
        let arena = || scan_arena(self.model);
        let slices = volume.slices.par_iter().enumerate().map_init(arena, |arena, (z, slice)| {
            let size = [slice.height, slice.width];
            let (image, label) = vary_image(&slice.image, &slice.label, size, self.augment, seed);
            let own = mix(seed ^ (z as u64 + 1));
            let mut kspace = acquire(&image, slice.height, slice.width, self.protocol, own);
            vary_kspace(&mut kspace, &image, self.augment, own);
            Trajectory::measure(self.model, arena, &kspace, &label, self.course)
        });
        Ok(VolumeTrajectories::new(slices.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::volume::SliceStats;

    use super::*;
    use crate::volume::AllocationEnv;
    use crate::volume::trajectory::Stage;

    const VOLUME: Tally = Tally { hits: [30, 10, 0], found: [40, 20, 0], truth: [40, 20, 0] };

    #[test]
    fn a_structure_that_is_not_there_counts_only_where_it_is_found() {
        assert_eq!(VOLUME.dice(), [Some(0.75), Some(0.5), None]);
        assert_eq!(VOLUME.mean_dice(), 0.625);
        let found = Tally { found: [40, 20, 3], ..VOLUME };
        assert_eq!(found.dice(), [Some(0.75), Some(0.5), Some(0.0)]);
        assert_eq!(Tally::default().mean_dice(), 1.0);
    }

    #[test]
    fn a_structure_that_no_volume_of_the_data_set_has_is_no_part_of_a_tally() {
        let stage = |lines: u32| {
            let mut stats = SliceStats::blank(32, 32);
            stats.area = [30 + lines, 20, 4 * lines];
            Stage { stats, hits: [20 + lines, 10, 0], ssim: 0.0 }
        };
        let slice = |truth| Trajectory { stages: (0..=32).map(stage).collect(), truth };
        let alone = VolumeTrajectories::new(vec![slice([40, 20, 0])]);
        assert_eq!(alone.part(0, 5).found, [35, 20, 20], "others may have it");
        let both =
            VolumeTrajectories::of_a_data_set(vec![alone.clone(), VolumeTrajectories::new(vec![slice([40, 20, 7])])]);
        assert_eq!(both[0].part(0, 5).found, [35, 20, 20], "another has it");
        let set = VolumeTrajectories::of_a_data_set(vec![alone.clone(), alone]);
        let (old, new) = (set[0].part(0, 5), set[0].part(0, 6));
        assert_eq!((new.found, new.mean_dice()), ([36, 20, 0], (2.0 * 26.0 / 76.0 + 0.5) / 2.0));
        let mut scan = AllocationEnv::new(&set[0], 6);
        for _ in 2..5 {
            scan.give(0);
        }
        let (expected, gained) = (new.mean_dice() - old.mean_dice(), scan.give(0));
        assert!((gained - expected).abs() < 1e-12, "a step gains what the score does: {gained} and {expected}");
        assert!(old.gain(&old, &new) > 0.0, "to first order too");
    }

    #[test]
    fn a_list_of_lines_goes_on_from_the_centre() {
        let order = continued(&[16, 17, 15, 18], 32);
        assert_eq!(order[..7], [16, 17, 15, 18, 14, 13, 19]);
        assert_eq!(order.len(), 32);
        assert_eq!(continued(&[], 128), centre_out(128));
    }

    #[test]
    fn a_small_change_gains_what_the_first_order_says() {
        let old = Tally { hits: [3000, 0, 0], found: [5000, 0, 0], truth: [4000, 0, 0] };
        let new = Tally { hits: [3004, 0, 0], found: [5002, 0, 0], ..old };
        let mut volume = Tally { hits: [30_000, 1, 0], found: [41_000, 2, 0], truth: [40_000, 2, 0] };
        let (gain, before) = (volume.gain(&old, &new), volume.mean_dice());
        volume.replace(&old, &new);
        assert!((volume.mean_dice() - before - gain).abs() < 1e-8, "{gain}");
    }
}
