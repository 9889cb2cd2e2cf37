//! What a checkpoint is of, and what only that kind has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::standing::Standing;
use crate::net::SegmenterSpec;
use crate::net::resnet::Depth;

/// The name of a slice policy's network.
pub const SLICE_POLICY: &str = "slices";

/// What a checkpoint is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a checkpoint, and boxes would be in the way of who reads it"
)]
pub enum Kind {
    /// A network that gives each pixel a class.
    Segmenter(SegmenterRecord),
    /// A network that tells labels from k-space.
    Classifier(ClassifierRecord),
    /// A network that chooses the next line of a slice.
    LinePolicy(LinePolicyRecord),
    /// A network that chooses the slice that the next line goes to.
    SlicePolicy(SlicePolicyRecord),
}

/// What a segmenter's checkpoint says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmenterRecord {
    /// Which network it is.
    #[serde(rename = "segmenter")]
    pub spec: SegmenterSpec,
    /// Its heads that have learned, from 1.
    pub trained_heads: Vec<usize>,
    /// Training patients that it has not seen, by name: its fold.
    pub left_out: Vec<String>,
}

impl SegmenterRecord {
    /// One whose heads have all learned, from everybody.
    pub fn new(spec: SegmenterSpec) -> Self {
        Self { spec, trained_heads: (1..=spec.arch.levels()).collect(), left_out: Vec::new() }
    }

    /// The heads that learn where each counts in the loss with its weight, or with 1 where there are none: of a training that is not
    /// `supervised` deeply the last one alone, which learns in any case.
    pub fn heads_that_learn(spec: SegmenterSpec, supervised: bool, weights: &[f64]) -> Vec<usize> {
        let levels = spec.arch.levels();
        let learns = |level: &usize| supervised && weights.get(level - 1) != Some(&0.0);
        (1..=levels).filter(|level| *level == levels || learns(level)).collect()
    }
}

/// What a classifier's checkpoint says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierRecord {
    /// Which network it is.
    pub network: Depth,
    /// The labels that it tells.
    pub labels: Vec<String>,
}

/// What a line policy's checkpoint says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinePolicyRecord {
    /// The name of its network, such as `scout`.
    pub network: String,
    /// The labels of the classifier that scored it; none where that was a segmenter.
    pub labels: Vec<String>,
    /// The fixed order that it began as, and whether it has learned to beat it. Imported weights have none.
    pub standing: Option<Standing>,
}

/// What a slice policy's checkpoint says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlicePolicyRecord {
    /// The order of lines in a slice; empty: centre-out.
    pub line_order: Vec<u16>,
    /// The held-out segmenters that its training volumes were followed by.
    pub held_out: Vec<HeldOut>,
}

/// A segmenter that has not seen some of the training patients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldOut {
    /// These patients, by name.
    pub left_out: Vec<String>,
    /// The CRC-32 of its blob.
    pub crc: u32,
}

impl Kind {
    /// The network's name, such as `unext-s` or `scout`.
    pub fn network(&self) -> &str {
        match self {
            Self::Segmenter(record) => record.spec.arch.name(),
            Self::Classifier(record) => record.network.name(),
            Self::LinePolicy(record) => &record.network,
            Self::SlicePolicy(_) => SLICE_POLICY,
        }
    }

    /// The labels that it tells or is scored by.
    fn labels(&self) -> &[String] {
        match self {
            Self::Classifier(ClassifierRecord { labels, .. }) | Self::LinePolicy(LinePolicyRecord { labels, .. }) => {
                labels
            }
            Self::Segmenter(_) | Self::SlicePolicy(_) => &[],
        }
    }

    /// Refuses the run of `self`, found in `dir`, where one of `fresh` is to go on: the same network, for the same labels, patients
    /// and order of lines.
    pub(super) fn expect_same(&self, fresh: &Self, dir: &Path) -> Result<(), CheckpointError> {
        let path = || dir.to_owned();
        if let (Self::Segmenter(found), Self::Segmenter(expected)) = (self, fresh) {
            found.spec.expect_same(expected.spec, dir)?;
        }
        let (old, new) = (self.labels(), fresh.labels());
        if old != new {
            return Err(CheckpointError::Labels { path: path(), old: old.to_vec(), new: new.to_vec() });
        }
        match (self, fresh) {
            (Self::Segmenter(found), Self::Segmenter(expected)) if found.left_out != expected.left_out => {
                Err(CheckpointError::OtherFold(path()))
            }
            (Self::SlicePolicy(found), Self::SlicePolicy(expected)) if found.line_order != expected.line_order => {
                Err(CheckpointError::line_order(dir, &found.line_order, &expected.line_order))
            }
            (Self::SlicePolicy(found), Self::SlicePolicy(expected)) if found.held_out != expected.held_out => {
                Err(CheckpointError::OtherHeldOut(path()))
            }
            (Self::LinePolicy(found), Self::LinePolicy(expected)) => found.expect_same_order(expected, dir),
            _ => Ok(()),
        }
    }

    /// Whether `other` is a network of the same kind.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.network() == other.network()
            && self.labels() == other.labels()
            && match (self, other) {
                (Self::Segmenter(one), Self::Segmenter(other)) => one.spec == other.spec,
                (Self::SlicePolicy(one), Self::SlicePolicy(other)) => one.line_order == other.line_order,
                (Self::Classifier(_), Self::Classifier(_)) | (Self::LinePolicy(_), Self::LinePolicy(_)) => true,
                _ => false,
            }
    }
}

impl LinePolicyRecord {
    /// Refuses a run that began as another fixed order, or as none.
    fn expect_same_order(&self, fresh: &Self, dir: &Path) -> Result<(), CheckpointError> {
        match (&self.standing, &fresh.standing) {
            (None, Some(_)) => Err(CheckpointError::NoStanding(dir.to_owned())),
            (Some(found), Some(fresh)) if found.order.lines != fresh.order.lines => {
                Err(CheckpointError::line_order(dir, &found.order.lines, &fresh.order.lines))
            }
            _ => Ok(()),
        }
    }
}

impl SegmenterSpec {
    /// Refuses the weights of `self`, found in `dir`, where `expected` are needed. The image's channels do not matter: one
    /// is repeated over them.
    pub(in crate::train) fn expect_same(self, expected: Self, dir: &Path) -> Result<(), CheckpointError> {
        if (Self { channels: expected.channels, ..self }) == expected {
            return Ok(());
        }
        Err(CheckpointError::Spec { path: dir.to_owned(), found: self, expected })
    }
}
