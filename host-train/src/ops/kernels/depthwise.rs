//! 3x3 convolution of each channel with its own kernel: stride 1, zeros outside the image.

use rayon::prelude::*;

/// Weights of a channel.
const TAPS: usize = 9;

/// The shape of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depthwise {
    /// Images, N.
    pub batch: usize,
    /// Channels, C.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Depthwise {
    /// Values of input and output, `[N, C, H, W]`.
    pub fn values(&self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    fn plane(&self) -> usize {
        self.height * self.width
    }

    /// The pixel at tap `tap` around `(y, x)`, if it is in the image.
    fn neighbour(&self, y: usize, x: usize, tap: usize) -> Option<usize> {
        let (y, x) = ((y + tap / 3).checked_sub(1)?, (x + tap % 3).checked_sub(1)?);
        (y < self.height && x < self.width).then_some(y * self.width + x)
    }
}

/// `out` = each channel of `x` convolved with its weights in `w` (`[C, 1, 3, 3]`), plus the bias `b` (`[C]`).
pub fn forward(shape: &Depthwise, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32]) {
    let plane = shape.plane().max(1);
    out.par_chunks_mut(plane).zip(x.par_chunks(plane)).enumerate().for_each(|(index, (out, x))| {
        let c = index % shape.channels;
        for y in 0..shape.height {
            for column in 0..shape.width {
                let taps = (0..TAPS).filter_map(|tap| Some(w[c * TAPS + tap] * x[shape.neighbour(y, column, tap)?]));
                out[y * shape.width + column] = taps.sum::<f32>() + b.map_or(0.0, |b| b[c]);
            }
        }
    });
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Depthwise, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let turned: Vec<f32> = w.chunks(TAPS).flat_map(|w| w.iter().rev().copied()).collect();
    forward(shape, dy, &turned, None, dx);
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(shape: &Depthwise, x: &[f32], dy: &[f32], dw: &mut [f32], db: Option<&mut [f32]>) {
    let plane = shape.plane();
    dw.par_chunks_mut(TAPS).enumerate().for_each(|(c, dw)| {
        dw.fill(0.0);
        for n in 0..shape.batch {
            let start = (n * shape.channels + c) * plane;
            let (x, dy) = (&x[start..start + plane], &dy[start..start + plane]);
            for (at, &dy) in dy.iter().enumerate() {
                for (tap, dw) in dw.iter_mut().enumerate() {
                    *dw += shape.neighbour(at / shape.width, at % shape.width, tap).map_or(0.0, |from| dy * x[from]);
                }
            }
        }
    });
    if let Some(db) = db {
        for (c, db) in db.iter_mut().enumerate() {
            *db = (0..shape.batch).flat_map(|n| &dy[(n * shape.channels + c) * plane..][..plane]).sum();
        }
    }
}
