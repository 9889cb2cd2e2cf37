//! Task configurations: TOML files with documented keys, `--set key=value` on top, unknown keys refused.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("config {path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// File or `--set` argument.
        origin: String,
        /// What the parser said, with line and column.
        message: String,
    },
    /// A key that the task does not have.
    #[error("{origin}: unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// File or `--set` argument.
        origin: String,
        /// The key, with its tables.
        key: String,
        /// The closest key that exists.
        nearest: Option<String>,
    },
    /// A `--set` argument without `=`.
    #[error("--set {argument}: expected key=value")]
    NotAnAssignment {
        /// The argument.
        argument: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{origin}: {message}")]
    Value {
        /// File or `--set` arguments.
        origin: String,
        /// What is wrong.
        message: String,
    },
}

/// The configuration `C`: its defaults, then the file's keys, then the `key=value` assignments.
pub fn load<C>(file: Option<&Path>, assignments: &[String]) -> Result<C, ConfigError>
where
    C: Serialize + DeserializeOwned + Default,
{
    let mut table = Table::try_from(C::default()).expect("a configuration serialises to a TOML table");
    let known = keys_of(&table);
    if let Some(path) = file {
        apply::<C>(&mut table, read(path)?, &known, &format!("config {}", path.display()))?;
    }
    for argument in assignments {
        let origin = format!("--set {argument}");
        let given = assignment(argument, &origin)?;
        apply::<C>(&mut table, given, &known, &origin)?;
    }
    typed(&table, "defaults")
}

/// Whether the file or an assignment gives the top-level key `key`: it may say which task the rest is for.
pub fn names_key(file: Option<&Path>, assignments: &[String], key: &str) -> Result<bool, ConfigError> {
    let in_file = file.map(read).transpose()?.is_some_and(|given| given.contains_key(key));
    Ok(in_file || assignments.iter().any(|argument| argument.split('=').next().is_some_and(|name| name.trim() == key)))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let origin = format!("config {}", path.display());
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax { origin, message: error.to_string() })
}

/// Lays the keys of `given` over `table`; what is wrong is said of `origin`.
fn apply<C: DeserializeOwned>(
    table: &mut Table,
    given: Table,
    known: &[String],
    origin: &str,
) -> Result<(), ConfigError> {
    refuse_unknown(&given, known, origin)?;
    merge(table, given);
    typed::<C>(table, origin).map(|_| ())
}

fn typed<C: DeserializeOwned>(table: &Table, origin: &str) -> Result<C, ConfigError> {
    table.clone().try_into().map_err(|error: toml::de::Error| {
        let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ConfigError::Value { origin: origin.to_owned(), message }
    })
}

/// `a.b=value` as the table `{ a = { b = value } }`; a value that is not TOML is taken as a string.
fn assignment(argument: &str, origin: &str) -> Result<Table, ConfigError> {
    let Some((key, value)) = argument.split_once('=') else {
        return Err(ConfigError::NotAnAssignment { argument: argument.to_owned() });
    };
    let (key, value) = (key.trim(), value.trim());
    let parsed = format!("{key} = {value}").parse::<Table>();
    let quoted = || format!("{key} = {}", Value::String(value.to_owned())).parse::<Table>();
    parsed
        .or_else(|_| quoted())
        .map_err(|error| ConfigError::Syntax { origin: origin.to_owned(), message: error.to_string() })
}

/// Every key of `table`, nested ones as `outer.inner`.
fn keys_of(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in table {
        keys.push(key.clone());
        if let Value::Table(inner) = value {
            keys.extend(keys_of(inner).into_iter().map(|inner| format!("{key}.{inner}")));
        }
    }
    keys
}

fn refuse_unknown(given: &Table, known: &[String], origin: &str) -> Result<(), ConfigError> {
    for key in keys_of(given) {
        if !known.contains(&key) {
            let distance = |candidate: &&String| {
                let leaf = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
                strsim::damerau_levenshtein(&key, candidate)
                    .min(strsim::damerau_levenshtein(&leaf(&key), &leaf(candidate)))
            };
            let nearest = known.iter().min_by_key(distance);
            let nearest = nearest.filter(|name| distance(name) <= key.len().div_ceil(2)).cloned();
            return Err(ConfigError::UnknownKey { origin: origin.to_owned(), key, nearest });
        }
    }
    Ok(())
}

fn merge(base: &mut Table, given: Table) {
    for (key, value) in given {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            // An integer is a fine way to write a whole real number.
            (Some(Value::Float(number)), Value::Integer(value)) => *number = value as f64,
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
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
        augment: Augment,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Augment {
        rotate_degrees: f64,
    }

    impl Default for Task {
        fn default() -> Self {
            Self { steps: 10, learning_rate: 0.5, name: "a".into(), augment: Augment { rotate_degrees: 15.0 } }
        }
    }

    fn set(arguments: &[&str]) -> Result<Task, ConfigError> {
        load(None, &arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn assignments_override_defaults_at_any_depth() {
        let task = set(&["steps=3", "augment.rotate_degrees=2", "name=b c"]).unwrap();
        assert_eq!(task.steps, 3);
        assert_eq!(task.augment.rotate_degrees, 2.0);
        assert_eq!(task.name, "b c");
        assert_eq!(task.learning_rate, 0.5);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let message = set(&["learning_rat=1"]).unwrap_err().to_string();
        assert_eq!(message, "--set learning_rat=1: unknown key `learning_rat`; did you mean `learning_rate`?");
        let message = set(&["rotate_degree=1"]).unwrap_err().to_string();
        assert!(message.contains("did you mean `augment.rotate_degrees`"), "{message}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_by_name() {
        let message = set(&["steps=many"]).unwrap_err().to_string();
        assert!(message.starts_with("--set steps=many: invalid type"), "{message}");
        assert!(message.contains("usize") && message.contains("`steps`"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = load::<Task>(Some(Path::new("no/such.toml")), &[]).unwrap_err().to_string();
        assert!(message.starts_with("config no/such.toml: cannot be read"), "{message}");
    }
}
