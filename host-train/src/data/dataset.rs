//! A data set in memory.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::intensity::from_level;
use super::manifest::MANIFEST_FILE;
use super::png_tree::Grey;
use super::{DataError, Manifest, Phase, SliceRecord, Split};
use crate::io::whole::present;

/// The name of a slice: `patient001/3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceId {
    /// The patient's folder.
    pub patient: String,
    /// The slice's number in it.
    pub n: u32,
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.patient, self.n)
    }
}

/// A slice with its pixels.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Its name.
    pub id: SliceId,
    /// The phase of the cycle.
    pub phase: Phase,
    /// Its place in its volume.
    pub z: u32,
    /// Distance of neighbouring voxels along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// The diagnosis, or empty.
    pub group: String,
    /// The part of the data set.
    pub split: Split,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Intensities, row-major, the volume's maximum at 1.
    pub image: Vec<f32>,
    /// Classes, row-major; background alone where the data set has no masks.
    pub label: Vec<u8>,
}

/// The slices of one patient in one phase.
#[derive(Clone, Debug)]
pub struct Volume<'a> {
    /// The patient's folder.
    pub patient: &'a str,
    /// The phase of the cycle.
    pub phase: Phase,
    /// The diagnosis, or empty.
    pub group: &'a str,
    /// Distance of neighbouring voxels along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// Slices by z.
    pub slices: Vec<&'a Slice>,
}

impl Volume<'_> {
    /// `patient001/ED`, or the patient alone where the phase is not known.
    pub fn name(&self) -> String {
        match self.phase {
            Phase::Unknown => self.patient.to_owned(),
            phase => format!("{}/{phase}", self.patient),
        }
    }
}

/// A data set, all slices loaded.
#[derive(Debug)]
pub struct Dataset {
    dir: PathBuf,
    manifest: Manifest,
    slices: Vec<Slice>,
    index: HashMap<SliceId, usize>,
}

