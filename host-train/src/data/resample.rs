//! Resampling in plane, and cropping or padding to a square.
//!
//! Both grids share their outer edge. Past the outermost centres the edge pixel's value holds; outside the
//! resampled image is zero. Spacing may differ between x and y.

use super::grid::{Axis, Grid, Placement};
use super::losses::Cut;
use super::{CLASSES, largest_class};

/// An axis of the square on the plane's.
fn axis(source_len: usize, source_mm: f32, target_mm: f32, size: usize) -> Axis {
    let placement = Placement::new(source_len, source_mm, target_mm, size);
    let shown = -placement.offset..placement.resampled - placement.offset;
    Axis::new(size, 0, source_len - 1, |pixel| shown.contains(&(pixel as i64)).then(|| placement.on_plane(pixel)))
}

/// Maps planes of one geometry to squares of `size` pixels at another spacing.
pub struct Resampler {
    grid: Grid,
    /// For each pixel of a row, and of a column, of the plane: whether its centre lies in the square.
    inside: [Vec<bool>; 2],
}

impl Resampler {
    /// For planes of `dim` (x, y) pixels, `spacing_mm` (x, y) apart, none of them zero. `target_mm` of `None` keeps the
    /// spacing, so that pixels are copied exactly.
    pub fn new(dim: [usize; 2], spacing_mm: [f32; 2], target_mm: Option<f32>, size: usize) -> Self {
        let target = |i: usize| target_mm.unwrap_or(spacing_mm[i]);
        let axis = |i: usize| axis(dim[i], spacing_mm[i], target(i), size);
        let inside = |i: usize| {
            let placement = Placement::new(dim[i], spacing_mm[i], target(i), size);
            let square = -0.5..size as f64 - 0.5;
            (0..dim[i]).map(|pixel| square.contains(&placement.on_square(pixel))).collect()
        };
        Self { grid: Grid { source_width: dim[0], x: axis(0), y: axis(1) }, inside: [inside(0), inside(1)] }
    }

    /// Bilinear interpolation of intensities.
    pub fn image(&self, plane: &[f32]) -> Vec<f32> {
        self.grid.image(plane)
    }

    /// The class with the largest bilinear weight, ties to the lowest; the values must be below [`CLASSES`].
    pub fn label(&self, plane: &[u8]) -> Vec<u8> {
        self.grid.map(|around| {
            let mut weights = [0.0f32; CLASSES];
            for (pixel, weight) in around.pixels.into_iter().zip(around.weights()) {
                weights[usize::from(plane[pixel])] += weight;
            }
            largest_class(&weights)
        })
    }

    /// Adds the plane's classes to `cut`: all of them, and those that lie outside the square.
    pub fn count(&self, plane: &[u8], cut: &mut Cut) {
        let [columns, rows] = &self.inside;
        for (row, row_inside) in plane.chunks_exact(columns.len()).zip(rows) {
            for (&class, column_inside) in row.iter().zip(columns) {
                cut.all[usize::from(class)] += 1;
                cut.lost[usize::from(class)] += u64::from(!(row_inside & column_inside));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_spacing_crops_pixels_exactly() {
        let plane: Vec<f32> = (0..6 * 4).map(|v| v as f32).collect();
        let out = Resampler::new([6, 4], [1.3, 1.1], None, 4).image(&plane);
        assert_eq!(out[..4], [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(out[12..], [19.0, 20.0, 21.0, 22.0]);
    }

    #[test]
    fn small_images_are_padded_with_zeros_on_both_sides() {
        let out = Resampler::new([2, 2], [1.0, 1.0], None, 4).image(&[1.0, 2.0, 3.0, 4.0]);
        #[rustfmt::skip]
        assert_eq!(out, [
            0.0, 0.0, 0.0, 0.0,
            0.0, 1.0, 2.0, 0.0,
            0.0, 3.0, 4.0, 0.0,
            0.0, 0.0, 0.0, 0.0,
        ]);
    }

    #[test]
    fn halving_the_resolution_averages_two_by_two_blocks() {
        let plane: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let out = Resampler::new([4, 4], [1.0, 1.0], Some(2.0), 2).image(&plane);
        assert_eq!(out, [2.5, 4.5, 10.5, 12.5]);
    }

    #[test]
    fn axes_are_resampled_each_by_its_own_spacing() {
        // 4 pixels of 1 mm along x and 2 pixels of 2 mm along y cover the same 4 mm.
        let plane = [0.0, 0.0, 8.0, 8.0, 0.0, 0.0, 8.0, 8.0];
        let out = Resampler::new([4, 2], [1.0, 2.0], Some(2.0), 2).image(&plane);
        assert_eq!(out, [0.0, 8.0, 0.0, 8.0]);
    }

    #[test]
    fn labels_stay_classes_and_never_blend() {
        let plane = [1, 1, 3, 3, 1, 1, 3, 3, 1, 1, 3, 3, 1, 1, 3, 3];
        let out = Resampler::new([4, 4], [1.0, 1.0], Some(0.5), 8).label(&plane);
        assert!(out.iter().all(|&c| c == 1 || c == 3));
        assert_eq!(out.iter().filter(|&&c| c == 1).count(), 32);
    }

    #[test]
    fn what_the_square_does_not_show_is_counted_by_class() {
        // 6x4 pixels cut to 4x4: the first and the last column go.
        let plane: Vec<u8> = (0..24).map(|i| [1, 0, 2, 2, 3, 3][i % 6]).collect();
        let mut cut = Cut::default();
        Resampler::new([6, 4], [1.5, 1.5], None, 4).count(&plane, &mut cut);
        assert_eq!((cut.all, cut.lost), ([4, 4, 8, 8], [0, 4, 0, 4]));
        // Half the spacing: 6x4 pixels of 2 mm are 12x8 of 1 mm, of which 4x4 show the middle 2x2.
        let mut cut = Cut::default();
        Resampler::new([6, 4], [2.0, 2.0], Some(1.0), 4).count(&plane, &mut cut);
        assert_eq!((cut.all, cut.lost), ([4, 4, 8, 8], [4, 4, 4, 8]));
        // Padding loses nothing.
        let mut cut = Cut::default();
        Resampler::new([6, 4], [1.0, 1.0], Some(1.5), 8).count(&plane, &mut cut);
        assert_eq!((cut.all, cut.lost), ([4, 4, 8, 8], [0; CLASSES]));
    }

    #[test]
    fn several_thin_classes_outweigh_no_majority() {
        // Classes 1, 2, 2, 3 meet in one pixel: 2 holds half of it.
        let out = Resampler::new([2, 2], [1.0, 1.0], Some(2.0), 1).label(&[1, 2, 2, 3]);
        assert_eq!(out, [2]);
    }
}
