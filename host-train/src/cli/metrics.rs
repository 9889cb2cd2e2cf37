//! `kscout metrics`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::limit::FileLimit;
use super::notes::Notes;
use super::{Failure, expect_no_input};
use crate::data::Phase;
use crate::eval::csv::acdc_csv;
use crate::eval::table::{Align, Table};
use crate::io::lock::Locks;
use crate::metrics::cohort::{Cohort, Index, ScoredVolume, score_pairs};
use crate::metrics::dice::Structure;
use crate::metrics::pairing::{Pair, pair_folders};
use crate::metrics::stats::Estimate;

/// `kscout metrics`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout metrics truth/patient005_frame01_gt.nii.gz out/patient005_frame01_seg.nii.gz\n  kscout metrics truth out --out acdc.csv\n\nFolders below are searched as well. Files pair by name, without what says what they are (_gt, _seg, _label, _mask, _pred,\nnnU-Net's _0000, BIDS's _dseg), in .nii and .nii.gz, else by patient and phase: patient005_ED with\npatient005_frame01_gt. Images beside their labels are left out. Where a structure is missing in one of the two, Dice and IoU are 0 and there\nis no distance; where it is missing in both there is no value, and means leave it out.\n\nDice and IoU: overlap, from 0 (none) to 1. HD, HD95 and ASSD: distances between the outlines in mm, the largest, the 95th\npercentile and the mean. error ml: predicted less true volume."
)]
pub struct MetricsArgs {
    /// Ground truth: a NIfTI file of labels (0 background, 1 RV, 2 MYO, 3 LV), or a folder of them
    #[arg(value_name = "TRUTH")]
    truth: PathBuf,
    /// Prediction: a file or a folder likewise
    #[arg(value_name = "PREDICTION")]
    prediction: PathBuf,
    #[command(flatten)]
    limit: FileLimit,
    /// Write the volumes' scores in the ACDC challenge's columns; a file of this name is replaced, unless it is one of the inputs
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl MetricsArgs {
    /// Compares.
    pub fn run(self) -> Result<(), Failure> {
        let _locks = Locks::of(self.out.as_deref())?;
        for path in [&self.truth, &self.prediction] {
            if !path.exists() {
                return Err(format!("{}: no such file or folder", path.display()).into());
            }
        }
        let pairs = match (self.truth.is_dir(), self.prediction.is_dir()) {
            (true, true) => pair_folders(&self.truth, &self.prediction)?,
            (false, false) => vec![Pair::of_files(&self.truth, &self.prediction)],
            (folder, _) => {
                let (folder, file) =
                    if folder { (&self.truth, &self.prediction) } else { (&self.prediction, &self.truth) };
                let (folder, file) = (folder.display(), file.display());
                return Err(format!("{folder} is a folder and {file} a file; give two files or two folders").into());
            }
        };
        if let Some(out) = &self.out {
            let inputs = pairs.iter().flat_map(|pair| [pair.truth.as_path(), pair.prediction.as_path()]);
            expect_no_input("--out", out, &inputs.collect::<Vec<_>>())?;
        }
        let volumes = score_pairs(&pairs, self.limit.bytes())?;
        let cohort = self.truth.is_dir().then(|| Cohort::of(&volumes)).transpose()?;
        if let Some(path) = &self.out {
            let rows = volumes.iter().map(|volume| (volume.name.as_str(), &volume.scores));
            acdc_csv(rows).write(path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match (self.json, &cohort) {
            (true, _) => println!("{:#}", json!({ "volumes": volumes, "cohort": cohort })),
            (false, Some(cohort)) => print!("{}", cohort_text(&volumes, cohort)),
            (false, None) => print!("{}", volume_text(&volumes[0])),
        }
        self.say_notes(&volumes, cohort.as_ref());
        Ok(())
    }

    fn say_notes(&self, volumes: &[ScoredVolume], cohort: Option<&Cohort>) {
        let mut notes = Notes::default();
        volumes.iter().flat_map(|volume| &volume.notes).for_each(|(path, note)| notes.say(path, note));
        notes.finish();
        for volume in volumes.iter().filter(|volume| volume.misplaced) {
            let (prediction, truth) = (&volume.prediction, &volume.truth);
            let apart = number(volume.apart_mm, 1);
            eprintln!(
                "note: {prediction} lies elsewhere in space than {truth}, by up to {apart} mm; compared voxel by voxel nevertheless"
            );
        }
        for absent in cohort.into_iter().flat_map(|cohort| &cohort.absent) {
            let predicted = match absent.predicted_in {
                0 => String::new(),
                count => format!(" (predicted in {count} nevertheless)"),
            };
            eprintln!("note: no truth has any {}{predicted}: left out of the means", absent.structure);
        }
        // The text has intervals of indices alone.
        let notes = cohort.filter(|cohort| self.json || !cohort.indices.is_empty()).map(|cohort| &cohort.notes);
        notes.into_iter().flatten().for_each(|note| eprintln!("note: {note}"));
    }
}

/// One volume, a structure a row.
fn volume_text(volume: &ScoredVolume) -> String {
    let mut table = table(&["structure"]);
    for structure in Structure::ALL {
        let scores = volume.scores.of(structure);
        let distances = [scores.hd_mm, scores.hd95_mm, scores.assd_mm].map(|mm| number(mm, 2));
        let volumes = [scores.volume_true_ml, scores.volume_pred_ml, scores.volume_error_ml()];
        let overlaps = [scores.dice, scores.iou].map(|overlap| number(overlap, 4));
        let cells = overlaps.into_iter().chain(distances).chain(volumes.map(|ml| number(Some(ml), 2)));
        table.push(std::iter::once(structure.name().to_string()).chain(cells));
    }
    format!("{} against {}\n{}", volume.prediction, volume.truth, table.to_text())
}

/// What was paired, the means, and the clinical indices.
fn cohort_text(volumes: &[ScoredVolume], cohort: &Cohort) -> String {
    let count = |phase| volumes.iter().filter(|volume| volume.phase == phase).count();
    let mut text = format!(
        "Paired {} volumes of {} patients ({} ED, {} ES, {} of no known phase); no file is left over.\n\n",
        volumes.len(),
        cohort.patients,
        count(Phase::Ed),
        count(Phase::Es),
        count(Phase::Unknown)
    );
    text += "Means over volumes; in brackets over how many, where those are not all of the row's:\n";
    let mut means = table(&["phase", "structure", "volumes"]);
    for row in &cohort.means {
        let all = row.volume_true_ml.map_or(0, |estimate| estimate.values);
        // A mean over fewer volumes than the row's says over how many.
        let cell = |estimate: &Option<Estimate>, digits| match estimate {
            Some(estimate) if estimate.values < all => format!("{:.digits$} ({})", estimate.mean, estimate.values),
            estimate => number(estimate.map(|estimate| estimate.mean), digits),
        };
        let overlaps = [&row.dice, &row.iou].map(|overlap| cell(overlap, 4));
        let lengths = [&row.hd_mm, &row.hd95_mm, &row.assd_mm].map(|mm| cell(mm, 2));
        let volumes = [&row.volume_true_ml, &row.volume_pred_ml, &row.volume_error_ml].map(|ml| cell(ml, 2));
        let names = [row.phase.to_string(), row.structure.to_string(), all.to_string()];
        means.push(names.into_iter().chain(overlaps).chain(lengths).chain(volumes));
    }
    text += &means.to_text();
    if cohort.indices.is_empty() {
        return text + "\nNo patient has both ED and ES: no ejection fraction.\n";
    }
    text += "\nPredicted against true, over patients with ED and ES:\n";
    text + &indices_table(&cohort.indices).to_text()
}

fn indices_table(indices: &[Index]) -> Table {
    let right = |title| (title, Align::Right);
    let titles = ["patients", "correlation", "bias", "limits of agreement", "mean |error|"].map(right);
    let mut table = Table::new(std::iter::once(("index", Align::Left)).chain(titles));
    for index in indices {
        let found = index.agreement.as_ref();
        let limits = found.and_then(|found| found.limits);
        table.push([
            format!("{} {}", index.name, index.unit),
            found.map_or(0, |found| found.pairs).to_string(),
            number(found.and_then(|found| found.correlation), 3),
            number(found.map(|found| found.bias), 2),
            limits.map_or("-".into(), |[low, high]| format!("{low:.2} to {high:.2}")),
            number(found.map(|found| found.absolute_error), 2),
        ]);
    }
    table
}

/// A table whose first columns are `names`, and whose others are the metrics.
fn table(names: &[&'static str]) -> Table {
    let metrics = ["Dice", "IoU", "HD mm", "HD95 mm", "ASSD mm", "true ml", "predicted ml", "error ml"];
    let names = names.iter().map(|&name| (name, Align::Left));
    Table::new(names.chain(metrics.map(|metric| (metric, Align::Right))))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}
