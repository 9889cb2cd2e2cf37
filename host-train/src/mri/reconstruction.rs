//! [`Reconstruction`] on the host: its name in configurations and checkpoints, the order of lines that suits it, and the
//! image that it makes of a whole k-space.

use kscout_core::Complex32;
use kscout_core::kspace::{LineSet, Pattern, Reconstruction};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::KSpace;
use crate::runtime::fastest;

/// Writes the name.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(reconstruction: &Reconstruction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reconstruction.name())
}

/// Reads the name.
///
/// # Errors
/// What is not a name, with those that are.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reconstruction, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(|error| de::Error::custom(format!("`{name}`: {error}")))
}

/// The fixed order of lines that a network of this reconstruction is validated on: outward from DC, or partial Fourier where
/// symmetry tells the other half.
pub const fn usual_pattern(reconstruction: Reconstruction) -> Pattern {
    match reconstruction.has_second_image() {
        false => Pattern::CentreOut,
        true => Pattern::PartialFourier { centre_fraction: 0.5 },
    }
}

impl KSpace {
    /// The complex image, row-major, that `reconstruction` makes of the measured lines: that of the core's scan, but for
    /// rounding.
    pub fn reconstructed(&self, measured: &LineSet, reconstruction: Reconstruction) -> Vec<Complex32> {
        let image = self.zero_filled(|line| measured.contains(line));
        if !reconstruction.has_second_image() {
            return image;
        }
        let second = self.zero_filled(|line| reconstruction.is_in_second_image(line, measured));
        let mut out = vec![Complex32::ZERO; image.len()];
        reconstruction.combine(&fastest(), &image, &second, &mut out).expect("images of one size");
        out
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::kspace::Plan;
    use serde::Serialize;

    use super::*;
    use crate::mri::observation::pattern_mask;
    use crate::mri::{Protocol, acquire};
    use crate::runtime::{HeapReconstructor, reconstructed};

    const SIDE: usize = 32;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named {
        #[serde(with = "super")]
        reconstruction: Reconstruction,
    }

    #[test]
    fn a_reconstruction_is_written_by_its_name() {
        for reconstruction in Reconstruction::ALL {
            let text = toml::to_string(&Named { reconstruction }).unwrap();
            assert_eq!(text.trim(), format!("reconstruction = \"{reconstruction}\""));
            assert_eq!(toml::from_str(&text), Ok(Named { reconstruction }));
        }
        let error = toml::from_str::<Named>("reconstruction = \"pocs\"").unwrap_err().to_string();
        assert!(error.contains("`pocs`") && error.contains("half-homodyne"), "{error}");
    }

    #[test]
    fn a_whole_k_space_gives_the_image_of_the_cores_scan() {
        let bright =
            |i: usize| if ((i / SIDE) as f32 - 14.0).hypot((i % SIDE) as f32 - 18.0) < 9.0 { 0.9 } else { 0.2 };
        let image: Vec<f32> = (0..SIDE * SIDE).map(bright).collect();
        let kspace = acquire(&image, SIDE, SIDE, &Protocol::scanner(), 3);
        for reconstruction in Reconstruction::ALL {
            for pattern in [usual_pattern(reconstruction), Pattern::Random] {
                let mut image = HeapReconstructor::new(Plan::new(reconstruction, SIDE, SIDE)).unwrap();
                for line in pattern.lines(SIDE, 14, 5).unwrap().into_iter().map(usize::from) {
                    image.push_line(line, kspace.line(line)).unwrap();
                }
                let whole = kspace.reconstructed(&pattern_mask(pattern, SIDE, 14, 5), reconstruction);
                let line_by_line = reconstructed(image.view());
                let difference: f32 = whole.iter().zip(line_by_line.iter()).map(|(a, b)| (a - b).norm_sqr()).sum();
                let size: f32 = whole.iter().map(|value| value.norm_sqr()).sum();
                assert!((difference / size).sqrt() < 1e-4, "{reconstruction} {pattern}: {difference} of {size}");
            }
        }
    }
}
