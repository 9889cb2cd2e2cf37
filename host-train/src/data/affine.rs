//! Where a grid of voxels lies in space.

/// The rows of the matrix that takes a voxel's (x, y, z, 1) to its place in mm: the first row's number grows towards the
/// patient's right, the second's to the front, the third's upwards (NIfTI's RAS+).
pub type Affine = [[f64; 4]; 3];

/// Distances of neighbouring voxels along each of the grid's axes in mm.
pub fn lengths_mm(affine: &Affine) -> [f64; 3] {
    [0, 1, 2].map(|column| affine.iter().map(|row| row[column].powi(2)).sum::<f64>().sqrt())
}

/// Whether every number is finite and the axes span a volume.
pub fn is_usable(affine: &Affine) -> bool {
    let [[a, b, c, _], [d, e, f, _], [g, h, i, _]] = *affine;
    let volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    let box_volume: f64 = lengths_mm(affine).iter().product();
    affine.iter().flatten().all(|v| v.is_finite()) && volume.abs() > 1e-6 * box_volume
}

/// How far apart corners may lie, in voxels, for grids to lie on each other. Headers round their numbers, so a little above a
/// half.
pub const APART: f64 = 0.5 + 1e-3;

/// The largest distance in mm of a corner voxel of a grid of `dim` voxels under one affine from the same voxel under the
/// other.
pub fn corners_apart(a: &Affine, b: &Affine, dim: [usize; 3]) -> f64 {
    let apart = |moved: [f64; 3]| moved.iter().map(|mm| mm.powi(2)).sum::<f64>().sqrt();
    corners_moved(a, b, dim).map(apart).fold(0.0, f64::max)
}

/// The largest distance along an axis, in voxels of `grid`, of a corner voxel under `other` from where `grid` has it; `None`
/// where the axes of `grid` span no volume.
pub fn corners_apart_in_voxels(other: &Affine, grid: &Affine, dim: [usize; 3]) -> Option<f64> {
    let inverse = inverse(grid)?;
    let apart = |moved: [f64; 3]| {
        let along = |axis: usize| (0..3).map(|row| inverse[axis][row] * moved[row]).sum::<f64>().abs();
        (0..3).map(along).fold(0.0, f64::max)
    };
    Some(corners_moved(other, grid, dim).map(apart).fold(0.0, f64::max))
}

/// Whether `other` has a corner over half a voxel from where `grid` has it, along any axis: a slice may be thick.
pub fn lie_apart(other: &Affine, grid: &Affine, dim: [usize; 3]) -> bool {
    corners_apart_in_voxels(other, grid, dim).is_none_or(|apart| apart > APART)
}

/// How far each corner voxel of a grid under `a` is from where `b` has it, in mm.
fn corners_moved(a: &Affine, b: &Affine, dim: [usize; 3]) -> impl Iterator<Item = [f64; 3]> {
    let step: Affine = std::array::from_fn(|row| std::array::from_fn(|column| a[row][column] - b[row][column]));
    let last = dim.map(|n| n.saturating_sub(1) as f64);
    (0..8u8).map(move |bits| {
        let corner: [f64; 3] = std::array::from_fn(|axis| f64::from(bits >> axis & 1) * last[axis]);
        step.map(|row| (0..3).map(|axis| row[axis] * corner[axis]).sum::<f64>() + row[3])
    })
}

/// The inverse of the matrix of an affine's axes.
fn inverse(affine: &Affine) -> Option<[[f64; 3]; 3]> {
    let at = |row: usize, column: usize| affine[row % 3][column % 3];
    let minor = |row: usize, column: usize| {
        at(row + 1, column + 1) * at(row + 2, column + 2) - at(row + 1, column + 2) * at(row + 2, column + 1)
    };
    let determinant: f64 = (0..3).map(|column| at(0, column) * minor(0, column)).sum();
    let inverse = std::array::from_fn(|row| std::array::from_fn(|column| minor(column, row) / determinant));
    (determinant != 0.0 && determinant.is_finite()).then_some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];

    #[test]
    fn equal_affines_put_corners_on_each_other() {
        assert_eq!(corners_apart(&IDENTITY, &IDENTITY, [5, 6, 7]), 0.0);
    }

    #[test]
    fn a_flipped_axis_puts_corners_apart_by_its_length() {
        let flipped = [[-1.0, 0.0, 0.0, 4.0], IDENTITY[1], IDENTITY[2]];
        assert_eq!(corners_apart(&IDENTITY, &flipped, [5, 6, 7]), 4.0);
    }

    #[test]
    fn a_shift_puts_corners_apart_by_its_length() {
        let shifted = [[1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 4.0], IDENTITY[2]];
        assert_eq!(corners_apart(&IDENTITY, &shifted, [5, 6, 7]), 5.0);
    }

    #[test]
    fn half_a_voxel_is_measured_along_each_axis() {
        let thick = [[-1.5, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], [0.0, 0.0, 10.0, -20.0]];
        let moved = |by: [f64; 3]| {
            [0, 1, 2].map(|row| [0, 1, 2, 3].map(|i| thick[row][i] + f64::from(u8::from(i == 3)) * by[row]))
        };
        for (by, apart) in
            [([0.7, 0.0, 0.0], false), ([0.8, 0.0, 0.0], true), ([0.0, 0.0, 4.9], false), ([0.0, 0.0, 5.1], true)]
        {
            assert_eq!(lie_apart(&moved(by), &thick, [96, 80, 5]), apart, "{by:?}");
        }
        let off = corners_apart_in_voxels(&moved([1.5, -3.0, 5.0]), &thick, [96, 80, 5]).unwrap();
        assert!((off - 2.0).abs() < 1e-12, "{off}");
        assert_eq!(corners_apart_in_voxels(&thick, &[thick[0], thick[0], thick[2]], [5, 6, 7]), None);
    }

    #[test]
    fn lengths_are_those_of_the_columns() {
        let turned = [[0.0, -2.0, 0.0, 1.0], [3.0, 0.0, 0.0, 1.0], [4.0, 0.0, -8.0, 1.0]];
        assert_eq!(lengths_mm(&turned), [5.0, 2.0, 8.0]);
    }

    #[test]
    fn an_affine_without_a_volume_is_not_usable() {
        assert!(is_usable(&IDENTITY));
        assert!(is_usable(&IDENTITY.map(|row| row.map(|v| v * 1e-3))));
        assert!(!is_usable(&[IDENTITY[0], IDENTITY[0], IDENTITY[2]]));
        assert!(!is_usable(&[[0.0; 4], IDENTITY[1], IDENTITY[2]]));
        assert!(!is_usable(&[[f64::NAN, 0.0, 0.0, 0.0], IDENTITY[1], IDENTITY[2]]));
        assert!(!is_usable(&[[1.0, 0.0, 0.0, f64::INFINITY], IDENTITY[1], IDENTITY[2]]));
    }
}
