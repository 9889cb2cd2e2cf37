//! `kscout compare`.

mod notes;
mod read;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;

use super::{Failure, expect_no_input};
use crate::eval::stops::{fewest_lines, fewest_lines_of_hearts};
use crate::eval::table::{Align, Table};
use crate::figures::canvas::write_png;
use crate::figures::plot::{ScorePlot, Series, score_plot, trade_plot};
use crate::io::lock::Locks;
use crate::metrics::stats::{Bootstrap, Estimate, Way, paired_difference, share_of_the_way};
use read::{Evaluated, Lines, Read, Scored, Shared, Volumes};
use verdict::verdict;

/// `kscout compare`.
#[derive(Args)]
#[command(
    after_help = "Each method may have been evaluated with a segmenter of its own. Examples:\n  kscout compare runs/eval-policy:policy --with runs/eval-centre:centre-out --with runs/eval-mask:learned-mask\n  kscout compare runs/eval-policy:policy --with runs/eval-centre:centre-out --ceiling runs/eval-centre:allocation-oracle\n  kscout compare runs/eval-policy:policy --stops\n  kscout compare runs/seed1,runs/seed2:policy --with runs/seed1,runs/seed2:centre-out\n\nFolders that stand together are evaluations of the same volumes, with other seeds or of files that were trained anew, and an evaluation with --draws N is as many: the chance of phase, noise and training counts less so. Differences are paired by patient, over the volumes that both have, with 95 % intervals (bootstrap over patients)."
)]
pub struct CompareArgs {
    /// What is compared: the folder of a `kscout eval`, or several with commas in between, and a method of it; given several
    /// times, policies of other seeds
    #[arg(value_name = "DIR[,DIR]:METHOD")]
    first: Vec<Evaluated>,
    /// What it is compared with, in the same form; may be given many times
    #[arg(long, value_name = "DIR[,DIR]:METHOD")]
    with: Vec<Evaluated>,
    /// Also report how much of the gap in Dice between each --with and this method, such as an oracle, the compared method closes;
    /// `-` where this method is not clearly above
    #[arg(long, value_name = "DIR[,DIR]:METHOD", requires = "with")]
    ceiling: Option<Evaluated>,
    /// Write the tables as Markdown too; like the pictures, the file is replaced whole
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// Draw Dice against lines, a curve a method
    #[arg(long, value_name = "FILE.png")]
    plot: Option<PathBuf>,
    /// Draw Dice against SSIM, a curve a number of lines through all methods, which are numbered, and print both
    #[arg(long, value_name = "FILE.png")]
    trade: Option<PathBuf>,
    /// Report with how few lines the Dice of each number of lines could be kept if it were known beforehand where the scan of
    /// each volume should end, at one of the numbers of lines that were evaluated; for evaluations with --draws also, as an
    /// estimate, if only the same volume's other draws were known. For evaluations without --least-gain
    #[arg(long)]
    stops: bool,
}

impl CompareArgs {
    /// Compares.
    pub fn run(self) -> Result<(), Failure> {
        self.expect_methods()?;
        let written = [&self.out, &self.plot, &self.trade];
        let read: Vec<PathBuf> =
            self.first.iter().chain(&self.with).chain(&self.ceiling).flat_map(Evaluated::files).collect();
        let inputs: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
        for (option, out) in ["--out", "--plot", "--trade"].into_iter().zip(written) {
            out.as_ref().map_or(Ok(()), |out| expect_no_input(option, out, &inputs))?;
        }
        let _locks = Locks::of(written.into_iter().flatten().map(PathBuf::as_path))?;
        let mut named: Vec<&Evaluated> = self.first.iter().chain(&self.with).collect();
        let compared = named.len();
        named.extend(self.ceiling.as_ref().filter(|ceiling| !named.contains(ceiling)));
        let read = read::read(&named)?;
        let all = &read[..compared];
        let (firsts, seconds) = all.split_at(self.first.len());
        let mut tables = Vec::new();
        if !seconds.is_empty() {
            tables.push(dice_by_lines(&read));
            tables.push(differences(firsts, seconds)?);
        }
        if let Some(to) = named.iter().position(|name| Some(*name) == self.ceiling.as_ref()) {
            let from: Vec<&Read> =
                (firsts.len()..compared).filter(|&with| with != to).map(|with| &read[with]).collect();
            if from.is_empty() {
                return Err("--ceiling: is the only --with; give one more, from which the gap is measured".into());
            }
            tables.push(ways(firsts, &from, &read[to])?);
        }
        if let Some(path) = &self.plot {
            save(path, &dice_plot(all))?;
        }
        if let Some(path) = &self.trade {
            let shared = common(all)?;
            tables.push(both_scores(all, &shared));
            save(path, &traded(all, &shared))?;
        }
        if self.stops {
            tables.push(earliest(all)?);
        }
        let text: Vec<String> = tables.iter().map(Table::to_text).collect();
        let markdown: Vec<String> = tables.iter().map(Table::to_markdown).collect();
        let verdicts = firsts.iter().map(|first| verdict(first, seconds)).collect::<Result<Vec<_>, _>>()?;
        let mut notes = notes::of(&self, firsts, &read);
        notes.extend(verdicts.into_iter().flatten());
        println!("{}\n{}", text.join("\n"), notes.join("\n"));
        let page = format!("{}\n{}\n", markdown.join("\n"), notes.join("\n\n"));
        self.out.as_deref().map_or(Ok(()), |path| write(path, &page))
    }

