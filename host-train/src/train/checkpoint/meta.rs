//! What a checkpoint says about itself, and what may be done with one that says so.

use std::collections::BTreeMap;
use std::path::Path;

use kscout_core::kspace::Reconstruction;
use kscout_core::model::AxisCodes;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::identity::WeightsHash;
use super::input::{self, Input};
use super::standing::Standing;
use crate::data::{CLASSES, Dataset};
use crate::net::{Arch, SegmenterSpec};
use crate::objective::ObjectiveWeights;
use crate::train::means::Means;
use crate::train::patience::Patience;
use crate::train::schedule::Plateau;

/// What a checkpoint holds, readable without loading it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// The network's name, such as `unext-s` or `scout`.
    pub network: String,
    /// What kind of segmenter it is, if it is one.
    #[serde(default)]
    pub segmenter: Option<SegmenterSpec>,
    /// The labels it tells, if it is a classifier; of a policy, those of the classifier that judged it.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The order of lines in a slice, of a slice policy that does not measure them centre-out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub line_order: Vec<u16>,
    /// What the run began with; checkpoints of older versions do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun_with: Vec<Input>,
    /// Of a line policy, the fixed order that it began as, and whether it has learned to beat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Training patients that a segmenter has not seen, by name: its fold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Of a slice policy, the held-out segmenters that its training volumes were followed by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<HeldOut>,
    /// How the images were made that it was trained on.
    #[serde(default, with = "crate::mri::reconstruction")]
    pub reconstruction: Reconstruction,
    /// Which way the axes of those images ran through the body, where that is known.
    #[serde(default, with = "crate::data::axes", skip_serializing_if = "Option::is_none")]
    pub axis_codes: Option<AxisCodes>,
    /// Which weights lie beside this description: written with them, and checked when they are read. Checkpoints of older versions
    /// do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_hash: Option<WeightsHash>,
    /// Rows of the images that it was trained on.
    pub height: usize,
    /// Columns of the images, which is the number of lines.
    pub width: usize,
    /// Training steps (updates) done.
    pub step: usize,
    /// Seconds of training so far, over all the sessions of the run.
    #[serde(default)]
    pub seconds: f64,
    /// What it scored on validation when it was written: mean 3-D Dice (mean AUC of a
    /// classifier), or `None` where nothing could be scored yet.
    pub score: Option<f64>,
    /// The best validation score of the run so far.
    pub best: Option<f64>,
    /// The step of that score, which the checkpoint `best` is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<usize>,
    /// The last row of the run's log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub row: String,
    /// What the next row is to tell of the steps since then.
    #[serde(default, skip_serializing_if = "Means::is_empty")]
    pub since: Means,
    /// The CRC-32 of each file beside this one; checkpoints of older versions do not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, u32>,
    /// What schedule, early stopping and averaging have to remember.
    #[serde(default)]
    pub progress: Progress,
    /// The kind of data, as the manifest says (`acdc`, `png` or `phantom`), or what file the weights were imported from.
    pub data: String,
    /// The configuration of the run.
    pub config: serde_json::Value,
}

/// A segmenter that has not seen some of the training patients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldOut {
    /// These patients, by name.
    pub left_out: Vec<String>,
    /// The CRC-32 of its blob.
    pub crc: u32,
}

/// What a run's schedule, early stopping and averaging have to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The schedule `plateau`.
    pub plateau: Plateau,
    /// Early stopping.
    pub stopping: Patience,
    /// Steps that the weights' average has taken in; 0: there is no average.
    pub averaged: usize,
    /// Steps in a row that f16 has left out.
    pub overflows: usize,
}

impl Meta {
    /// A segmenter for images of `size` (rows, columns) that no run here has trained; `data` says where it is from.
    pub fn untrained(spec: SegmenterSpec, size: [usize; 2], data: String) -> Self {
        Self { segmenter: Some(spec), ..Self::imported(spec.arch.name().into(), size, data) }
    }

