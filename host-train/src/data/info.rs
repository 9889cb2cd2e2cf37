//! What a data set holds, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::CLASS_NAMES;
use super::folder::patient_folders;
use super::losses::{ClassLoss, in_words, missing_classes};
use super::png_tree::{Grey, has_slices, list_slices};
use super::{Axes, CLASSES, DataError, Manifest, Phase, SliceRecord, Split};
use crate::mri::random::fnv1a;

/// One split's numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitInfo {
    /// The split.
    pub split: Split,
    /// Number of patients.
    pub patients: usize,
    /// Number of volumes: patients times phases.
    pub volumes: usize,
    /// Number of slices.
    pub slices: usize,
    /// Slices whose label is background alone; `None` without masks.
    pub empty_labels: Option<usize>,
    /// Each class's fraction of all pixels; `None` without masks.
    pub class_share: Option<[f64; CLASSES]>,
}

/// A data set in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Info {
    /// Where the slices come from.
    pub source: String,
    /// Height and width in pixels.
    pub size: [u32; 2],
    /// Whether slices have masks.
    pub masks: bool,
    /// In-plane spacing (x, y) in mm, if all slices share it.
    pub spacing_mm: Option<[f32; 2]>,
    /// Smallest and largest distance of slices in mm.
    pub slice_distance_mm: [f32; 2],
    /// Towards which side of the patient the volumes' axes count, where that is known.
    pub axes: Option<Axes>,
    /// The splits that have slices.
    pub splits: Vec<SplitInfo>,
    /// Voxels of each class that the import's crop cut off; `None` where it did not count them.
    pub lost_to_crop: Option<Vec<ClassLoss>>,
    /// Slices whose label is background alone, of all splits; `None` without masks.
    pub empty_labels: Option<usize>,
    /// Classes that no slice has; `None` without masks.
    pub missing_classes: Option<Vec<&'static str>>,
    /// Number of patients in each group.
    pub groups: BTreeMap<String, usize>,
    /// Everything that is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// What one slice's files say.
struct Checked {
    counts: [usize; CLASSES],
    digest: u64,
}

impl Info {
    /// Reads every file of the data set in `dir`. Only an unreadable manifest is an error; the rest is listed.
    pub fn of(dir: &Path) -> Result<Self, DataError> {
        let manifest = Manifest::read(dir)?;
        let checked: Vec<Result<Checked, DataError>> =
            manifest.slices.par_iter().map(|record| check(dir, &manifest, record)).collect();
        let mut problems: Vec<String> =
            checked.iter().filter_map(|c| c.as_ref().err()).map(ToString::to_string).collect();
        problems.extend(repeated_records(&manifest));
        problems.extend(repeated_images(&manifest, &checked));
        problems.extend(mixed_splits(&manifest));
        problems.extend(unlisted_files(dir, &manifest));
        let rows: Vec<(&SliceRecord, Option<&Checked>)> =
            manifest.slices.iter().zip(checked.iter().map(|c| c.as_ref().ok())).collect();
        let mut voxels = [0; CLASSES];
        let (mut empty, mut read) = (0, 0);
        for checked in checked.iter().flatten() {
            voxels.iter_mut().zip(checked.counts).for_each(|(sum, n)| *sum += n as u64);
            empty += usize::from(checked.is_empty());
            read += 1;
        }
        let splits = Split::ALL.into_iter().filter_map(|split| split_info(split, &rows, manifest.masks)).collect();
        let groups: BTreeSet<(&str, &str)> =
            manifest.slices.iter().map(|r| (r.group.as_str(), r.patient.as_str())).collect();
        let mut group_sizes = BTreeMap::new();
        for (group, _) in groups {
            *group_sizes.entry(group.to_string()).or_insert(0) += 1;
        }
        let distances = || manifest.slices.iter().map(|r| r.spacing_mm[2]);
        let slice_distance_mm = [distances().fold(f32::INFINITY, f32::min), distances().fold(0.0, f32::max)];
        Ok(Self {
            source: manifest.source.clone(),
            size: manifest.size,
            masks: manifest.masks,
            spacing_mm: manifest.spacing_mm,
            slice_distance_mm,
            axes: manifest.axes,
            splits,
            lost_to_crop: manifest.lost_to_crop.clone(),
            empty_labels: manifest.masks.then_some(empty),
            missing_classes: (manifest.masks && read > 0).then(|| missing_classes(&voxels)),
            groups: group_sizes,
            problems,
        })
    }
}

impl Checked {
    /// Whether there is background alone.
    fn is_empty(&self) -> bool {
        self.counts[1..].iter().all(|&n| n == 0)
    }
}

fn check(dir: &Path, manifest: &Manifest, record: &SliceRecord) -> Result<Checked, DataError> {
    let slice = super::dataset::load_slice(dir, manifest, record)?;
    let mut counts = [0; CLASSES];
    slice.label.iter().for_each(|&class| counts[usize::from(class)] += 1);
    let image = Grey::read(&dir.join(&record.patient).join(format!("images/{}.png", record.slice)))?;
    let digest = fnv1a(image.values.iter().flat_map(|v| v.to_le_bytes()));
    Ok(Checked { counts, digest })
}

