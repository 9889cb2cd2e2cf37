//! ResNet-18 and ResNet-50 without their classifying layer: images to features.
//!
//! Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the stride of a bottleneck sits in its
//! 3x3 convolution, as in torchvision's weights, whose parameter names the fields follow.

use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ops::{batch_norm, conv2d, relu};

/// Channels of the first convolution and of the first stage; each stage has twice as many as the one before.
const STEM: usize = 64;

/// Channels that a bottleneck puts out for each one inside.
const EXPANSION: usize = 4;

/// Which ResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Two blocks of two 3x3 convolutions a stage; 512 features.
    Resnet18,
    /// 3, 4, 6 and 3 bottlenecks; 2048 features.
    Resnet50,
}

impl Depth {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Resnet18, Self::Resnet50];

    /// The name on the command line, in configurations and checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet18 => "resnet18",
            Self::Resnet50 => "resnet50",
        }
    }

    /// Blocks of the four stages.
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::Resnet18 => [2, 2, 2, 2],
            Self::Resnet50 => [3, 4, 6, 3],
        }
    }

    /// Channels that a block of inner width `width` puts out.
    fn outputs(self, width: usize) -> usize {
        match self {
            Self::Resnet18 => width,
            Self::Resnet50 => EXPANSION * width,
        }
    }

    /// Number of features.
    pub fn features(self) -> usize {
        self.outputs(8 * STEM)
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|depth| depth.to_string() == text);
        found.ok_or_else(|| format!("`{text}` is none of resnet18, resnet50"))
    }
}

/// A convolution without bias; its padding keeps the size but for the stride.
fn conv(from: usize, to: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .with_initializer(Initializer::KaimingNormal { gain: 2f64.sqrt(), fan_out_only: true })
        .init(device)
}

/// The shortcut of a block that changes size or channels: a 1x1 convolution and a norm.
#[derive(Module, Debug)]
pub struct Shortcut {
    /// The convolution.
    pub conv: Conv2d,
    /// The norm.
    pub norm: BatchNorm,
}

/// A residual block: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1.
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are the published parameter names
pub struct Block {
    pub conv1: Conv2d,
    pub bn1: BatchNorm,
    pub conv2: Conv2d,
    pub bn2: BatchNorm,
    pub conv3: Option<Conv2d>,
    pub bn3: Option<BatchNorm>,
    pub downsample: Option<Shortcut>,
}

impl Block {
    fn new(depth: Depth, from: usize, width: usize, stride: usize, norm: &Norms<'_>) -> Self {
        let (to, device) = (depth.outputs(width), norm.device);
        let shortcut = || Shortcut { conv: conv(from, to, 1, stride, device), norm: norm.of(to) };
        let downsample = (stride > 1 || from != to).then(shortcut);
        let (bn1, bn2) = (norm.of(width), norm.of(width));
        match depth {
            Depth::Resnet18 => Self {
                conv1: conv(from, width, 3, stride, device),
                bn1,
                conv2: conv(width, width, 3, 1, device),
                bn2,
                conv3: None,
                bn3: None,
                downsample,
            },
            Depth::Resnet50 => Self {
                conv1: conv(from, width, 1, 1, device),
                bn1,
                conv2: conv(width, width, 3, stride, device),
                bn2,
                conv3: Some(conv(width, to, 1, 1, device)),
                bn3: Some(norm.of(to)),
                downsample,
            },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = batch_norm(&self.bn1, conv2d(&self.conv1, x.clone()), true);
        let mut y = batch_norm(&self.bn2, conv2d(&self.conv2, y), self.conv3.is_some());
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            y = batch_norm(bn3, conv2d(conv3, y), false);
        }
        let past = match &self.downsample {
            Some(shortcut) => batch_norm(&shortcut.norm, conv2d(&shortcut.conv, x), false),
            None => x,
        };
        relu(y + past)
    }
}

/// Makes the batch norms.
struct Norms<'a> {
    momentum: f64,
    device: &'a Device,
}

