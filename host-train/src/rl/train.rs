//! `kscout train policy`: scans by the thousand, and a policy that gets better at them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kscout_core::model::{GraphKind, Model, Reconstruction};
use kscout_core::scan::arena_bytes_with;

use super::agent::ScoutActorCritic;
use super::config::{PolicyConfig, PolicyNetwork};
use super::reward::{ClassificationReward, RewardModel, SegmentationReward};
use super::trainer::{Pupil, Slices, Trainer};
use crate::config;
use crate::data::{Dataset, Labels, LabelsError, Split};
use crate::diagnose::Diagnoser;
use crate::eval::metrics::Occurring;
use crate::eval::run::RunError;
use crate::eval::stats::StatsError;
use crate::export::blob_writer::write_blob;
use crate::export::{self, ExportError};
use crate::kernels::fastest;
use crate::mri::Protocol;
use crate::net::asmr::{AsmrActorCritic, MOST_LINES};
use crate::net::{FixedOrder, FloatGraph};
use crate::orders::LearnedMask;
use crate::segment::CoreSegmenter;
use crate::train::checkpoint::{CheckpointError, Input, Meta, WeightsHash};
use crate::train::checks;
use crate::train::classifier::{is_classifier, load_classifier};
use crate::train::folder;
use crate::train::reward::load_segmenter;
use crate::train::{TrainError, Trained};

/// Slices that calibrate what is exported.
const CALIBRATION_SLICES: usize = 96;

/// Bytes that the scans of an update may take together.
const MOST_BYTES: usize = 32 << 30;

/// Why a policy could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// What any training can fail with.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The reward model could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Scans could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Policies could not be compared.
    #[error("validation: {0}")]
    Stats(#[from] StatsError),
    /// The core refused a step of the environment.
    #[error("environment: {0}")]
    Scan(#[from] kscout_core::scan::ScanError),
    /// The reward model was trained on images of another size.
    #[error("{reward}: a reward model for images of {of:?}, but {data} has images of {got:?} (rows, columns)")]
    Size {
        /// The reward model's checkpoint.
        reward: PathBuf,
        /// The size it was trained on.
        of: [usize; 2],
        /// The data set.
        data: PathBuf,
        /// The size of its images.
        got: [usize; 2],
    },
    /// The policy looks at the complex zero-filled image, the reward model at another one.
    #[error(
        "{reward}: a reward model of {reconstruction} images, but the policy `{}` looks at the complex zero-filled image; take \
         network = \"{}\"",
        PolicyNetwork::Asmr,
        PolicyNetwork::Scout
    )]
    Reconstruction {
        /// The reward model's checkpoint.
        reward: PathBuf,
        /// How its images are made.
        reconstruction: Reconstruction,
    },
    /// The labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A classifier where only a segmenter will do.
    #[error("{0}: a classifier; a volume's budget is shared by what a segmenter sees")]
    NeedsSegmenter(PathBuf),
    /// A classifier without the truth to judge by.
    #[error("{0}: a classifier judges by the true labels; give them with --labels FILE.csv")]
    NeedsLabels(PathBuf),
    /// A held-out segmenter that has learned from every training patient.
    #[error("{0}: leaves out no patient; train it with the keys `folds` and `fold`")]
    NoFold(PathBuf),
    /// A training patient that no held-out segmenter is new to.
    #[error("--held-out: all of them have learned from {0}; give one segmenter of every fold")]
    AllHaveSeen(String),
    /// A training patient that several held-out segmenters are new to.
    #[error("--held-out: more than one leaves out {0}; give one segmenter of each fold")]
    SeveralHaveNotSeen(String),
    /// Labels beside a segmenter.
    #[error("{0}: a segmenter judges by the masks; leave --labels out, or give a classifier")]
    NoUseForLabels(PathBuf),
}

impl PolicyConfig {
    fn check(&self, data: &Dataset) -> Result<Protocol, TrainError> {
        config::check(self)?;
        let error = |key, message: String| Err(TrainError::Config { key, message });
        let width = data.width();
        if self.max_budget > width {
            return error("max_budget", format!("{} is more than the images' {width} lines", self.max_budget));
        }
        let largest = self.validate_lines.iter().copied().fold(self.max_budget, usize::max);
        if self.network == PolicyNetwork::Asmr && largest > MOST_LINES {
            let message = format!("{largest} lines, but the network `asmr` counts to {MOST_LINES}");
            return error("max_budget, validate_lines", message);
        }
        Ok(checks::protocol(&self.protocol)?)
    }

