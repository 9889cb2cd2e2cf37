//! Phase beyond the protocol's: what field inhomogeneity, flow and coils add.
//!
//! It is the image's, so k-space is taken back to the image and forth again. The protocol's noise, complex and alike in all
//! directions, stays what it is under a turn of the phase.

use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use crate::augment::smooth::smooth_field;
use crate::config::key::{Key, real, share, whole};
use crate::mri::KSpace;
use crate::mri::fourier::image_to_lines;
use crate::mri::random::{Stream, sin_cos_turns};

/// Smooth phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `radians`, `cells`")]
pub struct Phase {
    /// The part of samples that get more phase.
    pub probability: f32,
    /// The most that a pixel's phase turns, in radians; the root mean square is about 0.28 of it.
    pub radians: f32,
    /// Cells of the random grid along each side of the image: more are less smooth.
    pub cells: usize,
}

impl Default for Phase {
    fn default() -> Self {
        Self { probability: 0.0, radians: 6.0, cells: 4 }
    }
}

impl Phase {
    pub(super) const KEYS: &[Key] = &[
        share("augment.phase.probability"),
        real("augment.phase.radians", 0.0, 100.0),
        whole("augment.phase.cells", 1, 16),
    ];

    pub(super) fn apply(&self, kspace: &mut KSpace, stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        let size = [kspace.height, kspace.width];
        let field = smooth_field(size, size.map(|len| len as f32 / self.cells as f32), stream);
        let turns = self.radians / std::f32::consts::TAU;
        let mut image = kspace.image();
        for (value, field) in image.iter_mut().zip(field) {
            let (sin, cos) = sin_cos_turns(turns * field);
            *value *= Complex32::new(cos, sin);
        }
        kspace.samples = image_to_lines(image, kspace.height, kspace.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::{Protocol, acquire};

    #[test]
    fn magnitudes_stay_and_phases_turn_within_their_radians() {
        let image: Vec<f32> = (0..64 * 32).map(|i| 0.2 + (i % 7) as f32 / 10.0).collect();
        let mut furthest = 0f32;
        for seed in 0..20 {
            let mut kspace = acquire(&image, 64, 32, &Protocol::igs(), 1);
            Phase { probability: 1.0, radians: 2.0, cells: 3 }.apply(&mut kspace, &mut Stream::new(seed));
            for (value, magnitude) in kspace.image().iter().zip(&image) {
                assert!((value.norm() - magnitude).abs() < 1e-4);
                assert!(value.arg().abs() <= 2.001, "{}", value.arg());
                furthest = furthest.max(value.arg().abs());
            }
        }
        assert!(furthest > 1.3, "{furthest}");
    }

    #[test]
    fn no_radians_change_nothing() {
        let image: Vec<f32> = (0..64 * 32).map(|i| (i % 7) as f32 / 10.0).collect();
        let before = acquire(&image, 64, 32, &Protocol::scanner(), 1);
        let mut after = before.clone();
        Phase { probability: 1.0, radians: 0.0, cells: 3 }.apply(&mut after, &mut Stream::new(1));
        let error = before.samples.iter().zip(&after.samples).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{error}");
    }
}
