//! Layer norm over the channels of each pixel.
//!
//! With mean m and variance v of the C channels of a pixel, `y_c = gamma_c (x_c - m) / sqrt(v + epsilon) + beta_c` (Ba et al.,
//! "Layer normalization", 2016). With h = (x - m) / sqrt(v + epsilon) and g the gradient of y, the gradient of x is
//! `(gamma g - mean(gamma g) - h mean(gamma g h)) / sqrt(v + epsilon)`, the means over channels.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::operator::{self, Operator};
use super::values::{contiguous, dims, per_pixel, runs_here, slice, tensor};

/// Pixels that are worked on together: all their channels stay in the cache.
const PIXELS: usize = 64;

/// What burn adds to the variance, unless told otherwise; a layer does not tell.
const EPSILON: f32 = 1e-5;

#[derive(Debug)]
struct ChannelNorm {
    epsilon: f32,
}

/// `layer` over the channels of `x`, `[B, C, H, W]`.
pub fn channel_norm(layer: &LayerNorm, x: Tensor<4>) -> Tensor<4> {
    if !runs_here(&x) {
        return per_pixel(x, |pixels| layer.forward(pixels));
    }
    let gamma = layer.gamma.val();
    let beta = layer.beta.as_ref().map_or_else(|| gamma.zeros_like(), |beta| beta.val());
    operator::ternary(Arc::new(ChannelNorm { epsilon: EPSILON }), x, gamma, beta)
}

/// Sums over channels for up to [`PIXELS`] pixels.
type Sums = [f32; PIXELS];

/// Calls `f` with each run of at most [`PIXELS`] pixels of a plane, as start and length.
fn runs(plane: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..plane).step_by(PIXELS).map(move |start| (start, PIXELS.min(plane - start)))
}

/// Mean and one over the standard deviation of pixels `at..at + count` of a sample `x`, `[C, plane]`.
fn statistics(x: &[f32], plane: usize, (at, count): (usize, usize), epsilon: f32) -> (Sums, Sums) {
    let scale = plane as f32 / x.len() as f32;
    let (mut mean, mut variance) = ([0f32; PIXELS], [0f32; PIXELS]);
    for channel in x.chunks_exact(plane) {
        mean.iter_mut().zip(&channel[at..at + count]).for_each(|(mean, x)| *mean += x);
    }
    mean.iter_mut().for_each(|mean| *mean *= scale);
    for channel in x.chunks_exact(plane) {
        for ((variance, mean), x) in variance.iter_mut().zip(&mean).zip(&channel[at..at + count]) {
            *variance += (x - mean) * (x - mean);
        }
    }
    (mean, variance.map(|variance| 1.0 / (variance * scale + epsilon).sqrt()))
}

impl Operator<3> for ChannelNorm {
    fn forward(&self, [x, gamma, beta]: [FlexTensor; 3]) -> (FlexTensor, Vec<FlexTensor>) {
        let [x, gamma, beta] = [x, gamma, beta].map(contiguous);
        let shape: [usize; 4] = dims(&x);
        let [batch, channels, height, width] = shape;
        let plane = height * width;
        let mut out = vec![0f32; batch * channels * plane];
        if !out.is_empty() {
            let samples = out.par_chunks_exact_mut(channels * plane).zip(slice(&x).par_chunks_exact(channels * plane));
            let (gamma, beta) = (slice(&gamma), slice(&beta));
            samples.for_each(|(out, x)| {
                for (at, count) in runs(plane) {
                    let (mean, scale) = statistics(x, plane, (at, count), self.epsilon);
                    let planes = out.chunks_exact_mut(plane).zip(x.chunks_exact(plane));
                    for ((out, x), (gamma, beta)) in planes.zip(gamma.iter().zip(beta)) {
                        let pixels = out[at..at + count].iter_mut().zip(&x[at..at + count]);
                        for ((out, x), (mean, scale)) in pixels.zip(mean.iter().zip(&scale)) {
                            *out = (x - mean) * scale * gamma + beta;
                        }
                    }
                }
            });
        }
        (tensor(out, shape), vec![x, gamma])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let gradient = contiguous(gradient);
        let [x, gamma] = [&kept[0], &kept[1]];
        let shape: [usize; 4] = dims(x);
        let [batch, channels, height, width] = shape;
        let (plane, sample) = (height * width, channels * height * width);
        let mut out = vec![0f32; batch * sample];
        // The gradients of gamma and beta of each sample.
        let mut sums = vec![0f32; batch * 2 * channels];
        if !out.is_empty() {
            let samples = out.par_chunks_exact_mut(sample).zip(sums.par_chunks_exact_mut(2 * channels));
            let inputs = slice(x).par_chunks_exact(sample).zip(slice(&gradient).par_chunks_exact(sample));
            let gamma = slice(gamma);
            samples.zip(inputs).for_each(|((out, sums), (x, gradient))| {
                for run in runs(plane) {
                    self.backward_run(run, (x, gradient, gamma), out, sums);
                }
            });
        }
        let mut total = vec![0f32; 2 * channels];
        for sums in sums.chunks_exact(2 * channels) {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let beta = total.split_off(channels);
        [Some(tensor(out, shape)), Some(tensor(total, [channels])), Some(tensor(beta, [channels]))]
    }
}

impl ChannelNorm {
    /// The gradients of some pixels of a sample, those of gamma and beta added to the halves of `sums`.
    fn backward_run(
        &self,
        (at, count): (usize, usize),
        (x, gradient, gamma): (&[f32], &[f32], &[f32]),
        out: &mut [f32],
        sums: &mut [f32],
    ) {
        let channels = gamma.len();
        let plane = x.len() / channels;
        let (mean, scale) = statistics(x, plane, (at, count), self.epsilon);
        let (mut of_g, mut of_gh) = ([0f32; PIXELS], [0f32; PIXELS]);
        for c in 0..channels {
            let pixels = c * plane + at..c * plane + at + count;
            let (mut d_gamma, mut d_beta) = (0f32, 0f32);
            for (i, (x, g)) in x[pixels.clone()].iter().zip(&gradient[pixels]).enumerate() {
                let h = (x - mean[i]) * scale[i];
                d_gamma += g * h;
                d_beta += g;
                of_g[i] += g * gamma[c];
                of_gh[i] += g * gamma[c] * h;
            }
            sums[c] += d_gamma;
            sums[channels + c] += d_beta;
        }
        let share = 1.0 / channels as f32;
        for c in 0..channels {
            let pixels = c * plane + at..c * plane + at + count;
            let inputs = x[pixels.clone()].iter().zip(&gradient[pixels.clone()]);
            for (i, (out, (x, g))) in out[pixels].iter_mut().zip(inputs).enumerate() {
                let h = (x - mean[i]) * scale[i];
                *out = (g * gamma[c] - share * of_g[i] - h * share * of_gh[i]) * scale[i];
            }
        }
    }
}
