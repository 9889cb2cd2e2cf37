//! Largest value of 2x2 windows with step 2; a last odd row or column is left out.

use rayon::prelude::*;

/// The shape of a halving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Images times channels.
    pub planes: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

impl MaxPool {
    /// Values of the input, `[N, C, H, W]`.
    pub fn input_len(&self) -> usize {
        self.planes * self.height * self.width
    }

    /// Values of the output, `[N, C, H/2, W/2]`, and indices.
    pub fn output_len(&self) -> usize {
        self.planes * (self.height / 2) * (self.width / 2)
    }
}

/// `out` = the largest values, and `index` = where in its window each was: `2 * row + column`, 0 to 3.
///
/// The first of equal values counts, and NaN before any number.
pub fn forward(shape: &MaxPool, x: &[f32], out: &mut [f32], index: &mut [u8]) {
    let (half, width) = (shape.width / 2, shape.width);
    for (at, (out, index)) in out.iter_mut().zip(index).enumerate() {
        let (plane, y, column) = (at / half / (shape.height / 2), at / half % (shape.height / 2), at % half);
        let corner = (plane * shape.height + 2 * y) * width + 2 * column;
        (*out, *index) = (x[corner], 0);
        for tap in 1..4u8 {
            let value = x[corner + usize::from(tap / 2) * width + usize::from(tap % 2)];
            if value > *out || value.is_nan() {
                (*out, *index) = (value, tap);
            }
        }
    }
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn backward(shape: &MaxPool, dy: &[f32], index: &[u8], dx: &mut [f32]) {
    let (half, width) = (shape.width / 2, shape.width);
    let (plane, halved) = (shape.height * width, (shape.height / 2) * half);
    dx.par_chunks_mut(plane.max(1)).enumerate().for_each(|(number, dx)| {
        dx.fill(0.0);
        for at in 0..halved {
            let tap = usize::from(index[number * halved + at]);
            let (y, column) = (at / half, at % half);
            dx[(2 * y + tap / 2) * width + 2 * column + tap % 2] = dy[number * halved + at];
        }
    });
}
