//! `kscout compare`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use image::RgbImage;
use serde::Deserialize;

use super::Failure;
use crate::eval::canvas::write_png;
use crate::eval::plot::{ScorePlot, Series, score_plot, trade_plot};
use crate::eval::stats::{Bootstrap, Estimate, Sample, bootstrap_mean, paired_difference};
use crate::eval::table::{Align, Table};

/// `kscout compare`.
#[derive(Args)]
#[command(
    after_help = "Each method may have been evaluated with a segmenter of its own. Example:\n  kscout compare runs/eval-policy:policy --with runs/eval-centre:centre-out --with runs/eval-mask:learned-mask\n\nDifferences are paired by patient, with 95 % intervals (bootstrap over patients)."
)]
pub struct CompareArgs {
    /// What is compared: the folder of a `kscout eval`, and a method of it; several are runs of other seeds
    #[arg(value_name = "DIR:METHOD", required = true)]
    first: Vec<Evaluated>,
    /// What it is compared with, in the same form; may be given many times
    #[arg(long, value_name = "DIR:METHOD", required = true)]
    with: Vec<Evaluated>,
    /// Write the tables as Markdown too
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// Draw Dice against lines, a curve a method
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Draw Dice against SSIM, a curve a number of lines through all methods, and print both
    #[arg(long, value_name = "FILE.png")]
    trade: Option<PathBuf>,
}

/// A method of an evaluation.
#[derive(Clone, Debug, PartialEq)]
struct Evaluated {
    dir: PathBuf,
    method: String,
}

impl FromStr for Evaluated {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((dir, method)) if !dir.is_empty() && !method.is_empty() => {
                Ok(Self { dir: dir.into(), method: method.into() })
            }
            _ => Err(format!("`{text}` is no DIR:METHOD, such as runs/eval:centre-out")),
        }
    }
}

/// What is read of a row.
#[derive(Deserialize)]
struct Row {
    method: String,
    lines_per_slice: usize,
    patient: String,
    dice_rv: Option<f64>,
    dice_myo: Option<f64>,
    dice_lv: Option<f64>,
    ssim: f64,
}

/// The volumes of a method at one budget.
#[derive(Default)]
struct Volumes {
    /// Mean Dice of the structures.
    dice: Vec<Sample<String>>,
    /// Mean SSIM of the slices.
    ssim: Vec<Sample<String>>,
}

/// Volumes by budget.
type Scores = BTreeMap<usize, Volumes>;

impl Evaluated {
    fn name(&self) -> String {
        format!("{}:{}", self.dir.display(), self.method)
    }

    fn scores(&self) -> Result<Scores, Failure> {
        let path = self.dir.join("results.csv");
        let refused = |error: csv::Error| format!("{}: {error}; give the folder of a `kscout eval`", path.display());
        let mut scores = Scores::new();
        for row in csv::Reader::from_path(&path).map_err(refused)?.deserialize() {
            let row: Row = row.map_err(refused)?;
            let dice: Vec<f64> = [row.dice_rv, row.dice_myo, row.dice_lv].into_iter().flatten().collect();
            if row.method == self.method && !dice.is_empty() {
                let mean = dice.iter().sum::<f64>() / dice.len() as f64;
                let volumes = scores.entry(row.lines_per_slice).or_default();
                volumes.ssim.push(Sample::new(row.patient.clone(), row.ssim));
                volumes.dice.push(Sample::new(row.patient, mean));
            }
        }
        if scores.is_empty() {
            return Err(format!("{}: no volumes of method `{}`", path.display(), self.method).into());
        }
        Ok(scores)
    }
}

/// A method and what was read of it.
struct Read {
    name: String,
    /// The name in pictures: the folder's own, without those that it lies in.
    short: String,
    scores: Scores,
}

impl Read {
    fn new(evaluated: &Evaluated) -> Result<Self, Failure> {
        let folder = evaluated.dir.file_name().unwrap_or_default().to_string_lossy();
        let short = format!("{folder}:{}", evaluated.method);
        Ok(Self { name: evaluated.name(), short, scores: evaluated.scores()? })
    }
}

impl CompareArgs {
    /// Compares.
    pub fn run(self) -> Result<(), Failure> {
        let read = |methods: &[Evaluated]| methods.iter().map(Read::new).collect::<Result<Vec<_>, _>>();
        let (firsts, seconds) = (read(&self.first)?, read(&self.with)?);
        let mut tables = vec![differences(&firsts, &seconds)?];
        let all: Vec<&Read> = firsts.iter().chain(&seconds).collect();
        if let Some(path) = &self.plot {
            let series = all.iter().map(|read| against_lines(read)).collect::<Result<Vec<_>, _>>()?;
            let (x_label, y_label) = ("lines measured, a slice", "mean 3-D Dice, 95 % interval");
            let title = "Segmentation against scan length";
            let plot = ScorePlot { title, x_label, y_label, x_digits: 0, series: &series, full: None };
            save(path, &score_plot(&plot))?;
        }
        if let Some(path) = &self.trade {
            tables.push(both_scores(&all)?);
            save(path, &trade_plot("What reconstruction and segmentation cost each other", &trades(&all)?))?;
        }
        let text: Vec<String> = tables.iter().map(Table::to_text).collect();
        print!("{}", text.join("\n"));
        let markdown: Vec<String> = tables.iter().map(Table::to_markdown).collect();
        self.out.as_deref().map_or(Ok(()), |path| write(path, &markdown.join("\n")))
    }
}

