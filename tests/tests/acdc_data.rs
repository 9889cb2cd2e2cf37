//! From ACDC's files to slices in memory.

use std::fs;
use std::path::Path;

use kscout::data::import::ImportOptions;
use kscout::data::phantom::{self, PhantomOptions};
use kscout::data::{Dataset, Info, Phase, Split, SplitRule, acdc, png_tree};
use kscout_tests::acdc_tree::{Volume, file, image, label, write_patient};

fn options(size: usize) -> ImportOptions {
    ImportOptions { size, ..ImportOptions::default() }
}

fn import(src: &Path, dst: &Path, options: &ImportOptions) -> Dataset {
    acdc::import(src, dst, options, &()).unwrap();
    Dataset::open(dst).unwrap()
}

#[test]
fn a_patient_becomes_its_slices_end_diastole_first() {
    let tmp = tempfile::tempdir().unwrap();
    write_patient(&tmp.path().join("src"), "patient007", "HCM");
    let data = import(&tmp.path().join("src"), &tmp.path().join("dst"), &options(32));
    let order: Vec<(u32, Phase, u32)> = data.all().iter().map(|s| (s.id.n, s.phase, s.z)).collect();
    assert_eq!(order, [(0, Phase::Ed, 0), (1, Phase::Ed, 1), (2, Phase::Es, 0), (3, Phase::Es, 1)]);
    let slice = data.find("patient007/3").unwrap();
    assert_eq!((slice.group.as_str(), slice.split, slice.spacing_mm), ("HCM", Split::Train, [1.5, 1.5, 10.0]));
    assert_eq!((slice.height, slice.width, slice.image.len(), slice.label.len()), (32, 32, 1024, 1024));
    let volumes = data.volumes(Split::Train);
    assert_eq!(volumes.iter().map(|v| (v.phase, v.slices.len())).collect::<Vec<_>>(), [(Phase::Ed, 2), (Phase::Es, 2)]);
}

#[test]
fn pixels_keep_their_place_and_proportion() {
    let tmp = tempfile::tempdir().unwrap();
    write_patient(&tmp.path().join("src"), "patient001", "NOR");
    let data = import(&tmp.path().join("src"), &tmp.path().join("dst"), &options(32));
    let (image, label) = (image(), label());
    let kept = image.voxels.iter().enumerate().filter(|(i, _)| (4..36).contains(&(i % 40)));
    let max = kept.fold(0.0, |max: f32, (_, v)| max.max(*v));
    for (n, z) in [(0, 0), (1, 1)] {
        let slice = &data.all()[n];
        for (y, x) in [(0, 0), (3, 30), (31, 31), (16, 5)] {
            // 40 columns are cropped to 32: column 0 was column 4.
            let source = x + 4 + 40 * y + 40 * 32 * z;
            assert!((slice.image[y * 32 + x] - image.voxels[source] / max).abs() < 2e-5, "slice {n}, y={y}, x={x}");
            assert_eq!(slice.label[y * 32 + x], label.voxels[source] as u8);
        }
    }
}

#[test]
fn the_headers_slope_and_intercept_are_applied() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = write_patient(&tmp.path().join("src"), "patient001", "NOR");
    let scaled = Volume { slope: 0.5, intercept: 100.0, ..image() };
    fs::write(folder.join(file("patient001", 1, false)), scaled.bytes()).unwrap();
    let data = import(&tmp.path().join("src"), &tmp.path().join("dst"), &options(32));
    let (scaled, plain) = (data.find("patient001/0").unwrap(), data.find("patient001/2").unwrap());
    let record = &data.manifest().slices;
    let (a, b) = (record[0].intensity_per_level * 65535.0, record[2].intensity_per_level * 65535.0);
    for i in [0, 100, 1023] {
        let expected = plain.image[i] * b * 0.5 + 100.0;
        assert!((scaled.image[i] * a - expected).abs() < 0.3, "{} is not {expected}", scaled.image[i] * a);
    }
}

#[test]
fn spacing_is_resampled_and_small_slices_are_padded() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = write_patient(&tmp.path().join("src"), "patient001", "NOR");
    for frame in [1, 9] {
        for (volume, truth) in [(image(), false), (label(), true)] {
            let fine = Volume { spacing_mm: [0.75, 0.75, 10.0], ..volume };
            fs::write(folder.join(file("patient001", frame, truth)), fine.bytes()).unwrap();
        }
    }
    let data = import(&tmp.path().join("src"), &tmp.path().join("dst"), &options(32));
    let slice = &data.all()[1];
    // 40x32 pixels of 0.75 mm are 20x16 of 1.5 mm, in the middle of 32x32.
    let filled = |y: usize, x: usize| slice.image[y * 32 + x] > 0.0;
    assert!(filled(8, 6) && filled(23, 25) && !filled(7, 6) && !filled(8, 5) && !filled(24, 25) && !filled(23, 26));
    let native = ImportOptions { spacing_mm: None, ..options(32) };
    let data = import(&tmp.path().join("src"), &tmp.path().join("native"), &native);
    assert_eq!(data.all()[0].spacing_mm, [0.75, 0.75, 10.0]);
}

