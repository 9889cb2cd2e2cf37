use super::super::super::oracle::{Random, assert_near, assert_same_on_any_threads};
use super::*;

struct Case {
    shape: LayerNorm,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let pixels = if random.whole(0, 2) == 0 { 1 } else { random.whole(2, 120) };
        let batch = if pixels == 1 { random.whole(1, 200) } else { random.whole(1, 3) };
        let shape = LayerNorm { batch, channels: random.whole(2, 40), pixels, epsilon: 1e-5 };
        let x = random.values(shape.values()).iter().map(|x| x + 2.0).collect();
        let (gamma, beta) = (random.values(shape.channels), random.values(shape.channels));
        Self { shape, x, gamma, beta, dy: random.values(shape.values()) }
    }

    /// Output, gradients of input, scale and offset.
    fn results(&self) -> [Vec<f32>; 4] {
        let none = |count| vec![f32::NAN; count];
        let (shape, of_pixels) = (&self.shape, self.shape.statistics_len());
        let affine = Affine { gamma: &self.gamma, beta: &self.beta };
        let (mut out, mut mean, mut variance) = (none(shape.values()), none(of_pixels), none(of_pixels));
        forward(shape, &self.x, affine, &mut out, &mut mean, &mut variance);
        let (mut dx, mut dgamma, mut dbeta) = (none(shape.values()), none(shape.channels), none(shape.channels));
        let gradients = Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        let statistics = Statistics { mean: &mean, variance: &variance };
        backward(shape, &self.x, &self.dy, &self.gamma, statistics, gradients);
        [out, dx, dgamma, dbeta]
    }

    /// The places of each pixel's channels.
    fn pixels(&self) -> Vec<Vec<usize>> {
        let LayerNorm { batch, channels, pixels, .. } = self.shape;
        let pixel = |at: usize| (0..channels).map(|c| (at / pixels * channels + c) * pixels + at % pixels).collect();
        (0..batch * pixels).map(pixel).collect()
    }

    fn out_of(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for places in self.pixels() {
            let h = normalised(x, &places, f64::from(self.shape.epsilon));
            for (c, at) in places.into_iter().enumerate() {
                out[at] = h[c] * f64::from(self.gamma[c]) + f64::from(self.beta[c]);
            }
        }
        out
    }
}

/// The channels of one pixel, normalised.
fn normalised(x: &[f64], places: &[usize], epsilon: f64) -> Vec<f64> {
    let count = places.len() as f64;
    let mean = places.iter().map(|&at| x[at]).sum::<f64>() / count;
    let variance = places.iter().map(|&at| (x[at] - mean).powi(2)).sum::<f64>() / count;
    places.iter().map(|&at| (x[at] - mean) / (variance + epsilon).sqrt()).collect()
}

#[test]
fn values_and_gradients_of_parameters_are_those_of_the_formulas() {
    let mut random = Random::new(1);
    for _ in 0..30 {
        let case = Case::new(&mut random);
        let x: Vec<f64> = case.x.iter().map(|&x| f64::from(x)).collect();
        let [out, _, dgamma, dbeta] = case.results();
        let mut expected = (vec![0.0; case.shape.channels], vec![0.0; case.shape.channels]);
        for places in case.pixels() {
            let h = normalised(&x, &places, f64::from(case.shape.epsilon));
            for (c, &at) in places.iter().enumerate() {
                expected.0[c] += f64::from(case.dy[at]) * h[c];
                expected.1[c] += f64::from(case.dy[at]);
            }
        }
        let what = format!("{:?}", case.shape);
        assert_near(&out, &case.out_of(&x), 1e-4, &format!("out of {what}"));
        assert_near(&dgamma, &expected.0, 1e-4, &format!("dgamma of {what}"));
        assert_near(&dbeta, &expected.1, 1e-4, &format!("dbeta of {what}"));
    }
}

#[test]
fn the_gradient_of_the_input_is_the_slope_of_the_output() {
    let mut random = Random::new(2);
    for _ in 0..30 {
        let case = Case::new(&mut random);
        let [_, dx, ..] = case.results();
        for _ in 0..5 {
            let at = random.whole(0, case.x.len() - 1);
            let along = |step: f64| {
                let mut x: Vec<f64> = case.x.iter().map(|&x| f64::from(x)).collect();
                x[at] += step;
                case.out_of(&x).iter().zip(&case.dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
            };
            let slope = (along(1e-6) - along(-1e-6)) / 2e-6;
            let off = (f64::from(dx[at]) - slope).abs();
            assert!(off < 1e-4 * (1.0 + slope.abs()), "{}, {slope}: {:?}", dx[at], case.shape);
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
