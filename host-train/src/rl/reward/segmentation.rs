//! The segmenter as reward model.

use rayon::prelude::*;

use super::{Glance, Measure, Pays, RewardModel};
use crate::eval::metrics::slice_dice;
use crate::eval::run::{MeasuredVolume, RunError, Scanned, mean_dice, score, segmented};
use crate::numbers::NoNumbers;
use crate::rl::config::RewardConfig;
use crate::segment::Segment;

/// `lambda1 * SSIM + lambda2 * Dice`.
pub struct SegmentationReward<'a> {
    /// Makes the segmentations.
    pub segmenter: &'a (dyn Segment + Sync),
    /// The weights.
    pub config: &'a RewardConfig,
}

impl RewardModel for SegmentationReward<'_> {
    fn worth(&self, scans: &[Glance<'_>]) -> Result<Vec<f64>, NoNumbers> {
        let images: Vec<&[i8]> = scans.iter().map(|scan| scan.levels.as_slice()).collect();
        let classes = self.segmenter.segment(&images)?;
        Ok(scans.par_iter().zip(&classes).map(|(scan, classes)| worth(scan, classes, self.config)).collect())
    }

    fn pays(&self) -> Pays {
        Pays::Gain
    }

    fn measures(&self) -> &'static [Measure] {
        &[Measure { column: "dice", title: "Dice" }]
    }

    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Vec<Option<f64>>, RunError> {
        let scores = score(volumes, &segmented(self.segmenter, scans)?)?;
        Ok(vec![Some(mean_dice(&scores).iter().sum::<f64>() / 3.0)])
    }
}

fn worth(scan: &Glance<'_>, classes: &[u8], config: &RewardConfig) -> f64 {
    let truth = scan.truth;
    let weights = config.weights();
    let ssim = || truth.reference.ssim(&scan.image).expect("images of one size");
    // SSIM is costly: only where it counts.
    let ssim = if weights.need_ssim() { ssim() } else { 0.0 };
    let dice = slice_dice(classes, &truth.label).expect("labels of one size");
    // A slice without a heart, left empty, is segmented as well as can be.
    weights.of(ssim, dice.weighted_mean(config.class_weights).unwrap_or(1.0))
}
