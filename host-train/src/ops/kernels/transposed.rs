//! 2x2 transposed convolution with step 2, which doubles an image:
//! `out[n][o][2y + a][2x + b] = bias[o] + sum w[i][o][a][b] * in[n][i][y][x]` over the in-channels i.

use super::Precision;
use super::conv::planes::{Source, Step, Window};
use super::conv::{bias_gradient, correlate, gradient};
use super::simd::Set;

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

    /// What an input pixel reads of the output, on the way back: the four pixels that came of it.
    const WINDOW: Window = Window { kernel: 2, pad: 0, stride: 2 };

    fn check(&self, input: usize, weights: usize, output: usize) {
        assert_eq!(input, self.input_len(), "input of {self:?}");
        assert_eq!(weights, self.weight_len(), "weights of {self:?}");
        assert_eq!(output, self.output_len(), "output of {self:?}");
    }

    fn small<'a>(&self, values: &'a [f32]) -> Source<'a> {
        let Self { in_channels: channels, height, width, .. } = *self;
        Source { values, channels, height, width, step: Step::One }
    }

    /// The large images as four planes a channel.
    fn large<'a>(&self, values: &'a [f32]) -> Source<'a> {
        let (height, width) = (2 * self.height, 2 * self.width);
        Source { values, channels: self.out_channels, height, width, step: Step::Halved }
    }
}

/// `out` = `x` doubled with the weights `w`, plus the bias `b` (`[out]`).
pub fn forward(shape: &Transposed, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32], precision: Precision) {
    forward_with(Set::of(precision), shape, x, w, b, out);
}

/// A 1x1 convolution to four times the channels, which are the pixels of a window.
fn forward_with(set: Set, shape: &Transposed, x: &[f32], w: &[f32], b: Option<&[f32]>, out: &mut [f32]) {
    shape.check(x.len(), w.len(), out.len());
    assert!(b.is_none_or(|b| b.len() == shape.out_channels), "bias of {shape:?}");
    let job = correlate::Job {
        set,
        window: Window { kernel: 1, pad: 0, stride: 1 },
        source: shape.small(x),
        batch: shape.batch,
        out_channels: 4 * shape.out_channels,
        height: shape.height,
        width: shape.width,
        spread: 2,
    };
    job.run(|pixel, i, _| w[i * 4 * shape.out_channels + pixel], b, out);
}

/// `dx` = the gradient of the input, for the gradient `dy` of the output.
pub fn input_gradient(shape: &Transposed, dy: &[f32], w: &[f32], dx: &mut [f32], precision: Precision) {
    input_gradient_with(Set::of(precision), shape, dy, w, dx);
}

/// A 2x2 convolution with step 2.
fn input_gradient_with(set: Set, shape: &Transposed, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    shape.check(dx.len(), w.len(), dy.len());
    let job = correlate::Job {
        set,
        window: Transposed::WINDOW,
        source: shape.large(dy),
        batch: shape.batch,
        out_channels: shape.in_channels,
        height: shape.height,
        width: shape.width,
        spread: 1,
    };
    job.run(|i, o, tap| w[(i * shape.out_channels + o) * 4 + tap], None, dx);
}

/// `dw` = the gradient of the weights and `db` = that of the bias, for the input `x` and the gradient `dy` of the output.
pub fn weight_gradient(
    shape: &Transposed,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    precision: Precision,
) {
    weight_gradient_with(Set::of(precision), shape, x, dy, dw);
    if let Some(db) = db {
        assert_eq!(db.len(), shape.out_channels, "bias of {shape:?}");
        bias_gradient(4 * shape.height * shape.width, dy, db);
    }
}

