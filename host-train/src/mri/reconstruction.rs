//! [`Reconstruction`] on the host: its name in configurations and checkpoints, the order of lines that suits it, and the
//! image that it makes of a whole k-space.

use kscout_core::Complex32;
use kscout_core::kspace::{LineSet, Pattern, Reconstruction, mirror_line};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::KSpace;
use crate::kernels::fastest;

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
    match reconstruction {
        Reconstruction::ZeroFilled => Pattern::CentreOut,
        Reconstruction::Homodyne | Reconstruction::HalfHomodyne => Pattern::PartialFourier { centre_fraction: 0.5 },
    }
}

impl KSpace {
    /// The complex image, row-major, that `reconstruction` makes of the measured lines: that of the core's scan, but for
    /// rounding.
    pub fn reconstructed(&self, measured: &LineSet, reconstruction: Reconstruction) -> Vec<Complex32> {
        let image = self.zero_filled(|line| measured.contains(line));
        if !reconstruction.is_symmetric() {
            return image;
        }
        let has_mirror = |line| measured.contains(line) && measured.contains(mirror_line(line, self.width));
        let paired = self.zero_filled(has_mirror);
        let mut out = vec![Complex32::ZERO; image.len()];
        fastest().homodyne(&image, &paired, reconstruction.weight(), &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::model::Model;
    use serde::Serialize;

    use super::*;
    use crate::export::{HeaderSpec, Observation, Origin, pack};
    use crate::kernels::{scan, scan_arena};
    use crate::mri::observation::pattern_mask;
    use crate::mri::{Protocol, acquire};
    use crate::net::Scout;
    use crate::play::{play, reconstructed};

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

    /// A scan loop whose blob asks for `reconstruction`.
    fn blob(reconstruction: Reconstruction) -> Vec<u8> {
        let scout = Scout::new(SIDE, SIDE, &burn::tensor::Device::flex()).graph(SIDE, SIDE);
        let seen = Observation { levels: vec![0; SIDE * SIDE], state: vec![127; SIDE + 3] };
        let header = HeaderSpec {
            height: SIDE,
            width: SIDE,
            classes: 4,
            layout: kscout_core::kernels::Layout::Portable,
            reconstruction,
            origin: Origin::default(),
            provenance: String::new(),
        };
        pack(None, Some(&scout), &[seen], &header).unwrap()
    }

    #[test]
    fn a_whole_k_space_gives_the_image_of_the_cores_scan() {
        let bright =
            |i: usize| if ((i / SIDE) as f32 - 14.0).hypot((i % SIDE) as f32 - 18.0) < 9.0 { 0.9 } else { 0.2 };
        let image: Vec<f32> = (0..SIDE * SIDE).map(bright).collect();
        let kspace = acquire(&image, SIDE, SIDE, &Protocol::scanner(), 3);
        for reconstruction in Reconstruction::ALL {
            let blob = blob(reconstruction);
            let model = Model::new_checked(&blob).unwrap();
            let mut arena = scan_arena(&model);
            let mut scan = scan(&model, &mut arena).unwrap();
            for pattern in [usual_pattern(reconstruction), Pattern::Random] {
                let mut order = pattern.lines(SIDE, 14, 5).unwrap().into_iter().map(usize::from);
                play(&mut scan, &kspace, 14, |_| Ok(order.next())).unwrap();
                let whole = kspace.reconstructed(&pattern_mask(pattern, SIDE, 14, 5), reconstruction);
                let grown = reconstructed(&scan);
                let difference: f32 = whole.iter().zip(grown.iter()).map(|(a, b)| (a - b).norm_sqr()).sum();
                let size: f32 = whole.iter().map(|value| value.norm_sqr()).sum();
                assert!((difference / size).sqrt() < 1e-4, "{reconstruction} {pattern}: {difference} of {size}");
            }
        }
    }
}
