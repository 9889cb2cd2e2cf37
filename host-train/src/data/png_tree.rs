//! Importing a tree of PNG files: `SRC/patientNNN/{images,labels}/N.png`, with or without a manifest.
//! Data that have diagnoses instead of masks have no `labels` folder in any patient.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder::{patient_folders, stem, visible};
use super::formats::Format;
use super::import::{
    ImportOptions, Imported, Origin, PreparedPatient, PreparedVolume, Progress, SOURCE_MM, write_dataset,
};
use super::losses::Cut;
use super::manifest::MANIFEST_FILE;
use super::notes::Remark;
use super::resample::Resampler;
use super::{DataError, Manifest, Phase, SliceRecord, Split, SplitRule};

pub use super::png_file::{Grey, write_image, write_label};

/// PNG files.
pub const FORMAT: Format = Format {
    name: "png",
    about: "PATIENT/images/N.png and PATIENT/labels/N.png, grey images and classes 0 to 3; no labels/ in any patient: data \
            with diagnoses instead of masks",
    is_certain: |_| false,
    import,
};

const LAYOUT: &str =
    "a folder for each patient, PATIENT/images/N.png and, if there are masks, PATIENT/labels/N.png, N a number";
/// In-plane spacing in mm that pixels of unknown size are taken for where they are kept as they are.
const DEFAULT_SPACING: f32 = 1.5;
/// Distance in mm that slices are taken to have where nothing says it.
const DEFAULT_SLICE_DISTANCE: f32 = 10.0;

/// Whether a folder has slices or labels.
pub fn has_slices(folder: &Path) -> bool {
    ["images", "labels"].iter().any(|name| folder.join(name).is_dir())
}

/// Imports the PNG tree `src` into the data set `dst`. Spacing, phases and groups come from the source's manifest, where
/// there is one, but for what the options say of the source; without it a patient's slices are one volume, and pixels of
/// unknown size are kept as they are, or refused where a spacing is asked for ([`ImportOptions::assume_spacing`]). Slices are
/// numbered anew, without gaps. A tree in which no patient has `labels` becomes a data set without masks. Patients whose splits a
/// manifest says keep them, unless all are to go into one.
///
/// # Errors
/// [`DataError`] names the option, file or folder.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, progress: &dyn Progress) -> Result<Imported, DataError> {
    options.check()?;
    let folders = patient_folders(src, LAYOUT, has_slices)?;
    let manifest = if src.join(MANIFEST_FILE).is_file() { Some(Manifest::read(src)?) } else { None };
    let masks = folders.iter().any(|(folder, _)| folder.join("labels").exists());
    let (mut sources, mut dropped) = (Vec::new(), Vec::new());
    for (folder, name) in folders {
        let files = list_files(&folder, masks)?;
        if files.is_empty() {
            dropped.push((name, "no slices".to_string()));
            continue;
        }
        let (slices, remarks) = with_records(src, &name, files, manifest.as_ref(), options)?;
        sources.push(Source { slices, name, remarks });
    }
    if sources.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    progress.begin(sources.len() as u64);
    let has_manifest = manifest.is_some();
    let origin = Origin { source: "png", masks, axes: manifest.and_then(|manifest| manifest.axes) };
    let splits = options.split.deal(sources.iter().map(|source| source.name.as_str()));
    // A manifest has a record of every slice.
    let are_recorded = has_manifest && options.split == SplitRule::Auto;
    let split = |source: &Source| match source.slices.first() {
        Some((record, _)) if are_recorded => record.split,
        _ => splits.of(&source.name),
    };
    let bytes = |source: &Source| source.bytes(options.size);
    let prepare = |source: &Source| prepare(source, split(source), options);
    let mut imported = write_dataset(dst, &origin, options, &sources, progress, bytes, prepare)?;
    imported.notes.extend(splits.note().filter(|_| !are_recorded));
    Ok(Imported { dropped, ..imported })
}

/// A patient.
struct Source {
    name: String,
    slices: Vec<Slice>,
    remarks: Vec<Remark>,
}

impl Source {
    /// Bytes of the largest picture as integers and as reals, and of the slices of `side` by `side` pixels.
    fn bytes(&self, side: usize) -> u64 {
        let pixels = self.slices.iter().filter_map(|(_, files)| Grey::pixels(&files.image));
        let slices = (self.slices.len() * side * side * size_of::<f32>()) as u64;
        pixels.max().unwrap_or(0).saturating_mul(8).saturating_add(slices)
    }
}

