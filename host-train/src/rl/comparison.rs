//! What a line policy scores in training beside the fixed order that it began as.

use crate::eval::run::MeasuredVolume;
use crate::metrics::stats::mean;
use crate::rl::reward::Scored;
use crate::train::checkpoint::{ActingPolicy, Gain, Meta};

/// What a policy is validated on, and what the fixed order scores there, at each of `validate_lines`.
pub(super) struct Validation<'a> {
    pub volumes: Vec<MeasuredVolume<'a>>,
    pub order: Vec<Scored>,
}

impl Validation<'_> {
    /// Whether nothing can be compared.
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty() || self.order.is_empty()
    }

    /// The score of the fixed order, of so many digits that a checkpoint gives them back exactly.
    pub fn order_score(&self) -> Option<f64> {
        score(&self.order).map(|score| (score * 1e9).round() / 1e9)
    }

    /// Why there is nothing to compare.
    fn want(&self) -> &'static str {
        match (self.volumes.is_empty(), self.order.is_empty()) {
            (true, _) => "there are no validation patients to compare on",
            (_, true) => "`validate_lines` names no number of lines to compare at",
            _ => "nothing on validation can be compared",
        }
    }
}

/// What a policy scores, and what it gains over the fixed order.
#[derive(Default)]
pub(super) struct Comparison {
    /// At each of `validate_lines`.
    pub scores: Vec<Scored>,
    /// `None` where no patient can be compared.
    pub gain: Option<Gain>,
}

/// What a validation found, for the log.
pub(super) struct Compared {
    /// At each of `validate_lines`.
    pub scores: Vec<Scored>,
    /// What the fixed order scores.
    pub order_score: Option<f64>,
    /// What the network gains over it.
    pub gain: Option<Gain>,
    /// Whom the run keeps.
    pub kept: ActingPolicy,
}

impl Compared {
    /// Scores, and what the record in `meta` says after them.
    pub fn new(scores: Vec<Scored>, meta: &Meta) -> Self {
        let standing = meta.standing();
        let is_network = standing.is_some_and(|standing| standing.kept.is_some());
        Self {
            scores,
            order_score: standing.and_then(|standing| standing.order_score),
            gain: standing.and_then(|standing| standing.gain.clone()),
            kept: if is_network { ActingPolicy::Network } else { ActingPolicy::FixedOrder },
        }
    }
}

/// Takes what validation has found into the record; returns whether the network is now the one to keep.
pub(super) fn observe(meta: &mut Meta, gain: Option<Gain>, validation: &Validation<'_>) -> bool {
    let Some(standing) = meta.standing_mut() else { return false };
    let keep = gain.as_ref().is_some_and(|gain| standing.observe(gain));
    meta.change_standing(|standing| standing.with(gain, validation.want()));
    keep
}

/// The mean over the budgets of the first measure; `None` where it is not defined at any.
pub(super) fn score(scores: &[Scored]) -> Option<f64> {
    let first = scores.iter().filter_map(|scored| *scored.measures.first()?);
    mean(&first.collect::<Vec<_>>())
}
