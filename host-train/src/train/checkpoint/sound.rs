//! Whether what a checkpoint says and holds can be worked with: numbers that somebody changed, weights that are none.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{FloatDType, Tensor};
use serde_json::Value;

use super::error::CheckpointError;
use crate::data::MOST_LABELS;
use crate::net::segmenters::{MOST_CHANNELS, MOST_CLASSES, MOST_WIDTH};

/// The longest side of an image that a network may be for.
const MOST_PIXELS: u64 = 1024;

/// More steps than any run makes.
const MOST_STEPS: u64 = 1_000_000_000_000;

/// The whole numbers of a description that decide how much memory a network takes, or are counted on: where they are, and what
/// they may be. Lists of lines have checks of their own, and checksums are any number.
const NUMBERS: [(&str, u64, u64); 19] = [
    ("segmenter.width", 1, MOST_WIDTH as u64),
    ("segmenter.classes", 1, MOST_CLASSES as u64),
    ("segmenter.channels", 1, MOST_CHANNELS as u64),
    ("height", 1, MOST_PIXELS),
    ("width", 1, MOST_PIXELS),
    ("step", 0, MOST_STEPS),
    ("best_step", 0, MOST_STEPS),
    ("since.count", 0, MOST_STEPS),
    ("progress.averaged", 0, MOST_STEPS),
    ("progress.overflows", 0, MOST_STEPS),
    ("progress.plateau.falls", 0, MOST_STEPS),
    ("progress.plateau.patience.waited", 0, MOST_STEPS),
    ("progress.stopping.waited", 0, MOST_STEPS),
    ("standing.gain.update", 0, MOST_STEPS),
    ("standing.gain.patients", 0, MOST_STEPS),
    ("standing.kept.update", 0, MOST_STEPS),
    ("standing.kept.patients", 0, MOST_STEPS),
    ("standing.most.update", 0, MOST_STEPS),
    ("standing.most.patients", 0, MOST_STEPS),
];

/// The times, scores and differences of scores.
const SCORES: [&str; 17] = [
    "seconds",
    "score",
    "best",
    "scoring.objective.lambda1",
    "scoring.objective.lambda2",
    "progress.plateau.patience.best",
    "progress.stopping.best",
    "standing.order_score",
    "standing.gain.mean",
    "standing.gain.low",
    "standing.gain.high",
    "standing.kept.mean",
    "standing.kept.low",
    "standing.kept.high",
    "standing.most.mean",
    "standing.most.low",
    "standing.most.high",
];

/// More than any of them.
const MOST_SCORE: f64 = 1e12;

/// Refuses a description with a number that no checkpoint has.
pub(super) fn check_description(file: &Path, description: &Value) -> Result<(), CheckpointError> {
    let refuse = |key: &str, got: String, expected: String| {
        Err(CheckpointError::Number { path: file.to_owned(), key: key.to_owned(), got, expected })
    };
    for (key, least, most) in NUMBERS {
        if let Some(number) = at(description, key).filter(|value| !value.is_null())
            && !number.as_u64().is_some_and(|number| (least..=most).contains(&number))
        {
            return refuse(key, number.to_string(), format!("a whole number from {least} to {most}"));
        }
    }
    if let Some(labels) =
        description.get("labels").and_then(Value::as_array).filter(|labels| labels.len() > MOST_LABELS)
    {
        return refuse("labels", format!("{} names", labels.len()), format!("at most {MOST_LABELS}"));
    }
    let order = description.get("line_order").and_then(Value::as_array);
    if let (Some(order), Some(lines)) = (order, description.get("width").and_then(Value::as_u64))
        && let Some(line) = order.iter().find(|line| line.as_u64().is_none_or(|line| line >= lines))
    {
        return refuse("line_order", line.to_string(), format!("lines from 0 to {}", lines.saturating_sub(1)));
    }
    for key in SCORES {
        // What is no number at all is said by who reads the description.
        if let Some(number) = at(description, key).and_then(Value::as_f64).filter(|number| number.abs() > MOST_SCORE) {
            return refuse(key, number.to_string(), "a number of ordinary size".into());
        }
    }
    Ok(())
}

/// What is at `key` of a description, whose parts dots separate.
fn at<'v>(description: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(description, |value, part| value.get(part))
}

/// Refuses weights that no network can run with: some that are no numbers, and negative variances.
pub(super) fn check_weights(file: &Path, module: &impl Module) -> Result<(), CheckpointError> {
    let mut search = Search { path: Vec::new(), found: None };
    module.visit(&mut search);
    match search.found {
        Some((name, value)) => Err(CheckpointError::NoNumbers { path: file.to_owned(), name, value }),
        None => Ok(()),
    }
}

