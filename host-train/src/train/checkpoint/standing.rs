//! What a line policy has learned to gain over the fixed order that it began as, and which of the two a checkpoint is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::stats::{ENOUGH_PATIENTS, PairedDifference};
use crate::net::FixedOrder;

/// What a network gains on validation over the fixed order that it began as: mean over patients and budgets, paired by patient,
/// with a 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Updates that the network had learned by.
    pub update: usize,
    /// What is compared, such as `Dice`.
    pub measure: String,
    /// The mean difference.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Patients.
    pub patients: usize,
}

impl Gain {
    /// The gain of the network after `update` in the measure called `measure`.
    pub fn of(difference: &PairedDifference, update: usize, measure: &str) -> Self {
        let estimate = difference.difference;
        // So many digits that a checkpoint gives them back exactly.
        let [mean, low, high] = [estimate.mean, estimate.low, estimate.high].map(|value| (value * 1e9).round() / 1e9);
        Self { update, measure: measure.to_owned(), mean, low, high, patients: estimate.patients }
    }

    /// Whether the network is better: the interval lies above 0, and there are patients enough for one.
    pub fn is_sure(&self) -> bool {
        self.low > 0.0 && self.patients >= ENOUGH_PATIENTS
    }
}

/// `+0.0003 [-0.0010, +0.0015] Dice (19 patients)`
impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, mean, low, high, patients, .. } = self;
        let noun = if *patients == 1 { "patient" } else { "patients" };
        write!(f, "{mean:+.4} [{low:+.4}, {high:+.4}] {measure} ({patients} {noun})")
    }
}

/// Who chooses the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActingPolicy {
    /// The fixed order.
    FixedOrder,
    /// The network.
    Network,
}

/// As in checkpoints: `fixed-order` or `network`.
impl fmt::Display for ActingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FixedOrder => "fixed-order",
            Self::Network => "network",
        })
    }
}

/// How a line policy's checkpoint stands to the fixed order that its run began as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The order.
    pub order: FixedOrder,
    /// Who chooses the lines where the checkpoint is used; training goes on with the network in any case.
    // Called so in format 1.
    #[serde(alias = "plays")]
    pub acting: ActingPolicy,
    /// Why, in words.
    pub reason: String,
    /// What the order scores on validation; `None` where nothing can be scored.
    pub order_score: Option<f64>,
    /// What the checkpoint's network gains. Where the run keeps the order, its `best` has the most that any validation found.
    pub gain: Option<Gain>,
    /// The gain of the network that the run keeps so far; `None`: it keeps the order.
    pub kept: Option<Gain>,
    /// The most that any validation of the run has found.
    pub most: Option<Gain>,
}

impl Standing {
    /// A run that begins as `order`.
    pub fn begun(order: FixedOrder) -> Self {
        let reason = "no update has been compared with it yet".into();
        Self { order, acting: ActingPolicy::FixedOrder, reason, order_score: None, gain: None, kept: None, most: None }
    }

    /// The record of a checkpoint whose network gains `gain`; `None` where that is not known for `want` of something.
    #[must_use]
    pub fn with(self, gain: Option<Gain>, want: &str) -> Self {
        let is_sure = gain.as_ref().is_some_and(Gain::is_sure);
        self.with_acting(if is_sure { ActingPolicy::Network } else { ActingPolicy::FixedOrder }, gain, want)
    }

    /// The record of a checkpoint where `acting` chooses lines, with the reason in words.
    fn with_acting(self, acting: ActingPolicy, gain: Option<Gain>, want: &str) -> Self {
        let reason = match (acting, &gain) {
            (_, None) => want.to_owned(),
            (ActingPolicy::Network, Some(gain)) => {
                format!("update {} gains {gain} over the fixed order `{}`", gain.update, self.order.name)
            }
            (ActingPolicy::FixedOrder, Some(gain)) if gain.patients < ENOUGH_PATIENTS => {
                format!("the learned network gains {gain}, and fewer than {ENOUGH_PATIENTS} give no sure interval")
            }
            (ActingPolicy::FixedOrder, Some(gain)) => format!("the learned network gains {gain}"),
        };
        Self { acting, reason, gain, ..self }
    }

    /// Takes in what a validation found; returns whether the network is now the one to keep.
    pub fn observe(&mut self, gain: &Gain) -> bool {
        let more = |than: &Option<Gain>| than.as_ref().is_none_or(|than| gain.mean > than.mean);
        if more(&self.most) {
            self.most = Some(gain.clone());
        }
        let keep = gain.is_sure() && more(&self.kept);
        if keep {
            self.kept = Some(gain.clone());
        }
        keep
    }

    /// The record of what the run keeps: the network of the gain [`kept`](Self::kept), or the order, with the most that any
    /// validation found.
    #[must_use]
    pub fn of_the_run(&self) -> Self {
        let acting = if self.kept.is_some() { ActingPolicy::Network } else { ActingPolicy::FixedOrder };
        self.clone().with_acting(acting, self.kept.clone().or_else(|| self.most.clone()), &self.reason)
    }

    /// Forgets what earlier validations found, which does not compare with what later ones will. A network that is kept stays so until
    /// one of those gives it up.
    pub fn forget(&mut self) {
        self.most = None;
        *self = self.clone().with(None, "no update has been compared with it since validation changed");
    }

