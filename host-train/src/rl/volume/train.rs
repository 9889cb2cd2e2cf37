//! The training of a slice policy: warm start, then PPO over volumes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::volume::MOST_SLICES;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{Dataset, Split};
use crate::eval::run::measure;
use crate::mri::Protocol;
use crate::mri::random::mix;
use crate::net::drawn;
use crate::progress;
use crate::rl::batch_env::{BatchEnv, rollout};
use crate::rl::error::PolicyError;
use crate::rl::ppo::{self, Episodes, RolloutBatch, UpdateReport};
use crate::rl::volume::config::VolumeConfig;
use crate::rl::volume::environment::VolumeEnv;
use crate::rl::volume::learner::{Learned, VolumeActorCritic, VolumeObservation};
use crate::rl::volume::scorers::FoldSegmenters;
use crate::rl::volume::warm::WarmStart;
use crate::samplers::LearnedMask;
use crate::samplers::shared::ORACLE_AHEAD;
use crate::train::checkpoint::{self, Kind, Meta, Scoring, SlicePolicyRecord};
use crate::train::drive::{Span, Training, drive};
use crate::train::folder::{self, RunFolder, State};
use crate::train::schedule::{Clock, cosine};
use crate::train::{RunOptions, TrainError, Trained};
use crate::volume::allocate::{Oracle, Reached, Uniform};
use crate::volume::position::Plans;
use crate::volume::trajectories::{Variation, centre_out, continued, follow};
use crate::volume::trajectory::Course;
use crate::volume::{Allocate, AllocationEnv, VolumeTrajectories};

/// Training volumes that a score in training is of, at most.
const SCORED: usize = 64;

/// What a training does not change.
struct Trainer<'a> {
    config: &'a VolumeConfig,
    /// Where lines do not come centre-out.
    line_order: Vec<u16>,
    hearts: Vec<VolumeTrajectories>,
    validation: Vec<VolumeTrajectories>,
    out: &'a Path,
    device: Device,
}

/// What a slice policy is trained with beside its data.
#[derive(Clone, Copy)]
pub struct SlicePolicyInputs<'a> {
    /// The checkpoint of the segmenter that it is for.
    pub reward: &'a Path,
    /// Checkpoints of segmenters of which each training patient is new to one, which then follows the patient's volumes; none:
    /// `reward` follows all.
    pub held_out: &'a [PathBuf],
    /// The order of the first lines of a slice, the others from the centre out; none: centre-out.
    pub mask: Option<&'a LearnedMask>,
}

/// Trains a slice policy on `data` and leaves `last`, `best`, `log.csv` and `positions.json` (lines by position, the baseline) in
/// the run's folder.
///
/// # Errors
/// [`PolicyError`] says what does not fit, and where.
pub fn train_slice_policy(
    data: &Dataset,
    inputs: SlicePolicyInputs<'_>,
    config: &VolumeConfig,
    run: RunOptions<'_>,
) -> Result<Trained, PolicyError> {
    let RunOptions { out, resume, device } = run;
    let config = &config.fitted(data.width());
    let protocol = config.check(data.width()).map_err(TrainError::from)?;
    let found = folder::find(out, resume)?;
    expect_slices(data)?;
    let judges = FoldSegmenters::load(data, inputs, (config, &protocol), device)?;
    let mask = inputs.mask;
    let order = mask.map_or_else(|| centre_out(data.width()), |mask| continued(&mask.lines, data.width()));
    let line_order = if mask.is_some() { order.clone() } else { Vec::new() };
    let record = SlicePolicyRecord { line_order: line_order.clone(), held_out: judges.held_out() };
    let scoring = Scoring::weighing(&config.measuring, &config.validate_lines, config.weights());
    let begun = Meta::begun(Kind::SlicePolicy(record), data, config, scoring).with(judges.input.clone());
    let mut meta = Meta { reconstruction: judges.reconstruction, ..begun };
    // Before the volumes are followed, which takes long.
    let last = found.as_ref().map(|(dir, _)| dir.clone());
    if let Some((dir, found)) = found {
        meta = found.resume(&dir, meta)?;
    }
    let course = Course { order: &order, with_ssim: config.weights().need_ssim() };
    let hearts = training_hearts(data, &judges, (config, &protocol), course)?;
    let measured = measure(data, Split::Val, &protocol, config.measuring.seed);
    let validation = VolumeTrajectories::of_a_data_set(follow(&judges.own()?, &measured, course)?);
    Trainer { config, line_order, hearts, validation, out, device: device.clone() }.run(meta, last.as_deref())
}

