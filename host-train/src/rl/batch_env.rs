//! Many episodes side by side, as a policy acts in them: all that still run are asked about at once.

use burn::tensor::Tensor;
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;

use super::ppo::{Episodes, Step};

/// A batch of episodes of an environment.
pub trait BatchEnv {
    /// What an episode begins as.
    type Start;
    /// What a policy sees of an episode.
    type Observation;
    /// Why a batch cannot go on.
    type Error;

    /// Begins an episode with each of `starts`, in place of all that were under way.
    ///
    /// # Errors
    /// A start that cannot be begun with. The environment has to be made anew then.
    fn reset(&mut self, starts: Vec<Self::Start>) -> Result<(), Self::Error>;

    /// The numbers of the episodes that still have a choice to make, in rising order. An episode is called by its start's place.
    fn active(&self) -> Vec<usize>;

    /// What a policy sees of each of `episodes`.
    fn observe(&mut self, episodes: &[usize]) -> Vec<Self::Observation>;

    /// Makes `choices[i]` in the active episode `episodes[i]`, whose numbers rise; returns the rewards, `[episodes.len()]`.
    ///
    /// # Errors
    /// A choice that cannot be made, or a reward that cannot be told.
    fn step(&mut self, episodes: &[usize], choices: &[usize]) -> Result<Vec<f64>, Self::Error>;
}

/// Plays the `count` episodes of `environment` to their ends, by the probabilities of `evaluate`: log-probabilities
/// `[B, choices]` and values `[B]` of observations. `None` where the network gives no numbers any more.
///
/// # Errors
/// Those of the environment.
pub fn rollout<E: BatchEnv>(
    environment: &mut E,
    count: usize,
    evaluate: impl Fn(&[&E::Observation]) -> (Tensor<2>, Tensor<1>),
    rng: &mut impl Rng,
) -> Result<Option<Episodes<E::Observation>>, E::Error> {
    let mut episodes: Episodes<E::Observation> = std::iter::repeat_with(Vec::new).take(count).collect();
    loop {
        let active = environment.active();
        if active.is_empty() {
            return Ok(Some(episodes));
        }
        let observations = environment.observe(&active);
        let (log_p, values) = evaluate(&observations.iter().collect::<Vec<_>>());
        let log_p = log_p.into_data().try_into_vec::<f32>().expect("f32");
        let values = values.into_data().try_into_vec::<f32>().expect("f32");
        let rows: Vec<&[f32]> = log_p.chunks_exact(log_p.len() / active.len()).collect();
        let Some(choices) = draw(&rows, rng) else { return Ok(None) };
        let rewards = environment.step(&active, &choices)?;
        for (i, observation) in observations.into_iter().enumerate() {
            let (choice, value, reward) = (choices[i], values[i], rewards[i]);
            let step = Step { observation, choice, log_probability: rows[i][choice], value, reward };
            episodes[active[i]].push(step);
        }
    }
}

/// Draws a choice by each row of log-probabilities; `None` where they are no numbers.
fn draw(rows: &[&[f32]], rng: &mut impl Rng) -> Option<Vec<usize>> {
    let one = |row: &&[f32]| Some(WeightedIndex::new(row.iter().map(|log_p| log_p.exp())).ok()?.sample(rng));
    rows.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use burn::tensor::{Device, TensorData};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Episodes that count down, and pay what was chosen.
    struct Countdown(Vec<usize>);

    impl BatchEnv for Countdown {
        type Start = usize;
        type Observation = usize;
        type Error = Infallible;

        fn reset(&mut self, starts: Vec<usize>) -> Result<(), Infallible> {
            self.0 = starts;
            Ok(())
        }

        fn active(&self) -> Vec<usize> {
            (0..self.0.len()).filter(|&i| self.0[i] > 0).collect()
        }

        fn observe(&mut self, episodes: &[usize]) -> Vec<usize> {
            episodes.iter().map(|&i| self.0[i]).collect()
        }

        fn step(&mut self, episodes: &[usize], choices: &[usize]) -> Result<Vec<f64>, Infallible> {
            episodes.iter().for_each(|&i| self.0[i] -= 1);
            Ok(choices.iter().map(|&choice| choice as f64).collect())
        }
    }

    /// A policy that chooses 2 of 3 for sure, and values what it sees.
    fn evaluate(observations: &[&usize], sure: f32) -> (Tensor<2>, Tensor<1>) {
        let (device, batch) = (Device::flex(), observations.len());
        let rows: Vec<f32> = (0..batch).flat_map(|_| [-1e9, -1e9, sure]).collect();
        let values: Vec<f32> = observations.iter().map(|&&left| left as f32).collect();
        let rows = Tensor::from_data(TensorData::new(rows, [batch, 3]), &device);
        (rows, Tensor::from_data(TensorData::new(values, [batch]), &device))
    }

    #[test]
    fn episodes_of_any_length_are_played_to_their_ends_and_told_step_by_step() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut environment = Countdown(vec![9]);
        environment.reset(vec![2, 0, 3]).unwrap();
        let episodes = rollout(&mut environment, 3, |seen| evaluate(seen, 0.0), &mut rng).unwrap().unwrap();
        assert_eq!(episodes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 3]);
        let seen: Vec<usize> = episodes[2].iter().map(|step| step.observation).collect();
        assert_eq!(seen, [3, 2, 1]);
        for step in episodes.iter().flatten() {
            assert_eq!((step.choice, step.log_probability, step.reward), (2, 0.0, 2.0));
            assert_eq!(step.value, step.observation as f32);
        }
    }

    #[test]
    fn a_network_without_numbers_ends_the_play() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let episodes = rollout(&mut Countdown(vec![1]), 1, |seen| evaluate(seen, f32::NAN), &mut rng).unwrap();
        assert!(episodes.is_none());
    }
}
