//! `kscout data`: makes and describes data sets.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use super::limit::FileLimit;
use super::spacing::{Spacing, length, parse_spacing};
use super::{Failure, number};
use crate::data::formats::Format;
use crate::data::import::{ImportOptions, Imported, PIXEL_MM, SLICE_MM};
use crate::data::losses::in_words;
use crate::data::phantom::{self, PhantomOptions};
use crate::data::{DataError, FORMATS, Info, Manifest, Split, SplitRule, labels};
use crate::io::lock::Locks;
use crate::io::whole::write_atomically;
use crate::progress;

/// Make a data set from NIfTI files, PNG files or synthetic hearts, or inspect one.
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Import NIfTI files in ACDC's or nnU-Net's layout, or a tree of PNG files.
    Import(ImportArgs),
    /// Make synthetic hearts.
    Phantom(PhantomArgs),
    /// Count patients, slices and classes, and list what is wrong.
    Info(InfoArgs),
    /// Write the labels that a classifier learns, as a CSV file.
    Labels(LabelsArgs),
}

/// What labels are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LabelSource {
    /// A patient's diagnosis (ACDC: NOR, MINF, DCM, HCM, RV), one column a group
    Group,
}

#[derive(Debug, Args)]
struct LabelsArgs {
    /// The data set.
    dir: PathBuf,
    /// What to make them of.
    #[arg(long, value_enum, default_value = "group")]
    from: LabelSource,
    /// The file to write.
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// Folder that holds the patients, or nnU-Net's folder with `imagesTr`.
    src: PathBuf,
    /// Folder to make.
    dst: PathBuf,
    /// Layout of the source.
    #[arg(long, value_parser = formats(), default_value = FORMATS[0].name)]
    format: &'static Format,
    /// In-plane spacing in mm, or `native` to keep the source's [default: 1.5; PNG files that say nothing of theirs stay as
    /// they are].
    #[arg(long, value_parser = parse_spacing, allow_hyphen_values = true)]
    spacing: Option<Spacing>,
    /// PNG files: how large their pixels are in mm, along x and y where these differ.
    #[arg(long, value_name = "MM[,MM]", value_parser = parse_lengths, allow_hyphen_values = true)]
    source_spacing: Option<[f32; 2]>,
    /// PNG files: how far slices lie apart in mm [default: what their manifest.json says, else 10].
    #[arg(long, value_name = "MM", value_parser = parse_length, allow_hyphen_values = true)]
    slice_distance: Option<f32>,
    /// Height and width in pixels: 32, 64, 128, 256 or 512.
    #[arg(long, default_value_t = 128, value_parser = number::side())]
    size: usize,
    /// auto, train, val or test. auto: patients whose number is divisible by 5 are for validation, and of patients without a
    /// number at the end of their names every fifth, by name; of a data set's own PNG files, those that its manifest says.
    #[arg(long, default_value = "auto")]
    split: SplitRule,
    /// ACDC: keep patient055 and patient076 too, which are duplicates of other patients.
    #[arg(long)]
    keep_all: bool,
    /// Replace the data set in DST.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    limit: FileLimit,
}

#[derive(Debug, Args)]
struct PhantomArgs {
    /// Folder to make.
    dst: PathBuf,
    /// Number of patients.
    #[arg(long, default_value_t = 20, value_parser = number::whole::<usize>(1..=9999))]
    patients: usize,
    /// Seed; the same seed makes the same patients.
    #[arg(long, default_value_t = 0, value_parser = number::seed())]
    seed: u64,
    /// Height and width in pixels of 1.5 mm: 32, 64, 128, 256 or 512.
    #[arg(long, default_value_t = 128, value_parser = number::side())]
    size: usize,
    /// auto (patients whose number is divisible by 5 are for validation), train, val or test.
    #[arg(long, default_value = "auto")]
    split: SplitRule,
    /// Replace the data set in DST.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct InfoArgs {
    /// The data set.
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `--format`.
fn formats() -> impl TypedValueParser<Value = &'static Format> {
    let value = |format: &Format| PossibleValue::new(format.name).help(format.about);
    PossibleValuesParser::new(FORMATS.iter().map(value))
        .try_map(|name| Format::named(&name).ok_or("no layout of this name"))
}

/// `--slice-distance`.
fn parse_length(text: &str) -> Result<f32, String> {
    length(text, &SLICE_MM).ok_or_else(|| format!("expected {} to {} mm", SLICE_MM.start(), SLICE_MM.end()))
}

/// `--source-spacing`: one length for both axes, or two.
fn parse_lengths(text: &str) -> Result<[f32; 2], String> {
    let lengths = text.split(',').map(|text| length(text, &PIXEL_MM)).collect::<Option<Vec<f32>>>();
    match lengths.as_deref() {
        Some([both]) => Ok([*both; 2]),
        Some([x, y]) => Ok([*x, *y]),
        _ => {
            let range = format!("{} to {} mm", PIXEL_MM.start(), PIXEL_MM.end());
            Err(format!("expected {range}, or two such lengths of x and y, such as 1.25,1.5"))
        }
    }
}

