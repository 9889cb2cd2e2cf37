//! Task configurations: TOML files with documented keys, `--set key=value` on top; unknown keys and values outside their
//! sense refused, by the key's name and with its line.
//!
//! A task is a [`Config`]: a struct with defaults, which tell names and types, and a list of [`Key`]s, which tell what each
//! number may be. [`Given`] is what a person gives. [`check`] refuses a configuration that was made in code as well.

pub mod checks;
mod error;
mod given;
pub mod key;
mod nearest;
mod renamed;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

pub use error::{ConfigError, shown};
pub use given::Given;
pub use key::{Key, Refusal};

/// The configuration of a task.
pub trait Config: Serialize + DeserializeOwned + Default {
    /// The command that takes it, such as `kscout train segmenter`.
    const COMMAND: &'static str;

    /// What its numbers may be: each of them, by its whole name.
    fn keys() -> Vec<Key>;

    /// Refuses values that do not go together, each of them being in its range.
    ///
    /// # Errors
    /// The key, and what was expected.
    fn check_together(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// The configuration `C`: its defaults, then the file's keys, then the `key=value` assignments.
///
/// # Errors
/// [`ConfigError`] says which key is wrong, and where.
pub fn load<C: Config>(file: Option<&Path>, assignments: &[String]) -> Result<C, ConfigError> {
    Given::read(file, assignments)?.load()
}

/// Refuses values that cannot work, whatever the data are.
///
/// # Errors
/// The key, and what was expected.
pub fn check<C: Config>(config: &C) -> Result<(), Refusal> {
    // Numbers that TOML cannot write are larger than any range.
    let table = Table::try_from(config).map_err(|error| ("configuration", error.to_string()))?;
    for key in C::keys() {
        let value = key::find(&table, key.name).ok_or_else(|| (key.name, "is missing".to_owned()))?;
        key.check(value).map_err(|expected| (key.name, format!("{expected}, not {value}")))?;
    }
    config.check_together()
}

/// Whether the task has the key `name`, sections and their keys by the whole name.
pub fn knows<C: Config>(name: &str) -> bool {
    key::find(&given::defaults::<C>(), name).is_some()
}

/// The keys of the task that are numbers, or lists of numbers, in its defaults: each must be among [`Config::keys`].
pub fn numbers_of<C: Config>() -> Vec<String> {
    let is_number = |value: &toml::Value| value.is_integer() || value.is_float();
    let keys = given::keys_of(&given::defaults::<C>()).into_iter();
    let numbers =
        keys.filter(|(_, value)| is_number(value) || value.as_array().is_some_and(|list| list.iter().all(is_number)));
    numbers.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Task {
        steps: usize,
        learning_rate: f64,
        name: String,
        way: Way,
        quick: bool,
        augment: Augment,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Way {
        Up,
        Down,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Augment {
        rotate_degrees: f64,
    }

    impl Default for Task {
        fn default() -> Self {
            Self {
                steps: 10,
                learning_rate: 0.5,
                name: "a".into(),
                way: Way::Up,
                quick: false,
                augment: Augment { rotate_degrees: 15.0 },
            }
        }
    }

    impl Config for Task {
        const COMMAND: &'static str = "kscout train task";

        fn keys() -> Vec<Key> {
            vec![
                key::whole("steps", 1, 100),
                key::rate("learning_rate"),
                key::real("augment.rotate_degrees", 0.0, 180.0),
            ]
        }

        fn check_together(&self) -> Result<(), Refusal> {
            if self.steps > 50 && self.quick { Err(("quick", "must be false".into())) } else { Ok(()) }
        }
    }

    fn set(arguments: &[&str]) -> Result<Task, ConfigError> {
        load(None, &arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>())
    }

    fn refused(arguments: &[&str]) -> String {
        set(arguments).unwrap_err().to_string()
    }

    fn refused_text(text: &str) -> String {
        Given::parse("config task.toml", text).and_then(|given| given.load::<Task>()).unwrap_err().to_string()
    }

    #[test]
    fn assignments_override_defaults_at_any_depth() {
        let task = set(&["steps=3", "augment.rotate_degrees=2", "name=b c", "way=down"]).unwrap();
        assert_eq!((task.steps, task.augment.rotate_degrees, task.way), (3, 2.0, Way::Down));
        assert_eq!(task.name, "b c");
        assert_eq!(task.learning_rate, 0.5);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let message = refused(&["learning_rat=1"]);
        assert_eq!(message, "--set learning_rat=1: unknown key `learning_rat`; did you mean `learning_rate`?");
        assert!(refused(&["rotate_degree=1"]).contains("did you mean `augment.rotate_degrees`"));
        assert!(refused(&["augment=1"]).contains("`augment` is a section, with keys such as `augment.rotate_degrees`"));
        assert!(refused(&["steps=0", "learning_rat=1"]).contains("unknown key `learning_rat`"), "names come first");
        assert!(refused(&["steps.many=1"]).contains("`steps` must be a whole number from 1 to 100, not a section"));
        assert!(refused_text("[augmentation]\nrotate_degrees = 3").contains("line 1: unknown key `augmentation`; did"));
        assert!(refused_text("\"augment.rotate_degrees\" = 3").contains("did you mean `augment.rotate_degrees`"));
    }

    #[test]
    fn a_value_of_the_wrong_type_or_out_of_range_is_refused_by_name_with_what_was_expected() {
        for (given, message) in [
            ("steps=many", "`steps` must be a whole number from 1 to 100, not many"),
            ("steps=0", "`steps` must be a whole number from 1 to 100, not 0"),
            ("steps=2.5", "`steps` must be a whole number from 1 to 100, not 2.5"),
            ("steps=", "`steps` must be a whole number from 1 to 100, not \"\""),
            ("steps=[1]", "`steps` must be a whole number from 1 to 100, not [1]"),
            ("steps=9223372036854775808", "`steps` must be a whole number from 1 to 100, not 9223372036854775808"),
            ("learning_rate=nan", "`learning_rate` must be a number from 1e-12 to 100, not nan"),
            ("name=3", "`name` must be a name, such as \"a\", not 3"),
            ("quick=yes", "`quick` must be true or false, not yes"),
            ("way=left", "`way` has no such value: unknown variant `left`, expected `up` or `down`"),
        ] {
            assert_eq!(refused(&[given]), format!("--set {given}: {message}"));
        }
        assert_eq!(refused(&["steps=60", "quick=true"]), "config key `quick`: must be false");
        assert_eq!(refused(&["steps"]), "--set steps: expected KEY=VALUE, such as steps=2000");
        assert_eq!(refused(&["=5"]), "--set =5: expected KEY=VALUE, such as steps=2000");
    }

    #[test]
    fn a_files_line_is_said() {
        let text = "steps = 5\n\n[augment]\n# degrees\nrotate_degrees = -1\n";
        let expected = "config task.toml, line 5: `augment.rotate_degrees` must be a number from 0 to 180, not -1";
        assert_eq!(refused_text(text), expected);
        assert!(refused_text("steps = 5\nway = \"left\"").starts_with("config task.toml, line 2: `way` has no such"));
        assert!(refused_text("steps = 5\nway = ").contains("line 2"));
        assert!(!refused_text("way = \"\\u001b[31mleft\"").contains('\u{1b}'), "a text from outside");
        assert!(Given::parse("", "\u{feff}steps = 5").is_ok(), "a byte order mark");
    }

    #[test]
    fn a_configuration_made_in_code_is_checked_alike() {
        assert_eq!(check(&Task::default()), Ok(()));
        let (key, message) = check(&Task { steps: 0, ..Task::default() }).unwrap_err();
        assert_eq!((key, message.as_str()), ("steps", "must be a whole number from 1 to 100, not 0"));
        assert_eq!(check(&Task { learning_rate: f64::NAN, ..Task::default() }).unwrap_err().0, "learning_rate");
        assert!(check(&Task { steps: usize::MAX, ..Task::default() }).is_err());
        assert_eq!(check(&Task { steps: 60, quick: true, ..Task::default() }).unwrap_err().0, "quick");
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let read = |path: &str| load::<Task>(Some(Path::new(path)), &[]).unwrap_err().to_string();
        assert!(read("no/such.toml").starts_with("config no/such.toml: cannot be read"));
        assert!(read(env!("CARGO_MANIFEST_DIR")).contains("cannot be read"));
        if Path::new("/dev/zero").exists() {
            assert!(read("/dev/zero").contains("more than 1048576 bytes"));
        }
    }
}
