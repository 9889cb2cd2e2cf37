//! How slices are measured by simulation, as configurations give it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Protocol;
use crate::config::Key;
use crate::config::key::seed;

/// The keys of a simulated measurement, which stand among a task's own (`#[serde(flatten)]`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measuring {
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only).
    pub protocol: Protocol,
    /// Seed of phase and noise, and of all else that the task draws at random.
    pub seed: u64,
}

impl Measuring {
    /// What its numbers may be.
    pub const KEYS: &[Key] = &[seed("seed")];
}

impl Default for Measuring {
    fn default() -> Self {
        Self { protocol: Protocol::scanner(), seed: 1 }
    }
}

/// Writes the name.
impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the name.
impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_read_and_written_by_its_name() {
        let measuring = Measuring { protocol: Protocol::igs(), seed: 3 };
        let text = serde_json::to_string(&measuring).unwrap();
        assert_eq!(text, r#"{"protocol":"igs","seed":3}"#);
        assert_eq!(serde_json::from_str::<Measuring>(&text).unwrap(), measuring);
        let error = serde_json::from_str::<Measuring>(r#"{"protocol":"mri","seed":3}"#).unwrap_err().to_string();
        assert!(error.contains("`mri` is no protocol; expected scanner or igs"), "{error}");
    }
}