/// The weight gradient of the 2x2 convolution that leads back, whose output is `x`.
fn weight_gradient_with(set: Set, shape: &Transposed, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), dy.len());
    let (pixels, slopes) = (shape.large(dy), shape.small(x));
    gradient::Job { set, window: Transposed::WINDOW, pixels, slopes, batch: shape.batch }.run(dw);
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, Sum, assert_same_on_any_threads, assert_sums};
    use super::*;

    struct Case {
        shape: Transposed,
        x: Vec<f32>,
        w: Vec<f32>,
        b: Vec<f32>,
        dy: Vec<f32>,
    }

    impl Case {
        fn new(random: &mut Random) -> Self {
            let shape = Transposed {
                batch: random.whole(1, 3),
                in_channels: random.whole(1, 40),
                out_channels: random.whole(1, 40),
                height: random.whole(1, 12),
                width: random.one_of(&[1, 3, 4, 7, 8, 13, 16, 20, 32]),
            };
            let (x, w) = (random.values(shape.input_len()), random.values(shape.weight_len()));
            Self { shape, x, w, b: random.values(shape.out_channels), dy: random.values(shape.output_len()) }
        }

        /// Output, gradient of the input, gradient of the weights.
        fn results(&self, set: Set) -> [Vec<f32>; 3] {
            let none = |values: &[f32]| vec![f32::NAN; values.len()];
            let (mut out, mut dx, mut dw) = (none(&self.dy), none(&self.x), none(&self.w));
            forward_with(set, &self.shape, &self.x, &self.w, Some(&self.b), &mut out);
            input_gradient_with(set, &self.shape, &self.dy, &self.w, &mut dx);
            weight_gradient_with(set, &self.shape, &self.x, &self.dy, &mut dw);
            [out, dx, dw]
        }

        /// Calls `product` with the indices of weight, input and output for every product of the definition.
        fn each_product(&self, mut product: impl FnMut(usize, usize, usize)) {
            let Transposed { batch, in_channels, out_channels, height, width } = self.shape;
            for (n, i) in (0..batch).flat_map(|n| (0..in_channels).map(move |i| (n, i))) {
                for (o, at) in (0..out_channels).flat_map(|o| (0..4 * height * width).map(move |at| (o, at))) {
                    let (y, x) = (at / (2 * width), at % (2 * width));
                    product(
                        (i * out_channels + o) * 4 + y % 2 * 2 + x % 2,
                        ((n * in_channels + i) * height + y / 2) * width + x / 2,
                        (n * out_channels + o) * 4 * height * width + at,
                    );
                }
            }
        }

        fn expected(&self) -> [Vec<Sum>; 3] {
            let plane = 4 * self.shape.height * self.shape.width;
            let bias = |at: usize| f64::from(self.b[at / plane % self.shape.out_channels]);
            let mut out: Vec<Sum> =
                (0..self.dy.len()).map(|at| Sum { value: bias(at), size: bias(at).abs() }).collect();
            let (mut dx, mut dw) = (vec![Sum::default(); self.x.len()], vec![Sum::default(); self.w.len()]);
            self.each_product(|weight, from, to| {
                out[to].add(self.w[weight], self.x[from]);
                dx[from].add(self.w[weight], self.dy[to]);
                dw[weight].add(self.x[from], self.dy[to]);
            });
            [out, dx, dw]
        }
    }

    #[test]
    fn every_set_gives_the_sums_of_the_definition() {
        let mut random = Random::new(1);
        for _ in 0..30 {
            let case = Case::new(&mut random);
            let expected = case.expected();
            for set in Set::all() {
                let share = if set.is_bf16() { 1.01 / 128.0 } else { 1e-5 };
                for (index, (got, expected)) in case.results(set).iter().zip(&expected).enumerate() {
                    assert_sums(got, expected, share, &format!("{index} of {:?} with {set:?}", case.shape));
                }
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
            let [_, dx, dw] = case.results(Set::of(Precision::F32));
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
        for set in Set::all().into_iter().cycle().take(8) {
            let case = Case::new(&mut random);
            assert_same_on_any_threads(|| case.results(set).concat());
        }
    }
}