fn split_info(split: Split, rows: &[(&SliceRecord, Option<&Checked>)], masks: bool) -> Option<SplitInfo> {
    let rows: Vec<_> = rows.iter().filter(|(record, _)| record.split == split).collect();
    let patients: BTreeSet<&str> = rows.iter().map(|(r, _)| r.patient.as_str()).collect();
    let volumes: BTreeSet<(&str, Phase)> = rows.iter().map(|(r, _)| (r.patient.as_str(), r.phase)).collect();
    let mut counts = [0usize; CLASSES];
    let mut empty_labels = 0;
    for checked in rows.iter().filter_map(|(_, checked)| *checked) {
        empty_labels += usize::from(checked.is_empty());
        counts.iter_mut().zip(checked.counts).for_each(|(sum, n)| *sum += n);
    }
    let all = counts.iter().sum::<usize>().max(1) as f64;
    (!rows.is_empty()).then(|| SplitInfo {
        split,
        patients: patients.len(),
        volumes: volumes.len(),
        slices: rows.len(),
        empty_labels: masks.then_some(empty_labels),
        class_share: masks.then(|| counts.map(|n| n as f64 / all)),
    })
}

fn repeated_records(manifest: &Manifest) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = manifest.slices.iter().map(|record| (record.patient.as_str(), record.slice));
    let repeated = names.filter(|name| !seen.insert(*name));
    repeated.map(|(patient, slice)| format!("{patient}/{slice}: listed twice in the manifest")).collect()
}

/// Patients that share images, one sentence a pair: the same scan under two names leaks from training to validation.
fn repeated_images(manifest: &Manifest, checked: &[Result<Checked, DataError>]) -> Vec<String> {
    let mut first: HashMap<u64, &str> = HashMap::new();
    let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (record, checked) in manifest.slices.iter().zip(checked) {
        let Ok(checked) = checked else { continue };
        let patient = record.patient.as_str();
        match first.get(&checked.digest) {
            Some(other) if *other != patient => *pairs.entry((other, patient)).or_insert(0) += 1,
            Some(_) => {}
            None => _ = first.insert(checked.digest, patient),
        }
    }
    let sentence = |((a, b), n): (&(&str, &str), &usize)| format!("{a} and {b} share {n} identical images: drop one");
    pairs.iter().map(sentence).collect()
}

fn mixed_splits(manifest: &Manifest) -> Vec<String> {
    let mut splits: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for record in &manifest.slices {
        splits.entry(&record.patient).or_default().insert(record.split);
    }
    let mixed = splits.iter().filter(|(_, splits)| splits.len() > 1);
    mixed.map(|(patient, _)| format!("{patient}: its slices are in several splits; splits are by patient")).collect()
}

fn unlisted_files(dir: &Path, manifest: &Manifest) -> Vec<String> {
    let listed: BTreeSet<(&str, u32)> = manifest.slices.iter().map(|r| (r.patient.as_str(), r.slice)).collect();
    let mut problems = Vec::new();
    let folders = patient_folders(dir, "a folder for each patient", has_slices);
    if let Err(error @ DataError::Name { .. }) = &folders {
        problems.push(error.to_string());
    }
    for (folder, name) in folders.unwrap_or_default() {
        // A file without its counterpart that is listed was reported already.
        let slices = list_slices(&folder, manifest.masks).unwrap_or_default();
        let unlisted = slices.iter().filter(|&&slice| !listed.contains(&(name.as_str(), slice)));
        problems.extend(unlisted.map(|slice| format!("{name}/{slice}: not listed in the manifest, never used")));
    }
    problems
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.size;
        let spacing = self.spacing_mm.map_or("native spacing".to_string(), |[x, y]| format!("{x} x {y} mm"));
        let [near, far] = self.slice_distance_mm;
        let distance = if near == far { format!("{near}") } else { format!("{near} to {far}") };
        let axes = self.axes.map_or(String::new(), |axes| {
            format!(", axes {axes} (the sides of the patient that x, y and the slices count towards)")
        });
        writeln!(
            f,
            "source {}, {height} x {width} pixels, {spacing} in plane, {distance} mm between slices{axes}",
            self.source
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:8} {:>8} {:>7} {:>6} {:>5}   share of pixels",
            "split", "patients", "volumes", "slices", "empty"
        )?;
        for row in &self.splits {
            let empty = row.empty_labels.map_or("-".to_string(), |n| n.to_string());
            write!(f, "{:8} {:>8} {:>7} {:>6} {empty:>5}  ", row.split, row.patients, row.volumes, row.slices)?;
            match row.class_share {
                Some(shares) => CLASS_NAMES
                    .iter()
                    .zip(shares)
                    .try_for_each(|(name, share)| write!(f, " {name} {:.2}%", 100.0 * share))?,
                None => write!(f, " no masks")?,
            }
            writeln!(f)?;
        }
        if self.masks {
            let slices: usize = self.splits.iter().map(|row| row.slices).sum();
            writeln!(f)?;
            self.lost_to_crop.iter().try_for_each(|losses| writeln!(f, "{}", in_words(losses)))?;
            self.empty_labels.iter().try_for_each(|n| writeln!(f, "slices without any label: {n} of {slices}"))?;
            let missing = self.missing_classes.iter().filter(|missing| !missing.is_empty());
            missing.into_iter().try_for_each(|names| writeln!(f, "classes that never occur: {}", names.join(", ")))?;
        }
        writeln!(f)?;
        let name = |group: &str| if group.is_empty() { "(none)".to_string() } else { group.to_string() };
        let groups: Vec<String> = self.groups.iter().map(|(group, n)| format!("{} {n}", name(group))).collect();
        writeln!(f, "patients by group (diagnosis): {}", groups.join(", "))?;
        match self.problems.len() {
            0 => writeln!(f, "no problems found"),
            n => {
                writeln!(f, "{n} problem{}:", if n == 1 { "" } else { "s" })?;
                self.problems.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
            }
        }
    }
}
