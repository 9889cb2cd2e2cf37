//! A line policy's training: rollout, learn, validate, save.

use std::borrow::Cow;
use std::path::Path;

use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
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
use crate::rl::comparison::{Compared, Comparison, Validation, observe, score};
use crate::rl::config::PolicyConfig;
use crate::rl::environment::CoreEnv;
use crate::rl::error::PolicyError;
use crate::rl::ppo::{self, RolloutBatch, UpdateReport};
use crate::rl::reward::{RewardModel, TrainingSlice};
use crate::rl::sampler::{WeightedSampler, class_set};
use crate::train::Trained;
use crate::train::checkpoint::{Input, Kind, LinePolicyRecord, Meta, Standing};
use crate::train::drive::{Session, Span, Task, Validated};
use crate::train::folder::{Best, State};
use crate::train::schedule::{Clock, cosine};
use crate::train::start::Opening;

/// What the sampler balances: the set of classes, or of labels.
fn set(slice: &TrainingSlice<'_>) -> String {
    if slice.diagnosis.is_empty() { class_set(slice.slice) } else { format!("{:?}", slice.diagnosis) }
}

/// Draws training slices, evenly or by the sampler's weights.
pub(super) enum Slices {
    Even(usize),
    Weighted(WeightedSampler),
}

impl Slices {
    pub fn new(slices: &[TrainingSlice<'_>], config: &PolicyConfig) -> Self {
        if !config.weighted_sampler {
            return Self::Even(slices.len());
        }
        Self::Weighted(WeightedSampler::of_sets(&slices.iter().map(set).collect::<Vec<_>>()))
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
    /// The labels that it scores by; none of a segmenter.
    pub labels: Vec<String>,
    /// What the run begins with beside its data.
    pub inputs: Vec<Input>,
    /// What the policy begins as, and has to beat.
    pub order: FixedOrder,
}

/// The training of a policy.
pub(super) struct LinePolicyTask<'a, A> {
    pub trainer: &'a Trainer<'a>,
    pub agent: A,
    /// The agent that the run began with, whose policy is the fixed order.
    pub begun: A,
    pub optimizer: ModuleOptimizer,
    pub environment: CoreEnv<'a>,
    pub validation: Validation<'a>,
    /// The run's folder.
    pub out: &'a Path,
    /// Where rollouts run.
    pub device: &'a Device,
    /// Where it learns, with gradients.
    pub training: Device,
}

impl Trainer<'_> {
    /// Rows and columns of an image.
    pub fn size(&self) -> [usize; 2] {
        [self.data.height(), self.data.width()]
    }

    /// Trains the run that `opening` has found, or begins it.
    pub fn run<A: Agent + Sync>(&self, device: &Device, opening: Opening<'_>) -> Result<Trained, PolicyError> {
        let (config, size) = (self.config, self.size());
        let run = opening.describe(self.described(A::NAME))?;
        let out = run.out();
        let training = device.clone().autodiff();
        let slope = self.order.slope(config.order_slope as f32, config.max_budget, &training);
        let new =
            drawn(config.measuring.seed, &training, |device| A::new(size, device)).beginning_with(slope, &training);
        let begun = new.clone().ready(Some(&self.first_observations::<A>()), size, &training);
        let optimizer = AdamWConfig::new().with_weight_decay(1e-4).with_epsilon(1e-5).init();
        let (agent, optimizer) = run.start(None).networks(new, optimizer)?;
        let agent = if run.from().is_some() { agent.ready(None, size, &training) } else { begun.clone() };
        let environment = CoreEnv::new(self.plan, A::SEES_PHASE, self.reward, &config.reward);
        let mut volumes = measure(self.data, Split::Val, &self.protocol, config.measuring.seed);
        volumes.retain(|volume| self.reward.can_score(volume));
        let span = Span { name: "policy", unit: "update", steps: config.updates, pace: config.pace };
        let mut session = run.open(span, self.columns(!volumes.is_empty()))?;
        let validation = self.validation(volumes)?;
        if let Some(standing) = session.meta.standing_mut() {
            standing.order_score = validation.order_score();
        }
        let task =
            LinePolicyTask { trainer: self, agent, begun, optimizer, environment, validation, out, device, training };
        session.drive(task)
    }

