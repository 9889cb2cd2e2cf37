//! Batch norm over batch and space, with the ReLU that follows it.
//!
//! With mean m and variance v of a channel over the n = B H W values of a batch, `y = gamma h + beta`, where
//! `h = (x - m) / sqrt(v + epsilon)` (Ioffe and Szegedy, ICML 2015); a ReLU then takes what is above zero. With g the gradient
//! of y, zero where the ReLU was, the gradient of x is `gamma (g - mean(g) - h mean(g h)) / sqrt(v + epsilon)`, those of gamma
//! and beta are the sums of g h and of g.

use std::sync::{Arc, OnceLock};

use burn::backend::flex::FlexTensor;
use burn::nn::BatchNorm;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::kernels::lanes::Moments;
use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor, zeros};
use super::vectors::{self, Line};

/// `layer` on `x`, `[B, C, H, W]`, then ReLU where `rectified`. In training, with the batch's statistics, which also go into
/// the layer's running ones; else with the running ones.
pub fn batch_norm(layer: &BatchNorm, x: Tensor<4>, rectified: bool) -> Tensor<4> {
    if !runs_here(&x) || (x.device().is_autodiff() && !layer.training.is_enabled()) {
        let y = layer.forward(x);
        return if rectified { relu(y) } else { y };
    }
    let device = x.device();
    let epsilon = layer.epsilon as f32;
    if !device.is_autodiff() {
        let (mean, variance) = (layer.running_mean.value(), layer.running_var.value());
        let scale = layer.gamma.val() / variance.add_scalar(epsilon).sqrt();
        let shift = layer.beta.val() - mean * scale.clone();
        return operator::ternary(Arc::new(Affine { rectified }), x, scale, shift);
    }
    let norm = Arc::new(Norm { epsilon, rectified, seen: OnceLock::new() });
    let y = operator::ternary(norm.clone(), x, layer.gamma.val(), layer.beta.val());
    let (mean, variance) = norm.seen.get().cloned().unwrap_or_default();
    let moved = |running: Tensor<1>, seen: Vec<f32>| {
        let count = seen.len();
        let seen = Tensor::from_data(TensorData::new(seen, [count]), &device);
        (running.to_device(&device).mul_scalar(1.0 - layer.momentum) + seen.mul_scalar(layer.momentum)).detach()
    };
    layer.running_mean.update(moved(layer.running_mean.value_sync(), mean));
    layer.running_var.update(moved(layer.running_var.value_sync(), variance));
    y
}

/// Batch norm in training.
#[derive(Debug)]
struct Norm {
    epsilon: f32,
    rectified: bool,
    /// Mean and mean square distance from it of the batch, after forward.
    seen: OnceLock<(Vec<f32>, Vec<f32>)>,
}

/// A factor and a summand for each channel: batch norm with fixed statistics.
#[derive(Debug)]
struct Affine {
    rectified: bool,
}

/// For each channel a value of each sample's plane `x`, brought together by `join` in the samples' order.
fn per_channel<T: Copy + Default + Send + Sync>(
    x: &[f32],
    [channels, plane]: [usize; 2],
    of: impl Fn(usize, usize, &[f32]) -> T + Sync,
    join: impl Fn(T, T) -> T,
) -> Vec<T> {
    let values = x.par_chunks_exact(plane).enumerate().map(|(i, x)| of(i, i % channels, x)).collect::<Vec<T>>();
    (0..channels).map(|c| values[c..].iter().step_by(channels).copied().reduce(&join).unwrap_or_default()).collect()
}

/// Sizes of `[B, C, H, W]` with at least one value.
struct Sizes {
    shape: [usize; 4],
    channels: usize,
    /// Pixels of a plane, H*W.
    plane: usize,
}

impl Sizes {
    fn of(x: &FlexTensor) -> Option<Self> {
        let shape: [usize; 4] = dims(x);
        let [_, channels, height, width] = shape;
        shape.iter().all(|&size| size > 0).then_some(Self { shape, channels, plane: height * width })
    }
}

