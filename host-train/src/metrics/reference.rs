//! The fully sampled image that reconstructions are compared with.

use kscout_core::Complex32;
use kscout_core::kspace::recon::magnitude;
use serde::{Deserialize, Serialize};

use crate::metrics::dice::MetricError;
use crate::metrics::quality::{nmse, psnr, ssim};
use crate::mri::KSpace;

/// Image quality of one slice against its fully sampled image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Structural similarity.
    pub ssim: f64,
    /// Peak signal-to-noise ratio in dB; infinite for equal images.
    pub psnr_db: f64,
    /// Normalised mean squared error.
    pub nmse: f64,
}

/// Magnitude of the fully sampled, noisy image of a slice: what reconstruction can reach.
#[derive(Clone, Debug)]
pub struct Reference {
    image: Vec<f32>,
    /// Its largest value, the data range of SSIM and PSNR.
    range: f64,
    /// Rows and columns.
    size: [usize; 2],
}

impl Reference {
    /// That of a slice that measures as `kspace`.
    pub fn new(kspace: &KSpace) -> Self {
        let image: Vec<f32> = kspace.image().iter().map(|value| value.norm()).collect();
        let range = f64::from(image.iter().fold(0f32, |a, &b| a.max(b)));
        Self { image, range, size: [kspace.height, kspace.width] }
    }

    /// The image, row-major.
    pub fn image(&self) -> &[f32] {
        &self.image
    }

    /// SSIM of a reconstruction before its magnitude is taken; 1 where there is nothing to see.
    ///
    /// # Errors
    /// [`MetricError`] if the images differ in size, or are smaller than SSIM's window.
    pub fn ssim(&self, reconstructed: &[Complex32]) -> Result<f64, MetricError> {
        self.ssim_of(&magnitudes(reconstructed))
    }

    /// SSIM of a magnitude image; 1 where there is nothing to see.
    ///
    /// # Errors
    /// Those of [`ssim`](Self::ssim).
    pub fn ssim_of(&self, image: &[f32]) -> Result<f64, MetricError> {
        if self.range <= 0.0 {
            return Ok(1.0);
        }
        ssim(&self.image, image, self.size[0], self.size[1], self.range)
    }

    /// All measures of a reconstruction before its magnitude is taken; perfect where there is nothing to see.
    ///
    /// # Errors
    /// Those of [`ssim`](Self::ssim).
    pub fn quality(&self, reconstructed: &[Complex32]) -> Result<Quality, MetricError> {
        if self.range <= 0.0 {
            return Ok(Quality { ssim: 1.0, psnr_db: f64::INFINITY, nmse: 0.0 });
        }
        let image = magnitudes(reconstructed);
        Ok(Quality {
            ssim: self.ssim_of(&image)?,
            psnr_db: psnr(&self.image, &image, self.range)?,
            nmse: nmse(&self.image, &image)?.unwrap_or(0.0),
        })
    }
}

fn magnitudes(image: &[Complex32]) -> Vec<f32> {
    let mut values = vec![0.0; image.len()];
    magnitude(image, &mut values).expect("images of one size");
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::{Protocol, acquire};

    #[test]
    fn the_image_itself_is_perfect_and_half_of_it_is_not() {
        let image: Vec<f32> = (0..32 * 32).map(|pixel| (pixel * 7 % 23) as f32).collect();
        let kspace = acquire(&image, 32, 32, &Protocol::igs(), 1);
        let reference = Reference::new(&kspace);
        let full = kspace.image();
        assert!(reference.quality(&full).unwrap().ssim > 0.9999);
        let half: Vec<Complex32> = full.iter().map(|value| value * 0.5).collect();
        let quality = reference.quality(&half).unwrap();
        assert!(quality.ssim < 0.9 && (quality.nmse - 0.25).abs() < 1e-4, "{quality:?}");
        assert_eq!(reference.ssim(&half).unwrap(), quality.ssim);
        assert!(reference.ssim(&half[1..]).is_err());
    }

    #[test]
    fn an_empty_slice_has_nothing_to_lose() {
        let kspace = acquire(&[0.0; 64], 8, 8, &Protocol::igs(), 1);
        let nothing = [Complex32::ZERO; 64];
        assert_eq!(Reference::new(&kspace).ssim(&nothing), Ok(1.0));
        assert_eq!(Reference::new(&kspace).quality(&nothing).unwrap().nmse, 0.0);
    }
}
