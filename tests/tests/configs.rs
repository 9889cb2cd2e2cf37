//! The files under `configs/` name every key, with its default, and nothing else.

use std::path::{Path, PathBuf};

use kscout::config::{self, Config};
use kscout::mri::Protocol;
use kscout::rl::PolicyConfig;
use kscout::rl::volume::VolumeConfig;
use kscout::train::{ClassifierConfig, SegmenterConfig};
use toml::{Table, Value};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name)
}

/// Loads through the program's own way, then compares each key of the defaults with the file's text.
fn documents_every_key<C: Config>(name: &str) {
    config::load::<C>(Some(&file(name)), &[]).unwrap();
    let given: Table = std::fs::read_to_string(file(name)).unwrap().parse().unwrap();
    let defaults = Table::try_from(C::default()).unwrap();
    compare(name, "", &given, &defaults);
}

fn compare(name: &str, path: &str, given: &Table, defaults: &Table) {
    for (key, default) in defaults {
        let path = format!("{path}{key}");
        match (given.get(key), default) {
            (None, _) => panic!("{name}: `{path}` is not documented"),
            (Some(Value::Table(given)), Value::Table(default)) => compare(name, &format!("{path}."), given, default),
            _ if key == "max_minutes" => {}
            (Some(Value::Float(a)), Value::Float(b)) => {
                assert!((a - b).abs() < 1e-6, "{name}: `{path}` is {a}, not {b}")
            }
            (Some(given), default) => assert_eq!(given, default, "{name}: `{path}`"),
        }
    }
}

#[test]
fn segmenter_toml_documents_every_key() {
    documents_every_key::<SegmenterConfig>("segmenter.toml");
}

#[test]
fn classifier_toml_documents_every_key() {
    documents_every_key::<ClassifierConfig>("classifier.toml");
}

#[test]
fn line_policy_toml_documents_every_key() {
    documents_every_key::<PolicyConfig>("line-policy.toml");
}

#[test]
fn slice_policy_toml_documents_every_key() {
    documents_every_key::<VolumeConfig>("slice-policy.toml");
}

#[test]
fn tune_toml_is_accepted() {
    let tune: SegmenterConfig = config::load(Some(&file("tune.toml")), &[]).unwrap();
    assert!(tune.masks.recorded > 0.5, "most samples are seen through recorded masks");
}

#[test]
fn the_configs_of_the_igs_protocol_are_accepted() {
    let load = |name: &str| config::load::<SegmenterConfig>(Some(&file(name)), &[]).unwrap();
    let (first, tuned) = (load("igs.toml"), load("igs-tune.toml"));
    for config in [&first, &tuned] {
        config.check_values().unwrap();
        assert_eq!((config.measuring.protocol, config.spec()), (Protocol::igs(), first.spec()));
    }
    assert!(tuned.masks.recorded > 0.5, "most samples are seen through recorded masks");
}

#[test]
fn the_demo_configs_are_accepted() {
    let [first, tuned]: [SegmenterConfig; 2] =
        ["demo-segmenter.toml", "demo-tune.toml"].map(|name| config::load(Some(&file(name)), &[]).unwrap());
    for config in [&first, &tuned] {
        config.check_values().unwrap();
        assert!(config.pace.max_minutes > 0.0, "a slow machine is not kept for hours");
    }
    assert_eq!(tuned.spec(), first.spec());
    assert!(tuned.masks.recorded > 0.5, "most samples are seen through recorded masks");
    let policy: VolumeConfig = config::load(Some(&file("demo-slices.toml")), &[]).unwrap();
    assert!(policy.validate_lines.iter().all(|&lines| lines <= policy.max_budget));
}

#[test]
fn the_recipes_of_the_published_projects_are_accepted() {
    for (name, network) in [("unet", "unet"), ("unetpp", "unetpp"), ("unext", "unext")] {
        let config: SegmenterConfig = config::load(Some(&file(&format!("{name}.toml"))), &[]).unwrap();
        config.check_values().unwrap_or_else(|error| panic!("{name}.toml: {error}"));
        assert_eq!(config.network.to_string(), network);
    }
}
