//! The two-dimensional Fourier transform between an image and k-space line by line.
//!
//! Centred and orthonormal: `fftshift(fft2(ifftshift(image), norm="ortho"))`. The image is row-major `[y][x]`; k-space is
//! line-major: line k (DC at W/2) is the H samples `[k * H..(k + 1) * H]` along ky (DC at H/2).

use std::cell::RefCell;

use rustfft::num_complex::Complex32;
use rustfft::{FftDirection, FftPlanner};

struct Workspace {
    planner: FftPlanner<f32>,
    scratch: Vec<Complex32>,
}

thread_local! {
    // Plans are worth keeping: making one costs more than using it.
    static WORKSPACE: RefCell<Workspace> =
        RefCell::new(Workspace { planner: FftPlanner::new(), scratch: Vec::new() });
}

/// The k-space, line-major, of an image of `height` rows and `width` columns.
///
/// # Panics
/// If the image's length is not `height * width`, or one of them is zero.
pub fn image_to_lines(mut image: Vec<Complex32>, height: usize, width: usize) -> Vec<Complex32> {
    assert!(height > 0 && width > 0 && image.len() == height * width, "image of {height}x{width}");
    transform_rows(&mut image, width, FftDirection::Forward);
    let mut lines = transpose(&image, height, width);
    transform_rows(&mut lines, height, FftDirection::Forward);
    lines
}

/// The complex image, row-major, of a line-major k-space: the inverse of [`image_to_lines`].
///
/// # Panics
/// If the number of samples is not `height * width`, or one of them is zero.
pub fn lines_to_image(mut lines: Vec<Complex32>, height: usize, width: usize) -> Vec<Complex32> {
    assert!(height > 0 && width > 0 && lines.len() == height * width, "k-space of {height}x{width}");
    transform_rows(&mut lines, height, FftDirection::Inverse);
    let mut image = transpose(&lines, width, height);
    transform_rows(&mut image, width, FftDirection::Inverse);
    image
}

/// The centred orthonormal transform of every consecutive run of `length` samples.
fn transform_rows(data: &mut [Complex32], length: usize, direction: FftDirection) {
    let scale = 1.0 / (length as f32).sqrt();
    WORKSPACE.with_borrow_mut(|Workspace { planner, scratch }| {
        let fft = planner.plan_fft(length, direction);
        scratch.resize(fft.get_inplace_scratch_len().max(scratch.len()), Complex32::ZERO);
        for row in data.chunks_exact_mut(length) {
            row.rotate_left(length / 2);
            fft.process_with_scratch(row, scratch);
            row.rotate_right(length / 2);
            row.iter_mut().for_each(|v| *v *= scale);
        }
    });
}

/// Rows become columns; in blocks, so that both sides stay in the cache.
fn transpose(data: &[Complex32], rows: usize, columns: usize) -> Vec<Complex32> {
    const BLOCK: usize = 16;
    let mut out = vec![Complex32::ZERO; data.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for row in top..rows.min(top + BLOCK) {
                for column in left..columns.min(left + BLOCK) {
                    out[column * rows + row] = data[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::random::Stream;

    fn noise(len: usize) -> Vec<Complex32> {
        let mut stream = Stream::new(5);
        (0..len).map(|_| stream.normal_pair()).map(|(re, im)| Complex32::new(re, im)).collect()
    }

    /// The definition, in double precision.
    fn naive(image: &[Complex32], height: usize, width: usize) -> Vec<Complex32> {
        let mut lines = Vec::new();
        for k in 0..width {
            for l in 0..height {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, v) in image.iter().enumerate() {
                    let (y, x) = (i / width, i % width);
                    let turn = |n: usize, m: usize, len: usize| {
                        (n as f64 - (len / 2) as f64) * (m as f64 - (len / 2) as f64) / len as f64
                    };
                    let angle = -std::f64::consts::TAU * (turn(k, x, width) + turn(l, y, height));
                    re += f64::from(v.re) * angle.cos() - f64::from(v.im) * angle.sin();
                    im += f64::from(v.re) * angle.sin() + f64::from(v.im) * angle.cos();
                }
                let norm = ((height * width) as f64).sqrt();
                lines.push(Complex32::new((re / norm) as f32, (im / norm) as f32));
            }
        }
        lines
    }

    #[test]
    fn equals_the_definition_for_even_odd_and_unequal_sides() {
        for (height, width) in [(8, 8), (8, 4), (6, 10), (5, 7), (1, 3)] {
            let image = noise(height * width);
            let (fast, slow) = (image_to_lines(image.clone(), height, width), naive(&image, height, width));
            let error = fast.iter().zip(&slow).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
            assert!(error < 1e-5, "{height}x{width}: {error}");
        }
    }

    #[test]
    fn inverse_returns_the_image() {
        let image = noise(64 * 32);
        let back = lines_to_image(image_to_lines(image.clone(), 64, 32), 64, 32);
        let error = image.iter().zip(&back).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn a_constant_image_is_the_centre_sample_alone() {
        let lines = image_to_lines(vec![Complex32::new(1.0, 0.0); 32 * 64], 32, 64);
        let centre = 32 * 32 + 16;
        assert!((lines[centre].re - (32.0 * 64.0f32).sqrt()).abs() < 1e-3);
        assert!(lines.iter().enumerate().all(|(i, v)| i == centre || v.norm() < 1e-4));
    }
}
