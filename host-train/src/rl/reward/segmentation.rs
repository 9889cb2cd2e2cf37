//! The segmenter as reward model.

use rayon::prelude::*;

use super::{Glance, Measure, Pays, RewardModel, Scored};
use crate::eval::metrics::{Occurring, slice_dice};
use crate::eval::run::{MeasuredVolume, RunError, Scanned, mean_dice, score, segmented};
use crate::eval::scores::VolumeScores;
use crate::eval::stats::{Sample, mean};
use crate::numbers::NoNumbers;
use crate::rl::config::RewardConfig;
use crate::segment::Segment;

const DICE: Measure = Measure { column: "dice", title: "Dice" };
const SSIM: Measure = Measure { column: "ssim", title: "SSIM" };

/// `lambda1 * SSIM + lambda2 * Dice`; validated by Dice, or by SSIM where that alone is paid for.
pub struct SegmentationReward<'a> {
    /// Makes the segmentations.
    pub segmenter: &'a (dyn Segment + Sync),
    /// The weights.
    pub config: &'a RewardConfig,
}

impl SegmentationReward<'_> {
    fn pays_for_dice(&self) -> bool {
        self.config.lambda2 > 0.0
    }
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
        match self.pays_for_dice() {
            true => &[DICE],
            false => &[SSIM, DICE],
        }
    }

    fn compares(&self) -> &'static str {
        self.measures()[0].title
    }

    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
        let ssim: Vec<f64> = scans.iter().map(|scans| mean_ssim(scans)).collect();
        let scores = score(volumes, &segmented(self.segmenter, scans)?)?;
        let dice = mean_dice(&scores).mean();
        let occurring = Occurring::of(scores.iter().map(VolumeScores::truth_has));
        let sample =
            |(volume, value): (&MeasuredVolume<'_>, Option<f64>)| Some(Sample::new(volume.patient.to_owned(), value?));
        let patients = volumes.iter();
        Ok(match self.pays_for_dice() {
            true => Scored {
                measures: vec![dice],
                samples: patients
                    .zip(scores.iter().map(|scores| scores.mean_dice(occurring)))
                    .filter_map(sample)
                    .collect(),
            },
            false => Scored {
                measures: vec![mean(&ssim), dice],
                samples: patients.zip(ssim.into_iter().map(Some)).filter_map(sample).collect(),
            },
        })
    }
}

/// Mean over the slices of a volume.
fn mean_ssim(scans: &[Scanned]) -> f64 {
    scans.iter().map(|scan| scan.quality.ssim).sum::<f64>() / scans.len() as f64
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
