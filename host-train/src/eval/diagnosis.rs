//! `kscout eval` with a classifier: how well each method's scans tell the labels.

use std::path::Path;

use kscout_core::kspace::{Pattern, Plan};

use super::csv::{Cell, Csv};
use super::report::ReportError;
use super::run::{Method, RunError, scan_slices};
use super::table::{Align, Table};
use crate::data::Labels;
use crate::data::measured::MeasuredVolume;
use crate::inference::diagnose::{Diagnoser, DiagnosisScore};
use crate::progress;
use crate::samplers::MethodName;

/// What to evaluate.
pub struct DiagnosisTask<'a> {
    /// The images that scans make.
    pub plan: Plan,
    /// Has the predictions.
    pub diagnoser: &'a Diagnoser,
    /// Know the truth; in the order of the classifier's labels.
    pub labels: &'a Labels,
    /// What is scanned.
    pub volumes: &'a [MeasuredVolume<'a>],
    /// The policy, if any, and the patterns.
    pub methods: &'a [Method<'a>],
    /// Lines a slice.
    pub budgets: &'a [usize],
}

/// Runs every method at every budget, and full sampling; writes `diagnosis.csv` and gives the same numbers as a table.
///
/// # Errors
/// Scans that cannot be run, or a file that cannot be written.
pub fn evaluate_diagnoses(task: &DiagnosisTask<'_>, out: &Path) -> Result<Table, ReportError> {
    let bar = progress::bar((task.methods.len() * task.budgets.len()) as u64, 0, "scans");
    let width = task.volumes.first().map_or(0, |volume| volume.slices[0].slice.width);
    let mut rows = vec![(MethodName::Full, width, score(task, Method::Pattern(Pattern::CentreOut), width)?)];
    for &method in task.methods {
        for &budget in task.budgets {
            rows.push((method.name(), budget, score(task, method, budget)?));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let names = task.labels.names();
    let right = |title: &str| (title.to_owned(), Align::Right);
    let head = [("method".to_owned(), Align::Left), right("lines"), right("mean AUC"), right("log p")];
    let mut table = Table::new(head.into_iter().chain(names.iter().map(|name| right(&format!("AUC {name}")))));
    let mut csv = Csv::new();
    for (method, lines, score) in &rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
        let [auc, log_p] = [score.mean_auc(), score.log_probability].map(number);
        let by_label = score.auc.iter().map(|&auc| number(auc));
        table.push([method.to_string(), lines.to_string(), auc, log_p].into_iter().chain(by_label));
        let mut row: Vec<(String, Cell)> = vec![
            ("method".into(), method.as_str().into()),
            ("lines_per_slice".into(), (*lines).into()),
            ("mean_auc".into(), score.mean_auc().into()),
            ("log_probability".into(), score.log_probability.into()),
        ];
        row.extend(names.iter().zip(&score.auc).map(|(name, &auc)| (format!("auc_{name}"), auc.into())));
        csv.push(row.iter().map(|(name, cell)| (name.as_str(), cell.clone())))?;
    }
    let path = out.join("diagnosis.csv");
    csv.write(&path).map_err(|source| ReportError::Io { path, source })?;
    Ok(table)
}

fn score(task: &DiagnosisTask<'_>, method: Method<'_>, budget: usize) -> Result<DiagnosisScore, ReportError> {
    let scans = scan_slices(task.plan, task.volumes, method, budget)?;
    Ok(task.diagnoser.score_volumes(task.labels, task.volumes, &scans).map_err(RunError::from)?)
}
