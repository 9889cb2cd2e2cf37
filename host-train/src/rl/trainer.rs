//! A line policy's training: rollout, learn, validate, save.

use std::path::Path;

use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::kspace::Plan;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{Dataset, Split};
use crate::eval::run::measure;
use crate::export::CalibrationSample;
use crate::export::blob_writer::GraphSpec;
use crate::inference::rollout::Observation;
use crate::mri::Protocol;
use crate::net::{FixedOrder, drawn};
use crate::rl::agent::Agent;
use crate::rl::config::PolicyConfig;
use crate::rl::environment::CoreEnv;
use crate::rl::error::PolicyError;
use crate::rl::ppo::{self, RolloutBatch};
use crate::rl::reward::{RewardModel, TrainingSlice};
use crate::rl::sampler::{WeightedSampler, class_set};
use crate::rl::validate::Validation;
use crate::train::checkpoint::{self, Input, Kind, LinePolicyRecord, Meta, Standing};
use crate::train::drive::{Span, Training, drive};
use crate::train::folder::{Found, RunFolder};
use crate::train::schedule::{Clock, cosine};
use crate::train::{TrainError, Trained};

/// What the sampler balances: the set of classes, or of labels.
fn set(pupil: &TrainingSlice<'_>) -> String {
    if pupil.diagnosis.is_empty() { class_set(pupil.slice) } else { format!("{:?}", pupil.diagnosis) }
}

/// Draws training slices, evenly or by the sampler's weights.
pub(super) enum Slices {
    Even(usize),
    Weighted(WeightedSampler),
}

impl Slices {
    pub fn new(pupils: &[TrainingSlice<'_>], config: &PolicyConfig) -> Self {
        if !config.weighted_sampler {
            return Self::Even(pupils.len());
        }
        Self::Weighted(WeightedSampler::of_sets(&pupils.iter().map(set).collect::<Vec<_>>()))
    }

    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        match self {
            Self::Even(count) => rng.random_range(0..*count),
            Self::Weighted(sampler) => sampler.draw(rng),
        }
    }
}

/// Everything that a training does not change.
pub(super) struct Trainer<'a> {
    pub data: &'a Dataset,
    pub protocol: Protocol,
    pub config: &'a PolicyConfig,
    pub slices: Vec<TrainingSlice<'a>>,
    pub sampler: Slices,
    /// The segmenter in int8, if that is the reward model, to validate as it would be deployed.
    pub segmenter: Option<GraphSpec>,
    /// What a policy's int8 is calibrated on.
    pub observations: Vec<CalibrationSample>,
    /// The images that scans make.
    pub plan: Plan,
    pub reward: &'a dyn RewardModel,
    /// The labels that it judges by; none of a segmenter.
    pub labels: Vec<String>,
    /// What the run begins with beside its data.
    pub inputs: Vec<Input>,
    /// What the policy begins as, and has to beat.
    pub order: FixedOrder,
    pub out: &'a Path,
}

/// Networks, optimizer, and what is known of them.
pub(super) struct State<A> {
    pub agent: A,
    /// The agent that the run began with, whose policy is the fixed order.
    pub begun: A,
    pub optimizer: ModuleOptimizer,
    pub meta: Meta,
}

