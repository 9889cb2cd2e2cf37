//! What a checkpoint says about itself, and what may be done with one that says so.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::path::Path;

use kscout_core::kspace::Reconstruction;
use kscout_core::model::AxisCodes;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::identity::WeightsHash;
use super::input::{self, Input};
use super::kind::{ClassifierRecord, Kind, LinePolicyRecord, SLICE_POLICY, SegmenterRecord, SlicePolicyRecord};
use super::scoring::Scoring;
use super::standing::Standing;
use crate::data::Dataset;
use crate::net::Arch;
use crate::net::resnet::Depth;
use crate::train::means::Means;
use crate::train::patience::Patience;
use crate::train::schedule::Plateau;

/// What a checkpoint holds, readable without loading it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// What it is of, and what only that kind has.
    #[serde(flatten)]
    pub kind: Kind,
    /// What the run began with; checkpoints of format 1 may not say.
    pub begun_with: Vec<Input>,
    /// How the images were made that it was trained on.
    #[serde(with = "crate::mri::reconstruction")]
    pub reconstruction: Reconstruction,
    /// Which way the axes of those images ran through the body, where that is known.
    #[serde(with = "crate::data::axes")]
    pub axis_codes: Option<AxisCodes>,
    /// Which weights lie beside this description: written with them, and checked when they are read. Unknown before that, and in some
    /// checkpoints of format 1.
    pub weights_hash: Option<WeightsHash>,
    /// Rows of the images that it was trained on.
    pub height: usize,
    /// Columns of the images, which is the number of lines.
    pub width: usize,
    /// Training steps (updates) done.
    pub step: usize,
    /// Seconds of training so far, over all the sessions of the run.
    pub seconds: f64,
    /// What it scored on validation when it was written: mean 3-D Dice (mean AUC of a
    /// classifier), or `None` where nothing could be scored yet.
    pub score: Option<f64>,
    /// The best validation score of the run so far.
    pub best: Option<f64>,
    /// The step of that score, which the checkpoint `best` is of.
    pub best_step: Option<usize>,
    /// What the scores were made with; `None` where no run here has made any.
    pub scoring: Option<Scoring>,
    /// The last row of the run's log.
    pub row: String,
    /// What the next row is to tell of the steps since then.
    pub since: Means,
    /// The CRC-32 of each file beside this one; some checkpoints of format 1 do not say.
    pub files: BTreeMap<String, u32>,
    /// What schedule, early stopping and averaging have to remember.
    pub progress: Progress,
    /// The kind of data, as the manifest says (`acdc`, `png` or `phantom`), or what file the weights were imported from.
    pub data: String,
    /// The configuration of the run, to be shown and compared key by key.
    pub config: serde_json::Value,
}

