//! A policy's score during training beside that of the fixed order that it began as, and its checkpoints.

use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::model::{GraphKind, Model};

use crate::eval::run::{MeasuredVolume, Method, scan_slices};
use crate::export::blob_writer::write_blob;
use crate::export::{self, ExportError};
use crate::metrics::stats::{Bootstrap, Sample, StatsError, mean, paired_difference};
use crate::net::FixedOrder;
use crate::rl::agent::{Agent, Greedy};
use crate::rl::error::PolicyError;
use crate::rl::reward::Scored;
use crate::rl::trainer::{State, Trainer};
use crate::samplers::Fixed;
use crate::train::checkpoint::{ActingPolicy, Gain, Meta};
use crate::train::folder::{self, RunFolder};

/// What a policy is validated on, and what the fixed order scores there, at each of `validate_lines`.
pub(super) struct Validation<'a> {
    volumes: Vec<MeasuredVolume<'a>>,
    order: Vec<Scored>,
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

impl Trainer<'_> {
    /// What the policy is compared with on `volumes`.
    pub fn rival<'v>(&self, volumes: Vec<MeasuredVolume<'v>>) -> Result<Validation<'v>, PolicyError> {
        let order = if volumes.is_empty() { Vec::new() } else { self.scores_of_order(&self.order, &volumes)? };
        Ok(Validation { volumes, order })
    }

    fn scores_of_order(&self, order: &FixedOrder, volumes: &[MeasuredVolume<'_>]) -> Result<Vec<Scored>, PolicyError> {
        let order = Fixed { name: "fixed order", lines: order.lines.clone() };
        self.scores(volumes, Method::Order(&order))
    }

    /// Says how well the fixed order does, and the centre lines alone.
    pub fn report_baselines(&self, validation: &Validation<'_>, bar: &ProgressBar) -> Result<(), PolicyError> {
        if validation.is_empty() {
            return Ok(());
        }
        bar.suspend(|| println!("{}{}", self.order.name, self.for_people(&validation.order)));
        if !self.order.is_centre_out() {
            let centre_out = FixedOrder::centre_out(self.data.width());
            let scores = self.scores_of_order(&centre_out, &validation.volumes)?;
            bar.suspend(|| println!("{}{}", centre_out.name, self.for_people(&scores)));
            if score(&scores) > validation.order_score() {
                let note = "note: on the validation patients `centre-out` scores more than --mask; without it, that is what a policy has to beat";
                bar.suspend(|| eprintln!("{note}"));
            }
        }
        Ok(())
    }

    /// The columns of the log; `validated` where there is something to validate on.
    pub fn columns(&self, validated: bool) -> String {
        let budgets = &self.config.validate_lines;
        let mut columns = String::from("update,seconds,worth,entropy,kl,value_loss");
        if validated && !budgets.is_empty() {
            let of = |budget| self.reward.measures().iter().map(move |measure| format!(",{}_{budget}", measure.column));
            columns.extend(budgets.iter().flat_map(of));
            columns += ",order_score,gain,gain_low,gain_high,kept";
        }
        columns
    }

    /// The scores at each validation budget.
    fn scores(&self, volumes: &[MeasuredVolume<'_>], method: Method<'_>) -> Result<Vec<Scored>, PolicyError> {
        let at = |&budget: &usize| Ok(self.reward.score(volumes, scan_slices(self.plan, volumes, method, budget)?)?);
        self.config.validate_lines.iter().map(at).collect()
    }

    /// The scores of a policy: in int8, as it would be deployed, if it can be.
    fn scores_of<A: Agent + Sync>(
        &self,
        agent: A,
        volumes: &[MeasuredVolume<'_>],
        device: &Device,
    ) -> Result<Vec<Scored>, PolicyError> {
        let Some(policy) = agent.clone().for_device() else {
            let policy = Greedy { agent, size: self.size(), device: device.clone() };
            return self.scores(volumes, Method::Chooser(&policy));
        };
        let [height, width] = self.size();
        let policy = export::quantised(GraphKind::Policy, &policy.graph(height, width), &self.observations)?;
        let blob =
            write_blob(&export::header(self.data, self.plan.reconstruction()), self.segmenter.as_ref(), Some(&policy))
                .map_err(ExportError::from)?;
        let model = Model::new_checked(&blob).map_err(ExportError::from)?;
        self.scores(volumes, Method::Policy(&model))
    }

    /// What the policy of `update` scores and, paired by patient, gains over the fixed order; no gain where no patient can be
    /// compared.
    pub fn compare<A: Agent + Sync>(
        &self,
        agent: A,
        update: usize,
        validation: &Validation<'_>,
        device: &Device,
    ) -> Result<(Vec<Scored>, Option<Gain>), PolicyError> {
        let scores = self.scores_of(agent, &validation.volumes, device)?;
        let gain = self.gain(&scores, validation, update)?;
        Ok((scores, gain))
    }

    fn gain(&self, scores: &[Scored], validation: &Validation<'_>, update: usize) -> Result<Option<Gain>, PolicyError> {
        let samples = |scores: &[Scored]| -> Vec<Sample<String>> {
            scores.iter().flat_map(|scored| scored.samples.iter().cloned()).collect()
        };
        match paired_difference(&samples(scores), &samples(&validation.order), &Bootstrap::default()) {
            Ok(difference) => Ok(Some(Gain::of(&difference, update, self.reward.compares()))),
            Err(StatsError::Empty) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Validates the policy and writes the checkpoints.
    pub fn validate_and_save<A: Agent + Sync>(
        &self,
        state: &mut State<A>,
        (validation, folder): (&Validation<'_>, &RunFolder),
        bar: &ProgressBar,
        device: &Device,
    ) -> Result<(), PolicyError> {
        let [worth, entropy, kl, value_loss] = state.meta.since.take();
        let (step, seconds) = (state.meta.step, state.meta.seconds);
        let mut row = format!("{step},{seconds:.0},{worth:.4},{entropy:.3},{kl:.4},{value_loss:.4}");
        let mut line = format!("update {step}: worth {worth:.3}, entropy {entropy:.2}");
        let mut gain = None;
        if !validation.is_empty() {
            let (scores, found) = self.compare(state.agent.valid(), step, validation, device)?;
            line += &self.for_people(&scores);
            let values = scores.iter().flat_map(|scored| &scored.measures);
            row.extend(values.map(|value| value.map_or(",".into(), |value| format!(",{value:.4}"))));
            state.meta.score = score(&scores);
            gain = found;
        }
        let keep = observe(&mut state.meta, gain, validation);
        row += &compared(&state.meta, validation);
        if let Some(gain) = state.meta.standing().and_then(|standing| standing.gain.as_ref()) {
            line += &format!("; gains {gain} over `{}`", self.order.name);
        }
        let State { agent, optimizer, meta, .. } = &mut *state;
        let networks = folder::State { network: &*agent, training: None, optimizer };
        folder.validated_as(&networks, meta, row, keep)?;
        self.keep_order(state)?;
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        Ok(())
    }

    /// Saves between validations: nothing is known yet of what the network gains by now.
    pub fn save_between<A: Agent>(&self, state: &State<A>, folder: &RunFolder) -> Result<(), PolicyError> {
        let State { agent, optimizer, meta, .. } = state;
        let want = format!("update {} has not been compared with it yet", meta.step);
        let mut meta = meta.clone();
        meta.change_standing(|standing| standing.with(None, &want));
        Ok(folder.save(&folder::State { network: agent, training: None, optimizer }, &meta)?)
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

/// Takes what validation has found into the record; returns whether the network is now the one to keep.
fn observe(meta: &mut Meta, gain: Option<Gain>, validation: &Validation<'_>) -> bool {
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

/// The log's columns of the comparison: what the fixed order scores, what the network gains, its interval, and what is kept.
fn compared(meta: &Meta, validation: &Validation<'_>) -> String {
    let Some(standing) = meta.standing().filter(|_| !validation.is_empty()) else {
        return String::new();
    };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let gain = standing.gain.as_ref();
    let numbers =
        [standing.order_score, gain.map(|gain| gain.mean), gain.map(|gain| gain.low), gain.map(|gain| gain.high)];
    let kept = if standing.kept.is_some() { ActingPolicy::Network } else { ActingPolicy::FixedOrder };
    numbers.map(|value| format!(",{}", number(value))).concat() + &format!(",{kept}")
}
