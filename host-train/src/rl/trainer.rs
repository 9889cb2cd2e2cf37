//! The loop of a policy's training: play, learn, validate, save.

use std::path::Path;

use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use kscout_core::model::Model;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::agent::Agent;
use super::config::PolicyConfig;
use super::environment::arenas;
use super::ppo::{self, Lesson};
use super::reward::RewardModel;
use super::sampler::{WeightedSampler, class_set};
use super::train::PolicyError;
use crate::data::{Dataset, Diagnosis, Slice, Split};
use crate::eval::run::measure;
use crate::export::Observation;
use crate::export::blob_writer::GraphSpec;
use crate::io::moment::moment;
use crate::io::stop;
use crate::mri::Protocol;
use crate::net::FixedOrder;
use crate::play::Sight;
use crate::progress;
use crate::train::checkpoint::{self, Meta, Standing};
use crate::train::folder::{Found, RunFolder};
use crate::train::schedule::{Clock, cosine};
use crate::train::{TrainError, Trained};

/// A slice to train on.
pub(super) struct Pupil<'a> {
    /// The slice.
    pub slice: &'a Slice,
    /// Its labels; empty with a segmenter.
    pub diagnosis: Diagnosis,
}

impl Pupil<'_> {
    /// What the sampler balances: the set of classes, or of labels.
    fn set(&self) -> String {
        if self.diagnosis.is_empty() { class_set(self.slice) } else { format!("{:?}", self.diagnosis) }
    }
}

/// Draws training slices, evenly or by the sampler's weights.
pub(super) enum Slices {
    Even(usize),
    Weighted(WeightedSampler),
}

impl Slices {
    pub fn new(pupils: &[Pupil<'_>], config: &PolicyConfig) -> Self {
        if !config.weighted_sampler {
            return Self::Even(pupils.len());
        }
        Self::Weighted(WeightedSampler::of_sets(&pupils.iter().map(Pupil::set).collect::<Vec<_>>()))
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
    pub slices: Vec<Pupil<'a>>,
    pub sampler: Slices,
    /// The segmenter in int8, if that is the reward model, to validate as it would be deployed.
    pub segmenter: Option<GraphSpec>,
    /// What a policy's int8 is calibrated on.
    pub observations: Vec<Observation>,
    /// Runs the scan loop.
    pub model: &'a Model<'a>,
    pub reward: &'a dyn RewardModel,
    /// The labels that it judges by; none of a segmenter.
    pub labels: Vec<String>,
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
        let mut memory = arenas(self.model, config.episodes);
        let mut validation = measure(self.data, Split::Val, &self.protocol, config.seed);
        validation.retain(|volume| self.reward.can_score(volume));
        let folder = RunFolder::open(self.out, self.columns(!validation.is_empty()), last.as_deref(), &mut state.meta)?;
        let validation = self.rival(validation)?;
        if let Some(standing) = &mut state.meta.standing {
            standing.order_score = validation.order_score();
            standing.kept = standing.kept.take().filter(|_| state.meta.best_step.is_some());
        }
        let clock = Clock::new(state.meta.seconds, config.max_minutes);
        let end = if config.stop_at > 0 { config.stop_at.min(config.updates) } else { config.updates };
        let bar = progress::bar(config.updates as u64, state.meta.step as u64, "policy");
        let _graceful = stop::Graceful::begin();
        if state.meta.step == 0 {
            self.report_baselines(&validation, &bar)?;
            self.save_between(&state, &folder)?;
        }
        self.keep_order(&state)?;
        let (mut stopped, mut over) = (false, clock.is_over());
        while !stopped && state.meta.step < end && !over {
            let update = state.meta.step;
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(update as u64 + 1);
            let (episodes, worth) = self.play(&state.agent.valid(), update, &mut memory, &mut rng, device)?;
            let rate = cosine(clock.position(update, config.updates), config.updates, 0, config.learning_rate);
            let lesson = Lesson { episodes: &episodes, rate, settings: config.settings(), device: &training };
            let judge = |agent: &A, sights: &[&Sight]| agent.judge(sights, self.size(), &training);
            let (agent, report) = ppo::update(state.agent, judge, &mut state.optimizer, &lesson, &mut rng);
            state.agent = agent;
            state.meta.step += 1;
            if !report.is_finite() {
                return Err(TrainError::Diverged { step: state.meta.step }.into());
            }
            state.meta.since.add([worth, report.entropy, report.kl, report.value_loss]);
            moment();
            bar.set_position(state.meta.step as u64);
            bar.set_message(format!("worth {worth:.3} entropy {:.2} kl {:.3}", report.entropy, report.kl));
            state.meta.seconds = clock.seconds();
            // Only a step that was saved ends the run, and time is read once a step, so that nothing goes between two looks.
            over = clock.is_over();
            let due = state.meta.step.is_multiple_of(config.validate_every) || state.meta.step == end || over;
            let saved = due || stop::asked();
            if due {
                self.validate_and_save(&mut state, (&validation, &folder), &bar, device)?;
            } else if saved {
                self.save_between(&state, &folder)?;
            }
            stopped = saved && stop::asked() && state.meta.step < end && !over;
        }
        bar.finish_and_clear();
        if let Some(cut) = clock.cut_short(state.meta.step, end) {
            println!("{cut}");
        }
        Ok(Trained { meta: state.meta, stopped })
    }

    fn start<A: Agent>(&self, device: &Device, found: Option<Found>) -> Result<State<A>, PolicyError> {
        device.seed(self.config.seed);
        let slope = self.order.slope(self.config.order_slope as f32, self.config.max_budget, device);
        let new = A::new(self.size(), device).beginning_with(slope, device);
        let begun = new.clone().ready(Some(&self.first_sights::<A>()), self.size(), device);
        let clipping = burn::grad_clipping::GradientClippingConfig::Norm(self.config.max_gradient as f32);
        let adamw = AdamWConfig::new().with_weight_decay(1e-4).with_epsilon(1e-5);
        let mut optimizer = adamw.with_grad_clipping(Some(clipping)).init();
        let mut meta = Meta {
            labels: self.labels.clone(),
            reconstruction: self.model.reconstruction(),
            standing: Some(Standing::begun(self.order.clone())),
            ..Meta::begun(A::NETWORK.name().into(), self.data, self.config)
        };
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
