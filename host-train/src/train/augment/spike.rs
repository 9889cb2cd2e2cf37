//! Spikes: single samples struck by interference, each a wave of stripes over the whole image.

use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use super::{Refusal, within};
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
    /// What is added to a sample is uniform in `0 ..= strength` times the largest magnitude in k-space, with any phase.
    pub strength: f32,
}

impl Default for Spike {
    fn default() -> Self {
        Self { probability: 0.0, count: 3, strength: 0.3 }
    }
}

impl Spike {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        within("augment.spike.probability", self.probability, 0.0..=1.0)?;
        within("augment.spike.count", self.count as f32, 1.0..=1000.0)?;
        within("augment.spike.strength", self.strength, 0.0..=100.0)
    }

    pub(super) fn apply(&self, kspace: &mut KSpace, stream: &mut Stream) {
        if !stream.chance(self.probability) {
            return;
        }
        let largest = kspace.samples.iter().map(Complex32::norm_sqr).fold(0.0, f32::max).sqrt();
        for _ in 0..1 + stream.below(self.count) {
            let place = stream.below(kspace.samples.len());
            let height = stream.range(0.0, self.strength) * largest;
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

    fn measured() -> KSpace {
        let image: Vec<f32> = (0..H * W).map(|i| (i % 11) as f32 / 10.0).collect();
        acquire(&image, H, W, &Protocol::igs(), 1)
    }

    fn struck(kspace: &KSpace) -> Vec<usize> {
        let before = measured();
        (0..H * W).filter(|&i| kspace.samples[i] != before.samples[i]).collect()
    }

    #[test]
    fn a_spike_is_a_wave_of_one_magnitude_with_its_sample_s_frequency() {
        for seed in 0..10 {
            let mut kspace = measured();
            Spike { probability: 1.0, count: 1, strength: 0.5 }.apply(&mut kspace, &mut Stream::new(seed));
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
        let largest = measured().samples.iter().map(|v| v.norm()).fold(0.0, f32::max);
        let mut seen = [0; 5];
        for seed in 0..300 {
            let mut kspace = measured();
            Spike { probability: 1.0, count: 4, strength: 0.5 }.apply(&mut kspace, &mut Stream::new(seed));
            let struck = struck(&kspace);
            seen[struck.len()] += 1;
            for place in struck {
                let added = (kspace.samples[place] - measured().samples[place]).norm();
                // Two spikes may strike the same sample.
                assert!(added <= 1.001 * largest, "{added}");
            }
        }
        assert!(seen[0] == 0 && seen[1..].iter().all(|&count| count > 40), "{seen:?}");
    }
}
