//! Back from a network's grid to a plane's own: the inverse of `resample`.
//!
//! Each pixel of the plane takes the value at its centre, interpolated bilinearly between the centres of the network's
//! pixels; past the outermost of those that show the plane the edge's value holds. Where the crop cut the plane off, the
//! network saw nothing: classes are background there and intensities 0. At the plane's own spacing every pixel is copied.

use super::grid::{Axis, Grid, Placement};
use super::{CLASSES, largest_class};

/// An axis of the plane on the square's.
fn axis(len: usize, own_mm: f32, network_mm: f32, size: usize) -> Axis {
    let placement = Placement::new(len, own_mm, network_mm, size);
    // Where the square's pixels that show the plane begin and end; beyond them is padding.
    let (begin, end) = (-placement.offset, placement.resampled - placement.offset);
    let cut = [begin < 0, end > size as i64];
    let (first, last) = (begin.max(0) as usize, end.min(size as i64) as usize - 1);
    Axis::new(len, first, last, |pixel| {
        let at = placement.on_square(pixel);
        let outside = (cut[0] && at < first as f64 - 0.5) || (cut[1] && at > last as f64 + 0.5);
        (!outside).then_some(at)
    })
}

/// Maps squares of a network's grid to planes of one geometry.
pub struct Restorer(Grid);

impl Restorer {
    /// For planes of `dim` (x, y) pixels, `spacing_mm` (x, y) apart, and squares of `size` pixels `network_mm` apart, or at
    /// the planes' own spacing: the arguments of the `Resampler` that it is the inverse of.
    pub fn new(dim: [usize; 2], spacing_mm: [f32; 2], network_mm: Option<f32>, size: usize) -> Self {
        let axis = |i: usize| axis(dim[i], spacing_mm[i], network_mm.unwrap_or(spacing_mm[i]), size);
        Self(Grid { source_width: size, x: axis(0), y: axis(1) })
    }

    /// The class with the largest interpolated logit, ties to the lowest, of logits `[y][x][class]` of the square.
    pub fn classes(&self, logits: &[f32]) -> Vec<u8> {
        self.0.map(|around| {
            let logit = |class: usize| around.between(|pixel| logits[pixel * CLASSES + class]);
            largest_class(&std::array::from_fn::<f32, CLASSES, _>(logit))
        })
    }

    /// Interpolated intensities of a square.
    pub fn image(&self, square: &[f32]) -> Vec<f32> {
        self.0.image(square)
    }
}

#[cfg(test)]
mod tests {
    use super::super::resample::Resampler;
    use super::*;

    /// Discs of the heart's size, in mm from the plane's middle: RV beside the LV in its myocardium.
    fn heart(dim: [usize; 2], spacing_mm: [f32; 2]) -> Vec<u8> {
        let mm = |pixel: usize, axis: usize| (pixel as f32 + 0.5 - dim[axis] as f32 / 2.0) * spacing_mm[axis];
        let class = |x: usize, y: usize| match (mm(x, 0), mm(y, 1)) {
            (x, y) if x.hypot(y) < 22.0 => 3,
            (x, y) if x.hypot(y) < 31.0 => 2,
            (x, y) if (x + 45.0).hypot(y + 4.0) < 20.0 => 1,
            _ => 0,
        };
        (0..dim[1]).flat_map(|y| (0..dim[0]).map(move |x| class(x, y))).collect()
    }

    fn one_hot(classes: &[u8]) -> Vec<f32> {
        classes.iter().flat_map(|&class| (0..CLASSES as u8).map(move |c| f32::from(u8::from(c == class)))).collect()
    }

    /// Through the network's grid and back, by a network that knows the labels.
    fn round_trip(plane: &[u8], dim: [usize; 2], mm: [f32; 2], network_mm: Option<f32>, size: usize) -> Vec<u8> {
        let square = Resampler::new(dim, mm, network_mm, size).label(plane);
        Restorer::new(dim, mm, network_mm, size).classes(&one_hot(&square))
    }

