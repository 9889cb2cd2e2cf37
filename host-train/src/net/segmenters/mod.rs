//! The segmenters: one trait, a file a network, and the table of those that are known by name.
//!
//! A new network is a file here that implements [`SegmentationNetwork`] and describes what was published of it
//! ([`Architecture`]), and its line in the table: from there it is trained, imported from PyTorch, exported, costed and listed.

mod network;
mod registry;
pub mod unet;
pub mod unetpp;
pub mod unext;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::graph::{FloatGraph, GraphInput, TensorIndex};
pub use network::{Description, Dimensions, SegmentationNetwork};
use registry::segmenters;

segmenters! {
    unet::UNet {
        /// U-Net with transposed convolutions, as in the project Pytorch-UNet.
        Unet = TRANSPOSED,
        /// U-Net with bilinear doubling, as in the project Pytorch-UNet.
        UnetBilinear = BILINEAR,
    }
    unetpp::UnetPp {
        /// U-Net++ with four heads.
        UnetPp = PUBLISHED,
    }
    unext::UNext {
        /// UNeXt.
        Unext = PUBLISHED,
        /// The small UNeXt.
        UnextS = SMALL,
    }
}

/// The widest first stage that the core can run: sixteen times as many channels further down are the most it takes.
pub const WIDEST: usize = kscout_core::kernels::MAX_CHANNELS / 16;

/// The widest first stage, the most classes and the most image channels that a network is taken to have. Beyond them a number in a
/// file is damage, and a network of it would fill the memory.
pub const MOST_WIDTH: usize = 512;
/// See [`MOST_WIDTH`].
pub const MOST_CLASSES: usize = 256;
/// See [`MOST_WIDTH`].
pub const MOST_CHANNELS: usize = 256;

/// The most heads that a network has.
pub const MOST_LEVELS: usize = {
    let (mut most, mut next) = (1, 0);
    while next < Arch::ALL.len() {
        let levels = Arch::ALL[next].description().levels;
        most = if levels > most { levels } else { most };
        next += 1;
    }
    most
};

impl Arch {
    /// The name in configurations and checkpoints.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// Heads that learn under deep supervision, and so levels that the network can be pruned to.
    pub fn levels(self) -> usize {
        self.description().levels
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|arch| arch.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no segmenter; expected one of {known}")
        })
    }
}

impl Serialize for Arch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Arch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// All that decides a segmenter's parameters and their shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmenterSpec {
    /// The network.
    pub arch: Arch,
    /// Channels of the first stage; those of the others follow.
    pub width: usize,
    /// Classes told apart, background among them.
    pub classes: usize,
    /// Channels of the image.
    pub channels: usize,
}

impl fmt::Display for SegmenterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of width {} for {} classes", self.arch, self.width, self.classes)
    }
}

impl SegmenterSpec {
    /// The published network for `classes` classes.
    pub fn published(arch: Arch, classes: usize) -> Self {
        let &Description { width, channels, .. } = arch.description();
        Self { arch, width, classes, channels }
    }

    fn dimensions(&self) -> Dimensions {
        let &Self { width, classes, channels, .. } = self;
        Dimensions { channels, classes, width }
    }
}

impl Segmenter {
    /// The network as a graph for images of `height` by `width`.
    pub fn graph(&self, height: usize, width: usize) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput::image(height, width));
        self.lower(&mut graph, image);
        graph
    }
}
