use super::super::oracle::{Random, Sum, assert_same_on_any_threads, assert_sums};
use super::*;

/// Share of a sum's size that rounding may take off.
fn rounding(set: Set) -> f64 {
    // A factor keeps 8 binary digits in bf16: each is off by up to one part in 2^8, a product by twice as much.
    if set.is_bf16() { 1.01 / 128.0 } else { 1e-5 }
}

fn shapes(random: &mut Random) -> Vec<Conv> {
    let shape = |random: &mut Random, (kernel, stride), width| Conv {
        batch: random.whole(1, 3),
        in_channels: random.whole(1, 40),
        out_channels: random.whole(1, 40),
        height: random.whole(1, 20),
        width,
        kernel,
        stride,
    };
    let mut shapes: Vec<Conv> = (0..30)
        .map(|_| {
            let kind = random.one_of(&[(1, 1), (3, 1), (3, 1), (3, 2), (1, 2), (5, 1), (7, 2)]);
            let width = random.whole(1, 40);
            shape(random, kind, width)
        })
        .collect();
    // Rows that vectors fit, several bands, several ranges of out-channels, several images in a piece.
    for (width, height, channels) in [(32, 5, 3), (64, 7, 33), (128, 40, 17), (16, 16, 130), (8, 8, 70), (4, 4, 9)] {
        for kernel in [1, 3] {
            let shape = shape(random, (kernel, 1), width);
            shapes.push(Conv { height, in_channels: channels, out_channels: 140 - channels, ..shape });
        }
    }
    shapes
}

/// Calls `product` with the indices of weight, input and output for every product of the definition.
fn each_product(shape: &Conv, mut product: impl FnMut(usize, usize, usize)) {
    let (pad, out_height, out_width) = (shape.kernel / 2, shape.out_height(), shape.out_width());
    let taps = shape.kernel * shape.kernel;
    for n in 0..shape.batch {
        for o in 0..shape.out_channels {
            for i in 0..shape.in_channels {
                for at in 0..out_height * out_width {
                    for tap in 0..taps {
                        let y = (at / out_width * shape.stride + tap / shape.kernel).wrapping_sub(pad);
                        let x = (at % out_width * shape.stride + tap % shape.kernel).wrapping_sub(pad);
                        if y < shape.height && x < shape.width {
                            product(
                                (o * shape.in_channels + i) * taps + tap,
                                ((n * shape.in_channels + i) * shape.height + y) * shape.width + x,
                                (n * shape.out_channels + o) * out_height * out_width + at,
                            );
                        }
                    }
                }
            }
        }
    }
}

struct Case {
    shape: Conv,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(shape: Conv, random: &mut Random) -> Self {
        let mut values = |count| random.values(count);
        let (x, w) = (values(shape.input_len()), values(shape.weight_len()));
        Self { shape, x, w, b: values(shape.out_channels), dy: values(shape.output_len()) }
    }