    #[test]
    fn at_native_spacing_labels_come_back_exactly() {
        for dim in [[216, 256], [128, 128], [90, 101], [129, 127], [41, 250]] {
            let plane = heart(dim, [1.37; 2]);
            let mut back = round_trip(&plane, dim, [1.37; 2], None, 128);
            // Outside the crop there is background; the heart lies inside it.
            assert_eq!(back, plane, "{dim:?}");
            back = Restorer::new(dim, [1.37; 2], None, 128).classes(&one_hot(&[2; 128 * 128]));
            let seen = dim.map(|n| n.min(128)).iter().product::<usize>();
            assert_eq!(back.iter().filter(|&&class| class == 2).count(), seen, "{dim:?}");
        }
    }

    #[test]
    fn at_native_spacing_intensities_come_back_exactly() {
        let plane: Vec<f32> = (0..100 * 140).map(|v| v as f32 * 0.37).collect();
        let square = Resampler::new([100, 140], [1.5; 2], None, 128).image(&plane);
        let back = Restorer::new([100, 140], [1.5; 2], None, 128).image(&square);
        for (index, (back, &own)) in back.iter().zip(&plane).enumerate() {
            let inside = (6..134).contains(&(index / 100));
            assert_eq!(*back, if inside { own } else { 0.0 }, "pixel {index}");
        }
    }

    /// At another spacing, labels differ only beside a boundary: less than one of the larger of the two pixels away.
    #[test]
    fn at_another_spacing_labels_move_by_less_than_a_pixel() {
        for (dim, mm) in [
            ([216, 256], [1.37, 1.37]),
            ([256, 216], [1.56, 1.25]),
            ([150, 160], [1.92, 1.92]),
            ([428, 512], [0.7, 0.7]),
        ] {
            let plane = heart(dim, mm);
            let back = round_trip(&plane, dim, mm, Some(1.5), 128);
            let reach = mm.map(|mm| (1.5f32.max(mm) / mm).ceil() as usize);
            let mut moved = 0;
            for (index, (&own, &found)) in plane.iter().zip(&back).enumerate().filter(|(_, (a, b))| a != b) {
                let (x, y) = (index % dim[0], index / dim[0]);
                let near =
                    |at: usize, axis: usize| at.saturating_sub(reach[axis])..(at + reach[axis] + 1).min(dim[axis]);
                let around = near(y, 1).any(|y| near(x, 0).any(|x| plane[y * dim[0] + x] == found));
                assert!(around, "{dim:?}: {own} became {found} at {x}, {y}, far from any {found}");
                moved += 1;
            }
            let heart = plane.iter().filter(|&&class| class > 0).count();
            assert!(moved * 100 < heart * 6, "{dim:?}: {moved} of {heart} pixels moved");
        }
    }

    #[test]
    fn a_plane_smaller_than_the_crop_is_classified_to_its_edge() {
        // 10 mm of 0.7 mm pixels are 14.3 pixels; at 1.5 mm they are 7 pixels, padded to 32.
        let back = Restorer::new([14, 14], [0.7; 2], Some(1.5), 32).classes(&one_hot(&[3; 32 * 32]));
        assert!(back.iter().all(|&class| class == 3));
    }

    #[test]
    fn equal_logits_are_the_lowest_class() {
        let back = Restorer::new([2, 2], [1.0; 2], None, 2).classes(&[0.5; 16]);
        assert_eq!(back, [0; 4]);
    }

    #[test]
    fn between_two_pixels_the_logits_are_interpolated() {
        // Two network pixels over four of the plane: at a quarter and three quarters between their centres.
        let logits = |class: usize, height: f32| (0..CLASSES).map(move |c| if c == class { height } else { 0.0 });
        let square: Vec<f32> =
            [logits(1, 1.0), logits(2, 9.0), logits(1, 1.0), logits(2, 9.0)].into_iter().flatten().collect();
        let back = Restorer::new([4, 4], [1.0; 2], Some(2.0), 2).classes(&square);
        assert_eq!(back[..4], [1, 2, 2, 2]);
    }
}
