//! Whether an image and its label show the same place, and in which order the label's axes are brought onto the image's.
//!
//! Grids lie on each other where every corner voxel of one is within half a voxel of the other's, along each axis, and their
//! spacing differs by no more than rounding does. A label
//! that is stored mirrored, or with other axes first, and whose affine says so, is the same place in another order.

use std::path::{Path, PathBuf};

use super::DataError;
use super::affine::{APART, Affine, is_usable, lengths_mm, lie_apart};
use super::axes::{Axes, Reorder};
use super::notes::Remark;

/// By which part of itself a spacing may differ, however few voxels there are: programs round to three digits.
const ROUNDED: f64 = 0.02;

/// A file's grid of voxels.
#[derive(Clone, Copy)]
pub struct GridOf<'a> {
    /// The file.
    pub path: &'a Path,
    /// Voxels along x, y and z.
    pub dim: [usize; 3],
    /// Their distances in mm.
    pub spacing_mm: [f32; 3],
    /// Where it lies, where the file says so.
    pub affine: Option<Affine>,
}

/// How a label is brought onto its image's grid, and what there is to say about it.
///
/// # Errors
/// [`DataError::Shape`] for other dimensions; [`DataError::Place`] for another spacing, direction or place, with the numbers of
/// both.
pub fn onto_image(label: GridOf, image: GridOf) -> Result<(Reorder, Option<Remark>), DataError> {
    let usable = |grid: &GridOf| grid.affine.filter(is_usable);
    let (Some(from), Some(to)) = (usable(&label), usable(&image)) else {
        expect_dim(label, image, label.dim)?;
        expect_spacing(label, image, label.spacing_mm.map(f64::from), image.spacing_mm.map(f64::from))?;
        return Ok((Reorder::NONE, Some(Remark::NoPlace)));
    };
    let reorder = order(&from, &to);
    expect_dim(label, image, reorder.axes(label.dim))?;
    let from = reorder.affine(&from, label.dim);
    expect_spacing(label, image, lengths_mm(&from), lengths_mm(&to))?;
    if lie_apart(&from, &to, image.dim) {
        return Err(difference(label, image, &from, &to));
    }
    Ok((reorder, (reorder != Reorder::NONE).then_some(Remark::LabelReordered)))
}

