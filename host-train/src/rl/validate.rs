//! A policy's score during training beside that of the fixed order that it began as, and its checkpoints.

use kscout_core::model::{GraphKind, Model};

use crate::eval::run::{MeasuredVolume, Method, scan_slices};
use crate::export::blob_writer::write_blob;
use crate::export::{self, ExportError};
use crate::metrics::stats::{Bootstrap, Sample, StatsError, paired_difference};
use crate::net::FixedOrder;
use crate::rl::agent::{Agent, Greedy};
use crate::rl::comparison::{Compared, Comparison, Validation, score};
use crate::rl::error::PolicyError;
use crate::rl::reward::{Measure, Scored};
use crate::rl::trainer::{LinePolicyTask, Trainer};
use crate::samplers::Fixed;
use crate::train::checkpoint::Gain;
use crate::train::columns::{Column, Columns, Quantity};
use crate::train::drive::Session;

impl Trainer<'_> {
    /// What the policy is compared with on `volumes`.
    pub fn validation<'v>(&self, volumes: Vec<MeasuredVolume<'v>>) -> Result<Validation<'v>, PolicyError> {
        let order = if volumes.is_empty() { Vec::new() } else { self.scores_of_order(&self.order, &volumes)? };
        Ok(Validation { volumes, order })
    }

    fn scores_of_order(&self, order: &FixedOrder, volumes: &[MeasuredVolume<'_>]) -> Result<Vec<Scored>, PolicyError> {
        let order = Fixed { name: "fixed order", lines: order.lines.clone() };
        self.scores(volumes, Method::Order(&order))
    }

    /// The columns of the log, of which validation fills its own where there is something to validate on.
    pub fn columns(&self, validates: bool) -> Columns<4, Compared> {
        let [objective, kl, value_loss] = ["objective", "kl", "value_loss"].map(|name| Quantity { name, digits: 4 });
        let steps = [objective, Quantity { name: "entropy", digits: 3 }, kl, value_loss];
        let budgets = &self.config.validate_lines;
        if !validates || budgets.is_empty() {
            return Columns { steps, validation: Vec::new() };
        }
        let at = |(i, budget): (usize, &usize)| {
            let column = |(j, measure): (usize, &Measure)| {
                let value = move |found: &Compared| *found.scores.get(i)?.measures.get(j)?;
                Column::number(format!("{}_{budget}", measure.column), 4, value)
            };
            self.reward.measures().iter().enumerate().map(column).collect::<Vec<_>>()
        };
        let number = |name: &str, value: fn(&Compared) -> Option<f64>| Column::number(name.into(), 4, value);
        let gain = |name: &str, value: fn(&Gain) -> f64| {
            Column::number(name.into(), 4, move |found: &Compared| found.gain.as_ref().map(value))
        };
        let compared = [
            number("order_score", |found| found.order_score),
            gain("gain", |gain| gain.mean),
            gain("gain_low", |gain| gain.low),
            gain("gain_high", |gain| gain.high),
            Column::word("kept", |found: &Compared| found.kept.to_string()),
        ];
        Columns { steps, validation: budgets.iter().enumerate().flat_map(at).chain(compared).collect() }
    }

    /// The scores at each validation budget.
    fn scores(&self, volumes: &[MeasuredVolume<'_>], method: Method<'_>) -> Result<Vec<Scored>, PolicyError> {
        let at = |&budget: &usize| Ok(self.reward.score(volumes, scan_slices(self.plan, volumes, method, budget)?)?);
        self.config.validate_lines.iter().map(at).collect()
    }

    /// `, Dice at 8 lines 0.8123`, and so on at each validation budget.
    pub fn for_people(&self, scores: &[Scored]) -> String {
        let number = |value: &Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
        let at = |(budget, scored): (&usize, &Scored)| -> String {
            let titles = self.reward.measures().iter().map(|measure| measure.title);
            let one = |(title, value)| format!(", {title} at {budget} lines {}", number(value));
            titles.zip(&scored.measures).map(one).collect()
        };
        self.config.validate_lines.iter().zip(scores).map(at).collect()
    }
}

impl<A: Agent + Sync> LinePolicyTask<'_, A> {
    /// Says how well the fixed order does, and the centre lines alone.
    pub fn report_baselines(&self, session: &Session<4, Compared>) -> Result<(), PolicyError> {
        let Self { trainer, validation, .. } = self;
        if validation.is_empty() {
            return Ok(());
        }
        session.say(&format!("{}{}", trainer.order.name, trainer.for_people(&validation.order)));
        if trainer.order.is_centre_out() {
            return Ok(());
        }
        let centre_out = FixedOrder::centre_out(trainer.data.width());
        let scores = trainer.scores_of_order(&centre_out, &validation.volumes)?;
        session.say(&format!("{}{}", centre_out.name, trainer.for_people(&scores)));
        if score(&scores) > validation.order_score() {
            session.note(
                "note: on the validation patients `centre-out` scores more than --mask; without it, that is what a policy has to beat",
            );
        }
        Ok(())
    }

    /// The scores of a policy: in int8, as it would be deployed, if it can be.
    fn scores_of(&self, agent: A) -> Result<Vec<Scored>, PolicyError> {
        let Self { trainer, validation: Validation { volumes, .. }, device, .. } = self;
        let Some(policy) = agent.clone().for_device() else {
            let policy = Greedy { agent, size: trainer.size(), device: (*device).clone() };
            return trainer.scores(volumes, Method::Chooser(&policy));
        };
        let [height, width] = trainer.size();
        let policy = export::quantised(GraphKind::Policy, &policy.graph(height, width), &trainer.observations)?;
        let header = export::header(trainer.data, trainer.plan.reconstruction());
        let blob = write_blob(&header, trainer.segmenter.as_ref(), Some(&policy)).map_err(ExportError::from)?;
        let model = Model::new_checked(&blob).map_err(ExportError::from)?;
        trainer.scores(volumes, Method::Policy(&model))
    }

    /// What the policy of `update` scores and, paired by patient, gains over the fixed order.
    pub fn compare(&self, agent: A, update: usize) -> Result<Comparison, PolicyError> {
        let scores = self.scores_of(agent)?;
        let samples = |scores: &[Scored]| -> Vec<Sample<String>> {
            scores.iter().flat_map(|scored| scored.samples.iter().cloned()).collect()
        };
        match paired_difference(&samples(&scores), &samples(&self.validation.order), &Bootstrap::default()) {
            Ok(difference) => {
                let gain = Gain::of(&difference, update, self.trainer.reward.compares());
                Ok(Comparison { scores, gain: Some(gain) })
            }
            Err(StatsError::Empty) => Ok(Comparison { scores, gain: None }),
            Err(error) => Err(error.into()),
        }
    }
}
