//! `kscout train policy`: scans by the thousand, and a policy that gets better at them.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::kspace::Pattern;
use kscout_core::model::{GraphKind, Model};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::agent::{ActorCritic, Batch, SCOUT};
use super::config::PolicyConfig;
use super::environment::{Environment, Start, arenas};
use super::ppo::{self, Lesson, Step, UpdateReport};
use super::sampler::WeightedSampler;
use crate::data::{Dataset, Slice, Split};
use crate::eval::run::{MeasuredVolume, Method, RunError, mean_dice, measure, scan_volumes, score};
use crate::export::blob_writer::{GraphSpec, write_blob};
use crate::export::{self, ExportError, Observation};
use crate::mri::Protocol;
use crate::net::FloatGraph;
use crate::progress;
use crate::segment::{CoreSegmenter, HeapArena};
use crate::train::TrainError;
use crate::train::augment::augment;
use crate::train::checkpoint::{self, CheckpointError, Meta, Progress};
use crate::train::log::append;
use crate::train::reward::load_segmenter;
use crate::train::schedule::{Clock, cosine};

/// Slices that calibrate the reward model.
const CALIBRATION_SLICES: usize = 96;

/// Why a policy could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// What any training can fail with.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The reward model could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Scans could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The core refused a step of the environment.
    #[error("environment: {0}")]
    Scan(#[from] kscout_core::scan::ScanError),
    /// The segmenter was trained on images of another size.
    #[error("{reward}: a segmenter for images of {of:?}, but {data} has images of {got:?} (rows, columns)")]
    Size {
        /// The segmenter's checkpoint.
        reward: PathBuf,
        /// The size it was trained on.
        of: [usize; 2],
        /// The data set.
        data: PathBuf,
        /// The size of its images.
        got: [usize; 2],
    },
}

impl PolicyConfig {
    fn check(&self, data: &Dataset) -> Result<Protocol, TrainError> {
        let error = |key, message: String| Err(TrainError::Config { key, message });
        let width = data.width();
        if self.min_budget == 0 || self.min_budget > self.max_budget || self.max_budget > width {
            return error("min_budget, max_budget", format!("must satisfy 1 <= min_budget <= max_budget <= {width}"));
        }
        if self.updates == 0
            || self.episodes == 0
            || self.epochs == 0
            || self.minibatch == 0
            || self.validate_every == 0
        {
            return error("updates, episodes, epochs, minibatch, validate_every", "must be at least 1".into());
        }
        if let Some(lines) = self.validate_lines.iter().find(|&&lines| lines == 0 || lines > width) {
            return error("validate_lines", format!("{lines} is not within 1 to {width} lines"));
        }
        if !(0.0..=1.0).contains(&self.gamma) || !(0.0..=1.0).contains(&self.gae_lambda) {
            return error("gamma, gae_lambda", "must be within 0 to 1".into());
        }
        self.augment.check().map_err(|(key, message)| TrainError::Config { key, message })?;
        self.protocol.parse().map_err(|message| TrainError::Config { key: "protocol", message })
    }
}

/// Trains a policy for the segmenter in the checkpoint `reward`, and leaves `last`, `best` and `log.csv` in `out`.
pub fn train_policy(
    data: &Dataset,
    reward: &Path,
    out: &Path,
    config: &PolicyConfig,
    device: &Device,
    resume: bool,
) -> Result<Meta, PolicyError> {
    let protocol = config.check(data)?;
    let slices = data.slices(Split::Train);
    if slices.is_empty() {
        return Err(TrainError::NoSlices(data.dir().to_owned()).into());
    }
    let found = checkpoint::find_run(out)?;
    if !resume && found.is_some() {
        return Err(TrainError::Exists(out.to_owned()).into());
    }
    let segmenter = segmenter_for(data, reward, &config.protocol, device)?;
    let observations = export::observe(&slices, CALIBRATION_SLICES, &protocol, config.seed);
    let segmenter = export::quantised(GraphKind::Segmenter, &segmenter, &observations)?;
    let blob = write_blob(&export::header(data), Some(&segmenter), None).map_err(ExportError::from)?;
    let model = Model::new_checked(&blob).map_err(ExportError::from)?;
    fs::create_dir_all(out).map_err(|source| TrainError::Io { path: out.to_owned(), source })?;

    let sampler = Slices::new(&slices, config);
    let trainer = Trainer { data, protocol, config, slices, sampler, segmenter, model: &model, observations, out };
    trainer.run(device, found)
}