impl Dataset {
    /// Loads the data set in `dir`, in parallel. Every slice has the manifest's size and an image and, unless the
    /// manifest says that there are no masks, a label.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, DataError> {
        let dir = &present(dir.as_ref());
        let manifest = Manifest::read(dir)?;
        let broken = |reason| DataError::Manifest { path: dir.join(MANIFEST_FILE), reason };
        if manifest.slices.is_empty() {
            return Err(broken("it lists no slice; import the data again".to_string()));
        }
        let load = |record: &SliceRecord| load_slice(dir, &manifest, record);
        let mut slices: Vec<Slice> = manifest.slices.par_iter().map(load).collect::<Result<_, _>>()?;
        slices.sort_by(|a, b| a.id.cmp(&b.id));
        let index: HashMap<SliceId, usize> = slices.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
        if let Some(pair) = slices.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(broken(format!("slice {} is listed twice", pair[0].id)));
        }
        Ok(Self { dir: dir.to_path_buf(), manifest, slices, index })
    }

    /// The folder it was loaded from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Refuses a data set without masks for what needs them, such as `a segmenter`.
    pub fn expect_masks(&self, needed_by: &'static str) -> Result<(), DataError> {
        if self.manifest.masks { Ok(()) } else { Err(DataError::NoMasks { path: self.dir.clone(), needed_by }) }
    }

    /// Rows of every slice.
    pub fn height(&self) -> usize {
        self.manifest.size[0] as usize
    }

    /// Columns of every slice.
    pub fn width(&self) -> usize {
        self.manifest.size[1] as usize
    }

    /// All slices, by patient and number.
    pub fn all(&self) -> &[Slice] {
        &self.slices
    }

    /// The slices of one split, by patient and number.
    pub fn slices(&self, split: Split) -> Vec<&Slice> {
        self.slices.iter().filter(|slice| slice.split == split).collect()
    }

    /// The volumes of one split, by patient and phase, slices by z.
    pub fn volumes<'a>(&'a self, split: Split) -> Vec<Volume<'a>> {
        let mut slices = self.slices(split);
        slices.sort_by(|a, b| (&a.id.patient, a.phase, a.z, a.id.n).cmp(&(&b.id.patient, b.phase, b.z, b.id.n)));
        let same = |a: &&Slice, b: &&Slice| a.id.patient == b.id.patient && a.phase == b.phase;
        let volume = |chunk: &[&'a Slice]| {
            let first = chunk[0];
            let (patient, group) = (first.id.patient.as_str(), first.group.as_str());
            Volume { patient, phase: first.phase, group, spacing_mm: first.spacing_mm, slices: chunk.to_vec() }
        };
        slices.chunk_by(same).map(volume).collect()
    }

    /// The slice called `patient001/3`; the error says which slices the patient has, or which patient was meant.
    pub fn find(&self, name: &str) -> Result<&Slice, DataError> {
        let missing = |hint: String| DataError::NoSuchSlice { wanted: name.to_string(), hint };
        let id = name.rsplit_once('/').and_then(|(patient, n)| Some((patient, n.parse().ok()?)));
        let Some((patient, n)) = id else {
            return Err(missing(format!("a slice is named like {}", self.slices[0].id)));
        };
        let id = SliceId { patient: patient.to_string(), n };
        if let Some(&index) = self.index.get(&id) {
            return Ok(&self.slices[index]);
        }
        let numbers: Vec<u32> = self.slices.iter().filter(|s| s.id.patient == patient).map(|s| s.id.n).collect();
        match (numbers.first(), numbers.last()) {
            (Some(first), Some(last)) => Err(missing(format!("{patient} has slices {first} to {last}"))),
            _ => Err(missing(format!("the data set has no {patient}; the nearest name is {}", self.nearest(patient)))),
        }
    }

    /// The volume called `patient001/ED`; the error says which volumes the patient has, or which patient was meant.
    pub fn find_volume(&self, name: &str) -> Result<Volume<'_>, DataError> {
        let mut volumes: Vec<Volume<'_>> = Split::ALL.into_iter().flat_map(|split| self.volumes(split)).collect();
        if let Some(found) = volumes.iter().position(|volume| volume.name() == name) {
            return Ok(volumes.swap_remove(found));
        }
        let patient = name.split('/').next().unwrap_or_default();
        let own: Vec<String> = volumes.iter().filter(|volume| volume.patient == patient).map(Volume::name).collect();
        let hint = match own.as_slice() {
            [] => format!("the data set has no {patient}; the nearest name is {}", self.nearest(patient)),
            [one] => format!("the only volume of {patient} is called {one}"),
            all => format!("{patient} has {}", all.join(" and ")),
        };
        Err(DataError::NoSuchVolume { wanted: name.to_string(), hint })
    }

    fn nearest(&self, patient: &str) -> &str {
        let names = self.slices.iter().map(|slice| slice.id.patient.as_str());
        names.min_by_key(|name| strsim::levenshtein(name, patient)).unwrap_or_default()
    }
}

/// Reads one slice of the data set in `dir` and checks it against the manifest.
pub(super) fn load_slice(dir: &Path, manifest: &Manifest, record: &SliceRecord) -> Result<Slice, DataError> {
    let folder = dir.join(&record.patient);
    let image_path = folder.join(format!("images/{}.png", record.slice));
    let label_path = folder.join(format!("labels/{}.png", record.slice));
    match (image_path.is_file(), label_path.is_file()) {
        (true, false) if manifest.masks => {
            return Err(DataError::ImageWithoutLabel { image: image_path, label: label_path });
        }
        (false, true) => return Err(DataError::LabelWithoutImage { label: label_path, image: image_path }),
        _ => {}
    }
    let [height, width] = manifest.size.map(|n| n as usize);
    let expect_size = |grey: &Grey, path: PathBuf| {
        let (found, expected) = (grey.shape(), format!("{height}x{width}"));
        let shape = || DataError::Shape { path, found, other: dir.join(MANIFEST_FILE), expected };
        if (grey.height, grey.width) == (height, width) { Ok(()) } else { Err(shape()) }
    };
    let image = Grey::read(&image_path)?;
    expect_size(&image, image_path)?;
    let classes = if manifest.masks {
        let (label, classes) = Grey::read_label(&label_path)?;
        expect_size(&label, label_path)?;
        classes
    } else {
        vec![0; height * width]
    };
    Ok(Slice {
        id: SliceId { patient: record.patient.clone(), n: record.slice },
        phase: record.phase,
        z: record.z,
        spacing_mm: record.spacing_mm,
        group: record.group.clone(),
        split: record.split,
        height,
        width,
        image: image.values.iter().map(|&level| from_level(level)).collect(),
        label: classes,
    })
}
