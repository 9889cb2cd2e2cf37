//! ASMR's networks: the masked actor-critic that chooses lines, and the classifier of k-space that scores them.
//!
//! Source: Yen et al., "Adaptive Sampling of k-Space in Magnetic Resonance for Rapid Pathology Prediction", ICML 2024
//! (arXiv 2406.04318). Parameter names follow the published checkpoints; [`pytorch_name`] gives those of a part.
//!
//! The "k-space convolution" multiplies the spectrum of the zero-filled image by the conjugate spectrum of a complex 5x5
//! kernel. That is a circular correlation of the complex image with the conjugate kernel, whose first tap lies on the
//! pixel itself: `out[y][x] = sum conj(kernel[i][j]) * image[y + i][x + j]`, and so it is computed here.
//!
//! ASMR's image is the inverse transform with the factor 1/(HW), ours is orthonormal. The layer norm after the magnitude
//! takes any factor away again, but for its epsilon; [`complex_planes`] gives the networks images in units of their root
//! mean square, so that the epsilon never shows, however bright the scanner's images are.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::Complex32;

use super::resnet::{Depth, ResNet, number_in_sequence};
use super::scout::{blind_layer, centre_slope};

/// Taps of the k-space convolution along each axis.
const KERNEL: usize = 5;

/// Width of the trunk.
const HEAD_FEATURES: usize = 60;

/// Width of the one-hot vector of the remaining lines, which counts from 0.
const REMAINING: usize = 60;

/// The most lines that may remain, and so the largest budget.
pub const MAX_REMAINING: usize = REMAINING - 1;

/// Width of the layer before the last.
const HIDDEN: usize = 256;

/// Added to a variance under a root, as PyTorch does it.
const EPSILON: f64 = 1e-5;

/// Below this squared magnitude a complex number counts as zero, where the magnitude has no gradient.
const NOTHING: f32 = 1e-20;

/// Complex 5x5 correlation of a complex image, circular, and the magnitude of the result.
#[derive(Module, Debug)]
pub struct KspaceConv {
    /// `[1, 1, 5, 5, 2]`: real and imaginary part last.
    pub weight: Param<Tensor<5>>,
}

impl KspaceConv {
    /// A real normal kernel, scaled by the number of taps.
    fn new(device: &Device) -> Self {
        let shape = [1, 1, KERNEL, KERNEL, 1];
        let std = 1.0 / (KERNEL * KERNEL) as f64;
        let real = Initializer::Normal { mean: 0.0, std }.init::<5, _>(shape, device).val();
        Self { weight: Param::from_tensor(Tensor::cat(vec![real, Tensor::zeros(shape, device)], 4).detach()) }
    }

    /// Magnitudes `[B, 1, H, W]` of the complex images `[B, 2, H, W]` (real and imaginary planes).
    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let part = |i: usize| self.weight.val().narrow(4, i, 1).reshape([1, 1, KERNEL, KERNEL]);
        let (re, im) = (part(0), part(1));
        // conj(a + ib)(r + is) = (ar + bs) + i(as - br): two real outputs of two real inputs.
        let real_row = Tensor::cat(vec![re.clone(), im.clone()], 1);
        let imaginary_row = Tensor::cat(vec![im.neg(), re], 1);
        let weight = Tensor::cat(vec![real_row, imaginary_row], 0);
        let wrapped = wrap(wrap(image, 2), 3);
        let parts = conv2d(wrapped, weight, None, ConvOptions::new([1, 1], [0, 0], [1, 1], 1));
        parts.powf_scalar(2.0).sum_dim(1).clamp_min(NOTHING).sqrt()
    }
}

/// The first rows (or columns) again after the last, for a kernel that reaches over the edge.
fn wrap(image: Tensor<4>, dim: usize) -> Tensor<4> {
    let first = image.clone().narrow(dim, 0, KERNEL - 1);
    Tensor::cat(vec![image, first], dim)
}

/// Zero mean and unit variance over each whole plane.
fn normalise(image: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = image.dims();
    let flat = image.reshape([batch, channels * height * width]);
    let centred = flat.clone() - flat.mean_dim(1);
    let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
    (centred / variance.add_scalar(EPSILON).sqrt()).reshape([batch, channels, height, width])
}

/// Layer norm over the plane, with a factor and a summand for each pixel.
#[derive(Module, Debug)]
pub struct PlaneNorm {
    /// `[H, W]`.
    pub weight: Param<Tensor<2>>,
    /// `[H, W]`.
    pub bias: Param<Tensor<2>>,
}

