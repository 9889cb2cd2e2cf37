//! 3x3 convolution of each channel with its own kernel: stride 1, zeros outside the image.
//!
//! A channel of an image is copied to a plane with a column of zeros between rows and a row of zeros above and below, where
//! a tap is an offset and rows need no attention: the result is a sum of nine shifted planes.

use rayon::prelude::*;

use super::lanes;
use super::simd::widest;

/// Weights of a channel.
const TAPS: usize = 9;

/// Pixels that are worked on together.
const LANES: usize = 16;

/// Values that are worth a task.
const PIECE: usize = 4 * 1024;

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

    fn planes_of_task(&self) -> usize {
        PIECE.div_ceil(self.plane().max(1))
    }

    /// Values of a row with its zero.
    fn pitch(&self) -> usize {
        self.width + 1
    }

    /// Values from the first pixel to the last, in whole vectors.
    fn positions(&self) -> usize {
        (self.height * self.pitch()).next_multiple_of(LANES)
    }

    /// Values of a plane: with the rows of zeros, and what the taps of the last vector read.
    fn padded(&self) -> usize {
        self.positions() + 2 * self.pitch() + 2
    }

    /// Where the tap of a kernel reads for position 0; the middle one reads the first pixel.
    fn tap(&self, tap: usize) -> usize {
        tap / 3 * self.pitch() + tap % 3
    }

    fn check(&self, values: &[usize], weights: usize) {
        assert!(values.iter().all(|&length| length == self.values()), "values of {self:?}: {values:?}");
        assert_eq!(weights, self.channels * TAPS, "weights of {self:?}");
    }

    /// Copies the rows of a plane to where the pixels of position 0 are at `first`. Everything else is zero already.
    #[inline(always)]
    fn lay(&self, plane: &[f32], first: usize, padded: &mut [f32]) {
        for (row, padded) in plane.chunks_exact(self.width).zip(padded[first..].chunks_mut(self.pitch())) {
            padded[..self.width].copy_from_slice(row);
        }
    }
}

/// `out` = each channel of `x` convolved with its weights in `w` (`[C, 1, 3, 3]`), plus the bias `b` (`[C]`).
pub fn forward(shape: &Depthwise, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32]) {
    shape.check(&[x.len(), out.len()], w.len());
    assert!(b.is_none_or(|b| b.len() == shape.channels), "bias of {shape:?}");
    if out.is_empty() {
        return;
    }
    let planes = out.par_chunks_mut(shape.plane()).zip(x.par_chunks(shape.plane())).enumerate();
    planes.with_min_len(shape.planes_of_task()).for_each_init(
        || (vec![0.0; shape.padded()], vec![0.0; shape.positions()]),
        |(padded, sums), (index, (out, x))| {
            let c = index % shape.channels;
            let weights = w[c * TAPS..][..TAPS].try_into().expect("as many weights as taps");
            widest!({
                shape.lay(x, shape.tap(4), padded);
                convolve(shape, padded, weights, b.map_or(0.0, |b| b[c]), sums);
                for (out, sums) in out.chunks_exact_mut(shape.width).zip(sums.chunks(shape.pitch())) {
                    out.copy_from_slice(&sums[..shape.width]);
                }
            });
        },
    );
}

