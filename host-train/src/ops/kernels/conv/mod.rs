//! 2-D convolution as networks mean it: `out[n][o][y][x] = b[o] + sum w[o][i][ky][kx] * in[n][i][y*s + ky - r][x*s + kx - r]`
//! over the in-channels i and the taps ky, kx of a kernel of `2r + 1` by `2r + 1`, with zeros outside the image and the
//! stride s.
//!
//! There is no matrix of patches. `planes` lays images out so that a tap is an offset, whatever the row; `correlate`
//! sums shifted planes into blocks of 8 out-channels by 48 pixels that stay in registers, and runs the input gradient as a
//! convolution with kernels that are turned and transposed; `gradient` takes dot products of 4 out-channels with 6
//! taps along the pixels.
//!
//! Measured in GFLOP/s of one thread at 3.7 GHz (Zen 4, whose peak is 118 in f32 and 236 in bf16), 3x3, batch 16, with the
//! copying and packing, images in the third cache:
//!
//! | channels, image | forward | input gradient | weight gradient | the same in bf16 | | |
//! |---|--:|--:|--:|--:|--:|--:|
//! | 8 to 8, 128x128 | 78 | 80 | 70 | 122 | 125 | 122 |
//! | 16 to 16, 128x128 | 92 | 91 | 77 | 160 | 158 | 136 |
//! | 32 to 32, 64x64 | 99 | 98 | 87 | 182 | 181 | 142 |
//! | 64 to 64, 32x32 | 105 | 105 | 93 | 197 | 198 | 171 |
//! | 128 to 128, 16x16 | 107 | 105 | 95 | 192 | 190 | 162 |
//! | 256 to 256, 8x8 | 98 | 92 | 89 | 162 | 159 | 114 |
//!
//! AVX2 alone reaches 70 to 104 forward in f32, code without vector instructions of its own 25 to 28.

use rayon::prelude::*;

use self::planes::{Source, Step, Window};
use super::Precision;
use super::lanes;
use super::simd::{Set, widest};

pub(super) mod correlate;
pub(super) mod gradient;
pub(super) mod planes;
#[cfg(test)]
mod tests;

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

    fn window(&self) -> Window {
        Window { kernel: self.kernel, pad: self.kernel / 2, stride: self.stride }
    }

    /// The same shape with rows as they are best cut into vectors: a 1x1 kernel does not know what a row is.
    fn in_rows(&self) -> Self {
        let pixels = self.height * self.width;
        if self.kernel > 1 || self.stride > 1 || pixels == 0 {
            return *self;
        }
        let width = [512, 256, 128, 64, 32, 16].into_iter().find(|width| pixels.is_multiple_of(*width));
        let width = width.unwrap_or(if pixels <= 2048 { pixels } else { self.width });
        Self { height: pixels / width, width, ..*self }
    }
}

/// `out` = the convolution of `x` with the weights `w` plus the bias `b` (`[out]`).
pub fn forward(shape: &Conv, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32], precision: Precision) {
    forward_with(Set::of(precision), shape, x, w, b, out);
}

fn forward_with(set: Set, shape: &Conv, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32]) {
    shape.check(x.len(), w.len(), out.len());
    assert!(b.is_none_or(|b| b.len() == shape.out_channels), "bias of {shape:?}");
    let (shape, window) = (&shape.in_rows(), shape.window());
    let step = if shape.stride == 1 { Step::One } else { Step::Halved };
    let job = correlate::Job {
        set,
        window,
        source: Source { values: x, channels: shape.in_channels, height: shape.height, width: shape.width, step },
        batch: shape.batch,
        out_channels: shape.out_channels,
        height: shape.out_height(),
        width: shape.out_width(),
        spread: 1,
    };
    job.run(|o, i, tap| w[(o * shape.in_channels + i) * window.taps() + tap], b, out);
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Conv, dy: &[f32], w: &[f32], dx: &mut [f32], precision: Precision) {
    input_gradient_with(Set::of(precision), shape, dy, w, dx);
}

/// The convolution of `dy` with the kernels turned by half a turn; with a stride, of `dy` with zeros in between.
fn input_gradient_with(set: Set, shape: &Conv, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    shape.check(dx.len(), w.len(), dy.len());
    let (shape, taps) = (&shape.in_rows(), shape.window().taps());
    let (height, width) = (shape.out_height(), shape.out_width());
    let step = if shape.stride == 1 { Step::One } else { Step::Doubled };
    let job = correlate::Job {
        set,
        window: Window { stride: 1, ..shape.window() },
        source: Source { values: dy, channels: shape.out_channels, height, width, step },
        batch: shape.batch,
        out_channels: shape.in_channels,
        height: shape.height,
        width: shape.width,
        spread: 1,
    };
    job.run(|i, o, tap| w[(o * shape.in_channels + i) * taps + taps - 1 - tap], None, dx);
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(
    shape: &Conv,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    precision: Precision,
) {
    weight_gradient_with(Set::of(precision), shape, x, dy, dw);
    if let Some(db) = db {
        assert_eq!(db.len(), shape.out_channels, "bias of {shape:?}");
        bias_gradient(shape.out_height() * shape.out_width(), dy, db);
    }
}

fn weight_gradient_with(set: Set, shape: &Conv, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), dy.len());
    let shape = &shape.in_rows();
    let (height, width) = (shape.out_height(), shape.out_width());
    let step = if shape.stride == 1 { Step::One } else { Step::Halved };
    let job = gradient::Job {
        set,
        window: shape.window(),
        pixels: Source { values: x, channels: shape.in_channels, height: shape.height, width: shape.width, step },
        slopes: Source { values: dy, channels: shape.out_channels, height, width, step: Step::One },
        batch: shape.batch,
    };
    job.run(dw);
}

/// `db` = the sum of each channel of `dy`, whose planes have `pixels` values.
pub(super) fn bias_gradient(pixels: usize, dy: &[f32], db: &mut [f32]) {
    let mut sums = vec![0.0; dy.len().checked_div(pixels).unwrap_or(0)];
    sums.par_iter_mut()
        .zip(dy.par_chunks(pixels.max(1)))
        .for_each(|(sum, plane)| *sum = widest!(lanes::sum_of(plane, |value| value)) as f32);
    let channels = db.len();
    for (o, db) in db.iter_mut().enumerate() {
        *db = sums.iter().skip(o).step_by(channels).sum();
    }
}
