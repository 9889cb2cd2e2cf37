//! The segmenter as reward model.

use rayon::prelude::*;

use super::{Glance, Measure, Pays, RewardModel, Scored};
use crate::eval::metrics::{Occurring, SliceDice, slice_dice};
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
    /// Which structures occur in the training slices. The others are no part of a scan's worth, as they are of no score.
    pub occurring: Occurring,
}

impl SegmentationReward<'_> {
    fn pays_for_dice(&self) -> bool {
        self.config.lambda2 > 0.0
    }

    fn worth_of(&self, scan: &Glance<'_>, classes: &[u8]) -> f64 {
        let truth = scan.truth;
        let weights = self.config.weights();
        let ssim = || truth.reference.ssim(&scan.image).expect("images of one size");
        // SSIM is costly: only where it counts.
        let ssim = if weights.need_ssim() { ssim() } else { 0.0 };
        weights.of(ssim, self.dice(classes, &truth.label))
    }

    /// The slice's weighted Dice. Without a heart, left empty, it is segmented as well as can be.
    fn dice(&self, classes: &[u8], label: &[u8]) -> f64 {
        let SliceDice(dice) = slice_dice(classes, label).expect("labels of one size");
        SliceDice(self.occurring.only(dice)).weighted_mean(self.config.class_weights).unwrap_or(1.0)
    }
}

impl RewardModel for SegmentationReward<'_> {
    fn worth(&self, scans: &[Glance<'_>]) -> Result<Vec<f64>, NoNumbers> {
        let images: Vec<&[i8]> = scans.iter().map(|scan| scan.levels.as_slice()).collect();
        let classes = self.segmenter.segment(&images)?;
        Ok(scans.par_iter().zip(&classes).map(|(scan, classes)| self.worth_of(scan, classes)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::CLASSES;

    /// Finds nothing by itself.
    struct Blind;

    impl Segment for Blind {
        fn logits(&self, images: &[&[i8]]) -> Result<Vec<Vec<f32>>, NoNumbers> {
            Ok(images.iter().map(|image| vec![0.0; image.len() * CLASSES]).collect())
        }
    }

    #[test]
    fn a_slice_is_worth_the_dice_of_structures_that_occur_in_the_data() {
        let config = RewardConfig::default();
        let dice = |occurring: [bool; 3], classes: &[u8]| {
            let reward =
                SegmentationReward { segmenter: &Blind, config: &config, occurring: Occurring::of([occurring]) };
            reward.dice(classes, &[0, 2, 2, 0])
        };
        assert_eq!(dice([true; 3], &[0, 2, 2, 3]), 0.5, "LV is found where there is none");
        assert_eq!(dice([true, true, false], &[0, 2, 2, 3]), 1.0, "nor is there any in the data");
        assert_eq!(dice([true, true, false], &[0, 0, 0, 0]), 0.0);
    }
}
