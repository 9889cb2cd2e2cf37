//! Checkpoints as an earlier version described them.

use serde_json::{Map, Value};

/// Makes a description of format 2 one of format 1, which says neither format nor kind, and nothing of scores and heads beside its
/// configuration.
///
/// # Panics
/// If it is none of format 2.
pub fn as_format1(description: &mut Value) -> &mut Map<String, Value> {
    let fields = description.as_object_mut().expect("an object");
    assert_eq!(fields.remove("format"), Some(2.into()));
    let network = match fields.remove("kind").as_ref().and_then(Value::as_str) {
        Some("segmenter") => fields["segmenter"]["arch"].clone(),
        Some("slice-policy") => "slices".into(),
        _ => fields["network"].clone(),
    };
    fields.insert("network".into(), network);
    ["scoring", "trained_heads"].into_iter().for_each(|key| drop(fields.remove(key)));
    fields
}