    /// A network of any kind that no run here has trained.
    pub fn imported(network: String, [height, width]: [usize; 2], data: String) -> Self {
        Self {
            network,
            segmenter: None,
            labels: Vec::new(),
            line_order: Vec::new(),
            begun_with: Vec::new(),
            standing: None,
            left_out: Vec::new(),
            held_out: Vec::new(),
            reconstruction: Reconstruction::default(),
            axis_codes: None,
            weights_hash: None,
            height,
            width,
            step: 0,
            seconds: 0.0,
            score: None,
            best: None,
            best_step: None,
            row: String::new(),
            since: Means::default(),
            files: BTreeMap::new(),
            progress: Progress::default(),
            data,
            config: serde_json::json!({}),
        }
    }

    /// A run of `network` on `data` that has not made a step yet.
    pub fn begun(network: String, data: &Dataset, config: &impl Serialize) -> Self {
        let config = serde_json::to_value(config).expect("a configuration serialises");
        let source = data.manifest().source.clone();
        let axis_codes = data.manifest().axes.map(Into::into);
        let begun_with = vec![Input::data(data)];
        Self { config, axis_codes, begun_with, ..Self::imported(network, [data.height(), data.width()], source) }
    }

    /// The same run, which begins with these too.
    #[must_use]
    pub fn with(mut self, inputs: impl IntoIterator<Item = Input>) -> Self {
        self.begun_with.extend(inputs);
        self
    }

    /// What a run goes on with, having found the checkpoint `self` in `dir` where it would have started as `fresh`.
    ///
    /// Refused is what would make another run of it: another network, image size, reconstruction, set of labels, order of lines,
    /// held-out segmenters, other patients that are left out, images whose axes run another way, or other inputs than it began
    /// with, where those are known. Keys of the configuration that differ are said on standard error; where they make another score,
    /// the best one so far is forgotten.
    pub fn resume(self, dir: &Path, fresh: Self) -> Result<Self, CheckpointError> {
        self.expect_network(dir, &[&fresh.network])?;
        if let (Some(found), Some(expected)) = (self.segmenter, fresh.segmenter) {
            found.expect_same(expected, dir)?;
        }
        if self.labels != fresh.labels {
            return Err(CheckpointError::Labels { path: dir.to_owned(), old: self.labels, new: fresh.labels });
        }
        self.expect_reconstruction(dir, fresh.reconstruction, "this run")?;
        if self.line_order != fresh.line_order {
            return Err(CheckpointError::line_order(dir, &self.line_order, &fresh.line_order));
        }
        if self.left_out != fresh.left_out {
            return Err(CheckpointError::OtherFold(dir.to_owned()));
        }
        if self.held_out != fresh.held_out {
            return Err(CheckpointError::OtherJudges(dir.to_owned()));
        }
        let (of, got) = ([self.height, self.width], [fresh.height, fresh.width]);
        if of != got {
            return Err(CheckpointError::Size { path: dir.to_owned(), of, got });
        }
        self.expect_same_standing(dir, &fresh)?;
        self.expect_axes(dir, fresh.axis_codes, "this run")?;
        let axis_codes = self.axis_codes.or(fresh.axis_codes);
        if !self.begun_with.is_empty()
            && let Some((old, new)) = input::other(&self.begun_with, &fresh.begun_with)
        {
            let own = |inputs: Vec<&Input>| inputs.into_iter().cloned().collect();
            return Err(CheckpointError::OtherInput { path: dir.to_owned(), old: own(old), new: own(new) });
        }
        note_changes("", &self.config, &fresh.config);
        let (mut best, mut progress, mut standing) = (self.best, self.progress, self.standing.clone());
        if !scores_alike(&self.config, &fresh.config) {
            eprintln!("note: scores so far do not compare with those to come; the best one begins anew");
            best = None;
            standing.iter_mut().for_each(Standing::forget);
            progress.stopping = Patience::default();
            progress.plateau.patience = Patience::default();
        }
        let best_step = self.best_step.filter(|_| best.is_some());
        Ok(Self {
            axis_codes,
            best,
            best_step,
            progress,
            standing,
            config: fresh.config,
            segmenter: self.segmenter.or(fresh.segmenter),
            ..self
        })
    }

    /// Refuses a line policy's run that began as another fixed order, or as none.
    fn expect_same_standing(&self, dir: &Path, fresh: &Self) -> Result<(), CheckpointError> {
        match (&self.standing, &fresh.standing) {
            (None, Some(_)) => Err(CheckpointError::NoStanding(dir.to_owned())),
            (Some(found), Some(fresh)) if found.order.lines != fresh.order.lines => {
                Err(CheckpointError::line_order(dir, &found.order.lines, &fresh.order.lines))
            }
            _ => Ok(()),
        }
    }

