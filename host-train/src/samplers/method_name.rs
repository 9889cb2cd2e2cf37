//! Who chose the lines of a scan, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who chose the lines of a scan, as lists, tables and files name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum MethodName {
    /// Nobody: all lines were measured.
    Full,
    /// A policy that was trained: tables say what it has over the others.
    Policy,
    /// What a policy is compared with, such as `centre-out`.
    Baseline(String),
}

impl MethodName {
    /// The name of full sampling.
    pub const FULL: &'static str = "full";
    /// The name of whatever asks a policy.
    pub const POLICY: &'static str = "policy";

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Full => Self::FULL,
            Self::Policy => Self::POLICY,
            Self::Baseline(name) => name,
        }
    }
}

impl From<&str> for MethodName {
    fn from(name: &str) -> Self {
        match name {
            Self::FULL => Self::Full,
            Self::POLICY => Self::Policy,
            _ => Self::Baseline(name.to_owned()),
        }
    }
}

impl From<String> for MethodName {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<MethodName> for String {
    fn from(name: MethodName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let names = [MethodName::Full, MethodName::Policy, MethodName::Baseline("centre-out".into())];
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["full","policy","centre-out"]"#);
        let read: [MethodName; 3] = serde_json::from_str(r#"["full","policy","centre-out"]"#).unwrap();
        assert_eq!(read, names);
    }
}
