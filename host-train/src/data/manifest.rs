//! `manifest.json`: what a data set's files are.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::losses::ClassLoss;
use super::{Axes, DataError, Split};

/// The file's name inside a data set.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The version written, and the only one read.
pub const FORMAT_VERSION: u32 = 1;
/// Most pixels along a side: the core takes no more lines.
const MAX_SIDE: u32 = 512;

/// The phase of the heart's cycle a slice shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// End-diastole: the ventricles are full.
    #[serde(rename = "ED")]
    Ed,
    /// End-systole: the ventricles are contracted.
    #[serde(rename = "ES")]
    Es,
    /// Not known.
    #[default]
    #[serde(rename = "")]
    Unknown,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One slice of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// The patient's folder.
    pub patient: String,
    /// The slice's number in that folder.
    pub slice: u32,
    /// The phase of the cycle.
    #[serde(default)]
    pub phase: Phase,
    /// The slice's place in its volume, in the order of the data set's axes.
    pub z: u32,
    /// Distance of neighbouring voxels along x, y and z in mm.
    pub spacing_mm: [f32; 3],
    /// The diagnosis (NOR, DCM, HCM, MINF, RV), or empty.
    #[serde(default)]
    pub group: String,
    /// The part of the data set.
    pub split: Split,
    /// Source intensity of one level of the 16-bit image.
    #[serde(default = "one")]
    pub intensity_per_level: f32,
}

fn one() -> f32 {
    1.0
}

fn yes() -> bool {
    true
}

/// What `manifest.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format, 1.
    pub format_version: u32,
    /// Where the slices come from: `acdc`, `nnunet`, `png` or `phantom`.
    pub source: String,
    /// Height and width of every slice in pixels.
    pub size: [u32; 2],
    /// In-plane spacing (x, y) in mm shared by every slice; absent where slices differ.
    #[serde(default)]
    pub spacing_mm: Option<[f32; 2]>,
    /// Towards which side of the patient the axes count, x, y and the slices', of the volumes that say clearly how they lie:
    /// the others were brought into the order of most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axes: Option<Axes>,
    /// How intensities were scaled, in words.
    pub intensity: String,
    /// Whether slices have masks (`labels/`); data without them are for classifiers alone.
    #[serde(default = "yes")]
    pub masks: bool,
    /// Voxels of each class that the import's crop cut off; absent where nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_to_crop: Option<Vec<ClassLoss>>,
    /// One record a slice, by patient and number.
    pub slices: Vec<SliceRecord>,
}

impl Manifest {
    /// Reads the manifest of the data set in `dir`.
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        if !dir.is_dir() {
            let hint = "expected a data set made by `kscout data import` or `kscout data phantom`";
            return Err(DataError::MissingFolder { path: dir.to_path_buf(), hint });
        }
        let path = dir.join(MANIFEST_FILE);
        let broken = |reason: String| DataError::Manifest { path: path.clone(), reason };
        if !path.is_file() {
            return Err(broken(
                "no manifest; make the data set with `kscout data import` or `kscout data phantom`".to_string(),
            ));
        }
        let text = fs::read_to_string(&path).map_err(DataError::io(&path, "read"))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|e| broken(format!("not a valid manifest: {e}")))?;
        if manifest.format_version != FORMAT_VERSION {
            let found = manifest.format_version;
            return Err(broken(format!(
                "format version {found}, this program reads {FORMAT_VERSION}; import the data again"
            )));
        }
        let escapes = |name: &str| name.is_empty() || name == ".." || name == "." || name.contains(['/', '\\']);
        if let Some(record) = manifest.slices.iter().find(|record| escapes(&record.patient)) {
            return Err(broken(format!("patient `{}` is not a folder name", record.patient)));
        }
        let [height, width] = manifest.size;
        if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
            return Err(broken(format!("size {height}x{width}; sides of 1 to {MAX_SIDE} pixels were expected")));
        }
        let broken_spacing = |r: &&SliceRecord| !r.spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0);
        if let Some(record) = manifest.slices.iter().find(broken_spacing) {
            let (patient, n, mm) = (&record.patient, record.slice, record.spacing_mm);
            return Err(broken(format!("slice {patient}/{n}: spacing {mm:?} mm; lengths above 0 were expected")));
        }
        Ok(manifest)
    }

    /// The CRC-32 of what it says, however its file is laid out: it tells data sets apart that somebody mixed up.
    pub fn crc(&self) -> u32 {
        crc32fast::hash(&serde_json::to_vec(self).expect("a manifest serialises"))
    }

    /// Writes the manifest into `dir`.
    pub fn write(&self, dir: &Path) -> Result<(), DataError> {
        let path = dir.join(MANIFEST_FILE);
        let broken = |e: serde_json::Error| DataError::Manifest { path: path.clone(), reason: e.to_string() };
        let mut text = serde_json::to_string_pretty(self).map_err(broken)?;
        text.push('\n');
        fs::write(&path, text).map_err(DataError::io(&path, "write"))
    }
}