/// Refuses volumes that the core cannot scan.
fn expect_slices(data: &Dataset) -> Result<(), TrainError> {
    let volumes = [Split::Train, Split::Val].into_iter().flat_map(|split| data.volumes(split));
    let Some(large) = volumes.into_iter().find(|volume| volume.slices.len() > MOST_SLICES) else { return Ok(()) };
    Err(TrainError::Slices { path: data.dir().to_owned(), volume: large.name(), slices: large.slices.len() })
}

/// The training volumes, each varied `copies` times, followed line by line.
fn training_hearts(
    data: &Dataset,
    judges: &FoldSegmenters,
    (config, protocol): (&VolumeConfig, &Protocol),
    course: Course<'_>,
) -> Result<Vec<VolumeTrajectories>, PolicyError> {
    let volumes = data.volumes(Split::Train);
    if volumes.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()).into());
    }
    let models = judges.of(&volumes)?;
    let bar = progress::bar((volumes.len() * config.copies) as u64, 0, "volumes");
    let mut hearts = Vec::with_capacity(volumes.len() * config.copies);
    for copy in 0..config.copies {
        for (number, (volume, model)) in volumes.iter().zip(&models).enumerate() {
            let variation = Variation { model, protocol, augment: &config.augment, course };
            let seed = mix(config.measuring.seed ^ ((copy << 32 | number) as u64 + 1));
            hearts.push(variation.follow(volume, seed)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(VolumeTrajectories::of_a_data_set(hearts))
}

/// A scan of any of `hearts`, of which there is at least one, with a budget that the configuration allows.
pub(super) fn begin<'a>(
    hearts: &'a [VolumeTrajectories],
    config: &VolumeConfig,
    rng: &mut impl Rng,
) -> AllocationEnv<'a> {
    let heart = hearts.choose(rng).expect("a volume");
    AllocationEnv::weighing(heart, rng.random_range(config.min_budget..=config.max_budget), config.weights())
}