/// The segmenter of a checkpoint as a graph for the data's images.
fn segmenter_for(data: &Dataset, reward: &Path, protocol: &str, device: &Device) -> Result<FloatGraph, PolicyError> {
    let (network, meta) = load_segmenter(reward, None, device)?;
    meta.note_protocol(protocol);
    let (of, got) = ([meta.height, meta.width], [data.height(), data.width()]);
    if of != got {
        return Err(PolicyError::Size { reward: reward.to_owned(), of, data: data.dir().to_owned(), got });
    }
    Ok(network.graph(data.height(), data.width()))
}

/// Draws training slices, evenly or by the sampler's weights.
enum Slices {
    Even(usize),
    Weighted(WeightedSampler),
}

impl Slices {
    fn new(slices: &[&Slice], config: &PolicyConfig) -> Self {
        if config.weighted_sampler { Self::Weighted(WeightedSampler::new(slices)) } else { Self::Even(slices.len()) }
    }

    fn draw(&self, rng: &mut impl Rng) -> usize {
        match self {
            Self::Even(count) => rng.random_range(0..*count),
            Self::Weighted(sampler) => sampler.draw(rng),
        }
    }
}

struct Trainer<'a> {
    data: &'a Dataset,
    protocol: Protocol,
    config: &'a PolicyConfig,
    slices: Vec<&'a Slice>,
    sampler: Slices,
    segmenter: GraphSpec,
    model: &'a Model<'a>,
    observations: Vec<Observation>,
    out: &'a Path,
}

/// Networks, optimizer, and what is known of them.
struct State {
    agent: ActorCritic,
    optimizer: ModuleOptimizer,
    meta: Meta,
}

