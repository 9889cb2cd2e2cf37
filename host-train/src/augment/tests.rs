//! The variations together: probabilities, seeds, streams, refusals.

use super::*;
use crate::config::{self, Config};
use crate::data::{Phase as HeartPhase, SliceId, Split};

const SIDE: usize = 64;

fn off() -> AugmentConfig {
    AugmentConfig::default().with_probability(0.0)
}

/// A configuration with one kind of variation turned on, always, by its name.
fn only(name: &str) -> AugmentConfig {
    let mut config = off();
    turn_on(&mut config, name);
    config
}

const NAMES: [&str; 11] =
    ["flip", "rotate", "scale", "shift", "elastic", "gamma", "bias", "phase", "ghost", "noise", "spike"];

fn turn_on(config: &mut AugmentConfig, name: &str) {
    let probability = match name {
        "flip" => &mut config.flip.probability,
        "rotate" => &mut config.rotate.probability,
        "scale" => &mut config.scale.probability,
        "shift" => &mut config.shift.probability,
        "elastic" => &mut config.elastic.probability,
        "gamma" => &mut config.gamma.probability,
        "bias" => &mut config.bias.probability,
        "phase" => &mut config.phase.probability,
        "ghost" => &mut config.ghost.probability,
        "noise" => &mut config.noise.probability,
        "spike" => &mut config.spike.probability,
        _ => panic!("no variation `{name}`"),
    };
    *probability = 1.0;
}

/// A bright block off the middle, in a dim surrounding; its pixels are class 3.
fn slice() -> Slice {
    let inside = |i: usize| (20..40).contains(&(i / SIDE)) && (15..45).contains(&(i % SIDE));
    Slice {
        id: SliceId { patient: "patient001".into(), n: 1 },
        phase: HeartPhase::Ed,
        z: 0,
        spacing_mm: [1.5, 1.5, 10.0],
        group: String::new(),
        split: Split::Train,
        height: SIDE,
        width: SIDE,
        image: (0..SIDE * SIDE).map(|i| if inside(i) { 0.9 } else { 0.1 }).collect(),
        label: (0..SIDE * SIDE).map(|i| u8::from(inside(i)) * 3).collect(),
    }
}

fn varied(config: &AugmentConfig, seed: u64) -> (Vec<f32>, Vec<u8>) {
    let slice = slice();
    vary_image(&slice.image, &slice.label, [SIDE, SIDE], config, seed)
}

#[test]
fn nothing_asked_for_changes_nothing() {
    let slice = slice();
    for seed in 0..20 {
        assert_eq!(varied(&off(), seed), (slice.image.clone(), slice.label.clone()));
        let measured = acquire(&slice.image, SIDE, SIDE, &Protocol::scanner(), stream(seed, "acquire").bits());
        assert_eq!(augment(&slice, &Protocol::scanner(), &off(), seed).kspace, measured);
    }
}