impl PlaneNorm {
    fn new(size: [usize; 2], device: &Device) -> Self {
        Self { weight: Initializer::Ones.init(size, device), bias: Initializer::Zeros.init(size, device) }
    }

    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let plane = |x: &Param<Tensor<2>>| x.val().unsqueeze::<4>();
        normalise(image) * plane(&self.weight) + plane(&self.bias)
    }
}

/// From the backbone's features to a few.
#[derive(Module, Debug)]
pub struct Trunk {
    /// The layer.
    pub linear: Linear,
    /// Its norm; a hyperbolic tangent follows.
    pub norm: LayerNorm,
}

/// From features and remaining lines to the answer.
#[derive(Module, Debug)]
pub struct Head {
    /// With a ReLU after it.
    pub hidden: Linear,
    /// The answer.
    pub last: Linear,
}

/// The shape that actor and critic share, each with weights of its own.
#[derive(Module, Debug)]
pub struct Network {
    /// Over the complex image.
    pub conv_kspace: KspaceConv,
    /// Over its magnitude.
    pub layernorm: PlaneNorm,
    /// ResNet-18.
    pub backbone: ResNet,
    /// Its features, fewer.
    pub trunk: Trunk,
    /// Logits, or the value.
    pub out_layer: Head,
}

impl Network {
    fn new(size: [usize; 2], outputs: usize, device: &Device) -> Self {
        Self {
            conv_kspace: KspaceConv::new(device),
            layernorm: PlaneNorm::new(size, device),
            // The one batch that settles the norms counts in full.
            backbone: ResNet::new(Depth::Resnet18, 1.0, device),
            trunk: Trunk {
                linear: orthogonal(Depth::Resnet18.features(), HEAD_FEATURES, device),
                norm: LayerNormConfig::new(HEAD_FEATURES).init(device),
            },
            out_layer: Head {
                hidden: orthogonal(HEAD_FEATURES + REMAINING, HIDDEN, device),
                last: orthogonal(HIDDEN, outputs, device),
            },
        }
    }

    /// `[B, outputs]` of the complex images `[B, 2, H, W]` and the one-hot remaining lines `[B, 60]`.
    fn forward(&self, image: Tensor<4>, remaining: Tensor<2>) -> Tensor<2> {
        let seen = self.layernorm.forward(self.conv_kspace.forward(image));
        let features = self.backbone.forward(seen.repeat_dim(1, 3));
        let features = self.trunk.norm.forward(self.trunk.linear.forward(features)).tanh();
        let known = Tensor::cat(vec![features, remaining], 1);
        self.out_layer.last.forward(relu(self.out_layer.hidden.forward(known)))
    }
}

/// A layer with orthogonal weights and a bias of zero.
fn orthogonal(from: usize, to: usize, device: &Device) -> Linear {
    let initializer = Initializer::Orthogonal { gain: 1.0 };
    let mut layer = LinearConfig::new(from, to).with_bias(false).with_initializer(initializer).init(device);
    layer.bias = Some(Initializer::Zeros.init([to], device));
    layer
}

/// The actor, in the nesting of the published checkpoints.
#[derive(Module, Debug)]
pub struct Actor {
    /// Its network.
    pub logits_net: Network,
}

/// Chooses lines, and values states.
#[derive(Module, Debug)]
pub struct AsmrActorCritic {
    /// The policy.
    pub pi: Actor,
    /// The critic.
    pub v: Network,
}

impl AsmrActorCritic {
    /// Networks with random weights for images of `height` by `width`. Unlike ASMR's, whose first policy is random, the
    /// policy starts out as centre-out: no weights in its last layer, and the slope of `scout`'s bias.
    pub fn new([height, width]: [usize; 2], device: &Device) -> Self {
        let policy = Actor { logits_net: Network::new([height, width], width, device) };
        let agent = Self { pi: policy, v: Network::new([height, width], 1, device) };
        agent.beginning_with(centre_slope(width, device), device)
    }

    /// The networks with a last layer of the policy that gives `logits`, `[W]`, whatever it sees, until it has learned.
    #[must_use]
    pub fn beginning_with(mut self, logits: Tensor<1>, device: &Device) -> Self {
        self.pi.logits_net.out_layer.last = blind_layer(HIDDEN, logits, device);
        self
    }

    /// Logits `[B, W]`, measured lines not yet excluded, and values `[B]`.
    pub fn forward(&self, image: Tensor<4>, remaining: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let logits = self.logits(image.clone(), remaining.clone());
        (logits, self.v.forward(image, remaining).flatten::<1>(0, 1))
    }

