//! The segmenters by name: which network, how wide, for how many classes; and one type for all of them.

use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::graph::{FloatGraph, TensorIndex};
use super::scout::image_input;
use super::unet::UNet;
use super::unetpp::{LEVELS, UnetPp};
use super::unext::{UNEXT_S_STAGES, UNEXT_STAGES, UNext};

/// A segmentation network by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// U-Net with transposed convolutions, as in the project Pytorch-UNet.
    Unet,
    /// U-Net with bilinear doubling, as in the project Pytorch-UNet.
    UnetBilinear,
    /// U-Net++ with four heads.
    #[serde(rename = "unetpp")]
    UnetPp,
    /// UNeXt.
    Unext,
    /// The small UNeXt.
    UnextS,
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

impl Arch {
    /// Every network.
    pub const ALL: [Self; 5] = [Self::Unet, Self::UnetBilinear, Self::UnetPp, Self::Unext, Self::UnextS];

    /// The name in configurations and checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::UnetBilinear => "unet-bilinear",
            Self::UnetPp => "unetpp",
            Self::Unext => "unext",
            Self::UnextS => "unext-s",
        }
    }

    /// Channels of the first stage in the published network.
    pub fn published_width(self) -> usize {
        match self {
            Self::Unet | Self::UnetBilinear => 64,
            Self::UnetPp => 32,
            Self::Unext => 16,
            Self::UnextS => 8,
        }
    }

    /// Channels of the image that the published network takes; one channel is repeated over them.
    pub fn published_channels(self) -> usize {
        match self {
            Self::Unet | Self::UnetBilinear | Self::UnetPp => 1,
            Self::Unext | Self::UnextS => 3,
        }
    }

    /// The least height and width of an image.
    pub fn least_side(self) -> usize {
        match self {
            Self::Unet | Self::UnetBilinear | Self::UnetPp => 16,
            Self::Unext | Self::UnextS => 32,
        }
    }

    /// Whether height and width must be multiples of [`Arch::least_side`]. The U-Nets pad what does not halve evenly,
    /// UNeXt's tokens cannot.
    pub fn needs_multiples(self) -> bool {
        matches!(self, Self::Unext | Self::UnextS)
    }

    /// Heads that learn under deep supervision, and so levels that the network can be pruned to.
    pub fn levels(self) -> usize {
        if self == Self::UnetPp { LEVELS } else { 1 }
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
        Self { arch, width: arch.published_width(), classes, channels: arch.published_channels() }
    }
}

/// A segmenter of any kind.
// The variants' size is what a pointer to their parameters takes; there is one of them at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Segmenter {
    /// Either U-Net.
    UNet(UNet),
    /// U-Net++, pruned or whole.
    UnetPp(UnetPp),
    /// Either UNeXt.
    UNext(UNext),
}

impl Segmenter {
    /// The network of `spec` with random weights.
    pub fn new(spec: &SegmenterSpec, device: &Device) -> Self {
        let &SegmenterSpec { arch, width, classes, channels } = spec;
        let unext = |stages: [usize; 5]| UNext::new(channels, classes, stages.map(|stage| stage * width), device);
        match arch {
            Arch::Unet => Self::UNet(UNet::new(channels, classes, width, false, device)),
            Arch::UnetBilinear => Self::UNet(UNet::new(channels, classes, width, true, device)),
            Arch::UnetPp => Self::UnetPp(UnetPp::new(channels, classes, width, device)),
            Arch::Unext => Self::UNext(unext(UNEXT_STAGES)),
            Arch::UnextS => Self::UNext(unext(UNEXT_S_STAGES)),
        }
    }