impl Trainer<'_> {
    fn run(&self, device: &Device, found: Option<(PathBuf, Meta)>) -> Result<Meta, PolicyError> {
        let config = self.config;
        let training = device.clone().autodiff();
        let mut state = self.start(&training, found)?;
        let mut memory = arenas(self.model, config.episodes);
        let validation = measure(self.data, Split::Val, &self.protocol, config.seed);
        let clock = Clock::new(state.meta.seconds, config.max_minutes);
        let end = if config.stop_at > 0 { config.stop_at.min(config.updates) } else { config.updates };
        let bar = progress::bar(config.updates as u64, state.meta.step as u64, "policy");
        if state.meta.step == 0 {
            self.report_baseline(&validation, &bar)?;
        }
        let mut recent = Vec::new();
        while state.meta.step < end && !clock.is_over() {
            let update = state.meta.step;
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(update as u64 + 1);
            let (episodes, worth) = self.play(&state.agent, update, &mut memory, &mut rng, device)?;
            let rate = cosine(clock.position(update, config.updates), config.updates, 0, config.learning_rate);
            let size = [self.data.height(), self.data.width()];
            let lesson = Lesson { episodes: &episodes, size, rate, config, device: &training };
            let (agent, report) = ppo::update(state.agent, &mut state.optimizer, &lesson, &mut rng);
            state.agent = agent;
            state.meta.step += 1;
            recent.push((worth, report));
            bar.set_position(state.meta.step as u64);
            bar.set_message(format!("worth {worth:.3} entropy {:.2} kl {:.3}", report.entropy, report.kl));
            state.meta.seconds = clock.seconds();
            if state.meta.step.is_multiple_of(config.validate_every) || state.meta.step == end || clock.is_over() {
                self.validate_and_save(&mut state, &validation, &std::mem::take(&mut recent), &bar)?;
            }
        }
        bar.finish_and_clear();
        Ok(state.meta)
    }

    fn start(&self, device: &Device, found: Option<(PathBuf, Meta)>) -> Result<State, PolicyError> {
        device.seed(self.config.seed);
        let (height, width) = (self.data.height(), self.data.width());
        let mut agent = ActorCritic::new(height, width, device);
        let clipping = burn::grad_clipping::GradientClippingConfig::Norm(self.config.max_gradient as f32);
        let adamw = AdamWConfig::new().with_weight_decay(1e-4).with_epsilon(1e-5);
        let mut optimizer = adamw.with_grad_clipping(Some(clipping)).init();
        let config = serde_json::to_value(self.config).expect("a configuration serialises");
        let source = self.data.manifest().source.clone();
        let mut meta = Meta {
            network: SCOUT.into(),
            segmenter: None,
            height,
            width,
            step: 0,
            seconds: 0.0,
            score: None,
            best: None,
            progress: Progress::default(),
            data: source,
            config,
        };
        if let Some((dir, found)) = found {
            meta = found.resume(&dir, meta)?;
            agent = checkpoint::load_weights(&dir, agent)?;
            optimizer = checkpoint::load_optimizer(&dir, optimizer)?;
        }
        Ok(State { agent, optimizer, meta })
    }

    /// Plays one batch of scans; returns their steps and their mean worth.
    fn play(
        &self,
        agent: &ActorCritic,
        update: usize,
        memory: &mut [HeapArena],
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<(Vec<Vec<Step>>, f64), PolicyError> {
        let player = agent.valid();
        let drawn: Vec<(usize, usize, u64)> = (0..memory.len())
            .map(|_| {
                let budget = rng.random_range(self.config.min_budget..=self.config.max_budget);
                (self.sampler.draw(rng), budget, rng.random())
            })
            .collect();
        let starts = drawn.into_par_iter().map(|(slice, budget, seed)| self.begin(slice, budget, seed)).collect();
        let graph = self.model.segmenter().expect("packed with a segmenter");
        let segmenter = CoreSegmenter { graph };
        let mut environment = Environment::new(self.model, memory, starts, &segmenter, &self.config.reward)?;
        let mut episodes: Vec<Vec<Step>> = std::iter::repeat_with(Vec::new).take(self.config.episodes).collect();
        loop {
            let active = environment.active();
            if active.is_empty() {
                break;
            }
            let observations: Vec<Observation> = active.iter().map(|&i| environment.observe(i)).collect();
            let choice = self.choose(&player, &observations, device, rng);
            let (lines, log_p, values) = choice.ok_or(TrainError::Diverged { step: update })?;
            let rewards = environment.step(&active, &lines)?;
            for (i, observation) in observations.into_iter().enumerate() {
                let step = Step {
                    observation,
                    line: lines[i],
                    log_probability: log_p[i],
                    value: values[i],
                    reward: rewards[i],
                };
                episodes[active[i]].push(step);
            }
        }
        let worth = environment.worth();
        Ok((episodes, worth.iter().sum::<f64>() / worth.len() as f64))
    }

    /// A varied slice in the scanner, with fresh phase and noise.
    fn begin(&self, slice: usize, budget: usize, seed: u64) -> Start {
        let varied = augment(self.slices[slice], &self.protocol, &self.config.augment, seed);
        Start { label: varied.label, kspace: varied.kspace, budget }
    }

    /// Draws a line for each observation; with its log-probability and the critic's value. `None` where the network gives
    /// no numbers any more.
    fn choose(
        &self,
        player: &ActorCritic,
        observations: &[Observation],
        device: &Device,
        rng: &mut impl Rng,
    ) -> Option<(Vec<usize>, Vec<f32>, Vec<f32>)> {
        let (height, width) = (self.data.height(), self.data.width());
        let observations: Vec<&Observation> = observations.iter().collect();
        let (log_p, values) = player.forward(&Batch::new(&observations, [height, width], device));
        let log_p = log_p.into_data().try_into_vec::<f32>().expect("f32");
        let values = values.into_data().try_into_vec::<f32>().expect("f32");
        let draw = |row: &[f32]| {
            let weights = row.iter().map(|log_p| log_p.exp());
            WeightedIndex::new(weights).map(|index| index.sample(rng)).ok()
        };
        let lines: Vec<usize> = log_p.chunks_exact(width).map(draw).collect::<Option<_>>()?;
        let chosen = lines.iter().zip(log_p.chunks_exact(width)).map(|(&line, row)| row[line]).collect();
        Some((lines, chosen, values))
    }

    fn report_baseline(&self, validation: &[MeasuredVolume<'_>], bar: &ProgressBar) -> Result<(), PolicyError> {
        if validation.is_empty() {
            return Ok(());
        }
        let mut line = String::from("centre-out:");
        for (&budget, dice) in self.config.validate_lines.iter().zip(self.scores(
            self.model,
            validation,
            Method::Pattern(Pattern::CentreOut),
        )?) {
            line += &format!(" Dice at {budget} lines {dice:.4}");
        }
        bar.suspend(|| println!("{line}"));
        Ok(())
    }

    /// Mean 3-D Dice at each validation budget.
    fn scores(
        &self,
        model: &Model<'_>,
        validation: &[MeasuredVolume<'_>],
        method: Method<'_>,
    ) -> Result<Vec<f64>, PolicyError> {
        let segmenter = CoreSegmenter { graph: model.segmenter().expect("packed with a segmenter") };
        let at = |&budget: &usize| {
            let scans = scan_volumes(model, &segmenter, validation, method, budget)?;
            Ok(mean_dice(&score(validation, &scans)?).iter().sum::<f64>() / 3.0)
        };
        self.config.validate_lines.iter().map(at).collect()
    }

    /// Validates the int8 policy, as it would be deployed, and writes the checkpoints.
    fn validate_and_save(
        &self,
        state: &mut State,
        validation: &[MeasuredVolume<'_>],
        recent: &[(f64, UpdateReport)],
        bar: &ProgressBar,
    ) -> Result<(), PolicyError> {
        let mean =
            |f: &dyn Fn(&(f64, UpdateReport)) -> f64| recent.iter().map(f).sum::<f64>() / recent.len().max(1) as f64;
        let (worth, entropy, kl) = (mean(&|r| r.0), mean(&|r| r.1.entropy), mean(&|r| r.1.kl));
        let mut columns = String::from("update,seconds,worth,entropy,kl,value_loss");
        let (step, seconds) = (state.meta.step, state.meta.seconds);
        let mut row = format!("{step},{seconds:.0},{worth:.4},{entropy:.3},{kl:.4},{:.4}", mean(&|r| r.1.value_loss));
        let mut line = format!("update {step}: worth {worth:.3}, entropy {entropy:.2}");
        if !validation.is_empty() {
            let policy = state.agent.valid().policy.graph(self.data.height(), self.data.width());
            let policy = export::quantised(GraphKind::Policy, &policy, &self.observations)?;
            let blob = write_blob(&export::header(self.data), Some(&self.segmenter), Some(&policy))
                .map_err(ExportError::from)?;
            let model = Model::new_checked(&blob).map_err(ExportError::from)?;
            let scores = self.scores(&model, validation, Method::Policy)?;
            for (budget, dice) in self.config.validate_lines.iter().zip(&scores) {
                columns += &format!(",dice_{budget}");
                row += &format!(",{dice:.4}");
                line += &format!(", Dice at {budget} lines {dice:.4}");
            }
            state.meta.score = Some(scores.iter().sum::<f64>() / scores.len().max(1) as f64);
        }
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        append(&self.out.join("log.csv"), &columns, &row)?;
        if state.meta.score > state.meta.best {
            state.meta.best = state.meta.score;
            checkpoint::save(&self.out.join("best"), &state.agent, None, &state.meta)?;
        }
        Ok(checkpoint::save(&self.out.join("last"), &state.agent, Some(&state.optimizer), &state.meta)?)
    }
}
