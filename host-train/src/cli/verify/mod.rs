//! `kscout verify`.

mod limits;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::model::{GraphKind, Model};
use kscout_core::volume::line_order;
use serde::Serialize;

use super::cost::CostArgs;
use super::export::expect_size;
use super::measuring::MeasuringArgs;
use super::number::Budgets;
use super::{Failure, number};
use crate::data::measured::MeasuredVolume;
use crate::data::{Dataset, Split, Volume};
use crate::device::DeviceChoice;
use crate::eval::table::{Align, Table};
use crate::export::inspect::fixed_order;
use crate::export::verify::{BudgetReport, Originals, VerifyOptions, VerifyReport, limited, verify};
use crate::metrics::dice::Occurring;
use crate::net::SlicePolicy;
use crate::rl::agent::load_policy;
use crate::rl::volume::agreement::{Agreement, InInt8};
use crate::rl::volume::load_slice_policy;
use crate::train::Meta;
use crate::train::checkpoint::WeightsHash;
use crate::train::segmenter::load_segmenter;
use crate::volume::trajectories::follow;
use crate::volume::trajectory::Course;
use limits::{Check, Limits, checks, verdict};

/// `kscout verify`.
#[derive(Args)]
#[command(
    after_help = "Scans are the file's own: its policy's lines, or centre-out without one. The networks in f32 get the\nsame images. Fails (exit code 1) where the checkpoint is not the one that the file was made from (the hash of its weights\nis in the file), where int8 and f32 differ by more than --tolerance, --pixels or --choices allow at any number of\nlines, and where the plain and the fast int8 kernels differ in a single bit.\n\nExample:\n  kscout verify heart.kscout --segmenter runs/segmenter/best --line-policy runs/policy/best --data data/acdc128 --limit 50"
)]
pub struct VerifyArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Checkpoint of the segmenter that it was exported from
    #[arg(long, alias = "reward", value_name = "DIR")]
    segmenter: PathBuf,
    /// The head of a U-Net++ that the file was pruned to
    #[arg(long, value_name = "K", value_parser = number::head())]
    prune: Option<usize>,
    /// Checkpoint of the line policy that it was exported from; without it that policy's choices are not compared
    #[arg(long, alias = "policy", value_name = "DIR")]
    line_policy: Option<PathBuf>,
    /// Checkpoint of the slice policy that it was exported from: its choices are compared over whole volumes
    #[arg(long, value_name = "DIR")]
    slice_policy: Option<PathBuf>,
    /// Data set to run on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The part of the data set: `train`, `val` or `test`
    #[arg(long, default_value = "val")]
    split: Split,
    /// Lines a scan may measure
    #[arg(long, value_name = "LINES", default_value = "8,16,24", value_parser = number::budgets())]
    budgets: Budgets,
    /// Whole volumes until this many slices are reached; by default all
    #[arg(long, value_name = "SLICES", value_parser = number::whole::<usize>(1..=number::MANY))]
    limit: Option<usize>,
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// By how much the mean 3-D Dice in int8 may differ from that in f32, up or down
    #[arg(long, value_name = "DICE", default_value = "0.02", value_parser = from_0_to_1)]
    tolerance: f64,
    /// The least share of pixels to which int8 gives the same class as f32, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = from_0_to_1)]
    pixels: f64,
    /// The least share of choices, of a line or a slice, that are the same in int8, 0 to 1; a line that the policy in f32 rates
    /// lower by less than a step of int8 counts as the same
    #[arg(long, value_name = "SHARE", default_value = "0.8", value_parser = from_0_to_1)]
    choices: f64,
    #[command(flatten)]
    cost: CostArgs,
    /// Where the networks in f32 run: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them
    #[arg(long, value_name = "DEVICE", default_value_t)]
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
        let (segmenter, meta) = load_segmenter(&self.segmenter, self.prune, &device)?;
        expect_size(&self.segmenter, [meta.height, meta.width], size, &blob)?;
        meta.expect_reconstruction(&self.segmenter, model.reconstruction(), &blob)?;
        meta.note_protocol(&self.measuring.protocol.to_string());
        let subject = Subject { model: &model, name: &blob };
        let mut known = subject.expect_made_from(GraphKind::Segmenter, &self.segmenter, &meta)?;
        let policy = self.line_policy.as_deref().map(|dir| load_policy(dir, &device)).transpose()?;
        if let (Some((_, meta)), Some(dir)) = (&policy, &self.line_policy) {
            expect_size(dir, [meta.height, meta.width], size, &blob)?;
            meta.expect_reconstruction(dir, model.reconstruction(), &blob)?;
            known &= subject.expect_made_from(GraphKind::Policy, dir, meta)?;
        }
        let data = Dataset::open(&self.data)?;
        data.expect_masks("`kscout verify`, which compares Dice,")?;
        let policy = policy.as_ref().map(|(policy, _)| policy);
        let originals = Originals { segmenter: &segmenter, policy, device: &device };
        let options = VerifyOptions {
            split: self.split,
            budgets: self.budgets,
            limit: self.limit,
            protocol: self.measuring.protocol,
            seed: self.measuring.seed,
        };
        let slices = self.slice_policy.as_deref();
        let slices = slices.map(|dir| subject.load_slices(dir, &device)).transpose()?;
        known &= slices.as_ref().is_none_or(|(_, known)| *known);
        let report = verify(&model, &originals, &data, &options).map_err(|error| format!("{blob}: {error}"))?;
        let volumes = limited(&data, &options);
        let compare = |(policy, _)| compare_slices(&policy, &model, &volumes, &options, &device);
        let slices = slices.map(compare).transpose()?.unwrap_or_default();
        let limits = Limits { dice: self.tolerance, pixels: self.pixels, choices: self.choices };
        let checks = checks(&report, &slices, &limits);
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&Outcome { report: &report, slices: &slices, checks: &checks })?
            );
        } else {
            let lines = match (model.policy(), fixed_order(&model)) {
                (None, _) => "centre-out".to_owned(),
                (Some(_), None) => "the file's policy".to_owned(),
                (Some(_), Some(order)) => format!("the file's policy, {order}"),
            };
            print!("{}", text(&report, &lines));
            if !slices.is_empty() {
                print!("\n{}", slices_text(&slices, volumes.len()));
            }
            print!("\n{}", limits::table(&checks).to_text());
        }
        let graphs = [
            OfPolicy { name: "line policy", in_file: model.policy().is_some(), is_given: self.line_policy.is_some() },
            OfPolicy {
                name: "slice policy",
                in_file: model.slice_policy().is_some(),
                is_given: self.slice_policy.is_some(),
            },
        ];
        for note in not_compared(graphs) {
            eprintln!("note: {note}");
        }
        verdict(&report, &checks, known).map_err(|reason| format!("{blob}: {reason}").into())
    }
}