/// The order of a label's axes in which each runs as the image's does.
pub fn order(label: &Affine, image: &Affine) -> Reorder {
    // The label's axes as an observer sees them who takes the image's for right, anterior and superior.
    let (own, lengths) = (lengths_mm(label), lengths_mm(image));
    let cosine = |along: usize, axis: usize| {
        (0..3).map(|row| image[row][along] * label[row][axis]).sum::<f64>() / (lengths[along] * own[axis])
    };
    let seen: Affine = std::array::from_fn(|along| [cosine(along, 0), cosine(along, 1), cosine(along, 2), 0.0]);
    let image_axes = Axes::of(&[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
    Axes::of(&seen).to(image_axes)
}

/// Refuses other dimensions, `dim` being the label's in the image's order.
fn expect_dim(label: GridOf, image: GridOf, dim: [usize; 3]) -> Result<(), DataError> {
    if dim == image.dim {
        return Ok(());
    }
    let shape = |dim: [usize; 3]| dim.map(|n| n.to_string()).join("x");
    let order = if dim == label.dim { "" } else { " in the order of the image's axes" };
    Err(DataError::Shape {
        path: PathBuf::from(label.path),
        found: shape(dim) + order,
        other: PathBuf::from(image.path),
        expected: shape(image.dim),
    })
}

/// Refuses another spacing, of axes in the image's order. Along an axis of one voxel there is none.
fn expect_spacing(label: GridOf, image: GridOf, own: [f64; 3], wanted: [f64; 3]) -> Result<(), DataError> {
    let alike = |axis: usize| {
        let (steps, off) = (image.dim[axis].saturating_sub(1) as f64, (own[axis] - wanted[axis]).abs());
        off * steps <= APART * wanted[axis] && (steps == 0.0 || off <= ROUNDED * wanted[axis])
    };
    if (0..3).all(alike) {
        return Ok(());
    }
    let words = |mm: [f64; 3]| format!("{} mm", mm.map(number).join(" x "));
    Err(place(label, image, "spacing", words(own), words(wanted)))
}

/// What it is that makes grids of one spacing lie apart: their directions, or where they begin.
fn difference(label: GridOf, image: GridOf, from: &Affine, to: &Affine) -> DataError {
    let column = |affine: &Affine, axis: usize| affine.map(|row| row[axis]);
    let moved = |axis: usize| {
        let turned: f64 = column(from, axis).iter().zip(column(to, axis)).map(|(a, b)| (a - b).powi(2)).sum();
        turned.sqrt() * image.dim[axis].saturating_sub(1) as f64
    };
    let half = APART * lengths_mm(to).into_iter().fold(f64::INFINITY, f64::min);
    let vector = |v: [f64; 3]| format!("({})", v.map(number).join(", "));
    if (0..3).any(|axis| moved(axis) > half) {
        let directions = |affine: &Affine| {
            let unit = |axis: usize| vector(column(affine, axis).map(|v| v / lengths_mm(affine)[axis]));
            [0, 1, 2].map(unit).join(" ")
        };
        return place(label, image, "axes along", directions(from), directions(to));
    }
    let begins = |affine: &Affine| vector(column(affine, 3)) + " mm";
    place(label, image, "first voxel at", begins(from), begins(to))
}

fn place(label: GridOf, image: GridOf, what: &'static str, found: String, expected: String) -> DataError {
    let (path, other) = (PathBuf::from(label.path), PathBuf::from(image.path));
    DataError::Place { path, what, found, other, expected }
}

/// A number in words, rounded to a ten-thousandth.
fn number(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    // No minus before a zero.
    (rounded + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: [usize; 3] = [96, 80, 5];
    const LPS: Affine = [[-1.5, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], [0.0, 0.0, 10.0, -20.0]];
    /// A short axis far from the directions of any patient's side.
    const OBLIQUE: Affine = [[-1.08, 0.6, 5.77, 3.0], [1.04, 0.64, 5.77, 5.0], [0.03, -1.22, 5.78, 7.0]];

    fn grid(name: &'static str, dim: [usize; 3], affine: Option<Affine>) -> GridOf<'static> {
        let spacing_mm = affine.map_or([1.5, 1.5, 10.0], |affine| lengths_mm(&affine).map(|mm| mm as f32));
        GridOf { path: Path::new(name), dim, spacing_mm, affine }
    }

    fn onto(label: ([usize; 3], Affine), image: Affine) -> Result<(Reorder, Option<Remark>), String> {
        let (label, image) = (grid("label.nii", label.0, Some(label.1)), grid("image.nii", DIM, Some(image)));
        onto_image(label, image).map_err(|error| error.to_string())
    }

    fn shifted(by: [f64; 3]) -> Affine {
        let mut affine = LPS;
        affine.iter_mut().zip(by).for_each(|(row, mm)| row[3] += mm);
        affine
    }

    #[test]
    fn the_same_grid_stays_as_it_is() {
        for affine in [LPS, OBLIQUE] {
            assert_eq!(onto((DIM, affine), affine), Ok((Reorder::NONE, None)));
        }
        // Half a voxel is rounding, as of a header's other way of counting pixels.
        for by in [[0.75, 0.0, 0.0], [0.0, -0.75, 0.0], [0.0, 0.0, 5.0], [0.7, 0.7, 4.9]] {
            assert_eq!(onto((DIM, shifted(by)), LPS), Ok((Reorder::NONE, None)), "{by:?}");
        }
    }

    #[test]
    fn every_order_of_axes_that_the_affine_tells_is_brought_back() {
        let count = DIM.iter().product::<usize>() as u16;
        let voxels: Vec<u16> = (0..count).collect();
        for text in ["RAS", "LAS", "RPI", "ARS", "SLP", "PSL", "IRA", "LPI"] {
            for image in [LPS, OBLIQUE] {
                // The image's own directions under the letters of one that counts to the left, the back and up.
                let store = Axes::LPS.to(text.parse().unwrap());
                let stored = (store.axes(DIM), store.affine(&image, DIM));
                let (reorder, remark) = onto(stored, image).unwrap();
                assert_eq!(remark, Some(Remark::LabelReordered), "{text}");
                assert_eq!(reorder.apply(&store.apply(&voxels, DIM), stored.0), voxels, "{text}");
            }
        }
    }

    #[test]
    fn over_half_a_voxel_apart_is_refused_with_both_places() {
        for by in [[0.8, 0.0, 0.0], [0.0, -0.8, 0.0], [0.0, 0.0, 5.1], [30.0, 0.0, 0.0]] {
            let error = onto((DIM, shifted(by)), LPS).unwrap_err();
            assert!(error.contains("label.nii") && error.contains("image.nii has (70, 60, -20) mm"), "{error}");
        }
        let error = onto((DIM, shifted([30.0, 0.0, 0.0])), LPS).unwrap_err();
        assert!(error.contains("first voxel at (100, 60, -20) mm"), "{error}");
        // Mirrored in the file's bytes and its affine, but about another place.
        let store = Axes::LPS.to("RPS".parse().unwrap());
        let error = onto((DIM, store.affine(&shifted([3.0, 0.0, 0.0]), DIM)), LPS).unwrap_err();
        assert!(error.contains("first voxel at (73, 60, -20) mm"), "{error}");
    }

    #[test]
    fn another_spacing_is_refused_with_both_numbers() {
        let fine = [[-1.0, 0.0, 0.0, 70.0], [0.0, -1.0, 0.0, 60.0], LPS[2]];
        let error = onto((DIM, fine), LPS).unwrap_err();
        assert!(error.contains("spacing 1 x 1 x 10 mm") && error.contains("1.5 x 1.5 x 10 mm"), "{error}");
        let near = [LPS[0], LPS[1], [0.0, 0.0, 9.5, -20.0]];
        let error = onto((DIM, near), LPS).unwrap_err();
        assert!(error.contains("spacing 1.5 x 1.5 x 9.5 mm"), "{error}");
        // Rounding does no harm.
        let rounded = [[-1.505, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], LPS[2]];
        assert_eq!(onto((DIM, rounded), LPS), Ok((Reorder::NONE, None)));
    }

    #[test]
    fn another_direction_is_refused() {
        let (sin, cos) = 0.1f64.sin_cos();
        let turned = [[-1.5 * cos, 1.5 * sin, 0.0, 70.0], [-1.5 * sin, -1.5 * cos, 0.0, 60.0], LPS[2]];
        let error = onto((DIM, turned), LPS).unwrap_err();
        assert!(error.contains("axes along (-0.995, -0.0998, 0)") && error.contains("(-1, 0, 0)"), "{error}");
    }

    #[test]
    fn other_dimensions_are_refused() {
        let error = onto(([96, 80, 4], LPS), LPS).unwrap_err();
        assert!(error.contains("shape 96x80x4") && error.contains("96x80x5"), "{error}");
        let store = Axes::LPS.to("SLP".parse().unwrap());
        let error = onto(([4, 96, 80], store.affine(&LPS, DIM)), LPS).unwrap_err();
        assert!(error.contains("shape 96x80x4 in the order of the image's axes"), "{error}");
    }

    #[test]
    fn a_file_without_a_place_is_taken_where_its_spacing_agrees() {
        let none = grid("label.nii", DIM, None);
        let flat = GridOf { affine: Some([LPS[0], LPS[0], LPS[2]]), ..none };
        let image = grid("image.nii", DIM, Some(LPS));
        for (label, image) in [(none, image), (flat, image), (image, none), (none, none)] {
            assert_eq!(onto_image(label, image).unwrap(), (Reorder::NONE, Some(Remark::NoPlace)));
        }
        let other = GridOf { spacing_mm: [1.0, 1.0, 10.0], ..none };
        let error = onto_image(other, image).unwrap_err().to_string();
        assert!(error.contains("spacing 1 x 1 x 10 mm") && error.contains("1.5 x 1.5 x 10 mm"), "{error}");
        let error = onto_image(GridOf { dim: [80, 96, 5], ..none }, image).unwrap_err().to_string();
        assert!(error.contains("80x96x5"), "{error}");
    }

    #[test]
    fn a_single_slice_has_no_distance_to_compare() {
        let dim = [96, 80, 1];
        let thin = [LPS[0], LPS[1], [0.0, 0.0, 1.0, -20.0]];
        let (label, image) = (grid("label.nii", dim, Some(thin)), grid("image.nii", dim, Some(LPS)));
        assert_eq!(onto_image(label, image).unwrap(), (Reorder::NONE, None));
    }
}
