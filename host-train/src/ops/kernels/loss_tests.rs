use super::super::oracle::{Random, assert_near, assert_same_on_any_threads};
use super::*;

struct Case {
    batch: usize,
    classes: usize,
    pixels: usize,
    weights: Option<Vec<f32>>,
    logits: Vec<f32>,
    truth: Vec<f32>,
    dice_weight: f32,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let (batch, classes, pixels) = (random.whole(1, 3), random.whole(2, 6), random.whole(1, 150));
        let mut truth = vec![0.0; batch * classes * pixels];
        for at in 0..batch * pixels {
            let class = random.whole(0, classes - 1);
            truth[(at / pixels * classes + class) * pixels + at % pixels] = 1.0;
        }
        let weights: Vec<f32> = random.values(classes).iter().map(|value| value + 1.5).collect();
        Self {
            batch,
            classes,
            pixels,
            weights: random.one_of(&[false, true]).then_some(weights),
            logits: random.values(batch * classes * pixels).iter().map(|value| 6.0 * value).collect(),
            truth,
            dice_weight: random.one_of(&[0.0, 0.7, 1.0]),
        }
    }

    fn shape(&self) -> CrossEntropyDice<'_> {
        let Self { batch, classes, pixels, dice_weight, .. } = *self;
        let class_weights = self.weights.as_deref();
        CrossEntropyDice { batch, classes, pixels, class_weights, cross_entropy_weight: 0.9, dice_weight }
    }

    fn results(&self) -> (f32, Vec<f32>) {
        let mut gradient = vec![f32::NAN; self.logits.len()];
        let value = value_and_gradient(&self.shape(), &self.logits, &self.truth, &mut gradient);
        (value, gradient)
    }

    /// The formula, in f64.
    fn value(&self, logits: &[f64]) -> f64 {
        let weight = |class: usize| self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]));
        let (mut entropy, mut total) = (0.0, 0.0);
        let mut sums = vec![[0.0; 3]; self.classes];
        for pixel in 0..self.batch * self.pixels {
            let at = |class: usize| (pixel / self.pixels * self.classes + class) * self.pixels + pixel % self.pixels;
            let all: f64 = (0..self.classes).map(|class| logits[at(class)].exp()).sum();
            for (class, sums) in sums.iter_mut().enumerate() {
                let (p, t) = (logits[at(class)].exp() / all, f64::from(self.truth[at(class)]));
                entropy -= weight(class) * t * p.ln();
                total += weight(class) * t;
                *sums = [sums[0] + p * t, sums[1] + p, sums[2] + t];
            }
        }
        let foreground: f64 = (1..self.classes).map(weight).sum();
        let dice = |class: usize| (2.0 * sums[class][0] + 1.0) / (sums[class][1] + sums[class][2] + 1.0);
        let mean = (1..self.classes).map(|class| weight(class) * dice(class)).sum::<f64>() / foreground;
        f64::from(0.9f32) * entropy / total + f64::from(self.dice_weight) * (1.0 - mean)
    }
}

#[test]
fn the_value_and_its_slopes_are_those_of_the_formula() {
    let mut random = Random::new(1);
    for _ in 0..30 {
        let case = Case::new(&mut random);
        let (value, gradient) = case.results();
        let logits: Vec<f64> = case.logits.iter().map(|&z| f64::from(z)).collect();
        let what = format!("{:?}", case.shape());
        assert!((f64::from(value) - case.value(&logits)).abs() < 1e-5 * f64::from(value), "{value} of {what}");
        let slope = |at: usize| {
            let moved = |by: f64| {
                let mut logits = logits.clone();
                logits[at] += by;
                case.value(&logits)
            };
            (moved(1e-4) - moved(-1e-4)) / 2e-4
        };
        // Some places, and the largest slope to compare with: that of one wrong pixel.
        let places: Vec<usize> = (0..40).map(|_| random.whole(0, logits.len() - 1)).collect();
        let expected: Vec<f64> = places.iter().map(|&at| slope(at)).collect();
        let got: Vec<f32> = places.iter().map(|&at| gradient[at]).collect();
        assert_near(&got, &expected, 1e-4, &what);
    }
}

#[test]
fn logits_far_apart_give_finite_numbers() {
    let shape = CrossEntropyDice {
        batch: 1,
        classes: 2,
        pixels: 2,
        class_weights: None,
        cross_entropy_weight: 1.0,
        dice_weight: 0.0,
    };
    let mut gradient = [f32::NAN; 4];
    let value = value_and_gradient(&shape, &[500.0, -300.0, -500.0, 300.0], &[0.0, 0.0, 1.0, 1.0], &mut gradient);
    assert!((value - 500.0).abs() < 1e-3, "{value}");
    assert_eq!(gradient, [0.5, 0.0, -0.5, 0.0]);
}

#[test]
fn classes_that_all_weigh_nothing_cost_nothing() {
    let (case, zeros) = (Case::new(&mut Random::new(2)), [0.0; 6]);
    let shape = CrossEntropyDice { class_weights: Some(&zeros[..case.classes]), dice_weight: 0.0, ..case.shape() };
    let mut gradient = vec![f32::NAN; case.logits.len()];
    assert_eq!(value_and_gradient(&shape, &case.logits, &case.truth, &mut gradient), 0.0);
    assert!(gradient.iter().all(|&slope| slope == 0.0));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::new(&mut Random::new(3));
    assert_same_on_any_threads(|| {
        let (value, mut gradient) = case.results();
        gradient.push(value);
        gradient
    });
}