/// A policy that a file may have.
struct OfPolicy {
    name: &'static str,
    /// Whether the file has it.
    in_file: bool,
    /// Whether its checkpoint is given.
    is_given: bool,
}

/// Which of the policies nothing is said of.
fn not_compared(policies: [OfPolicy; 2]) -> Vec<String> {
    let missed = policies.into_iter().filter(|policy| policy.in_file && !policy.is_given);
    let note =
        |OfPolicy { name, .. }| format!("the file's {name} was not compared; give --{} DIR", name.replace(' ', "-"));
    missed.map(note).collect()
}

/// What is printed for programs.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    report: &'a VerifyReport,
    /// The slice policy's choices, where they were compared.
    slices: &'a [Agreement],
    /// What has a bar, against it.
    checks: &'a [Check],
}

/// A share, or a difference of Dice.
fn from_0_to_1(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// The file that is verified.
#[derive(Clone, Copy)]
struct Subject<'a> {
    model: &'a Model<'a>,
    name: &'a str,
}

impl Subject<'_> {
    /// Refuses the checkpoint in `dir` unless the file's graph was made from its weights; false, and a note, where the file does
    /// not say what it was made from.
    fn expect_made_from(self, kind: GraphKind, dir: &Path, meta: &Meta) -> Result<bool, Failure> {
        let Self { model, name } = self;
        if model.graphs().all(|graph| graph.kind() != kind) {
            // That is refused elsewhere.
            return Ok(true);
        }
        let Some(expected) = model.weights_hash(kind).map(WeightsHash::from) else {
            eprintln!(
                "note: {name} does not say which weights its {kind} was made from; export it anew to have that checked"
            );
            return Ok(false);
        };
        let dir = dir.display();
        match meta.weights_hash {
            Some(found) if found != expected => Err(format!(
                "{dir}: not the checkpoint that the {kind} in {name} was made from: its weights have the hash {found}, the \
                 {kind}'s had {expected}; give that checkpoint (a run's `best` and `last` differ), or export this one"
            )
            .into()),
            _ => Ok(true),
        }
    }

    /// The slice policy in the checkpoint `dir`, and whether it is known to be the file's.
    fn load_slices(self, dir: &Path, device: &Device) -> Result<(SlicePolicy, bool), Failure> {
        let Self { model, name } = self;
        if model.slice_policy().is_none() {
            return Err(format!("{name}: holds no slice policy; leave --slice-policy out").into());
        }
        let (policy, meta) = load_slice_policy(dir, device)?;
        expect_size(dir, [meta.height, meta.width], [model.height(), model.width()], "the file")?;
        if !model.line_order().eq(meta.slice_policy(dir)?.line_order.iter().copied()) {
            return Err(format!(
                "{}: its policy was trained with lines in another order than the file measures them; export it again",
                dir.display()
            )
            .into());
        }
        let known = self.expect_made_from(GraphKind::SlicePolicy, dir, &meta)?;
        Ok((policy, known))
    }
}

