//! What scans earn: a reward model scores them as they stand.
//!
//! * [`segmentation`]: how well a segmenter sees the heart. A step earns what it gains.
//! * [`classification`]: how sure a classifier is of the truth. A step earns that itself, as ASMR's.
//!
//! A new reward is a file here with a [`RewardModel`] and the [`RewardKind`] that loads it, and its line in [`KINDS`]. Outside
//! this crate a [`RewardModel`] is enough: [`train_agent`](super::train_agent) takes it as it is.

pub mod classification;
pub mod segmentation;

use std::borrow::Cow;
use std::path::Path;

use burn::tensor::Device;
use kscout_core::Complex32;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;

use super::config::{PolicyConfig, RewardConfig};
use super::error::PolicyError;
use crate::data::{Dataset, Diagnosis, Labels, Slice, Split};
use crate::eval::run::{MeasuredVolume, RunError, Scanned};
use crate::inference::numbers::NoNumbers;
use crate::metrics::reference::Reference;
use crate::metrics::stats::Sample;
use crate::mri::KSpace;
use crate::net::FloatGraph;
use crate::train::TrainError;
use crate::train::checkpoint::{CheckpointError, Input, Meta};

pub use classification::ClassificationReward;
pub use segmentation::SegmentationReward;

/// What is true of a slice.
pub struct Truth {
    /// Its classes, row-major.
    pub label: Vec<u8>,
    /// Its labels; empty without a classifier.
    pub diagnosis: Diagnosis,
    /// What reconstruction can reach.
    pub reference: Reference,
}

impl Truth {
    /// The truth of a slice that measures as `kspace`.
    pub fn new(label: Vec<u8>, diagnosis: Diagnosis, kspace: &KSpace) -> Self {
        Self { label, diagnosis, reference: Reference::new(kspace) }
    }
}

/// A scan as it stands.
pub struct RewardInput<'a> {
    /// The quantised image.
    pub levels: Vec<i8>,
    /// The reconstructed image before its magnitude is taken.
    pub image: Cow<'a, [Complex32]>,
    /// What is true of the slice.
    pub truth: &'a Truth,
}

/// What a step earns of the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewardMode {
    /// What the objective has grown by since a step was last paid, so that an episode's rewards sum up to what it was in the end.
    Gain,
    /// The objective as it stands.
    Level,
}

/// What one number of a validation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The name in tables' columns.
    pub column: &'static str,
    /// The name for people.
    pub title: &'static str,
}

/// What finished scans of volumes score.
#[derive(Clone, Debug, Default)]
pub struct Scored {
    /// Each of the [`RewardModel::measures`], or `None` where it is not defined.
    pub measures: Vec<Option<f64>>,
    /// What [`RewardModel::compares`] names, by patient, to pair with those of other scans.
    pub samples: Vec<Sample<String>>,
}

/// Scores scans.
pub trait RewardModel: Sync {
    /// The objective of each scan as it stands, in units of the unscaled reward.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers>;

    /// What a step earns of it.
    fn mode(&self) -> RewardMode;

    /// What [`Self::score`] gives; the first measure is a checkpoint's score, more being better.
    fn measures(&self) -> &'static [Measure];

    /// What policies are compared in, patient by patient; more is better.
    fn compares(&self) -> &'static str;

    /// Whether it has anything to score a volume by.
    fn can_score(&self, _volume: &MeasuredVolume<'_>) -> bool {
        true
    }

    /// Scores finished scans.
    ///
    /// # Errors
    /// [`RunError`] where images and labels do not fit together.
    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError>;
}

/// The kinds of reward that a training is given by name, the first one counting that knows it. The last takes whatever is left,
/// and says what is wrong with it.
pub const KINDS: [RewardKind; 2] = [classification::KIND, segmentation::KIND];

/// A kind of reward.
pub struct RewardKind {
    /// Whether the training's `--reward-model`, a checkpoint for most kinds, means this one.
    pub is_meant: fn(&Path) -> Result<bool, CheckpointError>,
    /// Loads it.
    pub load: fn(&RewardRequest<'_>) -> Result<Box<dyn RewardSource>, PolicyError>,
}

/// What a reward is asked for with.
#[derive(Clone, Copy)]
pub struct RewardRequest<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Path,
    /// What is true of slices besides their classes.
    pub labels: Option<&'a Labels>,
    /// The data that will be scanned.
    pub data: &'a Dataset,
    /// The training's configuration.
    pub config: &'a PolicyConfig,
    /// Where to compute.
    pub device: &'a Device,
}

