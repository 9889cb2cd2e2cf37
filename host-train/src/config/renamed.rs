//! Names that were once others: whoever writes an old one is told the new one.

use toml::Value;

/// Keys that have another name now: the old one, by its whole name, and the new one.
const KEYS: [(&str, &str); 1] = [("masks.given", "masks.recorded")];

/// Keys that once chose what `kscout train` trains: each with its only value, and the command of what it chose.
const CHOOSING: [Choosing; 2] = [
    Choosing { key: "kind", value: "classification", command: "kscout train classifier" },
    Choosing { key: "budget", value: "volume", command: "kscout train slice-policy" },
];

struct Choosing {
    key: &'static str,
    value: &'static str,
    command: &'static str,
}

/// What the key `old` is called now, if it was renamed.
pub(super) fn key(old: &str) -> Option<&'static str> {
    KEYS.iter().find(|(key, _)| *key == old).map(|(_, new)| *new)
}

/// What is to be made of a key that once chose what is trained.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is none.
    None,
    /// It agrees with the command, and says nothing new.
    Agrees,
    /// Why it is refused.
    Refused(String),
}

/// What is to be made of `key = value` in a configuration for `command`.
pub(super) fn choice(key: &str, value: &Value, command: &str) -> Choice {
    let Some(choosing) = CHOOSING.iter().find(|choosing| choosing.key == key) else { return Choice::None };
    if value.as_str() != Some(choosing.value) {
        return Choice::Refused(format!(
            "can only be \"{}\", which `{}` needs no more",
            choosing.value, choosing.command
        ));
    }
    if command == choosing.command {
        return Choice::Agrees;
    }
    Choice::Refused(format!("= \"{}\" is for `{}`, not for `{command}`", choosing.value, choosing.command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_has_a_new_name() {
        assert_eq!(key("masks.given"), Some("masks.recorded"));
        assert_eq!((key("masks.recorded"), key("given")), (None, None));
    }

    #[test]
    fn a_key_that_chose_a_task_is_accepted_for_that_task_alone() {
        let choice = |key, value: &str, command| choice(key, &Value::from(value), command);
        assert_eq!(choice("steps", "3", "kscout train classifier"), Choice::None);
        assert_eq!(choice("kind", "classification", "kscout train classifier"), Choice::Agrees);
        assert_eq!(choice("budget", "volume", "kscout train slice-policy"), Choice::Agrees);
        for (key, value, command, other) in [
            ("kind", "classification", "kscout train segmenter", "kscout train classifier"),
            ("budget", "volume", "kscout train line-policy", "kscout train slice-policy"),
            ("kind", "regression", "kscout train classifier", "\"classification\""),
        ] {
            let Choice::Refused(why) = choice(key, value, command) else { panic!("{key} = {value} for {command}") };
            assert!(why.contains(other), "{why}");
        }
    }
}