impl Trainer<'_> {
    /// Rows and columns of an image.
    pub fn size(&self) -> [usize; 2] {
        [self.data.height(), self.data.width()]
    }

    /// Trains, from where `found` was left.
    pub fn run<A: Agent + Sync>(&self, device: &Device, found: Option<Found>) -> Result<Trained, PolicyError> {
        let config = self.config;
        let training = device.clone().autodiff();
        let last = found.as_ref().map(|(dir, _)| dir.clone());
        let mut state: State<A> = self.start(&training, found)?;
        let environment = CoreEnv::new(self.plan, A::SEES_PHASE, self.reward, &config.reward);
        let mut validation = measure(self.data, Split::Val, &self.protocol, config.measuring.seed);
        validation.retain(|volume| self.reward.can_score(volume));
        let folder = RunFolder::open(self.out, self.columns(!validation.is_empty()), last.as_deref(), &mut state.meta)?;
        let validation = self.rival(validation)?;
        if let Some(standing) = state.meta.standing_mut() {
            standing.order_score = validation.order_score();
        }
        let span = Span {
            name: "policy",
            steps: config.updates,
            stop_at: config.stop_at,
            validate_every: config.validate_every,
            max_minutes: config.max_minutes,
        };
        drive(&mut Session { trainer: self, state, environment, validation, folder, device, training }, span)
    }

    fn start<A: Agent>(&self, device: &Device, found: Option<Found>) -> Result<State<A>, PolicyError> {
        let slope = self.order.slope(self.config.order_slope as f32, self.config.max_budget, device);
        let new = drawn(self.config.measuring.seed, device, |device| A::new(self.size(), device))
            .beginning_with(slope, device);
        let begun = new.clone().ready(Some(&self.first_sights::<A>()), self.size(), device);
        let mut optimizer = AdamWConfig::new().with_weight_decay(1e-4).with_epsilon(1e-5).init();
        let standing = Some(Standing::begun(self.order.clone()));
        let record = LinePolicyRecord { network: A::NAME.into(), labels: self.labels.clone(), standing };
        let scoring = self.config.scoring();
        let fresh = Meta::begun(Kind::LinePolicy(record), self.data, self.config, scoring).with(self.inputs.clone());
        let mut meta = Meta { reconstruction: self.plan.reconstruction(), ..fresh };
        let agent = match found {
            Some((dir, found)) => {
                meta = found.resume(&dir, meta)?;
                optimizer = checkpoint::load_optimizer(&dir, optimizer)?;
                checkpoint::load_weights(&dir, new)?.ready(None, self.size(), device)
            }
            None => begun.clone(),
        };
        Ok(State { agent, begun, optimizer, meta })
    }
}

/// A session of a training.
struct Session<'a, A> {
    trainer: &'a Trainer<'a>,
    state: State<A>,
    environment: CoreEnv<'a>,
    validation: Validation<'a>,
    folder: RunFolder,
    /// Where it plays.
    device: &'a Device,
    /// Where it learns.
    training: Device,
}

impl<A: Agent + Sync> Training for Session<'_, A> {
    type Error = PolicyError;

    fn meta(&self) -> &Meta {
        &self.state.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.state.meta
    }

    fn begin(&mut self, bar: &ProgressBar) -> Result<(), PolicyError> {
        let Self { trainer, state, validation, folder, device, .. } = self;
        if state.meta.step == 0 {
            trainer.report_baselines(validation, bar)?;
            trainer.save_between(state, folder)?;
        }
        trainer.settle(state, validation, bar, device)
    }

    fn step(&mut self, clock: &Clock) -> Result<String, PolicyError> {
        let Self { trainer, state, environment, device, training, .. } = self;
        let (config, update) = (trainer.config, state.meta.step);
        let mut rng = ChaCha8Rng::seed_from_u64(config.measuring.seed);
        rng.set_stream(update as u64 + 1);
        let (episodes, worth) = trainer.rollout(&state.agent.valid(), update, environment, &mut rng, device)?;
        let rate = cosine(clock.position(update, config.updates), config.updates, 0, config.ppo.learning_rate);
        let lesson = RolloutBatch { episodes: &episodes, rate, config: &config.ppo, device: training };
        let judge = |agent: &A, observations: &[&Observation]| agent.evaluate(observations, trainer.size(), training);
        let (agent, report) = ppo::update(state.agent.clone(), judge, &mut state.optimizer, &lesson, &mut rng);
        state.agent = agent;
        state.meta.step += 1;
        if !report.is_finite() {
            return Err(TrainError::Diverged { step: state.meta.step }.into());
        }
        state.meta.since.add([worth, report.entropy, report.kl, report.value_loss]);
        Ok(format!("worth {worth:.3} entropy {:.2} kl {:.3}", report.entropy, report.kl))
    }

    fn validate_and_save(&mut self, bar: &ProgressBar) -> Result<(), PolicyError> {
        let Self { trainer, state, validation, folder, device, .. } = self;
        trainer.validate_and_save(state, (validation, folder), bar, device)
    }

    fn save(&mut self) -> Result<(), PolicyError> {
        self.trainer.save_between(&self.state, &self.folder)
    }
}
