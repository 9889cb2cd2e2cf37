//! `kscout verify`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::model::Model;
use kscout_core::volume::line_order;

use super::Failure;
use super::cost::CostArgs;
use super::export::expect_size;
use crate::data::{Dataset, Split};
use crate::device::DeviceChoice;
use crate::eval::table::{Align, Table};
use crate::export::inspect::fixed_order;
use crate::export::verify::{BudgetReport, Originals, VerifyOptions, VerifyReport, verify};
use crate::measure::measure;
use crate::mri::Protocol;
use crate::rl::agent::load_policy;
use crate::rl::volume::agreement::{Agreement, InInt8};
use crate::rl::volume::load_slice_policy;
use crate::train::reward::load_segmenter;
use crate::volume::heart::follow;
use crate::volume::trajectory::Course;

/// `kscout verify`.
#[derive(Args)]
#[command(
    after_help = "Scans are the file's own: its policy's lines, or centre-out without one. The real-valued networks look at the same\nimages. Fails (exit code 1) if int8 loses more Dice than --tolerance at any budget, or if the naive and the fast int8\nkernels differ in a single bit.\n\nExample:\n  kscout verify heart.kscout --reward runs/reward/best --policy runs/policy/best --data data/acdc128 --limit 50"
)]
pub struct VerifyArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Checkpoint of the segmenter that it was exported from
    #[arg(long, value_name = "DIR")]
    reward: PathBuf,
    /// The head of a U-Net++ that the file was pruned to
    #[arg(long, value_name = "K")]
    prune: Option<usize>,
    /// Checkpoint of the policy that it was exported from; without it the policy's choices are not compared
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Checkpoint of the slice policy that it was exported from: its choices are compared over whole volumes
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    slice_policy: Option<PathBuf>,
    /// Data set to run on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The part of the data set: `train`, `val` or `test`
    #[arg(long, default_value = "val")]
    split: Split,
    /// Lines a scan may measure
    #[arg(long, value_name = "LINES", value_delimiter = ',', default_value = "8,16,24")]
    budgets: Vec<usize>,
    /// Whole volumes until this many slices are reached; without it all
    #[arg(long, value_name = "SLICES")]
    limit: Option<usize>,
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only)
    #[arg(long, default_value = "scanner")]
    protocol: Protocol,
    /// Seed of phase and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most mean 3-D Dice that int8 may lose at any budget
    #[arg(long, value_name = "DICE", default_value_t = 0.01)]
    tolerance: f64,
    #[command(flatten)]
    cost: CostArgs,
    /// Where the real-valued networks run
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Print the outcome as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    /// Verifies.
    pub fn run(self) -> Result<(), Failure> {
        let file = self.cost.read(&self.file)?;
        let model = file.model()?;
        let device = self.device.open()?;
        let size = [model.height(), model.width()];
        let blob = self.file.display().to_string();
        let (segmenter, meta) = load_segmenter(&self.reward, self.prune, &device)?;
        expect_size(&self.reward, [meta.height, meta.width], size, &blob)?;
        meta.expect_reconstruction(&self.reward, model.reconstruction(), &blob)?;
        meta.note_protocol(&self.protocol.to_string());
        let policy = self.policy.as_deref().map(|dir| load_policy(dir, &device)).transpose()?;
        if let (Some((_, meta)), Some(dir)) = (&policy, &self.policy) {
            expect_size(dir, [meta.height, meta.width], size, &blob)?;
            meta.expect_reconstruction(dir, model.reconstruction(), &blob)?;
        }
        let data = Dataset::open(&self.data)?;
        data.expect_masks("`kscout verify`, which compares Dice,")?;
        let policy = policy.as_ref().map(|(policy, _)| policy);
        let originals = Originals { segmenter: &segmenter, policy, device: &device };
        let options = VerifyOptions {
            split: self.split,
            budgets: self.budgets,
            limit: self.limit,
            protocol: self.protocol,
            seed: self.seed,
        };
        let report = verify(&model, &originals, &data, &options).map_err(|error| format!("{blob}: {error}"))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            let lines = match (model.policy(), fixed_order(&model)) {
                (None, _) => "centre-out".to_owned(),
                (Some(_), None) => "the file's policy".to_owned(),
                (Some(_), Some(order)) => format!("the file's policy, {order}"),
            };
            print!("{}", text(&report, &lines));
        }
        if let Some(dir) = &self.slice_policy {
            print!("{}", slice_policy_table(dir, &model, &data, &options, &device)?.to_text());
        }
        judge(&report, self.tolerance).map_err(|reason| format!("{blob}: {reason}").into())
    }
}

/// How far the file's slice policy decides as the one in the checkpoint `dir`.
fn slice_policy_table(
    dir: &Path,
    model: &Model<'_>,
    data: &Dataset,
    options: &VerifyOptions,
    device: &Device,
) -> Result<Table, Failure> {
    let graph = model.slice_policy().ok_or("the file holds no slice policy; leave --slice-policy out")?;
    let (policy, meta) = load_slice_policy(dir, device)?;
    expect_size(dir, [meta.height, meta.width], [model.height(), model.width()], "the file")?;
    if !model.line_order().eq(meta.line_order.iter().copied()) {
        return Err(format!(
            "{}: its policy was trained with lines in another order than the file measures them; export it again",
            dir.display()
        )
        .into());
    }
    let volumes = measure(data, options.split, &options.protocol, options.seed);
    let hearts = follow(model, &volumes, Course::dice(&line_order(model)))?;
    let titles = ["lines on average", "slices chosen", "equal", "float Dice", "int8 Dice"];
    let mut table = Table::new(titles.map(|title| (title, Align::Right)));
    for &budget in &options.budgets {
        let found = Agreement::of(&policy, &InInt8 { graph }, &hearts, budget, device);
        table.push([
            budget.to_string(),
            found.decisions.to_string(),
            format!("{:.2} %", 100.0 * found.equal as f64 / found.decisions.max(1) as f64),
            format!("{:.4}", found.float_dice),
            format!("{:.4}", found.int8_dice),
        ]);
    }
    Ok(table)
}

