//! Descriptions of format 1, which say no format: what they leave out, and what they call by another name.

use std::collections::BTreeMap;

use kscout_core::kspace::Reconstruction;
use kscout_core::model::AxisCodes;
use serde::Deserialize;
use serde_json::Value;

use super::identity::WeightsHash;
use super::input::Input;
use super::kind::{
    ClassifierRecord, HeldOut, Kind, LinePolicyRecord, SLICE_POLICY, SegmenterRecord, SlicePolicyRecord,
};
use super::meta::{Meta, Progress};
use super::scoring::Scoring;
use super::standing::Standing;
use crate::data::CLASSES;
use crate::net::resnet::Depth;
use crate::net::{Arch, SegmenterSpec};
use crate::objective::ObjectiveWeights;
use crate::train::means::Means;

/// The option of the network that scans are scored by, as it was called.
const FORMER_REWARD_MODEL: &str = "--reward";

/// A description of format 1: keys of every kind side by side, most of which may be left out.
#[derive(Deserialize)]
pub(super) struct Format1 {
    network: String,
    #[serde(default)]
    segmenter: Option<SegmenterSpec>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    line_order: Vec<u16>,
    #[serde(default)]
    begun_with: Vec<Input>,
    #[serde(default)]
    standing: Option<Standing>,
    #[serde(default)]
    left_out: Vec<String>,
    #[serde(default)]
    held_out: Vec<HeldOut>,
    #[serde(default, with = "crate::mri::reconstruction")]
    reconstruction: Reconstruction,
    #[serde(default, with = "crate::data::axes")]
    axis_codes: Option<AxisCodes>,
    #[serde(default)]
    weights_hash: Option<WeightsHash>,
    height: usize,
    width: usize,
    step: usize,
    #[serde(default)]
    seconds: f64,
    score: Option<f64>,
    best: Option<f64>,
    #[serde(default)]
    best_step: Option<usize>,
    #[serde(default)]
    row: String,
    #[serde(default)]
    since: Means,
    #[serde(default)]
    files: BTreeMap<String, u32>,
    #[serde(default)]
    progress: Progress,
    data: String,
    config: Value,
}

impl From<Format1> for Meta {
    fn from(old: Format1) -> Self {
        let scoring = scoring(&old.config);
        let kind = old.kind();
        let mut begun_with = old.begun_with;
        for input in begun_with.iter_mut().filter(|input| input.option == FORMER_REWARD_MODEL) {
            input.option = Input::REWARD_MODEL.to_owned();
        }
        Self {
            kind,
            begun_with,
            reconstruction: old.reconstruction,
            axis_codes: old.axis_codes,
            weights_hash: old.weights_hash,
            height: old.height,
            width: old.width,
            step: old.step,
            seconds: old.seconds,
            score: old.score,
            best: old.best,
            best_step: old.best_step,
            scoring,
            row: old.row,
            since: old.since,
            files: old.files,
            progress: old.progress,
            data: old.data,
            config: old.config,
        }
    }
}

impl Format1 {
    fn kind(&self) -> Kind {
        // Before there were others, checkpoints did not say more than the name.
        let is_first = self.network == Arch::UnextS.name();
        let first = is_first.then(|| SegmenterSpec::published(Arch::UnextS, CLASSES));
        if let Some(spec) = self.segmenter.or(first) {
            let trained_heads = trained_heads(spec, &self.config);
            return Kind::Segmenter(SegmenterRecord { spec, trained_heads, left_out: self.left_out.clone() });
        }
        let labels = self.labels.clone();
        if let Ok(network) = self.network.parse::<Depth>() {
            return Kind::Classifier(ClassifierRecord { network, labels });
        }
        if self.network == SLICE_POLICY {
            let (line_order, held_out) = (self.line_order.clone(), self.held_out.clone());
            return Kind::SlicePolicy(SlicePolicyRecord { line_order, held_out });
        }
        let (network, standing) = (self.network.clone(), self.standing.clone());
        Kind::LinePolicy(LinePolicyRecord { network, labels, standing })
    }
}

/// The heads that `config` let learn; of imported weights, which have no configuration, all.
fn trained_heads(spec: SegmenterSpec, config: &Value) -> Vec<usize> {
    let supervised = config.get("deep_supervision").and_then(Value::as_bool).unwrap_or(true);
    let weights: Option<Vec<f64>> =
        config.get("head_weights").and_then(|weights| serde_json::from_value(weights.clone()).ok());
    SegmenterRecord::heads_that_learn(spec, supervised, &weights.unwrap_or_default())
}

