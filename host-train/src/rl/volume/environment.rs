//! Volumes whose slices share a budget as an environment.

use std::convert::Infallible;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::config::VolumeConfig;
use super::learner::VolumeObservation;
use crate::rl::batch_env::BatchEnv;
use crate::volume::{AllocationEnv, VolumeTrajectories};

/// A scan of any of `volumes`, of which there is at least one, with a budget that the configuration allows.
pub(super) fn begin<'a>(
    volumes: &'a [VolumeTrajectories],
    config: &VolumeConfig,
    rng: &mut impl Rng,
) -> AllocationEnv<'a> {
    let volume = volumes.choose(rng).expect("a volume");
    AllocationEnv::weighing(volume, rng.random_range(config.min_budget..=config.max_budget), config.weights())
}

/// Scans of volumes, side by side. Those whose budget is spent rest.
pub struct VolumeEnv<'a> {
    scans: Vec<AllocationEnv<'a>>,
    scale: f64,
}

impl VolumeEnv<'_> {
    /// An environment whose rewards are what a scan gains times `scale`.
    pub fn paying(scale: f64) -> Self {
        Self { scans: Vec::new(), scale }
    }
}

impl<'a> BatchEnv for VolumeEnv<'a> {
    type Start = AllocationEnv<'a>;
    type Observation = VolumeObservation;
    type Error = Infallible;

    fn reset(&mut self, starts: Vec<AllocationEnv<'a>>) -> Result<(), Infallible> {
        self.scans = starts;
        Ok(())
    }

    fn active(&self) -> Vec<usize> {
        (0..self.scans.len()).filter(|&i| self.scans[i].left() > 0).collect()
    }

    fn observe(&mut self, episodes: &[usize]) -> Vec<VolumeObservation> {
        episodes.iter().map(|&i| VolumeObservation::of(&self.scans[i])).collect()
    }

    /// The choices are slices.
    fn step(&mut self, episodes: &[usize], slices: &[usize]) -> Result<Vec<f64>, Infallible> {
        Ok(episodes.iter().zip(slices).map(|(&i, &slice)| self.scans[i].give(slice) * self.scale).collect())
    }
}