impl DataArgs {
    /// Runs the subcommand.
    pub fn run(self) -> Result<(), Failure> {
        let written = match &self.command {
            DataCommand::Import(args) => Some(&args.dst),
            DataCommand::Phantom(args) => Some(&args.dst),
            DataCommand::Labels(args) => Some(&args.out),
            DataCommand::Info(_) => None,
        };
        let _locks = Locks::of(written.map(PathBuf::as_path))?;
        match self.command {
            DataCommand::Import(args) => Ok(import(&args)?),
            DataCommand::Phantom(args) => Ok(make_phantoms(&args)?),
            DataCommand::Info(args) => Ok(info(&args)?),
            DataCommand::Labels(args) => write_labels(&args),
        }
    }
}

fn write_labels(args: &LabelsArgs) -> Result<(), Failure> {
    let manifest = Manifest::read(&args.dir)?;
    let text = match args.from {
        LabelSource::Group => labels::from_groups(&manifest, &args.dir)?,
    };
    let out = args.out.display();
    write_atomically(&args.out, text.as_bytes()).map_err(|error| format!("{out}: {error}"))?;
    let columns = text.lines().next().unwrap_or_default();
    println!("{out}: {columns}; {} patients", text.lines().count() - 1);
    Ok(())
}

fn import(args: &ImportArgs) -> Result<(), DataError> {
    let default = ImportOptions::default();
    let options = ImportOptions {
        spacing_mm: args.spacing.map_or(default.spacing_mm, Spacing::mm),
        assume_spacing: args.spacing.is_none(),
        source_spacing_mm: args.source_spacing,
        slice_distance_mm: args.slice_distance,
        max_bytes: args.limit.bytes(),
        size: args.size,
        split: args.split,
        keep_all: args.keep_all,
        force: args.force,
    };
    let import = args.format.of(&args.src).import;
    let bar = progress::patients("importing");
    let imported = import(&args.src, &args.dst, &options, &bar)?;
    bar.finish_and_clear();
    for (name, reason) in &imported.dropped {
        println!("left out {name}: {reason}");
    }
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    report(&args.dst, &imported.manifest);
    report_losses(&imported);
    Ok(())
}

/// What of the source the data set lacks.
fn report_losses(imported: &Imported) {
    let Manifest { masks, lost_to_crop, slices, .. } = &imported.manifest;
    if let Some(losses) = lost_to_crop {
        println!("{}", in_words(losses));
    }
    if *masks {
        println!("slices without any label: {} of {}", imported.empty_labels, slices.len());
    }
    if !imported.missing_classes.is_empty() {
        println!("classes that never occur: {}", imported.missing_classes.join(", "));
    }
}

fn make_phantoms(args: &PhantomArgs) -> Result<(), DataError> {
    let &PhantomArgs { patients, seed, size, split, force, .. } = args;
    let bar = progress::patients("making");
    let manifest = phantom::make(&args.dst, &PhantomOptions { patients, seed, size, split, force }, &bar)?;
    bar.finish_and_clear();
    report(&args.dst, &manifest);
    Ok(())
}

fn report(dst: &std::path::Path, manifest: &Manifest) {
    let [height, width] = manifest.size;
    let masks = if manifest.masks { "" } else { ", no masks" };
    println!("{}: {} slices of {height} x {width} pixels{masks}", dst.display(), manifest.slices.len());
    for split in Split::ALL {
        let records = || manifest.slices.iter().filter(|record| record.split == split);
        let mut patients: Vec<&str> = records().map(|record| record.patient.as_str()).collect();
        patients.dedup();
        if !patients.is_empty() {
            println!("  {split}: {} patients, {} slices", patients.len(), records().count());
        }
    }
}

fn info(args: &InfoArgs) -> Result<(), DataError> {
    let info = Info::of(&args.dir)?;
    if args.json {
        let text = serde_json::to_string_pretty(&info);
        println!("{}", text.map_err(|e| DataError::Manifest { path: args.dir.clone(), reason: e.to_string() })?);
    } else {
        print!("{info}");
    }
    match info.problems.len() {
        0 => Ok(()),
        count => Err(DataError::Problems { path: args.dir.clone(), count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_is_a_length_or_native() {
        assert_eq!(parse_spacing("native"), Ok(Spacing::Native));
        assert_eq!(parse_spacing("1.25"), Ok(Spacing::Mm(1.25)));
        for wrong in ["wide", "0", "-1.5", "nan", "inf", "1e308", ""] {
            assert!(parse_spacing(wrong).unwrap_err().contains("0.1 to 20 mm"), "{wrong}");
        }
    }

    #[test]
    fn source_spacing_is_one_length_or_two() {
        assert_eq!(parse_lengths("1.25"), Ok([1.25, 1.25]));
        assert_eq!(parse_lengths("1.25, 1.5"), Ok([1.25, 1.5]));
        for wrong in ["", "1,2,3", "1,", "wide", "0", "1,nan", "1e308"] {
            assert!(parse_lengths(wrong).unwrap_err().contains("1.25,1.5"), "{wrong}");
        }
    }
}
