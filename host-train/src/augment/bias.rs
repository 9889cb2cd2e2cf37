//! Bias field: the shading that a receive coil's sensitivity leaves on an image.

use serde::{Deserialize, Serialize};

use crate::augment::smooth::smooth_field;
use crate::config::key::{Key, real, share, whole};
use crate::mri::random::Stream;

/// Smooth shading. Its logarithm is a smooth random field, so that it is positive and as often bright as dark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amount`, `cells`")]
pub struct Bias {
    /// The part of samples that are shaded.
    pub probability: f32,
    /// The shading's factor lies in `1 / (1 + amount) ..= 1 + amount`.
    pub amount: f32,
    /// Cells of the random grid along each side of the image: more are less smooth.
    pub cells: usize,
}

impl Default for Bias {
    fn default() -> Self {
        Self { probability: 0.0, amount: 1.0, cells: 2 }
    }
}

impl Bias {
    pub(super) const KEYS: &[Key] =
        &[share("augment.bias.probability"), real("augment.bias.amount", 0.0, 9.0), whole("augment.bias.cells", 1, 16)];

    pub(super) fn apply(&self, image: &mut [f32], [height, width]: [usize; 2], stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        let spacing = [height, width].map(|len| len as f32 / self.cells as f32);
        let octaves = (1.0 + self.amount).log2();
        for (value, field) in image.iter_mut().zip(smooth_field([height, width], spacing, stream)) {
            *value *= (octaves * field).exp2();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_keeps_its_range_and_changes_slowly() {
        let bias = Bias { probability: 1.0, amount: 1.0, cells: 2 };
        let (mut darkest, mut brightest) = (1f32, 1f32);
        for seed in 0..50 {
            let mut shading = vec![1.0; 64 * 64];
            bias.apply(&mut shading, [64, 64], &mut Stream::new(seed));
            darkest = shading.iter().copied().fold(darkest, f32::min);
            brightest = shading.iter().copied().fold(brightest, f32::max);
            let ratio = shading.windows(2).enumerate().filter(|(i, _)| (i + 1) % 64 != 0).map(|(_, p)| p[1] / p[0]);
            // Two octaves over a cell of 32 pixels at most.
            assert!(ratio.into_iter().all(|ratio| ratio.log2().abs() < 2.0 / 32.0), "seed {seed}");
        }
        assert!(darkest >= 0.5 && brightest <= 2.0, "{darkest} to {brightest}");
        assert!(darkest < 0.65 && brightest > 1.6, "{darkest} to {brightest}");
    }

    #[test]
    fn no_amount_is_no_shading_and_darkness_stays_dark() {
        let mut image = vec![0.0, 0.3, 1.0, 0.7];
        Bias { probability: 1.0, amount: 0.0, cells: 2 }.apply(&mut image, [2, 2], &mut Stream::new(1));
        assert_eq!(image, [0.0, 0.3, 1.0, 0.7]);
        Bias { probability: 1.0, amount: 5.0, cells: 2 }.apply(&mut image, [2, 2], &mut Stream::new(1));
        assert_eq!(image[0], 0.0);
    }
}
