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

/// The largest distance in mm of a corner voxel of a grid of `dim` voxels under one affine from the same voxel under the
/// other.
pub fn corners_apart(a: &Affine, b: &Affine, dim: [usize; 3]) -> f64 {
    let last = dim.map(|n| n.saturating_sub(1) as f64);
    let corners = (0..8).map(|bits: u8| std::array::from_fn(|axis| f64::from(bits >> axis & 1) * last[axis]));
    let apart = |corner: [f64; 3]| {
        let along = |row: usize| {
            let difference = |column: usize| a[row][column] - b[row][column];
            (0..3).map(|axis| difference(axis) * corner[axis]).sum::<f64>() + difference(3)
        };
        (0..3).map(|row| along(row).powi(2)).sum::<f64>().sqrt()
    };
    corners.map(apart).fold(0.0, f64::max)
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