#[test]
fn splits_are_by_patient_and_the_doubly_drawn_ones_are_left_out() {
    let tmp = tempfile::tempdir().unwrap();
    for patient in ["patient001", "patient055", "patient074", "patient076", "patient100"] {
        write_patient(&tmp.path().join("src"), patient, "NOR");
    }
    let done = acdc::import(&tmp.path().join("src"), &tmp.path().join("dst"), &options(32), &()).unwrap();
    let left_out: Vec<&str> = done.dropped.iter().map(|(patient, _)| patient.as_str()).collect();
    assert_eq!(left_out, ["patient055", "patient076"]);
    let all = ImportOptions { keep_all: true, ..options(32) };
    let all = import(&tmp.path().join("src"), &tmp.path().join("all"), &all);
    assert_eq!(all.all().len(), 20);
    // Data of one's own in ACDC's layout: other groups, and no patient074 whose double patient076 would be.
    write_patient(&tmp.path().join("own"), "patient055", "amyloid");
    write_patient(&tmp.path().join("own"), "patient076", "NOR");
    assert_eq!(import(&tmp.path().join("own"), &tmp.path().join("own-dst"), &options(32)).all().len(), 8);
    let data = Dataset::open(tmp.path().join("dst")).unwrap();
    let patients = |split| data.volumes(split).iter().map(|v| v.patient.to_string()).collect::<Vec<_>>();
    assert_eq!(patients(Split::Train), ["patient001", "patient001", "patient074", "patient074"]);
    assert_eq!(patients(Split::Val), ["patient100", "patient100"]);
    let test = ImportOptions { split: SplitRule::All(Split::Test), ..options(32) };
    assert_eq!(import(&tmp.path().join("src"), &tmp.path().join("test"), &test).slices(Split::Test).len(), 12);
}

#[test]
fn a_data_set_imported_as_png_stays_as_it_is() {
    let tmp = tempfile::tempdir().unwrap();
    write_patient(&tmp.path().join("src"), "patient001", "DCM");
    let first = import(&tmp.path().join("src"), &tmp.path().join("a"), &options(32));
    png_tree::import(&tmp.path().join("a"), &tmp.path().join("b"), &options(32), &()).unwrap();
    let second = Dataset::open(tmp.path().join("b")).unwrap();
    assert_eq!(first.all().len(), second.all().len());
    for (a, b) in first.all().iter().zip(second.all()) {
        assert_eq!((&a.id, a.phase, a.z, &a.group, a.spacing_mm), (&b.id, b.phase, b.z, &b.group, b.spacing_mm));
        assert!(a.image == b.image && a.label == b.label, "{} changed", a.id);
    }
}

#[test]
fn a_png_tree_without_manifest_is_one_volume_a_patient() {
    let tmp = tempfile::tempdir().unwrap();
    write_patient(&tmp.path().join("src"), "patient005", "DCM");
    import(&tmp.path().join("src"), &tmp.path().join("a"), &options(32));
    fs::remove_file(tmp.path().join("a/manifest.json")).unwrap();
    png_tree::import(&tmp.path().join("a"), &tmp.path().join("b"), &options(32), &()).unwrap();
    let data = Dataset::open(tmp.path().join("b")).unwrap();
    let volumes = data.volumes(Split::Val);
    assert_eq!((volumes.len(), volumes[0].slices.len(), volumes[0].phase), (1, 4, Phase::Unknown));
}

#[test]
fn phantoms_open_have_both_splits_and_no_problems() {
    let tmp = tempfile::tempdir().unwrap();
    let wanted = PhantomOptions { patients: 5, seed: 3, size: 64, ..PhantomOptions::default() };
    phantom::make(&tmp.path().join("dst"), &wanted, &()).unwrap();
    let data = Dataset::open(tmp.path().join("dst")).unwrap();
    assert_eq!((data.volumes(Split::Train).len(), data.volumes(Split::Val).len()), (8, 2));
    let info = Info::of(&tmp.path().join("dst")).unwrap();
    assert!(info.problems.is_empty(), "{:?}", info.problems);
    assert_eq!(info.groups.len(), 5);
    assert!(info.splits.iter().all(|split| split.class_share.unwrap().iter().all(|&share| share > 0.005)), "{info}");
}

/// The counts of the real training set, which its licence keeps out of the project.
#[test]
fn the_real_training_set_imports_whole() {
    let Some(src) = kscout_tests::acdc_dir() else {
        eprintln!("skipped: no ACDC training set; name its folder in KSCOUT_ACDC to run this");
        return;
    };
    let tmp = tempfile::tempdir().unwrap();
    let data = import(&src, &tmp.path().join("dst"), &options(128));
    assert_eq!((data.volumes(Split::Train).len(), data.volumes(Split::Val).len()), (158, 38));
    assert_eq!((data.slices(Split::Train).len(), data.slices(Split::Val).len()), (1500, 368));
    let info = Info::of(&tmp.path().join("dst")).unwrap();
    assert!(info.problems.is_empty(), "{:?}", info.problems);
    assert!(["DCM", "HCM", "MINF", "NOR", "RV"].iter().all(|group| info.groups[*group] >= 19), "{:?}", info.groups);
}
