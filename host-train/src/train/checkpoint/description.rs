//! The description of a checkpoint as a file: JSON that says its format.
//!
//! | format | |
//! |---|---|
//! | 1 | no key `format`; keys of all kinds side by side, and what is left out has a default: [`format1`](super::format1) |
//! | 2 | `format` and `kind`; every key of the kind is there, and no other |

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::{CheckpointError, io_error};
use super::format1::Format1;
use super::meta::Meta;
use super::{FORMAT, META, WEIGHTS, sound};

/// Keys below which a description may say anything.
const FREE: [&str; 2] = ["config", "files"];

#[derive(Serialize)]
struct Described<'a> {
    format: u64,
    #[serde(flatten)]
    meta: &'a Meta,
}

fn value(meta: &Meta) -> Value {
    serde_json::to_value(Described { format: FORMAT, meta }).expect("a description serialises")
}

/// Writes the description of the checkpoint `dir` into the folder `new`.
pub(super) fn describe(new: &Path, dir: &Path, meta: &Meta) -> Result<(), CheckpointError> {
    let text = serde_json::to_string_pretty(&Described { format: FORMAT, meta }).expect("a description serialises");
    fs::write(new.join(META), text).map_err(io_error(&dir.join(META)))
}

/// Writes the description of the checkpoint `from` into the folder `new`, which becomes `to`, in the format that it has, and only of
/// the weights.
pub(super) fn copy_for_use(from: &Path, new: &Path, to: &Path) -> Result<(), CheckpointError> {
    let file = from.join(META);
    let text = fs::read_to_string(&file).map_err(io_error(&file))?;
    read(&file, &text)?;
    let refused = |error: serde_json::Error| CheckpointError::Meta { path: file.clone(), message: error.to_string() };
    let mut description: Value = serde_json::from_str(&text).map_err(refused)?;
    if let Some(files) = description.get_mut("files").and_then(Value::as_object_mut) {
        files.retain(|name, _| name == WEIGHTS);
    }
    let text = serde_json::to_string_pretty(&description).expect("a description serialises");
    fs::write(new.join(META), text).map_err(io_error(&to.join(META)))
}

/// What the checkpoint folder `dir` says of itself.
pub(super) fn describes(dir: &Path) -> Result<Meta, CheckpointError> {
    let file = dir.join(META);
    let text = fs::read_to_string(&file).map_err(io_error(&file))?;
    read(&file, &text)
}

fn read(file: &Path, text: &str) -> Result<Meta, CheckpointError> {
    let refused =
        |error: serde_json::Error| CheckpointError::Meta { path: file.to_owned(), message: error.to_string() };
    let description: Value = serde_json::from_str(text).map_err(refused)?;
    match description.get("format") {
        None => {
            sound::check_description(file, &description)?;
            Ok(serde_json::from_value::<Format1>(description).map_err(refused)?.into())
        }
        Some(format) if format.as_u64() == Some(FORMAT) => {
            sound::check_description(file, &description)?;
            let meta: Meta = serde_json::from_value(description.clone()).map_err(refused)?;
            expect_same_keys(file, "", &description, &value(&meta))?;
            let missing = match (&meta.weights_hash, meta.files.contains_key(WEIGHTS)) {
                (None, _) => "weights_hash".to_owned(),
                (_, false) => format!("files.{WEIGHTS}"),
                _ => return Ok(meta),
            };
            Err(CheckpointError::NoKey { path: file.to_owned(), key: missing })
        }
        Some(format) => Err(CheckpointError::Format { path: file.to_owned(), found: format.to_string() }),
    }
}