/// How far the file's slice policy chooses as `policy` does in `volumes`, at each number of lines.
fn compare_slices(
    policy: &SlicePolicy,
    model: &Model<'_>,
    volumes: &[Volume<'_>],
    options: &VerifyOptions,
    device: &Device,
) -> Result<Vec<Agreement>, Failure> {
    let graph = model.slice_policy().ok_or("the file holds no slice policy; leave --slice-policy out")?;
    let measured = |volume| MeasuredVolume::new(volume, &options.protocol, options.seed);
    let volumes: Vec<_> = volumes.iter().map(measured).collect();
    let hearts = follow(model, &volumes, Course::dice(&line_order(model).collect::<Vec<u16>>()))?;
    let at = |&budget: &usize| Agreement::of(policy, &InInt8 { graph }, &hearts, budget, device);
    Ok(options.budgets.iter().map(at).collect())
}

fn slices_text(slices: &[Agreement], volumes: usize) -> String {
    let titles = ["lines on average", "slices chosen", "the same", "f32 Dice", "int8 Dice"];
    let mut table = Table::new(titles.map(|title| (title, Align::Right)));
    for found in slices {
        table.push([
            found.budget.to_string(),
            found.decisions.to_string(),
            share(found.equal, found.decisions),
            format!("{:.4}", found.float_dice),
            format!("{:.4}", found.int8_dice),
        ]);
    }
    let volumes = if volumes == 1 { "1 whole volume".to_owned() } else { format!("{volumes} whole volumes") };
    format!(
        "The slice policy, over {volumes}: how often f32 would have chosen the same slice for the next line, and the\n\
         Dice where each goes its own way (int8 segmentations both).\n{}",
        table.to_text()
    )
}

fn text(report: &VerifyReport, lines: &str) -> String {
    let chosen = report.budgets.iter().any(|budget| budget.decisions > 0);
    let mut text = format!(
        "{} slices, each scanned with lines by {lines}. f32: the checkpoint's networks; int8: the\n\
         file's, in integers of 8 bits, as a device runs them. Both look at the same images.\n\n{}\n\
         Dice: mean 3-D Dice of RV, MYO and LV. same class: pixels that both give the same class. logits: the segmenter's\n\
         ratings of the classes, of which the largest wins; how far the two are apart, on average and at most.\n",
        report.slices,
        table(&report.budgets).to_text()
    );
    if chosen {
        text += "same line: lines that f32 would have chosen too. rated lower: how much lower, at most, f32 rates a line that it\n\
                 would not have chosen than its own, in the policy's ratings of lines.\n";
    }
    let there = |budget: &BudgetReport| budget.dice_float.map(|dice| dice.is_some());
    if let Some(note) = Occurring::of(report.budgets.iter().map(there)).note() {
        text += &format!("note: {note}\n");
    }
    match &report.kernel_difference {
        None => {
            text += &format!(
                "plain and fast int8 kernels: equal in every bit (scans compared: {})\n",
                report.kernel_slices
            );
        }
        Some(place) => text += &format!("plain and fast int8 kernels DIFFER at {place}\n"),
    }
    let digest = &report.digest;
    let (slice, budget, digest) = (&digest.slice, digest.budget, &digest.digest);
    text + &format!(
        "digest of {slice} at {budget} lines: {digest} (the same on every machine that scans it with this file)\n"
    )
}

fn table(budgets: &[BudgetReport]) -> Table {
    let titles =
        ["lines", "f32 Dice", "int8 Dice", "difference", "same class", "logits", "at most", "same line", "rated lower"];
    let mut table = Table::new(titles.map(|title| (title, Align::Right)));
    for budget in budgets {
        table.push([
            budget.budget.to_string(),
            format!("{:.4}", budget.mean_float()),
            format!("{:.4}", budget.mean_int8()),
            format!("{:+.4}", -budget.loss()),
            format!("{:.3} %", 100.0 * budget.classes_equal),
            format!("{:.3}", budget.logits_mean),
            format!("{:.3}", budget.logits_largest),
            share(budget.decisions_equal, budget.decisions),
            if budget.decisions == 0 { "-".to_owned() } else { format!("{:.3}", budget.decisions_below) },
        ]);
    }
    table
}

fn share(part: usize, all: usize) -> String {
    match all {
        0 => "-".to_owned(),
        _ => format!("{:.2} %", 100.0 * part as f64 / all as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::phantom::{self, PhantomOptions};
    use crate::mri::Protocol;

    #[test]
    fn volumes_are_whole_until_so_many_slices_are_reached() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().join("data");
        let options = PhantomOptions { patients: 2, seed: 3, size: 64, ..PhantomOptions::default() };
        phantom::make(&folder, &options, &()).unwrap();
        let data = Dataset::open(&folder).unwrap();
        let (split, protocol) = (Split::Train, Protocol::igs());
        let with = |limit| limited(&data, &VerifyOptions { split, budgets: vec![8], limit, protocol, seed: 1 });
        let all = with(None);
        let first = all[0].slices.len();
        assert!(all.len() > 2 && first > 1);
        for (limit, expected) in [(1, 1), (first, 1), (first + 1, 2), (usize::MAX, all.len())] {
            let volumes = with(Some(limit));
            assert_eq!(volumes.len(), expected, "{limit}");
            assert!(volumes.iter().zip(&all).all(|(volume, same)| volume.slices.len() == same.slices.len()), "{limit}");
        }
    }

    #[test]
    fn a_policy_that_is_not_looked_at_is_said_to_be() {
        let of = |name, in_file, is_given| OfPolicy { name, in_file, is_given };
        let said = |line, slice| not_compared([of("line policy", line, false), of("slice policy", slice, false)]);
        assert_eq!(
            said(true, true),
            [
                "the file's line policy was not compared; give --line-policy DIR",
                "the file's slice policy was not compared; give --slice-policy DIR"
            ]
        );
        assert_eq!((said(false, false).len(), said(true, false).len()), (0, 1));
        assert!(not_compared([of("line policy", true, true), of("slice policy", false, false)]).is_empty());
    }

    #[test]
    fn the_slice_policys_volumes_are_counted() {
        let of = |volumes| slices_text(&[], volumes);
        assert!(of(1).starts_with("The slice policy, over 1 whole volume: "), "{}", of(1));
        assert!(of(20).starts_with("The slice policy, over 20 whole volumes: "), "{}", of(20));
    }

    #[test]
    fn limits_are_numbers_from_0_to_1_and_nothing_else_is() {
        assert_eq!(["0", "0.25", "1", "1e-3"].map(from_0_to_1), [Ok(0.0), Ok(0.25), Ok(1.0), Ok(0.001)]);
        for text in ["nan", "-nan", "inf", "-inf", "infinity", "-0.1", "1.01", "1e308", "", "a", "0,5"] {
            assert!(from_0_to_1(text).is_err(), "{text}");
        }
    }
}
