//! A policy of your own: one that never looks at the image, and learns by how much each line measured so far, and the budget that
//! is left, change the odds of each next line.
//!
//!     cargo run --release --example own_policy
//!
//! takes seconds on small synthetic hearts, with a reward that needs no other network. With a segmenter as reward model,
//! `kscout::rl::reward::load` makes a reward of its checkpoint.

use std::error::Error;
use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use kscout::data::measured::MeasuredVolume;
use kscout::data::phantom::{self, PhantomOptions};
use kscout::eval::run::RunError;
use kscout::inference::numbers::NoNumbers;
use kscout::inference::rollout::{Chooser, Observation, Scanned};
use kscout::metrics::stats::{Sample, mean};
use kscout::rl::agent::Greedy;
use kscout::rl::ppo::PpoConfig;
use kscout::rl::reward::{Measure, RewardInput, RewardMode, Scored};
use kscout::train::Pace;
use kscout::{Agent, Dataset, PolicyConfig, RewardModel, RunOptions, load_agent, train_agent};
use kscout_core::contract::STATE_EXTRAS;

/// Policy and critic, both linear in the state of the scan.
#[derive(Module, Debug)]
struct Blind {
    /// Logits that it begins with, `[W]`.
    order: Param<Tensor<1>>,
    /// What the state adds to them.
    lines: Linear,
    /// The rewards still to come.
    value: Linear,
}

/// Which lines are measured and how many are left, `[B, W + 3]`, as numbers about 1.
fn states(observations: &[&Observation], width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> =
        observations.iter().flat_map(|seen| &seen.state).map(|&value| f32::from(value) / 127.0).collect();
    Tensor::from_data(TensorData::new(values, [observations.len(), width + STATE_EXTRAS]), device)
}

impl Agent for Blind {
    const NAME: &'static str = "blind";
    const SEES_PHASE: bool = false;

    fn new([_, width]: [usize; 2], device: &Device) -> Self {
        // What the state adds is nothing until it is learned.
        let layer = |outputs| {
            LinearConfig::new(width + STATE_EXTRAS, outputs).with_initializer(Initializer::Zeros).init(device)
        };
        Self { order: Param::from_tensor(Tensor::zeros([width], device)), lines: layer(width), value: layer(1) }
    }

    fn beginning_with(self, logits: Tensor<1>, _: &Device) -> Self {
        Self { order: Param::from_tensor(logits), ..self }
    }

    fn ready(self, _: Option<&[Observation]>, _: [usize; 2], _: &Device) -> Self {
        self
    }

    fn logits(&self, observations: &[&Observation], [_, width]: [usize; 2], device: &Device) -> Tensor<2> {
        self.lines.forward(states(observations, width, device)) + self.order.val().unsqueeze::<2>()
    }

    fn logits_and_values(
        &self,
        observations: &[&Observation],
        size: [usize; 2],
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>) {
        let values = self.value.forward(states(observations, size[1], device)).flatten::<1>(0, 1);
        (self.logits(observations, size, device), values)
    }
}

/// SSIM of the image.
struct Ssim;

impl RewardModel for Ssim {
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
        Ok(scans.iter().map(|scan| scan.truth.reference.ssim(&scan.image).expect("images of one size")).collect())
    }

    fn mode(&self) -> RewardMode {
        RewardMode::Gain
    }

    fn measures(&self) -> &'static [Measure] {
        &[Measure { column: "ssim", title: "SSIM" }]
    }

    fn compares(&self) -> &'static str {
        "SSIM"
    }

    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
        let of_volume = |scans: &Vec<Scanned>| mean(&scans.iter().map(|scan| scan.quality.ssim).collect::<Vec<_>>());
        let means: Vec<f64> = scans.iter().filter_map(of_volume).collect();
        let samples = volumes.iter().zip(&means).map(|(volume, &mean)| Sample::new(volume.patient.to_owned(), mean));
        Ok(Scored { measures: vec![mean(&means)], samples: samples.collect() })
    }
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    println!("the first line of every scan: {}", run(Path::new("out/example-policy"))?);
    Ok(())
}

/// Trains the policy, loads it again, and asks it for the first line of a scan. Everything is written into `work`.
pub fn run(work: &Path) -> Result<usize, Box<dyn Error>> {
    let hearts = PhantomOptions { patients: 5, size: 32, force: true, ..PhantomOptions::default() };
    phantom::make(&work.join("data"), &hearts, &())?;
    let data = Dataset::open(work.join("data"))?;
    let default = PolicyConfig::default();
    let config = PolicyConfig {
        updates: 4,
        ppo: PpoConfig { episodes: 8, minibatch: 16, ..default.ppo },
        min_budget: 3,
        max_budget: 6,
        pace: Pace::validating_every(2),
        validate_lines: vec![4, 6],
        ..default
    };
    let (out, device) = (work.join("run"), Device::flex());
    train_agent::<Blind>(&data, &Ssim, None, &config, RunOptions { out: &out, resume: false, device: &device })?;

    let (agent, meta) = load_agent::<Blind>(&out.join("last"), &device)?;
    let size = [meta.height, meta.width];
    let policy = Greedy { agent, size, device };
    let first = Observation { state: vec![0; size[1] + STATE_EXTRAS], ..Observation::default() };
    Ok(policy.choose(&[first])?[0])
}
