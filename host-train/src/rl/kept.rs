//! What a line policy's run keeps in `best`: the fixed order that it began as, or a network that surely gains over it. Only a
//! validation makes one of the other.

use std::path::PathBuf;

use super::agent::Agent;
use super::comparison::{Compared, Comparison, score};
use super::error::PolicyError;
use super::trainer::LinePolicyTask;
use crate::train::checkpoint::{self, ActingPolicy, CheckpointError, Gain, Meta, Standing};
use crate::train::drive::Session;

impl<A: Agent + Sync> LinePolicyTask<'_, A> {
    fn best(&self) -> PathBuf {
        self.out.join("best")
    }

    /// Before the first update of a session: makes sure that `best` is what the run keeps. A network that was kept when validation
    /// was another one is compared anew.
    pub fn settle(&self, session: &mut Session<4, Compared>) -> Result<(), PolicyError> {
        let meta = &mut session.meta;
        let best = checkpoint::read_meta(&self.best()).map(|(_, meta)| meta);
        let is_there = |kept: &Gain| best.as_ref().is_ok_and(|best| is_network(best) && best.step == kept.update);
        let kept = meta.standing().and_then(|standing| standing.kept.clone());
        if let Some(kept) = kept.filter(|kept| !is_there(kept)) {
            // Either the run was ended before it was written, or somebody took it away.
            if meta.step == kept.update {
                self.keep_network(&self.agent, meta)?;
            } else {
                meta.standing_mut().into_iter().for_each(Standing::lose);
                (meta.best, meta.best_step) = (None, None);
            }
        }
        if meta.standing().is_none_or(|standing| standing.kept.is_none()) {
            return match best {
                Ok(best) if !is_network(&best) => self.keep_order(meta),
                Err(CheckpointError::Missing(_)) => self.keep_order(meta),
                // What is there and not this run's goes with the next validation.
                _ => Ok(()),
            };
        }
        let is_known = meta.best_step.is_some();
        if is_known || self.validation.is_empty() { Ok(()) } else { self.compare_kept(session) }
    }

    /// Compares the network in `best` anew, and gives it up where it does not surely gain any more.
    fn compare_kept(&self, session: &mut Session<4, Compared>) -> Result<(), PolicyError> {
        let (size, run) = (self.trainer.size(), &mut session.meta);
        let (dir, mut meta) = checkpoint::read_meta(&self.best())?;
        let agent = checkpoint::load_noted(&dir, A::new(size, self.device), &mut meta)?;
        let agent = agent.ready(None, size, self.device);
        let Comparison { scores, gain } = self.compare(agent.clone(), meta.step)?;
        let (Some(gain), Some(standing)) = (gain, run.standing_mut()) else { return Ok(()) };
        standing.kept = None;
        let keeps = standing.observe(&gain);
        let standing = standing.clone();
        let (said, kept) = (self.trainer.for_people(&scores), standing.of_the_run());
        if keeps {
            let score = score(&scores);
            (run.best, run.best_step) = (score, Some(meta.step));
            let mut kept = Meta { score, best: score, ..meta.clone() };
            kept.change_standing(|_| standing);
            self.keep_network(&agent, &kept)?;
        } else {
            self.keep_order(run)?;
        }
        session.say(&format!("update {}, kept so far{said}; {kept}", meta.step));
        Ok(())
    }

    /// Writes `best` as the network `agent`, which the run keeps by now.
    fn keep_network(&self, agent: &A, meta: &Meta) -> Result<(), PolicyError> {
        let mut kept = meta.clone();
        kept.change_standing(|standing| standing.of_the_run());
        Ok(checkpoint::save(&self.best(), agent, None, &kept)?)
    }

    /// Writes `best` as the fixed order, with the most that the network has gained over it, unless the run keeps a network by now.
    pub fn keep_order(&self, meta: &Meta) -> Result<(), PolicyError> {
        let Some(standing) = meta.standing().filter(|standing| standing.kept.is_none()) else {
            return Ok(());
        };
        let mut meta = Meta { score: standing.order_score, ..meta.clone() };
        meta.change_standing(|standing| standing.of_the_run());
        Ok(checkpoint::save(&self.best(), &self.begun, None, &meta)?)
    }
}

/// Whether the network of a checkpoint chooses the lines.
fn is_network(meta: &Meta) -> bool {
    meta.standing().is_none_or(|standing| standing.acting == ActingPolicy::Network)
}
