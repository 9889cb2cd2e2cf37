//! A policy and its critic, as PPO trains them, and how what they see becomes tensors.
//!
//! [`scout`]: small, looks at the quantised image, made for the device. [`asmr`]: two ResNets that look at the complex
//! image, for the host.

pub mod asmr;
pub mod scout;

use std::fmt;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::config::PolicyNetwork;
use crate::net::asmr::AsmrActorCritic;
use crate::net::{FixedOrder, FloatGraph, LinePolicy, Scout};
use crate::numbers::{NoNumbers, numbers};
use crate::play::{Chooser, Sight};
use crate::shown::shown_up_to;
use crate::train::checkpoint::{self, CheckpointError, Meta, Plays, WeightsHash};

pub use scout::ScoutActorCritic;

/// Characters that a note shows of a checkpoint's record.
const MOST_SHOWN: usize = 300;

/// Added to the logits of measured lines: their probability is then zero in f32.
const NEVER: f32 = -1e9;

/// A policy and its critic.
pub trait Agent: Module {
    /// The policy's name in checkpoints and configs.
    const NETWORK: PolicyNetwork;

    /// Whether it looks at [`Sight::image`].
    const SEES_PHASE: bool;

    /// Random weights, for images of `size` (rows, columns); the policy starts out as centre-out.
    fn new(size: [usize; 2], device: &Device) -> Self;

    /// With a policy that gives `logits`, `[W]`, whatever it sees, until it has learned.
    #[must_use]
    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self;

    /// Ready to play and to learn; `first` are a few sights where the weights are new, none where they were loaded.
    fn ready(self, first: Option<&[Sight]>, size: [usize; 2], device: &Device) -> Self;

    /// Logits `[B, W]`, measured lines not yet excluded.
    fn logits(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> Tensor<2>;

    /// Logits `[B, W]`, measured lines not yet excluded, and values `[B]`.
    fn logits_and_values(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> (Tensor<2>, Tensor<1>);

    /// The policy as a graph that can be exported, if it is made for that.
    fn graph(&self, size: [usize; 2]) -> Option<FloatGraph>;

    /// Log-probabilities `[B, W]` of the lines, and values `[B]`.
    fn judge(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> (Tensor<2>, Tensor<1>) {
        let (logits, values) = self.logits_and_values(sights, size, device);
        (log_softmax(logits + exclusion(sights, size[1], device), 1), values)
    }
}

/// `[B, W]`: zero for lines to choose from, a very negative number for measured ones.
fn exclusion(sights: &[&Sight], width: usize, device: &Device) -> Tensor<2> {
    let measured = sights.iter().flat_map(|sight| sight.measured());
    let exclusion: Vec<f32> = measured.map(|measured| if measured { NEVER } else { 0.0 }).collect();
    Tensor::from_data(TensorData::new(exclusion, [sights.len(), width]), device)
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

    fn choose(&self, sights: &[Sight]) -> Result<Vec<usize>, NoNumbers> {
        let sights: Vec<&Sight> = sights.iter().collect();
        let width = self.size[1];
        let logits = self.agent.logits(&sights, self.size, &self.device);
        let logits = numbers(logits + exclusion(&sights, width, &self.device), "policy")?;
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
        "{}: an `{}` policy runs on the host only (`kscout eval` takes it); `{}` is the one that can be exported: train it \
         with network = \"{}\"",
        path.display(), PolicyNetwork::Asmr, PolicyNetwork::Scout, PolicyNetwork::Scout
    )]
    HostOnly {
        /// The checkpoint.
        path: PathBuf,
    },
}

/// A trained policy of any kind.
pub enum Policy {
    /// For devices.
    Scout(Box<Scout>),
    /// For the host.
    Asmr(Box<Greedy<AsmrActorCritic>>),
    /// The fixed order that a run began as and has not learned to beat, of whatever network.
    Fixed(FixedOrder),
}

/// The policy in the checkpoint that `path` names: a checkpoint folder, or a run's folder, of which the policy is meant that the
/// run keeps. Where its record says that the fixed order is kept, that is the policy, and standard error says so.
pub fn load_any_policy(path: &Path, device: &Device) -> Result<(Policy, Meta), CheckpointError> {
    let (dir, mut meta) = read_kept(path)?;
    let size = [meta.height, meta.width];
    let names = PolicyNetwork::ALL.map(PolicyNetwork::name);
    meta.expect_network(&dir, &names)?;
    match &meta.standing {
        Some(standing) if !standing.order.is_whole(meta.width) => {
            let message = format!("`standing.order.lines` is no order of {} lines", meta.width);
            return Err(CheckpointError::Meta { path: dir, message });
        }
        Some(standing) if standing.plays == Plays::FixedOrder => {
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
    let plays = |meta: &Meta| meta.standing.as_ref().map(|standing| standing.plays);
    let before = plays(&meta);
    let policy = if meta.network == PolicyNetwork::Asmr.name() {
        let agent = checkpoint::load_noted(&dir, AsmrActorCritic::new(size, device), &mut meta)?;
        Policy::Asmr(Box::new(Greedy { agent, size, device: device.clone() }))
    } else {
        let agent: ScoutActorCritic = checkpoint::load_noted(&dir, ScoutActorCritic::new(size, device), &mut meta)?;
        Policy::Scout(Box::new(agent.policy))
    };
    // A run may have replaced the checkpoint since its description was read, and given the network up.
    if plays(&meta) == before { Ok((policy, meta)) } else { load_any_policy(path, device) }
}

/// The checkpoint that `path` names; of a line policy's run its `best`, which is what the run keeps.
fn read_kept(path: &Path) -> Result<(PathBuf, Meta), CheckpointError> {
    let (dir, meta) = checkpoint::read_meta(path)?;
    let is_run = dir.parent() == Some(path);
    if is_run && meta.standing.is_some() { checkpoint::read_meta(&path.join("best")) } else { Ok((dir, meta)) }
}

/// The policy in the checkpoint that `path` names, as [`load_any_policy`] finds it, for a device.
pub fn load_policy(path: &Path, device: &Device) -> Result<(LinePolicy, Meta), LoadPolicyError> {
    match load_any_policy(path, device)? {
        (Policy::Scout(policy), meta) => Ok((LinePolicy::Learned(policy), meta)),
        (Policy::Fixed(order), meta) => Ok((LinePolicy::Fixed(order), meta)),
        (Policy::Asmr(_), _) => Err(LoadPolicyError::HostOnly { path: path.to_owned() }),
    }
}