fn text(report: &VerifyReport, lines: &str) -> String {
    let mut text = format!("{} slices, lines by {lines}\n{}", report.slices, table(&report.budgets).to_text());
    match &report.kernel_difference {
        None => {
            text += &format!("naive and fast kernels agree to the bit (scans compared: {})\n", report.kernel_slices)
        }
        Some(place) => text += &format!("naive and fast kernels DIFFER at {place}\n"),
    }
    let digest = &report.digest;
    text + &format!("digest of {} at {} lines: {}\n", digest.slice, digest.budget, digest.digest)
}

fn table(budgets: &[BudgetReport]) -> Table {
    let titles = [
        "lines",
        "float Dice",
        "int8 Dice",
        "loss",
        "classes equal",
        "logits off by",
        "at most",
        "choices equal",
        "behind by at most",
    ];
    let mut table = Table::new(titles.map(|title| (title, Align::Right)));
    for budget in budgets {
        let share = |part: usize, all: usize| match all {
            0 => "-".to_owned(),
            _ => format!("{:.2} %", 100.0 * part as f64 / all as f64),
        };
        table.push([
            budget.budget.to_string(),
            format!("{:.4}", budget.mean_float()),
            format!("{:.4}", budget.mean_int8()),
            format!("{:+.4}", budget.loss()),
            format!("{:.3} %", 100.0 * budget.classes_equal),
            format!("{:.3}", budget.logits_mean),
            format!("{:.3}", budget.logits_largest),
            share(budget.decisions_equal, budget.decisions),
            if budget.decisions == 0 { "-".to_owned() } else { format!("{:.3}", budget.decisions_behind) },
        ]);
    }
    table
}

/// No quantisation costs the classes of so many pixels; the weights of another training do.
const LEAST_AGREEMENT: f64 = 0.5;

/// What is wrong, in words, if anything is.
fn judge(report: &VerifyReport, tolerance: f64) -> Result<(), String> {
    if let Some(budget) = report.budgets.iter().find(|budget| budget.classes_equal < LEAST_AGREEMENT) {
        let (percent, lines) = (100.0 * budget.classes_equal, budget.budget);
        return Err(format!(
            "int8 and real numbers agree on {percent:.1} % of the pixels at {lines} lines; --reward is not the checkpoint that the file was exported from"
        ));
    }
    if let Some(place) = &report.kernel_difference {
        return Err(format!("the naive and the fast kernels differ at {place}; this build must not be trusted"));
    }
    let bad = report.budgets.iter().find(|budget| budget.loss().is_nan() || budget.loss() > tolerance);
    bad.map_or(Ok(()), |budget| {
        let (loss, lines) = (budget.loss(), budget.budget);
        Err(format!(
            "int8 loses {loss:.4} Dice at {lines} lines, more than --tolerance {tolerance}; try more --calibration"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::verify::ScanDigest;

    fn report(float: f64, int8: f64, kernel_difference: Option<String>) -> VerifyReport {
        let (dice_float, dice_int8) = ([Some(float); 3], [Some(int8), None, Some(int8)]);
        let budget = BudgetReport { budget: 8, dice_float, dice_int8, classes_equal: 1.0, ..Default::default() };
        let digest = ScanDigest { slice: "p/1".into(), budget: 8, digest: "0".into() };
        VerifyReport { slices: 1, budgets: vec![budget], kernel_slices: 1, kernel_difference, digest }
    }

    #[test]
    fn a_loss_above_the_tolerance_fails_and_names_the_budget() {
        assert_eq!(judge(&report(0.8, 0.795, None), 0.01), Ok(()));
        assert_eq!(judge(&report(0.8, 0.9, None), 0.0), Ok(()));
        let reason = judge(&report(0.8, 0.78, None), 0.01).unwrap_err();
        assert!(reason.contains("8 lines") && reason.contains("0.02"), "{reason}");
    }

    #[test]
    fn a_file_of_other_weights_fails_even_where_it_is_better() {
        let mut report = report(0.05, 0.75, None);
        report.budgets[0].classes_equal = 0.06;
        let reason = judge(&report, 0.01).unwrap_err();
        assert!(reason.contains("6.0 %") && reason.contains("--reward"), "{reason}");
    }

    #[test]
    fn a_loss_that_is_not_a_number_fails() {
        assert!(judge(&report(f64::NAN, 0.7, None), 0.01).is_err());
    }

    #[test]
    fn a_single_differing_kernel_fails() {
        let reason = judge(&report(0.8, 0.8, Some("segmenter, operator 3 (Add)".into())), 0.01).unwrap_err();
        assert!(reason.contains("operator 3"), "{reason}");
    }
}
