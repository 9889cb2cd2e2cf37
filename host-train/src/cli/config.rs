//! `--config` and `--set`: a file, or one of the configurations that are built in.

use std::path::Path;

use crate::config::{Config, ConfigError, Given, knows};
use crate::rl::PolicyConfig;
use crate::rl::volume::VolumeConfig;
use crate::train::{ClassifierConfig, SegmenterConfig};

/// What comes before the name of a built-in configuration where no file is meant.
pub const BUILT_IN: &str = "built-in:";

/// Files of `configs/` with their names.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!(env!("KSCOUT_CONFIGS"), "/", $name)))),+]
    };
}

/// All of them, as they were when this program was built.
const FILES: &[(&str, &str)] = built_in![
    "classifier.toml",
    "demo-segmenter.toml",
    "demo-slices.toml",
    "demo-tune.toml",
    "igs-tune.toml",
    "igs.toml",
    "line-policy.toml",
    "segmenter.toml",
    "short.toml",
    "slice-policy.toml",
    "tune.toml",
    "unet.toml",
    "unetpp.toml",
    "unext.toml",
];

/// Names that built-in configurations once had, and those that they have now; all without `.toml`.
const RENAMED: [(&str, &str); 4] = [
    ("demo-reward", "demo-segmenter"),
    ("policy", "line-policy"),
    ("reward", "segmenter"),
    ("volume-policy", "slice-policy"),
];

/// The text of the built-in configuration `name`, which may stand in `configs/` and go without `.toml`.
pub fn built_in(name: &str) -> Option<(&'static str, &'static str)> {
    let name = plain(name);
    FILES.iter().copied().find(|(file, _)| file.strip_suffix(".toml") == Some(name))
}

/// The name of a built-in configuration without what may stand before and behind it.
fn plain(name: &str) -> &str {
    let name = name.strip_prefix(BUILT_IN).unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    let name = name.strip_prefix("configs/").unwrap_or(name);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// Where `--config` finds its keys.
enum Source<'a> {
    File(&'a Path),
    BuiltIn { file: &'static str, text: &'static str },
}

impl<'a> Source<'a> {
    /// What --config means: a file, or else the built-in configuration of that name.
    fn of(path: &'a Path) -> Result<Self, ConfigError> {
        let name = path.to_str().unwrap_or_default();
        if path.exists() && !name.starts_with(BUILT_IN) {
            return Ok(Self::File(path));
        }
        if let Some((file, text)) = built_in(name) {
            return Ok(Self::BuiltIn { file, text });
        }
        let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == plain(name)) else { return Ok(Self::File(path)) };
        Err(ConfigError::Renamed {
            place: format!("--config {name}"),
            old: "the built-in configuration of that name".into(),
            new: format!("{new}.toml"),
        })
    }
}

/// What `--config` and `--set` give. A name that no file has may be that of a built-in configuration.
///
/// # Errors
/// What cannot be read, or is not TOML; the old name of a built-in configuration.
pub fn given(config: Option<&Path>, set: &[String]) -> Result<Given, ConfigError> {
    let mut given = match config.map(Source::of).transpose()? {
        None => Given::default(),
        Some(Source::File(path)) => Given::read(Some(path), &[]).map_err(with_names)?,
        Some(Source::BuiltIn { file, text }) => Given::parse(&format!("built-in config {file}"), text)?,
    };
    given.set(set)?;
    Ok(given)
}

