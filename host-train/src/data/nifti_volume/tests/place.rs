//! What is taken of a header that says more than once how its voxels lie.

use super::*;

#[test]
fn negative_lengths_are_lengths() {
    for file in all_kinds() {
        let volume = File { pixdim: [1.0, -1.5, -2.0, -8.0], ..file }.read().unwrap();
        assert_eq!((volume.spacing_mm, volume.notes), ([1.5, 2.0, 8.0], vec![]));
    }
}

#[test]
fn a_length_of_zero_is_the_sform_s_or_an_error() {
    for file in all_kinds() {
        for (axis, nothing) in [(1, 0.0), (2, f64::NAN), (3, 0.0), (3, f64::INFINITY)] {
            let mut file = file.clone();
            file.pixdim[axis] = nothing;
            file.refused(&[&format!("pixdim[{axis}] is {nothing}"), "not a length"]);
            file.qform = (1, [0.0; 6]);
            file.refused(&[&format!("pixdim[{axis}] is {nothing}")]);
            file.sform = (1, SFORM);
            assert_eq!(file.read().unwrap().spacing_mm, [1.5, 2.0, 8.0]);
        }
    }
}

#[test]
fn pixdim_that_differs_from_the_sform_does_not_count_and_half_a_voxel_over_the_volume_is_noted() {
    for file in all_kinds() {
        // Over 3 voxels of 1.5 mm, half a voxel is 0.25 mm each.
        for (own, noted) in [(1.5, false), (1.26, false), (1.24, true), (1.74, false), (1.76, true), (1.0, true)] {
            let mut file = File { sform: (2, SFORM), ..file.clone() };
            file.pixdim[1] = own;
            let volume = file.read().unwrap();
            assert_eq!((volume.spacing_mm, volume.affine()), ([1.5, 2.0, 8.0], Some(SFORM)), "{own}");
            let said = format!("its pixdim says voxels of {own}x2x8 mm, its sform 1.5x2x8 mm; the sform counts");
            assert_eq!(volume.notes, if noted { vec![said] } else { vec![] });
        }
        // Slices of which there are few, or one, differ by much before it is half of one.
        for (slices, own) in [(10, 7.65), (1, 4.1), (1, 11.9)] {
            let voxels = vec![1; 6 * slices as usize];
            let file = File { dim: vec![3, 2, slices], sform: (2, SFORM), voxels, ..file.clone() };
            let volume = File { pixdim: [1.0, 1.5, 2.0, own], ..file }.read().unwrap();
            assert_eq!((volume.spacing_mm, volume.notes), ([1.5, 2.0, 8.0], vec![]), "{slices} slices of {own} mm");
        }
        // What rounding does to an affine leaves the number that was meant.
        let mut rounded = SFORM;
        rounded[0][0] = -1.500_01;
        assert_eq!(File { sform: (2, rounded), ..file.clone() }.read().unwrap().spacing_mm, [1.5, 2.0, 8.0]);
        // Without a code the sform says nothing.
        let volume = File { pixdim: [1.0; 4], sform: (0, SFORM), ..file }.read().unwrap();
        assert_eq!((volume.spacing_mm, volume.affine(), volume.notes.len()), ([1.0; 3], None, 0));
    }
}

#[test]
fn an_sform_of_unit_lengths_tells_directions_alone() {
    let unit = [[-1.0, 0.0, 0.0, 7.0], [0.0, -1.0, 0.0, 8.0], [0.0, 0.0, 1.0, -9.0]];
    for file in all_kinds() {
        let volume = File { sform: (2, unit), ..file.clone() }.read().unwrap();
        assert_eq!((volume.spacing_mm, volume.affine()), ([1.5, 2.0, 8.0], Some(SFORM)));
        assert_eq!(
            volume.notes,
            ["all lengths of its sform are 1 mm: it tells directions alone, and pixdim the voxels' sizes"]
        );
        // Voxels may well be of 1 mm; and a pixdim without all lengths is no better.
        let cubes = File { sform: (2, unit), pixdim: [1.0; 4], ..file.clone() }.read().unwrap();
        assert_eq!((cubes.spacing_mm, cubes.affine(), cubes.notes.len()), ([1.0; 3], Some(unit), 0));
        let none = File { sform: (2, unit), pixdim: [1.0, 1.5, 2.0, 0.0], ..file }.read().unwrap();
        assert_eq!((none.spacing_mm, none.affine()), ([1.0; 3], Some(unit)));
    }
}

