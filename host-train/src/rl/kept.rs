//! What a line policy's run keeps in `best`: the fixed order that it began as, or a network that surely gains over it. Only a
//! validation makes one of the other.

use std::path::PathBuf;

use burn::tensor::Device;
use indicatif::ProgressBar;

use super::agent::Agent;
use super::error::PolicyError;
use super::trainer::{State, Trainer};
use super::validate::{Validation, score};
use crate::train::checkpoint::{self, ActingPolicy, CheckpointError, Gain, Meta, Standing};

impl Trainer<'_> {
    fn best(&self) -> PathBuf {
        self.out.join("best")
    }

    /// Before the first update of a session: makes sure that `best` is what the run keeps. A network that was kept when validation
    /// was another one is compared anew.
    pub fn settle<A: Agent + Sync>(
        &self,
        state: &mut State<A>,
        validation: &Validation<'_>,
        bar: &ProgressBar,
        device: &Device,
    ) -> Result<(), PolicyError> {
        let best = checkpoint::read_meta(&self.best()).map(|(_, meta)| meta);
        let is_there = |kept: &Gain| best.as_ref().is_ok_and(|best| is_network(best) && best.step == kept.update);
        let kept = state.meta.standing().and_then(|standing| standing.kept.clone());
        if let Some(kept) = kept.filter(|kept| !is_there(kept)) {
            // Either the run was ended before it was written, or somebody took it away.
            if state.meta.step == kept.update {
                self.keep_network(&state.agent, &state.meta)?;
            } else {
                state.meta.standing_mut().into_iter().for_each(Standing::lose);
                (state.meta.best, state.meta.best_step) = (None, None);
            }
        }
        if state.meta.standing().is_none_or(|standing| standing.kept.is_none()) {
            return match best {
                Ok(best) if !is_network(&best) => self.keep_order(state),
                Err(CheckpointError::Missing(_)) => self.keep_order(state),
                // What is there and not this run's goes with the next validation.
                _ => Ok(()),
            };
        }
        let is_known = state.meta.best_step.is_some();
        if is_known || validation.is_empty() { Ok(()) } else { self.compare_kept(state, validation, bar, device) }
    }

    /// Compares the network in `best` anew, and gives it up where it does not surely gain any more.
    fn compare_kept<A: Agent + Sync>(
        &self,
        state: &mut State<A>,
        validation: &Validation<'_>,
        bar: &ProgressBar,
        device: &Device,
    ) -> Result<(), PolicyError> {
        let (dir, mut meta) = checkpoint::read_meta(&self.best())?;
        let agent = checkpoint::load_noted(&dir, A::new(self.size(), device), &mut meta)?;
        let agent = agent.ready(None, self.size(), device);
        let (scores, gain) = self.compare(agent.clone(), meta.step, validation, device)?;
        let (Some(gain), Some(standing)) = (gain, state.meta.standing_mut()) else { return Ok(()) };
        standing.kept = None;
        let keeps = standing.observe(&gain);
        let (said, standing) = (self.for_people(&scores), standing.clone());
        let kept = standing.of_the_run();
        if keeps {
            (state.meta.best, state.meta.best_step) = (score(&scores), Some(meta.step));
            let mut kept = Meta { score: score(&scores), best: score(&scores), ..meta.clone() };
            kept.change_standing(|_| standing);
            self.keep_network(&agent, &kept)?;
        } else {
            self.keep_order(state)?;
        }
        bar.suspend(|| println!("update {}, kept so far{said}; {kept}", meta.step));
        Ok(())
    }

    /// Writes `best` as the network `agent`, which the run keeps by now.
    fn keep_network<A: Agent>(&self, agent: &A, meta: &Meta) -> Result<(), PolicyError> {
        let mut kept = meta.clone();
        kept.change_standing(|standing| standing.of_the_run());
        Ok(checkpoint::save(&self.best(), agent, None, &kept)?)
    }

    /// Writes `best` as the fixed order, with the most that the network has gained over it, unless the run keeps a network by now.
    pub fn keep_order<A: Agent>(&self, state: &State<A>) -> Result<(), PolicyError> {
        let Some(standing) = state.meta.standing().filter(|standing| standing.kept.is_none()) else {
            return Ok(());
        };
        let mut meta = Meta { score: standing.order_score, ..state.meta.clone() };
        meta.change_standing(|standing| standing.of_the_run());
        Ok(checkpoint::save(&self.best(), &state.begun, None, &meta)?)
    }
}

/// Whether the network of a checkpoint chooses the lines.
fn is_network(meta: &Meta) -> bool {
    meta.standing().is_none_or(|standing| standing.plays == ActingPolicy::Network)
}
