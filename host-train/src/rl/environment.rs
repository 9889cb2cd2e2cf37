//! Scans as an environment: many at once, each over the core's scan loop, segmented together.

use kscout_core::kernels::Portable;
use kscout_core::kspace::recon::magnitude;
use kscout_core::model::Model;
use kscout_core::scan::{Scan, ScanError, arena_bytes};
use rayon::prelude::*;

use super::config::RewardConfig;
use crate::eval::metrics::slice_dice;
use crate::eval::quality::ssim;
use crate::export::Observation;
use crate::mri::KSpace;
use crate::segment::{HeapArena, Segment};

/// The memory of `count` scans over `model`.
pub fn arenas(model: &Model<'_>, count: usize) -> Vec<HeapArena> {
    (0..count).map(|_| HeapArena::new(arena_bytes(model))).collect()
}

/// A scan of one slice under way.
struct Episode<'a> {
    scan: Scan<'a, 'a, Portable>,
    label: Vec<u8>,
    kspace: KSpace,
    /// Magnitude of the fully sampled, noisy image: what reconstruction can reach.
    reference: Vec<f32>,
    /// Largest value of `reference`: the data range of SSIM.
    range: f64,
    worth: f64,
    unpaid: f64,
}

/// Scans that run side by side. Those whose budget is spent rest.
pub struct Environment<'a> {
    episodes: Vec<Episode<'a>>,
    segmenter: &'a dyn Segment,
    reward: &'a RewardConfig,
}

/// What a scan starts with.
pub struct Start {
    /// The slice's classes, row-major.
    pub label: Vec<u8>,
    /// What the scanner would measure of it.
    pub kspace: KSpace,
    /// Lines to measure.
    pub budget: usize,
}

impl<'a> Environment<'a> {
    /// Starts a scan in each arena. There are as many arenas as starts.
    pub fn new(
        model: &'a Model<'a>,
        arenas: &'a mut [HeapArena],
        starts: Vec<Start>,
        segmenter: &'a dyn Segment,
        reward: &'a RewardConfig,
    ) -> Result<Self, ScanError> {
        let start = |(arena, start): (&'a mut HeapArena, Start)| {
            let mut scan = Scan::new(model, arena.bytes())?;
            scan.start(start.budget)?;
            let reference: Vec<f32> = start.kspace.image().iter().map(|value| value.norm()).collect();
            let range = f64::from(reference.iter().fold(0f32, |a, &b| a.max(b)));
            let (label, kspace) = (start.label, start.kspace);
            Ok::<_, ScanError>(Episode { scan, label, kspace, reference, range, worth: 0.0, unpaid: 0.0 })
        };
        let episodes = arenas.iter_mut().zip(starts).map(start).collect::<Result<_, _>>()?;
        Ok(Self { episodes, segmenter, reward })
    }

    /// The scans that may measure another line.
    pub fn active(&self) -> Vec<usize> {
        (0..self.episodes.len()).filter(|&i| self.episodes[i].scan.remaining() > 0).collect()
    }

    /// What the policy sees of scan `index`.
    pub fn observe(&mut self, index: usize) -> Observation {
        let scan = &mut self.episodes[index].scan;
        Observation { levels: scan.image().to_vec(), state: scan.state().to_vec() }
    }

    /// Measures line `lines[i]` in scan `active[i]`; returns the rewards.
    pub fn step(&mut self, active: &[usize], lines: &[usize]) -> Result<Vec<f64>, ScanError> {
        for (&index, &line) in active.iter().zip(lines) {
            let episode = &mut self.episodes[index];
            let height = episode.kspace.height;
            episode.scan.push_line(line, &episode.kspace.samples[line * height..(line + 1) * height])?;
        }
        let paying: Vec<usize> = active.iter().copied().filter(|&i| self.pays(i)).collect();
        let images: Vec<Vec<i8>> = paying.iter().map(|&i| self.episodes[i].scan.image().to_vec()).collect();
        let images: Vec<&[i8]> = images.iter().map(Vec::as_slice).collect();
        let classes = self.segmenter.segment(&images);
        let worth: Vec<f64> =
            paying.par_iter().zip(&classes).map(|(&i, classes)| self.episodes[i].worth(classes, self.reward)).collect();
        for (&index, worth) in paying.iter().zip(worth) {
            let episode = &mut self.episodes[index];
            episode.unpaid = (worth - episode.worth) * self.reward.scale;
            episode.worth = worth;
        }
        Ok(active.iter().map(|&index| std::mem::take(&mut self.episodes[index].unpaid)).collect())
    }

    /// Whether the step that scan `index` has just made is paid: the others save the segmentation.
    fn pays(&self, index: usize) -> bool {
        let scan = &self.episodes[index].scan;
        let last = scan.remaining() == 0;
        last || !self.reward.final_only && scan.lines().len() > self.reward.delay_step
    }

    /// What the scans are worth as they stand, in units of the unscaled reward.
    pub fn worth(&self) -> Vec<f64> {
        self.episodes.iter().map(|episode| episode.worth).collect()
    }
}

impl Episode<'_> {
    /// `lambda1 * SSIM + lambda2 * Dice` of the image and the segmentation as they stand.
    fn worth(&self, classes: &[u8], reward: &RewardConfig) -> f64 {
        let mut worth = 0.0;
        if reward.lambda1 != 0.0 {
            let mut image = vec![0.0; self.reference.len()];
            magnitude(self.scan.complex_image(), &mut image).expect("images of one size");
            let (height, width) = (self.kspace.height, self.kspace.width);
            worth += reward.lambda1 * ssim(&self.reference, &image, height, width, self.range).unwrap_or(0.0);
        }
        let dice = slice_dice(classes, &self.label).expect("labels of one size");
        // A slice without a heart, left empty, is segmented as well as can be.
        worth + reward.lambda2 * dice.weighted_mean(reward.class_weights).unwrap_or(1.0)
    }
}