/// The reward that is asked for.
///
/// # Errors
/// [`PolicyError`] where checkpoint, labels, data and configuration do not fit together.
pub fn load(request: &RewardRequest<'_>) -> Result<Box<dyn RewardSource>, PolicyError> {
    for kind in KINDS {
        if (kind.is_meant)(request.checkpoint)? {
            return (kind.load)(request);
        }
    }
    Err(CheckpointError::Missing(request.checkpoint.to_owned()).into())
}

/// What a training is rewarded by, before there are scans. Every [`RewardModel`] is one by itself: of all training slices, by
/// their zero-filled images.
pub trait RewardSource {
    /// What errors call it.
    fn name(&self) -> String {
        "the reward".into()
    }

    /// The training slices of `data` that it can score, at least one.
    ///
    /// # Errors
    /// [`PolicyError`] where there are none.
    fn slices<'d>(&self, data: &'d Dataset) -> Result<Vec<TrainingSlice<'d>>, PolicyError> {
        let slices = training_slices(data)?.into_iter();
        Ok(slices.map(|slice| TrainingSlice { slice, diagnosis: Vec::new() }).collect())
    }

    /// How the images are made that it scores.
    fn reconstruction(&self) -> Reconstruction {
        Reconstruction::ZeroFilled
    }

    /// The segmenter that it scores by, which scans then run in int8, as a device does.
    fn segmenter(&self) -> Option<&FloatGraph> {
        None
    }

    /// What a run with it is recorded to have begun with, beside its data.
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    /// The labels that it scores by, where it does.
    fn labels(&self) -> &[String] {
        &[]
    }

    /// What scores the scans.
    fn model<'r>(&'r self, scene: &Scene<'r>) -> Box<dyn RewardModel + 'r>;
}

/// What a reward model is made for.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// [`RewardSource::segmenter`] as an exported file, where there is one.
    pub model: Option<&'a Model<'a>>,
    /// What steps earn.
    pub config: &'a RewardConfig,
    /// The slices of [`RewardSource::slices`].
    pub slices: &'a [&'a Slice],
}

/// A slice to train on.
pub struct TrainingSlice<'a> {
    /// The slice.
    pub slice: &'a Slice,
    /// Its labels; empty where the reward has none.
    pub diagnosis: Diagnosis,
}

impl<R: RewardModel> RewardSource for R {
    fn model<'r>(&'r self, _: &Scene<'r>) -> Box<dyn RewardModel + 'r> {
        Box::new(Shared(self))
    }
}

/// A reward model that somebody else owns.
struct Shared<'a, R>(&'a R);

impl<R: RewardModel> RewardModel for Shared<'_, R> {
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
        self.0.objective(scans)
    }

    fn mode(&self) -> RewardMode {
        self.0.mode()
    }

    fn measures(&self) -> &'static [Measure] {
        self.0.measures()
    }

    fn compares(&self) -> &'static str {
        self.0.compares()
    }

    fn can_score(&self, volume: &MeasuredVolume<'_>) -> bool {
        self.0.can_score(volume)
    }

    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
        self.0.score(volumes, scans)
    }
}

/// The training slices, at least one.
fn training_slices(data: &Dataset) -> Result<Vec<&Slice>, TrainError> {
    let slices = data.slices(Split::Train);
    if slices.is_empty() { Err(TrainError::NoSlices(data.dir().to_owned())) } else { Ok(slices) }
}

/// Refuses a checkpoint for images of another size than those of `data`; notes another protocol.
fn fits(meta: &Meta, data: &Dataset, reward: &Path, protocol: &str) -> Result<(), PolicyError> {
    meta.note_protocol(protocol);
    let (of, got) = ([meta.height, meta.width], [data.height(), data.width()]);
    let size = PolicyError::Size { reward: reward.to_owned(), of, data: data.dir().to_owned(), got };
    if of == got { Ok(()) } else { Err(size) }
}
