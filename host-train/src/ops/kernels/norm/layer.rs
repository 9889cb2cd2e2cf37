//! Layer norm over the channels of each pixel: `out = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, mean and
//! variance being those of the C values of one pixel.
//!
//! Source: Ba et al., "Layer Normalization", 2016. Pixels stand beside one another, `[N, C, pixels]`, or each pixel's
//! channels do, `[rows, C]`: the same with one pixel an image. With h the normalised x and g = `gamma * dy`,
//! `dx = (g - mean g - h * mean(g h)) / deviation`, the means being over channels.
//!
//! Pixels are worked on a tile at a time, `[C][TILE]`, in which they are neighbours whatever they are in memory.

use rayon::prelude::*;

use super::super::lanes::{Lanes, TILE, lanes};
use super::super::simd::widest;
use super::{Affine, Gradients, Statistics};

/// Rows of a task, where the channels of a pixel are neighbours in memory.
const ROWS: usize = 2 * TILE;

/// The shape of a layer norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Images, N.
    pub batch: usize,
    /// Channels, C.
    pub channels: usize,
    /// Pixels of a channel, H*W; 1 where the channels of a pixel are neighbours in memory.
    pub pixels: usize,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm {
    /// Values of input and output, `[N, C, pixels]`.
    pub fn values(&self) -> usize {
        self.batch * self.channels * self.pixels
    }

    /// Means, and variances: `[N, pixels]`.
    pub fn statistics_len(&self) -> usize {
        self.batch * self.pixels
    }

    fn check(&self, values: &[usize], channels: &[usize], statistics: [usize; 2]) {
        assert!(values.iter().all(|&length| length == self.values()), "values of {self:?}: {values:?}");
        assert!(channels.iter().all(|&length| length == self.channels), "channels of {self:?}: {channels:?}");
        assert!(statistics.iter().all(|&length| length == self.statistics_len()), "statistics of {self:?}");
    }

    /// Pixels of a task: those of an image, or some rows.
    fn pixels_of_task(&self) -> usize {
        if self.pixels == 1 { ROWS } else { self.pixels.max(1) }
    }

    fn values_of_task(&self) -> usize {
        (self.pixels_of_task() * self.channels).max(1)
    }

    /// The tiles of a task that has so many values.
    fn tiles(&self, values: usize) -> impl Iterator<Item = Tile> + use<> {
        let pixels = values / self.channels.max(1);
        let (of_pixel, of_channel) = if self.pixels == 1 { (self.channels, 1) } else { (1, pixels) };
        let tile = move |first: usize| Tile { first, pixels: TILE.min(pixels - first), of_pixel, of_channel };
        (0..pixels).step_by(TILE).map(tile)
    }

    /// Means, from sums over channels.
    #[inline(always)]
    fn mean(&self, sums: Lanes) -> Lanes {
        sums.map(|sum| sum / self.channels as f32)
    }

    #[inline(always)]
    fn inverse(&self, variance: Lanes) -> Lanes {
        variance.map(|variance| 1.0 / (variance + self.epsilon).sqrt())
    }
}

/// Up to [`TILE`] pixels from `first` on, and how far apart pixels and channels are.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    pixels: usize,
    of_pixel: usize,
    of_channel: usize,
}

impl Tile {
    /// Fills `rows`, one a channel; missing pixels are zero.
    #[inline(always)]
    fn read(&self, from: &[f32], rows: &mut [Lanes]) {
        for (c, row) in rows.iter_mut().enumerate() {
            let from = &from[self.first * self.of_pixel + c * self.of_channel..];
            if self.of_pixel == 1 && self.pixels == TILE {
                row.copy_from_slice(&from[..TILE]);
            } else {
                row.fill(0.0);
                let values = from.iter().step_by(self.of_pixel).take(self.pixels);
                row.iter_mut().zip(values).for_each(|(place, &value)| *place = value);
            }
        }
    }

    #[inline(always)]
    fn write(&self, c: usize, row: &Lanes, to: &mut [f32]) {
        let to = &mut to[self.first * self.of_pixel + c * self.of_channel..];
        if self.of_pixel == 1 && self.pixels == TILE {
            to[..TILE].copy_from_slice(row);
        } else {
            let places = to.iter_mut().step_by(self.of_pixel).take(self.pixels);
            places.zip(row).for_each(|(place, &value)| *place = value);
        }
    }

    /// A value of each pixel; missing ones are `other`.
    #[inline(always)]
    fn of_pixels(&self, values: &[f32], other: f32) -> Lanes {
        let mut lanes = [other; TILE];
        lanes[..self.pixels].copy_from_slice(&values[self.first..self.first + self.pixels]);
        lanes
    }

    #[inline(always)]
    fn to_pixels(self, lanes: &Lanes, values: &mut [f32]) {
        values[self.first..self.first + self.pixels].copy_from_slice(&lanes[..self.pixels]);
    }
}

/// `out`, and the `mean` and `variance` of each pixel.
pub fn forward(
    shape: &LayerNorm,
    x: &[f32],
    affine: Affine<'_>,
    out: &mut [f32],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    let statistics = [mean.len(), variance.len()];
    shape.check(&[x.len(), out.len()], &[affine.gamma.len(), affine.beta.len()], statistics);
    let (values, pixels) = (shape.values_of_task(), shape.pixels_of_task());
    let statistics = mean.par_chunks_mut(pixels).zip(variance.par_chunks_mut(pixels));
    let tasks = x.par_chunks(values).zip(out.par_chunks_mut(values)).zip(statistics);
    tasks.for_each(|((x, out), (mean, variance))| {
        let mut rows = vec![[0.0; TILE]; shape.channels];
        for tile in shape.tiles(x.len()) {
            widest!(forward_of_tile(shape, tile, x, affine, &mut rows, Results { out, mean, variance }));
        }
    });
}