    /// Logits `[B, classes, H, W]` of the images `[B, 1, H, W]`, or `[B, channels, H, W]`.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        match self {
            Self::UNet(network) => network.forward(image),
            Self::UnetPp(network) => network.forward(image),
            Self::UNext(network) => network.forward(image),
        }
    }

    /// The logits of every head, the shallowest first; the last ones are those of [`Segmenter::forward`].
    pub fn heads(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Self::UnetPp(network) => network.heads(image),
            _ => vec![self.forward(image)],
        }
    }

    /// The network without what head `level` does not need. Networks with one head stay as they are.
    pub fn pruned(self, level: usize) -> Self {
        match self {
            Self::UnetPp(network) => Self::UnetPp(network.pruned(level)),
            other => other,
        }
    }

    /// Appends the network to `graph`, reading the one-channel image `image`; returns the logits.
    pub fn lower(&self, graph: &mut FloatGraph, image: TensorIndex) -> TensorIndex {
        match self {
            Self::UNet(network) => network.lower(graph, image),
            Self::UnetPp(network) => network.lower(graph, image),
            Self::UNext(network) => network.lower(graph, image),
        }
    }

    /// The network as a graph for images of `height` by `width`.
    pub fn graph(&self, height: usize, width: usize) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let image = graph.input(image_input(height, width));
        self.lower(&mut graph, image);
        graph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters without the running statistics of batch norms, which are no parameters in PyTorch.
    fn parameters(arch: Arch) -> usize {
        let network = Segmenter::new(&SegmenterSpec::published(arch, 4), &Device::flex());
        network.num_params() - running_statistics(&network)
    }

    fn running_statistics(network: &Segmenter) -> usize {
        let double = |block: &super::super::unet::DoubleConv| {
            2 * (block.bn1.gamma.val().dims()[0] + block.bn2.gamma.val().dims()[0])
        };
        match network {
            Segmenter::UNet(n) => {
                [&n.inc, &n.down1, &n.down2, &n.down3, &n.down4].map(double).iter().sum::<usize>()
                    + [&n.up1, &n.up2, &n.up3, &n.up4].map(|up| double(&up.conv)).iter().sum::<usize>()
            }
            Segmenter::UnetPp(_) => 0,
            Segmenter::UNext(n) => {
                let norms = [&n.ebn1, &n.ebn2, &n.ebn3, &n.dbn1, &n.dbn2, &n.dbn3, &n.dbn4];
                norms.iter().map(|bn| 2 * bn.gamma.val().dims()[0]).sum()
            }
        }
    }

    #[test]
    fn published_networks_have_the_published_numbers_of_parameters() {
        assert_eq!(parameters(Arch::Unet), 31_036_676);
        assert_eq!(parameters(Arch::UnetBilinear), 17_262_020);
        // Without the four heads, as the paper counts, and with them.
        assert_eq!(parameters(Arch::UnetPp), 9_041_568 + 4 * (4 * 32 + 4));
        assert_eq!(parameters(Arch::Unext), 1_471_972);
        assert_eq!(parameters(Arch::UnextS), 253_588);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for arch in Arch::ALL {
            assert_eq!(arch.name().parse(), Ok(arch));
            assert_eq!(serde_json::to_string(&arch).unwrap(), format!("\"{arch}\""));
        }
        assert!("u-net".parse::<Arch>().unwrap_err().contains("unet-bilinear"));
    }

    #[test]
    fn a_pruned_network_gives_what_its_head_gave_in_the_whole_one() {
        let device = Device::flex();
        let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(Arch::UnetPp, 4) };
        let network = Segmenter::new(&spec, &device);
        let image = Tensor::<4>::random([1, 1, 32, 48], burn::tensor::Distribution::Default, &device);
        let heads = network.heads(image.clone());
        assert_eq!(heads.len(), 4);
        for level in 1..=4 {
            let pruned = network.clone().pruned(level);
            let (got, expected) = (pruned.forward(image.clone()).into_data(), heads[level - 1].clone().into_data());
            assert_eq!(got, expected, "level {level}");
            assert_eq!(pruned.num_params() < network.num_params(), level < 4, "level {level}");
        }
    }

    #[test]
    fn a_single_channel_counts_as_repeated() {
        let device = Device::flex();
        for arch in Arch::ALL {
            let spec = SegmenterSpec { width: 4, channels: 3, ..SegmenterSpec::published(arch, 2) };
            let network = Segmenter::new(&spec, &device);
            let image = Tensor::<4>::random([1, 1, 32, 32], burn::tensor::Distribution::Default, &device);
            let repeated = network.forward(image.clone().repeat_dim(1, 3));
            let difference = (network.forward(image) - repeated).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-4, "{arch}: {difference}");
        }
    }

    #[test]
    fn the_graph_computes_what_the_network_does() {
        let device = Device::flex();
        let (height, width) = (64, 32);
        let image: Vec<f32> = (0..height * width).map(|i| (i * 37 % 101) as f32 / 50.0).collect();
        let input = Tensor::<1>::from_floats(image.as_slice(), &device).reshape([1, 1, height as i32, width as i32]);
        for (arch, level) in Arch::ALL.into_iter().map(|arch| (arch, 4)).chain([(Arch::UnetPp, 2)]) {
            let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(arch, 4) };
            let network = Segmenter::new(&spec, &device).pruned(level);
            let expected = super::super::lower::values(network.forward(input.clone()));
            let got = network.graph(height, width).run(&[&image]).pop().unwrap();
            for (i, expected) in expected.iter().enumerate() {
                let (class, pixel) = (i / (height * width), i % (height * width));
                let got = got[pixel * 4 + class];
                assert!((expected - got).abs() < 1e-4, "{arch}, class {class}, pixel {pixel}: {expected} {got}");
            }
        }
    }

    #[test]
    fn the_unets_take_sizes_that_do_not_halve_evenly() {
        let device = Device::flex();
        for arch in [Arch::Unet, Arch::UnetBilinear, Arch::UnetPp] {
            let spec = SegmenterSpec { width: 2, ..SegmenterSpec::published(arch, 2) };
            let image = Tensor::<4>::zeros([1, 1, 50, 37], &device);
            assert_eq!(Segmenter::new(&spec, &device).forward(image).dims(), [1, 2, 50, 37], "{arch}");
        }
    }
}
