//! Label volumes are written on the grid of the image that they belong to.

use std::fs;
use std::path::Path;

use kscout::data::nifti_volume::{DEFAULT_MAX_BYTES, NiftiVolume};
use kscout::metrics::compare::compare_files;
use kscout_tests::acdc_tree::{image, label};

/// An image of 40x32x2 voxels with a place in space, a unit and a window to show it in.
fn placed_image() -> Vec<u8> {
    let mut bytes = image().bytes();
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(123, &[2 | 8]); // mm and seconds
    put(124, &900f32.to_le_bytes()); // the brightest value shown
    put(76, &(-1f32).to_le_bytes()); // left-handed
    put(252, &1i16.to_le_bytes());
    put(254, &2i16.to_le_bytes());
    for (at, value) in [(256, 0.1), (260, -0.2), (264, 0.3), (268, 11.0), (272, -12.0), (276, 13.0)] {
        put(at, &f32::to_le_bytes(value));
    }
    for (index, value) in [-1.5, 0.1, 0.0, 30.0, 0.2, 1.4, 0.0, -40.0, 0.0, 0.3, 10.0, 50.0].into_iter().enumerate() {
        put(280 + 4 * index, &f32::to_le_bytes(value));
    }
    bytes
}

fn classes(volume: &NiftiVolume) -> Vec<u8> {
    (0..volume.voxels.len()).map(|index| (index / 7 % 4) as u8).collect()
}

/// Writes labels beside an image and reads them back.
#[track_caller]
fn round_trip(folder: &Path, image: &[u8], name: &str) -> (NiftiVolume, NiftiVolume) {
    fs::write(folder.join("image.nii"), image).unwrap();
    let image = NiftiVolume::read(&folder.join("image.nii")).unwrap();
    let path = folder.join(name);
    image.write_classes(&path, &classes(&image)).unwrap();
    let written = NiftiVolume::read(&path).unwrap();
    assert_eq!(written.classes(&path).unwrap(), classes(&image), "{name}");
    (image, written)
}

