//! `kscout compare`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;

use super::Failure;
use crate::eval::stats::{Bootstrap, Sample, bootstrap_mean, paired_difference};
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
    /// Write the table as Markdown too
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
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
}

/// Mean Dice of volumes, by budget.
type Scores = BTreeMap<usize, Vec<Sample<String>>>;

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
                scores.entry(row.lines_per_slice).or_default().push(Sample::new(row.patient, mean));
            }
        }
        if scores.is_empty() {
            return Err(format!("{}: no volumes of method `{}`", path.display(), self.method).into());
        }
        Ok(scores)
    }
}

impl CompareArgs {
    /// Compares.
    pub fn run(self) -> Result<(), Failure> {
        let columns = ["first", "Dice", "second", "Dice", "difference", "better", "worse"];
        let align = |(place, title): (usize, &str)| {
            (title.to_owned(), [Align::Right, Align::Left][usize::from(place % 2 == 0 && place < 4)])
        };
        let head =
            std::iter::once(("lines".to_owned(), Align::Right)).chain(columns.into_iter().enumerate().map(align));
        let mut table = Table::new(head);
        let bootstrap = Bootstrap::default();
        let mut any = false;
        for second in &self.with {
            let others = second.scores()?;
            for first in &self.first {
                for (lines, own) in first.scores()? {
                    let Some(other) = others.get(&lines) else { continue };
                    let found = paired_difference(&own, other, &bootstrap)?;
                    any = true;
                    if found.unpaired > 0 {
                        eprintln!(
                            "note: {} and {}: {} patients in one only, left out of the difference",
                            first.name(),
                            second.name(),
                            found.unpaired
                        );
                    }
                    table.push([
                        lines.to_string(),
                        first.name(),
                        format!("{:.4}", bootstrap_mean(&own, &bootstrap)?.mean),
                        second.name(),
                        format!("{:.4}", bootstrap_mean(other, &bootstrap)?.mean),
                        format!(
                            "{:+.4} [{:+.4}, {:+.4}]",
                            found.difference.mean, found.difference.low, found.difference.high
                        ),
                        found.better.to_string(),
                        found.worse.to_string(),
                    ]);
                }
            }
        }
        if !any {
            return Err("no budget in common: evaluate both with the same --budgets".into());
        }
        print!("{}", table.to_text());
        self.out.as_deref().map_or(Ok(()), |path| write(path, &table))
    }
}

fn write(path: &Path, table: &Table) -> Result<(), Failure> {
    crate::eval::atomic::write_atomically(path, table.to_markdown().as_bytes())
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