/// What a run's schedule, early stopping and averaging have to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
// Format 1 may leave some out; of format 2 they are counted.
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
    /// A network for images of `size` (rows, columns) that no run here has trained; `data` says where it is from.
    pub fn imported(kind: Kind, [height, width]: [usize; 2], data: String) -> Self {
        Self {
            kind,
            begun_with: Vec::new(),
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
            scoring: None,
            row: String::new(),
            since: Means::default(),
            files: BTreeMap::new(),
            progress: Progress::default(),
            data,
            config: serde_json::json!({}),
        }
    }

    /// A run on `data` that has not made a step yet.
    pub fn begun(kind: Kind, data: &Dataset, config: &impl Serialize, scoring: Scoring) -> Self {
        let config = serde_json::to_value(config).expect("a configuration serialises");
        let source = data.manifest().source.clone();
        let axis_codes = data.manifest().axes.map(Into::into);
        let begun_with = vec![Input::data(data)];
        let scoring = Some(scoring);
        Self { config, scoring, axis_codes, begun_with, ..Self::imported(kind, [data.height(), data.width()], source) }
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
        if self.network() != fresh.network() || discriminant(&self.kind) != discriminant(&fresh.kind) {
            return Err(self.other_network(dir, &[fresh.network()]));
        }
        let (of, got) = ([self.height, self.width], [fresh.height, fresh.width]);
        if of != got {
            return Err(CheckpointError::Size { path: dir.to_owned(), of, got });
        }
        self.expect_reconstruction(dir, fresh.reconstruction, "this run")?;
        self.kind.expect_same(&fresh.kind, dir)?;
        self.expect_axes(dir, fresh.axis_codes, "this run")?;
        if !self.begun_with.is_empty()
            && let Some((old, new)) = input::other(&self.begun_with, &fresh.begun_with)
        {
            let own = |inputs: Vec<&Input>| inputs.into_iter().cloned().collect();
            return Err(CheckpointError::OtherInput { path: dir.to_owned(), old: own(old), new: own(new) });
        }
        note_changes("", &self.config, &fresh.config);
        let compares = match (&self.scoring, &fresh.scoring) {
            (Some(found), Some(fresh)) => found.compares_with(fresh),
            (found, fresh) => found.is_none() && fresh.is_none(),
        };
        let mut resumed = Self {
            axis_codes: self.axis_codes.or(fresh.axis_codes),
            scoring: fresh.scoring,
            config: fresh.config,
            ..self
        };
        if let (Kind::Segmenter(found), Kind::Segmenter(fresh)) = (&mut resumed.kind, fresh.kind) {
            found.trained_heads = fresh.trained_heads;
        }
        if !compares {
            eprintln!("note: scores so far do not compare with those to come; the best one begins anew");
            resumed.forget_scores();
        }
        resumed.best_step = resumed.best_step.filter(|_| resumed.best.is_some());
        Ok(resumed)
    }

    /// Forgets what scores so far have said.
    fn forget_scores(&mut self) {
        self.best = None;
        self.progress.stopping = Patience::default();
        self.progress.plateau.patience = Patience::default();
        self.standing_mut().into_iter().for_each(Standing::forget);
    }

    /// The network's name, such as `unext-s` or `scout`.
    pub fn network(&self) -> &str {
        self.kind.network()
    }

    /// How a line policy stands to the fixed order that it began as.
    pub fn standing(&self) -> Option<&Standing> {
        match &self.kind {
            Kind::LinePolicy(record) => record.standing.as_ref(),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn standing_mut(&mut self) -> Option<&mut Standing> {
        match &mut self.kind {
            Kind::LinePolicy(record) => record.standing.as_mut(),
            _ => None,
        }
    }

    /// Makes another record of how a line policy stands to its fixed order; nothing where there is none.
    pub fn change_standing(&mut self, change: impl FnOnce(Standing) -> Standing) {
        if let Some(standing) = self.standing_mut() {
            *standing = change(standing.clone());
        }
    }

    /// Says on standard error that the network was trained under another protocol than `protocol`, if it was.
    pub fn note_protocol(&self, protocol: &str) {
        if let Some(trained) = self.scoring.as_ref().map(|scoring| &scoring.protocol)
            && trained != protocol
        {
            eprintln!("note: {} was trained with the protocol `{trained}`, this uses `{protocol}`", self.network());
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
        let left_out: &[String] = match &self.kind {
            Kind::Segmenter(record) => &record.left_out,
            _ => &[],
        };
        let seen = patients.iter().find(|patient| self.step > 0 && !left_out.contains(patient));
        let refused = |patient: &String| CheckpointError::Seen { path: dir.to_owned(), patient: patient.clone() };
        seen.map(refused).map_or(Ok(()), Err)
    }

    /// What the checkpoint of a segmenter in the folder `dir` says; refuses one of anything else.
    pub fn segmenter(&self, dir: &Path) -> Result<&SegmenterRecord, CheckpointError> {
        match &self.kind {
            Kind::Segmenter(record) => Ok(record),
            _ => Err(self.other_network(dir, &Arch::ALL.map(Arch::name))),
        }
    }

    /// What the checkpoint of a classifier in the folder `dir` says; refuses one of anything else.
    pub fn classifier(&self, dir: &Path) -> Result<&ClassifierRecord, CheckpointError> {
        match &self.kind {
            Kind::Classifier(record) => Ok(record),
            _ => Err(self.other_network(dir, &Depth::ALL.map(Depth::name))),
        }
    }

    /// What the checkpoint of a slice policy in the folder `dir` says; refuses one of anything else.
    pub fn slice_policy(&self, dir: &Path) -> Result<&SlicePolicyRecord, CheckpointError> {
        match &self.kind {
            Kind::SlicePolicy(record) => Ok(record),
            _ => Err(self.other_network(dir, &[SLICE_POLICY])),
        }
    }

    /// What the checkpoint of a line policy in the folder `dir` says, of one of the networks `names`; refuses one of anything else.
    pub fn line_policy(&self, dir: &Path, names: &[&str]) -> Result<&LinePolicyRecord, CheckpointError> {
        match &self.kind {
            Kind::LinePolicy(record) if names.contains(&record.network.as_str()) => Ok(record),
            _ => Err(self.other_network(dir, names)),
        }
    }

    /// Whether `other` is of a network of the same kind, for images of the same kind.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let images = |meta: &Self| (meta.height, meta.width, meta.reconstruction, meta.axis_codes);
        self.kind.is_alike(&other.kind) && images(self) == images(other)
    }

    /// The refusal of what is not of one of the networks `expected`.
    fn other_network(&self, dir: &Path, expected: &[&str]) -> CheckpointError {
        let (path, found) = (dir.to_owned(), self.network().to_owned());
        CheckpointError::Network { path, found, expected: expected.join("` or `") }
    }
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
    use crate::mri::Measuring;
    use serde_json::json;

    fn slice_policy() -> Meta {
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        Meta::imported(Kind::SlicePolicy(record), [8, 8], "phantom".into())
    }

    #[test]
    fn the_best_score_is_forgotten_where_another_counts() {
        let patience = Patience { best: Some(0.5), waited: 2 };
        let progress =
            Progress { plateau: Plateau { patience, falls: 1 }, stopping: patience, averaged: 3, overflows: 0 };
        let scoring = Scoring::new(&Measuring::default(), &[6, 8]);
        let resumed = |new: Option<Scoring>| {
            let meta = |scoring| Meta { scoring, ..slice_policy() };
            let old = Meta { best: Some(0.5), progress, ..meta(Some(scoring.clone())) };
            old.resume(Path::new("run/last"), meta(new)).unwrap()
        };
        let kept = resumed(Some(scoring.clone()));
        assert_eq!((kept.best, kept.progress), (Some(0.5), progress));
        for other in [Some(Scoring { seed: 2, ..scoring.clone() }), None] {
            let new = resumed(other.clone());
            let none = Patience::default();
            let begun =
                Progress { plateau: Plateau { patience: none, falls: 1 }, stopping: none, averaged: 3, overflows: 0 };
            assert_eq!((new.best, new.progress, &new.scoring), (None, begun, &other));
        }
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
