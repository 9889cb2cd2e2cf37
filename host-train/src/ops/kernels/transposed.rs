//! 2x2 transposed convolution with step 2, which doubles an image:
//! `out[n][o][2y + a][2x + b] = bias[o] + sum w[i][o][a][b] * in[n][i][y][x]` over the in-channels i.

use rayon::prelude::*;

use super::Precision;

/// The shape of a transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transposed {
    /// Images, N.
    pub batch: usize,
    /// Channels that are read.
    pub in_channels: usize,
    /// Channels that are written.
    pub out_channels: usize,
    /// Rows of the input; the output has twice as many.
    pub height: usize,
    /// Columns of the input; the output has twice as many.
    pub width: usize,
}

impl Transposed {
    /// Values of the input, `[N, in, H, W]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Values of the output, `[N, out, 2H, 2W]`.
    pub fn output_len(&self) -> usize {
        4 * self.batch * self.out_channels * self.height * self.width
    }

    /// Weights, `[in, out, 2, 2]`.
    pub fn weight_len(&self) -> usize {
        4 * self.in_channels * self.out_channels
    }

    /// Calls `product` with the indices of input, weight and output for every product of image `n`.
    fn each(&self, n: usize, mut product: impl FnMut(usize, usize, usize)) {
        for i in 0..self.in_channels {
            for o in 0..self.out_channels {
                for at in 0..4 * self.height * self.width {
                    let (y, x) = (at / (2 * self.width), at % (2 * self.width));
                    product(
                        ((n * self.in_channels + i) * self.height + y / 2) * self.width + x / 2,
                        (i * self.out_channels + o) * 4 + (y % 2) * 2 + x % 2,
                        (n * self.out_channels + o) * 4 * self.height * self.width + at,
                    );
                }
            }
        }
    }
}

/// `out` = `x` doubled with the weights `w`, plus the bias `b` (`[out]`).
pub fn forward(shape: &Transposed, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32], _precision: Precision) {
    let plane = 4 * shape.height * shape.width;
    let image = shape.out_channels * plane;
    out.par_chunks_mut(image.max(1)).enumerate().for_each(|(n, out)| {
        for (o, out) in out.chunks_mut(plane.max(1)).enumerate() {
            out.fill(b.map_or(0.0, |b| b[o]));
        }
        shape.each(n, |from, weight, to| out[to - n * image] += w[weight] * x[from]);
    });
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Transposed, dy: &[f32], w: &[f32], dx: &mut [f32], _precision: Precision) {
    let image = shape.in_channels * shape.height * shape.width;
    dx.par_chunks_mut(image.max(1)).enumerate().for_each(|(n, dx)| {
        dx.fill(0.0);
        shape.each(n, |from, weight, to| dx[from - n * image] += w[weight] * dy[to]);
    });
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(
    shape: &Transposed,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    _precision: Precision,
) {
    dw.fill(0.0);
    for n in 0..shape.batch {
        shape.each(n, |from, weight, to| dw[weight] += x[from] * dy[to]);
    }
    if let Some(db) = db {
        let plane = 4 * shape.height * shape.width;
        for (o, db) in db.iter_mut().enumerate() {
            *db = (0..shape.batch).flat_map(|n| &dy[(n * shape.out_channels + o) * plane..][..plane]).sum();
        }
    }
}