/// What the scores of a run with `config` were made with; `None` where that does not say.
fn scoring(config: &Value) -> Option<Scoring> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    let lines = config.get("validate_lines")?.clone();
    let number = |pointer: &str| config.pointer(pointer).and_then(Value::as_f64);
    let weights = |lambda1, lambda2| ObjectiveWeights { lambda1, lambda2 };
    let objective = match (number("/lambda1"), number("/lambda2"), number("/reward/lambda2")) {
        // A line policy is scored by Dice where that is paid for.
        (_, _, Some(lambda2)) if lambda2 <= 0.0 => ObjectiveWeights::SSIM,
        (Some(lambda1), Some(lambda2), _) => weights(lambda1, lambda2).normalised(),
        (Some(lambda1), None, _) => weights(lambda1, ObjectiveWeights::DICE.lambda2).normalised(),
        _ => ObjectiveWeights::DICE,
    };
    Some(Scoring {
        protocol: text("protocol")?,
        seed: config.get("seed")?.as_u64()?,
        validate_lines: serde_json::from_value(lines).ok()?,
        objective,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A description with the keys that every one of format 1 has, and `more`.
    fn read(network: &str, more: Value) -> Meta {
        let mut description = json!({
            "network": network, "height": 32, "width": 32, "step": 3, "score": null, "best": null, "data": "phantom",
            "config": {},
        });
        description.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<Format1>(description).unwrap().into()
    }

    #[test]
    fn the_kind_is_told_by_the_name_or_the_segmenter() {
        let first = read("unext-s", json!({}));
        let published = SegmenterSpec::published(Arch::UnextS, CLASSES);
        assert_eq!(first.kind, Kind::Segmenter(SegmenterRecord::new(published)));
        let labels = vec!["a".to_owned()];
        let classifier = read("resnet18", json!({ "labels": ["a"] }));
        let record = ClassifierRecord { network: Depth::Resnet18, labels };
        assert_eq!(classifier.kind, Kind::Classifier(record));
        let slices = read("slices", json!({ "line_order": [16, 3] }));
        let record = SlicePolicyRecord { line_order: vec![16, 3], held_out: Vec::new() };
        assert_eq!(slices.kind, Kind::SlicePolicy(record));
        let scout = read("scout", json!({}));
        let record = LinePolicyRecord { network: "scout".into(), labels: Vec::new(), standing: None };
        assert_eq!(scout.kind, Kind::LinePolicy(record));
    }

    #[test]
    fn heads_that_no_loss_was_taken_of_have_not_learned() {
        let spec = json!({ "arch": "unetpp", "width": 8, "classes": 4, "channels": 1 });
        let heads = |config: Value| match read("unetpp", json!({ "segmenter": spec, "config": config })).kind {
            Kind::Segmenter(record) => record.trained_heads,
            other => panic!("{other:?}"),
        };
        assert_eq!(heads(json!({})), [1, 2, 3, 4]);
        assert_eq!(heads(json!({ "deep_supervision": false })), [4]);
        assert_eq!(heads(json!({ "head_weights": [0.0, 1.0, 0.0, 1.0] })), [2, 4]);
    }

    #[test]
    fn what_scores_were_made_with_is_read_from_the_configuration() {
        let objective = |more: Value| {
            let mut config = json!({ "protocol": "igs", "seed": 3, "validate_lines": [6, 8] });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let scoring = read("slices", json!({ "config": config })).scoring.unwrap();
            assert_eq!((scoring.protocol.as_str(), scoring.seed, scoring.validate_lines), ("igs", 3, vec![6, 8]));
            scoring.objective
        };
        assert_eq!(objective(json!({})), ObjectiveWeights::DICE);
        assert_eq!(objective(json!({ "lambda1": 1, "lambda2": 3 })), ObjectiveWeights { lambda1: 0.25, lambda2: 0.75 });
        assert_eq!(objective(json!({ "reward": { "lambda1": 1.0, "lambda2": 0.5 } })), ObjectiveWeights::DICE);
        assert_eq!(objective(json!({ "reward": { "lambda1": 1.0, "lambda2": 0 } })), ObjectiveWeights::SSIM);
        assert!(read("slices", json!({})).scoring.is_none());
    }

    #[test]
    fn the_option_of_the_reward_model_has_its_present_name() {
        let read = read("scout", json!({ "begun_with": [{ "option": "--reward", "path": "r", "crc": 2 }] }));
        assert_eq!(read.begun_with[0].option, "--reward-model");
    }
}
