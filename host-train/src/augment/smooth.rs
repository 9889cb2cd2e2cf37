//! Smooth random fields, from which deformation, shading and phase are made.
//!
//! A grid of uniform random values, blended by uniform cubic B-splines: twice continuously differentiable, and never
//! outside the range of the grid's values, for the weights are positive and sum to one.

use crate::mri::random::Stream;

/// A field over `height * width` pixels, row-major, within -1 to 1. Grid points lie `spacing` pixels apart along y and x;
/// the root mean square is about 0.28.
pub fn smooth_field([height, width]: [usize; 2], spacing: [f32; 2], stream: &mut Stream) -> Vec<f32> {
    if height == 0 || width == 0 {
        return Vec::new();
    }
    let points = |len: usize, spacing: f32| knot(len - 1, spacing).0 + 4;
    let (rows, columns) = (points(height, spacing[0]), points(width, spacing[1]));
    let grid: Vec<f32> = (0..rows * columns).map(|_| stream.range(-1.0, 1.0)).collect();
    let along_x: Vec<(usize, [f32; 4])> = (0..width).map(|x| knot(x, spacing[1])).collect();
    let mut blended = vec![0.0; columns];
    let mut field = Vec::with_capacity(height * width);
    for y in 0..height {
        let (top, weights) = knot(y, spacing[0]);
        for (column, value) in blended.iter_mut().enumerate() {
            *value = (0..4).map(|i| weights[i] * grid[(top + i) * columns + column]).sum();
        }
        field.extend(along_x.iter().map(|(left, [a, b, c, d])| {
            let near = &blended[*left..left + 4];
            a * near[0] + b * near[1] + c * near[2] + d * near[3]
        }));
    }
    field
}

/// The first of the four grid points that a pixel's centre lies among, and their weights.
fn knot(pixel: usize, spacing: f32) -> (usize, [f32; 4]) {
    let at = (pixel as f32 + 0.5) / spacing;
    let (t, first) = (at.fract(), at as usize);
    let (u, square, cube) = (1.0 - t, t * t, t * t * t);
    let sixths = [u * u * u, 3.0 * cube - 6.0 * square + 4.0, 3.0 * (t + square - cube) + 1.0, cube];
    (first, sixths.map(|weight| weight * (1.0 / 6.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest difference of neighbours along x and y.
    fn steepest(field: &[f32], width: usize) -> f32 {
        let along_x = field.chunks(width).flat_map(|row| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()));
        let along_y = field.iter().zip(&field[width..]).map(|(a, b)| (b - a).abs());
        along_x.chain(along_y).fold(0.0, f32::max)
    }

    #[test]
    fn weights_are_positive_and_sum_to_one() {
        for pixel in 0..64 {
            let (first, weights) = knot(pixel, 5.0);
            assert_eq!(first, pixel / 5);
            assert!(weights.iter().all(|&w| w >= 0.0), "{weights:?}");
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{weights:?}");
        }
    }

    #[test]
    fn a_field_stays_within_one_and_fills_a_good_part_of_it() {
        let (mut square, mut count) = (0.0, 0);
        for seed in 0..20 {
            let field = smooth_field([60, 100], [12.0, 20.0], &mut Stream::new(seed));
            assert_eq!(field.len(), 6000);
            assert!(field.iter().all(|v| v.abs() <= 1.0));
            square += field.iter().map(|v| v * v).sum::<f32>();
            count += field.len();
        }
        let rms = (square / count as f32).sqrt();
        assert!((rms - 0.28).abs() < 0.03, "{rms}");
    }

    #[test]
    fn a_wider_grid_is_smoother() {
        let steepest = |spacing: f32| {
            let field = |seed| smooth_field([64, 64], [spacing; 2], &mut Stream::new(seed));
            (0..10).map(|seed| steepest(&field(seed), 64)).fold(0.0, f32::max)
        };
        // A cubic B-spline's slope is at most the largest difference of grid values, 2, a spacing.
        assert!(steepest(8.0) <= 2.0 / 8.0);
        assert!(steepest(32.0) <= 2.0 / 32.0);
        assert!(steepest(8.0) > 2.0 * steepest(32.0));
    }

    #[test]
    fn a_grid_wider_than_the_image_will_do() {
        assert_eq!(smooth_field([3, 5], [100.0, 100.0], &mut Stream::new(1)).len(), 15);
        assert!(smooth_field([0, 5], [1.0, 1.0], &mut Stream::new(1)).is_empty());
    }
}