    /// Says on standard error that the network was trained under another protocol than `protocol`, if it was.
    pub fn note_protocol(&self, protocol: &str) {
        if let Some(trained) = self.config.get("protocol").and_then(|value| value.as_str())
            && trained != protocol
        {
            eprintln!("note: {} was trained with the protocol `{trained}`, this uses `{protocol}`", self.network);
        }
    }

    /// Refuses a network that was trained on other images than `expected`, those of `whose`.
    pub fn expect_reconstruction(
        &self,
        dir: &Path,
        expected: Reconstruction,
        whose: &str,
    ) -> Result<(), CheckpointError> {
        if self.reconstruction == expected {
            return Ok(());
        }
        let (path, whose) = (dir.to_owned(), whose.to_owned());
        Err(CheckpointError::Reconstruction { path, found: self.reconstruction, whose, expected })
    }

    /// Refuses a network that was trained on images whose axes run another way than `expected`, those of `whose`, where both are
    /// known.
    pub fn expect_axes(&self, dir: &Path, expected: Option<AxisCodes>, whose: &str) -> Result<(), CheckpointError> {
        match (self.axis_codes, expected) {
            (Some(found), Some(expected)) if found != expected => {
                Err(CheckpointError::Axes { path: dir.to_owned(), found, whose: whose.to_owned(), expected })
            }
            _ => Ok(()),
        }
    }

    /// Refuses weights that a run here has taught any of `patients`, whose names alone count, whatever the data set. Of weights
    /// from elsewhere nothing is known.
    pub fn expect_unseen(&self, dir: &Path, patients: &[String]) -> Result<(), CheckpointError> {
        let seen = patients.iter().find(|patient| self.step > 0 && !self.left_out.contains(patient));
        let refused = |patient: &String| CheckpointError::Seen { path: dir.to_owned(), patient: patient.clone() };
        seen.map(refused).map_or(Ok(()), Err)
    }

    /// The kind of segmenter in the folder `dir`; refuses a checkpoint of anything else.
    pub fn segmenter(&self, dir: &Path) -> Result<SegmenterSpec, CheckpointError> {
        // Before there were others, checkpoints did not say more than the name.
        let is_first = self.network == Arch::UnextS.name();
        let first = is_first.then(|| SegmenterSpec::published(Arch::UnextS, CLASSES));
        self.segmenter.or(first).ok_or_else(|| CheckpointError::Network {
            path: dir.to_owned(),
            found: self.network.clone(),
            expected: Arch::ALL.map(Arch::name).join("` or `"),
        })
    }

    /// Whether the training let head `level` of a segmenter learn; of imported weights nothing else is known.
    pub fn has_trained_head(&self, level: usize) -> bool {
        let supervised = self.config.get("deep_supervision").and_then(|value| value.as_bool()).unwrap_or(true);
        let weights = self.config.get("head_weights").and_then(|value| value.as_array());
        let weight = weights.and_then(|weights| weights.get(level - 1)).and_then(|weight| weight.as_f64());
        supervised && weight != Some(0.0)
    }

