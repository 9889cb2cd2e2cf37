//! Lengths in mm as options give them.

use std::ops::RangeInclusive;

use crate::data::import::PIXEL_MM;

/// `--spacing`: a length in mm, or the source's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spacing {
    Native,
    Mm(f32),
}

impl Spacing {
    /// The length; `None` for the source's own.
    pub(super) fn mm(self) -> Option<f32> {
        match self {
            Self::Native => None,
            Self::Mm(mm) => Some(mm),
        }
    }
}

pub(super) fn parse_spacing(text: &str) -> Result<Spacing, String> {
    match text {
        "native" => Ok(Spacing::Native),
        _ => length(text, &PIXEL_MM).map(Spacing::Mm).ok_or_else(|| "expected 0.1 to 20 mm, or `native`".to_string()),
    }
}

/// The length that `text` says, if it lies in `range`.
pub(super) fn length(text: &str, range: &RangeInclusive<f32>) -> Option<f32> {
    text.trim().parse().ok().filter(|mm| range.contains(mm))
}