/// Each of `firsts` against each of `seconds`, at the budgets that both have.
fn differences(firsts: &[Read], seconds: &[Read]) -> Result<Table, Failure> {
    let columns = ["first", "Dice", "second", "Dice", "difference", "better", "worse"];
    let align = |(place, title): (usize, &str)| {
        (title.to_owned(), [Align::Right, Align::Left][usize::from(place % 2 == 0 && place < 4)])
    };
    let head = std::iter::once(("lines".to_owned(), Align::Right)).chain(columns.into_iter().enumerate().map(align));
    let mut table = Table::new(head);
    let mut any = false;
    for second in seconds {
        for first in firsts {
            for (lines, own) in &first.scores {
                let Some(other) = second.scores.get(lines) else { continue };
                table.push(difference(*lines, (first, &own.dice), (second, &other.dice))?);
                any = true;
            }
        }
    }
    if !any {
        return Err("no budget in common: evaluate both with the same --budgets".into());
    }
    Ok(table)
}

/// A row: what a method has over another, by patient.
fn difference(
    lines: usize,
    (first, own): (&Read, &[Sample<String>]),
    (second, other): (&Read, &[Sample<String>]),
) -> Result<[String; 8], Failure> {
    let bootstrap = Bootstrap::default();
    let found = paired_difference(own, other, &bootstrap)?;
    if found.unpaired > 0 {
        let (first, second, unpaired) = (&first.name, &second.name, found.unpaired);
        eprintln!("note: {first} and {second}: {unpaired} patients in one only, left out of the difference");
    }
    let mean = |samples| -> Result<String, Failure> { Ok(format!("{:.4}", bootstrap_mean(samples, &bootstrap)?.mean)) };
    let Estimate { mean: gain, low, high, .. } = found.difference;
    Ok([
        lines.to_string(),
        first.name.clone(),
        mean(own)?,
        second.name.clone(),
        mean(other)?,
        format!("{gain:+.4} [{low:+.4}, {high:+.4}]"),
        found.better.to_string(),
        found.worse.to_string(),
    ])
}

/// Budgets that every method has.
fn common(all: &[&Read]) -> Vec<usize> {
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let shared = |lines: &&usize| others.iter().all(|read| read.scores.contains_key(lines));
    first.scores.keys().filter(shared).copied().collect()
}

/// SSIM and Dice of every method.
fn both_scores(all: &[&Read]) -> Result<Table, Failure> {
    let columns = [("lines", Align::Right), ("method", Align::Left), ("SSIM", Align::Right), ("Dice", Align::Right)];
    let mut table = Table::new(columns.map(|(title, align)| (title.to_owned(), align)));
    let bootstrap = Bootstrap::default();
    let shared = common(all);
    if shared.is_empty() {
        return Err("--trade: no budget that all methods have; evaluate all with the same --budgets".into());
    }
    for lines in shared {
        for read in all {
            let volumes = &read.scores[&lines];
            let (ssim, dice) = (bootstrap_mean(&volumes.ssim, &bootstrap)?, bootstrap_mean(&volumes.dice, &bootstrap)?);
            table.push([
                lines.to_string(),
                read.name.clone(),
                format!("{:.4}", ssim.mean),
                format!("{:.4}", dice.mean),
            ]);
        }
    }
    Ok(table)
}

/// Dice against lines.
fn against_lines(read: &Read) -> Result<Series, Failure> {
    let bootstrap = Bootstrap::default();
    let point = |(&lines, volumes): (&usize, &Volumes)| -> Result<(f64, Estimate), Failure> {
        Ok((lines as f64, bootstrap_mean(&volumes.dice, &bootstrap)?))
    };
    Ok(Series { name: read.short.clone(), points: read.scores.iter().map(point).collect::<Result<_, _>>()? })
}

/// Dice against SSIM, a series a budget, through the methods by their SSIM.
fn trades(all: &[&Read]) -> Result<Vec<Series>, Failure> {
    let bootstrap = Bootstrap::default();
    let series = |lines: usize| -> Result<Series, Failure> {
        let mut points = Vec::new();
        for read in all {
            let volumes = &read.scores[&lines];
            points.push((bootstrap_mean(&volumes.ssim, &bootstrap)?.mean, bootstrap_mean(&volumes.dice, &bootstrap)?));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Series { name: format!("{lines} lines"), points })
    };
    common(all).into_iter().map(series).collect()
}

fn save(path: &Path, picture: &RgbImage) -> Result<(), Failure> {
    write_png(path, picture).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    crate::eval::atomic::write_atomically(path, text.as_bytes())
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_an_evaluation_is_named_by_folder_and_name() {
        let named: Evaluated = "runs/eval:centre-out".parse().unwrap();
        assert_eq!(named, Evaluated { dir: "runs/eval".into(), method: "centre-out".into() });
        for text in ["runs/eval", ":policy", "runs/eval:"] {
            assert!(text.parse::<Evaluated>().unwrap_err().contains("DIR:METHOD"), "{text}");
        }
    }
}