    /// Refuses too little to compare, and says what there is.
    fn expect_methods(&self) -> Result<(), Failure> {
        let Some(first) = self.first.first() else {
            return Err("nothing to compare: give the folder of a `kscout eval` and a method of it, and with --with another, such as \
                        kscout compare runs/eval:policy --with runs/eval:centre-out; a folder alone lists its methods, and --help \
                        says more"
                .into());
        };
        if self.with.is_empty() && !self.stops {
            return Err(format!("--with is missing: the method to compare with{}", first.others()).into());
        }
        Ok(())
    }
}

/// Reads what the evaluation in `dir` says of `method`, as `compare` does; gives the number of rows.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn read_results(dir: &Path, method: &str) -> Result<usize, Failure> {
    let one: Evaluated = format!("{}:{method}", dir.display()).parse()?;
    Ok(read::read(&[&one])?.len())
}

/// Mean Dice of every method, a column a number of lines.
fn dice_by_lines(all: &[Read]) -> Table {
    let budgets: BTreeSet<usize> = all.iter().flat_map(|read| read.scores.keys().copied()).collect();
    let head = budgets.iter().map(|lines| (format!("{lines} lines"), Align::Right));
    let mut table = Table::new(std::iter::once(("Dice".to_owned(), Align::Left)).chain(head));
    for read in all {
        let dice = |lines| read.scores.get(lines).map_or(String::new(), |found| format!("{:.4}", found.dice.mean));
        table.push(std::iter::once(read.name.clone()).chain(budgets.iter().map(dice)));
    }
    table
}

