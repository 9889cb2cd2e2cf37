//! A policy and its critic, as PPO trains them, and how what they see becomes tensors.
//!
//! [`scout`]: small, looks at the quantised image, made for the device. [`asmr`]: two ResNets that look at the complex
//! image, for the host.
//!
//! A new policy is a file here that implements [`Agent`] for a policy and critic, and its line in the table. Outside this crate an
//! [`Agent`] is enough: [`train_agent`](super::train_agent) takes it as it is.

pub mod asmr;
mod registry;
pub mod scout;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use self::registry::policies;
use crate::inference::numbers::{NoNumbers, numbers};
use crate::inference::rollout::{Chooser, Observation};
use crate::net::asmr::AsmrActorCritic;
use crate::net::{DevicePolicy, FixedOrder, LinePolicy};
use crate::shown::shown_up_to;
use crate::train::checkpoint::{self, ActingPolicy, CheckpointError, Meta, WeightsHash};

pub use scout::ScoutActorCritic;

policies! {
    /// Small, for devices; sees the quantised image.
    Scout = ScoutActorCritic,
    /// ASMR's two ResNets, for the host; sees the complex image.
    Asmr = AsmrActorCritic,
}

/// What is known of a policy by its type alone.
struct Facts {
    name: &'static str,
    most_lines: usize,
}

/// Work with a policy whose type is known by its name.
pub trait WithAgent {
    /// What comes of it.
    type Output;

    /// Does the work.
    fn with<A: Agent + Sync + 'static>(self) -> Self::Output;
}

/// Asks for the [`Facts`].
struct Ask;

impl WithAgent for Ask {
    type Output = Facts;

    fn with<A: Agent + Sync + 'static>(self) -> Facts {
        Facts { name: A::NAME, most_lines: A::MOST_LINES }
    }
}

impl PolicyNetwork {
    /// The name in configs and checkpoints.
    pub fn name(self) -> &'static str {
        self.with(Ask).name
    }

    /// The most lines that a scan of it may have.
    pub fn most_lines(self) -> usize {
        self.with(Ask).most_lines
    }
}

impl fmt::Display for PolicyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PolicyNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|network| network.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no policy; expected one of {known}")
        })
    }
}

impl Serialize for PolicyNetwork {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for PolicyNetwork {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Characters that a note shows of a checkpoint's record.
const MOST_SHOWN: usize = 300;

/// Added to the logits of measured lines: their probability is then zero in f32.
const NEVER: f32 = -1e9;

/// A policy and its critic.
pub trait Agent: Module {
    /// The policy's name in checkpoints and configs.
    const NAME: &'static str;

    /// Whether it looks at [`Observation::image`].
    const SEES_PHASE: bool;

    /// The most lines that a scan may have.
    const MOST_LINES: usize = usize::MAX;

    /// Random weights, for images of `size` (rows, columns); the policy starts out as centre-out.
    fn new(size: [usize; 2], device: &Device) -> Self;

    /// With a policy that gives `logits`, `[W]`, whatever it sees, until it has learned.
    #[must_use]
    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self;

    /// Ready to act and to learn; `first` are a few observations where the weights are new, none where they were loaded.
    fn ready(self, first: Option<&[Observation]>, size: [usize; 2], device: &Device) -> Self;

    /// Logits `[B, W]`, measured lines not yet excluded.
    fn logits(&self, observations: &[&Observation], size: [usize; 2], device: &Device) -> Tensor<2>;

    /// Logits `[B, W]`, measured lines not yet excluded, and values `[B]`.
    fn logits_and_values(
        &self,
        observations: &[&Observation],
        size: [usize; 2],
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>);

    /// What a device runs of it, without the critic, if it is made for that.
    fn for_device(self) -> Option<Box<dyn DevicePolicy>> {
        None
    }

    /// Log-probabilities `[B, W]` of the lines, and values `[B]`.
    fn evaluate(&self, observations: &[&Observation], size: [usize; 2], device: &Device) -> (Tensor<2>, Tensor<1>) {
        let (logits, values) = self.logits_and_values(observations, size, device);
        (log_softmax(logits + exclusion(observations, size[1], device), 1), values)
    }
}

/// `[B, W]`: zero for lines to choose from, a very negative number for measured ones.
fn exclusion(observations: &[&Observation], width: usize, device: &Device) -> Tensor<2> {
    let measured = observations.iter().flat_map(|observation| observation.measured());
    let exclusion: Vec<f32> = measured.map(|measured| if measured { NEVER } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(exclusion, [observations.len(), width]), device)
}

/// The entries of each row that `columns` names: `[B, W]` to `[B]`.
pub fn pick(rows: Tensor<2>, columns: &[usize], device: &Device) -> Tensor<1> {
    let columns: Vec<i32> = columns.iter().map(|&column| column as i32).collect();
    let length = columns.len();
    let columns = Tensor::<2, Int>::from_data(TensorData::new(columns, [length, 1]), device);
    rows.gather(1, columns).flatten::<1>(0, 1)
}

/// A policy that takes the likeliest line.
pub struct Greedy<A> {
    /// Policy and critic, without gradients.
    pub agent: A,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Where it runs.
    pub device: Device,
}

impl<A> fmt::Debug for Greedy<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greedy").field("size", &self.size).finish_non_exhaustive()
    }
}

impl<A: Agent + Sync> Chooser for Greedy<A> {
    fn sees_phase(&self) -> bool {
        A::SEES_PHASE
    }

