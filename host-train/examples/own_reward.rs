//! A reward of your own: a policy that is paid for a good image of the heart, whatever the rest of the field looks like, and without
//! any segmenter.
//!
//!     cargo run --release --example own_reward
//!
//! takes seconds on small synthetic hearts. A policy for use takes `PolicyConfig::default()` and more hearts.

use std::error::Error;
use std::path::Path;

use burn::tensor::Device;
use kscout::data::measured::MeasuredVolume;
use kscout::data::phantom::{self, PhantomOptions};
use kscout::eval::run::RunError;
use kscout::inference::numbers::NoNumbers;
use kscout::inference::rollout::Scanned;
use kscout::metrics::stats::{Sample, mean};
use kscout::rl::agent::ScoutActorCritic;
use kscout::rl::ppo::PpoConfig;
use kscout::rl::reward::{Measure, RewardInput, RewardMode, Scored};
use kscout::train::Pace;
use kscout::{Dataset, PolicyConfig, RewardModel, RunOptions, Trained, train_agent};

/// The signal-to-error ratio of the image within the heart, in units of 10 dB.
struct HeartImage;

impl RewardModel for HeartImage {
    fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
        Ok(scans.iter().map(quality).collect())
    }

    /// A step earns what the image gains by it.
    fn mode(&self) -> RewardMode {
        RewardMode::Gain
    }

    fn measures(&self) -> &'static [Measure] {
        &[Measure { column: "psnr", title: "PSNR" }]
    }

    fn compares(&self) -> &'static str {
        "PSNR"
    }

    /// On validation, for which PSNR of the whole image is at hand: the mean over all slices, and the volumes' own means to compare
    /// policies by patient.
    fn score(&self, volumes: &[MeasuredVolume<'_>], scans: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
        let of_volume = |scans: &Vec<Scanned>| mean(&scans.iter().map(|scan| scan.quality.psnr_db).collect::<Vec<_>>());
        let means: Vec<f64> = scans.iter().filter_map(of_volume).collect();
        let samples = volumes.iter().zip(&means).map(|(volume, &mean)| Sample::new(volume.patient.to_owned(), mean));
        Ok(Scored { measures: vec![mean(&means)], samples: samples.collect() })
    }
}

fn quality(scan: &RewardInput<'_>) -> f64 {
    let (image, label) = (scan.truth.reference.image(), &scan.truth.label);
    let mut pixels = scan.image.iter().zip(image).zip(label).filter(|(_, class)| **class > 0).peekable();
    // Slices beyond the heart have the same score with every line.
    if pixels.peek().is_none() {
        return 0.0;
    }
    let (mut signal, mut error) = (0.0, 0.0);
    for ((got, &expected), _) in pixels {
        signal += f64::from(expected).powi(2);
        error += f64::from(got.norm() - expected).powi(2);
    }
    (signal / error.max(1e-6 * signal)).log10()
}

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let trained = run(Path::new("out/example-reward"))?;
    let standing = trained.meta.standing().ok_or("a line policy's run says what it keeps")?;
    println!("update {}: {standing}", trained.meta.step);
    Ok(())
}

/// Trains the small policy for the reward above. Everything is written into `work`.
pub fn run(work: &Path) -> Result<Trained, Box<dyn Error>> {
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
    let run = RunOptions { out: &work.join("run"), resume: false, device: &Device::flex() };
    Ok(train_agent::<ScoutActorCritic>(&data, &HeartImage, None, &config, run)?)
}