    /// Refuses weights that a segmenter cannot pay by. A classifier has no use for them.
    fn check_for_segmenter(&self) -> Result<(), TrainError> {
        Ok(self.reward.weights().check("reward.lambda1, reward.lambda2")?)
    }

    /// Refuses what a classifier would never pay.
    fn check_for_classifier(&self) -> Result<(), TrainError> {
        let (delay, most) = (self.reward.delay_step, self.max_budget);
        if delay < most {
            return Ok(());
        }
        let message = format!("{delay}, but no scan has more than max_budget = {most} lines: nothing would be paid");
        Err(TrainError::Config { key: "reward.delay_step", message })
    }
}

/// Trains a policy for the reward model in the checkpoint `reward`, and leaves `last`, `best` and `log.csv` in `out`: `last` is where
/// training stands, `best` the policy to use.
///
/// The policy begins as a fixed order of lines, that of `mask` or else centre-out, and `best` plays that order until an update
/// gains over it on validation, by an interval above 0 over patients.
///
/// A classifier judges by `labels`; a segmenter has no use for them.
pub fn train_policy(
    data: &Dataset,
    (reward, labels, mask): (&Path, Option<&Labels>, Option<&LearnedMask>),
    out: &Path,
    config: &PolicyConfig,
    device: &Device,
    resume: bool,
) -> Result<Trained, PolicyError> {
    let config = &config.fitted(data.width());
    let protocol = config.check(data)?;
    let found = folder::find(out, resume)?;
    let (judge, weights) = Judge::load(data, (reward, labels), config, device)?;
    let inputs = judge.inputs(reward, weights);
    let slices = judge.slices(data)?;
    let shown: Vec<_> = slices.iter().map(|pupil| pupil.slice).collect();
    let reconstruction = judge.reconstruction();
    mask.inspect(|mask| mask.note_conditions(&config.protocol, reconstruction.name()));
    let observations = export::observe(&shown, CALIBRATION_SLICES, (&protocol, reconstruction), config.seed);
    let segmenter = match &judge {
        Judge::Segmenter(graph, _) => Some(export::quantised(GraphKind::Segmenter, graph, &observations)?),
        Judge::Classifier(..) => None,
    };
    let blob = match &segmenter {
        Some(segmenter) => {
            write_blob(&export::header(data, reconstruction), Some(segmenter), None).map_err(ExportError::from)?
        }
        None => export::scan_loop(data, &observations, reconstruction)?,
    };
    let model = Model::new_checked(&blob).map_err(ExportError::from)?;
    let most = MOST_BYTES / arena_bytes_with(&model, &fastest()).max(1);
    if config.episodes > most.max(1) {
        let message = format!("must be at most {most}: the memory of more scans side by side is over 32 GB");
        return Err(TrainError::Config { key: "episodes", message }.into());
    }
    let core = model.segmenter().map(|graph| CoreSegmenter { graph });
    let reward: Box<dyn RewardModel> = match (&judge, &core) {
        (Judge::Classifier(diagnoser, labels), _) => Box::new(ClassificationReward { diagnoser, labels }),
        (_, Some(segmenter)) => Box::new(SegmentationReward {
            segmenter,
            config: &config.reward,
            occurring: Occurring::in_labels(shown.iter().flat_map(|slice| &slice.label)),
        }),
        _ => unreachable!("the blob of a segmenter holds it"),
    };
    let trainer = Trainer {
        data,
        protocol,
        config,
        sampler: Slices::new(&slices, config),
        slices,
        segmenter,
        observations,
        model: &model,
        reward: reward.as_ref(),
        labels: judge.labels().to_vec(),
        inputs,
        order: fixed_order(data.width(), mask),
        out,
    };
    match config.network {
        PolicyNetwork::Scout => trainer.run::<ScoutActorCritic>(device, found),
        PolicyNetwork::Asmr => trainer.run::<AsmrActorCritic>(device, found),
    }
}

/// The best fixed order of lines that is known: the mask's, then from the centre outwards; without a mask centre-out.
fn fixed_order(width: usize, mask: Option<&LearnedMask>) -> FixedOrder {
    mask.map_or_else(
        || FixedOrder::centre_out(width),
        |mask| FixedOrder::beginning_with("learned-mask", &mask.lines, width),
    )
}