/// Each of `firsts` against each of `seconds`, at the budgets that both have.
fn differences(firsts: &[Read], seconds: &[Read]) -> Result<Table, Failure> {
    let columns = ["method", "Dice", "compared with", "Dice", "difference", "better", "worse"];
    let align = |(place, title): (usize, &str)| {
        (title.to_owned(), [Align::Right, Align::Left][usize::from(place % 2 == 0 && place < 4)])
    };
    let head = std::iter::once(("lines".to_owned(), Align::Right)).chain(columns.into_iter().enumerate().map(align));
    let mut table = Table::new(head);
    let mut any = false;
    for second in seconds {
        for first in firsts {
            if first.draws != second.draws {
                let (first, second, [own, other]) = (&first.name, &second.name, [first.draws, second.draws]);
                eprintln!("note: {first} is a mean of {own} draws of phase and noise, {second} of {other}");
            }
            for (lines, own) in &first.scores {
                let Some(other) = second.at(*lines) else { continue };
                table.push(difference(*lines, Scored { read: first, volumes: own }, other)?);
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
fn difference(lines: usize, own: Scored<'_>, other: Scored<'_>) -> Result<[String; 8], Failure> {
    let shared = Shared::of([own.volumes, other.volumes]);
    let names = format!("{} and {}", own.read.name, other.read.name);
    if shared.patients() == 0 {
        return Err(format!("{names}: no volume in common at {lines} lines; evaluate both on the same volumes").into());
    }
    if shared.left_out > 0 {
        let volumes = number_of(shared.left_out, "volume");
        eprintln!("note: {names}: {volumes} at {lines} lines in one only, left out of the difference");
    }
    let [own_samples, other_samples] = &shared.samples;
    let found = paired_difference(own_samples, other_samples, &Bootstrap::default())?;
    let Estimate { mean: gain, low, high, .. } = found.difference;
    Ok([
        lines.to_string(),
        own.read.name.clone(),
        format!("{:.4}", own.volumes.dice.mean),
        other.read.name.clone(),
        format!("{:.4}", other.volumes.dice.mean),
        format!("{gain:+.4} [{low:+.4}, {high:+.4}]"),
        found.better.to_string(),
        found.worse.to_string(),
    ])
}

/// How much of the gap between each of `seconds` and `ceiling` each of `firsts` closes, at the budgets that all have.
fn ways(firsts: &[Read], seconds: &[&Read], ceiling: &Read) -> Result<Table, Failure> {
    let columns = [("lines", Align::Right), ("method", Align::Left), ("from", Align::Left), ("to", Align::Left)];
    let columns = columns.into_iter().chain([("gap closed", Align::Right)]);
    let mut table = Table::new(columns.map(|(title, align)| (title.to_owned(), align)));
    let mut any = false;
    for second in seconds {
        for first in firsts {
            for (lines, own) in &first.scores {
                let (Some(from), Some(to)) = (second.at(*lines), ceiling.at(*lines)) else { continue };
                let share = way(Scored { read: first, volumes: own }, from, to)?;
                let names = [first, second, ceiling].map(|read| read.name.clone());
                table.push([lines.to_string()].into_iter().chain(names).chain([share]));
                any = true;
            }
        }
    }
    if any {
        Ok(table)
    } else {
        Err(format!("--ceiling {}: no budget in common with what is compared", ceiling.name).into())
    }
}

/// The share in words; none where the ceiling is not clearly above.
fn way(own: Scored<'_>, from: Scored<'_>, to: Scored<'_>) -> Result<String, Failure> {
    let shared = Shared::of([own, from, to].map(|scored| scored.volumes));
    let names = format!("{}, {} and {}", own.read.name, from.read.name, to.read.name);
    if shared.left_out > 0 {
        eprintln!("note: {names}: {} not in all three, left out of the gap", number_of(shared.left_out, "volume"));
    }
    let [own, from, to] = &shared.samples;
    let share = share_of_the_way(own, Way { from, to }, &Bootstrap::default());
    let of = |error| format!("{names}: {error}");
    let Some(Estimate { mean, low, high, .. }) = share.map_err(of)? else { return Ok("-".into()) };
    let [mean, low, high] = [mean, low, high].map(|share| 100.0 * share);
    Ok(format!("{mean:.0} % [{low:.0}, {high:.0}]"))
}

/// `1 volume`, `2 volumes`.
fn number_of(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Budgets that every method has, at least one.
fn common(all: &[Read]) -> Result<Vec<usize>, Failure> {
    let budgets = all.iter().flat_map(|read| read.scores.keys().copied()).collect::<BTreeSet<_>>().into_iter();
    let shared: Vec<usize> = budgets.filter(|lines| all.iter().all(|read| read.scores.contains_key(lines))).collect();
    if shared.is_empty() {
        return Err("--trade: no budget that all methods have; evaluate all with the same --budgets".into());
    }
    Ok(shared)
}

/// SSIM and Dice of every method.
fn both_scores(all: &[Read], budgets: &[usize]) -> Table {
    let columns = [("lines", Align::Right), ("method", Align::Left), ("SSIM", Align::Right), ("Dice", Align::Right)];
    let mut table = Table::new(columns.map(|(title, align)| (title.to_owned(), align)));
    for lines in budgets {
        for read in all {
            let Volumes { dice, ssim, .. } = &read.scores[lines];
            table.push([lines.to_string(), read.name.clone(), format!("{ssim:.4}"), format!("{:.4}", dice.mean)]);
        }
    }
    table
}

/// How early scans could end at no loss.
fn earliest(all: &[Read]) -> Result<Table, Failure> {
    let columns = ["lines", "method", "Dice", "fewest lines", "saved", "from other draws", "saved"];
    let align = |(place, title)| (String::from(title), if place == 1 { Align::Left } else { Align::Right });
    let mut table = Table::new(columns.into_iter().enumerate().map(align));
    for read in all {
        let budgets: Vec<usize> = read.scores.keys().copied().collect();
        let volumes: Vec<&Volumes> = read.scores.values().collect();
        if volumes.iter().any(|other| other.names != volumes[0].names) {
            return Err(format!("{}: not the same volumes were evaluated with every number of lines", read.name).into());
        }
        expect_whole_budgets(read)?;
        for (place, lines) in budgets.iter().enumerate() {
            let budgets = &budgets[..=place];
            let curve = |volume: usize| volumes[..=place].iter().map(|scored| scored.samples[volume].value).collect();
            let curves: Vec<Vec<f64>> = (0..volumes[0].names.len()).map(curve).collect();
            // The draws of a folder are of one file.
            let mut hearts: BTreeMap<(usize, &[String; 2]), Vec<Vec<f64>>> = BTreeMap::new();
            for ((&folder, name), curve) in volumes[0].folders.iter().zip(&volumes[0].names).zip(&curves) {
                hearts.entry((folder, name)).or_default().push(curve.clone());
            }
            let hearts: Vec<_> = hearts.into_values().collect();
            let saved = |fewest: f64| format!("{:.0} %", 100.0 * (1.0 - fewest / *lines as f64));
            let both = |fewest: f64| [format!("{fewest:.1}"), saved(fewest)];
            let row = [lines.to_string(), read.name.clone(), format!("{:.4}", read.scores[lines].dice.mean)];
            let foreseen = both(fewest_lines(budgets, &curves));
            let of_hearts = fewest_lines_of_hearts(budgets, &hearts).map_or_else(Default::default, both);
            table.push(row.into_iter().chain(foreseen).chain(of_hearts));
        }
    }
    Ok(table)
}

/// Refuses scans that ended before their budget.
fn expect_whole_budgets(read: &Read) -> Result<(), Failure> {
    for (lines, volumes) in &read.scores {
        for ([patient, phase], Lines { slices, measured }) in volumes.names.iter().zip(&volumes.lines) {
            let name = &read.name;
            let slices =
                slices.ok_or_else(|| format!("--stops: {name}: does not say how many slices; evaluate again"))?;
            if *measured < lines * slices {
                let budget = lines * slices;
                return Err(format!(
                    "--stops: {name}: the scan of {patient} {phase} ended after {measured} of {budget} lines, by --least-gain \
                     or because its slices take no more; evaluate without, or with fewer lines"
                )
                .into());
            }
        }
    }
    Ok(())
}

/// Dice against lines.
fn dice_plot(all: &[Read]) -> RgbImage {
    let points = |read: &Read| read.scores.iter().map(|(&lines, volumes)| (lines as f64, volumes.dice)).collect();
    let series: Vec<Series> = all.iter().map(|read| Series::new(&read.short, points(read))).collect();
    score_plot(&ScorePlot {
        title: "Segmentation against scan length",
        x_label: "lines measured, a slice",
        y_label: "mean 3-D Dice, 95 % interval over patients; for differences see the table",
        series: &series,
        ..ScorePlot::default()
    })
}

/// Dice against SSIM, a series a budget.
fn traded(all: &[Read], budgets: &[usize]) -> RgbImage {
    let point = |read: &Read, lines| (read.scores[lines].ssim, read.scores[lines].dice);
    let series: Vec<Series> = (budgets.iter())
        .map(|lines| Series::new(&format!("{lines} lines"), all.iter().map(|read| point(read, lines)).collect()))
        .collect();
    let names: Vec<&str> = all.iter().map(|read| read.short.as_str()).collect();
    trade_plot("What reconstruction and segmentation cost each other", &names, series)
}

fn save(path: &Path, picture: &RgbImage) -> Result<(), Failure> {
    write_png(path, picture).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    crate::io::whole::write_atomically(path, text.as_bytes())
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::read::tests::{method, volumes};
    use super::*;

    #[test]
    fn volumes_that_one_has_alone_make_no_difference() {
        let both = method("a", volumes(&[("p1", "ED", 0.9), ("p1", "ES", 0.7), ("p2", "ED", 0.8), ("p2", "ES", 0.6)]));
        let ed = method("b", volumes(&[("p1", "ED", 0.9), ("p2", "ED", 0.8)]));
        let top = method("top", volumes(&[("p1", "ED", 1.0), ("p2", "ED", 1.0)]));
        let row = difference(8, both.at(8).unwrap(), ed.at(8).unwrap()).unwrap();
        assert_eq!(row[5..], ["+0.0000 [+0.0000, +0.0000]", "0", "0"]);
        let share = way(both.at(8).unwrap(), ed.at(8).unwrap(), top.at(8).unwrap()).unwrap();
        assert_eq!(share, "0 % [0, 0]");
        let es = method("c", volumes(&[("p1", "ES", 0.7)]));
        let error = difference(8, ed.at(8).unwrap(), es.at(8).unwrap()).unwrap_err().to_string();
        assert!(error.contains("b and c: no volume in common at 8 lines"), "{error}");
    }
}
