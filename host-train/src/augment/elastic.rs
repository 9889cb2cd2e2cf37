//! Elastic deformation: every pixel moved along a smooth random field, the classes with it.
//!
//! The field is a free-form deformation by cubic B-splines (Rueckert et al., IEEE TMI 1999). It does not fold while its
//! grid points move less than 0.48 of their distance (Choi and Lee, Graphical Models 2000), and more is refused.

use serde::{Deserialize, Serialize};

use crate::augment::smooth::smooth_field;
use crate::config::Refusal;
use crate::config::key::{Key, real, share};
use crate::mri::random::Stream;

/// The most that a grid point may move, in grid spacings.
const WITHOUT_FOLDS: f32 = 0.48;

/// Smooth random deformation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amplitude`, `spacing`")]
pub struct Elastic {
    /// The part of samples that are deformed.
    pub probability: f32,
    /// The most that a pixel moves along each axis, in pixels; the root mean square is about 0.28 of it.
    pub amplitude: f32,
    /// Distance of the random grid's points in pixels, at least `amplitude / 0.48`.
    pub spacing: f32,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { probability: 0.0, amplitude: 8.0, spacing: 24.0 }
    }
}

impl Elastic {
    pub(super) const KEYS: &[Key] = &[
        share("augment.elastic.probability"),
        real("augment.elastic.spacing", 4.0, 512.0),
        real("augment.elastic.amplitude", 0.0, 245.0),
    ];

    pub(super) fn check_together(&self) -> Result<(), Refusal> {
        let most = WITHOUT_FOLDS * self.spacing;
        if self.amplitude <= most {
            return Ok(());
        }
        let (given, rule) = (self.amplitude, format!("{WITHOUT_FOLDS} of the spacing; more would fold the image"));
        Err(("augment.elastic.amplitude", format!("must be at most {most}, {rule}; not {given}")))
    }

    /// Displacements of all pixels along y and along x, in pixels, if the sample is to be deformed.
    pub(super) fn draw(&self, size: [usize; 2], stream: &mut Stream) -> Option<[Vec<f32>; 2]> {
        if !stream.chance(self.probability) || self.amplitude == 0.0 {
            return None;
        }
        Some([0, 1].map(|_| {
            let mut field = smooth_field(size, [self.spacing; 2], stream);
            field.iter_mut().for_each(|value| *value *= self.amplitude);
            field
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [48, 64];

    fn always(amplitude: f32, spacing: f32) -> Elastic {
        Elastic { probability: 1.0, amplitude, spacing }
    }

    #[test]
    fn no_amplitude_is_no_deformation() {
        assert!(always(0.0, 16.0).draw(SIZE, &mut Stream::new(1)).is_none());
    }

    #[test]
    fn no_pixel_moves_further_than_the_amplitude() {
        let mut furthest = 0f32;
        for seed in 0..50 {
            let fields = always(5.0, 16.0).draw(SIZE, &mut Stream::new(seed)).unwrap();
            let most = fields.iter().flatten().fold(0f32, |most, by| most.max(by.abs()));
            assert!(most <= 5.0, "{most}");
            furthest = furthest.max(most);
            assert_ne!(fields[0], fields[1], "the axes are independent");
        }
        assert!(furthest > 3.5, "{furthest}");
    }

    #[test]
    fn the_largest_amplitude_that_is_accepted_does_not_fold_the_image() {
        let elastic = always(WITHOUT_FOLDS * 8.0, 8.0);
        elastic.check_together().unwrap();
        for seed in 0..50 {
            let [dy, dx] = elastic.draw(SIZE, &mut Stream::new(seed)).unwrap();
            for i in (0..47).flat_map(|y| (0..63).map(move |x| y * 64 + x)) {
                let (right, down) = (i + 1, i + 64);
                let [yy, yx] = [1.0 + dy[down] - dy[i], dy[right] - dy[i]];
                let [xy, xx] = [dx[down] - dx[i], 1.0 + dx[right] - dx[i]];
                assert!(yy * xx - yx * xy > 0.0, "seed {seed}: turned over at pixel {i}");
            }
        }
    }

    #[test]
    fn an_amplitude_that_would_fold_is_refused() {
        let (key, message) = always(9.0, 16.0).check_together().unwrap_err();
        assert_eq!(key, "augment.elastic.amplitude");
        assert_eq!(message, "must be at most 7.68, 0.48 of the spacing; more would fold the image; not 9");
    }
}