impl Operator<3> for Norm {
    fn forward(&self, [x, gamma, beta]: [FlexTensor; 3]) -> (FlexTensor, Vec<FlexTensor>) {
        let [x, gamma, beta] = [x, gamma, beta].map(contiguous);
        let Some(Sizes { channels, plane, .. }) = Sizes::of(&x) else { return (x.clone(), Vec::new()) };
        let of = |_, _, x: &[f32]| vectors::moments(x);
        let moments = per_channel(slice(&x), [channels, plane], of, Moments::join);
        let mean: Vec<f32> = moments.iter().map(|m| m.mean as f32).collect();
        let variance: Vec<f32> = moments.iter().map(|m| m.variance() as f32).collect();
        let _ = self.seen.set((mean.clone(), variance.clone()));
        let deviation = variance.iter().map(|v| 1.0 / (v + self.epsilon).sqrt()).collect::<Vec<f32>>();
        let scale: Vec<f32> = slice(&gamma).iter().zip(&deviation).map(|(gamma, d)| gamma * d).collect();
        let shift: Vec<f32> = slice(&beta).iter().zip(scale.iter().zip(&mean)).map(|(b, (s, m))| b - s * m).collect();
        let y = scaled(&x, &scale, &shift, self.rectified);
        let kept = [mean, deviation, scale, shift].map(|values| tensor(values, [channels]));
        (y, [x].into_iter().chain(kept).collect())
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Ok([x, mean, deviation, scale, shift]) = <[FlexTensor; 5]>::try_from(kept) else {
            return [Some(gradient), None, None]; // of no values
        };
        let deviation = slice(&deviation);
        // gamma (g - mean(g) - h mean(g h)) / sqrt(v + epsilon) as a factor of g, one of x, and a summand.
        let of_x = |scale: f32, c: usize, [sum, moment]: [f64; 2], count: usize| {
            let (s, d, m) = (f64::from(scale), f64::from(deviation[c]), f64::from(slice(&mean)[c]));
            let of_x = -s * d * d * moment / count as f64;
            [scale, of_x as f32, (-s * sum / count as f64 - of_x * m) as f32]
        };
        let back = Back { x: &x, scale: slice(&scale), shift: slice(&shift), centre: slice(&mean) };
        let (out, sums) = back.run(contiguous(gradient), of_x, self.rectified);
        let gamma = sums.iter().zip(deviation).map(|([_, moment], &d)| (moment * f64::from(d)) as f32).collect();
        let beta = sums.iter().map(|[sum, _]| *sum as f32).collect();
        let channels = [sums.len()];
        [Some(out), Some(tensor(gamma, channels)), Some(tensor(beta, channels))]
    }
}

impl Operator<3> for Affine {
    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, Vec<FlexTensor>) {
        let [x, scale, shift] = inputs.map(contiguous);
        let y = scaled(&x, slice(&scale), slice(&shift), self.rectified);
        (y, vec![x, scale, shift])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, scale, shift] = [&kept[0], &kept[1], &kept[2]];
        let zero = vec![0.0; slice(scale).len()];
        let back = Back { x, scale: slice(scale), shift: slice(shift), centre: &zero };
        let (out, sums) = back.run(contiguous(gradient), |scale, _, _, _| [scale, 0.0, 0.0], self.rectified);
        let [of_scale, of_shift] = [1, 0].map(|i| sums.iter().map(|sums| sums[i] as f32).collect::<Vec<f32>>());
        let channels = [sums.len()];
        [Some(out), Some(tensor(of_scale, channels)), Some(tensor(of_shift, channels))]
    }
}

/// `x` times a factor, plus a summand, of its channel; then ReLU where `rectified`.
fn scaled(x: &FlexTensor, scale: &[f32], shift: &[f32], rectified: bool) -> FlexTensor {
    let Some(Sizes { shape, channels, plane }) = Sizes::of(x) else { return x.clone() };
    let mut y = zeros(shape.iter().product());
    let planes = y.par_chunks_exact_mut(plane).zip(slice(x).par_chunks_exact(plane));
    planes.enumerate().for_each(|(i, (y, x))| {
        let line = Line { scale: scale[i % channels], shift: shift[i % channels] };
        vectors::affine(x, y, line, rectified);
    });
    tensor(y, shape)
}

/// What the way back needs: the input, and each channel's factor, summand, and what its values are taken relative to.
struct Back<'a> {
    x: &'a FlexTensor,
    scale: &'a [f32],
    shift: &'a [f32],
    centre: &'a [f32],
}

impl Back<'_> {
    /// The gradient of the input, and for each channel the sums of g and of g (x - centre). From factor, channel, these sums and
    /// the number of values `of_x` gives what the input's gradient is: a factor of g, one of x, and a summand.
    fn run(
        &self,
        gradient: FlexTensor,
        of_x: impl Fn(f32, usize, [f64; 2], usize) -> [f32; 3],
        rectified: bool,
    ) -> (FlexTensor, Vec<[f64; 2]>) {
        let Some(Sizes { shape, channels, plane }) = Sizes::of(self.x) else {
            return (gradient, vec![[0.0; 2]; self.scale.len()]);
        };
        let (values, gradients) = (slice(self.x), slice(&gradient));
        let line = |c: usize| Line { scale: self.scale[c], shift: self.shift[c] };
        let of = |i: usize, c: usize, x: &[f32]| {
            let g = &gradients[i * plane..][..plane];
            vectors::gradient_sums(x, g, line(c), self.centre[c], rectified)
        };
        let sums = per_channel(values, [channels, plane], of, |a, b| [a[0] + b[0], a[1] + b[1]]);
        let count = values.len() / channels;
        let factors: Vec<[f32; 3]> = (0..channels).map(|c| of_x(self.scale[c], c, sums[c], count)).collect();
        let mut out = zeros(values.len());
        let planes = values.par_chunks_exact(plane).zip(gradients.par_chunks_exact(plane));
        out.par_chunks_exact_mut(plane).zip(planes).enumerate().for_each(|(i, (out, (x, g)))| {
            let c = i % channels;
            vectors::input_gradient(x, g, out, line(c), factors[c], rectified);
        });
        (tensor(out, shape), sums)
    }
}