impl Trainer<'_> {
    /// Trains the run `meta`, from where the checkpoint `last` was left if it goes on.
    fn run(&self, mut meta: Meta, last: Option<&Path>) -> Result<Trained, PolicyError> {
        let config = self.config;
        let training = self.device.clone().autodiff();
        let begun = Instant::now();
        let mut agent = drawn(config.measuring.seed, &training, VolumeActorCritic::new);
        let mut optimizer = self.optimizer();
        if let Some(dir) = last {
            agent = checkpoint::load_weights(dir, agent)?;
            optimizer = checkpoint::load_optimizer(dir, optimizer)?;
        }
        let folder = RunFolder::open(self.out, self.columns(), last, &mut meta)?;
        if last.is_none() {
            self.report_baselines()?;
            let mut own = self.optimizer();
            let warm = WarmStart { hearts: &self.hearts, config, training: &training, playing: &self.device };
            agent = warm.run(agent, &mut own, &mut self.random(0)).0;
            meta.seconds = begun.elapsed().as_secs_f64();
        }
        let span = Span {
            name: "slice policy",
            steps: config.updates,
            stop_at: 0,
            validate_every: config.validate_every,
            max_minutes: 0.0,
        };
        let (is_new, taught) = (last.is_none(), (0.0, UpdateReport::default()));
        drive(&mut Session { trainer: self, agent, optimizer, meta, is_new, taught, folder, training }, span)
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.measuring.seed);
        rng.set_stream(stream);
        rng
    }

    fn optimizer(&self) -> ModuleOptimizer {
        AdamWConfig::new().with_weight_decay(self.config.weight_decay as f32).with_epsilon(1e-5).init()
    }

    /// Learns lines by position, and says how the baselines do.
    fn report_baselines(&self) -> Result<(), PolicyError> {
        let plans = Plans::learn(&self.hearts, &self.config.validate_lines, self.line_order.clone());
        plans.write(&self.out.join(Plans::FILE)).map_err(TrainError::from)?;
        if self.validation.is_empty() {
            return Ok(());
        }
        let oracle = Oracle { ahead: ORACLE_AHEAD };
        for method in [&Uniform as &dyn Allocate, &plans, &oracle] {
            println!("{}{}", method.name(), self.said(&self.scores(method, &self.validation)));
        }
        Ok(())
    }

    fn scores(&self, method: &dyn Allocate, hearts: &[VolumeTrajectories]) -> Vec<Reached> {
        self.config.validate_lines.iter().map(|&budget| Reached::by(method, hearts, budget)).collect()
    }

    fn columns(&self) -> String {
        let budgets = |prefix: &str| -> String {
            self.config.validate_lines.iter().map(|budget| format!(",{prefix}_{budget}")).collect()
        };
        let of = |set: &str| {
            let ssim = if self.with_ssim() { budgets(&format!("{set}ssim")) } else { String::new() };
            budgets(&format!("{set}dice")) + &ssim
        };
        String::from("update,seconds,gain,entropy,kl,value_loss") + &of("train_") + &of("")
    }

    /// Scores as the log has them, in the order of [`columns`](Self::columns).
    fn logged(&self, scores: &[Reached]) -> String {
        let ssim = scores.iter().filter(|_| self.with_ssim()).map(|reached| reached.ssim);
        scores.iter().map(|reached| reached.dice).chain(ssim).map(|value| format!(",{value:.4}")).collect()
    }

    /// Scores for people, such as `, Dice at 8 lines 0.8123`.
    fn said(&self, scores: &[Reached]) -> String {
        let one = |reached: &Reached| {
            let ssim = if self.with_ssim() { format!(" (SSIM {:.4})", reached.ssim) } else { String::new() };
            format!(", Dice at {} lines {:.4}{ssim}", reached.budget, reached.dice)
        };
        scores.iter().map(one).collect()
    }

    fn with_ssim(&self) -> bool {
        self.config.weights().need_ssim()
    }

    /// Scores the policy on training and validation volumes, and writes the checkpoints.
    fn validate_and_save(
        &self,
        agent: &VolumeActorCritic,
        optimizer: &ModuleOptimizer,
        meta: &mut Meta,
        (worth, report): (f64, UpdateReport),
        (folder, bar): (&RunFolder, &ProgressBar),
    ) -> Result<(), PolicyError> {
        let player = agent.valid();
        let learned = Learned { policy: &player.policy, device: &self.device };
        let some: Vec<VolumeTrajectories> =
            self.hearts.iter().step_by(self.hearts.len().div_ceil(SCORED)).cloned().collect();
        let taught = self.scores(&learned, &some);
        let scores = if self.validation.is_empty() { Vec::new() } else { self.scores(&learned, &self.validation) };
        let numbers =
            [worth, report.entropy, report.kl, report.value_loss].map(|value| format!(",{value:.4}")).concat();
        let row = format!("{},{:.0}{numbers}{}{}", meta.step, meta.seconds, self.logged(&taught), self.logged(&scores));
        let said = self.said(&scores);
        if !scores.is_empty() {
            let worth = |reached: &Reached| self.config.weights().of(reached.ssim, reached.dice);
            meta.score = Some(scores.iter().map(worth).sum::<f64>() / scores.len() as f64);
        }
        folder.validated(&State { network: agent, training: None, optimizer }, meta, row)?;
        // Before the first update nothing was played.
        let earned =
            if meta.step == 0 { "as it begins".to_string() } else { format!("mean gain of a scan {worth:.4}") };
        bar.suspend(|| println!("update {}: {earned}{said} ({:.0} s)", meta.step, meta.seconds));
        Ok(())
    }

    /// Scans volumes by the policy's probabilities. `None` where the network gives no numbers any more.
    fn rollout(&self, player: &VolumeActorCritic, rng: &mut impl Rng) -> Option<Episodes<VolumeObservation>> {
        let config = self.config;
        let mut environment = VolumeEnv::paying(config.scale);
        let starts = (0..config.ppo.episodes).map(|_| begin(&self.hearts, config, rng)).collect();
        let Ok(()) = environment.reset(starts);
        let evaluate =
            |observations: &[&VolumeObservation]| player.evaluate(observations, config.sharpness, &self.device);
        let Ok(episodes) = rollout(&mut environment, config.ppo.episodes, evaluate, rng);
        episodes
    }
}

