//! Image quality against a reference: SSIM, PSNR, NMSE, and the mean squared error.
//!
//! Defined as in scikit-image, so that numbers compare with the literature. Images are row-major `[y][x]`; sums are kept
//! in `f64`. Where an image is all zero:
//!
//! | reference | image | SSIM | PSNR | NMSE |
//! |---|---|---|---|---|
//! | all zero | any | as defined, but the reference has no data range: pass one | as defined, likewise | `None` |
//! | some | all zero | as defined | as defined | 1 |
//!
//! Equal images have an SSIM of 1, an infinite PSNR and an NMSE of 0. Images without a pixel are refused.

use crate::metrics::dice::{MetricError, same_length};

/// Side of SSIM's window, in pixels.
pub const SSIM_WINDOW: usize = 7;

const K1: f64 = 0.01;
const K2: f64 = 0.03;

/// Structural similarity (Wang et al., 2004): mean over all windows that lie inside the image, 7x7, uniform, with sample
/// covariances, K1 = 0.01 and K2 = 0.03, the defaults of scikit-image. `data_range` is the span of possible values,
/// such as the reference's maximum for magnitude images.
///
/// A window's five sums come from running column sums: one row enters, one leaves.
pub fn ssim(
    reference: &[f32],
    image: &[f32],
    height: usize,
    width: usize,
    data_range: f64,
) -> Result<f64, MetricError> {
    same_length("reference", height * width, reference.len())?;
    same_length("image", height * width, image.len())?;
    positive_range(data_range)?;
    if height < SSIM_WINDOW || width < SSIM_WINDOW {
        return Err(MetricError::TooSmall { height, width, window: SSIM_WINDOW });
    }
    let stability = [(K1 * data_range).powi(2), (K2 * data_range).powi(2)];
    let mut sums = ColumnSums::new(width);
    let mut total = 0.0;
    for (y, (row, other)) in reference.chunks_exact(width).zip(image.chunks_exact(width)).enumerate() {
        sums.change(row, other, 1.0);
        if y + 1 >= SSIM_WINDOW {
            total += sums.row_total(stability);
            let leaving = (y + 1 - SSIM_WINDOW) * width..(y + 2 - SSIM_WINDOW) * width;
            sums.change(&reference[leaving.clone()], &image[leaving], -1.0);
        }
    }
    Ok(total / ((height + 1 - SSIM_WINDOW) * (width + 1 - SSIM_WINDOW)) as f64)
}

/// Per column, over the rows of the window: sums of a, b, a a, b b, a b.
struct ColumnSums {
    sums: [Vec<f64>; 5],
}

impl ColumnSums {
    fn new(width: usize) -> Self {
        Self { sums: std::array::from_fn(|_| vec![0.0; width]) }
    }

    fn change(&mut self, row: &[f32], other: &[f32], sign: f64) {
        let [a_sum, b_sum, aa_sum, bb_sum, ab_sum] = &mut self.sums;
        let first = a_sum.iter_mut().zip(b_sum);
        let second = aa_sum.iter_mut().zip(bb_sum).zip(ab_sum);
        for (((a_sum, b_sum), ((aa_sum, bb_sum), ab_sum)), (&a, &b)) in first.zip(second).zip(row.iter().zip(other)) {
            let (a, b) = (f64::from(a), f64::from(b));
            *a_sum += sign * a;
            *b_sum += sign * b;
            *aa_sum += sign * a * a;
            *bb_sum += sign * b * b;
            *ab_sum += sign * a * b;
        }
    }

    /// Sum of SSIM over the windows of the current rows.
    fn row_total(&self, [c1, c2]: [f64; 2]) -> f64 {
        const PIXELS: f64 = (SSIM_WINDOW * SSIM_WINDOW) as f64;
        const SAMPLE: f64 = PIXELS / (PIXELS - 1.0);
        let [a, b, aa, bb, ab] = &self.sums;
        let windows = |sums| <[f64]>::windows(sums, SSIM_WINDOW).map(|window| window.iter().sum::<f64>() / PIXELS);
        let means = windows(a).zip(windows(b));
        let squares = windows(aa).zip(windows(bb)).zip(windows(ab));
        means.zip(squares).fold(0.0, |total, ((a, b), ((aa, bb), ab))| {
            let (var_a, var_b, cov) = (SAMPLE * (aa - a * a), SAMPLE * (bb - b * b), SAMPLE * (ab - a * b));
            let over = (2.0 * a * b + c1) * (2.0 * cov + c2);
            let under = (a * a + b * b + c1) * (var_a + var_b + c2);
            total + over / under
        })
    }
}

/// Peak signal-to-noise ratio in dB: `10 log10(data_range^2 / mean squared error)`; infinite for equal images.
pub fn psnr(reference: &[f32], image: &[f32], data_range: f64) -> Result<f64, MetricError> {
    positive_range(data_range)?;
    Ok(10.0 * (data_range * data_range / mse(reference, image)?).log10())
}

/// Mean squared error.
pub fn mse(reference: &[f32], image: &[f32]) -> Result<f64, MetricError> {
    same_length("image", reference.len(), image.len())?;
    if reference.is_empty() {
        return Err(MetricError::TooSmall { height: 0, width: 0, window: 1 });
    }
    Ok(squared_error(reference, image) / reference.len() as f64)
}

/// Normalised mean squared error: `|image - reference|^2 / |reference|^2`; `None` for an all-zero reference.
pub fn nmse(reference: &[f32], image: &[f32]) -> Result<Option<f64>, MetricError> {
    same_length("image", reference.len(), image.len())?;
    let energy: f64 = reference.iter().map(|&value| f64::from(value).powi(2)).sum();
    Ok((energy > 0.0).then(|| squared_error(reference, image) / energy))
}