impl Norms<'_> {
    fn of(&self, channels: usize) -> BatchNorm {
        BatchNormConfig::new(channels).with_momentum(self.momentum).init(self.device)
    }
}

/// `[B, 3, H, W]` to features `[B, 512]` (ResNet-18) or `[B, 2048]` (ResNet-50).
#[derive(Module, Debug)]
#[allow(missing_docs)] // the fields are the published parameter names
pub struct ResNet {
    pub conv1: Conv2d,
    pub bn1: BatchNorm,
    pub layer1: Vec<Block>,
    pub layer2: Vec<Block>,
    pub layer3: Vec<Block>,
    pub layer4: Vec<Block>,
}

impl ResNet {
    /// A ResNet with random weights. In training, `momentum` of each batch's statistics goes into the running ones that
    /// are used afterwards (0.1 is usual).
    pub fn new(depth: Depth, momentum: f64, device: &Device) -> Self {
        let norm = Norms { momentum, device };
        let blocks = depth.blocks();
        let stage = |number: usize| {
            let width = STEM << number;
            let before = if number == 0 { STEM } else { depth.outputs(width / 2) };
            let stride = if number == 0 { 1 } else { 2 };
            let mut stage = vec![Block::new(depth, before, width, stride, &norm)];
            stage.extend((1..blocks[number]).map(|_| Block::new(depth, depth.outputs(width), width, 1, &norm)));
            stage
        };
        Self {
            conv1: conv(3, STEM, 7, 2, device),
            bn1: norm.of(STEM),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }

    /// Features `[B, F]` of the images `[B, 3, H, W]`.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<2> {
        let x = batch_norm(&self.bn1, conv2d(&self.conv1, image), true);
        let x = max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let x = stages.into_iter().flatten().fold(x, |x, block| block.forward(x));
        let [batch, channels, height, width] = x.dims();
        x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }
}

/// Our name of a part, `conv1` to `layer4`, to torchvision's number when the layers stand in one sequence (`0` to `7`; the
/// ReLU and the pooling between them have no parameters).
pub fn number_in_sequence(part: &str) -> Option<&'static str> {
    let parts = [("conv1", "0"), ("bn1", "1"), ("layer1", "4"), ("layer2", "5"), ("layer3", "6"), ("layer4", "7")];
    parts.iter().find(|(name, _)| *name == part).map(|&(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights and biases alone: a batch norm's running statistics count for burn, but not for anyone else.
    fn parameters(depth: Depth) -> usize {
        let network = ResNet::new(depth, 0.1, &Device::flex());
        let norms = |block: &Block| {
            let last = block.bn3.iter().chain(block.downsample.iter().map(|shortcut| &shortcut.norm));
            [&block.bn1, &block.bn2].into_iter().chain(last).map(|bn| 2 * bn.gamma.dims()[0]).sum::<usize>()
        };
        let blocks = [&network.layer1, &network.layer2, &network.layer3, &network.layer4];
        let statistics: usize = blocks.into_iter().flatten().map(norms).sum();
        network.num_params() - statistics - 2 * STEM
    }

    #[test]
    fn parameters_are_as_many_as_published_without_the_last_layer() {
        assert_eq!(parameters(Depth::Resnet18), 11_689_512 - 513 * 1000);
        assert_eq!(parameters(Depth::Resnet50), 25_557_032 - 2049 * 1000);
    }

    #[test]
    fn an_image_becomes_features() {
        let device = Device::flex();
        for depth in Depth::ALL {
            let features = ResNet::new(depth, 0.1, &device).forward(Tensor::ones([2, 3, 32, 64], &device));
            assert_eq!(features.dims(), [2, depth.features()]);
        }
    }

    #[test]
    fn depths_have_names() {
        assert_eq!("resnet50".parse(), Ok(Depth::Resnet50));
        assert!("resnet34".parse::<Depth>().unwrap_err().contains("resnet18"));
    }
}
