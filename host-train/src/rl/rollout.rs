//! Playing scans to learn from.

use kscout_core::contract::STATE_EXTRAS;
use kscout_core::scan::write_state;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::agent::Agent;
use super::batch_env::{BatchEnv, rollout};
use super::environment::EpisodeStart;
use super::error::PolicyError;
use super::ppo::Episodes;
use super::reward::TrainingSlice;
use super::trainer::{LinePolicyTask, Trainer};
use crate::augment::augment;
use crate::augment::{MaskConfig, random_mask};
use crate::inference::rollout::Observation;
use crate::mri::acquire;
use crate::mri::observation::observed_levels;
use crate::train::TrainError;

/// How many observations a new agent is shown before its first rollout.
const FIRST_OBSERVATIONS: usize = 32;

impl<A: Agent + Sync> LinePolicyTask<'_, A> {
    /// Plays the scans of an update in the environment; returns their steps.
    pub fn rollout(&mut self, update: usize, rng: &mut ChaCha8Rng) -> Result<Episodes<Observation>, PolicyError> {
        let Self { trainer, agent, environment, device, .. } = self;
        let config = trainer.config;
        let episodes = config.ppo.episodes;
        let drawn: Vec<(usize, usize, u64)> = (0..episodes)
            .map(|_| {
                let budget = rng.random_range(config.min_budget..=config.max_budget);
                (trainer.sampler.draw(rng), budget, rng.random())
            })
            .collect();
        let starts = drawn.into_par_iter().map(|(slice, budget, seed)| trainer.start(slice, budget, seed)).collect();
        environment.reset(starts)?;
        let acting = agent.valid();
        let evaluate = |observations: &[&Observation]| acting.evaluate(observations, trainer.size(), device);
        let episodes = rollout(environment, episodes, evaluate, rng)?;
        Ok(episodes.ok_or(TrainError::Diverged { step: update })?)
    }
}

impl Trainer<'_> {
    /// A varied slice in the scanner, with fresh phase and noise.
    fn start(&self, slice: usize, budget: usize, seed: u64) -> EpisodeStart {
        let TrainingSlice { slice, diagnosis } = &self.slices[slice];
        let varied = augment(slice, &self.protocol, &self.config.augment, seed);
        EpisodeStart { label: varied.label, diagnosis: diagnosis.clone(), kspace: varied.kspace, budget }
    }

    /// Scans of evenly chosen training slices, each at some moment: what an agent will see, more or less.
    pub fn first_observations<A: Agent>(&self) -> Vec<Observation> {
        let observation = |i: usize| {
            let slice = self.slices[i * self.slices.len() / FIRST_OBSERVATIONS].slice;
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.measuring.seed ^ (i as u64) << 32);
            let kspace = acquire(&slice.image, slice.height, slice.width, &self.protocol, rng.random());
            let mask = random_mask(slice.width, &MaskConfig::default(), &mut rng);
            let mut state = vec![0; slice.width + STATE_EXTRAS];
            let remaining = rng.random_range(1..=self.config.max_budget);
            write_state(&mask, (mask.len() + remaining).min(slice.width), &mut state).expect("a state of its length");
            let image = if A::SEES_PHASE { kspace.zero_filled(|line| mask.contains(line)) } else { Vec::new() };
            Observation { levels: observed_levels(&kspace, &mask, self.plan.reconstruction()), state, image, remaining }
        };
        (0..FIRST_OBSERVATIONS).into_par_iter().map(observation).collect()
    }
}