    /// Logits alone.
    pub fn logits(&self, image: Tensor<4>, remaining: Tensor<2>) -> Tensor<2> {
        self.pi.logits_net.forward(image, remaining)
    }

    /// The networks with their batch norms' statistics fixed as they are, while all weights go on learning.
    ///
    /// PPO compares the policy with the one of the rollout. Norms that took their statistics from each batch would make the
    /// two differ before a single step, by the company that an observation happens to be in.
    pub fn with_fixed_norms(self) -> Self {
        struct Fix;
        impl ModuleMapper for Fix {
            fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
                flag.with_value(false)
            }
        }
        self.map(&mut Fix)
    }
}

/// ASMR's classifier of undersampled k-space: two logits (no, yes) for each label.
#[derive(Module, Debug)]
pub struct KspaceClassifier {
    /// Over the complex image.
    pub conv_kspace: KspaceConv,
    /// A ResNet on the magnitude, normalised without parameters.
    pub backbone: ResNet,
    /// On its features, in training.
    pub dropout: Dropout,
    /// One layer a label.
    pub label_layers: Vec<Linear>,
}

impl KspaceClassifier {
    /// A classifier with random weights for `labels` labels. `dropout` is the share of features left out in training.
    pub fn new(depth: Depth, labels: usize, dropout: f64, device: &Device) -> Self {
        Self {
            conv_kspace: KspaceConv::new(device),
            backbone: ResNet::new(depth, 0.1, device),
            dropout: DropoutConfig::new(dropout).init(),
            label_layers: (0..labels).map(|_| LinearConfig::new(depth.features(), 2).init(device)).collect(),
        }
    }

    /// Logits `[B, labels, 2]` of the complex images `[B, 2, H, W]`.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<3> {
        let seen = normalise(self.conv_kspace.forward(image));
        let features = self.dropout.forward(self.backbone.forward(seen.repeat_dim(1, 3)));
        let logits = self.label_layers.iter().map(|layer| layer.forward(features.clone())).collect();
        Tensor::stack(logits, 1)
    }
}