    /// The network that was kept is not there any more, so that the order is.
    pub fn lose(&mut self) {
        (self.kept, self.most) = (None, None);
        *self = self.clone().with(None, "the checkpoint of the network that was kept is not there any more");
    }
}

/// ``the fixed order `centre-out` is kept: the learned network gains ...``
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.acting {
            ActingPolicy::FixedOrder => write!(f, "the fixed order `{}` is kept: {}", self.order.name, self.reason),
            ActingPolicy::Network => write!(f, "the learned policy is kept: {}", self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(update: usize, mean: f64, half: f64, patients: usize) -> Gain {
        Gain { update, measure: "Dice".into(), mean, low: mean - half, high: mean + half, patients }
    }

    fn begun() -> Standing {
        Standing::begun(FixedOrder::centre_out(32))
    }

    #[test]
    fn a_network_is_played_where_its_interval_lies_above_0_over_patients_enough() {
        let acting = |gain: Gain| begun().with(Some(gain), "").acting;
        assert_eq!(acting(gain(50, 0.01, 0.009, 8)), ActingPolicy::Network);
        for unsure in [gain(50, 0.01, 0.01, 8), gain(50, 0.01, 0.009, 7), gain(50, -0.02, 0.01, 30)] {
            assert_eq!(acting(unsure), ActingPolicy::FixedOrder);
        }
        assert_eq!(acting(gain(50, f64::NAN, 0.0, 9)), ActingPolicy::FixedOrder);
    }

    #[test]
    fn the_reason_is_said_with_its_numbers() {
        let said = |gain| begun().with(gain, "nothing to validate on").to_string();
        assert_eq!(
            said(Some(gain(50, 0.0003, 0.0013, 19))),
            "the fixed order `centre-out` is kept: the learned network gains +0.0003 [-0.0010, +0.0016] Dice (19 patients)"
        );
        assert_eq!(said(None), "the fixed order `centre-out` is kept: nothing to validate on");
        let few = said(Some(gain(50, 0.01, 0.001, 4)));
        assert!(few.ends_with("+0.0110] Dice (4 patients), and fewer than 8 give no sure interval"), "{few}");
        let one = said(Some(gain(50, 0.01, 0.001, 1)));
        assert!(one.contains("the learned network gains +0.0100 ") && one.contains("Dice (1 patient), and"), "{one}");
        assert_eq!(
            said(Some(gain(50, 0.01, 0.001, 9))),
            "the learned policy is kept: update 50 gains +0.0100 [+0.0090, +0.0110] Dice (9 patients) over the fixed order \
             `centre-out`"
        );
    }

    #[test]
    fn the_surest_gain_is_kept_and_the_largest_one_remembered() {
        let mut standing = begun();
        assert!(!standing.observe(&gain(1, 0.002, 0.003, 9)));
        assert!(standing.observe(&gain(2, 0.001, 0.0005, 9)));
        assert!(!standing.observe(&gain(3, 0.0005, 0.0001, 9)), "less than the one that is kept");
        assert_eq!(standing.kept.as_ref().map(|gain| gain.update), Some(2));
        assert_eq!(standing.most.as_ref().map(|gain| gain.update), Some(1));
    }

    /// A run whose update 50 surely gains, as its last checkpoint says too.
    fn keeping_50() -> Standing {
        let sure = gain(50, 0.01, 0.001, 9);
        let mut standing = begun();
        assert!(standing.observe(&sure));
        standing.with(Some(sure), "")
    }

    #[test]
    fn what_the_run_keeps_and_why_agree() {
        let mut standing = keeping_50();
        assert!(!standing.observe(&gain(100, -0.02, 0.001, 9)));
        let of_the_run = standing.with(Some(gain(100, -0.02, 0.001, 9)), "").of_the_run();
        assert_eq!(of_the_run.acting, ActingPolicy::Network);
        assert!(of_the_run.reason.starts_with("update 50 gains +0.0100"), "{of_the_run}");
        // Of what was sure once and is not kept.
        let odd = Standing { kept: None, ..keeping_50() }.of_the_run();
        assert_eq!(odd.acting, ActingPolicy::FixedOrder);
        assert!(
            odd.to_string().starts_with("the fixed order `centre-out` is kept: the learned network gains"),
            "{odd}"
        );
    }

    #[test]
    fn a_network_stays_kept_until_a_validation_gives_it_up() {
        let mut standing = keeping_50();
        standing.forget();
        assert_eq!(standing.kept.as_ref().map(|gain| gain.update), Some(50));
        assert_eq!((&standing.most, &standing.gain, standing.acting), (&None, &None, ActingPolicy::FixedOrder));
        assert!(standing.of_the_run().to_string().starts_with("the learned policy is kept: update 50 gains"));
        standing.kept = None;
        let said = standing.of_the_run().to_string();
        assert!(said.ends_with("is kept: no update has been compared with it since validation changed"), "{said}");
    }

    #[test]
    fn a_network_that_is_gone_leaves_the_order() {
        let mut standing = keeping_50();
        standing.lose();
        let of_the_run = standing.of_the_run();
        assert_eq!((of_the_run.acting, &of_the_run.gain), (ActingPolicy::FixedOrder, &None));
        assert!(of_the_run.to_string().ends_with("the network that was kept is not there any more"), "{of_the_run}");
    }
}
