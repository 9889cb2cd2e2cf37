//! Grey PNG files, and importing a tree of them: `SRC/patientNNN/{images,labels}/N.png`, with or without a manifest.
//! Data that have diagnoses instead of masks have no `labels` folder in any patient.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::import::{ImportOptions, PreparedPatient, PreparedVolume, Progress, write_dataset};
use super::manifest::MANIFEST_FILE;
use super::resample::Resampler;
use super::{CLASSES, DataError, Manifest, Phase, SliceRecord};
use image::codecs::png::PngDecoder;
use image::{ColorType, ExtendedColorType, ImageBuffer, ImageDecoder, Luma};

const LAYOUT: &str = "patientNNN folders with images/N.png and, if there are masks, labels/N.png, N a number";
/// In-plane spacing in mm of a tree without a manifest that is imported at its own spacing.
const DEFAULT_SPACING: f32 = 1.5;
/// Distance of slices in mm in a tree without a manifest.
const DEFAULT_SLICE_DISTANCE: f32 = 10.0;

/// A grey picture, 8- or 16-bit, values as stored.
pub struct Grey {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values, row-major.
    pub values: Vec<u16>,
}

impl Grey {
    /// Reads a PNG of 1 to 16 bits.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let broken = |reason: String| DataError::Png { path: path.to_path_buf(), reason };
        let file = File::open(path).map_err(DataError::io(path, "open"))?;
        let decoder = PngDecoder::new(BufReader::new(file)).map_err(|e| broken(e.to_string()))?;
        let (width, height) = decoder.dimensions();
        let (width, height) = (width as usize, height as usize);
        // The decoder stretches fewer than 8 bits to 0..=255.
        let stretch = match decoder.original_color_type() {
            ExtendedColorType::L1 => 255,
            ExtendedColorType::L2 => 85,
            ExtendedColorType::L4 => 17,
            _ => 1,
        };
        let color = decoder.color_type();
        if !matches!(color, ColorType::L8 | ColorType::L16) {
            return Err(broken(format!("it is {color:?}; expected 8- or 16-bit grey without alpha")));
        }
        let bytes = usize::try_from(decoder.total_bytes()).map_err(|e| broken(e.to_string()))?;
        if bytes > MAX_BYTES {
            return Err(broken(format!("{width}x{height} pixels is too large for a slice")));
        }
        let mut raw = vec![0; bytes];
        decoder.read_image(&mut raw).map_err(|e| broken(e.to_string()))?;
        let values = match color {
            ColorType::L8 => raw.iter().map(|&v| u16::from(v) / stretch).collect(),
            _ => raw.chunks_exact(2).map(|v| u16::from_ne_bytes([v[0], v[1]])).collect(),
        };
        Ok(Self { height, width, values })
    }

    /// Reads a label and checks that every value is a class.
    pub fn read_label(path: &Path) -> Result<(Self, Vec<u8>), DataError> {
        let grey = Self::read(path)?;
        if let Some(index) = grey.values.iter().position(|&v| usize::from(v) >= CLASSES) {
            let position = format!("x={}, y={}", index % grey.width, index / grey.width);
            return Err(DataError::LabelValue { path: path.to_path_buf(), value: grey.values[index].into(), position });
        }
        let classes = grey.values.iter().map(|&v| v as u8).collect();
        Ok((grey, classes))
    }

    /// The shape in words, for messages.
    pub fn shape(&self) -> String {
        format!("{}x{}", self.height, self.width)
    }
}

/// A slice is far smaller; a damaged header must not make the program ask for all memory.
const MAX_BYTES: usize = 256 << 20;

/// Writes a 16-bit grey PNG.
pub fn write_image(path: &Path, height: usize, width: usize, values: Vec<u16>) -> Result<(), DataError> {
    write_grey::<u16>(path, height, width, values)
}

/// Writes an 8-bit grey PNG.
pub fn write_label(path: &Path, height: usize, width: usize, values: Vec<u8>) -> Result<(), DataError> {
    write_grey::<u8>(path, height, width, values)
}