/// Complex images (row-major, `height * width` values) as `[B, 2, H, W]`, each in units of its root mean square. An image of
/// zeros stays one.
pub fn complex_planes(images: &[&[Complex32]], [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let mut planes = Vec::with_capacity(2 * images.len() * height * width);
    for image in images {
        let power = image.iter().map(|v| f64::from(v.norm_sqr())).sum::<f64>() / image.len().max(1) as f64;
        let scale = if power > 0.0 { (1.0 / power.sqrt()) as f32 } else { 0.0 };
        planes.extend(image.iter().map(|v| v.re * scale));
        planes.extend(image.iter().map(|v| v.im * scale));
    }
    Tensor::from_data(TensorData::new(planes, [images.len(), 2, height, width]), device)
}

/// Numbers of remaining lines, at most [`MAX_REMAINING`] each, as one-hot rows `[B, 60]`.
pub fn one_hot_remaining(remaining: &[usize], device: &Device) -> Tensor<2> {
    let mut rows = vec![0f32; remaining.len() * REMAINING];
    for (row, &lines) in rows.chunks_exact_mut(REMAINING).zip(remaining) {
        row[lines.min(MAX_REMAINING)] = 1.0;
    }
    Tensor::from_data(TensorData::new(rows, [remaining.len(), REMAINING]), device)
}

/// The published state dict's name of a parameter of [`AsmrActorCritic`] or [`KspaceClassifier`] (whose names in files begin
/// with `model.`).
pub fn pytorch_name(path: &str) -> String {
    let mut parent = "";
    let mut parts = Vec::new();
    for part in path.split('.') {
        parts.push(published_part(parent, part));
        parent = part;
    }
    parts.join(".")
}

fn published_part<'a>(parent: &str, part: &'a str) -> &'a str {
    match (parent, part) {
        ("backbone", part) => number_in_sequence(part).unwrap_or(part),
        ("downsample", "conv") | ("trunk", "linear") | ("out_layer", "hidden") => "0",
        ("downsample" | "trunk", "norm") => "1",
        ("out_layer", "last") => "2",
        (_, "gamma") => "weight",
        (_, "beta") => "bias",
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::lower::values;

    #[test]
    fn names_are_those_of_the_published_checkpoints() {
        let names = [
            ("pi.logits_net.conv_kspace.weight", "pi.logits_net.conv_kspace.weight"),
            ("v.layernorm.bias", "v.layernorm.bias"),
            ("v.backbone.conv1.weight", "v.backbone.0.weight"),
            ("v.backbone.bn1.gamma", "v.backbone.1.weight"),
            ("v.backbone.layer3.0.downsample.norm.running_var", "v.backbone.6.0.downsample.1.running_var"),
            ("v.backbone.layer4.1.conv1.weight", "v.backbone.7.1.conv1.weight"),
            ("v.trunk.norm.beta", "v.trunk.1.bias"),
            ("label_layers.2.bias", "label_layers.2.bias"),
            ("pi.logits_net.out_layer.last.weight", "pi.logits_net.out_layer.2.weight"),
        ];
        for (ours, published) in names {
            assert_eq!(pytorch_name(ours), published);
        }
    }

    #[test]
    fn the_convolution_is_a_circular_correlation_with_the_conjugate_kernel() {
        let device = Device::flex();
        let (height, width) = (6, 8);
        let number = |i: usize| Complex32::new((i * 37 % 23) as f32 / 11.0 - 1.0, (i * 53 % 19) as f32 / 9.0 - 1.0);
        let image: Vec<Complex32> = (0..height * width).map(number).collect();
        let kernel: Vec<Complex32> = (100..100 + KERNEL * KERNEL).map(number).collect();
        let weight: Vec<f32> = kernel.iter().flat_map(|v| [v.re, v.im]).collect();
        let shape = [1, 1, KERNEL, KERNEL, 2];
        let conv = KspaceConv { weight: Param::from_data(TensorData::new(weight, shape), &device) };
        let planes: Vec<f32> = image.iter().map(|v| v.re).chain(image.iter().map(|v| v.im)).collect();
        let planes = Tensor::from_data(TensorData::new(planes, [1, 2, height, width]), &device);
        let got = values(conv.forward(planes));
        for (pixel, got) in got.iter().enumerate() {
            let (y, x) = (pixel / width, pixel % width);
            let tap = |t: usize| {
                let (dy, dx) = (t / KERNEL, t % KERNEL);
                kernel[t].conj() * image[(y + dy) % height * width + (x + dx) % width]
            };
            let expected = (0..KERNEL * KERNEL).map(tap).sum::<Complex32>().norm();
            assert!((got - expected).abs() < 1e-4, "pixel {pixel}: {got}, expected {expected}");
        }
    }

    #[test]
    fn an_image_of_zeros_gives_finite_gradients() {
        let device = Device::flex().autodiff();
        let conv = KspaceConv::new(&device);
        let gradients = conv.forward(Tensor::zeros([1, 2, 8, 8], &device)).sum().backward();
        let gradient = conv.weight.val().grad(&gradients).expect("the kernel has a gradient");
        assert!(values(gradient).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn an_untrained_policy_prefers_the_centre_and_fixed_norms_change_no_number() {
        let device = Device::flex().autodiff();
        let mut agent = AsmrActorCritic::new([32, 32], &device).with_fixed_norms();
        // An untrained policy's last layer has no weights, and would hide what comes before it.
        let small = Initializer::Normal { mean: 0.0, std: 0.01 };
        agent.pi.logits_net.out_layer.last.weight = small.init([HIDDEN, 32], &device);
        let image: Vec<Complex32> = (0..1024).map(|i| Complex32::new((i % 7) as f32, (i % 5) as f32)).collect();
        let run = |agent: &AsmrActorCritic, device: &Device| {
            let planes = complex_planes(&[&image, &[Complex32::ZERO; 1024]], [32, 32], device);
            let (logits, value) = agent.forward(planes, one_hot_remaining(&[3, 1], device));
            (values(logits), values(value))
        };
        let (logits, value) = run(&agent, &device);
        let best = (0..32).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        assert_eq!(best, Some(16));
        assert_eq!(value.len(), 2);
        let plain = run(&agent.valid(), &Device::flex());
        for (a, b) in logits.iter().chain(&value).zip(plain.0.iter().chain(&plain.1)) {
            assert!((a - b).abs() < 1e-5, "in training {a}, in use {b}");
        }
    }

    #[test]
    fn a_classifier_gives_two_logits_a_label() {
        let device = Device::flex();
        let network = KspaceClassifier::new(Depth::Resnet18, 3, 0.1, &device);
        assert_eq!(network.forward(Tensor::ones([2, 2, 32, 32], &device)).dims(), [2, 3, 2]);
    }
}
