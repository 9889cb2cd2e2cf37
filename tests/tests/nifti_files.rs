//! NIfTI files as programs and people leave them: read right, or refused in words. The files in `tests/cases/nifti` were made
//! with NiBabel from one small synthetic heart.

use std::fs;
use std::path::{Path, PathBuf};

use kscout::data::nifti_volume::NiftiVolume;
use kscout_core::kernels::Layout;
use kscout_tests::acdc_tree::{Volume, label};
#[cfg(target_os = "linux")]
use kscout_tests::memory::run_measured;
use kscout_tests::small_model::random_blob;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/nifti").join(name)
}

fn read(name: &str) -> NiftiVolume {
    NiftiVolume::read(&case(name)).unwrap()
}

fn labels(name: &str) -> Vec<u8> {
    read(name).classes(&case(name)).unwrap()
}

fn metrics(truth: &Path, prediction: &Path) -> Ran {
    run(EXE, [Path::new("metrics"), truth, prediction])
}

#[test]
fn a_gzip_file_of_several_members_is_one_volume() {
    let (whole, members) = (read("reference.nii.gz"), read("multimember.nii.gz"));
    assert!(whole.voxels == members.voxels && whole.voxels.iter().any(|&v| v > 0.0));
    let tmp = tempfile::tempdir().unwrap();
    let padded = tmp.path().join("padded.nii.gz");
    fs::write(&padded, [fs::read(case("multimember.nii.gz")).unwrap(), vec![0; 5000]].concat()).unwrap();
    assert!(NiftiVolume::read(&padded).unwrap().voxels == whole.voxels);
}

#[test]
fn labels_in_other_forms_are_the_reference_s() {
    let reference = labels("reference_gt.nii.gz");
    assert!((0..4).all(|class| reference.contains(&class)));
    for name in
        ["false_gz_gt.nii.gz", "nifti2_gt.nii.gz", "pixneg_gt.nii.gz", "pixz0_gt.nii.gz", "pix1_sform_gt.nii.gz"]
    {
        let volume = read(name);
        assert!(labels(name) == reference, "{name}: other labels");
        assert_eq!(volume.spacing_mm, [1.5625, 1.5625, 10.0], "{name}");
        let said = if name.starts_with("pix1") {
            vec!["its pixdim says voxels of 1x1x1 mm, its sform 1.5625x1.5625x10 mm; the sform counts"]
        } else {
            vec![]
        };
        assert_eq!(volume.notes, said, "{name}");
        let table = metrics(&case("reference_gt.nii.gz"), &case(name)).succeeded();
        assert!(table.contains("29.61"), "{name}: the RV has 29.61 ml\n{table}");
    }
}

#[test]
fn a_compressed_file_without_gz_in_its_name_is_read_too() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("labels.nii");
    fs::copy(case("reference_gt.nii.gz"), &path).unwrap();
    assert!(NiftiVolume::read(&path).unwrap().classes(&path).unwrap() == labels("reference_gt.nii.gz"));
}

#[test]
fn labels_that_were_rounded_are_the_nearest_class() {
    let scaled = read("scaled_uint8_gt.nii.gz");
    assert!(scaled.voxels.iter().any(|&v| v.fract() != 0.0), "not all are whole numbers");
    let classes = labels("scaled_uint8_gt.nii.gz");
    assert!(scaled.voxels.iter().zip(&classes).all(|(v, &class)| (v - f32::from(class)).abs() < 0.01));
    assert!([0, 1, 2].iter().all(|class| classes.contains(class)));
}

#[test]
fn axes_are_told_as_nibabel_tells_them() {
    for (name, axes) in [("reference.nii.gz", "LPS"), ("canonical.nii.gz", "RAS"), ("slice_first.nii.gz", "SLP")] {
        assert_eq!(read(name).axes().unwrap().to_string(), axes, "{name}");
    }
    assert_eq!(read("vox352.nii").axes(), None, "neither sform nor qform");
}

#[test]
fn voxels_are_brought_from_one_order_into_another() {
    let reference = read("reference.nii.gz");
    for name in ["canonical.nii.gz", "slice_first.nii.gz"] {
        let other = read(name);
        let reorder = other.axes().unwrap().to(reference.axes().unwrap());
        assert_eq!(reorder.axes(other.dim), reference.dim, "{name}");
        assert!(reorder.apply(&other.voxels, other.dim) == reference.voxels, "{name}");
        assert_eq!(Some(reorder.affine(&other.affine().unwrap(), other.dim)), reference.affine(), "{name}");
    }
}