#[test]
fn each_variation_happens_always_at_probability_one() {
    let plain = |seed| augment(&slice(), &Protocol::scanner(), &off(), seed).kspace;
    for name in NAMES {
        for seed in 0..20 {
            let kspace = augment(&slice(), &Protocol::scanner(), &only(name), seed).kspace;
            assert_ne!(kspace, plain(seed), "{name}, seed {seed}");
            assert!(kspace.samples.iter().all(|v| v.re.is_finite() && v.im.is_finite()), "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_probability_is_the_part_of_samples() {
    let config = off().with_probability(0.3);
    for name in NAMES {
        let hits = (0..2000).filter(|&seed| stream(seed, name).chance(config.bias.probability)).count();
        assert!((520..680).contains(&hits), "{name}: {hits} of 2000");
    }
}

#[test]
fn image_and_classes_move_together() {
    let mut config = off();
    for name in ["flip", "rotate", "scale", "shift", "elastic"] {
        turn_on(&mut config, name);
        for seed in 0..20 {
            let (image, label) = varied(&config, seed);
            let disagree = image.iter().zip(&label).filter(|&(&i, &c)| (i > 0.5) != (c == 3)).count();
            // The block's edge has about 100 pixels; where the map is steep, the nearest and the mean differ by a hair.
            assert!(disagree <= 10, "up to {name}, seed {seed}: {disagree} pixels disagree");
            assert!(label.iter().filter(|&&c| c == 3).count() > 250);
        }
    }
}

#[test]
fn what_changes_intensities_or_k_space_leaves_the_classes_alone() {
    for name in ["gamma", "bias", "phase", "ghost", "noise", "spike"] {
        for seed in 0..5 {
            assert_eq!(augment(&slice(), &Protocol::scanner(), &only(name), seed).label, slice().label, "{name}");
        }
    }
}

#[test]
fn a_seed_gives_one_sample_and_another_seed_another() {
    let config = AugmentConfig::default().with_probability(1.0);
    let sample = |seed| augment(&slice(), &Protocol::scanner(), &config, seed);
    let (a, b, c) = (sample(5), sample(5), sample(6));
    assert_eq!((&a.kspace, &a.label), (&b.kspace, &b.label));
    assert_ne!(a.kspace, c.kspace);
    assert_ne!(a.label, c.label);
}

/// The image in front of `bias`, the last that acts on it, over the image behind it: what the bias did.
fn shading(config: &AugmentConfig, seed: u64) -> Vec<f32> {
    let mut without = config.clone();
    without.bias.probability = 0.0;
    let pixels = varied(config, seed).0.into_iter().zip(varied(&without, seed).0);
    pixels.filter(|(_, before)| *before > 0.05).map(|(after, before)| after / before).take(400).collect()
}

#[test]
fn turning_one_on_changes_no_draw_of_another() {
    for seed in 0..5 {
        let alone = affine::Map::draw(&only("rotate"), [SIDE, SIDE], seed).unwrap();
        let mut both = only("rotate");
        for name in ["elastic", "gamma", "bias", "phase", "ghost", "noise", "spike"] {
            turn_on(&mut both, name);
            assert_eq!(affine::Map::draw(&both, [SIDE, SIDE], seed), Some(alone), "{name} on");
        }
        let (alone, both) = (shading(&only("bias"), seed), {
            let mut config = only("bias");
            turn_on(&mut config, "gamma");
            shading(&config, seed)
        });
        assert!(alone.iter().zip(&both).all(|(a, b)| (a - b).abs() < 1e-4), "seed {seed}: gamma moved the bias field");
    }
}

#[test]
fn noise_adds_the_same_whatever_else_goes_wrong_in_k_space() {
    let added = |with: &AugmentConfig, seed| {
        let mut without = with.clone();
        without.noise.probability = 0.0;
        let [with, without] =
            [with, &without].map(|config| augment(&slice(), &Protocol::scanner(), config, seed).kspace);
        with.samples.iter().zip(&without.samples).map(|(a, b)| a - b).collect::<Vec<_>>()
    };
    for seed in 0..5 {
        let mut more = only("noise");
        for name in ["phase", "ghost", "spike"] {
            turn_on(&mut more, name);
        }
        let pairs = added(&only("noise"), seed).into_iter().zip(added(&more, seed));
        let error = pairs.map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!(error < 1e-4, "seed {seed}: {error}");
    }
}

/// A task with nothing else.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Task {
    augment: AugmentConfig,
}

impl Config for Task {
    const COMMAND: &'static str = "kscout train task";

    fn keys() -> Vec<Key> {
        AugmentConfig::keys()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        self.augment.check_together()
    }
}

fn check(augment: AugmentConfig) -> Result<(), Refusal> {
    config::check(&Task { augment })
}

#[test]
fn the_defaults_are_accepted_and_wrong_values_refused_by_their_key() {
    assert_eq!(check(AugmentConfig::default()), Ok(()));
    assert_eq!(check(AugmentConfig::default().with_probability(1.0)), Ok(()));
    let refused = |change: fn(&mut AugmentConfig)| {
        let mut config = AugmentConfig::default();
        change(&mut config);
        check(config).unwrap_err()
    };
    assert_eq!(
        refused(|c| c.flip.probability = 1.5),
        ("augment.flip.probability", "must be a number from 0 to 1, not 1.5".into())
    );
    assert_eq!(refused(|c| c.rotate.degrees = -1.0).0, "augment.rotate.degrees");
    assert_eq!(refused(|c| c.scale.amount = 1.0).0, "augment.scale.amount");
    assert_eq!(refused(|c| c.shift.amount = f32::NAN).0, "augment.shift.amount");
    assert_eq!(refused(|c| c.elastic.spacing = 0.0).0, "augment.elastic.spacing");
    assert_eq!(refused(|c| c.gamma.amount = -0.1).0, "augment.gamma.amount");
    assert_eq!(refused(|c| c.bias.cells = 0).0, "augment.bias.cells");
    assert_eq!(refused(|c| c.phase.radians = f32::INFINITY).0, "augment.phase.radians");
    assert_eq!(refused(|c| c.ghost.max_period = 1.0).0, "augment.ghost.max_period");
    assert_eq!(refused(|c| c.noise.sigma = -0.01).0, "augment.noise.sigma");
    assert_eq!(refused(|c| c.spike.count = 0).0, "augment.spike.count");
    for name in NAMES {
        assert_eq!(check(only(name)), Ok(()), "{name}");
        assert_eq!(refused_probability(name).0, format!("augment.{name}.probability"));
    }
}

/// What is said of the probability -0.5 of `name`.
fn refused_probability(name: &str) -> Refusal {
    let mut config = off().with_probability(-0.5);
    // Those checked before it are put right.
    NAMES.iter().take_while(|before| **before != name).for_each(|before| turn_on(&mut config, before));
    check(config).unwrap_err()
}