#[test]
fn the_qform_counts_without_an_sform_and_a_difference_is_noted() {
    // Half a turn about z: x and y change sign.
    let half_turn = (1, [0.0, 0.0, 1.0, 7.0, 8.0, -9.0]);
    for file in all_kinds() {
        let with = |qform, sform| File { qform, sform, ..file.clone() }.read().unwrap();
        for sform in [(0, [[0.0; 4]; 3]), (1, SFORM)] {
            let volume = with(half_turn, sform);
            assert_eq!((volume.affine(), volume.notes.len()), (Some(SFORM), 0), "{:?}", volume.notes);
        }
        let unturned = (1, [0.0, 0.0, 0.0, 7.0, 8.0, -9.0]);
        let volume = with(unturned, (1, SFORM));
        assert_eq!(volume.axes(), Some(Axes::LPS));
        let [note] = &volume.notes[..] else { panic!("{:?}", volume.notes) };
        for word in [
            "LPS, first voxel at (7, 8, -9) mm",
            "RAS, first voxel at (7, 8, -9) mm",
            "7.2111 mm apart",
            "sform counts",
        ] {
            assert!(note.contains(word), "{note}");
        }
        // Less than half a voxel apart along each axis.
        assert_eq!(with((1, [0.0, 0.0, 1.0, 7.7, 8.9, -5.1]), (1, SFORM)).notes, [""; 0]);
        assert_eq!(with((1, [0.0, 0.0, 1.0, 7.0, 8.0, -4.9]), (1, SFORM)).notes.len(), 1);
    }
}

#[test]
fn forms_of_other_directions_are_noted_beside_other_lengths() {
    let unit = [[-1.0, 0.0, 0.0, 7.0], [0.0, -1.0, 0.0, 8.0], [0.0, 0.0, 1.0, -9.0]];
    let (turned, unturned) = ((1, [0.0, 0.0, 1.0, 7.0, 8.0, -9.0]), (1, [0.0, 0.0, 0.0, 7.0, 8.0, -9.0]));
    for file in all_kinds() {
        let other = File { pixdim: [1.0, 1.5, 2.0, 3.0], sform: (1, SFORM), ..file.clone() };
        for (file, first) in [(File { sform: (1, unit), ..file }, "directions alone"), (other, "its pixdim says")] {
            // Lengths are one contradiction, directions another.
            let same = File { qform: turned, ..file.clone() }.read().unwrap().notes;
            assert!(same.len() == 1 && same[0].contains(first), "{same:?}");
            let both = File { qform: unturned, ..file }.read().unwrap().notes;
            assert!(both.len() == 2 && both[0].contains(first) && both[1].contains("7.2111 mm apart"), "{both:?}");
        }
    }
}

#[test]
fn an_sform_that_is_no_affine_does_not_count() {
    let mut flat = SFORM;
    flat[2] = [0.0; 4];
    let mut infinite = SFORM;
    infinite[0][3] = f64::INFINITY;
    for sform in [[[0.0; 4]; 3], flat, infinite] {
        let file = File { sform: (1, sform), qform: (1, [0.0, 0.0, 1.0, 7.0, 8.0, -9.0]), ..File::plain() };
        let volume = file.read().unwrap();
        assert_eq!((volume.affine(), volume.spacing_mm), (Some(SFORM), [1.5, 2.0, 8.0]));
        assert_eq!(volume.notes, ["its sform (code 1) is no affine and does not count"]);
    }
}

#[test]
fn units_are_those_of_all_lengths() {
    for (units, mm) in [(0, 1.0), (2, 1.0), (1, 1000.0), (3, 0.001), (2 | 8, 1.0)] {
        let volume = File { units, sform: (1, SFORM), ..File::plain() }.read().unwrap();
        assert_eq!(volume.spacing_mm, [1.5, 2.0, 8.0].map(|length| (length * mm) as f32), "{units}");
        assert_eq!(volume.affine().unwrap()[2], [0.0, 0.0, 8.0, -9.0].map(|length: f64| length * mm));
        assert!(volume.notes.is_empty(), "{:?}", volume.notes);
    }
}
