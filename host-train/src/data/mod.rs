//! Data sets: reading them, making them, and the one form on disk that everything else uses.
//!
//! A data set is a folder with 16-bit images, 8-bit labels and a manifest:
//!
//! ```text
//! DST/manifest.json
//! DST/patient001/images/0.png    16-bit grey, a volume's maximum at 65535
//! DST/patient001/labels/0.png    8-bit grey, the value is the class: 0 background, 1 RV, 2 myocardium, 3 LV
//! ```
//!
//! Data with diagnoses instead of masks have no `labels`; the manifest says so.
//!
//! Slices of a patient count from 0: end-diastole in the order of the slices' axis, then end-systole. [`import`] makes such a
//! folder from files in one of the layouts of [`formats`], [`phantom`] makes one out of nothing, [`Dataset::open`] loads one, `info` describes one and lists what is wrong with it.

mod error;
mod folder;

pub mod acdc;
pub(crate) mod affine;
pub(crate) mod alignment;
pub mod axes;
pub(crate) mod dataset;
pub mod formats;
mod grid;
pub mod import;
pub(crate) mod in_turn;
pub(crate) mod info;
pub(crate) mod info_cfg;
pub(crate) mod intensity;
pub mod labels;
pub(crate) mod losses;
pub(crate) mod manifest;
pub mod measured;
pub(crate) mod names;
pub(crate) mod nifti_import;
pub mod nifti_volume;
pub(crate) mod nnunet;
pub(crate) mod notes;
pub(crate) mod orientation;
pub mod phantom;
pub(crate) mod png_file;
pub mod png_tree;
pub(crate) mod resample;
pub mod restore;
pub(crate) mod split;

pub use axes::{Axes, Reorder};
pub use dataset::{Dataset, Slice, SliceId, Volume};
pub use error::DataError;
pub use info::Info;
pub use labels::{Diagnosis, Labels, LabelsError, MOST_LABELS};
pub use manifest::{Manifest, Phase, SliceRecord};
pub use split::{Split, SplitRule};

/// Every layout of files that data sets are made from. The first is the one that is read unless another is asked for.
pub static FORMATS: [formats::Format; 3] = [acdc::FORMAT, nnunet::FORMAT, png_tree::FORMAT];

/// Number of classes: background, right ventricle, myocardium, left ventricle.
pub const CLASSES: usize = 4;

/// The lowest class with the largest of the classes' values.
pub fn largest_class(values: &[f32]) -> u8 {
    (1..values.len()).fold(0, |best, class| if values[class] > values[best] { class } else { best }) as u8
}

/// Names of the classes, in order.
pub const CLASS_NAMES: [&str; CLASSES] = ["background", "RV", "myocardium", "LV"];
