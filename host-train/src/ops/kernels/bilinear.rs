//! Bilinear interpolation to twice the size.
//!
//! With the corners aligned, output i of a row of 2w lies at `i * (w - 1) / (2w - 1)`; otherwise pixels are areas, and it
//! lies at `(i + 1/2) / 2 - 1/2`, never left of the first pixel nor right of the last.
//!
//! Either way output 2k lies between the inputs k - 1 and k, and output 2k + 1 between k and k + 1, so that a row is two
//! sums of a row and its neighbour, with weights that are computed once:
//! `out[2k] = (1 - e[k]) in[k - 1] + e[k] in[k]` and `out[2k + 1] = (1 - o[k]) in[k] + o[k] in[k + 1]`. Columns are doubled
//! first, then rows; the way back is the transpose of both.

use rayon::prelude::*;

use super::simd::widest;

/// Values of the input that are worth a task.
const PIECE: usize = 4 * 1024;

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

/// The weights of a row or column. Beyond both ends there are an input and a weight of zero.
struct Weights {
    /// Of input k in output 2k, and 1 after the last.
    even: Vec<f32>,
    /// Of input k + 1 in output 2k + 1, and 0 before the first: the one of k is at k + 1.
    odd: Vec<f32>,
}

impl Weights {
    fn new(size: usize, align_corners: bool) -> Self {
        let (last, outputs) = (size - 1, 2 * size - 1);
        let even = |k: usize| match k {
            0 => 1.0,
            k if align_corners => (1.0 - k as f64 / outputs as f64) as f32,
            _ => 0.75,
        };
        let odd = |k: usize| match k {
            k if k == last => 0.0,
            k if align_corners => ((last - k) as f64 / outputs as f64) as f32,
            _ => 0.25,
        };
        Self {
            even: (0..size).map(even).chain([1.0]).collect(),
            odd: [0.0].into_iter().chain((0..size).map(odd)).collect(),
        }
    }
}

/// The weights e and o of a row of `size` inputs, as many of each.
pub fn weights(size: usize, align_corners: bool) -> [Vec<f32>; 2] {
    let Weights { mut even, mut odd } = Weights::new(size, align_corners);
    even.truncate(size);
    odd.remove(0);
    [even, odd]
}

/// Rows that are kept while a plane is worked on.
struct Rows {
    /// A row with a zero on both sides.
    bordered: Vec<f32>,
    /// A row of the output.
    wide: Vec<f32>,
    other_wide: Vec<f32>,
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

    fn check(&self, input: usize, output: usize) {
        assert!(input == self.input_len() && output == self.output_len(), "{input} and {output} of {self:?}");
    }

    fn weights(&self) -> (Weights, Weights) {
        (Weights::new(self.height, self.align_corners), Weights::new(self.width, self.align_corners))
    }

    fn planes_of_task(&self) -> usize {
        PIECE.div_ceil(self.height * self.width)
    }

    fn rows(&self) -> Rows {
        let wide = || vec![0.0; 2 * self.width];
        Rows { bordered: vec![0.0; self.width + 2], wide: wide(), other_wide: wide() }
    }
}

/// `out` = `x` doubled.
pub fn forward(shape: &Bilinear, x: &[f32], out: &mut [f32]) {
    shape.check(x.len(), out.len());
    if x.is_empty() {
        return;
    }
    let ((rows, columns), plane) = (shape.weights(), shape.height * shape.width);
    let planes = out.par_chunks_mut(4 * plane).zip(x.par_chunks(plane)).with_min_len(shape.planes_of_task());
    planes.for_each_init(|| shape.rows(), |kept, (out, x)| widest!(double(shape, &rows, &columns, x, kept, out)));
}

#[inline(always)]
fn double(shape: &Bilinear, rows: &Weights, columns: &Weights, x: &[f32], kept: &mut Rows, out: &mut [f32]) {
    let Rows { bordered, wide: last, other_wide: next } = kept;
    let (width, wide) = (shape.width, 2 * shape.width);
    for (y, x) in x.chunks_exact(width).enumerate() {
        bordered[1..=width].copy_from_slice(x);
        double_row(columns, bordered, next);
        // The rows 2y - 1 and 2y lie between the one before and this one.
        let (odd, even) = (rows.odd[y], rows.even[y]);
        if y == 0 {
            out[..wide].copy_from_slice(next);
        } else {
            let (upper, lower) = out[(2 * y - 1) * wide..(2 * y + 1) * wide].split_at_mut(wide);
            for (((upper, lower), &a), &b) in upper.iter_mut().zip(lower).zip(last.iter()).zip(next.iter()) {
                *upper = a * (1.0 - odd) + b * odd;
                *lower = a * (1.0 - even) + b * even;
            }
        }
        std::mem::swap(last, next);
    }
    out[(2 * shape.height - 1) * wide..].copy_from_slice(last);
}