/// What the manifest, or whoever makes it up, says of a slice, and its files.
type Slice = (SliceRecord, Files);

/// A slice's files.
struct Files {
    number: u32,
    image: PathBuf,
    label: Option<PathBuf>,
}

/// The numbers of the slices in a patient's folder, in order; with `masks`, every image has a label and the other way round.
pub fn list_slices(folder: &Path, masks: bool) -> Result<Vec<u32>, DataError> {
    Ok(list_files(folder, masks)?.into_iter().map(|files| files.number).collect())
}

fn list_files(folder: &Path, masks: bool) -> Result<Vec<Files>, DataError> {
    let images = numbered(&folder.join("images"), "a patient has images")?;
    let hint = "other patients have masks; give them to every patient, or to none (data with diagnoses instead)";
    let mut labels = if masks { numbered(&folder.join("labels"), hint)? } else { BTreeMap::new() };
    let mut files = Vec::new();
    for (number, image) in images {
        let label = labels.remove(&number);
        if masks && label.is_none() {
            let label = folder.join(format!("labels/{number}.png"));
            return Err(DataError::ImageWithoutLabel { image, label });
        }
        files.push(Files { number, image, label });
    }
    match labels.pop_first() {
        Some((number, label)) => {
            let image = folder.join(format!("images/{number}.png"));
            Err(DataError::LabelWithoutImage { label, image })
        }
        None => Ok(files),
    }
}

/// The PNG files of a folder by number.
fn numbered(folder: &Path, hint: &'static str) -> Result<BTreeMap<u32, PathBuf>, DataError> {
    if !folder.is_dir() {
        return Err(DataError::MissingFolder { path: folder.to_path_buf(), hint });
    }
    let mut files = BTreeMap::new();
    for (path, name) in visible(folder)? {
        let Some(stem) = stem(&name, "png").filter(|_| path.is_file()) else { continue };
        let number = stem.parse::<u32>().ok().filter(|_| stem.bytes().all(|c| c.is_ascii_digit()));
        let Some(number) = number else {
            return Err(DataError::Png { path, reason: "expected a name like 0.png or 17.png".to_string() });
        };
        if let Some(other) = files.insert(number, path) {
            let reason = format!("slice {number} is there twice, also as {name}; which one is it?");
            return Err(DataError::Png { path: other, reason });
        }
    }
    Ok(files)
}

/// A record for every slice of a patient, the manifest's or one made up, and what was assumed for it.
fn with_records(
    src: &Path,
    name: &str,
    files: Vec<Files>,
    manifest: Option<&Manifest>,
    options: &ImportOptions,
) -> Result<(Vec<Slice>, Vec<Remark>), DataError> {
    let mut remarks = Vec::new();
    let made_up = match manifest {
        None => Some(made_up(name, options, &mut remarks)?),
        Some(_) => None,
    };
    let mut slices = Vec::new();
    for (z, files) in files.into_iter().enumerate() {
        let number = files.number;
        let listed = manifest.iter().flat_map(|manifest| &manifest.slices);
        let own = listed.into_iter().find(|record| record.patient == name && record.slice == number);
        let record = match (&made_up, own) {
            (Some(record), _) => SliceRecord { slice: number, z: z as u32, ..record.clone() },
            (None, Some(record)) => corrected(record, options, &mut remarks),
            (None, None) => {
                let path = src.join(MANIFEST_FILE);
                let reason = format!("no record for slice {name}/{number}, whose files exist");
                return Err(DataError::Manifest { path, reason });
            }
        };
        slices.push((record, files));
    }
    Ok((slices, remarks))
}

