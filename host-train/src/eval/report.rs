//! `kscout eval`: every method at every budget, as tables, statistics and pictures in one folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use kscout_core::kspace::Reconstruction;
use serde::Serialize;

use crate::data::Phase;
use crate::data::measured::MeasuredVolume;
use crate::eval::csv::{Cell, ColumnsDiffer, Csv, acdc_csv};
use crate::eval::outcome::Outcome;
use crate::eval::run::{RunError, mean_dice};
use crate::eval::table::{Align, Table};
use crate::figures::canvas::{PictureError, write_png};
use crate::figures::heatmap::line_heatmap;
use crate::figures::panel::{PanelInput, PanelRow, panel_scale, scan_panel};
use crate::figures::plot::{Series, dice_plot};
use crate::inference::rollout::Scanned;
use crate::io::whole::write_atomically;
use crate::metrics::dice::{Occurring, Structure};
use crate::metrics::scores::{StructureScores, VolumeScores, ejection_fraction_percent};
use crate::metrics::stats::{
    Bootstrap, Estimate, PairedDifference, Sample, StatsError, bootstrap_mean, few_patients, paired_difference,
};
use crate::mri::observation::levels_to_real;
use crate::samplers::MethodName;

/// Columns' names of the structures, in the order of [`VolumeScores`].
const COLUMNS: [&str; 3] = ["rv", "myo", "lv"];

/// Why an evaluation could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Scans could not be run or scored.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Scores could not be averaged.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A picture could not be drawn.
    #[error("picture: {0}")]
    Picture(#[from] PictureError),
    /// Rows of different columns.
    #[error(transparent)]
    Csv(#[from] ColumnsDiffer),
    /// There is nothing to score.
    #[error(
        "no structure occurs in the truth of these volumes, so that there is nothing to score; are these the right labels?"
    )]
    NoStructure,
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was evaluated.
pub struct Task<'a> {
    /// How images were made of the lines.
    pub reconstruction: Reconstruction,
    /// What was scanned: all volumes in the first draw of phase and noise, then in the next.
    pub volumes: &'a [MeasuredVolume<'a>],
    /// How many draws, at least 1.
    pub draws: usize,
    /// Lines a slice.
    pub budgets: &'a [usize],
    /// Slices that panels are drawn of.
    pub panels: usize,
    /// Lines of k-space.
    pub width: usize,
    /// One line on what was evaluated, for the files.
    pub title: &'a str,
}

/// One method at one budget.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The method.
    pub method: MethodName,
    /// Lines a slice.
    pub budget: usize,
    /// Lines that were measured, a slice: fewer than the budget where scans may end early.
    pub lines: f64,
    /// Mean Dice of RV, MYO, LV over volumes; none of a structure that no truth has.
    pub dice: [Option<f64>; 3],
    /// Over how many volumes each of these goes: those in which truth or segmentation has the structure.
    pub dice_volumes: [usize; 3],
    /// Mean over the volumes of the mean over the structures that occur in the data, with its interval over patients.
    pub mean_dice: Estimate,
    /// Mean SSIM over slices.
    pub ssim: f64,
    /// Mean NMSE over slices.
    pub nmse: f64,
    /// The policy's advantage over this method, by patient; `None` for the policy, and where it was not run.
    pub policy_minus_this: Option<PairedDifference>,
}

impl Entry {
    /// A structure's mean, and over how many volumes it goes where these are not `all`.
    fn dice_cell(&self, place: usize, all: usize) -> String {
        match (self.dice[place], self.dice_volumes[place]) {
            (None, _) => "-".into(),
            (Some(dice), volumes) if volumes == all => format!("{dice:.3}"),
            (Some(dice), volumes) => format!("{dice:.3} (n={volumes})"),
        }
    }

    /// `16`, or `13.2 of 16` where scans have ended early.
    fn lines_of_budget(&self) -> String {
        if (self.lines - self.budget as f64).abs() < 0.05 {
            return self.budget.to_string();
        }
        format!("{:.1} of {}", self.lines, self.budget)
    }
}

