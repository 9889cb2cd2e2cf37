//! Playing scans to learn from.

use burn::tensor::Device;
use kscout_core::scan::{STATE_EXTRAS, write_state};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::agent::Agent;
use super::environment::{Environment, Start};
use super::ppo::{Episodes, Step};
use super::train::PolicyError;
use super::trainer::Trainer;
use crate::mri::acquire;
use crate::mri::observation::observed_levels;
use crate::play::Sight;
use crate::segment::HeapArena;
use crate::train::TrainError;
use crate::train::augment::augment;
use crate::train::sample::{MaskConfig, random_mask};

/// How many sights a new agent is shown before it plays.
const FIRST_SIGHTS: usize = 32;

impl Trainer<'_> {
    /// Plays one batch of scans; returns their steps and their mean worth.
    pub fn play<A: Agent>(
        &self,
        player: &A,
        update: usize,
        memory: &mut [HeapArena],
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<(Episodes<Sight>, f64), PolicyError> {
        let drawn: Vec<(usize, usize, u64)> = (0..memory.len())
            .map(|_| {
                let budget = rng.random_range(self.config.min_budget..=self.config.max_budget);
                (self.sampler.draw(rng), budget, rng.random())
            })
            .collect();
        let starts = drawn.into_par_iter().map(|(slice, budget, seed)| self.begin(slice, budget, seed)).collect();
        let mut environment = Environment::new(self.model, memory, starts, self.reward, &self.config.reward)?;
        let mut episodes: Episodes<Sight> = std::iter::repeat_with(Vec::new).take(self.config.episodes).collect();
        loop {
            let active = environment.active();
            if active.is_empty() {
                break;
            }
            let sights: Vec<Sight> = active.iter().map(|&i| environment.observe(i, A::SEES_PHASE)).collect();
            let choice = self.choose(player, &sights, device, rng);
            let (lines, log_p, values) = choice.ok_or(TrainError::Diverged { step: update })?;
            let rewards = environment.step(&active, &lines)?;
            for (i, sight) in sights.into_iter().enumerate() {
                let step =
                    Step { sight, choice: lines[i], log_probability: log_p[i], value: values[i], reward: rewards[i] };
                episodes[active[i]].push(step);
            }
        }
        let worth = environment.worth();
        Ok((episodes, worth.iter().sum::<f64>() / worth.len() as f64))
    }

    /// A varied slice in the scanner, with fresh phase and noise.
    fn begin(&self, pupil: usize, budget: usize, seed: u64) -> Start {
        let pupil = &self.slices[pupil];
        let varied = augment(pupil.slice, &self.protocol, &self.config.augment, seed);
        Start { label: varied.label, diagnosis: pupil.diagnosis.clone(), kspace: varied.kspace, budget }
    }

    /// Draws a line for each sight; with its log-probability and the critic's value. `None` where the network gives no
    /// numbers any more.
    fn choose<A: Agent>(
        &self,
        player: &A,
        sights: &[Sight],
        device: &Device,
        rng: &mut impl Rng,
    ) -> Option<(Vec<usize>, Vec<f32>, Vec<f32>)> {
        let sights: Vec<&Sight> = sights.iter().collect();
        let (log_p, values) = player.judge(&sights, self.size(), device);
        let log_p = log_p.into_data().try_into_vec::<f32>().expect("f32");
        let values = values.into_data().try_into_vec::<f32>().expect("f32");
        let draw = |row: &[f32]| {
            let weights = row.iter().map(|log_p| log_p.exp());
            WeightedIndex::new(weights).map(|index| index.sample(rng)).ok()
        };
        let width = self.data.width();
        let lines: Vec<usize> = log_p.chunks_exact(width).map(draw).collect::<Option<_>>()?;
        let chosen = lines.iter().zip(log_p.chunks_exact(width)).map(|(&line, row)| row[line]).collect();
        Some((lines, chosen, values))
    }

    /// Scans of evenly chosen training slices, each at some moment: what an agent will see, more or less.
    pub fn first_sights<A: Agent>(&self) -> Vec<Sight> {
        let sight = |i: usize| {
            let slice = self.slices[i * self.slices.len() / FIRST_SIGHTS].slice;
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed ^ (i as u64) << 32);
            let kspace = acquire(&slice.image, slice.height, slice.width, &self.protocol, rng.random());
            let mask = random_mask(slice.width, &MaskConfig::default(), &mut rng);
            let mut state = vec![0; slice.width + STATE_EXTRAS];
            let remaining = rng.random_range(1..=self.config.max_budget);
            write_state(&mask, (mask.len() + remaining).min(slice.width), &mut state);
            let image = if A::SEES_PHASE { kspace.zero_filled(|line| mask.contains(line)) } else { Vec::new() };
            Sight { levels: observed_levels(&kspace, &mask, self.model.reconstruction()), state, image, remaining }
        };
        (0..FIRST_SIGHTS).into_par_iter().map(sight).collect()
    }
}