    fn choose(&self, observations: &[Observation]) -> Result<Vec<usize>, NoNumbers> {
        let observations: Vec<&Observation> = observations.iter().collect();
        let width = self.size[1];
        let logits = self.agent.logits(&observations, self.size, &self.device);
        let logits = numbers(logits + exclusion(&observations, width, &self.device), "policy")?;
        // The first of equal ones, as the core does it.
        let best = |row: &[f32]| (1..width).fold(0, |best, line| if row[line] > row[best] { line } else { best });
        Ok(logits.chunks_exact(width).map(best).collect())
    }
}

/// Why a policy cannot go to a device.
#[derive(Debug, thiserror::Error)]
pub enum LoadPolicyError {
    /// A checkpoint problem.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A policy for the host alone.
    #[error(
        "{}: an `{network}` policy runs on the host only (`kscout eval` takes it); `{}` is the one that can be exported: train it \
         with network = \"{}\"",
        path.display(), PolicyNetwork::Scout, PolicyNetwork::Scout
    )]
    HostOnly {
        /// The checkpoint.
        path: PathBuf,
        /// Its policy.
        network: String,
    },
}

/// A trained policy of any kind.
pub enum Policy {
    /// For devices.
    Device(Box<dyn DevicePolicy>),
    /// For the host.
    Host(Box<dyn Chooser>),
    /// The fixed order that a run began as and has not learned to beat, of whatever network.
    Fixed(FixedOrder),
}

impl Policy {
    /// The policy that acts as `agent` has learned to, for images of `size` (rows, columns).
    pub fn of<A: Agent + Sync + 'static>(agent: A, size: [usize; 2], device: &Device) -> Self {
        match agent.clone().for_device() {
            Some(policy) => Self::Device(policy),
            None => Self::Host(Box::new(Greedy { agent, size, device: device.clone() })),
        }
    }
}

/// The weights of the policy of the checkpoint folder `dir`, which `meta` describes.
struct Load<'a> {
    dir: &'a Path,
    meta: &'a mut Meta,
    device: &'a Device,
}

impl WithAgent for Load<'_> {
    type Output = Result<Policy, CheckpointError>;

    fn with<A: Agent + Sync + 'static>(self) -> Self::Output {
        let Self { dir, meta, device } = self;
        let size = [meta.height, meta.width];
        let agent = checkpoint::load_noted(dir, A::new(size, device), meta)?;
        Ok(Policy::of(agent, size, device))
    }
}

/// The policy in the checkpoint that `path` names: a checkpoint folder, or a run's folder, of which the policy is meant that the
/// run keeps. Where its record says that the fixed order is kept, that is the policy, and standard error says so.
pub fn load_any_policy(path: &Path, device: &Device) -> Result<(Policy, Meta), CheckpointError> {
    let (dir, mut meta) = read_kept(path)?;
    let record = meta.line_policy(&dir, &PolicyNetwork::ALL.map(PolicyNetwork::name))?;
    let network: PolicyNetwork = record.network.parse().expect("one of the expected networks");
    match &record.standing {
        Some(standing) if !standing.order.is_whole(meta.width) => {
            let message = format!("`standing.order.lines` is no order of {} lines", meta.width);
            return Err(CheckpointError::Meta { path: dir, message });
        }
        Some(standing) if standing.acting == ActingPolicy::FixedOrder => {
            eprintln!("note: {}: {}", dir.display(), shown_up_to(&standing.to_string(), MOST_SHOWN));
            let order = standing.order.clone();
            // Whatever weights lie beside it.
            meta.weights_hash = Some(WeightsHash::of_order(&order.lines));
            return Ok((Policy::Fixed(order), meta));
        }
        None if meta.step > 0 => {
            eprintln!(
                "note: {}: nothing says whether this policy beats a fixed order; `kscout eval` does",
                dir.display()
            );
        }
        _ => {}
    }
    let acting = |meta: &Meta| meta.standing().map(|standing| standing.acting);
    let before = acting(&meta);
    let policy = network.with(Load { dir: &dir, meta: &mut meta, device })?;
    // A run may have replaced the checkpoint since its description was read, and given the network up.
    if acting(&meta) == before { Ok((policy, meta)) } else { load_any_policy(path, device) }
}

/// The policy and critic `A` in the checkpoint that `path` names, whether or not a run keeps the fixed order instead: a policy of
/// one's own, as [`train_agent`](super::train_agent) leaves it in `last`.
///
/// # Errors
/// [`CheckpointError`] where there is none, or one of another network.
pub fn load_agent<A: Agent>(path: &Path, device: &Device) -> Result<(A, Meta), CheckpointError> {
    let (dir, mut meta) = checkpoint::read_meta(path)?;
    meta.line_policy(&dir, &[A::NAME])?;
    let size = [meta.height, meta.width];
    let agent = checkpoint::load_noted(&dir, A::new(size, device), &mut meta)?;
    Ok((agent.ready(None, size, device), meta))
}

/// The checkpoint that `path` names; of a line policy's run its `best`, which is what the run keeps.
fn read_kept(path: &Path) -> Result<(PathBuf, Meta), CheckpointError> {
    let (dir, meta) = checkpoint::read_meta(path)?;
    let is_run = dir.parent() == Some(path);
    if is_run && meta.standing().is_some() { checkpoint::read_meta(&path.join("best")) } else { Ok((dir, meta)) }
}

/// The policy in the checkpoint that `path` names, as [`load_any_policy`] finds it, for a device.
pub fn load_policy(path: &Path, device: &Device) -> Result<(LinePolicy, Meta), LoadPolicyError> {
    match load_any_policy(path, device)? {
        (Policy::Device(policy), meta) => Ok((LinePolicy::Learned(policy), meta)),
        (Policy::Fixed(order), meta) => Ok((LinePolicy::Fixed(order), meta)),
        (Policy::Host(_), meta) => {
            Err(LoadPolicyError::HostOnly { path: path.to_owned(), network: meta.network().to_owned() })
        }
    }
}