    /// A run of the policy `network` that has not made an update yet.
    fn described(&self, network: &str) -> Meta {
        let standing = Some(Standing::begun(self.order.clone()));
        let kind =
            Kind::LinePolicy(LinePolicyRecord { network: network.into(), labels: self.labels.clone(), standing });
        let begun = Meta::begun(kind, self.data, self.config, self.config.scoring()).with(self.inputs.clone());
        Meta { reconstruction: self.plan.reconstruction(), ..begun }
    }
}

impl<A: Agent + Sync> Task<4> for LinePolicyTask<'_, A> {
    type Network = A;
    type Findings = Compared;
    type Error = PolicyError;

    fn begin(&mut self, session: &mut Session<4, Compared>) -> Result<(), PolicyError> {
        if session.meta.step == 0 {
            self.report_baselines(session)?;
            session.save(self)?;
        }
        self.settle(session)
    }

    fn step(&mut self, meta: &mut Meta, clock: &Clock) -> Result<[f64; 4], PolicyError> {
        let (config, update) = (self.trainer.config, meta.step);
        let mut rng = ChaCha8Rng::seed_from_u64(config.measuring.seed);
        rng.set_stream(update as u64 + 1);
        let episodes = self.rollout(update, &mut rng)?;
        let objectives = self.environment.objective();
        let rate = cosine(clock.position(update, config.updates), config.updates, 0, config.ppo.learning_rate);
        let Self { trainer, optimizer, training, .. } = self;
        let batch = RolloutBatch { episodes: &episodes, rate, config: &config.ppo, device: training };
        let evaluate =
            |agent: &A, observations: &[&Observation]| agent.evaluate(observations, trainer.size(), training);
        let (agent, UpdateReport { entropy, kl, value_loss }) =
            ppo::update(self.agent.clone(), evaluate, optimizer, &batch, &mut rng);
        self.agent = agent;
        Ok([objectives.iter().sum::<f64>() / objectives.len() as f64, entropy, kl, value_loss])
    }

    fn brief([objective, entropy, kl, _]: [f64; 4]) -> String {
        format!("objective {objective:.3} entropy {entropy:.2} kl {kl:.3}")
    }

    fn validate(&mut self, meta: &mut Meta, reported: [f64; 4]) -> Result<Validated<Compared>, PolicyError> {
        let [objective, entropy, ..] = reported;
        let mut said = format!("objective {objective:.3}, entropy {entropy:.2}");
        let mut comparison = Comparison::default();
        if !self.validation.is_empty() {
            comparison = self.compare(self.agent.valid(), meta.step)?;
            said += &self.trainer.for_people(&comparison.scores);
        }
        let Comparison { scores, gain } = comparison;
        let is_kept = observe(meta, gain, &self.validation);
        let found = Compared::new(scores, meta);
        if let Some(gain) = &found.gain {
            said += &format!("; gains {gain} over `{}`", self.trainer.order.name);
        }
        let best = if is_kept { Best::This } else { Best::Earlier };
        Ok(Validated { score: score(&found.scores), found, said, best })
    }

    fn state(&self) -> State<'_, A> {
        State { network: &self.agent, training: None, optimizer: &self.optimizer }
    }

    /// Nothing is known yet of what the network gains by now.
    fn unvalidated<'m>(&self, meta: &'m Meta) -> Cow<'m, Meta> {
        let want = format!("update {} has not been compared with it yet", meta.step);
        let mut meta = meta.clone();
        meta.change_standing(|standing| standing.with(None, &want));
        Cow::Owned(meta)
    }

    fn saved(&mut self, meta: &Meta) -> Result<(), PolicyError> {
        self.keep_order(meta)
    }
}
