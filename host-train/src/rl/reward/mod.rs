//! What scans earn: a reward model judges them as they stand.
//!
//! * [`segmentation`]: how well a segmenter sees the heart. A step earns what it gains.
//! * [`classification`]: how sure a classifier is of the truth. A step earns that itself, as ASMR's.

pub mod classification;
pub mod segmentation;

use std::borrow::Cow;

use kscout_core::Complex32;

use crate::data::Diagnosis;
use crate::eval::reference::Reference;
use crate::eval::run::{MeasuredVolume, RunError, Scanned};
use crate::eval::stats::Sample;
use crate::mri::KSpace;
use crate::numbers::NoNumbers;

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
pub struct Glance<'a> {
    /// The quantised image.
    pub levels: Vec<i8>,
    /// The reconstructed image before its magnitude is taken.
    pub image: Cow<'a, [Complex32]>,
    /// What is true of the slice.
    pub truth: &'a Truth,
}

/// What a step earns of a scan's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pays {
    /// What the worth has grown by since a step was last paid, so that an episode's rewards sum up to what it was worth.
    Gain,
    /// The worth as it stands.
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

/// Judges scans.
pub trait RewardModel: Sync {
    /// What each scan is worth as it stands, in units of the unscaled reward.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    fn worth(&self, scans: &[Glance<'_>]) -> Result<Vec<f64>, NoNumbers>;

    /// What a step earns of it.
    fn pays(&self) -> Pays;

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
