//! Batch norm as it trains: `out = gamma * (x - mean) / sqrt(variance + epsilon) + beta` with the mean and the variance of
//! each channel over the batch and the image, then ReLU if asked for.
//!
//! Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015. The variance is the biased one (divided by the number of
//! values), for normalising and as it is returned. With h the normalised x, and g the gradient of the output where ReLU let
//! it pass, `dbeta = sum g`, `dgamma = sum g h` and `dx = gamma / deviation * (g - mean g - h * mean(g h))`.
//!
//! A channel is worked on from its statistics to its result before the next one is, so that its values are read from memory
//! once, and from a cache the second time.

use rayon::prelude::*;

use super::super::lanes::{self, LANES};
use super::super::simd::widest;
use super::{Affine, Gradients, Statistics};

/// Values that are worth a task of their own.
const PIECE: usize = 4096;

/// The shape of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Images, N.
    pub batch: usize,
    /// Channels, C.
    pub channels: usize,
    /// Pixels of a channel, H*W.
    pub pixels: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Whether negative results become zero.
    pub relu: bool,
}

/// The numbers that a channel is normalised with.
#[derive(Clone, Copy)]
struct Scaling {
    mean: f32,
    /// One over the deviation.
    inverse: f32,
    gamma: f32,
    beta: f32,
    relu: bool,
}

impl BatchNorm {
    /// Values of input and output, `[N, C, H, W]`.
    pub fn values(&self) -> usize {
        self.batch * self.channels * self.pixels
    }

    fn scaling(&self, c: usize, affine: Affine<'_>, (mean, variance): (f32, f32)) -> Scaling {
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        Scaling { mean, inverse, gamma: affine.gamma[c], beta: affine.beta[c], relu: self.relu }
    }

    /// The planes of channel `c` in `values`.
    fn planes<'a>(&self, values: &'a [f32], c: usize) -> Vec<&'a [f32]> {
        (0..self.batch).map(|n| &values[(n * self.channels + c) * self.pixels..][..self.pixels]).collect()
    }

    /// The planes of each channel, to be written.
    fn planes_to_write<'a>(&self, values: &'a mut [f32]) -> Vec<Vec<&'a mut [f32]>> {
        let mut channels: Vec<Vec<&mut [f32]>> = (0..self.channels).map(|_| Vec::with_capacity(self.batch)).collect();
        for (index, plane) in values.chunks_mut(self.pixels.max(1)).enumerate() {
            channels[index % self.channels].push(plane);
        }
        channels
    }

    /// Planes that together are worth a task.
    fn planes_of_task(&self) -> usize {
        PIECE.div_ceil(self.pixels.max(1))
    }

    fn check(&self, values: &[usize], channels: &[usize]) {
        assert!(values.iter().all(|&length| length == self.values()), "values of {self:?}: {values:?}");
        assert!(channels.iter().all(|&length| length == self.channels), "channels of {self:?}: {channels:?}");
    }
}

impl Scaling {
    #[inline(always)]
    fn normalised(&self, x: f32) -> f32 {
        (x - self.mean) * self.inverse
    }

    /// The result before ReLU.
    #[inline(always)]
    fn of(&self, normalised: f32) -> f32 {
        normalised * self.gamma + self.beta
    }

    #[inline(always)]
    fn write(&self, x: &[f32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            let y = self.of(self.normalised(x));
            *out = if self.relu && y < 0.0 { 0.0 } else { y };
        }
    }

    /// The normalised x, and the gradient `dy` where the result was above zero (or no number).
    #[inline(always)]
    fn passed(&self, x: f32, dy: f32) -> (f32, f32) {
        let normalised = self.normalised(x);
        (normalised, if self.relu && self.of(normalised) <= 0.0 { 0.0 } else { dy })
    }

    /// The sums of the gradients that passed, and of those times the normalised x.
    #[inline(always)]
    fn sums(&self, x: &[f32], dy: &[f32]) -> [f64; 2] {
        let (mut plain, mut along) = ([0.0f32; LANES], [0.0f32; LANES]);
        let ((x, x_rest), (dy, dy_rest)) = (x.as_chunks::<LANES>(), dy.as_chunks::<LANES>());
        for (x, dy) in x.iter().zip(dy) {
            for lane in 0..LANES {
                let (normalised, passed) = self.passed(x[lane], dy[lane]);
                plain[lane] += passed;
                along[lane] += passed * normalised;
            }
        }
        for (lane, (&x, &dy)) in x_rest.iter().zip(dy_rest).enumerate() {
            let (normalised, passed) = self.passed(x, dy);
            plain[lane] += passed;
            along[lane] += passed * normalised;
        }
        [lanes::total(plain), lanes::total(along)]
    }