/// All results.
#[derive(Debug, Serialize)]
pub struct Results {
    /// What was evaluated.
    pub title: String,
    /// How images were made of the lines.
    pub reconstruction: &'static str,
    /// Volumes evaluated.
    pub volumes: usize,
    /// Draws of phase and noise that each was measured with.
    pub draws: usize,
    /// Structures that no volume's truth has: left out of means.
    pub absent: Vec<&'static str>,
    /// What is to be known of the numbers: what is left out of means, intervals of too few patients.
    pub notes: Vec<String>,
    /// One a method and budget; full sampling first.
    pub entries: Vec<Entry>,
}

impl Results {
    /// `38 volumes`, or `38 volumes in 8 draws of phase and noise`.
    pub fn evaluated(&self) -> String {
        let draws = if self.draws > 1 { format!(" in {} draws of phase and noise", self.draws) } else { String::new() };
        let volumes = if self.volumes == 1 { "volume" } else { "volumes" };
        format!("{} {volumes}{draws}", self.volumes)
    }
}

impl<'a> Task<'a> {
    /// The volumes in the first draw of phase and noise.
    fn first_draw(&self) -> &'a [MeasuredVolume<'a>] {
        &self.volumes[..self.volumes.len() / self.draws]
    }

    /// Which structures occur in the truth of what is evaluated.
    ///
    /// # Errors
    /// [`ReportError::NoStructure`] where none does.
    pub fn occurring(&self) -> Result<Occurring, ReportError> {
        let slices = self.first_draw().iter().flat_map(|volume| &volume.slices);
        let occurring = Occurring::in_labels(slices.flat_map(|measured| &measured.slice.label));
        if occurring == Occurring::default() { Err(ReportError::NoStructure) } else { Ok(occurring) }
    }
}

/// The volumes, by place, that a panel is drawn of where there are `volumes` of them: spread evenly.
pub fn pictured(panels: usize, volumes: usize) -> BTreeSet<usize> {
    let count = panels.min(volumes);
    (0..count).map(|panel| panel * volumes / count).collect()
}

/// Writes what came of the task: `report.md`, `results.csv`, `results.json`, `ejection.csv`, `acdc/METHOD_LINES.csv` (the
/// challenge's own columns), `dice.png`, `lines_*.png` and `panel_*.png`. Full sampling is the first of `outcomes`.
pub fn report(task: &Task<'_>, outcomes: &[Outcome], out: &Path) -> Result<Results, ReportError> {
    let occurring = task.occurring()?;
    let entries = outcomes.iter().map(|outcome| entry(task, outcome, outcomes, occurring));
    let entries = entries.collect::<Result<Vec<Entry>, _>>()?;
    let fewest = entries.iter().map(|entry| entry.mean_dice.patients).min().unwrap_or_default();
    let notes = occurring.note().into_iter().chain(few_patients(fewest)).collect();
    let reconstruction = task.reconstruction.name();
    let (volumes, draws) = (task.first_draw().len(), task.draws);
    let (title, absent) = (task.title.to_owned(), occurring.absent());
    let results = Results { title, reconstruction, volumes, draws, absent, notes, entries };

    write_rows(task, outcomes, out)?;
    write_ejection(task, outcomes, out)?;
    let json = serde_json::to_string_pretty(&results).expect("results serialise");
    write(&out.join("results.json"), json.as_bytes())?;
    write(&out.join("report.md"), page(&results, task.budgets).as_bytes())?;
    draw_plot(&results, task, out)?;
    draw_lines(outcomes, task, out)?;
    draw_panels(outcomes, occurring, task, out)?;
    Ok(results)
}

fn samples<'a>(task: &Task<'a>, outcome: &Outcome, occurring: Occurring) -> Vec<Sample<&'a str>> {
    let mean = task.volumes.iter().zip(&outcome.scores);
    mean.filter_map(|(volume, scores)| Some(Sample::new(volume.patient, scores.mean_dice(occurring)?))).collect()
}