/// The segmenter in the checkpoint `reward`, for images of the size of `data`, and what the checkpoint says of it.
pub(super) fn load_reward_segmenter(
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

/// Refuses a reward model for images of another size than those of `data`; notes another protocol.
fn fits(meta: &Meta, data: &Dataset, reward: &Path, protocol: &str) -> Result<(), PolicyError> {
    meta.note_protocol(protocol);
    let (of, got) = ([meta.height, meta.width], [data.height(), data.width()]);
    let size = PolicyError::Size { reward: reward.to_owned(), of, data: data.dir().to_owned(), got };
    if of == got { Ok(()) } else { Err(size) }
}

/// What the checkpoint of the reward model holds.
enum Judge {
    Segmenter(FloatGraph, Reconstruction),
    Classifier(Box<Diagnoser>, Labels),
}

impl Judge {
    /// The judge, and which weights it has.
    fn load(
        data: &Dataset,
        (reward, labels): (&Path, Option<&Labels>),
        config: &PolicyConfig,
        device: &Device,
    ) -> Result<(Self, Option<WeightsHash>), PolicyError> {
        match (is_classifier(reward)?, labels) {
            (true, Some(labels)) => {
                config.check_for_classifier()?;
                let (diagnoser, meta) = load_classifier(reward, device)?;
                fits(&meta, data, reward, &config.protocol)?;
                Ok((Self::Classifier(Box::new(diagnoser), labels.only(&meta.labels)?), meta.weights_hash))
            }
            (true, None) => Err(PolicyError::NeedsLabels(reward.to_owned())),
            (false, Some(_)) => Err(PolicyError::NoUseForLabels(reward.to_owned())),
            (false, None) => {
                config.check_for_segmenter()?;
                let (graph, meta) = load_reward_segmenter(data, reward, &config.protocol, device)?;
                let reconstruction = meta.reconstruction;
                if config.network == PolicyNetwork::Asmr && reconstruction.is_symmetric() {
                    return Err(PolicyError::Reconstruction { reward: reward.to_owned(), reconstruction });
                }
                Ok((Self::Segmenter(graph, reconstruction), meta.weights_hash))
            }
        }
    }

    /// The training slices that it can judge, at least one.
    fn slices<'a>(&self, data: &'a Dataset) -> Result<Vec<Pupil<'a>>, PolicyError> {
        let slices = data.slices(Split::Train);
        if slices.is_empty() {
            return Err(TrainError::NoSlices(data.dir().to_owned()).into());
        }
        let slices = slices.into_iter();
        match self {
            Self::Segmenter(..) => Ok(slices.map(|slice| Pupil { slice, diagnosis: Vec::new() }).collect()),
            Self::Classifier(_, labels) => {
                labels.expect_some(data, Split::Train)?;
                let known = slices.filter(|slice| labels.know(&slice.id));
                Ok(known.map(|slice| Pupil { slice, diagnosis: labels.of(&slice.id) }).collect())
            }
        }
    }

    /// How the images are made that it judges.
    fn reconstruction(&self) -> Reconstruction {
        match self {
            Self::Segmenter(_, reconstruction) => *reconstruction,
            Self::Classifier(..) => Reconstruction::ZeroFilled,
        }
    }

    /// What a run begins with that it judges; `reward` is its checkpoint.
    fn inputs(&self, reward: &Path, weights: Option<WeightsHash>) -> Vec<Input> {
        let labels = match self {
            Self::Segmenter(..) => None,
            Self::Classifier(_, labels) => Some(Input::labels(labels)),
        };
        weights.map(|weights| Input::reward(reward, weights)).into_iter().chain(labels).collect()
    }

    /// The labels that it judges by; none of a segmenter.
    fn labels(&self) -> &[String] {
        match self {
            Self::Segmenter(..) => &[],
            Self::Classifier(_, labels) => labels.names(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmenter_pays_by_weights_from_0_up_of_which_one_counts() {
        let check = |lambda1, lambda2| {
            let mut config = PolicyConfig::default();
            (config.reward.lambda1, config.reward.lambda2) = (lambda1, lambda2);
            config.check_for_segmenter()
        };
        check(0.1, 1.0).unwrap();
        check(1.0, 0.0).unwrap();
        for (lambda1, lambda2) in [(-0.1, 1.0), (0.1, -1.0), (f64::NAN, 1.0), (0.1, f64::NAN), (0.0, 0.0)] {
            let message = check(lambda1, lambda2).unwrap_err().to_string();
            assert!(message.starts_with("config key `reward.lambda1, reward.lambda2`: "), "{message}");
        }
    }
}
