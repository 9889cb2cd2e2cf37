use super::super::super::oracle::{Random, assert_near, assert_same_on_any_threads};
use super::*;

struct Case {
    shape: BatchNorm,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dy: Vec<f32>,
}

/// What a batch norm gives and its way back.
struct Results<T> {
    out: Vec<T>,
    mean: Vec<T>,
    variance: Vec<T>,
    dx: Vec<T>,
    dgamma: Vec<T>,
    dbeta: Vec<T>,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let shape = BatchNorm {
            batch: random.whole(1, 3),
            channels: random.whole(1, 40),
            pixels: random.whole(2, 40) * random.whole(1, 40),
            epsilon: 1e-5,
            relu: random.whole(0, 1) == 1,
        };
        // Channels lie far from zero, where sums of squares would lose their digits.
        let apart: Vec<f32> = random.values(shape.channels).iter().map(|value| 30.0 * value).collect();
        let x = random.values(shape.values()).into_iter().enumerate();
        let x = x.map(|(at, x)| x + apart[at / shape.pixels % shape.channels]).collect();
        let (gamma, beta) = (random.values(shape.channels), random.values(shape.channels));
        Self { shape, x, gamma, beta, dy: random.values(shape.values()) }
    }

    fn affine(&self) -> Affine<'_> {
        Affine { gamma: &self.gamma, beta: &self.beta }
    }

    fn results(&self) -> Results<f32> {
        let none = |count| vec![f32::NAN; count];
        let (values, channels) = (self.shape.values(), self.shape.channels);
        let (mut out, mut mean, mut variance) = (none(values), none(channels), none(channels));
        forward(&self.shape, &self.x, self.affine(), &mut out, &mut mean, &mut variance);
        let (mut dx, mut dgamma, mut dbeta) = (none(values), none(channels), none(channels));
        let gradients = Gradients { x: &mut dx, gamma: &mut dgamma, beta: &mut dbeta };
        let statistics = Statistics { mean: &mean, variance: &variance };
        backward(&self.shape, &self.x, &self.dy, self.affine(), statistics, gradients);
        Results { out, mean, variance, dx, dgamma, dbeta }
    }

    /// The places of channel `c`.
    fn places(&self, c: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let shape = self.shape;
        (0..shape.batch).flat_map(move |n| (0..shape.pixels).map(move |p| (n * shape.channels + c) * shape.pixels + p))
    }

    fn out_of(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (mut out, mut means, mut variances) = (vec![0.0; x.len()], Vec::new(), Vec::new());
        for c in 0..self.shape.channels {
            let places = self.places(c);
            let count = places.clone().count() as f64;
            let mean = places.clone().map(|at| x[at]).sum::<f64>() / count;
            let variance = places.clone().map(|at| (x[at] - mean).powi(2)).sum::<f64>() / count;
            for at in places {
                let deviation = (variance + f64::from(self.shape.epsilon)).sqrt();
                let y = (x[at] - mean) / deviation * f64::from(self.gamma[c]) + f64::from(self.beta[c]);
                out[at] = if self.shape.relu { y.max(0.0) } else { y };
            }
            means.push(mean);
            variances.push(variance);
        }
        (out, means, variances)
    }

    fn expected(&self) -> Results<f64> {
        let x: Vec<f64> = self.x.iter().map(|&x| f64::from(x)).collect();
        let (out, mean, variance) = self.out_of(&x);
        let (mut dx, mut dgamma, mut dbeta) = (vec![0.0; x.len()], Vec::new(), Vec::new());
        for c in 0..self.shape.channels {
            let places = self.places(c);
            let count = places.clone().count() as f64;
            let deviation = (variance[c] + f64::from(self.shape.epsilon)).sqrt();
            let h = |at: usize| (x[at] - mean[c]) / deviation;
            let g = |at: usize| if self.shape.relu && out[at] <= 0.0 { 0.0 } else { f64::from(self.dy[at]) };
            let (plain, along) = places.clone().fold((0.0, 0.0), |(a, b), at| (a + g(at), b + g(at) * h(at)));
            for at in places {
                dx[at] = f64::from(self.gamma[c]) / deviation * (g(at) - plain / count - h(at) * along / count);
            }
            dbeta.push(plain);
            dgamma.push(along);
        }
        Results { out, mean, variance, dx, dgamma, dbeta }
    }
}

/// Whether a result lies so close to zero that rounding decides what ReLU does.
fn is_on_the_edge(case: &Case) -> bool {
    let plain = Case {
        shape: BatchNorm { relu: false, ..case.shape },
        x: case.x.clone(),
        gamma: case.gamma.clone(),
        beta: case.beta.clone(),
        dy: Vec::new(),
    };
    let x: Vec<f64> = case.x.iter().map(|&x| f64::from(x)).collect();
    case.shape.relu && plain.out_of(&x).0.iter().any(|y| y.abs() < 1e-4)
}

#[test]
fn values_statistics_and_gradients_are_those_of_the_formulas() {
    let mut random = Random::new(1);
    let mut compared = 0;
    while compared < 30 {
        let case = Case::new(&mut random);
        if is_on_the_edge(&case) {
            continue;
        }
        compared += 1;
        let (got, expected) = (case.results(), case.expected());
        let what = format!("{:?}", case.shape);
        assert_near(&got.out, &expected.out, 1e-4, &format!("out of {what}"));
        assert_near(&got.mean, &expected.mean, 1e-6, &format!("mean of {what}"));
        assert_near(&got.variance, &expected.variance, 1e-5, &format!("variance of {what}"));
        assert_near(&got.dx, &expected.dx, 1e-4, &format!("dx of {what}"));
        assert_near(&got.dgamma, &expected.dgamma, 1e-4, &format!("dgamma of {what}"));
        assert_near(&got.dbeta, &expected.dbeta, 1e-4, &format!("dbeta of {what}"));
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_output() {
    let mut random = Random::new(2);
    for _ in 0..30 {
        let case = Case::new(&mut random);
        let dx = case.results().dx;
        let at = random.whole(0, case.x.len() - 1);
        let along = |step: f64| {
            let mut x: Vec<f64> = case.x.iter().map(|&x| f64::from(x)).collect();
            x[at] += step;
            case.out_of(&x).0.iter().zip(&case.dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
        };
        let slope = (along(1e-5) - along(-1e-5)) / 2e-5;
        assert!(
            (f64::from(dx[at]) - slope).abs() < 1e-3 * (1.0 + slope.abs()),
            "{}, {slope}: {:?}",
            dx[at],
            case.shape
        );
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut random = Random::new(3);
    for _ in 0..5 {
        let case = Case::new(&mut random);
        assert_same_on_any_threads(|| {
            let Results { out, mean, variance, dx, dgamma, dbeta } = case.results();
            [out, mean, variance, dx, dgamma, dbeta].concat()
        });
    }
}
