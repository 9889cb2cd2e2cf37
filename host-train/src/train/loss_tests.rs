use super::*;

const UNIFORM: [f64; 4] = [1.0; 4];
const WEIGHTS: [f64; 4] = [0.5, 3.0, 1.0, 2.0];

const ALL: [LossName; 8] = [
    LossName::Ce,
    LossName::CeDice,
    LossName::Bce,
    LossName::BceDice,
    LossName::Focal,
    LossName::FocalDice,
    LossName::Lovasz,
    LossName::LovaszDice,
];

fn of(name: LossName, class_weights: [f64; 4]) -> Loss {
    Loss { name, dice_weight: 0.7, class_weights, focal_gamma: 2.0, head_weights: Vec::new() }
}

/// The loss of one image of two pixels; `values` by pixel, then class.
fn value(loss: &Loss, logits: [[f64; 4]; 2], classes: [usize; 2]) -> f64 {
    let device = Device::flex();
    let tensor = |f: &dyn Fn(usize, usize) -> f64| {
        let values: Vec<f32> = (0..8).map(|i| f(i % 2, i / 2) as f32).collect();
        Tensor::<4>::from_data(TensorData::new(values, [1, 4, 1, 2]), &device)
    };
    let logits = tensor(&|pixel, class| logits[pixel][class]);
    let target = tensor(&|pixel, class| f64::from(u8::from(classes[pixel] == class)));
    f64::from(loss.of(logits, target).into_scalar::<f32>())
}

/// Probabilities of two pixels, whose true classes are 0 and 1.
const P: [[f64; 4]; 2] = [[0.5, 0.25, 0.125, 0.125], [0.1, 0.6, 0.2, 0.1]];

fn of_probabilities(name: LossName, class_weights: [f64; 4]) -> f64 {
    value(&of(name, class_weights), P.map(|pixel| pixel.map(f64::ln)), [0, 1])
}

/// The logits whose sigmoids are [`P`].
fn of_sigmoids(name: LossName, class_weights: [f64; 4]) -> f64 {
    value(&of(name, class_weights), P.map(|pixel| pixel.map(|p| (p / (1.0 - p)).ln())), [0, 1])
}

fn assert_close(got: f64, expected: f64) {
    assert!((got - expected).abs() < 2e-6, "{got}, expected {expected}");
}

/// Soft Dice of the classes 1 to 3 of [`P`].
const DICE: [f64; 3] = [(2.0 * 0.6 + 1.0) / (0.85 + 1.0 + 1.0), 1.0 / (0.325 + 1.0), 1.0 / (0.225 + 1.0)];

#[test]
fn cross_entropy_is_the_mean_over_pixels_weighted_by_their_class() {
    let (a, b) = (-0.5f64.ln(), -0.6f64.ln());
    assert_close(of_probabilities(LossName::Ce, UNIFORM), (a + b) / 2.0);
    assert_close(of_probabilities(LossName::Ce, WEIGHTS), (0.5 * a + 3.0 * b) / 3.5);
}

#[test]
fn the_dice_term_is_the_weighted_mean_over_the_foreground() {
    let ce = (-0.5f64.ln() - 0.6f64.ln()) / 2.0;
    let dice = DICE.iter().sum::<f64>() / 3.0;
    assert_close(of_probabilities(LossName::CeDice, UNIFORM), ce + 0.7 * (1.0 - dice));
    let ce = (-0.5 * 0.5f64.ln() - 3.0 * 0.6f64.ln()) / 3.5;
    let dice = (3.0 * DICE[0] + DICE[1] + 2.0 * DICE[2]) / 6.0;
    assert_close(of_probabilities(LossName::CeDice, WEIGHTS), ce + 0.7 * (1.0 - dice));
}

#[test]
fn the_focal_loss_looks_away_from_what_is_sure() {
    let (a, b) = (-0.25 * 0.5f64.ln(), -0.16 * 0.6f64.ln());
    assert_close(of_probabilities(LossName::Focal, UNIFORM), (a + b) / 2.0);
    assert_close(of_probabilities(LossName::Focal, WEIGHTS), (0.5 * a + 3.0 * b) / 3.5);
    let plain = Loss { focal_gamma: 0.0, ..of(LossName::Focal, WEIGHTS) };
    let logits = P.map(|pixel| pixel.map(f64::ln));
    assert_close(value(&plain, logits, [0, 1]), of_probabilities(LossName::Ce, WEIGHTS));
}

#[test]
fn binary_cross_entropy_asks_of_each_class_whether_it_is_there() {
    let there = |pixel: usize, class: usize| pixel == class;
    let term = |pixel: usize, class: usize| {
        let p = P[pixel][class];
        if there(pixel, class) { -p.ln() } else { -(1.0 - p).ln() }
    };
    let class = |class: usize| (term(0, class) + term(1, class)) / 2.0;
    let mean = (0..4).map(class).sum::<f64>() / 4.0;
    assert_close(of_sigmoids(LossName::Bce, UNIFORM), mean);
    let weighted = (0..4).map(|c| WEIGHTS[c] * class(c)).sum::<f64>() / 6.5;
    assert_close(of_sigmoids(LossName::Bce, WEIGHTS), weighted);
    // One Dice over all foreground classes together.
    let dice = (2.0 * 0.6 + 1e-5) / (0.85 + 0.325 + 0.225 + 1.0 + 1e-5);
    assert_close(of_sigmoids(LossName::BceDice, UNIFORM), 0.5 * mean + 0.7 * (1.0 - dice));
    let dice = (2.0 * 3.0 * 0.6 + 1e-5) / (3.0 * 0.85 + 0.325 + 2.0 * 0.225 + 3.0 + 1e-5);
    assert_close(of_sigmoids(LossName::BceDice, WEIGHTS), 0.5 * weighted + 0.7 * (1.0 - dice));
}