    fn forward(&self, set: Set) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.shape.output_len()];
        forward_with(set, &self.shape, &self.x, &self.w, Some(&self.b), &mut out);
        out
    }

    fn input_gradient(&self, set: Set) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.shape.input_len()];
        input_gradient_with(set, &self.shape, &self.dy, &self.w, &mut dx);
        dx
    }

    fn weight_gradient(&self, set: Set) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.shape.weight_len()];
        weight_gradient_with(set, &self.shape, &self.x, &self.dy, &mut dw);
        dw
    }

    /// Output, gradient of the input, gradient of the weights.
    fn expected(&self) -> [Vec<Sum>; 3] {
        let plane = self.shape.out_height() * self.shape.out_width();
        let bias = |at: usize| f64::from(self.b[at / plane % self.shape.out_channels]);
        let mut out: Vec<Sum> = (0..self.dy.len()).map(|at| Sum { value: bias(at), size: bias(at).abs() }).collect();
        let mut dx = vec![Sum::default(); self.x.len()];
        let mut dw = vec![Sum::default(); self.w.len()];
        each_product(&self.shape, |weight, from, to| {
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
    for shape in shapes(&mut random) {
        let case = Case::new(shape, &mut random);
        let [out, dx, dw] = case.expected();
        for set in Set::all() {
            let what = format!("{shape:?} with {set:?}");
            assert_sums(&case.forward(set), &out, rounding(set), &format!("forward of {what}"));
            assert_sums(&case.input_gradient(set), &dx, rounding(set), &format!("input gradient of {what}"));
            assert_sums(&case.weight_gradient(set), &dw, rounding(set), &format!("weight gradient of {what}"));
        }
    }
}

#[test]
fn gradients_are_the_slopes_of_the_output() {
    let mut random = Random::new(2);
    for shape in shapes(&mut random) {
        let case = Case::new(shape, &mut random);
        let along = |x: &[f32], w: &[f32]| {
            let mut sum = 0.0;
            each_product(&shape, |weight, from, to| {
                sum += f64::from(w[weight]) * f64::from(x[from]) * f64::from(case.dy[to]);
            });
            sum
        };
        let (dx, dw) = (case.input_gradient(Set::of(Precision::F32)), case.weight_gradient(Set::of(Precision::F32)));
        // The output is linear in each of its factors, so that a difference over any step is the slope.
        let moved = |values: &[f32], at: usize| {
            let mut values = values.to_vec();
            values[at] += 1.0;
            values
        };
        let here = along(&case.x, &case.w);
        let (from, weight) = (random.whole(0, case.x.len() - 1), random.whole(0, case.w.len() - 1));
        let slopes = [
            (dx[from], along(&moved(&case.x, from), &case.w) - here),
            (dw[weight], along(&case.x, &moved(&case.w, weight)) - here),
        ];
        for (got, expected) in slopes {
            assert!((f64::from(got) - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{got}, {expected}: {shape:?}");
        }
    }
}

#[test]
fn bias_gradients_are_sums_over_batch_and_image() {
    let mut random = Random::new(3);
    for shape in shapes(&mut random) {
        let case = Case::new(shape, &mut random);
        let (mut dw, mut db) = (vec![0.0; shape.weight_len()], vec![f32::NAN; shape.out_channels]);
        weight_gradient(&shape, &case.x, &case.dy, &mut dw, Some(&mut db), Precision::F32);
        let mut expected = vec![Sum::default(); shape.out_channels];
        let plane = shape.out_height() * shape.out_width();
        for (at, &dy) in case.dy.iter().enumerate() {
            expected[at / plane % shape.out_channels].add(dy, 1.0);
        }
        assert_sums(&db, &expected, 1e-5, &format!("{shape:?}"));
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut random = Random::new(4);
    for shape in shapes(&mut random).into_iter().step_by(3) {
        let case = Case::new(shape, &mut random);
        for set in Set::all() {
            assert_same_on_any_threads(|| case.forward(set));
            assert_same_on_any_threads(|| case.input_gradient(set));
            assert_same_on_any_threads(|| case.weight_gradient(set));
        }
    }
}

#[test]
fn nothing_is_done_for_an_empty_batch() {
    let shape = Conv { batch: 0, in_channels: 2, out_channels: 3, height: 4, width: 5, kernel: 3, stride: 1 };
    let mut dw = vec![f32::NAN; shape.weight_len()];
    forward(&shape, &[], &[0.5; 54], None, &mut [], Precision::F32);
    input_gradient(&shape, &[], &[0.5; 54], &mut [], Precision::F32);
    weight_gradient(&shape, &[], &[], &mut dw, None, Precision::F32);
    assert_eq!(dw, vec![0.0; 54]);
}

#[test]
fn without_in_channels_the_output_is_the_bias() {
    let shape = Conv { batch: 2, in_channels: 0, out_channels: 3, height: 4, width: 5, kernel: 3, stride: 1 };
    for set in Set::all() {
        let mut out = vec![f32::NAN; shape.output_len()];
        forward_with(set, &shape, &[], &[], Some(&[1.0, 2.0, 3.0]), &mut out);
        assert!(out.iter().enumerate().all(|(at, &value)| value == (at / 20 % 3 + 1) as f32), "{set:?}");
    }
}