fn entry(task: &Task<'_>, outcome: &Outcome, all: &[Outcome], occurring: Occurring) -> Result<Entry, ReportError> {
    let slices: Vec<&Scanned> = outcome.scans.iter().flatten().collect();
    let mean = |f: &dyn Fn(&Scanned) -> f64| slices.iter().map(|scan| f(scan)).sum::<f64>() / slices.len() as f64;
    let bootstrap = Bootstrap::default();
    let policy = all.iter().find(|other| other.method == MethodName::Policy && other.budget == outcome.budget);
    let policy = policy.filter(|_| outcome.method != MethodName::Policy);
    let samples = |outcome| samples(task, outcome, occurring);
    let difference = policy.map(|policy| paired_difference(&samples(policy), &samples(outcome), &bootstrap));
    let dice = mean_dice(&outcome.scores);
    Ok(Entry {
        method: outcome.method.clone(),
        budget: outcome.budget,
        lines: mean(&|scan| scan.lines.len() as f64),
        dice: dice.means(),
        dice_volumes: dice.counts(),
        mean_dice: bootstrap_mean(&samples(outcome), &bootstrap)?,
        ssim: mean(&|scan| scan.quality.ssim),
        nmse: mean(&|scan| scan.quality.nmse),
        policy_minus_this: difference.transpose()?,
    })
}

fn write_rows(task: &Task<'_>, outcomes: &[Outcome], out: &Path) -> Result<(), ReportError> {
    let mut csv = Csv::new();
    for outcome in outcomes {
        for ((volume, scans), scores) in task.volumes.iter().zip(&outcome.scans).zip(&outcome.scores) {
            let mut row: Vec<(String, Cell)> = vec![
                ("method".into(), outcome.method.as_str().into()),
                ("lines_per_slice".into(), outcome.budget.into()),
                ("slices".into(), scans.len().into()),
                ("lines_measured".into(), scans.iter().map(|scan| scan.lines.len()).sum::<usize>().into()),
                ("reconstruction".into(), task.reconstruction.name().into()),
                ("patient".into(), volume.patient.into()),
                ("phase".into(), volume.phase.to_string().into()),
                ("seed".into(), volume.seed.into()),
            ];
            for (name, s) in COLUMNS.iter().zip(&scores.0) {
                let measures = [("dice", s.dice), ("hd95_mm", s.hd95_mm), ("assd_mm", s.assd_mm)];
                row.extend(measures.map(|(measure, value)| (format!("{measure}_{name}"), value.into())));
                row.push((format!("volume_pred_ml_{name}"), s.volume_pred_ml.into()));
                row.push((format!("volume_true_ml_{name}"), s.volume_true_ml.into()));
            }
            let n = scans.len() as f64;
            let mean = |f: fn(&Scanned) -> f64| scans.iter().map(f).sum::<f64>() / n;
            row.push(("ssim".into(), mean(|scan| scan.quality.ssim).into()));
            row.push(("psnr_db".into(), mean(|scan| scan.quality.psnr_db).into()));
            row.push(("nmse".into(), mean(|scan| scan.quality.nmse).into()));
            csv.push(row.iter().map(|(name, cell)| (name.as_str(), cell.clone())))?;
        }
        // The challenge's tables name volumes as files: `patient001_ED`.
        let names: Vec<String> = task.first_draw().iter().map(|volume| volume.name.replace('/', "_")).collect();
        let official = acdc_csv(names.iter().map(String::as_str).zip(&outcome.scores));
        let path = out.join("acdc").join(format!("{}_{}.csv", outcome.method, outcome.budget));
        official.write(&path).map_err(|source| ReportError::Io { path, source })?;
    }
    let path = out.join("results.csv");
    csv.write(&path).map_err(|source| ReportError::Io { path, source })
}