fn write_grey<T>(path: &Path, height: usize, width: usize, values: Vec<T>) -> Result<(), DataError>
where
    T: image::Primitive,
    Luma<T>: image::Pixel<Subpixel = T> + image::PixelWithColorType,
    [T]: image::EncodableLayout,
{
    let broken = |reason: String| DataError::Png { path: path.to_path_buf(), reason };
    let buffer: Option<ImageBuffer<Luma<T>, Vec<T>>> = ImageBuffer::from_raw(width as u32, height as u32, values);
    let buffer = buffer.ok_or_else(|| broken(format!("fewer values than {height}x{width}")))?;
    buffer.save_with_format(path, image::ImageFormat::Png).map_err(|e| match e {
        image::ImageError::IoError(source) => DataError::Io { path: path.to_path_buf(), action: "write", source },
        other => broken(other.to_string()),
    })
}

/// The folders of `src` whose names start with `patient`, in order, each with its name.
pub fn patient_folders(src: &Path, layout: &'static str) -> Result<Vec<(PathBuf, String)>, DataError> {
    if !src.is_dir() {
        return Err(DataError::MissingFolder {
            path: src.to_path_buf(),
            hint: "name the folder that holds the patients",
        });
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(src).map_err(DataError::io(src, "list"))? {
        let path = entry.map_err(DataError::io(src, "list"))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        if name.starts_with("patient") && path.is_dir() {
            folders.push((path, name));
        }
    }
    folders.sort();
    if folders.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: layout });
    }
    Ok(folders)
}

/// Imports the PNG tree `src` into the data set `dst`. Spacing, phases and groups come from the source's manifest;
/// without one, pixels are taken to have the target spacing and a patient's slices to be one volume. Slices are numbered
/// anew, without gaps. A tree in which no patient has `labels` becomes a data set without masks. The bar's length is set here.
pub fn import(src: &Path, dst: &Path, options: &ImportOptions, bar: &Progress) -> Result<Manifest, DataError> {
    options.check()?;
    let folders = patient_folders(src, LAYOUT)?;
    let manifest = if src.join(MANIFEST_FILE).is_file() { Some(Manifest::read(src)?) } else { None };
    let masks = folders.iter().any(|(folder, _)| folder.join("labels").exists());
    let mut sources = Vec::new();
    for (folder, name) in folders {
        let slices = list_slices(&folder, masks)?;
        let records = records(&folder, &name, &slices, manifest.as_ref(), options)?;
        sources.push(Source { records, folder, name, masks });
    }
    if sources.iter().all(|source| source.records.is_empty()) {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: LAYOUT });
    }
    bar.set_length(sources.len() as u64);
    write_dataset(dst, ("png", masks), options, &sources, bar, |source| prepare(source, options))
}

struct Source {
    folder: PathBuf,
    name: String,
    records: Vec<SliceRecord>,
    masks: bool,
}

/// The numbers of the slices in a patient's folder, in order; with `masks`, every image has a label and the other way round.
pub fn list_slices(folder: &Path, masks: bool) -> Result<Vec<u32>, DataError> {
    let images = numbered(&folder.join("images"), "a patient has images")?;
    if !masks {
        return Ok(images.into_keys().collect());
    }
    let hint = "other patients have masks; give them to every patient, or to none (data with diagnoses instead)";
    let labels = numbered(&folder.join("labels"), hint)?;
    if let Some((number, image)) = images.iter().find(|(number, _)| !labels.contains_key(number)) {
        let label = folder.join(format!("labels/{number}.png"));
        return Err(DataError::ImageWithoutLabel { image: image.clone(), label });
    }
    if let Some((number, label)) = labels.iter().find(|(number, _)| !images.contains_key(number)) {
        let image = folder.join(format!("images/{number}.png"));
        return Err(DataError::LabelWithoutImage { label: label.clone(), image });
    }
    Ok(images.into_keys().collect())
}

fn numbered(folder: &Path, hint: &'static str) -> Result<BTreeMap<u32, PathBuf>, DataError> {
    if !folder.is_dir() {
        return Err(DataError::MissingFolder { path: folder.to_path_buf(), hint });
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder, "list"))? {
        let path = entry.map_err(DataError::io(folder, "list"))?.path();
        if path.extension().is_none_or(|e| e != "png") {
            continue;
        }
        let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u32>().ok());
        // `007.png` would not be found again as `7.png`.
        match number.filter(|n| path.ends_with(format!("{n}.png"))) {
            Some(number) => files.insert(number, path),
            None => return Err(DataError::Png { path, reason: "expected a name like 0.png or 17.png".to_string() }),
        };
    }
    Ok(files)
}