#[inline(always)]
fn convolve(shape: &Depthwise, padded: &[f32], weights: &[f32; TAPS], bias: f32, sums: &mut [f32]) {
    for (index, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut sum = [bias; LANES];
        for (tap, weight) in weights.iter().enumerate() {
            let pixels: &[f32; LANES] =
                padded[index * LANES + shape.tap(tap)..][..LANES].try_into().expect("a vector of pixels");
            for (sum, pixel) in sum.iter_mut().zip(pixels) {
                *sum += weight * pixel;
            }
        }
        *sums = sum;
    }
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Depthwise, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let turned: Vec<f32> = w.chunks(TAPS).flat_map(|w| w.iter().rev().copied()).collect();
    forward(shape, dy, &turned, None, dx);
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(shape: &Depthwise, x: &[f32], dy: &[f32], dw: &mut [f32], db: Option<&mut [f32]>) {
    shape.check(&[x.len(), dy.len()], dw.len());
    let planes = x.par_chunks(shape.plane().max(1)).zip(dy.par_chunks(shape.plane().max(1)));
    let sums: Vec<[f32; TAPS + 1]> = planes
        .with_min_len(shape.planes_of_task())
        .map_init(
            || (vec![0.0; shape.padded()], vec![0.0; shape.positions()]),
            |(padded, slopes), (x, dy)| {
                widest!({
                    shape.lay(x, shape.tap(4), padded);
                    shape.lay(dy, 0, slopes);
                    dots(shape, padded, slopes)
                })
            },
        )
        .collect();
    let of_channel = |c: usize, tap: usize| sums.iter().skip(c).step_by(shape.channels).map(|sums| sums[tap]).sum();
    for (index, dw) in dw.iter_mut().enumerate() {
        *dw = of_channel(index / TAPS, index % TAPS);
    }
    if let Some(db) = db {
        assert_eq!(db.len(), shape.channels, "bias of {shape:?}");
        db.iter_mut().enumerate().for_each(|(c, db)| *db = of_channel(c, TAPS));
    }
}

/// The dot products of the slopes with the plane at every tap, and their sum.
#[inline(always)]
fn dots(shape: &Depthwise, padded: &[f32], slopes: &[f32]) -> [f32; TAPS + 1] {
    let mut totals = [0.0; TAPS + 1];
    for (tap, total) in totals.iter_mut().enumerate().take(TAPS) {
        *total = lanes::dot(slopes, &padded[shape.tap(tap)..]);
    }
    totals[TAPS] = lanes::sum_of(slopes, |slope| slope) as f32;
    totals
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, Sum, assert_same_on_any_threads, assert_sums};
    use super::*;

    struct Case {
        shape: Depthwise,
        x: Vec<f32>,
        w: Vec<f32>,
        b: Vec<f32>,
        dy: Vec<f32>,
    }

    impl Case {
        fn new(random: &mut Random) -> Self {
            let (batch, channels) = (random.whole(1, 3), random.whole(1, 40));
            let shape = Depthwise { batch, channels, height: random.whole(1, 20), width: random.whole(1, 40) };
            let (x, w) = (random.values(shape.values()), random.values(channels * TAPS));
            Self { shape, x, w, b: random.values(channels), dy: random.values(shape.values()) }
        }

        /// Output, gradients of input, weights and bias.
        fn results(&self) -> [Vec<f32>; 4] {
            let none = |values: &[f32]| vec![f32::NAN; values.len()];
            let (mut out, mut dx, mut dw, mut db) = (none(&self.x), none(&self.x), none(&self.w), none(&self.b));
            forward(&self.shape, &self.x, &self.w, Some(&self.b), &mut out);
            input_gradient(&self.shape, &self.dy, &self.w, &mut dx);
            weight_gradient(&self.shape, &self.x, &self.dy, &mut dw, Some(&mut db));
            [out, dx, dw, db]
        }

        /// Calls `product` with the indices of weight, input and output for every product of the definition.
        fn each_product(&self, mut product: impl FnMut(usize, usize, usize)) {
            let Depthwise { channels, height, width, .. } = self.shape;
            for to in 0..self.shape.values() {
                let (plane, y, x) = (to / (height * width), to / width % height, to % width);
                for tap in 0..TAPS {
                    let (y, x) = ((y + tap / 3).wrapping_sub(1), (x + tap % 3).wrapping_sub(1));
                    if y < height && x < width {
                        product(plane % channels * TAPS + tap, (plane * height + y) * width + x, to);
                    }
                }
            }
        }

        fn expected(&self) -> [Vec<Sum>; 4] {
            let none = |values: &[f32]| vec![Sum::default(); values.len()];
            let (mut out, mut dx, mut dw, mut db) = (none(&self.x), none(&self.x), none(&self.w), none(&self.b));
            for (to, &dy) in self.dy.iter().enumerate() {
                let c = to / self.shape.plane() % self.shape.channels;
                out[to].add(self.b[c], 1.0);
                db[c].add(dy, 1.0);
            }
            self.each_product(|weight, from, to| {
                out[to].add(self.w[weight], self.x[from]);
                dx[from].add(self.w[weight], self.dy[to]);
                dw[weight].add(self.x[from], self.dy[to]);
            });
            [out, dx, dw, db]
        }
    }

    #[test]
    fn values_and_gradients_are_the_sums_of_the_definition() {
        let mut random = Random::new(1);
        for _ in 0..30 {
            let case = Case::new(&mut random);
            for (index, (got, expected)) in case.results().iter().zip(&case.expected()).enumerate() {
                assert_sums(got, expected, 1e-5, &format!("{index} of {:?}", case.shape));
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_output() {
        let mut random = Random::new(2);
        for _ in 0..30 {
            let case = Case::new(&mut random);
            let along = |x: &[f32], w: &[f32]| {
                let mut sum = 0.0;
                case.each_product(|weight, from, to| {
                    sum += f64::from(w[weight]) * f64::from(x[from]) * f64::from(case.dy[to]);
                });
                sum
            };
            // The output is linear in each of its factors, so that a difference over any step is the slope.
            let [_, dx, dw, _] = case.results();
            let (from, weight) = (random.whole(0, dx.len() - 1), random.whole(0, dw.len() - 1));
            let (mut x, mut w, here) = (case.x.clone(), case.w.clone(), along(&case.x, &case.w));
            (x[from], w[weight]) = (x[from] + 1.0, w[weight] + 1.0);
            let slopes = [(dx[from], along(&x, &case.w) - here), (dw[weight], along(&case.x, &w) - here)];
            for (got, slope) in slopes {
                assert!(
                    (f64::from(got) - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                    "{got}, {slope}: {:?}",
                    case.shape
                );
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let mut random = Random::new(3);
        for _ in 0..5 {
            let case = Case::new(&mut random);
            assert_same_on_any_threads(|| case.results().concat());
        }
    }
}
