//! The core's rounding in a runtime's terms.
//!
//! The core multiplies by a fixed-point factor and rounds twice, as TFLite does: to `r` bits after the point (halves up), `-r`
//! being the factor's shift, then to whole steps (halves away from zero). A runtime rounds the real product once. With `d = 2^-(r +
//! 1)` half a unit of those bits, the core's result is that of rounding `v + d` once where `v > 0` and `v - d` where `v < 0`: what
//! lies within `d` below a half reaches it in the first rounding, and the second takes it up. So an addition in front of
//! `QuantizeLinear` makes up for it.
//!
//! It matters more than its size says, which is 2^-11 of a step behind a large convolution and 1/4 behind a concatenation that halves its
//! values: a step of difference in one place is a fraction of a step in all that read it, of which a part is rounded to whole
//! steps again, so that after a few layers all roundings differ.

use std::str::FromStr;

/// How often an ONNX file has values rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// As the core does. The additions keep runtimes from fusing a convolution with its quantisation, so that it runs in f32.
    #[default]
    Twice,
    /// Once, as runtimes do in int8 of their own accord: the faster form, whose logits differ by a step in some places.
    Once,
}

impl FromStr for Rounding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "twice" => Ok(Self::Twice),
            "once" => Ok(Self::Once),
            _ => Err("expected twice or once".into()),
        }
    }
}

impl Rounding {
    /// What is added to the size of a value, in steps, where the factor has this shift.
    pub(super) fn offset(self, shift: i32) -> f32 {
        if self == Self::Twice && shift < 0 { 2f32.powi(shift - 1) } else { 0.0 }
    }
}
