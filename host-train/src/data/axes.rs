//! [`AxisCodes`] in files: three letters, or nothing where the directions are not known.

use kscout_core::model::AxisCodes;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes the letters.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(axes: &Option<AxisCodes>, serializer: S) -> Result<S::Ok, S::Error> {
    match axes {
        Some(axes) => serializer.collect_str(axes),
        None => serializer.serialize_none(),
    }
}

/// Reads the letters.
///
/// # Errors
/// What does not name three axes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AxisCodes>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| text.parse().map_err(|error| de::Error::custom(format!("axes `{text}`: {error}")));
    text.map(parse).transpose()
}
