//! 2-D convolution as networks mean it: `out[n][o][y][x] = b[o] + sum w[o][i][ky][kx] * in[n][i][y*s + ky - r][x*s + kx - r]`
//! over the in-channels i and the taps ky, kx of a kernel of `2r + 1` by `2r + 1`, with zeros outside the image and the
//! stride s.

use rayon::prelude::*;

use super::Precision;
use super::simd::widest;

/// The shape of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Images, N.
    pub batch: usize,
    /// Channels that are read.
    pub in_channels: usize,
    /// Channels that are written.
    pub out_channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Rows and columns of the kernel: odd. Half of it, rounded down, is the padding.
    pub kernel: usize,
    /// Step between outputs in rows and columns of the input: 1 or 2.
    pub stride: usize,
}

impl Conv {
    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Values of the input, `[N, in, H, W]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.height * self.width
    }

    /// Values of the output, `[N, out, out H, out W]`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.out_height() * self.out_width()
    }

    /// Weights, `[out, in, kernel, kernel]`.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    fn check(&self, input: usize, weights: usize, output: usize) {
        assert!(
            self.kernel % 2 == 1 && (1..=2).contains(&self.stride),
            "an odd kernel and a stride of 1 or 2: {self:?}"
        );
        assert_eq!(input, self.input_len(), "input of {self:?}");
        assert_eq!(weights, self.weight_len(), "weights of {self:?}");
        assert_eq!(output, self.output_len(), "output of {self:?}");
    }

    /// For outputs at distance 1: the outputs `from..to` of a row or column whose tap `tap` lies in the image.
    fn inside(&self, tap: usize, size: usize, out_size: usize) -> (usize, usize) {
        let pad = self.kernel / 2;
        let from = pad.saturating_sub(tap).div_ceil(self.stride);
        let to = (size + pad).saturating_sub(tap).div_ceil(self.stride).min(out_size);
        (from.min(to), to)
    }
}

/// `out` = the convolution of `x` with the weights `w` plus the bias `b` (`[out]`).
pub fn forward(shape: &Conv, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32], _precision: Precision) {
    shape.check(x.len(), w.len(), out.len());
    assert!(b.is_none_or(|b| b.len() == shape.out_channels), "bias of {shape:?}");
    let plane = shape.out_height() * shape.out_width();
    out.par_chunks_mut(plane.max(1)).enumerate().for_each(|(index, out)| {
        let (n, o) = (index / shape.out_channels, index % shape.out_channels);
        out.fill(b.map_or(0.0, |b| b[o]));
        widest(|| {
            each_row(shape, n, o, |tap, at, x_at| {
                let (row, x) = (&mut out[at.0..at.1], &x[x_at..]);
                row.iter_mut().zip(x.iter().step_by(shape.stride)).for_each(|(out, &x)| *out += w[tap] * x);
            })
        });
    });
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Conv, dy: &[f32], w: &[f32], dx: &mut [f32], _precision: Precision) {
    shape.check(dx.len(), w.len(), dy.len());
    let image = shape.in_channels * shape.height * shape.width;
    dx.par_chunks_mut(image.max(1)).enumerate().for_each(|(n, dx)| {
        dx.fill(0.0);
        let plane = shape.out_height() * shape.out_width();
        for o in 0..shape.out_channels {
            let dy = &dy[(n * shape.out_channels + o) * plane..][..plane];
            widest(|| {
                each_row(shape, 0, o, |tap, at, x_at| {
                    let (row, dx) = (&dy[at.0..at.1], &mut dx[x_at..]);
                    dx.iter_mut().step_by(shape.stride).zip(row).for_each(|(dx, &dy)| *dx += w[tap] * dy);
                })
            });
        }
    });
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(
    shape: &Conv,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    _precision: Precision,
) {
    shape.check(x.len(), dw.len(), dy.len());
    let plane = shape.out_height() * shape.out_width();
    let taps = shape.in_channels * shape.kernel * shape.kernel;
    dw.par_chunks_mut(taps.max(1)).enumerate().for_each(|(o, dw)| {
        dw.fill(0.0);
        for n in 0..shape.batch {
            let dy = &dy[(n * shape.out_channels + o) * plane..][..plane];
            widest(|| {
                each_row(shape, n, 0, |tap, at, x_at| {
                    let products = dy[at.0..at.1].iter().zip(x[x_at..].iter().step_by(shape.stride));
                    dw[tap] += products.map(|(dy, x)| dy * x).sum::<f32>();
                })
            });
        }
    });
    if let Some(db) = db {
        assert_eq!(db.len(), shape.out_channels, "bias of {shape:?}");
        db.par_iter_mut().enumerate().for_each(|(o, db)| {
            let planes = (0..shape.batch).map(|n| &dy[(n * shape.out_channels + o) * plane..][..plane]);
            *db = planes.map(|dy| dy.iter().sum::<f32>()).sum();
        });
    }
}

/// Calls `row` for each in-channel, tap and row of out-channel `o` of image `n`: with the index of the weight, where in the
/// output's plane the row begins and ends, and where in the input its first factor is.
#[inline(always)]
fn each_row(shape: &Conv, n: usize, o: usize, mut row: impl FnMut(usize, (usize, usize), usize)) {
    let (out_height, out_width) = (shape.out_height(), shape.out_width());
    let pad = shape.kernel / 2;
    for i in 0..shape.in_channels {
        for ky in 0..shape.kernel {
            let (top, bottom) = shape.inside(ky, shape.height, out_height);
            for kx in 0..shape.kernel {
                let (left, right) = shape.inside(kx, shape.width, out_width);
                if left == right {
                    continue;
                }
                let tap = ((o * shape.in_channels + i) * shape.kernel + ky) * shape.kernel + kx;
                for y in top..bottom {
                    let line = (n * shape.in_channels + i) * shape.height + y * shape.stride + ky - pad;
                    let x = left * shape.stride + kx - pad;
                    row(tap, (y * out_width + left, y * out_width + right), line * shape.width + x);
                }
            }
        }
    }
}