/// Refuses a description `found` that has other keys than `written`, which says the same as this version writes it.
fn expect_same_keys(file: &Path, at: &str, found: &Value, written: &Value) -> Result<(), CheckpointError> {
    let (path, below) =
        (|| file.to_owned(), |name: &str| if at.is_empty() { name.into() } else { format!("{at}.{name}") });
    match (found, written) {
        (Value::Object(found), Value::Object(written)) => {
            if let Some(key) = found.keys().find(|key| !written.contains_key(*key)) {
                return Err(CheckpointError::UnknownKey { path: path(), key: below(key) });
            }
            for (key, written) in written {
                let Some(found) = found.get(key) else {
                    return Err(CheckpointError::NoKey { path: path(), key: below(key) });
                };
                if !(at.is_empty() && FREE.contains(&key.as_str())) {
                    expect_same_keys(file, &below(key), found, written)?;
                }
            }
            Ok(())
        }
        (Value::Array(found), Value::Array(written)) => {
            found.iter().zip(written).try_for_each(|(found, written)| expect_same_keys(file, at, found, written))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kscout_core::kspace::Reconstruction;
    use serde_json::json;

    use super::super::{
        ClassifierRecord, Gain, HeldOut, Input, Kind, LinePolicyRecord, Progress, Scoring, SegmenterRecord,
        SlicePolicyRecord, Standing, WeightsHash,
    };
    use super::*;
    use crate::mri::Measuring;
    use crate::net::resnet::Depth;
    use crate::net::{Arch, FixedOrder, SegmenterSpec};
    use crate::train::means::Means;
    use crate::train::patience::Patience;
    use crate::train::schedule::Plateau;

    /// One of each kind, in which nothing is missing.
    fn kinds() -> [Kind; 4] {
        let gain = || Some(Gain { update: 2, measure: "Dice".into(), mean: 0.1, low: 0.05, high: 0.15, patients: 9 });
        let spec = SegmenterSpec { arch: Arch::Unet, width: 8, classes: 4, channels: 1 };
        let (labels, left_out) = (vec!["a".to_owned()], vec!["patient001".to_owned()]);
        let standing = Standing {
            order_score: Some(0.7),
            gain: gain(),
            kept: gain(),
            most: gain(),
            ..Standing::begun(FixedOrder::centre_out(32))
        };
        [
            Kind::Segmenter(SegmenterRecord { spec, trained_heads: vec![1], left_out: left_out.clone() }),
            Kind::Classifier(ClassifierRecord { network: Depth::Resnet18, labels: labels.clone() }),
            Kind::LinePolicy(LinePolicyRecord { network: "scout".into(), labels, standing: Some(standing) }),
            Kind::SlicePolicy(SlicePolicyRecord {
                line_order: vec![0, 31],
                held_out: vec![HeldOut { left_out, crc: u32::MAX }],
            }),
        ]
    }

    fn meta(kind: Kind) -> Meta {
        let patience = Patience { best: Some(0.5), waited: 1 };
        let mut since = Means::default();
        since.add([0.25]);
        // Every field by name: one that is new has to be thought of here.
        Meta {
            kind,
            begun_with: vec![Input { option: "--data".into(), path: "data".into(), crc: u32::MAX }],
            reconstruction: Reconstruction::default(),
            axis_codes: None,
            weights_hash: Some(WeightsHash::of_order(&[1])),
            height: 64,
            width: 32,
            step: 3,
            seconds: 2.0,
            score: Some(0.5),
            best: Some(0.5),
            best_step: Some(2),
            scoring: Some(Scoring::new(&Measuring::default(), &[8])),
            row: "3,0.5".into(),
            since,
            files: [(WEIGHTS.to_owned(), u32::MAX)].into(),
            progress: Progress {
                plateau: Plateau { patience, falls: 1 },
                stopping: patience,
                averaged: 1,
                overflows: 1,
            },
            data: "phantom".into(),
            config: json!({ "steps": 3 }),
        }
    }

    /// The descriptions of one checkpoint of each kind, in which nothing is missing.
    pub(in super::super) fn descriptions() -> [Value; 4] {
        kinds().map(|kind| value(&meta(kind)))
    }

    fn refusal(description: &Value) -> String {
        read(Path::new("checkpoint.json"), &description.to_string()).unwrap_err().to_string()
    }

    /// The keys of all objects in `value` but for those that may say anything.
    fn keys(at: &str, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let key = format!("{at}/{name}");
                    into.push(key.clone());
                    if !(at.is_empty() && FREE.contains(&name.as_str())) {
                        keys(&key, value, into);
                    }
                }
            }
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(i, value)| keys(&format!("{at}/{i}"), value, into));
            }
            _ => {}
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for kind in kinds() {
            let meta = meta(kind);
            let read = read(Path::new("checkpoint.json"), &value(&meta).to_string()).unwrap();
            assert_eq!(read.kind, meta.kind);
            assert_eq!(value(&read), value(&meta));
        }
    }

    #[test]
    fn a_description_without_one_of_its_keys_is_refused_by_it() {
        for description in descriptions() {
            let mut all = Vec::new();
            keys("", &description, &mut all);
            assert!(all.len() > 30, "{all:?}");
            // Without this one it is of format 1.
            for key in all.iter().filter(|key| *key != "/format") {
                let (parent, name) = key.rsplit_once('/').unwrap();
                let mut short = description.clone();
                short.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
                let error = refusal(&short);
                assert!(error.contains(&format!("{name}`")) && error.contains("missing"), "{key}: {error}");
            }
        }
    }

    #[test]
    fn a_key_that_no_checkpoint_has_is_refused() {
        for place in ["", "/progress", "/progress/stopping", "/begun_with/0"] {
            let mut description = descriptions()[0].clone();
            description.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("stpe".into(), json!(1));
            let error = refusal(&description);
            assert!(error.contains("stpe` is no key of a checkpoint's description"), "{place}: {error}");
        }
    }

    #[test]
    fn weights_that_nothing_vouches_for_are_refused() {
        let mut description = descriptions()[0].clone();
        description["weights_hash"] = Value::Null;
        assert!(refusal(&description).contains("`weights_hash` is missing"));
        let mut description = descriptions()[0].clone();
        description["files"] = json!({});
        assert!(refusal(&description).contains("`files.weights.bpk` is missing"));
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        for (format, said) in [(json!(3), "format 3"), (json!("2"), "format \"2\""), (json!(1), "format 1")] {
            let mut description = descriptions()[0].clone();
            description["format"] = format;
            let error = refusal(&description);
            assert!(error.contains(said) && error.contains("reads 1 to 2"), "{error}");
        }
    }
}