/// Left ventricular volumes and ejection fractions of the patients that have both phases.
fn write_ejection<'a>(task: &Task<'a>, outcomes: &[Outcome], out: &Path) -> Result<(), ReportError> {
    let mut csv = Csv::new();
    for outcome in outcomes {
        let of_phase = |phase: Phase| {
            let volumes = task.volumes.iter().zip(&outcome.scores).filter(move |(volume, _)| volume.phase == phase);
            let lv = |(volume, scores): (&MeasuredVolume<'a>, &VolumeScores)| {
                ((volume.patient, volume.seed), *scores.of(Structure::Lv))
            };
            volumes.map(lv).collect::<BTreeMap<_, _>>()
        };
        let systolic = of_phase(Phase::Es);
        for ((patient, seed), diastole) in of_phase(Phase::Ed) {
            let Some(systole) = systolic.get(&(patient, seed)) else { continue };
            let fraction =
                |pick: fn(&StructureScores) -> f64| ejection_fraction_percent(pick(&diastole), pick(systole));
            csv.push([
                ("method", outcome.method.as_str().into()),
                ("lines_per_slice", outcome.budget.into()),
                ("reconstruction", task.reconstruction.name().into()),
                ("patient", patient.into()),
                ("seed", seed.into()),
                ("edv_pred_ml", diastole.volume_pred_ml.into()),
                ("edv_true_ml", diastole.volume_true_ml.into()),
                ("esv_pred_ml", systole.volume_pred_ml.into()),
                ("esv_true_ml", systole.volume_true_ml.into()),
                ("ef_pred_percent", fraction(|scores| scores.volume_pred_ml).into()),
                ("ef_true_percent", fraction(|scores| scores.volume_true_ml).into()),
            ])?;
        }
    }
    let path = out.join("ejection.csv");
    csv.write(&path).map_err(|source| ReportError::Io { path, source })
}

/// Methods by budgets: mean 3-D Dice, and the policy's advantage with its interval.
pub fn summary(results: &Results, budgets: &[usize]) -> Table {
    let head = budgets.iter().map(|budget| (format!("{budget} lines"), Align::Right));
    let mut table = Table::new(std::iter::once(("method".to_string(), Align::Left)).chain(head));
    for (method, entries) in by_method(results) {
        let cell = |budget: &usize| {
            let entry = entries.iter().find(|entry| entry.budget == *budget);
            entry.map_or(String::new(), |entry| format!("{:.3}", entry.mean_dice.mean))
        };
        let cells: Vec<String> = if *method == MethodName::Full {
            vec![format!("{:.3}", entries[0].mean_dice.mean); budgets.len()]
        } else {
            budgets.iter().map(cell).collect()
        };
        table.push(std::iter::once(method.to_string()).chain(cells));
    }
    table
}

fn by_method(results: &Results) -> Vec<(&MethodName, Vec<&Entry>)> {
    let mut order = Vec::new();
    let mut groups: BTreeMap<&MethodName, Vec<&Entry>> = BTreeMap::new();
    for entry in &results.entries {
        let method = &entry.method;
        if !groups.contains_key(method) {
            order.push(method);
        }
        groups.entry(method).or_default().push(entry);
    }
    order.into_iter().map(|method| (method, groups.remove(method).unwrap_or_default())).collect()
}

fn page(results: &Results, budgets: &[usize]) -> String {
    let mut text = format!("# {}\n\n", results.title);
    text += &format!(
        "{}; lines are of each slice, or of a slice on average where the slices of a volume share a budget. Mean over \
         volumes of the mean 3-D Dice of RV, MYO and LV:\n\n",
        results.evaluated()
    );
    text += &summary(results, budgets).to_markdown();
    text += "\nEvery entry, with 95 % intervals (bootstrap over patients); the last column is the policy's Dice minus \
             this method's, by patient. n: over so many volumes a mean goes, where in others neither truth nor segmentation has \
             the structure.\n\n";
    let columns = ["method", "lines", "RV", "MYO", "LV", "mean", "SSIM", "NMSE", "policy minus this"];
    let mut table = Table::new(columns.map(|name| (name, if name == "method" { Align::Left } else { Align::Right })));
    for entry in &results.entries {
        let [rv, myo, lv] = [0, 1, 2].map(|place| entry.dice_cell(place, results.volumes * results.draws));
        let difference = entry.policy_minus_this.as_ref().map_or(String::new(), |d| format!("{:+.3}", d.difference));
        table.push([
            entry.method.to_string(),
            entry.lines_of_budget(),
            rv,
            myo,
            lv,
            format!("{:.3}", entry.mean_dice),
            format!("{:.3}", entry.ssim),
            format!("{:.4}", entry.nmse),
            difference,
        ]);
    }
    text += &table.to_markdown();
    text + &results.notes.iter().map(|note| format!("\nNote: {note}.\n")).collect::<String>()
}

