//! The kinds of graph and of operator, by their codes in a blob.

use core::fmt;

/// What a graph is for. The value is its code in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum GraphKind {
    /// Image HxWx1 to class logits HxWxC.
    Segmenter = 1,
    /// Image HxWx1 and state vector 1x1x(W+3) to line logits 1x1xW.
    Policy = 2,
    /// Features of a slice, 1x1x[`FEATURES`](crate::contract::FEATURES), to the logarithm of what another line gains, as each of the N
    /// members of an ensemble estimates it: 1x1xN.
    SlicePolicy = 3,
}

impl GraphKind {
    pub(super) fn from_code(code: u32) -> Option<Self> {
        [Self::Segmenter, Self::Policy, Self::SlicePolicy].into_iter().find(|&kind| kind as u32 == code)
    }
}

impl fmt::Display for GraphKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Segmenter => "segmenter",
            Self::Policy => "policy",
            Self::SlicePolicy => "slice policy",
        })
    }
}

/// The kinds of operator, without attributes: for listings and counts. The value is the record's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum OperatorKind {
    /// [`OperatorRepr::Conv2d`](super::OperatorRepr::Conv2d)
    Conv2d = 1,
    /// [`OperatorRepr::Depthwise`](super::OperatorRepr::Depthwise)
    Depthwise = 2,
    /// [`OperatorRepr::MaxPool`](super::OperatorRepr::MaxPool)
    MaxPool = 3,
    /// [`OperatorRepr::Add`](super::OperatorRepr::Add)
    Add = 4,
    /// [`OperatorRepr::Upsample2x`](super::OperatorRepr::Upsample2x)
    Upsample2x = 5,
    /// [`OperatorRepr::LayerNorm`](super::OperatorRepr::LayerNorm)
    LayerNorm = 6,
    /// [`OperatorRepr::Table`](super::OperatorRepr::Table)
    Table = 7,
    /// [`OperatorRepr::Shift`](super::OperatorRepr::Shift)
    Shift = 8,
    /// [`OperatorRepr::Concat`](super::OperatorRepr::Concat)
    Concat = 9,
    /// [`OperatorRepr::ConvTranspose2x2`](super::OperatorRepr::ConvTranspose2x2)
    ConvTranspose2x2 = 10,
}

impl OperatorKind {
    /// Whether the output may lie exactly where an input lies that nobody reads afterwards.
    pub fn in_place(self) -> bool {
        matches!(self, Self::Add | Self::Table)
    }

    /// How many tensors the operator reads.
    pub fn arity(self) -> usize {
        if matches!(self, Self::Add | Self::Concat) { 2 } else { 1 }
    }

    pub(super) fn from_code(code: u16) -> Option<Self> {
        use OperatorKind::*;
        [Conv2d, Depthwise, MaxPool, Add, Upsample2x, LayerNorm, Table, Shift, Concat, ConvTranspose2x2]
            .into_iter()
            .find(|&k| k as u16 == code)
    }
}

impl fmt::Display for OperatorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Conv2d => "Conv2d",
            Self::Depthwise => "Depthwise",
            Self::MaxPool => "MaxPool",
            Self::Add => "Add",
            Self::Upsample2x => "Upsample2x",
            Self::LayerNorm => "LayerNorm",
            Self::Table => "Table",
            Self::Shift => "Shift",
            Self::Concat => "Concat",
            Self::ConvTranspose2x2 => "ConvTranspose2x2",
        })
    }
}