/// Where the results of a task go: values, and a mean and a variance of each pixel.
struct Results<'a> {
    out: &'a mut [f32],
    mean: &'a mut [f32],
    variance: &'a mut [f32],
}

#[inline(always)]
fn forward_of_tile(
    shape: &LayerNorm,
    tile: Tile,
    x: &[f32],
    affine: Affine<'_>,
    rows: &mut [Lanes],
    Results { out, mean, variance }: Results<'_>,
) {
    tile.read(x, rows);
    let m = shape.mean(rows.iter().fold([0.0; TILE], |sum, row| lanes(|lane| sum[lane] + row[lane])));
    let squares = rows
        .iter()
        .fold([0.0; TILE], |sum, row| lanes(|lane| sum[lane] + (row[lane] - m[lane]) * (row[lane] - m[lane])));
    let v = shape.mean(squares);
    let inverse = shape.inverse(v);
    tile.to_pixels(&m, mean);
    tile.to_pixels(&v, variance);
    for (c, row) in rows.iter().enumerate() {
        let (gamma, beta) = (affine.gamma[c], affine.beta[c]);
        tile.write(c, &lanes(|lane| (row[lane] - m[lane]) * inverse[lane] * gamma + beta), out);
    }
}

/// The `gradients` for the gradient `dy` of the output.
pub fn backward(
    shape: &LayerNorm,
    x: &[f32],
    dy: &[f32],
    gamma: &[f32],
    statistics: Statistics<'_>,
    gradients: Gradients<'_>,
) {
    let Gradients { x: dx, gamma: dgamma, beta: dbeta } = gradients;
    let of_channels = [gamma.len(), dgamma.len(), dbeta.len()];
    shape.check(&[x.len(), dy.len(), dx.len()], &of_channels, [statistics.mean.len(), statistics.variance.len()]);
    let (values, pixels) = (shape.values_of_task(), shape.pixels_of_task());
    let of_pixels = statistics.mean.par_chunks(pixels).zip(statistics.variance.par_chunks(pixels));
    let tasks = x.par_chunks(values).zip(dy.par_chunks(values)).zip(dx.par_chunks_mut(values)).zip(of_pixels);
    let sums: Vec<Vec<[f64; 2]>> = tasks
        .map(|(((x, dy), dx), (mean, variance))| {
            let mut sums = vec![[0.0; 2]; shape.channels];
            let mut rows = vec![[0.0; TILE]; 2 * shape.channels];
            for tile in shape.tiles(x.len()) {
                let task = Task { x, dy, gamma, statistics: Statistics { mean, variance } };
                widest!(backward_of_tile(shape, tile, task, &mut rows, dx, &mut sums));
            }
            sums
        })
        .collect();
    for (c, (dgamma, dbeta)) in dgamma.iter_mut().zip(dbeta).enumerate() {
        let of_channel = || sums.iter().map(|sums| sums[c]);
        *dgamma = of_channel().map(|[along, _]| along).sum::<f64>() as f32;
        *dbeta = of_channel().map(|[_, plain]| plain).sum::<f64>() as f32;
    }
}

/// What the way back reads for the pixels of a task.
struct Task<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    gamma: &'a [f32],
    statistics: Statistics<'a>,
}

#[inline(always)]
fn backward_of_tile(
    shape: &LayerNorm,
    tile: Tile,
    Task { x, dy, gamma, statistics }: Task<'_>,
    rows: &mut [Lanes],
    dx: &mut [f32],
    sums: &mut [[f64; 2]],
) {
    let (h, slopes) = rows.split_at_mut(shape.channels);
    tile.read(x, h);
    tile.read(dy, slopes);
    let mean = tile.of_pixels(statistics.mean, 0.0);
    let inverse = shape.inverse(tile.of_pixels(statistics.variance, 1.0));
    let (mut plain, mut along) = ([0.0; TILE], [0.0; TILE]);
    for (c, (h, dy)) in h.iter_mut().zip(slopes.iter()).enumerate() {
        *h = lanes(|lane| (h[lane] - mean[lane]) * inverse[lane]);
        let product = lanes(|lane| dy[lane] * h[lane]);
        sums[c] = [sums[c][0] + f64::from(sum(product)), sums[c][1] + f64::from(sum(*dy))];
        plain = lanes(|lane| plain[lane] + gamma[c] * dy[lane]);
        along = lanes(|lane| along[lane] + gamma[c] * product[lane]);
    }
    let (plain, along) = (shape.mean(plain), shape.mean(along));
    for (c, (h, dy)) in h.iter().zip(slopes.iter()).enumerate() {
        let row = lanes(|lane| (gamma[c] * dy[lane] - plain[lane] - h[lane] * along[lane]) * inverse[lane]);
        tile.write(c, &row, dx);
    }
}

/// The sum of the lanes: quarters of them first, as vectors.
#[inline(always)]
fn sum(lanes: Lanes) -> f32 {
    const QUARTER: usize = TILE / 4;
    let mut quarters = [0.0; QUARTER];
    for (lane, sum) in quarters.iter_mut().enumerate() {
        *sum = lanes[lane] + lanes[lane + QUARTER] + (lanes[lane + 2 * QUARTER] + lanes[lane + 3 * QUARTER]);
    }
    quarters.iter().sum()
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