fn draw_plot(results: &Results, task: &Task<'_>, out: &Path) -> Result<(), ReportError> {
    let groups = by_method(results);
    let series: Vec<Series> = groups
        .iter()
        .filter(|(method, _)| **method != MethodName::Full)
        .map(|(method, entries)| {
            Series::new(method.as_str(), entries.iter().map(|entry| (entry.budget as f64, entry.mean_dice)).collect())
        })
        .collect();
    let full = results.entries.first().map(|entry| entry.mean_dice);
    picture(&out.join("dice.png"), &dice_plot("Segmentation against scan length", task.width, &series, full))
}

fn draw_lines(outcomes: &[Outcome], task: &Task<'_>, out: &Path) -> Result<(), ReportError> {
    for outcome in outcomes.iter().filter(|outcome| outcome.method == MethodName::Policy) {
        let orders: Vec<Vec<u16>> = outcome.scans.iter().flatten().map(|scan| scan.lines.clone()).collect();
        let title = format!("policy, {} lines a slice (of a volume on average)", outcome.budget);
        let name = format!("lines_policy_{}.png", outcome.budget);
        picture(&out.join(name), &line_heatmap(&title, &orders, task.width)?)?;
    }
    Ok(())
}

/// The middle slices of evenly chosen volumes, all methods at the smallest budget.
fn draw_panels(outcomes: &[Outcome], occurring: Occurring, task: &Task<'_>, out: &Path) -> Result<(), ReportError> {
    let budget = task.budgets.iter().min().copied().unwrap_or_default();
    let shown: Vec<&Outcome> = outcomes.iter().filter(|o| o.budget == budget || o.method == MethodName::Full).collect();
    let volumes = task.first_draw();
    for volume in pictured(task.panels, volumes.len()) {
        let middle = volumes[volume].slices.len() / 2;
        let measured = &volumes[volume].slices[middle];
        let reference: Vec<f32> = measured.kspace.image().iter().map(|value| value.norm()).collect();
        let images: Vec<Vec<f32>> =
            shown.iter().map(|o| levels_to_real(&o.scans[volume][middle].levels).collect()).collect();
        let label = |o: &&Outcome| {
            let dice = o.scores[volume].mean_dice(occurring).map_or("none".into(), |dice| format!("{dice:.3}"));
            format!("{}, {} lines: Dice of the volume {dice}", o.method, o.budget)
        };
        let labels: Vec<String> = shown.iter().map(label).collect();
        let rows: Vec<PanelRow<'_>> = (0..shown.len())
            .map(|i| {
                let scan = &shown[i].scans[volume][middle];
                PanelRow { label: &labels[i], lines: &scan.lines, image: &images[i], labels: &scan.classes }
            })
            .collect();
        let title = format!("{} {}", measured.slice.id, volumes[volume].phase).trim_end().to_string();
        let (height, width) = (measured.slice.height, measured.slice.width);
        let truth = &measured.slice.label;
        let input = PanelInput {
            title: &title,
            height,
            width,
            scale: panel_scale(width),
            reconstruction: task.reconstruction,
            reference: &reference,
            truth,
            rows: &rows,
        };
        let name = format!("panel_{}.png", measured.slice.id.to_string().replace('/', "_"));
        picture(&out.join(name), &scan_panel(&input)?)?;
    }
    Ok(())
}

fn picture(path: &Path, image: &image::RgbImage) -> Result<(), ReportError> {
    write_png(path, image).map_err(|source| ReportError::Io { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    write_atomically(path, bytes).map_err(|source| ReportError::Io { path: path.to_owned(), source })
}