/// Looks for the first bad weight.
struct Search {
    path: Vec<String>,
    found: Option<(String, f32)>,
}

impl ModuleVisitor for Search {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(if container.starts_with("Enum:") { String::new() } else { name.to_owned() });
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_some() {
            return;
        }
        let values = param.val().cast(FloatDType::F32).into_data().try_into_vec::<f32>().unwrap_or_default();
        let is_variance = self.path.last().is_some_and(|name| name == "running_var");
        let bad = values.into_iter().find(|value| !value.is_finite() || (is_variance && *value < 0.0));
        if let Some(value) = bad {
            let fields = self.path.iter().map(String::as_str).filter(|field| !field.is_empty());
            self.found = Some((fields.collect::<Vec<_>>().join("."), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::RunningState;
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::Device;
    use serde_json::json;

    use super::super::description::tests::descriptions;
    use super::*;

    /// The keys of all numbers in `value`, those of a list by the list's.
    fn keys_of_numbers(key: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Number(_) => into.push(key.to_owned()),
            Value::Array(values) => values.iter().for_each(|value| keys_of_numbers(key, value, into)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    keys_of_numbers(&key, value, into);
                }
            }
            _ => {}
        }
    }

    #[track_caller]
    fn refuses(key: &str, value: Value) {
        let pointer = format!("/{}", key.replace('.', "/"));
        let with_key = descriptions().into_iter().filter(|description| description.pointer(&pointer).is_some());
        assert!(with_key.clone().count() > 0, "no description has `{key}`");
        for mut description in with_key {
            *description.pointer_mut(&pointer).unwrap() = value.clone();
            let error = check_description(Path::new("checkpoint.json"), &description).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")) && error.contains("checkpoint.json"), "{value}: {error}");
        }
    }

    #[test]
    fn every_number_of_a_description_has_a_range_or_a_reason_to_have_none() {
        // Lists with checks of their own, checksums, seeds, and the configuration, which has other rules.
        let others = [
            "format",
            "trained_heads",
            "line_order",
            "standing.order.lines",
            "held_out.crc",
            "begun_with.crc",
            "scoring.seed",
            "scoring.validate_lines",
            "files.",
            "config.",
        ];
        let mut found = Vec::new();
        descriptions().iter().for_each(|description| keys_of_numbers("", description, &mut found));
        for key in &found {
            let known = NUMBERS.iter().any(|(known, ..)| known == key) || SCORES.contains(&key.as_str());
            assert!(known || others.iter().any(|other| key.starts_with(other)), "`{key}` may be any number");
        }
        for key in NUMBERS.iter().map(|(key, ..)| *key).chain(SCORES) {
            assert!(found.iter().any(|found| found == key), "no description has `{key}`");
        }
    }

    #[test]
    fn numbers_beyond_their_ranges_are_refused_by_key() {
        let file = Path::new("checkpoint.json");
        descriptions().iter().for_each(|description| check_description(file, description).unwrap());
        check_description(file, &json!({ "segmenter": null, "height": 64, "width": 32 })).unwrap();
        for (key, least, _) in NUMBERS {
            let wild = [
                json!(-1),
                json!(0.5),
                json!(1u64 << 41),
                json!(1u64 << 63),
                json!(u64::MAX),
                json!(1e300),
                json!("8"),
            ];
            wild.into_iter().chain((least > 0).then_some(json!(0))).for_each(|value| refuses(key, value));
        }
        for key in SCORES {
            [json!(1e300), json!(-1e300)].into_iter().for_each(|value| refuses(key, value));
        }
        refuses("line_order", json!([32]));
        refuses("labels", json!(vec!["a"; 257]));
    }

    #[derive(Module, Debug)]
    struct Norms {
        first: BatchNorm,
        more: Vec<BatchNorm>,
    }

    #[test]
    fn the_first_bad_weight_is_named() {
        let (device, file) = (Device::flex(), Path::new("weights.bpk"));
        let norm = || BatchNormConfig::new(2).init(&device);
        let of = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
        let mut norms = Norms { first: norm(), more: vec![norm()] };
        check_weights(file, &norms).unwrap();
        norms.more[0].running_var = RunningState::new(of([1.0, -0.5]));
        let error = check_weights(file, &norms).unwrap_err().to_string();
        assert!(error.contains("`more.0.running_var` holds -0.5"), "{error}");
        norms.first.gamma = Param::from_tensor(of([f32::NAN, 1.0]));
        let error = check_weights(file, &norms).unwrap_err().to_string();
        assert!(error.contains("`first.gamma` holds NaN"), "{error}");
    }
}
