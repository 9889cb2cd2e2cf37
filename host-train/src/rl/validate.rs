//! A policy's score during training, and its checkpoints.

use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::kspace::Pattern;
use kscout_core::model::{GraphKind, Model};

use super::agent::{Agent, Greedy};
use super::ppo::UpdateReport;
use super::reward::Measure;
use super::train::PolicyError;
use super::trainer::{State, Trainer};
use crate::eval::run::{MeasuredVolume, Method, scan_slices};
use crate::export::blob_writer::write_blob;
use crate::export::{self, ExportError};
use crate::train::checkpoint;
use crate::train::log::append;

impl Trainer<'_> {
    /// Says how well the centre lines alone do.
    pub fn report_baseline(&self, validation: &[MeasuredVolume<'_>], bar: &ProgressBar) -> Result<(), PolicyError> {
        if validation.is_empty() {
            return Ok(());
        }
        let mut line = String::from("centre-out");
        for (&budget, measures) in self.config.validate_lines.iter().zip(self.scores(
            self.model,
            validation,
            Method::Pattern(Pattern::CentreOut),
        )?) {
            line += &for_people(budget, &measures);
        }
        bar.suspend(|| println!("{line}"));
        Ok(())
    }

    /// The measures at each validation budget.
    fn scores(
        &self,
        model: &Model<'_>,
        validation: &[MeasuredVolume<'_>],
        method: Method<'_>,
    ) -> Result<Vec<Vec<Measure>>, PolicyError> {
        let at =
            |&budget: &usize| Ok(self.reward.score(validation, scan_slices(model, validation, method, budget)?)?);
        self.config.validate_lines.iter().map(at).collect()
    }

    /// The measures of a policy: in int8, as it would be deployed, if it can be.
    fn scores_of<A: Agent + Sync>(
        &self,
        agent: A,
        validation: &[MeasuredVolume<'_>],
        device: &Device,
    ) -> Result<Vec<Vec<Measure>>, PolicyError> {
        let Some(policy) = agent.graph(self.size()) else {
            let policy = Greedy { agent, size: self.size(), device: device.clone() };
            return self.scores(self.model, validation, Method::Chooser(&policy));
        };
        let policy = export::quantised(GraphKind::Policy, &policy, &self.observations)?;
        let blob = write_blob(&export::header(self.data), self.segmenter.as_ref(), Some(&policy))
            .map_err(ExportError::from)?;
        let model = Model::new_checked(&blob).map_err(ExportError::from)?;
        self.scores(&model, validation, Method::Policy)
    }

    /// Validates the policy and writes the checkpoints.
    pub fn validate_and_save<A: Agent + Sync>(
        &self,
        state: &mut State<A>,
        validation: &[MeasuredVolume<'_>],
        recent: &[(f64, UpdateReport)],
        bar: &ProgressBar,
        device: &Device,
    ) -> Result<(), PolicyError> {
        let mean =
            |f: &dyn Fn(&(f64, UpdateReport)) -> f64| recent.iter().map(f).sum::<f64>() / recent.len().max(1) as f64;
        let (worth, entropy, kl) = (mean(&|r| r.0), mean(&|r| r.1.entropy), mean(&|r| r.1.kl));
        let mut columns = String::from("update,seconds,worth,entropy,kl,value_loss");
        let (step, seconds) = (state.meta.step, state.meta.seconds);
        let mut row = format!("{step},{seconds:.0},{worth:.4},{entropy:.3},{kl:.4},{:.4}", mean(&|r| r.1.value_loss));
        let mut line = format!("update {step}: worth {worth:.3}, entropy {entropy:.2}");
        if !validation.is_empty() {
            let scores = self.scores_of(state.agent.valid(), validation, device)?;
            for (&budget, measures) in self.config.validate_lines.iter().zip(&scores) {
                for Measure { column, value, .. } in measures {
                    columns += &format!(",{column}_{budget}");
                    row += &format!(",{value:.4}");
                }
                line += &for_people(budget, measures);
            }
            let first = scores.iter().filter_map(|measures| measures.first());
            state.meta.score = Some(first.map(|measure| measure.value).sum::<f64>() / scores.len().max(1) as f64);
        }
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        append(&self.out.join("log.csv"), &columns, &row)?;
        if state.meta.score > state.meta.best {
            state.meta.best = state.meta.score;
            checkpoint::save(&self.out.join("best"), &state.agent, None, &state.meta)?;
        }
        Ok(checkpoint::save(&self.out.join("last"), &state.agent, Some(&state.optimizer), &state.meta)?)
    }
}

/// `, Dice at 8 lines 0.8123`
fn for_people(budget: usize, measures: &[Measure]) -> String {
    let one = |measure: &Measure| format!(", {} at {budget} lines {:.4}", measure.title, measure.value);
    measures.iter().map(one).collect()
}
