//! The layouts of files that data sets are made from.
//!
//! A new layout is a file beside this one with the [`Format`] that reads it, and its line in [`FORMATS`]. It reads patients into
//! [`PreparedPatient`](super::import::PreparedPatient)s, and [`write_dataset`](super::import::write_dataset) does the rest; for
//! NIfTI files `nifti_import` does that too.

use std::path::Path;

use super::import::{ImportOptions, Imported, Progress};
use super::{DataError, FORMATS};

/// A layout of files.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// How its files lie.
    pub about: &'static str,
    /// Whether a folder has this layout and no other for certain. It is then read so even where no layout was asked for.
    pub is_certain: fn(&Path) -> bool,
    /// Imports the folder `src` into the data set `dst`.
    pub import: fn(src: &Path, dst: &Path, &ImportOptions, &dyn Progress) -> Result<Imported, DataError>,
}

impl Format {
    /// The layout of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// This layout, or, if it is the first, the one that the folder `src` has for certain.
    pub fn of(&'static self, src: &Path) -> &'static Self {
        let certain = || FORMATS.iter().find(|format| (format.is_certain)(src));
        if self.name == FORMATS[0].name { certain().unwrap_or(self) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layout_gives_way_to_one_that_the_folder_has_for_certain() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path();
        std::fs::create_dir_all(dir.join("imagesTr")).unwrap();
        let of = |name: &str, src: &Path| Format::named(name).unwrap().of(src).name;
        assert_eq!([of("acdc", dir), of("png", dir)], ["nnunet", "png"]);
        assert_eq!(of("acdc", &dir.join("imagesTr")), "acdc");
    }
}
