//! The segmenter's training in keys.

use kscout_core::kspace::Reconstruction;
use kscout_core::kspace::fft::is_fft_length;
use serde::{Deserialize, Serialize};

use crate::augment::AugmentConfig;
use crate::augment::MaskConfig;
use crate::config::checks::{self, expect};
use crate::config::key::{MANY, rate, real, share, validate_lines, weight, whole};
use crate::config::{self, Config, Key, Refusal};
use crate::data::{CLASSES, Dataset, Split};
use crate::mri::{Measuring, Protocol};
use crate::net::segmenters::{MOST_LEVELS, WIDEST};
use crate::net::{Arch, SegmenterSpec};
use crate::train::error::TrainError;
use crate::train::loss::{Loss, LossName};
use crate::train::optimizer::{OptimizerName, OptimizerSpec};
use crate::train::pace::Pace;
use crate::train::precision::Precision;
use crate::train::schedule::{Schedule, ScheduleName};

/// The configuration of a reward-model training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SegmenterConfig {
    /// The segmenter: `unet`, `unext-s` or another that `kscout net info --help` lists.
    pub network: Arch,
    /// Channels of its first stage, the others following; 0: as published.
    pub network_width: usize,
    /// How slices are measured.
    #[serde(flatten)]
    pub measuring: Measuring,
    /// How the image is made of the measured lines: `zero-filled`, `homodyne` or `half-homodyne`. Policies, exported files and
    /// evaluations of the segmenter take over what it was trained with.
    #[serde(with = "crate::mri::reconstruction")]
    pub reconstruction: Reconstruction,
    /// Training steps.
    pub steps: usize,
    /// Slices a step.
    pub batch: usize,
    /// Side of the square, in pixels, that is cut out of each training slice at a place drawn anew; 0: whole slices. Validation
    /// and use always see whole slices.
    pub crop: usize,
    /// Parts that go through the network one after the other in a step, to save memory; the step takes the mean of their
    /// gradients. Batch norm and the losses over a batch (Dice, Lovasz) see one part at a time.
    pub accumulate: usize,
    /// The loss: `ce`, `bce`, `focal` or `lovasz`, each also with `-dice`.
    pub loss: LossName,
    /// Weight of the Dice term of the losses with `-dice`.
    pub dice_weight: f64,
    /// Weights of background, RV, MYO and LV in the loss.
    pub class_weights: [f64; CLASSES],
    /// Exponent of the focal loss.
    pub focal_gamma: f64,
    /// U-Net++: train all heads; otherwise the last one alone, and then the network cannot be pruned.
    pub deep_supervision: bool,
    /// Weights of the heads under deep supervision, the shallowest first; empty: all alike.
    pub head_weights: Vec<f64>,
    /// The optimizer: `sgd`, `adam`, `adamw` or `rmsprop`.
    pub optimizer: OptimizerName,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Weight decay: decoupled in `adamw`, part of the gradient in the others.
    pub weight_decay: f64,
    /// Momentum of `sgd` and `rmsprop`.
    pub momentum: f64,
    /// Nesterov's look ahead in `sgd`.
    pub nesterov: bool,
    /// Largest norm of all gradients together; 0: no limit.
    pub clip_norm: f64,
    /// Largest gradient of a single weight; 0: no limit.
    pub clip_value: f64,
    /// The learning rate's course: `constant`, `cosine`, `step` or `plateau`.
    pub schedule: ScheduleName,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// The lowest learning rate after the warm-up.
    pub min_learning_rate: f64,
    /// `step`: steps between two falls of the learning rate.
    pub decay_every: usize,
    /// `step` and `plateau`: what the learning rate is multiplied by in a fall.
    pub decay_factor: f64,
    /// `plateau`: validations in a row without a better score until the learning rate falls.
    pub plateau_patience: usize,
    /// Validations in a row without a better score until the run ends; 0: it does not.
    pub stop_patience: usize,
    /// How much more than the best score so far counts as better, for `plateau_patience` and `stop_patience`.
    pub min_delta: f64,
    /// Decay of the weights' moving average, which is then what validates and is saved for use; 0: no average.
    pub ema_decay: f64,
    /// What forward and backward calculate in: `f32`, `bf16` or `f16`.
    pub precision: Precision,
    /// `f16`: what the loss is multiplied by before the backward pass.
    pub loss_scale: f64,
    /// Folds that the training patients are dealt out to; 0: none.
    pub folds: usize,
    /// The fold, from 1, that the run leaves out; 0: none.
    pub fold: usize,
    /// When it validates and ends.
    #[serde(flatten)]
    pub pace: Pace,
    /// Numbers of lines, around the centre or with homodyne in partial Fourier order, at which validation scores; the mean over them picks the best checkpoint.
    pub validate_lines: Vec<usize>,
    /// Random masks.
    pub masks: MaskConfig,
    /// Augmentation.
    pub augment: AugmentConfig,
}