/// A session of a training.
struct Session<'a> {
    trainer: &'a Trainer<'a>,
    agent: VolumeActorCritic,
    optimizer: ModuleOptimizer,
    meta: Meta,
    /// Whether nothing is saved yet.
    is_new: bool,
    /// What scans gained in the last update, and what the update did.
    taught: (f64, UpdateReport),
    folder: RunFolder,
    /// Where it learns.
    training: Device,
}

impl Training for Session<'_> {
    type Error = PolicyError;

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn begin(&mut self, bar: &ProgressBar) -> Result<(), PolicyError> {
        if self.is_new { self.validate_and_save(bar) } else { Ok(()) }
    }

    fn step(&mut self, _: &Clock) -> Result<String, PolicyError> {
        let Self { trainer, agent, optimizer, meta, training, .. } = self;
        let (config, update) = (trainer.config, meta.step);
        let mut rng = trainer.random(update as u64 + 1);
        let episodes = trainer.rollout(&agent.valid(), &mut rng).ok_or(TrainError::Diverged { step: update })?;
        let earned: f64 = episodes.iter().flatten().map(|step| step.reward).sum();
        let rate = cosine(update, config.updates, 0, config.ppo.learning_rate);
        let lesson = RolloutBatch { episodes: &episodes, rate, config: &config.ppo, device: training };
        let judge = |agent: &VolumeActorCritic, observations: &[&VolumeObservation]| {
            agent.evaluate(observations, config.sharpness, training)
        };
        let (learned, report) = ppo::update(agent.clone(), judge, optimizer, &lesson, &mut rng);
        *agent = learned;
        meta.step += 1;
        if !report.is_finite() {
            return Err(TrainError::Diverged { step: meta.step }.into());
        }
        let worth = earned / config.scale / episodes.len() as f64;
        self.taught = (worth, report);
        Ok(format!("gain {worth:.4} entropy {:.2} kl {:.3}", report.entropy, report.kl))
    }

    fn validate_and_save(&mut self, bar: &ProgressBar) -> Result<(), PolicyError> {
        let Self { trainer, agent, optimizer, meta, taught, folder, .. } = self;
        trainer.validate_and_save(agent, optimizer, meta, *taught, (folder, bar))
    }

    fn save(&mut self) -> Result<(), PolicyError> {
        Ok(self.folder.save(&State { network: &self.agent, training: None, optimizer: &self.optimizer }, &self.meta)?)
    }
}

/// The slice policy in the checkpoint that `path` names, and the folder it lies in.
///
/// # Errors
/// A checkpoint problem.
pub fn load_slice_policy(
    path: &Path,
    device: &Device,
) -> Result<(crate::net::SlicePolicy, Meta), checkpoint::CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    meta.slice_policy(&dir)?;
    let agent: VolumeActorCritic = checkpoint::load_noted(&dir, VolumeActorCritic::new(device), &mut meta)?;
    Ok((agent.policy, meta))
}
