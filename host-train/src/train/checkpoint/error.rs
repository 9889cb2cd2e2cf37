//! Why a checkpoint could not be written or read.

use std::io;
use std::path::{Path, PathBuf};

use kscout_core::kspace::Reconstruction;
use kscout_core::model::AxisCodes;

use super::input::{Input, refusal};
use super::{FORMAT, META, WEIGHTS, WeightsHash};
use crate::data::CLASSES;
use crate::net::SegmenterSpec;
use crate::shown::shown;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing there.
    #[error(
        "{0}: no checkpoint here (expected {META} and {WEIGHTS}); give the folder that `kscout train` wrote, or its `best` or `last`"
    )]
    Missing(PathBuf),
    /// A run's folder that is a checkpoint already.
    #[error("{0}: is itself a checkpoint, such as `kscout import` writes; choose another --out for the run")]
    Occupied(PathBuf),
    /// The last checkpoint of a run cannot be gone on from.
    #[error("{path}: the run cannot go on from here: {problem}; {}", instead(best.as_deref()))]
    HalfGone {
        /// The checkpoint `last`.
        path: PathBuf,
        /// What is wrong.
        problem: Box<CheckpointError>,
        /// The checkpoint `best`, where there is one.
        best: Option<PathBuf>,
    },
    /// A file of a checkpoint is not there.
    #[error("{0}: is missing")]
    Gone(PathBuf),
    /// A file of a checkpoint is not what was written.
    #[error("{0}: is damaged: its checksum is not that which {META} says")]
    Damaged(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A number of the description that no checkpoint has.
    #[error("{path}: `{key}` is {}; expected {expected}: the file was changed or is damaged", shown(got))]
    Number {
        /// The file.
        path: PathBuf,
        /// Where the number is.
        key: String,
        /// What is there.
        got: String,
        /// What was expected.
        expected: String,
    },
    /// A weight that is no number, or a variance below zero.
    #[error("{path}: `{name}` holds {value}, and with that the network gives no numbers; take another checkpoint")]
    NoNumbers {
        /// The file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// Its value.
        value: f32,
    },
    /// The description is not what this version writes.
    #[error("{path}: not a checkpoint description: {}", shown(message))]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A description in a format of a later version.
    #[error("{path}: a checkpoint of format {found}, and this version reads {} to {FORMAT}; take a newer kscout", 1)]
    Format {
        /// The file.
        path: PathBuf,
        /// The format.
        found: String,
    },
    /// A key of a description that this version does not know.
    #[error("{path}: `{key}` is no key of a checkpoint's description; the file was changed or is damaged")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Where it is.
        key: String,
    },
    /// A key that a description does not have.
    #[error("{path}: `{key}` is missing; the file was changed or is damaged")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Where it belongs.
        key: String,
    },
    /// The weights are of another kind of network.
    #[error("{path}: this is a checkpoint of `{}`, but `{expected}` is needed here", shown(found))]
    Network {
        /// The folder.
        path: PathBuf,
        /// The network it holds.
        found: String,
        /// The networks that would do.
        expected: String,
    },
    /// A level that has not learned anything.
    #[error(
        "{path}: --prune {level}: head {level} was not trained (`deep_supervision` off, or its entry in `head_weights` 0)"
    )]
    Untrained {
        /// The folder.
        path: PathBuf,
        /// The level asked for.
        level: usize,
    },
    /// A level that the network cannot be pruned to.
    #[error("{path}: --prune {level}: {}", prune_help(network, *levels))]
    Prune {
        /// The folder.
        path: PathBuf,
        /// The network.
        network: String,
        /// The level asked for.
        level: usize,
        /// Its heads.
        levels: usize,
    },
    /// The segmenter is for other classes than the data sets have.
    #[error(
        "{path}: tells {classes} classes apart, and this needs {CLASSES}, as the data sets have; `kscout net forward` runs it"
    )]
    Classes {
        /// The folder.
        path: PathBuf,
        /// The network's classes.
        classes: usize,
    },
    /// The weights are of the right kind of network, but of another width or number of classes.
    #[error("{path}: {found}, but the configuration says {expected}; set `network` and `network_width` to match")]
    Spec {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        found: SegmenterSpec,
        /// What the run is for.
        expected: SegmenterSpec,
    },
    /// The run was made for images of another size.
    #[error("{path}: made for images of {of:?}, the data has {got:?} (rows, columns)")]
    Size {
        /// The folder.
        path: PathBuf,
        /// The size it was made for.
        of: [usize; 2],
        /// The data's size.
        got: [usize; 2],
    },
    /// The run measures the lines of a slice in another order, or began as another one.
    #[error(
        "{path}: lines of a slice came in another order there, {old}, than now, {new}; give the same --mask, or choose another --out"
    )]
    LineOrder {
        /// The folder.
        path: PathBuf,
        /// The first lines of its order.
        old: String,
        /// The first lines of the run's.
        new: String,
    },
    /// The run began with something else than what it is to go on with.
    #[error("{path}: {}", refusal(old, new))]
    OtherInput {
        /// The folder.
        path: PathBuf,
        /// What it began with, of one option.
        old: Vec<Input>,
        /// What is given for that option now.
        new: Vec<Input>,
    },
    /// A line policy's run of before there was a fixed order to compare with.
    #[error(
        "{0}: from a version that did not compare a line policy with the fixed order that it begins as; begin anew in another --out \
         (`kscout eval` and `kscout export` still take it)"
    )]
    NoStanding(PathBuf),
    /// The run leaves out other patients.
    #[error("{0}: left out other patients there; set `folds` and `fold` as they were, or choose another --out")]
    OtherFold(PathBuf),
    /// The run's training volumes were followed by other segmenters.
    #[error(
        "{0}: began with other held-out segmenters, or with none; give the same --held-out, or choose another --out"
    )]
    OtherHeldOut(PathBuf),
    /// The weights know a patient that the run is to leave out.
    #[error(
        "{path}: has learned from {patient}, which `folds` and `fold` leave out here; begin with a segmenter of the same fold"
    )]
    Seen {
        /// The folder.
        path: PathBuf,
        /// The patient.
        patient: String,
    },
    /// The run is about other labels.
    #[error("{path}: learned from {}, but now {} would teach it; choose another --out", named(old), named(new))]
    Labels {
        /// The folder.
        path: PathBuf,
        /// What it learned from; none: masks.
        old: Vec<String>,
        /// What is asked for.
        new: Vec<String>,
    },
    /// The network was trained on images that are made in another way.
    #[error(
        "{path}: trained on {found} images, but {whose} on {expected} ones (`reconstruction`); the two do not go together"
    )]
    Reconstruction {
        /// The folder.
        path: PathBuf,
        /// How its images were made.
        found: Reconstruction,
        /// What else there is.
        whose: String,
        /// How that one's images were made.
        expected: Reconstruction,
    },
    /// The network was trained on images whose axes run another way through the body.
    #[error(
        "{path}: trained on images whose axes run towards {found}, but {whose} on {expected} ones; the two do not go together"
    )]
    Axes {
        /// The folder.
        path: PathBuf,
        /// How the axes of its images run.
        found: AxisCodes,
        /// What else there is.
        whose: String,
        /// How the axes of that one's images run.
        expected: AxisCodes,
    },
    /// The weights are not those that the description beside them was written with.
    #[error(
        "{path}: holds weights of hash {found}, but {META} beside it was written with those of hash {expected}; one of the two \
         files is from another checkpoint"
    )]
    OtherWeights {
        /// The file with the weights.
        path: PathBuf,
        /// The hash of what it holds.
        found: WeightsHash,
        /// The hash that the description names.
        expected: WeightsHash,
    },
    /// The weights do not fit the network, or the file is damaged.
    #[error("{path}: the weights cannot be used: {}", shown(message))]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl CheckpointError {
    /// The run in `path` measured a slice's lines in the order `old`, and is to in the order `new`; an empty one is centre-out.
    pub(super) fn line_order(path: &Path, old: &[u16], new: &[u16]) -> Self {
        const SHOWN: usize = 8;
        let begins = |lines: &[u16]| match lines {
            [] => "centre-out".into(),
            lines => lines.iter().take(SHOWN).map(u16::to_string).collect::<Vec<_>>().join(" ") + " and on",
        };
        Self::LineOrder { path: path.to_owned(), old: begins(old), new: begins(new) }
    }
}

fn prune_help(network: &str, levels: usize) -> String {
    match levels {
        1 => format!("`{network}` has one head; only unetpp can be pruned"),
        _ => format!("`{network}` has the heads 1 to {levels}"),
    }
}

/// What to do where the last checkpoint is lost.
fn instead(best: Option<&Path>) -> String {
    let copy = "bring it back from a copy, or begin anew with another --out";
    best.map_or(copy.into(), |best| {
        let best = best.display();
        format!("{copy}. The best weights are in {best}, to be used as they are; `train segmenter --init {best}` begins with them")
    })
}

fn named(labels: &[String]) -> String {
    if labels.is_empty() { "masks".into() } else { format!("the labels {}", shown(&labels.join(", "))) }
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    |source| CheckpointError::Io { path, source }
}