impl Default for SegmenterConfig {
    fn default() -> Self {
        Self {
            network: Arch::UnextS,
            network_width: 0,
            measuring: Measuring::default(),
            reconstruction: Reconstruction::ZeroFilled,
            steps: 12_000,
            batch: 16,
            crop: 0,
            accumulate: 1,
            loss: LossName::CeDice,
            dice_weight: 1.0,
            class_weights: [1.0; CLASSES],
            focal_gamma: 2.0,
            deep_supervision: true,
            head_weights: Vec::new(),
            optimizer: OptimizerName::AdamW,
            learning_rate: 2e-3,
            weight_decay: 0.01,
            momentum: 0.9,
            nesterov: false,
            clip_norm: 0.0,
            clip_value: 0.0,
            schedule: ScheduleName::Cosine,
            warmup: 300,
            min_learning_rate: 0.0,
            decay_every: 3000,
            decay_factor: 0.1,
            plateau_patience: 3,
            stop_patience: 0,
            min_delta: 0.0,
            ema_decay: 0.0,
            precision: Precision::F32,
            loss_scale: 1024.0,
            folds: 0,
            fold: 0,
            pace: Pace::validating_every(1000),
            validate_lines: vec![128, 16, 8],
            masks: MaskConfig::default(),
            augment: AugmentConfig::default(),
        }
    }
}

impl Config for SegmenterConfig {
    const COMMAND: &'static str = "kscout train segmenter";

    fn keys() -> Vec<Key> {
        [Measuring::KEYS, Pace::KEYS, SHARED_KEYS, KEYS, MaskConfig::KEYS, &AugmentConfig::keys()].concat()
    }

    fn check_together(&self) -> Result<(), Refusal> {
        self.augment.check_together()?;
        self.check_network()?;
        self.check_loss()?;
        self.check_optimizer()
    }
}

/// What the numbers may be that every reward model's training has.
pub(super) const SHARED_KEYS: &[Key] = &[
    whole("steps", 1, MANY),
    whole("batch", 1, 4096),
    rate("learning_rate"),
    real("weight_decay", 0.0, 100.0),
    whole("warmup", 0, MANY),
    validate_lines(0),
];

/// What the other numbers may be, but for those of the sections.
const KEYS: &[Key] = &[
    whole("network_width", 0, WIDEST as u64),
    whole("crop", 0, 512),
    whole("accumulate", 1, 4096),
    weight("dice_weight"),
    weight("class_weights").list(CLASSES, CLASSES),
    real("focal_gamma", 0.0, 100.0),
    weight("head_weights").list(0, MOST_LEVELS),
    share("momentum").below(),
    real("clip_norm", 1e-6, 1e6).or_zero(),
    real("clip_value", 1e-9, 1e6).or_zero(),
    real("min_learning_rate", 0.0, 100.0),
    whole("decay_every", 1, MANY),
    real("decay_factor", 1e-6, 1.0).below(),
    whole("plateau_patience", 1, MANY),
    whole("stop_patience", 0, MANY),
    share("min_delta"),
    share("ema_decay").below(),
    real("loss_scale", 1e-6, 1e30),
    whole("folds", 0, 1000),
    whole("fold", 0, 1000),
];

