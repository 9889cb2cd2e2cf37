//! What a person gives: a file or a text, and `key=value` assignments on top.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;
use toml::{Table, Value};

use super::error::{ConfigError, lines_shown, shown};
use super::key::{Key, find};
use super::nearest::nearest;
use super::renamed::{self, Choice};
use super::{Config, check};

/// Bytes of the longest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Keys and values, from a file and from assignments, in the order in which they are laid over each other.
#[derive(Debug, Default)]
pub struct Given(Vec<Layer>);

#[derive(Clone, Debug)]
struct Layer {
    /// `config segmenter.toml` or `--set steps=2`.
    origin: String,
    table: Table,
    /// The lines of the keys in a file.
    lines: HashMap<String, usize>,
}

impl Given {
    /// Reads a file, if there is one, and assignments.
    ///
    /// # Errors
    /// What cannot be read, or is not TOML.
    pub fn read(file: Option<&Path>, assignments: &[String]) -> Result<Self, ConfigError> {
        let mut given = match file {
            Some(path) => Self::parse(&format!("config {}", path.display()), &text_of(path)?)?,
            None => Self::default(),
        };
        given.set(assignments)?;
        Ok(given)
    }

    /// The keys of a text; `origin` is what messages call it.
    ///
    /// # Errors
    /// Where it is not TOML.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let text = text.trim_start_matches('\u{feff}');
        let syntax = |error: toml::de::Error| {
            let message = lines_shown(error.to_string().trim_end());
            ConfigError::Syntax { origin: origin.to_owned(), message }
        };
        let table = text.parse().map_err(syntax)?;
        let mut lines = HashMap::new();
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
        find_lines(DeTable::parse(text).map_err(syntax)?.get_ref(), "", &ends, &mut lines);
        Ok(Self(vec![Layer { origin: origin.to_owned(), table, lines }]))
    }

    /// Lays `key=value` assignments on top.
    ///
    /// # Errors
    /// One that is none.
    pub fn set(&mut self, assignments: &[String]) -> Result<(), ConfigError> {
        for argument in assignments {
            let origin = format!("--set {}", shown(argument));
            let table = assignment(argument, &origin)?;
            self.0.push(Layer { origin, table, lines: HashMap::new() });
        }
        Ok(())
    }

    /// Whether the top-level key `key` is among them.
    pub fn names(&self, key: &str) -> bool {
        self.0.iter().any(|layer| layer.table.contains_key(key))
    }

    /// Every key that is given, by its whole name.
    pub fn keys(&self) -> Vec<String> {
        self.0.iter().flat_map(|layer| keys_of(&layer.table).into_iter().map(|(key, _)| key)).collect()
    }

    /// Where the key `key` was given last, in words; empty where it was not.
    pub fn place(&self, key: &str) -> String {
        let layer = self.0.iter().rev().find(|layer| find(&layer.table, key).is_some());
        layer.map_or_else(String::new, |layer| layer.place(key))
    }

    /// The configuration `C`: its defaults with what is given on top.
    ///
    /// # Errors
    /// The first key that is not known, or whose value is not of the right type or out of range, with its place; then values
    /// that do not go together.
    pub fn load<C: Config>(&self) -> Result<C, ConfigError> {
        let mut table = defaults::<C>();
        let expected = Expected { known: keys_of(&table), numbers: C::keys(), defaults: table.clone() };
        let layers = self.0.iter().map(|layer| layer.without_choices(C::COMMAND)).collect::<Result<Vec<_>, _>>()?;
        // A wrong name first: it may be that of another task's key.
        layers.iter().try_for_each(|layer| expected.check_names(layer))?;
        for layer in &layers {
            expected.check_values(layer)?;
            merge(&mut table, layer.table.clone());
        }
        let config: C = table.try_into().map_err(|error| blamed::<C>(&layers, &error))?;
        check(&config).map_err(|(key, message)| ConfigError::Refused { key, message })?;
        Ok(config)
    }
}

/// Which of the values in `layers` it is that `C` does not take: a name that is not known, or a list of another length.
fn blamed<C: Config>(layers: &[Layer], error: &toml::de::Error) -> ConfigError {
    for layer in layers {
        for (key, value) in keys_of(&layer.table) {
            let mut table = defaults::<C>();
            merge(&mut table, nested(&key, value));
            if let Err(error) = table.try_into::<C>() {
                let message = format!("has no such value: {}", shown_message(&error));
                return ConfigError::Value { place: layer.place(&key), key, message };
            }
        }
    }
    let origin = layers.last().map_or("config", |layer| &layer.origin).to_owned();
    ConfigError::Syntax { origin, message: shown_message(error) }
}

fn shown_message(error: &toml::de::Error) -> String {
    let words: Vec<String> = error.message().split_whitespace().take(60).map(shown).collect();
    words.join(" ")
}

/// The table of the defaults.
pub(super) fn defaults<C: Config>() -> Table {
    Table::try_from(C::default()).expect("the defaults can be written as TOML")
}

/// What a task knows of its keys.
struct Expected {
    known: Vec<(String, Value)>,
    numbers: Vec<Key>,
    defaults: Table,
}

impl Expected {
    /// Refuses keys that are not known; what is in a section that should be a value is left to the check of values.
    fn check_names(&self, layer: &Layer) -> Result<(), ConfigError> {
        let section = |key: &str| key.rsplit_once('.').and_then(|(section, _)| find(&self.defaults, section));
        for (key, value) in keys_of(&layer.table) {
            let within_a_value = section(&key).is_some_and(|section| !section.is_table());
            if find(&self.defaults, &key).is_none() && !within_a_value {
                return Err(self.unknown(layer, key, &value));
            }
        }
        Ok(())
    }

