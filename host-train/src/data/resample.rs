//! Resampling in plane, and cropping or padding to a square.
//!
//! Pixels are squares: pixel i of a grid with spacing s covers [i s, (i+1) s] and its value belongs to the centre
//! (i + 1/2) s, so both grids share their outer edge. Past the outermost centres the edge pixel's value holds; outside
//! the resampled image is zero. Spacing may differ between x and y.

use super::CLASSES;

/// Where one axis of the output takes its values: for each output pixel two source pixels and the second one's weight,
/// or `None` in the padding.
struct Axis(Vec<Option<(usize, usize, f32)>>);

/// How an axis of the output lies on the source's.
pub(super) struct Placement {
    /// Source pixels in one of the output's.
    pub step: f64,
    /// Pixels that the whole source has at the output's spacing.
    pub resampled: i64,
    /// Which of those is the output's first; negative where the output begins with padding.
    pub offset: i64,
}

impl Placement {
    /// For `source_len` pixels `source_mm` apart and `size` pixels `target_mm` apart.
    pub fn new(source_len: usize, source_mm: f32, target_mm: f32, size: usize) -> Self {
        let step = f64::from(target_mm) / f64::from(source_mm);
        let resampled = ((source_len as f64 / step).round() as i64).max(1);
        Self { step, resampled, offset: (resampled - size as i64).div_euclid(2) }
    }
}

impl Axis {
    fn new(source_len: usize, source_mm: f32, target_mm: f32, size: usize) -> Self {
        let Placement { step, resampled, offset } = Placement::new(source_len, source_mm, target_mm, size);
        let last = source_len - 1;
        let tap = |pixel: usize| {
            let index = pixel as i64 + offset;
            if !(0..resampled).contains(&index) {
                return None;
            }
            let at = ((index as f64 + 0.5) * step - 0.5).clamp(0.0, last as f64);
            let low = at.floor() as usize;
            Some((low, (low + 1).min(last), (at - low as f64) as f32))
        };
        Self((0..size).map(tap).collect())
    }
}

/// Maps planes of one geometry to squares of `size` pixels at another spacing.
pub struct Resampler {
    source_width: usize,
    x: Axis,
    y: Axis,
}

impl Resampler {
    /// For planes of `dim` (x, y) pixels, `spacing_mm` (x, y) apart, none of them zero. `target_mm` of `None` keeps the
    /// spacing, so that pixels are copied exactly.
    pub fn new(dim: [usize; 2], spacing_mm: [f32; 2], target_mm: Option<f32>, size: usize) -> Self {
        let axis = |i: usize| Axis::new(dim[i], spacing_mm[i], target_mm.unwrap_or(spacing_mm[i]), size);
        Self { source_width: dim[0], x: axis(0), y: axis(1) }
    }

    /// Bilinear interpolation of intensities.
    pub fn image(&self, plane: &[f32]) -> Vec<f32> {
        let at = |y: usize, x: usize| plane[y * self.source_width + x];
        self.map(0.0, |(y0, y1, fy), (x0, x1, fx)| {
            let top = at(y0, x0) * (1.0 - fx) + at(y0, x1) * fx;
            let bottom = at(y1, x0) * (1.0 - fx) + at(y1, x1) * fx;
            top * (1.0 - fy) + bottom * fy
        })
    }

    /// The class with the largest bilinear weight, ties to the lowest; the values must be below [`CLASSES`].
    pub fn label(&self, plane: &[u8]) -> Vec<u8> {
        let at = |y: usize, x: usize| usize::from(plane[y * self.source_width + x]);
        self.map(0, |(y0, y1, fy), (x0, x1, fx)| {
            let mut weight = [0.0f32; CLASSES];
            weight[at(y0, x0)] += (1.0 - fy) * (1.0 - fx);
            weight[at(y0, x1)] += (1.0 - fy) * fx;
            weight[at(y1, x0)] += fy * (1.0 - fx);
            weight[at(y1, x1)] += fy * fx;
            let best = (1..CLASSES).fold(0, |best, class| if weight[class] > weight[best] { class } else { best });
            best as u8
        })
    }

    fn map<T: Copy>(&self, padding: T, value: impl Fn((usize, usize, f32), (usize, usize, f32)) -> T) -> Vec<T> {
        let mut out = Vec::with_capacity(self.y.0.len() * self.x.0.len());
        for y in &self.y.0 {
            for x in &self.x.0 {
                out.push(match (*y, *x) {
                    (Some(y), Some(x)) => value(y, x),
                    _ => padding,
                });
            }
        }
        out
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
    fn several_thin_classes_outweigh_no_majority() {
        // Classes 1, 2, 2, 3 meet in one pixel: 2 holds half of it.
        let out = Resampler::new([2, 2], [1.0, 1.0], Some(2.0), 1).label(&[1, 2, 2, 3]);
        assert_eq!(out, [2]);
    }
}