#[inline(always)]
fn double_row(weights: &Weights, bordered: &[f32], out: &mut [f32]) {
    let size = bordered.len() - 2;
    let (before, here, after) = (&bordered[..size], &bordered[1..=size], &bordered[2..]);
    let (even, odd) = (&weights.even[..size], &weights.odd[1..=size]);
    for (k, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate().take(size) {
        *out = [before[k] * (1.0 - even[k]) + here[k] * even[k], here[k] * (1.0 - odd[k]) + after[k] * odd[k]];
    }
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn backward(shape: &Bilinear, dy: &[f32], dx: &mut [f32]) {
    shape.check(dx.len(), dy.len());
    if dx.is_empty() {
        return;
    }
    let ((rows, columns), plane) = (shape.weights(), shape.height * shape.width);
    let planes = dx.par_chunks_mut(plane).zip(dy.par_chunks(4 * plane)).with_min_len(shape.planes_of_task());
    planes.for_each_init(|| shape.rows(), |kept, (dx, dy)| widest!(halve(shape, &rows, &columns, dy, kept, dx)));
}

#[inline(always)]
fn halve(shape: &Bilinear, rows: &Weights, columns: &Weights, dy: &[f32], kept: &mut Rows, dx: &mut [f32]) {
    let (wide, last) = (2 * shape.width, shape.height - 1);
    let line = |row: usize| &dy[row * wide..][..wide];
    for (y, dx) in dx.chunks_exact_mut(shape.width).enumerate() {
        // The four rows that read this one; at the ends, one of them with a weight of zero.
        let read = [line(2 * y.max(1) - 1), line(2 * y), line(2 * y + 1), line((2 * y + 2).min(2 * last))];
        let weights = [rows.odd[y], rows.even[y], 1.0 - rows.odd[y + 1], 1.0 - rows.even[y + 1]];
        let sum = &mut kept.wide[..];
        for (x, sum) in sum.iter_mut().enumerate() {
            *sum =
                read[0][x] * weights[0] + read[1][x] * weights[1] + read[2][x] * weights[2] + read[3][x] * weights[3];
        }
        halve_row(columns, sum, dx);
    }
}

#[inline(always)]
fn halve_row(weights: &Weights, wide: &[f32], dx: &mut [f32]) {
    let size = dx.len();
    let pairs = wide.as_chunks::<2>().0;
    // Of its own two outputs first, then of the odd one before and the even one after.
    for ((dx, &[even, odd]), (k, weight)) in dx.iter_mut().zip(pairs).zip(weights.even.iter().enumerate()) {
        *dx = even * weight + odd * (1.0 - weights.odd[k + 1]);
    }
    for ((dx, &[_, odd]), weight) in dx[1..].iter_mut().zip(pairs).zip(&weights.odd[1..]) {
        *dx += odd * weight;
    }
    for ((dx, &[even, _]), weight) in dx[..size - 1].iter_mut().zip(&pairs[1..]).zip(&weights.even[1..]) {
        *dx += even * (1.0 - weight);
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, Sum, assert_same_on_any_threads, assert_sums};
    use super::*;

    fn shape(random: &mut Random) -> Bilinear {
        Bilinear {
            planes: random.whole(1, 30),
            height: random.whole(1, 20),
            width: random.whole(1, 40),
            align_corners: random.whole(0, 1) == 1,
        }
    }

    /// The two inputs and their weights of output `i` of a row of `size` inputs, as the definition says.
    fn taps(size: usize, i: usize, align_corners: bool) -> [(usize, f64); 2] {
        let at = if align_corners {
            i as f64 * (size - 1) as f64 / (2 * size - 1) as f64
        } else {
            ((i as f64 + 0.5) / 2.0 - 0.5).clamp(0.0, (size - 1) as f64)
        };
        let low = at.floor();
        [(low as usize, 1.0 - (at - low)), ((low as usize + 1).min(size - 1), at - low)]
    }

    /// Output and gradient in f64.
    fn expected(shape: &Bilinear, x: &[f32], dy: &[f32]) -> [Vec<Sum>; 2] {
        let (height, width) = (shape.height, shape.width);
        let (mut out, mut dx) = (vec![Sum::default(); dy.len()], vec![Sum::default(); x.len()]);
        for to in 0..dy.len() {
            let (plane, y, column) = (to / (4 * height * width), to / (2 * width) % (2 * height), to % (2 * width));
            for (row, by_row) in taps(height, y, shape.align_corners) {
                for (column, by_column) in taps(width, column, shape.align_corners) {
                    let from = (plane * height + row) * width + column;
                    let weight = (by_row * by_column) as f32;
                    out[to].add(x[from], weight);
                    dx[from].add(dy[to], weight);
                }
            }
        }
        [out, dx]
    }

    #[test]
    fn values_and_gradients_are_those_of_the_definition() {
        let mut random = Random::new(1);
        for _ in 0..30 {
            let shape = shape(&mut random);
            let (x, dy) = (random.values(shape.input_len()), random.values(shape.output_len()));
            let (mut out, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            forward(&shape, &x, &mut out);
            backward(&shape, &dy, &mut dx);
            let [of_out, of_dx] = expected(&shape, &x, &dy);
            assert_sums(&out, &of_out, 1e-5, &format!("out of {shape:?}"));
            assert_sums(&dx, &of_dx, 1e-5, &format!("dx of {shape:?}"));
        }
    }

    #[test]
    fn a_row_of_two_becomes_four_thirds_or_quarters_apart() {
        for (align_corners, expected) in [(true, [0.0, 1.0, 2.0, 3.0]), (false, [0.0, 0.75, 2.25, 3.0])] {
            let mut out = [f32::NAN; 8];
            forward(&Bilinear { planes: 1, height: 1, width: 2, align_corners }, &[0.0, 3.0], &mut out);
            assert_eq!(out, [expected, expected].concat()[..]);
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let mut random = Random::new(2);
        for _ in 0..5 {
            let shape = Bilinear { planes: 60, ..shape(&mut random) };
            let (x, dy) = (random.values(shape.input_len()), random.values(shape.output_len()));
            assert_same_on_any_threads(|| {
                let (mut out, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                forward(&shape, &x, &mut out);
                backward(&shape, &dy, &mut dx);
                [out, dx].concat()
            });
        }
    }
}
