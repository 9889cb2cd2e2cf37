//! A policy's score during training, and its checkpoints.

use burn::tensor::Device;
use indicatif::ProgressBar;
use kscout_core::kspace::Pattern;
use kscout_core::model::{GraphKind, Model};

use super::agent::{Agent, Greedy};
use super::train::PolicyError;
use super::trainer::{State, Trainer};
use crate::eval::run::{MeasuredVolume, Method, scan_slices};
use crate::eval::stats::mean;
use crate::export::blob_writer::write_blob;
use crate::export::{self, ExportError};
use crate::train::folder::{self, RunFolder};

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
            line += &self.for_people(budget, &measures);
        }
        bar.suspend(|| println!("{line}"));
        Ok(())
    }

    /// The columns of the log; `validated` where there is something to validate on.
    pub fn columns(&self, validated: bool) -> String {
        let scored = self.config.validate_lines.iter().filter(|_| validated);
        let of = |budget| self.reward.measures().iter().map(move |measure| format!(",{}_{budget}", measure.column));
        String::from("update,seconds,worth,entropy,kl,value_loss") + &scored.flat_map(of).collect::<String>()
    }

    /// The measures at each validation budget.
    fn scores(
        &self,
        model: &Model<'_>,
        validation: &[MeasuredVolume<'_>],
        method: Method<'_>,
    ) -> Result<Vec<Vec<Option<f64>>>, PolicyError> {
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
    ) -> Result<Vec<Vec<Option<f64>>>, PolicyError> {
        let Some(policy) = agent.graph(self.size()) else {
            let policy = Greedy { agent, size: self.size(), device: device.clone() };
            return self.scores(self.model, validation, Method::Chooser(&policy));
        };
        let policy = export::quantised(GraphKind::Policy, &policy, &self.observations)?;
        let blob =
            write_blob(&export::header(self.data, self.model.reconstruction()), self.segmenter.as_ref(), Some(&policy))
                .map_err(ExportError::from)?;
        let model = Model::new_checked(&blob).map_err(ExportError::from)?;
        self.scores(&model, validation, Method::Policy)
    }

    /// Validates the policy and writes the checkpoints.
    pub fn validate_and_save<A: Agent + Sync>(
        &self,
        state: &mut State<A>,
        (validation, folder): (&[MeasuredVolume<'_>], &RunFolder),
        bar: &ProgressBar,
        device: &Device,
    ) -> Result<(), PolicyError> {
        let [worth, entropy, kl, value_loss] = state.meta.since.take();
        let (step, seconds) = (state.meta.step, state.meta.seconds);
        let mut row = format!("{step},{seconds:.0},{worth:.4},{entropy:.3},{kl:.4},{value_loss:.4}");
        let mut line = format!("update {step}: worth {worth:.3}, entropy {entropy:.2}");
        if !validation.is_empty() {
            let scores = self.scores_of(state.agent.valid(), validation, device)?;
            for (&budget, measures) in self.config.validate_lines.iter().zip(&scores) {
                for value in measures {
                    row += &value.map_or(",".into(), |value| format!(",{value:.4}"));
                }
                line += &self.for_people(budget, measures);
            }
            let first = scores.iter().filter_map(|measures| *measures.first()?);
            state.meta.score = mean(&first.collect::<Vec<_>>());
        }
        bar.suspend(|| println!("{line} ({seconds:.0} s)"));
        let State { agent, optimizer, meta } = state;
        Ok(folder.validated(&folder::State { network: &*agent, training: None, optimizer }, meta, row)?)
    }

    /// `, Dice at 8 lines 0.8123`
    fn for_people(&self, budget: usize, values: &[Option<f64>]) -> String {
        let number = |value: &Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
        let titles = self.reward.measures().iter().map(|measure| measure.title);
        titles.zip(values).map(|(title, value)| format!(", {title} at {budget} lines {}", number(value))).collect()
    }
}
