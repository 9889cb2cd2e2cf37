//! A slice policy's training: PPO over volumes that were followed line by line, after a warm start.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::metrics::stats::mean;
use crate::net::drawn;
use crate::rl::batch_env::{BatchEnv, rollout};
use crate::rl::error::PolicyError;
use crate::rl::ppo::{self, Episodes, RolloutBatch, UpdateReport};
use crate::rl::volume::config::VolumeConfig;
use crate::rl::volume::environment::{VolumeEnv, begin};
use crate::rl::volume::learner::{Learned, VolumeActorCritic, VolumeObservation};
use crate::rl::volume::warm::WarmStart;
use crate::samplers::shared::ORACLE_AHEAD;
use crate::train::checkpoint::Meta;
use crate::train::columns::{Column, Columns, Quantity};
use crate::train::drive::{Session, Span, Task, Tells, Validated};
use crate::train::folder::{Best, State};
use crate::train::schedule::{Clock, cosine};
use crate::train::start::Run;
use crate::train::{Pace, TrainError, Trained};
use crate::volume::allocate::{Oracle, Reached, Uniform};
use crate::volume::position::Plans;
use crate::volume::{Allocate, VolumeTrajectories};

/// Training volumes that a score in training is of, at most.
const SCORED: usize = 64;

/// What a slice policy learns from.
pub(super) struct Trainer<'a> {
    pub config: &'a VolumeConfig,
    /// Where lines do not come centre-out.
    pub line_order: Vec<u16>,
    /// The training volumes, followed line by line.
    pub training: Vec<VolumeTrajectories>,
    /// The validation volumes.
    pub validation: Vec<VolumeTrajectories>,
    /// Where rollouts run.
    pub device: &'a Device,
}

/// The training of a slice policy.
struct SlicePolicyTask<'a> {
    trainer: &'a Trainer<'a>,
    agent: VolumeActorCritic,
    optimizer: ModuleOptimizer,
    /// Whether nothing is saved yet.
    is_new: bool,
    /// Where it learns, with gradients.
    training: Device,
}

/// The sets of volumes that validations score, as columns of the log begin: training volumes and validation volumes.
const SETS: [&str; 2] = ["train_", ""];

/// What validations find.
pub(super) struct Found {
    /// What each of the [`SETS`] reaches at each of `validate_lines`; nothing where a set is empty.
    reached: [Vec<Reached>; 2],
}

impl Trainer<'_> {
    /// Trains the run.
    pub fn run(&self, run: Run<'_>) -> Result<Trained, PolicyError> {
        let config = self.config;
        let training = self.device.clone().autodiff();
        let (begun, is_new) = (Instant::now(), run.from().is_none());
        let random = drawn(config.measuring.seed, &training, VolumeActorCritic::new);
        let (mut agent, optimizer) = run.start(None).networks(random, self.optimizer())?;
        let out = run.out();
        let pace = Pace::validating_every(config.validate_every);
        let span = Span { name: "slice policy", unit: "update", steps: config.updates, pace };
        let mut session = run.open(span, self.columns())?;
        if is_new {
            self.report_baselines(out)?;
            let warm = WarmStart { volumes: &self.training, config, training: &training, rollouts_on: self.device };
            agent = warm.run(agent, &mut self.optimizer(), &mut self.random(0)).0;
            session.meta.seconds = begun.elapsed().as_secs_f64();
        }
        session.drive(SlicePolicyTask { trainer: self, agent, optimizer, is_new, training })
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.measuring.seed);
        rng.set_stream(stream);
        rng
    }

    fn optimizer(&self) -> ModuleOptimizer {
        AdamWConfig::new().with_weight_decay(self.config.weight_decay as f32).with_epsilon(1e-5).init()
    }

    /// Learns lines by position, which go to the folder `out`, and says how the baselines do.
    fn report_baselines(&self, out: &Path) -> Result<(), PolicyError> {
        let plans = Plans::learn(&self.training, &self.config.validate_lines, self.line_order.clone());
        plans.write(&out.join(Plans::FILE)).map_err(TrainError::from)?;
        if self.validation.is_empty() {
            return Ok(());
        }
        let oracle = Oracle { ahead: ORACLE_AHEAD };
        for method in [&Uniform as &dyn Allocate, &plans, &oracle] {
            println!("{}{}", method.name(), self.for_people(&self.scores(method, &self.validation)));
        }
        Ok(())
    }

    /// What `method` reaches on `volumes` at each of `validate_lines`; nothing where there are none.
    fn scores(&self, method: &dyn Allocate, volumes: &[VolumeTrajectories]) -> Vec<Reached> {
        let budgets = self.config.validate_lines.iter().filter(|_| !volumes.is_empty());
        budgets.map(|&budget| Reached::by(method, volumes, budget)).collect()
    }

    /// The columns of the log. Those of validation volumes are there without any too.
    fn columns(&self) -> Columns<4, Found> {
        let steps = ["gain", "entropy", "kl", "value_loss"].map(|name| Quantity { name, digits: 4 });
        let mut validation = Vec::new();
        for (set, prefix) in SETS.into_iter().enumerate() {
            let at_each = |measure: &str, value: fn(&Reached) -> f64| {
                let at = |(i, budget): (usize, &usize)| {
                    let name = format!("{prefix}{measure}_{budget}");
                    Column::number(name, 4, move |found: &Found| found.reached[set].get(i).map(value))
                };
                self.config.validate_lines.iter().enumerate().map(at).collect::<Vec<_>>()
            };
            validation.extend(at_each("dice", |reached| reached.dice));
            if self.with_ssim() {
                validation.extend(at_each("ssim", |reached| reached.ssim));
            }
        }
        Columns { steps, validation }
    }

    /// Scores for people, such as `, Dice at 8 lines 0.8123`.
    fn for_people(&self, scores: &[Reached]) -> String {
        let one = |reached: &Reached| {
            let ssim = if self.with_ssim() { format!(" (SSIM {:.4})", reached.ssim) } else { String::new() };
            format!(", Dice at {} lines {:.4}{ssim}", reached.budget, reached.dice)
        };
        scores.iter().map(one).collect()
    }

    fn with_ssim(&self) -> bool {
        self.config.weights().need_ssim()
    }

    /// Scans volumes by the policy's probabilities. `None` where the network gives no numbers any more.
    fn rollout(&self, acting: &VolumeActorCritic, rng: &mut impl Rng) -> Option<Episodes<VolumeObservation>> {
        let config = self.config;
        let mut environment = VolumeEnv::paying(config.scale);
        let starts = (0..config.ppo.episodes).map(|_| begin(&self.training, config, rng)).collect();
        let Ok(()) = environment.reset(starts);
        let evaluate =
            |observations: &[&VolumeObservation]| acting.evaluate(observations, config.sharpness, self.device);
        let Ok(episodes) = rollout(&mut environment, config.ppo.episodes, evaluate, rng);
        episodes
    }
}