    #[inline(always)]
    fn write_gradient(&self, x: &[f32], dy: &[f32], (mean, along): (f32, f32), dx: &mut [f32]) {
        let scale = self.gamma * self.inverse;
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            let (normalised, passed) = self.passed(x, dy);
            *dx = scale * (passed - mean - normalised * along);
        }
    }
}

/// `out`, and the `mean` and `variance` of each channel.
pub fn forward(
    shape: &BatchNorm,
    x: &[f32],
    affine: Affine<'_>,
    out: &mut [f32],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    shape.check(&[x.len(), out.len()], &[affine.gamma.len(), affine.beta.len(), mean.len(), variance.len()]);
    let channels = shape.planes_to_write(out).into_par_iter().zip(mean.par_iter_mut().zip(variance));
    channels.with_max_len(1).enumerate().for_each(|(c, (mut out, (mean, variance)))| {
        let x = shape.planes(x, c);
        (*mean, *variance) = statistics(shape, &x);
        let scaling = shape.scaling(c, affine, (*mean, *variance));
        let planes = out.par_iter_mut().zip(x).with_min_len(shape.planes_of_task());
        planes.for_each(|(out, x)| widest(|| scaling.write(x, out)));
    });
}

/// Mean and variance of a channel: of its planes first, which are then joined in their order (Chan et al., "Algorithms for
/// computing the sample variance", 1983).
fn statistics(shape: &BatchNorm, planes: &[&[f32]]) -> (f32, f32) {
    let of_planes: Vec<(f64, f64)> = planes
        .par_iter()
        .with_min_len(shape.planes_of_task())
        .map(|plane| widest(|| lanes::mean_and_squares(plane)))
        .collect();
    let count = (shape.batch * shape.pixels) as f64;
    let mean = of_planes.iter().map(|(mean, _)| mean).sum::<f64>() / of_planes.len() as f64;
    let about = |&(own, squares): &(f64, f64)| squares + shape.pixels as f64 * (own - mean) * (own - mean);
    (mean as f32, (of_planes.iter().map(about).sum::<f64>() / count) as f32)
}

/// The `gradients` for the gradient `dy` of the output.
pub fn backward(
    shape: &BatchNorm,
    x: &[f32],
    dy: &[f32],
    affine: Affine<'_>,
    statistics: Statistics<'_>,
    gradients: Gradients<'_>,
) {
    let Gradients { x: dx, gamma: dgamma, beta: dbeta } = gradients;
    let of_channels = [affine.gamma.len(), affine.beta.len(), statistics.mean.len(), statistics.variance.len()];
    shape.check(&[x.len(), dy.len(), dx.len()], &of_channels);
    shape.check(&[], &[dgamma.len(), dbeta.len()]);
    let channels = shape.planes_to_write(dx).into_par_iter().zip(dgamma.par_iter_mut().zip(dbeta));
    channels.with_max_len(1).enumerate().for_each(|(c, (mut dx, (dgamma, dbeta)))| {
        let scaling = shape.scaling(c, affine, (statistics.mean[c], statistics.variance[c]));
        let (x, dy) = (shape.planes(x, c), shape.planes(dy, c));
        let least = shape.planes_of_task();
        let planes = x.par_iter().zip(&dy).with_min_len(least);
        let sums: Vec<[f64; 2]> = planes.map(|(x, dy)| widest(|| scaling.sums(x, dy))).collect();
        let [plain, along] = sums.iter().fold([0.0; 2], |all, sums| [all[0] + sums[0], all[1] + sums[1]]);
        (*dbeta, *dgamma) = (plain as f32, along as f32);
        let count = (shape.batch * shape.pixels) as f64;
        let means = ((plain / count) as f32, (along / count) as f32);
        let planes = dx.par_iter_mut().zip(x.par_iter().zip(&dy)).with_min_len(least);
        planes.for_each(|(dx, (x, dy))| widest(|| scaling.write_gradient(x, dy, means, dx)));
    });
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