    /// Whether `other` is of a network of the same kind, for images of the same kind.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let kind = |meta: &Self| {
            (
                (meta.network.clone(), meta.segmenter, meta.labels.clone(), meta.line_order.clone()),
                (meta.height, meta.width, meta.reconstruction, meta.axis_codes),
            )
        };
        kind(self) == kind(other)
    }

    /// Refuses a checkpoint of another network than one of `names`.
    pub fn expect_network(&self, dir: &Path, names: &[&str]) -> Result<(), CheckpointError> {
        if names.contains(&self.network.as_str()) {
            return Ok(());
        }
        Err(CheckpointError::Network {
            path: dir.to_owned(),
            found: self.network.clone(),
            expected: names.join("` or `"),
        })
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

/// Whether scores of runs with two configurations can be compared. Of the weights in a slice policy's score the ratio counts, and a line
/// policy is scored by Dice where that is paid for.
fn scores_alike(old: &serde_json::Value, new: &serde_json::Value) -> bool {
    let same = |key: &&str| old.get(key) == new.get(key);
    let reconstruction = |config: &serde_json::Value| {
        let weight = |key: &str, default| config.get(key).and_then(|value| value.as_f64()).unwrap_or(default);
        let ObjectiveWeights { lambda1, lambda2 } = ObjectiveWeights::DICE;
        ObjectiveWeights { lambda1: weight("lambda1", lambda1), lambda2: weight("lambda2", lambda2) }
            .normalised()
            .lambda1
    };
    let shares = [old, new].map(reconstruction);
    let pays_for_dice = |config: &serde_json::Value| {
        config.pointer("/reward/lambda2").and_then(|value| value.as_f64()).is_none_or(|lambda2| lambda2 > 0.0)
    };
    ["protocol", "seed", "validate_lines"].iter().all(same)
        && (shares[0] - shares[1]).abs() < 1e-9
        && pays_for_dice(old) == pays_for_dice(new)
}

/// Says on standard error which keys have another value in `new` than in `old`.
fn note_changes(path: &str, old: &serde_json::Value, new: &serde_json::Value) {
    for (name, new) in new.as_object().into_iter().flatten() {
        let key = format!("{path}{name}");
        match old.get(name) {
            Some(old) if old.is_object() && new.is_object() => note_changes(&format!("{key}."), old, new),
            Some(old) if !is_same(old, new) => {
                eprintln!("note: the run goes on with another `{key}`: {old} before, {new} now")
            }
            _ => {}
        }
    }
}

/// Whether two values are the same, but for the last digit that a number may lose on its way through a file.
fn is_same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_best_score_is_forgotten_where_another_counts() {
        let meta = |config| Meta { config, ..Meta::imported("slices".into(), [8, 8], "phantom".into()) };
        let patience = Patience { best: Some(0.5), waited: 2 };
        let progress =
            Progress { plateau: Plateau { patience, falls: 1 }, stopping: patience, averaged: 3, overflows: 0 };
        let resumed = |key: &str, value: serde_json::Value| {
            let config =
                json!({ "lambda1": 0.25, "lambda2": 1.0, "validate_lines": [6, 8], "seed": 1, "protocol": "igs" });
            let mut new = config.clone();
            new[key] = value;
            let old = Meta { best: Some(0.5), progress, ..meta(config) };
            old.resume(Path::new("run/last"), meta(new)).unwrap()
        };
        let kept = resumed("updates", json!(8));
        assert_eq!((kept.best, kept.progress), (Some(0.5), progress));
        for (key, value) in [
            ("lambda1", json!(0.5)),
            ("lambda2", json!(0.5)),
            ("validate_lines", json!([6])),
            ("seed", json!(2)),
            ("protocol", json!("scanner")),
        ] {
            let new = resumed(key, value);
            let none = Patience::default();
            let begun =
                Progress { plateau: Plateau { patience: none, falls: 1 }, stopping: none, averaged: 3, overflows: 0 };
            assert_eq!((new.best, new.progress), (None, begun), "{key}");
        }
    }

    #[test]
    fn of_the_weights_their_ratio_makes_the_score() {
        assert!(scores_alike(&json!({ "lambda1": 1, "lambda2": 4 }), &json!({ "lambda1": 2.0, "lambda2": 8.0 })));
        assert!(scores_alike(&json!({}), &json!({ "lambda1": 0.0, "lambda2": 0.5 })));
        assert!(!scores_alike(&json!({}), &json!({ "lambda1": 1.0, "lambda2": 1.0 })));
        assert!(scores_alike(&json!({ "reward": { "lambda2": 1.0 } }), &json!({ "reward": { "lambda2": 0.5 } })));
        assert!(
            !scores_alike(&json!({ "reward": { "lambda2": 1.0 } }), &json!({ "reward": { "lambda2": 0 } })),
            "SSIM"
        );
    }

    #[test]
    fn a_number_that_went_through_a_file_is_the_same() {
        let sigma = serde_json::to_value(0.03f32).unwrap();
        let read = serde_json::from_str(&sigma.to_string()).unwrap();
        assert!(is_same(&sigma, &read), "{sigma} {read}");
        assert!(!is_same(&json!(0.03), &json!(0.031)) && !is_same(&json!(1), &json!(2)));
        assert!(is_same(&json!("adam"), &json!("adam")) && !is_same(&json!("adam"), &json!("sgd")));
    }
}
