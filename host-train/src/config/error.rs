//! Why a configuration was refused, in words.

use std::path::PathBuf;

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
    /// The file is too long to be one.
    #[error("config {path}: more than {most} bytes; no configuration is as long")]
    Long {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// The text is not TOML.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// File or `--set` argument.
        origin: String,
        /// What the parser said, with line and column.
        message: String,
    },
    /// A key that the task does not have.
    #[error("{place}: unknown key `{key}`{}", hint(nearest, task.as_deref()))]
    UnknownKey {
        /// File and line, or `--set` argument.
        place: String,
        /// The key, with its sections.
        key: String,
        /// The closest keys that exist.
        nearest: Vec<String>,
        /// The task that has it, in words, where another one does.
        task: Option<String>,
    },
    /// A name that was changed.
    #[error("{place}: {old} is called {new} now")]
    Renamed {
        /// File and line, or `--set` argument.
        place: String,
        /// The old name, and what it is of.
        old: String,
        /// The new name.
        new: String,
    },
    /// A `--set` argument without `=`, or with nothing before it.
    #[error("--set {argument}: expected KEY=VALUE, such as steps=2000")]
    NotAnAssignment {
        /// The argument.
        argument: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: `{key}` {message}")]
    Value {
        /// File and line, or `--set` argument.
        place: String,
        /// The key.
        key: String,
        /// What was expected and what was found.
        message: String,
    },
    /// Values that do not go together.
    #[error("config key `{key}`: {message}")]
    Refused {
        /// The key.
        key: &'static str,
        /// What was expected.
        message: String,
    },
}

/// What may have been meant.
fn hint(nearest: &[String], task: Option<&str>) -> String {
    if let Some(task) = task {
        return format!(", which is one of {task}");
    }
    match nearest {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        [first, second] => format!("; did you mean `{first}` or `{second}`?"),
        [first, second, ..] => format!("; did you mean `{first}`, `{second}` or another of that name?"),
    }
}

/// The most characters of a text from outside that a message repeats.
const SHOWN: usize = 80;

/// A text from outside as messages repeat it: in one line, without control characters, and not at full length.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(visible).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown += "...";
    }
    shown
}

/// A message of a parser, which may repeat a line of the text: without control characters, and no line at full length.
pub(super) fn lines_shown(message: &str) -> String {
    let lines: Vec<String> = message.lines().map(shown).collect();
    lines.join("\n")
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let itself = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_shown_in_one_short_line() {
        assert_eq!(shown("segmenter.toml"), "segmenter.toml");
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(shown(&"x".repeat(81)), "x".repeat(80) + "...");
        assert_eq!(lines_shown("a\n\u{7}b"), "a\n\\u{7}b");
    }
}