fn squared_error(reference: &[f32], image: &[f32]) -> f64 {
    reference.iter().zip(image).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

fn positive_range(data_range: f64) -> Result<(), MetricError> {
    if data_range.is_finite() && data_range > 0.0 { Ok(()) } else { Err(MetricError::DataRange(data_range)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random_image(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..len).map(|_| rng.random_range(0.0..1.0)).collect()
    }

    /// The definition, window by window, with deviations from the window's mean.
    fn naive_ssim(a: &[f32], b: &[f32], height: usize, width: usize, range: f64) -> f64 {
        let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
        let mut total = 0.0;
        for y in 0..height - 6 {
            for x in 0..width - 6 {
                let pixels = (0..49).map(|i| (y + i / 7) * width + x + i % 7);
                let pairs: Vec<_> = pixels.map(|i| (f64::from(a[i]), f64::from(b[i]))).collect();
                let mean_a = pairs.iter().map(|pair| pair.0).sum::<f64>() / 49.0;
                let mean_b = pairs.iter().map(|pair| pair.1).sum::<f64>() / 49.0;
                let var_a = pairs.iter().map(|pair| (pair.0 - mean_a).powi(2)).sum::<f64>() / 48.0;
                let var_b = pairs.iter().map(|pair| (pair.1 - mean_b).powi(2)).sum::<f64>() / 48.0;
                let cov = pairs.iter().map(|pair| (pair.0 - mean_a) * (pair.1 - mean_b)).sum::<f64>() / 48.0;
                total += (2.0 * mean_a * mean_b + c1) * (2.0 * cov + c2)
                    / ((mean_a.powi(2) + mean_b.powi(2) + c1) * (var_a + var_b + c2));
            }
        }
        total / ((height - 6) * (width - 6)) as f64
    }

    #[test]
    fn ssim_equals_the_definition_window_by_window() {
        for (height, width) in [(7, 7), (7, 20), (33, 18), (64, 64)] {
            let (a, b) = (random_image(1, height * width), random_image(2, height * width));
            let fast = ssim(&a, &b, height, width, 0.8).unwrap();
            assert!((fast - naive_ssim(&a, &b, height, width, 0.8)).abs() < 1e-10);
        }
    }

    #[test]
    fn ssim_of_an_image_with_itself_is_one() {
        let image = random_image(3, 128 * 128);
        assert!((ssim(&image, &image, 128, 128, 1.0).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ssim_keeps_its_digits_where_the_background_is_zero() {
        let (mut a, mut b) = (vec![0.0; 64 * 64], vec![0.0; 64 * 64]);
        a[..640].copy_from_slice(&random_image(4, 640));
        b[..640].copy_from_slice(&random_image(5, 640));
        assert!((ssim(&a, &b, 64, 64, 1.0).unwrap() - naive_ssim(&a, &b, 64, 64, 1.0)).abs() < 1e-10);
    }

    #[test]
    fn psnr_of_an_error_of_a_tenth_is_twenty_db() {
        let psnr = psnr(&[0.5; 100], &[0.6; 100], 1.0).unwrap();
        assert!((psnr - 20.0).abs() < 1e-5);
    }

    #[test]
    fn psnr_of_equal_images_is_infinite() {
        assert_eq!(psnr(&[0.5; 4], &[0.5; 4], 1.0), Ok(f64::INFINITY));
    }

    #[test]
    fn nmse_is_relative_to_the_reference() {
        assert_eq!(nmse(&[2.0, 0.0], &[1.0, 0.0]), Ok(Some(0.25)));
        assert_eq!(nmse(&[0.0; 2], &[1.0; 2]), Ok(None));
    }

    #[test]
    fn an_image_of_zeros_against_one_that_shows_something() {
        let image = random_image(6, 49);
        assert_eq!(nmse(&image, &[0.0; 49]), Ok(Some(1.0)));
        assert_eq!(nmse(&[0.0; 49], &image), Ok(None));
        // PSNR and the mean squared error do not ask which is which.
        assert_eq!(psnr(&image, &[0.0; 49], 1.0), psnr(&[0.0; 49], &image, 1.0));
        assert_eq!(mse(&image, &[0.0; 49]), mse(&[0.0; 49], &image));
        assert!(psnr(&image, &[0.0; 49], 1.0).unwrap().is_finite());
        assert!(ssim(&image, &[0.0; 49], 7, 7, 1.0).unwrap() < 0.1);
    }

    #[test]
    fn two_images_of_zeros_are_equal() {
        let zeros = [0.0; 49];
        assert_eq!(ssim(&zeros, &zeros, 7, 7, 1.0), Ok(1.0));
        assert_eq!(psnr(&zeros, &zeros, 1.0), Ok(f64::INFINITY));
        assert_eq!(mse(&zeros, &zeros), Ok(0.0));
        assert_eq!(nmse(&zeros, &zeros), Ok(None));
    }

    #[test]
    fn bad_inputs_are_named() {
        assert!(matches!(mse(&[], &[]), Err(MetricError::TooSmall { .. })));
        assert!(matches!(psnr(&[], &[], 1.0), Err(MetricError::TooSmall { .. })));
        assert!(matches!(ssim(&[0.0; 36], &[0.0; 36], 6, 6, 1.0), Err(MetricError::TooSmall { .. })));
        assert!(matches!(ssim(&[0.0; 49], &[0.0; 49], 7, 7, 0.0), Err(MetricError::DataRange(_))));
        assert!(matches!(nmse(&[0.0; 4], &[0.0; 3]), Err(MetricError::Length { expected: 4, found: 3, .. })));
    }
}
