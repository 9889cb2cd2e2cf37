//! Places in space: image and label, orders of axes, sizes.

use kscout_tests::acdc_tree::Volume;

use super::{Folder, LPS, assert_alike, assert_says, image, label, mirrored, placed, slice_first};

#[test]
fn labels_stored_in_another_order_are_brought_onto_the_image() {
    let plain = Folder::acdc();
    let (said, plain) = plain.imported(&[]);
    assert!(!said.contains("note:"), "{said}");
    for turned in [mirrored, slice_first] {
        let folder = Folder::acdc();
        folder.write("src/patient001/patient001_frame12_gt.nii", turned(&label(), LPS));
        let (said, data) = folder.imported(&[]);
        assert_says(&said, &["note: patient001/ES: the label's axes run another way"]);
        assert_alike(&plain, &data);
    }
}

#[test]
fn volumes_in_another_order_are_brought_into_that_of_most() {
    let cases = ["patient001", "patient002", "patient003"];
    let (_, plain) = Folder::nnunet(&cases).imported(&[]);
    for turned in [mirrored, slice_first] {
        let folder = Folder::nnunet(&cases);
        folder.write("src/imagesTr/patient001_0000.nii", turned(&image(), LPS));
        folder.write("src/labelsTr/patient001.nii", turned(&label(), LPS));
        let (said, data) = folder.imported(&[]);
        assert_says(&said, &["note: patient001: axes", "brought into the order LPS"]);
        assert_alike(&plain, &data);
        assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    }
}

#[test]
fn labels_elsewhere_are_refused_with_both_numbers() {
    let name = "patient001_frame12_gt.nii";
    let folder = Folder::acdc();
    let fine = [[-1.0, 0.0, 0.0, 70.0], [0.0, -1.0, 0.0, 60.0], LPS[2]];
    folder.write(&format!("src/patient001/{name}"), placed(&Volume { spacing_mm: [1.0, 1.0, 10.0], ..label() }, fine));
    folder.refused(&[], &[name, "spacing 1 x 1 x 10 mm", "patient001_frame12.nii has 1.5 x 1.5 x 10 mm"]);
    let shifted = [[-1.5, 0.0, 0.0, 71.0], LPS[1], LPS[2]];
    folder.write(&format!("src/patient001/{name}"), placed(&label(), shifted));
    folder.refused(&[], &[name, "first voxel at (71, 60, -20) mm", "(70, 60, -20) mm"]);
    // Without a form the spacing still counts.
    folder.write(&format!("src/patient001/{name}"), Volume { spacing_mm: [1.5, 1.5, 8.0], ..label() }.bytes());
    folder.refused(&[], &[name, "spacing 1.5 x 1.5 x 8 mm", "1.5 x 1.5 x 10 mm"]);
}

#[test]
fn labels_within_half_a_voxel_or_without_a_form_are_taken() {
    let (_, plain) = Folder::acdc().imported(&[]);
    let folder = Folder::acdc();
    let near = [[-1.5, 0.0, 0.0, 70.7], LPS[1], LPS[2]];
    folder.write("src/patient001/patient001_frame12_gt.nii", placed(&label(), near));
    let (said, data) = folder.imported(&[]);
    assert!(!said.contains("note:"), "{said}");
    assert_alike(&plain, &data);
    folder.write("src/patient001/patient001_frame12_gt.nii", label().bytes());
    let (said, data) = folder.imported(&[]);
    assert_says(&said, &["note: patient001/ES: image or label does not say where it lies"]);
    assert_alike(&plain, &data);
}

/// ACDC's own files have an sform whose axes are one long, beside the true voxel sizes.
#[test]
fn a_form_without_sizes_leaves_those_that_the_header_has() {
    let units = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let folder = Folder::acdc();
    for frame in ["01", "12"] {
        folder.write(&format!("src/patient001/patient001_frame{frame}.nii"), placed(&image(), units));
        folder.write(&format!("src/patient001/patient001_frame{frame}_gt.nii"), placed(&label(), units));
    }
    let (_, data) = folder.imported(&["--spacing", "native"]);
    assert_eq!(data.all()[0].spacing_mm, [1.5, 1.5, 10.0]);
    assert_eq!(data.manifest().axes.unwrap().to_string(), "LPS");
    let (_, plain) = Folder::acdc().imported(&["--spacing", "native"]);
    assert_alike(&plain, &data);
}

#[test]
fn voxels_of_no_sensible_size_are_refused() {
    let folder = Folder::acdc();
    let tiny = Volume { spacing_mm: [0.0015, 0.0015, 0.01], ..image() };
    folder.write("src/patient001/patient001_frame01.nii", tiny.bytes());
    let tiny = Volume { spacing_mm: [0.0015, 0.0015, 0.01], ..label() };
    folder.write("src/patient001/patient001_frame01_gt.nii", tiny.bytes());
    folder.refused(&[], &["patient001_frame01.nii", "voxels of 0.0015 mm", "unit"]);
}

#[test]
fn files_above_the_limit_are_refused_and_the_option_raises_it() {
    let folder = Folder::acdc();
    folder.refused(&["--max-gib", "0.00001"], &["patient001_frame", ".nii", "--max-gib"]);
    folder.imported(&["--max-gib", "0.001"]);
    // Slices of 2x2 pixels become as large as the data set's.
    let folder = Folder::nnunet(&[]);
    folder.write("src/imagesTr/thin_0000.nii", Volume::new([2, 2, 100], |x, y, _| f32::from(1 + x + y)).bytes());
    folder
        .refused(&["--max-gib", "0.001"], &["thin_0000.nii", "100 slices", "64x64 pixels each", "limit of 0.001 GiB"]);
    folder.imported(&["--max-gib", "0.002"]);
}