impl Task<4> for SlicePolicyTask<'_> {
    type Network = VolumeActorCritic;
    type Findings = Found;
    type Error = PolicyError;

    const TELLS: Tells = Tells::Last;

    fn begin(&mut self, session: &mut Session<4, Found>) -> Result<(), PolicyError> {
        if self.is_new { session.validate(self) } else { Ok(()) }
    }

    fn step(&mut self, meta: &mut Meta, clock: &Clock) -> Result<[f64; 4], PolicyError> {
        let Self { trainer, agent, optimizer, training, .. } = self;
        let (config, update) = (trainer.config, meta.step);
        let mut rng = trainer.random(update as u64 + 1);
        let episodes = trainer.rollout(&agent.valid(), &mut rng).ok_or(TrainError::Diverged { step: update })?;
        let earned: f64 = episodes.iter().flatten().map(|step| step.reward).sum();
        let rate = cosine(clock.position(update, config.updates), config.updates, 0, config.ppo.learning_rate);
        let batch = RolloutBatch { episodes: &episodes, rate, config: &config.ppo, device: training };
        let evaluate = |agent: &VolumeActorCritic, observations: &[&VolumeObservation]| {
            agent.evaluate(observations, config.sharpness, training)
        };
        let (learned, UpdateReport { entropy, kl, value_loss }) =
            ppo::update(agent.clone(), evaluate, optimizer, &batch, &mut rng);
        *agent = learned;
        Ok([earned / config.scale / episodes.len() as f64, entropy, kl, value_loss])
    }

    fn brief([gain, entropy, kl, _]: [f64; 4]) -> String {
        format!("gain {gain:.4} entropy {entropy:.2} kl {kl:.3}")
    }

    fn validate(&mut self, meta: &mut Meta, [gain, ..]: [f64; 4]) -> Result<Validated<Found>, PolicyError> {
        let trainer = self.trainer;
        let acting = self.agent.valid();
        let learned = Learned { policy: &acting.policy, device: trainer.device };
        let some = trainer.training.iter().step_by(trainer.training.len().div_ceil(SCORED)).cloned();
        let training = trainer.scores(&learned, &some.collect::<Vec<_>>());
        let validation = trainer.scores(&learned, &trainer.validation);
        let objective = |reached: &Reached| trainer.config.weights().of(reached.ssim, reached.dice);
        let score = mean(&validation.iter().map(objective).collect::<Vec<_>>());
        // Before the first update there was no rollout.
        let gained = if meta.step == 0 { "as it begins".to_owned() } else { format!("mean gain of a scan {gain:.4}") };
        let said = gained + &trainer.for_people(&validation);
        Ok(Validated { found: Found { reached: [training, validation] }, said, score, best: Best::ByScore })
    }

    fn state(&self) -> State<'_, VolumeActorCritic> {
        State { network: &self.agent, training: None, optimizer: &self.optimizer }
    }
}