#[test]
fn labels_have_the_image_s_grid_and_place() {
    let tmp = tempfile::tempdir().unwrap();
    for name in ["out/labels.nii", "out/labels.nii.gz", "out/a.b_frame01.c.nii", "out/a.b_frame01.c.nii.gz"] {
        let (image, labels) = round_trip(tmp.path(), &placed_image(), name);
        assert_eq!((labels.dim, labels.spacing_mm), (image.dim, image.spacing_mm), "{name}");
        assert_eq!(labels.affine(), image.affine(), "{name}");
        assert!(image.affine().is_some());
    }
    let mut names: Vec<_> =
        fs::read_dir(tmp.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.b_frame01.c.nii", "a.b_frame01.c.nii.gz", "labels.nii", "labels.nii.gz"]);
}

#[test]
fn the_header_is_the_image_s_but_for_what_describes_its_values() {
    let tmp = tempfile::tempdir().unwrap();
    let image = placed_image();
    round_trip(tmp.path(), &image, "labels.nii");
    let labels = fs::read(tmp.path().join("labels.nii")).unwrap();
    assert_eq!(labels.len(), 352 + 40 * 32 * 2, "one byte a voxel");
    // dim, pixdim, units, and qform and sform with all their numbers.
    for range in [40..56, 76..108, 123..124, 252..328] {
        assert_eq!(labels[range.clone()], image[range.clone()], "bytes {range:?}");
    }
    assert_eq!(labels[70..74], [2, 0, 8, 0], "bytes of 8 bits");
    assert_eq!(labels[124..132], [0; 8], "no window");
}

#[test]
fn a_file_of_two_dimensions_stays_one() {
    let tmp = tempfile::tempdir().unwrap();
    let mut flat = placed_image();
    flat[40] = 2;
    flat[46] = 0;
    flat[254] = 0; // no sform, whose lengths are not those of pixdim
    flat[88..92].fill(0); // no distance along an axis that is not there
    flat.truncate(352 + 4 * 40 * 32);
    let (image, _) = round_trip(tmp.path(), &flat, "labels.nii");
    assert_eq!((image.dim, image.spacing_mm), ([40, 32, 1], [1.5, 1.5, 1.0]));
    assert_eq!(fs::read(tmp.path().join("labels.nii")).unwrap()[40..46], [2, 0, 40, 0, 32, 0]);
}

#[test]
fn qform_places_what_has_no_sform() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("image.nii");
    let mut bytes = image().bytes();
    // Half a turn about z: x and y change sign. pixdim is 1.5, 1.5, 10.
    bytes[252] = 1;
    bytes[264..268].copy_from_slice(&1f32.to_le_bytes());
    bytes[268..272].copy_from_slice(&5f32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let expected = [[-1.5, 0.0, 0.0, 5.0], [0.0, -1.5, 0.0, 0.0], [0.0, 0.0, 10.0, 0.0]];
    assert_eq!(NiftiVolume::read(&path).unwrap().affine(), Some(expected));
    bytes[252] = 0;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(NiftiVolume::read(&path).unwrap().affine(), None);
}

#[test]
fn lengths_in_other_units_are_converted() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("image.nii");
    let mut bytes = image().bytes();
    for (unit, expected) in [(0, [1.5, 1.5, 10.0]), (2, [1.5, 1.5, 10.0]), (3, [0.0015, 0.0015, 0.01])] {
        bytes[123] = unit;
        fs::write(&path, &bytes).unwrap();
        let found = NiftiVolume::read(&path).unwrap().spacing_mm;
        assert!(found.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{unit}: {found:?}");
    }
}

/// Labels of voxels of 1.5x1.5x10 mm in a file whose unit has this code and so many to a mm, moved along x.
fn placed_labels(code: u8, units_per_mm: f32, shift_mm: f32) -> Vec<u8> {
    let mut volume = label();
    volume.spacing_mm = [1.5, 1.5, 10.0].map(|mm| mm * units_per_mm);
    let mut bytes = volume.bytes();
    bytes[123] = code;
    bytes[254] = 1;
    for (at, mm) in [(280, 1.5), (292, shift_mm), (300, 1.5), (320, 10.0)] {
        bytes[at..at + 4].copy_from_slice(&f32::to_le_bytes(mm * units_per_mm));
    }
    bytes
}

#[test]
fn how_far_files_lie_apart_is_told_in_mm_whatever_their_units() {
    let tmp = tempfile::tempdir().unwrap();
    let [truth, prediction] = ["truth.nii", "prediction.nii"].map(|name| tmp.path().join(name));
    let (metres, mm, microns) = ((1, 1e-3), (2, 1.0), (3, 1e3));
    for (true_unit, unit) in [(metres, metres), (microns, microns), (mm, mm), (mm, metres), (microns, mm)] {
        fs::write(&truth, placed_labels(true_unit.0, true_unit.1, 7.0)).unwrap();
        for (shift_mm, misplaced) in [(0.0, false), (0.5, false), (1.0, true)] {
            fs::write(&prediction, placed_labels(unit.0, unit.1, 7.0 + shift_mm)).unwrap();
            let compared = compare_files(&truth, &prediction, DEFAULT_MAX_BYTES).unwrap();
            let apart = compared.apart_mm.unwrap();
            assert!((apart - f64::from(shift_mm)).abs() < 1e-4, "{true_unit:?}, {unit:?}: {apart} for {shift_mm} mm");
            assert_eq!(compared.misplaced, misplaced, "{true_unit:?}, {unit:?}: {shift_mm} mm");
        }
    }
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_the_old_file() {
    let tmp = tempfile::tempdir().unwrap();
    let (image, _) = round_trip(tmp.path(), &placed_image(), "labels.nii");
    let before = fs::read(tmp.path().join("labels.nii")).unwrap();
    let error = image.write_classes(&tmp.path().join("labels.nii"), &[0; 7]).unwrap_err().to_string();
    assert!(error.contains("labels.nii") && error.contains("7 classes for dimensions [40, 32, 2]"), "{error}");
    let error = image.write_classes(&tmp.path().join("labels.png"), &classes(&image)).unwrap_err().to_string();
    assert!(error.contains("labels.png") && error.contains(".nii.gz"), "{error}");
    let error = image.write_classes(&tmp.path().join("image.nii/labels.nii"), &classes(&image)).unwrap_err();
    assert!(error.to_string().contains("image.nii/labels.nii"), "{error}");
    assert_eq!(fs::read(tmp.path().join("labels.nii")).unwrap(), before);
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 2, "nothing is left beside the files");
}

#[test]
fn acdc_s_labels_written_on_acdc_s_images_are_equal_in_everything_that_counts() {
    let Some(acdc) = kscout_tests::acdc_dir() else {
        eprintln!("skipped: no ACDC training set; name its folder in KSCOUT_ACDC to run this");
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    for patient in ["patient001", "patient037"] {
        let folder = acdc.join(patient);
        let truth = folder.join(format!("{patient}_frame01_gt.nii.gz"));
        let written = tmp.path().join(format!("{patient}_seg.nii.gz"));
        let labels = NiftiVolume::read(&truth).unwrap().classes(&truth).unwrap();
        let image = NiftiVolume::read(&folder.join(format!("{patient}_frame01.nii.gz"))).unwrap();
        image.write_classes(&written, &labels).unwrap();
        let compared = compare_files(&truth, &written, DEFAULT_MAX_BYTES).unwrap();
        assert!(compared.scores.0.iter().all(|scores| scores.dice == Some(1.0) && scores.hd_mm == Some(0.0)));
        assert!(!compared.misplaced, "{patient}: corners {:?} apart", compared.apart_mm);
    }
}