    /// Refuses values of another type than the default's or out of range.
    fn check_values(&self, layer: &Layer) -> Result<(), ConfigError> {
        for (key, value) in keys_of(&layer.table) {
            let Some(default) = find(&self.defaults, &key) else { continue };
            let number = self.numbers.iter().find(|number| number.name == key);
            let wrong = match (number, default, &value) {
                (Some(number), ..) => number.check(&value).err(),
                (None, Value::Table(_), Value::Table(_)) => None,
                (None, Value::Table(section), _) => {
                    let first = keys_of(section).into_iter().next().map_or(String::new(), |(name, _)| name);
                    Some(format!("is a section, with keys such as `{key}.{first}`"))
                }
                (None, Value::Boolean(_), Value::Boolean(_)) | (None, Value::Array(_), Value::Array(_)) => None,
                (None, Value::Boolean(_), _) => Some("must be true or false".to_owned()),
                (None, Value::Array(_), _) => Some("must be a list, such as [\"a\", \"b\"]".to_owned()),
                (None, Value::String(_), Value::String(_)) => None,
                (None, Value::String(known), _) => Some(format!("must be a name, such as \"{known}\"")),
                _ => None,
            };
            if let Some(expected) = wrong {
                let message = format!("{expected}, not {}", layer.found(&value));
                return Err(ConfigError::Value { place: layer.place(&key), key, message });
            }
        }
        Ok(())
    }

    fn unknown(&self, layer: &Layer, key: String, value: &Value) -> ConfigError {
        if let Some(new) = renamed::key(&key).filter(|new| find(&self.defaults, new).is_some()) {
            let (old, new) = (format!("the key `{key}`"), format!("`{new}`"));
            return ConfigError::Renamed { place: layer.place(&key), old, new };
        }
        let is_section = value.is_table();
        let alike = self.known.iter().filter(|(_, default)| default.is_table() == is_section);
        let names: Vec<String> = alike.map(|(name, _)| name.clone()).collect();
        let nearest = nearest(&key, &names).into_iter().map(str::to_owned).collect();
        ConfigError::UnknownKey { place: layer.place(&key), key: shown(&key), nearest, task: None }
    }
}

impl Layer {
    /// Without the keys that once chose what `command` names.
    fn without_choices(&self, command: &str) -> Result<Self, ConfigError> {
        let mut layer = self.clone();
        for (key, value) in &self.table {
            match renamed::choice(key, value, command) {
                Choice::None => {}
                Choice::Agrees => drop(layer.table.remove(key)),
                Choice::Refused(message) => {
                    return Err(ConfigError::Value { place: self.place(key), key: key.clone(), message });
                }
            }
        }
        Ok(layer)
    }

    /// Where a key stands.
    fn place(&self, key: &str) -> String {
        self.lines.get(key).map_or_else(|| self.origin.clone(), |line| format!("{}, line {line}", self.origin))
    }

    /// A value as it was written.
    fn found(&self, value: &Value) -> String {
        match value {
            // An assignment's value is a string where it is nothing else.
            Value::String(text) if self.lines.is_empty() && !text.is_empty() => shown(text),
            Value::Table(_) => "a section".to_owned(),
            other => shown(&other.to_string()),
        }
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MOST_BYTES => Err(ConfigError::Long { path: path.to_owned(), most: MOST_BYTES }),
        Ok(_) => Ok(text),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

/// `a.b=value` as the table `{ a = { b = value } }`; a value that is not TOML is taken as a string.
fn assignment(argument: &str, origin: &str) -> Result<Table, ConfigError> {
    let split = argument.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let Some((key, value)) = split.filter(|(key, _)| !key.is_empty()) else {
        return Err(ConfigError::NotAnAssignment { argument: shown(argument) });
    };
    let parsed = format!("{key} = {value}").parse::<Table>();
    let quoted = || format!("{key} = {}", Value::String(value.to_owned())).parse::<Table>();
    let syntax = |error: toml::de::Error| {
        let message = shown_message(&error);
        ConfigError::Syntax { origin: origin.to_owned(), message }
    };
    parsed.or_else(|_| quoted()).map_err(syntax)
}

/// Every key of `table`, with its value, sections before the keys in them: `outer`, `outer.inner`.
pub(super) fn keys_of(table: &Table) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    for (key, value) in table {
        // A dot in a name is none between a section and a key.
        let key = if key.contains('.') { format!("\"{key}\"") } else { key.clone() };
        keys.push((key.clone(), value.clone()));
        if let Value::Table(inner) = value {
            keys.extend(keys_of(inner).into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
        }
    }
    keys
}

/// `a.b` and a value as the table `{ a = { b = value } }`.
fn nested(key: &str, value: Value) -> Table {
    let mut parts = key.rsplit('.');
    let last = parts.next().unwrap_or_default().to_owned();
    let inner = Table::from_iter([(last, value)]);
    parts.fold(inner, |inner, part| Table::from_iter([(part.to_owned(), Value::Table(inner))]))
}

/// The line of each key, where the lines of the text end at `ends`.
fn find_lines(table: &DeTable<'_>, section: &str, ends: &[usize], lines: &mut HashMap<String, usize>) {
    for (key, value) in table {
        let name = format!("{section}{}", key.get_ref());
        let before = ends.partition_point(|&end| end < key.span().start);
        lines.insert(name.clone(), before + 1);
        if let Some(inner) = value.get_ref().as_table() {
            find_lines(inner, &format!("{name}."), ends, lines);
        }
    }
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