/// The record that all slices of a patient have in a tree without a manifest, but for their places.
fn made_up(name: &str, options: &ImportOptions, remarks: &mut Vec<Remark>) -> Result<SliceRecord, DataError> {
    let [x, y] = match (options.source_spacing_mm, options.spacing_mm) {
        (Some(spacing_mm), _) => spacing_mm,
        (None, Some(mm)) if !options.assume_spacing => {
            let reason = format!(
                "the source says nothing of its pixels' size, so they cannot be resampled to {mm} mm; give it with \
                 --source-spacing MM, or keep the pixels as they are with --spacing native"
            );
            return Err(DataError::Option { option: "--spacing", reason });
        }
        (None, wanted) => {
            let mm = wanted.unwrap_or(DEFAULT_SPACING);
            remarks.push(Remark::Words(format!(
                "nothing says how large the pixels are; kept as they are and taken for {mm} mm (else: --source-spacing MM)"
            )));
            [mm; 2]
        }
    };
    let distance = options.slice_distance_mm.unwrap_or_else(|| {
        remarks.push(Remark::Words(format!(
            "nothing says how far slices lie apart; taken for {DEFAULT_SLICE_DISTANCE} mm (else: --slice-distance MM)"
        )));
        DEFAULT_SLICE_DISTANCE
    });
    Ok(SliceRecord {
        patient: name.to_string(),
        slice: 0,
        phase: Phase::Unknown,
        z: 0,
        spacing_mm: [x, y, distance],
        group: String::new(),
        // Patients are dealt when all are known.
        split: Split::Train,
        intensity_per_level: 1.0,
    })
}

/// A record of the manifest with what the options say of the source.
fn corrected(record: &SliceRecord, options: &ImportOptions, remarks: &mut Vec<Remark>) -> SliceRecord {
    let [x, y, z] = record.spacing_mm;
    let [new_x, new_y] = options.source_spacing_mm.unwrap_or([x, y]);
    let spacing_mm = [new_x, new_y, options.slice_distance_mm.unwrap_or(z)];
    if spacing_mm != record.spacing_mm {
        let words = |[x, y, z]: [f32; 3]| format!("{x} x {y} mm and slices {z} mm apart");
        let (said, taken) = (words(record.spacing_mm), words(spacing_mm));
        let remark = Remark::Words(format!("the manifest says {said}; taken, as the options say: {taken}"));
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    SliceRecord { spacing_mm, ..record.clone() }
}

fn prepare(source: &Source, split: Split, options: &ImportOptions) -> Result<PreparedPatient, DataError> {
    let mut volumes: Vec<PreparedVolume> = Vec::new();
    let mut slices: Vec<&Slice> = source.slices.iter().collect();
    slices.sort_by_key(|(record, _)| (record.phase, record.z, record.slice));
    for (record, files) in slices {
        if volumes.last().is_none_or(|volume| volume.phase != record.phase) {
            let [sx, sy, sz] = record.spacing_mm;
            volumes.push(PreparedVolume {
                phase: record.phase,
                spacing_mm: [options.spacing_mm.unwrap_or(sx), options.spacing_mm.unwrap_or(sy), sz],
                z: Vec::new(),
                images: Vec::new(),
                labels: Vec::new(),
                cut: Cut::default(),
                remarks: source.remarks.clone(),
            });
        }
        if let Some(volume) = volumes.last_mut() {
            add_slice(volume, record, files, options)?;
        }
    }
    Ok(PreparedPatient {
        name: source.name.clone(),
        group: source.slices.first().map(|(record, _)| record.group.clone()).unwrap_or_default(),
        split,
        volumes,
    })
}

fn add_slice(
    volume: &mut PreparedVolume,
    record: &SliceRecord,
    files: &Files,
    options: &ImportOptions,
) -> Result<(), DataError> {
    let image = Grey::read(&files.image)?;
    let [sx, sy, _] = record.spacing_mm;
    if ![sx, sy].iter().all(|mm| SOURCE_MM.contains(mm)) {
        let (low, high) = (SOURCE_MM.start(), SOURCE_MM.end());
        let reason = format!("its manifest says pixels of {sx} by {sy} mm; expected {low} to {high} mm");
        return Err(DataError::Png { path: files.image.clone(), reason });
    }
    let resampler = Resampler::new([image.width, image.height], [sx, sy], options.spacing_mm, options.size);
    let values: Vec<f32> = image.values.iter().map(|&v| v.into()).collect();
    volume.z.push(record.z);
    volume.images.push(resampler.image(&values));
    if let Some(path) = &files.label {
        let (label, classes) = Grey::read_label(path)?;
        if (image.height, image.width) != (label.height, label.width) {
            let (found, expected) = (label.shape(), image.shape());
            return Err(DataError::Shape { path: path.clone(), found, other: files.image.clone(), expected });
        }
        resampler.count(&classes, &mut volume.cut);
        volume.labels.push(resampler.label(&classes));
    }
    Ok(())
}
