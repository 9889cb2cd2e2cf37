//! Largest value of 2x2 windows with step 2; a last odd row or column is left out.

use rayon::prelude::*;

use super::simd::widest;

/// Values of the input that are worth a task.
const PIECE: usize = 16 * 1024;

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
        self.planes * self.halved()
    }

    /// Values of a plane of the output.
    fn halved(&self) -> usize {
        (self.height / 2) * (self.width / 2)
    }

    fn planes_of_task(&self) -> usize {
        PIECE.div_ceil((self.height * self.width).max(1))
    }

    fn check(&self, large: usize, small: [usize; 2]) {
        assert!(large == self.input_len() && small == [self.output_len(); 2], "{large} and {small:?} of {self:?}");
    }
}

/// `out` = the largest values, and `index` = where in its window each was: `2 * row + column`, 0 to 3.
///
/// The first of equal values counts, and NaN before any number.
pub fn forward(shape: &MaxPool, x: &[f32], out: &mut [f32], index: &mut [u8]) {
    shape.check(x.len(), [out.len(), index.len()]);
    if out.is_empty() {
        return;
    }
    let (width, half) = (shape.width, shape.width / 2);
    let results = out.par_chunks_mut(shape.halved()).zip(index.par_chunks_mut(shape.halved()));
    let planes = x.par_chunks(shape.height * width).zip(results).with_min_len(shape.planes_of_task());
    planes.for_each(|(x, (out, index))| {
        widest!({
            let rows = out.chunks_exact_mut(half).zip(index.chunks_exact_mut(half));
            for (rows, (out, index)) in x.chunks_exact(2 * width).zip(rows) {
                let (upper, lower) = rows.split_at(width);
                largest(upper, lower, out, index);
            }
        });
    });
}

#[inline(always)]
fn largest(upper: &[f32], lower: &[f32], out: &mut [f32], index: &mut [u8]) {
    let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
    for ((out, index), (&[a, b], &[c, d])) in out.iter_mut().zip(index).zip(upper.iter().zip(lower)) {
        let after = |(value, tap): (f32, u8), next: f32, next_tap: u8| {
            if next > value || next.is_nan() { (next, next_tap) } else { (value, tap) }
        };
        (*out, *index) = after(after(after((a, 0), b, 1), c, 2), d, 3);
    }
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn backward(shape: &MaxPool, dy: &[f32], index: &[u8], dx: &mut [f32]) {
    shape.check(dx.len(), [dy.len(), index.len()]);
    if dy.is_empty() {
        dx.fill(0.0);
        return;
    }
    let (width, half) = (shape.width, shape.width / 2);
    let slopes = dy.par_chunks(shape.halved()).zip(index.par_chunks(shape.halved()));
    let planes = dx.par_chunks_mut(shape.height * width).zip(slopes).with_min_len(shape.planes_of_task());
    planes.for_each(|(dx, (dy, index))| {
        widest!({
            let mut windows = dx.chunks_exact_mut(2 * width);
            for (rows, (dy, index)) in windows.by_ref().zip(dy.chunks_exact(half).zip(index.chunks_exact(half))) {
                let (upper, lower) = rows.split_at_mut(width);
                put(dy, index, upper, 0);
                put(dy, index, lower, 2);
            }
            windows.into_remainder().fill(0.0);
        });
    });
}

/// Fills a row of windows, whose first place has the index `first`.
#[inline(always)]
fn put(dy: &[f32], index: &[u8], row: &mut [f32], first: u8) {
    let (pairs, rest) = row.as_chunks_mut::<2>();
    for (pair, (&dy, &index)) in pairs.iter_mut().zip(dy.iter().zip(index)) {
        *pair = [if index == first { dy } else { 0.0 }, if index == first + 1 { dy } else { 0.0 }];
    }
    rest.fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, assert_same_on_any_threads};
    use super::*;

    fn shape(random: &mut Random) -> MaxPool {
        let planes = random.whole(1, 120);
        MaxPool { planes, height: random.whole(1, 20), width: random.whole(1, 40) }
    }

    /// Output, index, gradient.
    fn results(shape: &MaxPool, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<u8>, Vec<f32>) {
        let (mut out, mut index) = (vec![f32::NAN; shape.output_len()], vec![9; shape.output_len()]);
        forward(shape, x, &mut out, &mut index);
        let mut dx = vec![f32::NAN; shape.input_len()];
        backward(shape, dy, &index, &mut dx);
        (out, index, dx)
    }

    #[test]
    fn the_largest_of_each_window_is_taken_and_gets_the_gradient() {
        let mut random = Random::new(1);
        for _ in 0..30 {
            let shape = shape(&mut random);
            let (x, dy) = (random.values(shape.input_len()), random.values(shape.output_len()));
            let (out, index, dx) = results(&shape, &x, &dy);
            let (half_height, half) = (shape.height / 2, shape.width / 2);
            let mut expected = vec![0.0; x.len()];
            for at in 0..out.len() {
                let (plane, y, column) = (at / (half_height * half), at / half % half_height, at % half);
                let corner = (plane * shape.height + 2 * y) * shape.width + 2 * column;
                let window = [corner, corner + 1, corner + shape.width, corner + shape.width + 1];
                let best = window.into_iter().max_by(|&a, &b| x[a].total_cmp(&x[b])).expect("four places");
                assert_eq!((out[at], window[usize::from(index[at])]), (x[best], best), "{at} of {shape:?}");
                expected[best] = dy[at];
            }
            assert_eq!(dx, expected, "{shape:?}");
        }
    }

    #[test]
    fn the_first_of_equals_counts_and_nan_before_any_number() {
        let shape = MaxPool { planes: 1, height: 2, width: 6 };
        let x = [1.0, 1.0, 0.0, f32::NAN, f32::NEG_INFINITY, f32::NEG_INFINITY];
        let below = [1.0, 1.0, 5.0, 6.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
        let (out, index, _) = results(&shape, &[x, below].concat(), &[1.0; 3]);
        assert_eq!(index, [0, 1, 0]);
        assert!(out[1].is_nan() && out[2] == f32::NEG_INFINITY);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let shape = MaxPool { planes: 100, height: 33, width: 31 };
        let mut random = Random::new(2);
        let (x, dy) = (random.values(shape.input_len()), random.values(shape.output_len()));
        assert_same_on_any_threads(|| {
            let (out, _, dx) = results(&shape, &x, &dy);
            [out, dx].concat()
        });
    }
}
