//! Noise beyond the protocol's: other coils, other field strengths, other patients.

use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use crate::config::key::{Key, real, share};
use crate::mri::KSpace;
use crate::mri::acquire::noise_unit;
use crate::mri::random::Stream;

/// Complex noise. What it adds to the protocol's adds in squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `sigma`")]
pub struct Noise {
    /// The part of samples that get more noise.
    pub probability: f32,
    /// The standard deviation in the real and in the imaginary part is uniform in `0 ..= sigma`, in the unit of
    /// [`Protocol::noise_sigma`](crate::mri::Protocol::noise_sigma), which is 0.01 in a scanner.
    pub sigma: f32,
}

impl Default for Noise {
    fn default() -> Self {
        Self { probability: 0.0, sigma: 0.03 }
    }
}

impl Noise {
    pub(super) const KEYS: &[Key] = &[share("augment.noise.probability"), real("augment.noise.sigma", 0.0, 10.0)];

    /// `image` is what `kspace` was measured of.
    pub(super) fn apply(&self, kspace: &mut KSpace, image: &[f32], stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        let sigma = stream.range(0.0, self.sigma) * noise_unit(image);
        for sample in &mut kspace.samples {
            let (re, im) = stream.normal_pair();
            *sample += Complex32::new(sigma * re, sigma * im);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::{Protocol, acquire};

    #[test]
    fn its_sigma_is_uniform_up_to_the_largest_in_both_parts() {
        let image = vec![0.5; 64 * 64];
        let clean = acquire(&image, 64, 64, &Protocol::igs(), 1);
        let sigmas: Vec<f32> = (0..200)
            .map(|seed| {
                let mut noisy = clean.clone();
                Noise { probability: 1.0, sigma: 0.1 }.apply(&mut noisy, &image, &mut Stream::new(seed));
                let noise: Vec<Complex32> = noisy.samples.iter().zip(&clean.samples).map(|(a, b)| a - b).collect();
                let [re, im] = [|v: &Complex32| v.re, |v: &Complex32| v.im]
                    .map(|part| (noise.iter().map(|v| part(v).powi(2)).sum::<f32>() / noise.len() as f32).sqrt());
                assert!((re - im).abs() < 0.1 * re.max(im), "{re} and {im}");
                re
            })
            .collect();
        // A tenth of the image's 0.5.
        assert!(sigmas.iter().all(|&sigma| sigma < 0.0525));
        assert!(sigmas.iter().any(|&sigma| sigma > 0.045) && sigmas.iter().any(|&sigma| sigma < 0.005));
        let mean = sigmas.iter().sum::<f32>() / sigmas.len() as f32;
        assert!((mean - 0.025).abs() < 0.003, "{mean}");
    }
}
