//! `--sweep`: one training for each combination of values of some keys: seeds, folds, or whatever is to be compared.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::shard::{Inputs, ShardArgs, Work};
use crate::eval::csv::{Cell, Csv};
use crate::io::lock::Locks;
use crate::shard::interleaved;
use crate::train::Trained;

/// The table of a sweep, in its folder.
pub const TABLE: &str = "sweep.csv";

/// `--sweep` and `--shard`.
#[derive(Args, Clone, Debug, Default)]
pub struct SweepArgs {
    /// Train once for each value of a key, such as `--sweep seed=1,2,3` or `--set folds=5 --sweep fold=1,2,3,4,5`; given
    /// several times, with other keys, once for each combination. --out is then the folder of the runs, each in a folder named
    /// by its values, and of `sweep.csv`, which lists their scores. --shard divides the runs among processes.
    #[arg(long = "sweep", value_name = "KEY=V1,V2,...")]
    keys: Vec<Values>,
    #[command(flatten)]
    shard: ShardArgs,
}

/// A key and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    key: String,
    values: Vec<String>,
}

impl FromStr for Values {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected KEY=V1,V2,..., such as seed=1,2,3";
        let (key, values) = text.split_once('=').ok_or(expected)?;
        let values: Vec<String> = split(values).into_iter().map(|value| value.trim().to_owned()).collect();
        if key.is_empty() || values.iter().any(String::is_empty) {
            return Err(expected.into());
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// `text` at its commas, but for those within brackets or quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut parts) = (0, false, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// What came of a run: a row of the table.
#[derive(Serialize, Deserialize)]
struct Row {
    folder: String,
    values: Vec<(String, String)>,
    step: usize,
    score: Option<f64>,
}

impl SweepArgs {
    /// Whether there is more than one run to make.
    pub fn is_asked(&self) -> Result<bool, Failure> {
        if self.keys.is_empty() && self.shard.work() != Work::Whole {
            return Err("--shard: deals out the runs of a sweep; give --sweep KEY=V1,V2,...".into());
        }
        Ok(!self.keys.is_empty())
    }

    /// Makes the runs, or those of this shard: `check` is given the assignments of keys of each, `train` its folder too.
    pub fn run(
        &self,
        out: &Path,
        inputs: Inputs,
        check: impl Fn(Vec<String>) -> Result<(), Failure>,
        mut train: impl FnMut(PathBuf, Vec<String>) -> Result<Trained, Failure>,
    ) -> Result<(), Failure> {
        let (runs, work) = (self.runs()?, self.shard.work());
        let assigned =
            |values: &[(String, String)]| values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        // What is wrong with the last run is told before the first.
        runs.iter().try_for_each(|values| check(assigned(values)))?;
        if work == Work::Merge {
            return write_table(out, interleaved(inputs.read(out)?));
        }
        let mut rows = Vec::new();
        for (_, values) in runs.iter().enumerate().filter(|&(place, _)| work.takes(place)) {
            let folder = name(values);
            let path = out.join(&folder);
            println!("{}:", path.display());
            let _locks = Locks::of([path.as_path()])?;
            let Trained { meta, .. } = train(path, assigned(values))?;
            rows.push(Row { folder, values: values.clone(), step: meta.step, score: meta.score });
        }
        match work {
            Work::Part(shard) => inputs.write(out, shard, rows),
            Work::Whole | Work::Merge => write_table(out, rows),
        }
    }

    /// The values of each run, the last key's running fastest.
    fn runs(&self) -> Result<Vec<Vec<(String, String)>>, Failure> {
        let mut keys = HashSet::new();
        if let Some(twice) = self.keys.iter().find(|values| !keys.insert(&values.key)) {
            let key = &twice.key;
            return Err(format!("--sweep {key}: given twice; give all its values at once, such as {key}=1,2,3").into());
        }
        let mut runs = vec![Vec::new()];
        for Values { key, values } in &self.keys {
            let with = |run: &Vec<(String, String)>| {
                values.iter().map(|value| [&run[..], &[(key.clone(), value.clone())]].concat()).collect::<Vec<_>>()
            };
            runs = runs.iter().flat_map(with).collect();
        }
        let mut names = HashSet::new();
        match runs.iter().map(|run| name(run)).find(|name| !names.insert(name.clone())) {
            Some(name) => Err(format!("--sweep: two runs would be called {name}; give each value once").into()),
            None => Ok(runs),
        }
    }
}

/// The folder of a run.
fn name(values: &[(String, String)]) -> String {
    let name = values.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    name.chars().map(|c| if c.is_alphanumeric() || "=,.-_+".contains(c) { c } else { '-' }).collect()
}

fn write_table(out: &Path, rows: Vec<Row>) -> Result<(), Failure> {
    let mut csv = Csv::new();
    for row in rows {
        let values = row.values.into_iter().map(|(key, value)| (key, Cell::from(value)));
        let own = [
            ("step".into(), row.step.into()),
            ("score".into(), row.score.into()),
            ("folder".into(), row.folder.into()),
        ];
        let cells: Vec<(String, Cell)> = values.chain(own).collect();
        csv.push(cells.iter().map(|(name, cell)| (name.as_str(), cell.clone())))?;
    }
    let path = out.join(TABLE);
    csv.write(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: the runs and their scores", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(keys: &[&str]) -> SweepArgs {
        SweepArgs { keys: keys.iter().map(|key| key.parse().unwrap()).collect(), shard: ShardArgs::default() }
    }

    #[test]
    fn every_combination_is_a_run_with_a_folder_of_its_own() {
        let names = |keys: &[&str]| sweep(keys).runs().unwrap().iter().map(|run| name(run)).collect::<Vec<_>>();
        assert_eq!(names(&["seed=1, 2,3"]), ["seed=1", "seed=2", "seed=3"]);
        assert_eq!(
            names(&["fold=1,2", "seed=7,8"]),
            ["fold=1,seed=7", "fold=1,seed=8", "fold=2,seed=7", "fold=2,seed=8"]
        );
        assert_eq!(names(&["validate_lines=[8,16],[32]"]), ["validate_lines=-8,16-", "validate_lines=-32-"]);
        assert_eq!(names(&["network=\"unet\",\"unext\""]), ["network=-unet-", "network=-unext-"]);
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        for text in ["seed", "=1,2", "seed=", "seed=1,,2"] {
            assert!(text.parse::<Values>().unwrap_err().contains("expected KEY=V1,V2"), "{text}");
        }
        assert!(sweep(&["seed=1", "seed=2"]).runs().unwrap_err().to_string().contains("--sweep seed: given twice"));
        assert!(sweep(&["seed=1,1"]).runs().unwrap_err().to_string().contains("seed=1; give each value once"));
    }
}