#[test]
fn lovasz_adds_up_the_errors_by_their_part_of_the_jaccard_loss() {
    // Class 0: errors 0.5 (true), 0.1; sorted, J is 1 - 0/1 = 1, then 1: 0.5. Class 1: errors 0.25 and 0.4 (true): 0.4.
    assert_close(of_probabilities(LossName::Lovasz, UNIFORM), (0.5 + 0.4) / 2.0);
    assert_close(of_probabilities(LossName::Lovasz, WEIGHTS), (0.5 * 0.5 + 3.0 * 0.4) / 3.5);
}

#[test]
fn a_certain_and_right_answer_costs_nothing() {
    for name in ALL {
        let right = [[60.0, -60.0, -60.0, -60.0], [-60.0, 60.0, -60.0, -60.0]];
        assert_close(value(&of(name, WEIGHTS), right, [0, 1]), 0.0);
    }
}

#[test]
fn a_batch_of_classes_that_weigh_nothing_costs_nothing() {
    for name in [LossName::Ce, LossName::Focal, LossName::Lovasz] {
        let loss = of(name, [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(value(&loss, P, [0, 0]), 0.0, "{name:?}");
    }
}

#[test]
fn heads_count_by_their_weights_and_alike_without() {
    let device = Device::flex();
    let logits = |seed: usize| {
        let values: Vec<f32> = (0..32).map(|i| ((i * 7 + seed * 5) % 11) as f32 / 4.0).collect();
        Tensor::<4>::from_data(TensorData::new(values, [2, 4, 2, 2]), &device)
    };
    let target = one_hot(&[0, 1, 2, 3, 0, 0, 1, 1], [2, 2], &device);
    let mut loss = of(LossName::CeDice, UNIFORM);
    let of =
        |loss: &Loss| f64::from(loss.of_heads(vec![logits(0), logits(1), logits(2)], &target).into_scalar::<f32>());
    let each = [0, 1, 2].map(|i| f64::from(loss.of(logits(i), target.clone()).into_scalar::<f32>()));
    assert_close(of(&loss), each.iter().sum::<f64>() / 3.0);
    loss.head_weights = vec![0.0, 1.0, 3.0];
    assert_close(of(&loss), (each[1] + 3.0 * each[2]) / 4.0);
    loss.head_weights = vec![0.0, 0.0, 2.0];
    assert_close(of(&loss), each[2]);
}

/// `[B, 4, H, W]` of the classes of `B * H * W` pixels.
fn one_hot(classes: &[usize], [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let plane = height * width;
    let mut values = vec![0f32; classes.len() * 4];
    for (i, class) in classes.iter().enumerate() {
        values[(i / plane * 4 + class) * plane + i % plane] = 1.0;
    }
    Tensor::<4>::from_data(TensorData::new(values, [classes.len() / plane, 4, height, width]), device)
}

#[test]
fn gradients_are_the_slopes_of_the_values() {
    let shape = [2, 4, 2, 3];
    let logits: Vec<f32> = (0..48).map(|i| (i as f32 * 1.7).sin() + (i as f32 * 0.37).cos()).collect();
    let device = Device::flex();
    let target = one_hot(&[0, 0, 1, 1, 2, 2, 0, 1, 3, 0, 0, 2], [2, 3], &device);
    for name in ALL {
        let loss = Loss { focal_gamma: 1.5, ..of(name, WEIGHTS) };
        let value = |logits: Vec<f32>| {
            let logits = Tensor::<4>::from_data(TensorData::new(logits, shape), &device);
            f64::from(loss.of(logits, target.clone()).into_scalar::<f32>())
        };
        let training = device.clone().autodiff();
        let tracked = Tensor::<4>::from_data(TensorData::new(logits.clone(), shape), &training).require_grad();
        let gradients = loss.of(tracked.clone(), Tensor::from_inner(target.clone())).backward();
        let gradient = tracked.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
        assert!(gradient.iter().any(|g| g.abs() > 0.01), "{name:?}: {gradient:?}");
        for i in 0..48 {
            let moved = |by: f32| {
                let mut logits = logits.clone();
                logits[i] += by;
                value(logits)
            };
            // Small, so that no two errors change their order in the Lovasz losses.
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((slope - f64::from(gradient[i])).abs() < 5e-4, "{name:?} {i}: {slope}, {}", gradient[i]);
        }
    }
}

#[test]
fn names_are_those_of_the_table() {
    let names = ALL.map(|name| serde_json::to_value(name).unwrap().as_str().unwrap().to_owned());
    assert_eq!(names, ["ce", "ce-dice", "bce", "bce-dice", "focal", "focal-dice", "lovasz", "lovasz-dice"]);
}