impl SegmenterConfig {
    /// The network that is trained.
    pub fn spec(&self) -> SegmenterSpec {
        let published = SegmenterSpec::published(self.network, CLASSES);
        if self.network_width == 0 { published } else { SegmenterSpec { width: self.network_width, ..published } }
    }

    /// What is minimised.
    pub fn loss(&self) -> Loss {
        let levels = self.network.levels();
        let last_alone = || (1..=levels).map(|level| f64::from(u8::from(level == levels))).collect();
        Loss {
            name: self.loss,
            dice_weight: self.dice_weight,
            class_weights: self.class_weights,
            focal_gamma: self.focal_gamma,
            head_weights: if self.deep_supervision { self.head_weights.clone() } else { last_alone() },
        }
    }

    /// The optimizer.
    pub fn optimizer(&self) -> OptimizerSpec {
        let &Self { optimizer: name, weight_decay, momentum, nesterov, .. } = self;
        OptimizerSpec { name, weight_decay, momentum, nesterov }
    }

    /// The learning rate's course.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            name: self.schedule,
            peak: self.learning_rate,
            floor: self.min_learning_rate,
            steps: self.steps,
            warmup: self.warmup,
            every: self.decay_every,
            factor: self.decay_factor,
            patience: self.plateau_patience,
            min_delta: self.min_delta,
        }
    }

    /// For images of `width` lines: see [`fitted_lines`](checks::fitted_lines).
    pub fn fitted(&self, width: usize) -> Self {
        Self { validate_lines: checks::fitted_lines(&self.validate_lines, width), ..self.clone() }
    }

    /// Refuses values that cannot work, whatever the data are.
    pub fn check_values(&self) -> Result<(), TrainError> {
        Ok(config::check(self)?)
    }

    fn check_network(&self) -> Result<(), Refusal> {
        let expected = "0 (whole slices) or a multiple of 32, which every network can halve";
        expect(self.crop.is_multiple_of(32), "crop", expected)
    }

    fn check_loss(&self) -> Result<(), Refusal> {
        let some = |weights: &[f64]| weights.iter().any(|&weight| weight > 0.0);
        expect(some(&self.class_weights), "class_weights", "four numbers from 0 up, one of them above 0")?;
        expect(
            some(&self.class_weights[1..])
                || matches!(self.loss, LossName::Ce | LossName::Bce | LossName::Focal | LossName::Lovasz),
            "class_weights",
            "above 0 for one of RV, MYO and LV, which the Dice term is about",
        )?;
        let (heads, levels) = (self.head_weights.len(), self.network.levels());
        expect(
            heads == 0 || (heads == levels && some(&self.head_weights)),
            "head_weights",
            &format!("empty, or a number from 0 up for each of the {levels} heads of {}, one above 0", self.network),
        )?;
        expect(heads == 0 || self.deep_supervision, "head_weights", "empty where deep_supervision is false")
    }

    fn check_optimizer(&self) -> Result<(), Refusal> {
        let can_look_ahead = self.optimizer == OptimizerName::Sgd && self.momentum > 0.0;
        expect(!self.nesterov || can_look_ahead, "nesterov", "false but for sgd with momentum")?;
        expect(self.batch.is_multiple_of(self.accumulate), "accumulate", "a divisor of batch")?;
        let floor = self.min_learning_rate;
        expect((0.0..=self.learning_rate).contains(&floor), "min_learning_rate", "from 0 to learning_rate")
    }

    /// Refuses values that cannot work.
    pub fn check(&self, data: &Dataset) -> Result<Protocol, TrainError> {
        self.check_values()?;
        let protocol = self.measuring.protocol;
        let waits = if self.schedule == ScheduleName::Plateau { "schedule" } else { "stop_patience" };
        if (waits == "schedule" || self.stop_patience > 0)
            && (self.validate_lines.is_empty() || data.volumes(Split::Val).is_empty())
        {
            let message = "waits for a better score, so it needs validation slices and validate_lines".into();
            return Err(TrainError::Config { key: waits, message });
        }
        let fits = |side: usize| side >= 32 && is_fft_length(side);
        if !fits(data.height()) || !fits(data.width()) {
            return Err(TrainError::Size {
                path: data.dir().to_owned(),
                height: data.height(),
                width: data.width(),
                network: self.network.to_string(),
            });
        }
        let side = data.height().min(data.width());
        expect(self.crop <= side, "crop", &format!("at most {side}, the slices' smaller side"))?;
        Ok(protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// What the configuration with these keys is refused with.
    fn refused(keys: &[&str]) -> String {
        let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
        match config::load::<SegmenterConfig>(None, &keys) {
            Ok(config) => config.check_values().expect_err(&keys.join(" ")).to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_defaults_are_fine() {
        SegmenterConfig::default().check_values().unwrap();
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_its_key() {
        let wrong = [
            ("class_weights", "class_weights=[0,0,0,0]"),
            ("class_weights", "class_weights=[1,-1,1,1]"),
            ("class_weights", "class_weights=[1,0,0,0]"),
            ("dice_weight", "dice_weight=-1"),
            ("focal_gamma", "focal_gamma=-0.5"),
            ("head_weights", "head_weights=[1,1]"),
            ("learning_rate", "learning_rate=0"),
            ("weight_decay", "weight_decay=-1"),
            ("momentum", "momentum=1"),
            ("nesterov", "nesterov=true"),
            ("clip_norm", "clip_norm=-1"),
            ("clip_value", "clip_value=-1"),
            ("accumulate", "accumulate=3"),
            ("accumulate", "accumulate=0"),
            ("network_width", "network_width=129"),
            ("crop", "crop=33"),
            ("ema_decay", "ema_decay=1"),
            ("loss_scale", "loss_scale=0"),
            ("min_learning_rate", "min_learning_rate=1"),
            ("decay_every", "decay_every=0"),
            ("decay_factor", "decay_factor=1"),
            ("plateau_patience", "plateau_patience=0"),
            ("min_delta", "min_delta=-1"),
        ];
        for (key, assignment) in wrong {
            let message = refused(&[assignment]);
            let said = [format!("config key `{key}`: must be "), format!("--set {assignment}: `{key}` must be ")];
            assert!(said.iter().any(|said| message.starts_with(said)), "{assignment}: {message}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_refused_with_those_that_are() {
        for (assignment, known) in [
            ("loss=dice", "bce-dice"),
            ("optimizer=lamb", "rmsprop"),
            ("schedule=linear", "plateau"),
            ("precision=f8", "bf16"),
            ("reconstruction=pocs", "half-homodyne"),
        ] {
            let (key, name) = assignment.split_once('=').unwrap();
            let message = refused(&[assignment]);
            assert!(message.contains(key) && message.contains(name) && message.contains(known), "{message}");
        }
        assert!(refused(&["class_weights=[1,1]"]).contains("class_weights"));
    }

    #[test]
    fn keys_that_need_each_other_are_refused_alone() {
        assert!(
            refused(&["network=unetpp", "deep_supervision=false", "head_weights=[1,1,1,1]"]).contains("head_weights")
        );
        assert!(refused(&["optimizer=sgd", "momentum=0", "nesterov=true"]).contains("nesterov"));
    }

    #[test]
    fn without_deep_supervision_the_last_head_learns_alone() {
        let config = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
            config::load::<SegmenterConfig>(None, &keys).unwrap()
        };
        assert_eq!(config(&["deep_supervision=false", "network=unetpp"]).loss().head_weights, [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(config(&["deep_supervision=false"]).loss().head_weights, [1.0]);
        assert!(config(&["network=unetpp"]).loss().head_weights.is_empty());
    }
}