#[test]
fn voxels_are_read_from_where_the_header_says() {
    let ran = metrics(&case("vox352.nii"), &case("vox1376.nii")).succeeded();
    assert!(ran.contains("1.0000"), "{ran}");
    assert!(labels("vox352.nii") == labels("vox1376.nii"));
}

#[test]
fn a_damaged_gzip_stream_is_refused() {
    read("whole.nii.gz");
    metrics(&case("whole.nii.gz"), &case("bit_flipped.nii.gz")).refused(&[
        "bit_flipped.nii.gz",
        "damaged",
        "copy it again",
    ]);
}

/// Every bit of the compressed data, of the checksum and of the length; not those of the header, which say when and where the
/// file was made and which no checksum covers. The few bits that change nothing, those of codes that never occur and those
/// that fill up the last byte, nobody can notice: there the voxels are what they were.
#[test]
fn every_flipped_bit_that_changes_anything_is_refused() {
    let whole = fs::read(case("whole.nii.gz")).unwrap();
    let expected = read("whole.nii.gz");
    assert_eq!(whole[3], 0, "ten bytes of header, and no name");
    let bits = 8 * 10..8 * whole.len();
    let mut unnoticed = 0;
    for bit in bits.clone() {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(volume) = NiftiVolume::from_bytes(&flipped, 1 << 20) {
            assert!(volume.voxels == expected.voxels, "bit {bit} changes voxels without a word");
            unnoticed += 1;
        }
    }
    assert!(unnoticed * 500 < bits.len(), "{unnoticed} of {} bits are not noticed", bits.len());
}

#[test]
fn a_prediction_with_its_axes_in_another_order_is_compared_where_it_lies() {
    // The truth's labels, stored as the canonical image is.
    let tmp = tempfile::tempdir().unwrap();
    let (reference, canonical) = (labels("reference_gt.nii.gz"), read("canonical.nii.gz"));
    let reorder = read("reference_gt.nii.gz").axes().unwrap().to(canonical.axes().unwrap());
    let prediction = tmp.path().join("prediction.nii.gz");
    canonical.write_classes(&prediction, &reorder.apply(&reference, read("reference_gt.nii.gz").dim)).unwrap();
    let ran = metrics(&case("reference_gt.nii.gz"), &prediction);
    assert!(ran.stderr.contains("prediction.nii.gz: stored as RAS, the truth as LPS"), "{}", ran.stderr);
    assert_eq!(ran.succeeded().matches("1.0000").count(), 6, "Dice and IoU of three structures");
}

#[test]
fn what_a_file_contradicts_itself_in_is_noted_once() {
    let said = metrics(&case("pix1_sform_gt.nii.gz"), &case("pix1_sform_gt.nii.gz")).stderr;
    assert_eq!(said.matches("pixdim says voxels of 1x1x1 mm, its sform 1.5625x1.5625x10 mm").count(), 2, "{said}");
    assert!(said.contains("the same of 1 more file"), "{said}");
}