/// A record for every slice of a patient: the manifest's, or one made up from the defaults.
fn records(
    folder: &Path,
    name: &str,
    slices: &[u32],
    manifest: Option<&Manifest>,
    options: &ImportOptions,
) -> Result<Vec<SliceRecord>, DataError> {
    let Some(manifest) = manifest else {
        let mm = options.spacing_mm.unwrap_or(DEFAULT_SPACING);
        let made_up = |(z, &slice): (usize, &u32)| SliceRecord {
            patient: name.to_string(),
            slice,
            phase: Phase::Unknown,
            z: z as u32,
            spacing_mm: [mm, mm, DEFAULT_SLICE_DISTANCE],
            group: String::new(),
            split: options.split.split_of(name),
            intensity_per_level: 1.0,
        };
        return Ok(slices.iter().enumerate().map(made_up).collect());
    };
    let mut records = Vec::new();
    for &slice in slices {
        let found = manifest.slices.iter().find(|record| record.patient == name && record.slice == slice);
        let record = found.ok_or_else(|| DataError::Manifest {
            path: folder.with_file_name(MANIFEST_FILE),
            reason: format!("no record for slice {name}/{slice}, whose files exist"),
        })?;
        records.push(record.clone());
    }
    Ok(records)
}

fn prepare(source: &Source, options: &ImportOptions) -> Result<PreparedPatient, DataError> {
    let mut volumes: Vec<PreparedVolume> = Vec::new();
    let mut records: Vec<&SliceRecord> = source.records.iter().collect();
    records.sort_by_key(|record| (record.phase, record.z, record.slice));
    for record in records {
        if volumes.last().is_none_or(|volume| volume.phase != record.phase) {
            let [sx, sy, sz] = record.spacing_mm;
            let spacing_mm = [options.spacing_mm.unwrap_or(sx), options.spacing_mm.unwrap_or(sy), sz];
            let (phase, z) = (record.phase, Vec::new());
            volumes.push(PreparedVolume { phase, spacing_mm, z, images: Vec::new(), labels: Vec::new() });
        }
        if let Some(volume) = volumes.last_mut() {
            add_slice(volume, source, record, options)?;
        }
    }
    Ok(PreparedPatient {
        name: source.name.clone(),
        group: source.records.first().map(|record| record.group.clone()).unwrap_or_default(),
        split: options.split.split_of(&source.name),
        volumes,
    })
}

fn add_slice(
    volume: &mut PreparedVolume,
    source: &Source,
    record: &SliceRecord,
    options: &ImportOptions,
) -> Result<(), DataError> {
    let folder = &source.folder;
    let image_path = folder.join(format!("images/{}.png", record.slice));
    let image = Grey::read(&image_path)?;
    let [sx, sy, _] = record.spacing_mm;
    if ![sx, sy].iter().all(|s| s.is_finite() && *s > 0.0) {
        let reason = format!("slice {}/{}: spacing {sx} by {sy} mm", record.patient, record.slice);
        return Err(DataError::Manifest { path: folder.with_file_name(MANIFEST_FILE), reason });
    }
    let resampler = Resampler::new([image.width, image.height], [sx, sy], options.spacing_mm, options.size);
    let values: Vec<f32> = image.values.iter().map(|&v| v.into()).collect();
    volume.z.push(record.z);
    volume.images.push(resampler.image(&values));
    if source.masks {
        let label_path = folder.join(format!("labels/{}.png", record.slice));
        let (label, classes) = Grey::read_label(&label_path)?;
        if (image.height, image.width) != (label.height, label.width) {
            let (found, expected) = (label.shape(), image.shape());
            return Err(DataError::Shape { path: label_path, found, other: image_path, expected });
        }
        volume.labels.push(resampler.label(&classes));
    }
    Ok(())
}
