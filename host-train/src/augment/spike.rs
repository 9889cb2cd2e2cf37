//! Spikes: single samples struck by interference, each a wave of stripes over the whole image.

use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use crate::config::key::{Key, real, share, whole};
use crate::mri::KSpace;
use crate::mri::random::{Stream, sin_cos_turns};

/// Samples struck by interference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `count`, `strength`")]
pub struct Spike {
    /// The part of samples that have spikes.
    pub probability: f32,
    /// The number of spikes is uniform in `1 ..= count`. They lie anywhere in k-space: a scan meets those of its lines.
    pub count: usize,
    /// The amplitude of a spike's stripes is uniform in `0 ..= strength` times the image's mean. Their phase is random.
    pub strength: f32,
}

impl Default for Spike {
    fn default() -> Self {
        Self { probability: 0.0, count: 3, strength: 0.5 }
    }
}

impl Spike {
    pub(super) const KEYS: &[Key] = &[
        share("augment.spike.probability"),
        whole("augment.spike.count", 1, 1000),
        real("augment.spike.strength", 0.0, 100.0),
    ];

    /// `image` is what `kspace` was measured of.
    pub(super) fn apply(&self, kspace: &mut KSpace, image: &[f32], stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        // The transform is orthonormal: a sample of this magnitude is a wave of the image's mean.
        let mean = image.iter().sum::<f32>() / (image.len() as f32).sqrt();
        for _ in 0..1 + stream.below(self.count) {
            let place = stream.below(kspace.samples.len());
            let height = stream.range(0.0, self.strength) * mean;
            let (sin, cos) = sin_cos_turns(stream.unit());
            kspace.samples[place] += Complex32::new(height * cos, height * sin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::{Protocol, acquire};

    const H: usize = 32;
    const W: usize = 64;

    /// Of mean 0.5.
    fn image() -> Vec<f32> {
        (0..H * W).map(|i| (i % 2) as f32 * 0.6 + 0.2).collect()
    }

    fn measured() -> KSpace {
        acquire(&image(), H, W, &Protocol::igs(), 1)
    }

    fn hit(count: usize, seed: u64) -> KSpace {
        let mut kspace = measured();
        Spike { probability: 1.0, count, strength: 0.5 }.apply(&mut kspace, &image(), &mut Stream::new(seed));
        kspace
    }

    fn struck(kspace: &KSpace) -> Vec<usize> {
        let before = measured();
        (0..H * W).filter(|&i| kspace.samples[i] != before.samples[i]).collect()
    }

    #[test]
    fn a_spike_is_a_wave_of_one_magnitude_with_its_sample_s_frequency() {
        for seed in 0..10 {
            let kspace = hit(1, seed);
            let [place] = struck(&kspace)[..] else { panic!("one spike, not {:?}", struck(&kspace)) };
            let added = kspace.samples[place] - measured().samples[place];
            let (kx, ky) = ((place / H) as f32 - (W / 2) as f32, (place % H) as f32 - (H / 2) as f32);
            for (i, (after, before)) in kspace.image().iter().zip(measured().image()).enumerate() {
                let (y, x) = ((i / W) as f32 - (H / 2) as f32, (i % W) as f32 - (W / 2) as f32);
                let angle = std::f32::consts::TAU * (kx * x / W as f32 + ky * y / H as f32);
                let wave = added * Complex32::from_polar(1.0 / ((H * W) as f32).sqrt(), angle);
                assert!((after - before - wave).norm() < 2e-5, "seed {seed}, pixel {i}");
            }
        }
    }

    #[test]
    fn their_number_and_strength_keep_their_range() {
        let (mut seen, mut strongest) = ([0; 5], 0f32);
        for seed in 0..300 {
            let kspace = hit(4, seed);
            let struck = struck(&kspace);
            seen[struck.len()] += 1;
            for place in struck {
                let stripes = (kspace.samples[place] - measured().samples[place]).norm() / ((H * W) as f32).sqrt();
                strongest = strongest.max(stripes);
            }
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|&count| count > 40), "{seen:?}");
        assert!((0.24..=0.251).contains(&strongest), "half of the mean 0.5 at most, not {strongest}");
    }
}