/// A header of 2000 x 2000 x 400 bytes, and a gzip file of as many zeros: 100 members of 16 MB, packed once.
fn bomb() -> Vec<u8> {
    let mut header = Volume::new([1, 1, 1], |_, _, _| 0.0).bytes();
    header.truncate(352);
    for (at, value) in [(42, 2000u16), (44, 2000), (46, 400), (70, 2), (72, 8)] {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    let tmp = tempfile::tempdir().unwrap();
    let packed = |name: &str, bytes: &[u8]| {
        let path = tmp.path().join(name);
        fs::write(&path, bytes).unwrap();
        let ran = std::process::Command::new("gzip").arg("-c").arg(&path).output().expect("gzip runs");
        assert!(ran.status.success());
        ran.stdout
    };
    [packed("header", &header), packed("zeros", &vec![0; 16_000_000]).repeat(100)].concat()
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_unpacks_to_far_more_is_refused_in_little_memory() {
    let tmp = tempfile::tempdir().unwrap();
    let bomb_path = tmp.path().join("bomb.nii.gz");
    fs::write(&bomb_path, bomb()).unwrap();
    let words = ["bomb.nii.gz", "2000x2000x400 voxels", "above the limit of 0.5 GiB", "--max-gib"];
    let mut most = 0;
    let mut refused = |args: &[&Path], words: &[&str]| {
        let (ran, peak) = run_measured(EXE, args);
        most = most.max(peak);
        ran.refused(words);
    };
    refused(&[Path::new("metrics"), &bomb_path, &bomb_path], &words);
    let blob = tmp.path().join("model.kscout");
    fs::write(&blob, random_blob(Layout::Portable)).unwrap();
    let out = tmp.path().join("out");
    let predict = [Path::new("predict"), Path::new("--blob"), &blob, Path::new("--out"), &out, &bomb_path];
    refused(&predict, &words);
    assert!(!out.exists(), "nothing is written");
    let error = NiftiVolume::read(&bomb_path).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    // The same stream behind a small volume.
    let mut long = fs::read(&bomb_path).unwrap();
    let small = label().bytes();
    let path = tmp.path().join("small.nii");
    fs::write(&path, small).unwrap();
    let small = std::process::Command::new("gzip").arg("-c").arg(&path).output().expect("gzip runs").stdout;
    long.splice(0..0, small);
    let long_path = tmp.path().join("long.nii.gz");
    fs::write(&long_path, long).unwrap();
    refused(&[Path::new("metrics"), &long_path, &long_path], &["long.nii.gz", "unpacked", "0.5 GiB"]);
    assert!(most < 300 << 20, "{} MiB", most >> 20);
}

/// A folder of so many files that take 16 MB each in memory, NAME1.nii and on, of an image or of labels.
#[cfg(target_os = "linux")]
fn large_files(folder: &Path, end: &str, count: usize, voxel: impl Fn(u16, u16, u16) -> f32) {
    fs::create_dir_all(folder).unwrap();
    let name = |number: usize| folder.join(format!("patient{number:03}{end}.nii"));
    fs::write(name(1), Volume::new([256, 256, 64], voxel).bytes()).unwrap();
    (2..=count).for_each(|number| fs::hard_link(name(1), name(number)).unwrap());
}

#[cfg(target_os = "linux")]
fn small_heart(x: u16, y: u16, z: u16) -> f32 {
    if (120..130).contains(&x) && (120..130).contains(&y) { f32::from(1 + z % 3) } else { 0.0 }
}

#[test]
#[cfg(target_os = "linux")]
fn many_pairs_take_no_more_memory_than_one_where_each_has_all_that_is_allowed() {
    let tmp = tempfile::tempdir().unwrap();
    let peak = |pairs: usize| {
        let [truth, prediction] = ["truth", "prediction"].map(|name| tmp.path().join(format!("{name}{pairs}")));
        large_files(&truth, "_gt", pairs, small_heart);
        large_files(&prediction, "", pairs, small_heart);
        let command = [Path::new("metrics"), Path::new("--max-gib"), Path::new("0.02"), &truth, &prediction];
        let (ran, peak) = run_measured(EXE, command);
        assert!(ran.succeeded().contains(&format!("Paired {pairs} volumes")));
        peak
    };
    let [one, eight] = [1, 8].map(peak);
    assert!(eight < 2 * one, "{} MiB of eight, {} MiB of one", eight >> 20, one >> 20);
}

#[test]
#[cfg(target_os = "linux")]
fn many_patients_are_imported_in_no_more_memory_than_one_where_each_has_all_that_is_allowed() {
    let tmp = tempfile::tempdir().unwrap();
    let peak = |patients: usize| {
        let [src, dst] = ["src", "dst"].map(|name| tmp.path().join(format!("{name}{patients}")));
        large_files(&src.join("imagesTr"), "_0000", patients, |x, y, _| f32::from(1 + x % 16 + y));
        large_files(&src.join("labelsTr"), "", patients, small_heart);
        let command = ["data", "import", "--size", "32", "--max-gib", "0.04"].map(Path::new);
        let (ran, peak) = run_measured(EXE, command.into_iter().chain([src.as_path(), &dst]));
        assert!(ran.succeeded().contains(&format!("{} slices of 32 x 32 pixels", 64 * patients)));
        peak
    };
    let [one, eight] = [1, 8].map(peak);
    assert!(eight < 2 * one, "{} MiB of eight, {} MiB of one", eight >> 20, one >> 20);
}
