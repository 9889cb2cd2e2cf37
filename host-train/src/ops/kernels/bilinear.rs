//! Bilinear interpolation to twice the size.
//!
//! With the corners aligned, output i of a row of 2w lies at `i * (w - 1) / (2w - 1)`; otherwise pixels are areas, and it
//! lies at `(i + 1/2) / 2 - 1/2`, never left of the first pixel.

use rayon::prelude::*;

/// The shape of a doubling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bilinear {
    /// Images times channels.
    pub planes: usize,
    /// Rows of the input; the output has twice as many.
    pub height: usize,
    /// Columns of the input; the output has twice as many.
    pub width: usize,
    /// Whether the corner pixels keep their places.
    pub align_corners: bool,
}

/// Where an output reads: `(1 - weight) * in[low] + weight * in[high]`.
#[derive(Clone, Copy, Debug)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl Bilinear {
    /// Values of the input, `[N, C, H, W]`.
    pub fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// Values of the output, `[N, C, 2H, 2W]`.
    pub fn output_len(&self) -> usize {
        4 * self.input_len()
    }

    /// The taps of the `2 * size` outputs of a row or column of `size` inputs.
    fn taps(&self, size: usize) -> Vec<Tap> {
        let ratio = (size.max(1) - 1) as f64 / (2 * size.max(1) - 1) as f64;
        let tap = |i: usize| {
            let at = if self.align_corners { i as f64 * ratio } else { ((i as f64 + 0.5) * 0.5 - 0.5).max(0.0) };
            let low = (at as usize).min(size - 1);
            Tap { low, high: (low + 1).min(size - 1), weight: (at - low as f64) as f32 }
        };
        (0..2 * size).map(tap).collect()
    }
}

/// `out` = `x` doubled.
pub fn forward(shape: &Bilinear, x: &[f32], out: &mut [f32]) {
    let (rows, columns) = (shape.taps(shape.height), shape.taps(shape.width));
    let plane = (shape.height * shape.width).max(1);
    out.par_chunks_mut(4 * plane).zip(x.par_chunks(plane)).for_each(|(out, x)| {
        for (row, out) in rows.iter().zip(out.chunks_mut(2 * shape.width)) {
            let line = |y: usize| &x[y * shape.width..][..shape.width];
            let (low, high) = (line(row.low), line(row.high));
            for (column, out) in columns.iter().zip(out) {
                let at = |line: &[f32]| line[column.low] * (1.0 - column.weight) + line[column.high] * column.weight;
                *out = at(low) * (1.0 - row.weight) + at(high) * row.weight;
            }
        }
    });
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn backward(shape: &Bilinear, dy: &[f32], dx: &mut [f32]) {
    let (rows, columns) = (shape.taps(shape.height), shape.taps(shape.width));
    let plane = (shape.height * shape.width).max(1);
    dx.par_chunks_mut(plane).zip(dy.par_chunks(4 * plane)).for_each(|(dx, dy)| {
        dx.fill(0.0);
        for (row, dy) in rows.iter().zip(dy.chunks(2 * shape.width)) {
            for (column, &dy) in columns.iter().zip(dy) {
                for (y, share) in [(row.low, 1.0 - row.weight), (row.high, row.weight)] {
                    dx[y * shape.width + column.low] += dy * share * (1.0 - column.weight);
                    dx[y * shape.width + column.high] += dy * share * column.weight;
                }
            }
        }
    });
}
