//! Playing scans to learn from.

use burn::tensor::Device;
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::scan::write_state;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::agent::Agent;
use super::batch_env::{BatchEnv, rollout};
use super::environment::{CoreEnv, Start};
use super::error::PolicyError;
use super::ppo::Episodes;
use super::trainer::Trainer;
use crate::augment::augment;
use crate::augment::{MaskConfig, random_mask};
use crate::inference::rollout::Observation;
use crate::mri::acquire;
use crate::mri::observation::observed_levels;
use crate::train::TrainError;

/// How many observations a new agent is shown before it plays.
const FIRST_SIGHTS: usize = 32;

impl Trainer<'_> {
    /// Plays an update's scans in `environment`; returns their steps and their mean worth.
    pub fn rollout<A: Agent>(
        &self,
        player: &A,
        update: usize,
        environment: &mut CoreEnv<'_>,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<(Episodes<Observation>, f64), PolicyError> {
        let episodes = self.config.ppo.episodes;
        let drawn: Vec<(usize, usize, u64)> = (0..episodes)
            .map(|_| {
                let budget = rng.random_range(self.config.min_budget..=self.config.max_budget);
                (self.sampler.draw(rng), budget, rng.random())
            })
            .collect();
        let starts = drawn.into_par_iter().map(|(slice, budget, seed)| self.begin(slice, budget, seed)).collect();
        environment.reset(starts)?;
        let evaluate = |observations: &[&Observation]| player.evaluate(observations, self.size(), device);
        let played = rollout(environment, episodes, evaluate, rng)?;
        let worth = environment.objective();
        Ok((played.ok_or(TrainError::Diverged { step: update })?, worth.iter().sum::<f64>() / worth.len() as f64))
    }

    /// A varied slice in the scanner, with fresh phase and noise.
    fn begin(&self, pupil: usize, budget: usize, seed: u64) -> Start {
        let pupil = &self.slices[pupil];
        let varied = augment(pupil.slice, &self.protocol, &self.config.augment, seed);
        Start { label: varied.label, diagnosis: pupil.diagnosis.clone(), kspace: varied.kspace, budget }
    }

    /// Scans of evenly chosen training slices, each at some moment: what an agent will see, more or less.
    pub fn first_sights<A: Agent>(&self) -> Vec<Observation> {
        let observation = |i: usize| {
            let slice = self.slices[i * self.slices.len() / FIRST_SIGHTS].slice;
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.measuring.seed ^ (i as u64) << 32);
            let kspace = acquire(&slice.image, slice.height, slice.width, &self.protocol, rng.random());
            let mask = random_mask(slice.width, &MaskConfig::default(), &mut rng);
            let mut state = vec![0; slice.width + STATE_EXTRAS];
            let remaining = rng.random_range(1..=self.config.max_budget);
            write_state(&mask, (mask.len() + remaining).min(slice.width), &mut state).expect("a state of its length");
            let image = if A::SEES_PHASE { kspace.zero_filled(|line| mask.contains(line)) } else { Vec::new() };
            Observation { levels: observed_levels(&kspace, &mask, self.plan.reconstruction()), state, image, remaining }
        };
        (0..FIRST_SIGHTS).into_par_iter().map(observation).collect()
    }
}
