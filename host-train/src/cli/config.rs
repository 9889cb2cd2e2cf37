//! `--config` and `--set`: a file, or one of the configurations that are built in.

use std::path::Path;

use crate::config::{Config, ConfigError, Given, knows};
use crate::rl::PolicyConfig;
use crate::rl::volume::VolumeConfig;
use crate::train::{ClassifierConfig, RewardConfig};

/// What comes before the name of a built-in configuration where no file is meant.
pub const BUILT_IN: &str = "built-in:";

/// Files of `configs/` with their names.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../configs/", $name)))),+]
    };
}

/// All of them, as they were when this program was built.
const FILES: &[(&str, &str)] = built_in![
    "classifier.toml",
    "demo-reward.toml",
    "demo-slices.toml",
    "demo-tune.toml",
    "igs-tune.toml",
    "igs.toml",
    "policy.toml",
    "reward.toml",
    "short.toml",
    "tune.toml",
    "unet.toml",
    "unetpp.toml",
    "unext.toml",
    "volume-policy.toml",
];

/// The text of the built-in configuration `name`, which may stand in `configs/` and go without `.toml`.
pub fn built_in(name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.strip_prefix(BUILT_IN).unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    let name = name.strip_prefix("configs/").unwrap_or(name);
    FILES.iter().copied().find(|(file, _)| *file == name || file.strip_suffix(".toml") == Some(name))
}

/// What `--config` and `--set` give. A name that no file has may be that of a built-in configuration, which is then said.
///
/// # Errors
/// What cannot be read, or is not TOML.
pub fn given(config: Option<&Path>, set: &[String]) -> Result<Given, ConfigError> {
    let Some(path) = config else { return Given::read(None, set) };
    let name = path.to_str().unwrap_or_default();
    let named = name.starts_with(BUILT_IN);
    let found = if named || !path.exists() { built_in(name) } else { None };
    let Some((file, text)) = found else { return Given::read(Some(path), set).map_err(with_names) };
    if !named {
        eprintln!("note: --config {name}: there is no such file; taking the built-in configuration {file}");
    }
    let mut given = Given::parse(&format!("built-in config {file}"), text)?;
    given.set(set)?;
    Ok(given)
}

/// Says what is built in where a file was not found.
fn with_names(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::Read { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
            let source = std::io::Error::other(format!("{source}; built in are {}", names.join(", ")));
            ConfigError::Read { path, source }
        }
        other => other,
    }
}

/// A command and the keys that it has.
struct Task {
    command: &'static str,
    file: &'static str,
    knows: fn(&str) -> bool,
}

const TASKS: [Task; 4] = [
    Task { command: "`kscout train reward`", file: "reward.toml", knows: knows::<RewardConfig> },
    Task { command: "`kscout train policy`", file: "policy.toml", knows: knows::<PolicyConfig> },
    Task {
        command: "`kscout train policy` with budget = \"volume\"",
        file: "volume-policy.toml",
        knows: knows::<VolumeConfig>,
    },
    Task {
        command: "`kscout train reward` with kind = \"classification\"",
        file: "classifier.toml",
        knows: knows::<ClassifierConfig>,
    },
];

/// The configuration of a task. A key of another task is said to be one.
///
/// # Errors
/// [`ConfigError`] says which key is wrong, and where.
pub fn load<C: Config>(given: &Given) -> Result<C, ConfigError> {
    given.load::<C>().map_err(|error| match error {
        ConfigError::UnknownKey { place, key, nearest, .. } => {
            let task = task_of(&key, &given.keys());
            ConfigError::UnknownKey { place, key, nearest, task }
        }
        other => other,
    })
}

/// Of the tasks that have the key `unknown`, the one that has most of `keys`, in words.
fn task_of(unknown: &str, keys: &[String]) -> Option<String> {
    let known = |task: &&Task| keys.iter().filter(|key| (task.knows)(key)).count();
    let task = TASKS.iter().rev().filter(|task| (task.knows)(unknown)).max_by_key(known)?;
    Some(format!("the keys of {}, as in configs/{}", task.command, task.file))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn refused<C: Config>(set: &[&str]) -> String {
        let set: Vec<String> = set.iter().map(|set| set.to_string()).collect();
        load::<C>(&given(None, &set).unwrap()).err().unwrap_or_else(|| panic!("{set:?} is accepted")).to_string()
    }

    #[test]
    fn every_configuration_of_the_project_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there = there.filter(|name| name.ends_with(".toml")).collect();
        let built_in: BTreeSet<String> = FILES.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(built_in, there);
    }

    #[test]
    fn a_name_that_no_file_has_is_that_of_a_built_in_configuration() {
        for name in ["reward.toml", "reward", "configs/reward.toml", "./configs/reward.toml", "built-in:reward"] {
            assert_eq!(built_in(name).unwrap().0, "reward.toml", "{name}");
        }
        assert!(built_in("runs/reward.toml").is_none(), "another folder's");
        let error = given(Some(Path::new("runs/reward.toml")), &[]).unwrap_err().to_string();
        assert!(error.contains("runs/reward.toml") && error.contains("built in are classifier.toml, "), "{error}");
    }

    #[test]
    fn a_key_of_another_task_is_named_as_such() {
        let says = |message: String, words: &str| assert!(message.contains(words), "{message}");
        says(
            refused::<RewardConfig>(&["episodes=3", "clip=0.1"]),
            "unknown key `episodes`, which is one of the keys of `kscout train policy`, as in configs/policy.toml",
        );
        says(refused::<RewardConfig>(&["copies=3"]), "with budget = \"volume\", as in configs/volume-policy.toml");
        says(
            refused::<RewardConfig>(&["dropout=0.1"]),
            "with kind = \"classification\", as in configs/classifier.toml",
        );
        says(refused::<PolicyConfig>(&["accumulate=2"]), "`kscout train reward`, as in configs/reward.toml");
        says(
            refused::<VolumeConfig>(&["budget=volume", "max_minutes=2"]),
            "unknown key `max_minutes`, which is one of",
        );
        says(refused::<VolumeConfig>(&["reward.lambda1=2"]), "`kscout train policy`, as in configs/policy.toml");
        says(refused::<RewardConfig>(&["batch=0", "copies=3"]), "`kscout train policy` with budget = \"volume\"");
        says(refused::<PolicyConfig>(&["augment.flip.prob=1"]), "did you mean `augment.flip.probability`?");
        for (file, refuses) in [
            ("policy.toml", refused_file::<RewardConfig> as fn(&str) -> String),
            ("reward.toml", refused_file::<PolicyConfig>),
            ("classifier.toml", refused_file::<PolicyConfig>),
            ("volume-policy.toml", refused_file::<RewardConfig>),
        ] {
            let message = refuses(file);
            says(message.clone(), &format!("as in configs/{file}"));
            says(message, &format!("built-in config {file}, line "));
        }
    }

    fn refused_file<C: Config>(name: &str) -> String {
        let given = given(Some(Path::new(&format!("{BUILT_IN}{name}"))), &[]).unwrap();
        load::<C>(&given).err().expect("another task's").to_string()
    }
}
