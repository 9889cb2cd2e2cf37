//! Whether what a checkpoint says and holds can be worked with: numbers that somebody changed, weights that are none.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{FloatDType, Tensor};
use serde_json::Value;

use super::error::CheckpointError;
use crate::net::segmenter::{MOST_CHANNELS, MOST_CLASSES, MOST_WIDTH};

/// The longest side of an image that a network may be for.
const MOST_PIXELS: u64 = 1024;

/// More steps than any run makes.
const MOST_STEPS: u64 = 1_000_000_000_000;

/// The most names of labels.
const MOST_LABELS: usize = 256;

/// The numbers of a description that decide how much memory a network takes, or are counted on: where they are, and what they may be.
const NUMBERS: [(&str, u64, u64); 9] = [
    ("segmenter.width", 1, MOST_WIDTH as u64),
    ("segmenter.classes", 1, MOST_CLASSES as u64),
    ("segmenter.channels", 1, MOST_CHANNELS as u64),
    ("height", 1, MOST_PIXELS),
    ("width", 1, MOST_PIXELS),
    ("step", 0, MOST_STEPS),
    ("progress.averaged", 0, MOST_STEPS),
    ("progress.plateau.falls", 0, MOST_STEPS),
    ("progress.stopping.waited", 0, MOST_STEPS),
];

/// Refuses a description with a number that no checkpoint has.
pub(super) fn check_description(file: &Path, description: &Value) -> Result<(), CheckpointError> {
    let refuse = |key: &str, got: String, expected: String| {
        Err(CheckpointError::Number { path: file.to_owned(), key: key.to_owned(), got, expected })
    };
    for (key, least, most) in NUMBERS {
        let found =
            key.split('.').try_fold(description, |value, part| value.get(part)).filter(|value| !value.is_null());
        if let Some(number) = found
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
    let lines = description.get("width").and_then(Value::as_u64).unwrap_or(0);
    let order = description.get("line_order").and_then(Value::as_array);
    for line in order.into_iter().flatten() {
        if line.as_u64().is_none_or(|line| line >= lines) {
            return refuse("line_order", line.to_string(), format!("lines from 0 to {}", lines.saturating_sub(1)));
        }
    }
    for key in ["seconds", "score", "best"] {
        // What is no number at all is said by who reads the description.
        if let Some(number) = description.get(key).and_then(Value::as_f64).filter(|number| number.abs() > 1e12) {
            return refuse(key, number.to_string(), "a number of ordinary size".into());
        }
    }
    Ok(())
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

    use super::*;

    fn description() -> Value {
        json!({
            "segmenter": { "arch": "unet", "width": 8, "classes": 4, "channels": 1 },
            "height": 64, "width": 32, "step": 3, "line_order": [0, 31], "labels": [],
            "progress": { "averaged": 0, "plateau": { "falls": 1 }, "stopping": { "waited": 0, "best": null } },
            "score": null, "best": 0.5, "seconds": 2.0
        })
    }

    #[test]
    fn every_number_of_a_description_has_a_range() {
        let file = Path::new("checkpoint.json");
        check_description(file, &description()).unwrap();
        check_description(file, &json!({ "segmenter": null, "height": 64, "width": 32 })).unwrap();
        for (key, least, _) in NUMBERS {
            let pointer = format!("/{}", key.replace('.', "/"));
            let wild = [
                json!(-1),
                json!(0.5),
                json!(1u64 << 41),
                json!(1u64 << 63),
                json!(u64::MAX),
                json!(1e300),
                json!("8"),
            ];
            for value in wild.into_iter().chain((least > 0).then_some(json!(0))) {
                let mut description = description();
                *description.pointer_mut(&pointer).unwrap() = value.clone();
                let error = check_description(file, &description).unwrap_err().to_string();
                assert!(error.contains(key) && error.contains("checkpoint.json"), "{value}: {error}");
            }
        }
        for (key, value) in [("line_order", json!([32])), ("best", json!(1e300)), ("labels", json!(vec!["a"; 257]))] {
            let mut description = description();
            description[key] = value;
            assert!(check_description(file, &description).unwrap_err().to_string().contains(key));
        }
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
