//! `kscout train line-policy`: scans by the thousand, and a policy that gets better at them.

use std::path::Path;

use burn::tensor::Device;
use kscout_core::kspace::{Plan, Reconstruction};
use kscout_core::model::{GraphKind, Model};

use super::agent::{Agent, WithAgent};
use super::config::PolicyConfig;
use super::error::PolicyError;
use super::reward::{self, RewardRequest, RewardSource, Scene};
use super::trainer::{Slices, Trainer};
use crate::config;
use crate::data::{Dataset, Labels, Slice};
use crate::export::blob_writer::{GraphSpec, write_blob};
use crate::export::{self, CalibrationSample, ExportError};
use crate::mri::{Acquisition, Protocol};
use crate::net::{FixedOrder, FloatGraph};
use crate::samplers::LearnedMask;
use crate::train::start::Opening;
use crate::train::{RunOptions, TrainError, Trained};

/// Slices that calibrate what is exported.
const CALIBRATION_SLICES: usize = 96;

/// Bytes that the scans of an update may take together.
const MOST_BYTES: usize = 32 << 30;

impl PolicyConfig {
    /// Refuses what does not fit the images, or the network of the name `network`, which counts to `most_lines`.
    fn check(&self, data: &Dataset, network: &str, most_lines: usize) -> Result<Protocol, TrainError> {
        config::check(self)?;
        let error = |key, message: String| Err(TrainError::Config { key, message });
        let width = data.width();
        if self.max_budget > width {
            return error("max_budget", format!("{} is more than the images' {width} lines", self.max_budget));
        }
        let largest = self.validate_lines.iter().copied().fold(self.max_budget, usize::max);
        if largest > most_lines {
            let message = format!("{largest} lines, but the network `{network}` counts to {most_lines}");
            return error("max_budget, validate_lines", message);
        }
        Ok(self.measuring.protocol)
    }
}

/// What a line policy is trained with beside its data.
#[derive(Clone, Copy)]
pub struct LinePolicyInputs<'a> {
    /// The checkpoint of the segmenter or classifier that scores the scans.
    pub reward: &'a Path,
    /// What a classifier scores by; a segmenter has no use for them.
    pub labels: Option<&'a Labels>,
    /// The fixed order that the policy begins as and has to beat; none: centre-out.
    pub mask: Option<&'a LearnedMask>,
}

/// Trains the line policy that `config` names on `data` and leaves `last`, `best` and `log.csv` in the run's folder: `last` is
/// where training stands, `best` the policy to use.
///
/// The policy begins as a fixed order of lines, that of the mask or else centre-out, and `best` keeps to that order until an update
/// gains over it on validation, by an interval above 0 over patients.
///
/// # Errors
/// [`PolicyError`] says what does not fit, and where.
pub fn train_line_policy(
    data: &Dataset,
    inputs: LinePolicyInputs<'_>,
    config: &PolicyConfig,
    options: RunOptions<'_>,
) -> Result<Trained, PolicyError> {
    let config = &config.fitted(data.width());
    let network = config.network;
    let protocol = config.check(data, network.name(), network.most_lines())?;
    let opening = Opening::find(options)?;
    let LinePolicyInputs { reward: checkpoint, labels, mask } = inputs;
    let device = options.device;
    let source = reward::load(&RewardRequest { checkpoint, labels, data, config, device })?;
    network.with(Training { data, source: source.as_ref(), mask, config, protocol, opening, device })
}

/// [`train_line_policy`] of a policy `A` of one's own, for a reward of one's own: any [`RewardModel`](reward::RewardModel) is a
/// [`RewardSource`]. The configuration's `network` does not count.
///
/// # Errors
/// [`PolicyError`] says what does not fit, and where.
pub fn train_agent<A: Agent + Sync + 'static>(
    data: &Dataset,
    source: &dyn RewardSource,
    mask: Option<&LearnedMask>,
    config: &PolicyConfig,
    options: RunOptions<'_>,
) -> Result<Trained, PolicyError> {
    let config = &config.fitted(data.width());
    let protocol = config.check(data, A::NAME, A::MOST_LINES)?;
    let opening = Opening::find(options)?;
    Training { data, source, mask, config, protocol, opening, device: options.device }.with::<A>()
}

/// A training that is known to fit its data.
struct Training<'a> {
    data: &'a Dataset,
    source: &'a dyn RewardSource,
    mask: Option<&'a LearnedMask>,
    config: &'a PolicyConfig,
    protocol: Protocol,
    opening: Opening<'a>,
    device: &'a Device,
}

impl WithAgent for Training<'_> {
    type Output = Result<Trained, PolicyError>;

    fn with<A: Agent + Sync + 'static>(self) -> Result<Trained, PolicyError> {
        let Self { data, source, mask, config, protocol, opening, device } = self;
        let reconstruction = source.reconstruction();
        if A::SEES_PHASE && reconstruction.has_second_image() {
            let (network, reward) = (A::NAME, source.name());
            return Err(PolicyError::Reconstruction { network, reward, reconstruction });
        }
        let slices = source.slices(data)?;
        let shown: Vec<&Slice> = slices.iter().map(|training| training.slice).collect();
        mask.inspect(|mask| mask.note_conditions(&config.measuring.protocol.to_string(), reconstruction.name()));
        let acquisition = Acquisition { protocol, reconstruction };
        let observations = export::observe(&shown, CALIBRATION_SLICES, acquisition, config.measuring.seed);
        let plan = Plan::new(reconstruction, data.height(), data.width());
        check_memory(config, plan)?;
        let exported = source.segmenter().map(|graph| exported(data, graph, &observations, reconstruction));
        let (segmenter, blob) = exported.transpose()?.unzip();
        let model = blob.as_deref().map(Model::new_checked).transpose().map_err(ExportError::from)?;
        let reward = source.model(&Scene { model: model.as_ref(), config: &config.reward, slices: &shown });
        let trainer = Trainer {
            data,
            protocol,
            config,
            sampler: Slices::new(&slices, config),
            slices,
            segmenter,
            observations,
            plan,
            reward: reward.as_ref(),
            labels: source.labels().to_vec(),
            inputs: source.inputs(),
            order: fixed_order(data.width(), mask),
        };
        trainer.run::<A>(device, opening)
    }
}

/// The segmenter in int8 and its file, by which scans are scored.
fn exported(
    data: &Dataset,
    graph: &FloatGraph,
    observations: &[CalibrationSample],
    reconstruction: Reconstruction,
) -> Result<(GraphSpec, Vec<u8>), PolicyError> {
    let segmenter = export::quantised(GraphKind::Segmenter, graph, observations)?;
    let blob = write_blob(&export::header(data, reconstruction), Some(&segmenter), None).map_err(ExportError::from)?;
    Ok((segmenter, blob))
}

fn check_memory(config: &PolicyConfig, plan: Plan) -> Result<(), TrainError> {
    let most = MOST_BYTES / plan.bytes().max(1);
    if config.ppo.episodes <= most.max(1) {
        return Ok(());
    }
    let message = format!("must be at most {most}: the memory of more scans side by side is over 32 GB");
    Err(TrainError::Config { key: "episodes", message })
}

/// The best fixed order of lines that is known: the mask's, then from the centre outwards; without a mask centre-out.
fn fixed_order(width: usize, mask: Option<&LearnedMask>) -> FixedOrder {
    mask.map_or_else(
        || FixedOrder::centre_out(width),
        |mask| FixedOrder::beginning_with("learned-mask", &mask.lines, width),
    )
}
