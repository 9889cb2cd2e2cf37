//! The segmenter as reward model.

use std::path::Path;

use burn::tensor::Device;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;
use rayon::prelude::*;

use super::{
    Measure, RewardInput, RewardKind, RewardMode, RewardModel, RewardRequest, RewardSource, Scene, Scored, fits,
};
use crate::data::Dataset;
use crate::eval::run::{MeasuredVolume, RunError, Scanned, mean_dice, score, segmented};
use crate::inference::numbers::NoNumbers;
use crate::inference::segment::{CoreSegmenter, Segment};
use crate::metrics::dice::{Occurring, SliceDice, slice_dice};
use crate::metrics::scores::VolumeScores;
use crate::metrics::stats::{Sample, mean};
use crate::net::FloatGraph;
use crate::rl::config::{PolicyConfig, RewardConfig};
use crate::rl::error::PolicyError;
use crate::train::TrainError;
use crate::train::checkpoint::{Input, Meta};
use crate::train::classifier::is_classifier;
use crate::train::segmenter::load_segmenter;

const DICE: Measure = Measure { column: "dice", title: "Dice" };
const SSIM: Measure = Measure { column: "ssim", title: "SSIM" };

/// A segmenter's checkpoint. Whatever is none is refused by name.
pub(super) const KIND: RewardKind = RewardKind { is_meant: |_| Ok(true), load };

fn load(request: &RewardRequest<'_>) -> Result<Box<dyn RewardSource>, PolicyError> {
    let &RewardRequest { checkpoint, labels, data, config, device } = request;
    if labels.is_some() {
        return Err(PolicyError::NoUseForLabels(checkpoint.to_owned()));
    }
    check(config)?;
    let (graph, meta) = load_reward_segmenter(data, checkpoint, &config.measuring.protocol.to_string(), device)?;
    let inputs = meta.weights_hash.map(|weights| Input::reward(checkpoint, weights)).into_iter().collect();
    let (name, reconstruction) = (checkpoint.display().to_string(), meta.reconstruction);
    Ok(Box::new(SegmenterCheckpoint { name, graph, reconstruction, inputs }))
}

/// Refuses weights that a segmenter cannot pay by.
fn check(config: &PolicyConfig) -> Result<(), TrainError> {
    Ok(config.reward.weights().check("reward.lambda1, reward.lambda2")?)
}

/// The segmenter in the checkpoint `reward`, for images of the size of `data`, and what the checkpoint says of it.
pub(in crate::rl) fn load_reward_segmenter(
    data: &Dataset,
    reward: &Path,
    protocol: &str,
    device: &Device,
) -> Result<(FloatGraph, Meta), PolicyError> {
    if is_classifier(reward)? {
        return Err(PolicyError::NeedsSegmenter(reward.to_owned()));
    }
    data.expect_masks("a segmenter as reward model").map_err(TrainError::from)?;
    let (network, meta) = load_segmenter(reward, None, device)?;
    fits(&meta, data, reward, protocol)?;
    Ok((network.graph(data.height(), data.width()), meta))
}

struct SegmenterCheckpoint {
    name: String,
    graph: FloatGraph,
    reconstruction: Reconstruction,
    inputs: Vec<Input>,
}

impl RewardSource for SegmenterCheckpoint {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn reconstruction(&self) -> Reconstruction {
        self.reconstruction
    }

    fn segmenter(&self) -> Option<&FloatGraph> {
        Some(&self.graph)
    }

    fn inputs(&self) -> Vec<Input> {
        self.inputs.clone()
    }

    fn model<'r>(&'r self, scene: &Scene<'r>) -> Box<dyn RewardModel + 'r> {
        let graph = scene.model.and_then(Model::segmenter).expect("a source of a segmenter is shown its file");
        Box::new(SegmentationReward {
            segmenter: CoreSegmenter { graph },
            config: scene.config,
            occurring: Occurring::in_labels(scene.slices.iter().flat_map(|slice| &slice.label)),
        })
    }
}

/// `lambda1 * SSIM + lambda2 * Dice`; validated by Dice, or by SSIM where that alone is paid for.
pub struct SegmentationReward<'a, S> {
    /// Makes the segmentations.
    pub segmenter: S,
    /// The weights.
    pub config: &'a RewardConfig,
    /// Which structures occur in the training slices. The others are no part of the objective, as they are of no score.
    pub occurring: Occurring,
}

impl<S: Segment + Sync> SegmentationReward<'_, S> {
    fn pays_for_dice(&self) -> bool {
        self.config.lambda2 > 0.0
    }

    fn objective_of(&self, scan: &RewardInput<'_>, classes: &[u8]) -> f64 {
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

impl<S: Segment + Sync> RewardModel for SegmentationReward<'_, S> {
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
        let images: Vec<&[i8]> = scans.iter().map(|scan| scan.levels.as_slice()).collect();
        let classes = self.segmenter.segment(&images)?;
        Ok(scans.par_iter().zip(&classes).map(|(scan, classes)| self.objective_of(scan, classes)).collect())
    }

    fn mode(&self) -> RewardMode {
        RewardMode::Gain
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
        let scores = score(volumes, &segmented(&self.segmenter, scans)?)?;
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
    fn the_objective_is_the_dice_of_structures_that_occur_in_the_data() {
        let config = RewardConfig::default();
        let dice = |occurring: [bool; 3], classes: &[u8]| {
            let reward =
                SegmentationReward { segmenter: Blind, config: &config, occurring: Occurring::of([occurring]) };
            reward.dice(classes, &[0, 2, 2, 0])
        };
        assert_eq!(dice([true; 3], &[0, 2, 2, 3]), 0.5, "LV is found where there is none");
        assert_eq!(dice([true, true, false], &[0, 2, 2, 3]), 1.0, "nor is there any in the data");
        assert_eq!(dice([true, true, false], &[0, 0, 0, 0]), 0.0);
    }

    #[test]
    fn a_segmenter_pays_by_weights_from_0_up_of_which_one_counts() {
        let check = |lambda1, lambda2| {
            let mut config = PolicyConfig::default();
            (config.reward.lambda1, config.reward.lambda2) = (lambda1, lambda2);
            check(&config)
        };
        check(0.1, 1.0).unwrap();
        check(1.0, 0.0).unwrap();
        for (lambda1, lambda2) in [(-0.1, 1.0), (0.1, -1.0), (f64::NAN, 1.0), (0.1, f64::NAN), (0.0, 0.0)] {
            let message = check(lambda1, lambda2).unwrap_err().to_string();
            assert!(message.starts_with("config key `reward.lambda1, reward.lambda2`: "), "{message}");
        }
    }
}