/// Says on standard error that a built-in configuration is taken where a file could have been meant: not of a mere name, such as
/// `segmenter`.
pub fn note_built_in(config: Option<&Path>) {
    let Some(path) = config else { return };
    let name = path.to_str().unwrap_or_default();
    if let Ok(Source::BuiltIn { file, .. }) = Source::of(path)
        && !name.starts_with(BUILT_IN)
        && name != plain(name)
    {
        eprintln!("note: --config {name}: the built-in configuration {file}; a file of this name would go first");
    }
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

impl Task {
    /// That of the configuration `C`, whose keys are in `file`.
    const fn of<C: Config>(file: &'static str) -> Self {
        Self { command: C::COMMAND, file, knows: knows::<C> }
    }
}

const TASKS: [Task; 4] = [
    Task::of::<SegmenterConfig>("segmenter.toml"),
    Task::of::<PolicyConfig>("line-policy.toml"),
    Task::of::<VolumeConfig>("slice-policy.toml"),
    Task::of::<ClassifierConfig>("classifier.toml"),
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
    Some(format!("the keys of `{}`, as in configs/{}", task.command, task.file))
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
        for name in ["unet.toml", "unet", "configs/unet.toml", "./configs/unet.toml", "built-in:unet"] {
            assert_eq!(built_in(name).unwrap().0, "unet.toml", "{name}");
        }
        assert!(built_in("runs/unet.toml").is_none(), "another folder's");
        let error = given(Some(Path::new("runs/unet.toml")), &[]).unwrap_err().to_string();
        assert!(error.contains("runs/unet.toml") && error.contains("built in are classifier.toml, "), "{error}");
    }

    #[test]
    fn the_old_name_of_a_built_in_configuration_is_refused_with_the_new_one() {
        for (old, new) in RENAMED {
            assert!(built_in(new).is_some() && built_in(old).is_none());
            for name in
                [format!("{old}.toml"), old.to_owned(), format!("configs/{old}.toml"), format!("built-in:{old}")]
            {
                let error = given(Some(Path::new(&name)), &[]).unwrap_err().to_string();
                let expected =
                    format!("--config {name}: the built-in configuration of that name is called {new}.toml now");
                assert_eq!(error, expected);
            }
        }
        let error = given(Some(Path::new("runs/segmenter.toml")), &[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "another folder's: {error}");
    }

    #[test]
    fn an_old_key_is_refused_with_the_new_name() {
        let message = refused::<SegmenterConfig>(&["masks.given=0.5"]);
        assert_eq!(message, "--set masks.given=0.5: the key `masks.given` is called `masks.recorded` now");
        let message = refused::<ClassifierConfig>(&["masks.given=0.5"]);
        assert!(message.ends_with("is called `masks.recorded` now"), "{message}");
    }

    #[test]
    fn a_key_that_once_chose_the_task_is_accepted_where_it_agrees_and_refused_elsewhere() {
        let accepted = |text: &str| Given::parse("config task.toml", text).unwrap();
        let steps = load::<ClassifierConfig>(&accepted("kind = \"classification\"\nsteps = 7")).unwrap().steps;
        let copies = load::<VolumeConfig>(&accepted("budget = \"volume\"\ncopies = 3")).unwrap().copies;
        assert_eq!((steps, copies), (7, 3));
        assert_eq!(
            refused::<SegmenterConfig>(&["kind=classification", "dropout=0.1"]),
            "--set kind=classification: `kind` = \"classification\" is for `kscout train classifier`, not for `kscout train \
             segmenter`"
        );
        let message = refused::<PolicyConfig>(&["budget=volume"]);
        assert!(
            message.contains("is for `kscout train slice-policy`, not for `kscout train line-policy`"),
            "{message}"
        );
        let message = refused::<VolumeConfig>(&["budget=slice"]);
        assert!(message.contains("`budget` can only be \"volume\""), "{message}");
    }

    #[test]
    fn keys_that_several_tasks_share_stand_among_their_own() {
        let says = |message: String, words: &str| assert!(message.contains(words), "{message}");
        let config = load::<PolicyConfig>(&given(None, &["clip=0.1".into(), "seed=7".into()]).unwrap()).unwrap();
        assert_eq!((config.ppo.clip, config.measuring.seed), (0.1, 7));
        says(refused::<PolicyConfig>(&["gae_lamda=1"]), "did you mean `gae_lambda`?");
        says(refused::<VolumeConfig>(&["protocl=igs"]), "did you mean `protocol`?");
        says(refused::<PolicyConfig>(&["ppo.clip=0.1"]), "unknown key `ppo`");
        says(refused::<SegmenterConfig>(&["measuring.seed=1"]), "unknown key `measuring`");
        says(refused::<VolumeConfig>(&["episodes=0"]), "`episodes` must be a whole number from 1 to 4096, not 0");
        for message in [
            refused::<SegmenterConfig>(&["protocol=mri"]),
            refused::<ClassifierConfig>(&["protocol=mri"]),
            refused::<PolicyConfig>(&["protocol=mri"]),
            refused::<VolumeConfig>(&["protocol=mri"]),
        ] {
            says(
                message,
                "--set protocol=mri: `protocol` has no such value: `mri` is no protocol; expected scanner or igs",
            );
        }
    }

    #[test]
    fn a_key_of_another_task_is_named_as_such() {
        let says = |message: String, words: &str| assert!(message.contains(words), "{message}");
        says(
            refused::<SegmenterConfig>(&["episodes=3", "clip=0.1"]),
            "unknown key `episodes`, which is one of the keys of `kscout train line-policy`, as in configs/line-policy.toml",
        );
        says(refused::<SegmenterConfig>(&["copies=3"]), "`kscout train slice-policy`, as in configs/slice-policy.toml");
        says(refused::<SegmenterConfig>(&["dropout=0.1"]), "`kscout train classifier`, as in configs/classifier.toml");
        says(refused::<PolicyConfig>(&["accumulate=2"]), "`kscout train segmenter`, as in configs/segmenter.toml");
        says(
            refused::<VolumeConfig>(&["budget=volume", "max_minutes=2"]),
            "unknown key `max_minutes`, which is one of",
        );
        says(
            refused::<VolumeConfig>(&["reward.lambda1=2"]),
            "`kscout train line-policy`, as in configs/line-policy.toml",
        );
        says(refused::<SegmenterConfig>(&["batch=0", "copies=3"]), "`kscout train slice-policy`");
        says(refused::<PolicyConfig>(&["augment.flip.prob=1"]), "did you mean `augment.flip.probability`?");
        for (file, refuses) in [
            ("line-policy.toml", refused_file::<SegmenterConfig> as fn(&str) -> String),
            ("segmenter.toml", refused_file::<PolicyConfig>),
            ("classifier.toml", refused_file::<PolicyConfig>),
            ("slice-policy.toml", refused_file::<SegmenterConfig>),
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
