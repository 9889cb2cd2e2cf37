//! Ghosts of periodic motion, as of breathing, while lines are measured one after another.
//!
//! A rigid displacement by (dy, dx) multiplies k-space by `exp(-2 pi i (ky dy / H + kx dx / W))`, ky and kx counted from DC.
//! With the object somewhere else at every line, each line gets the factor of its own time (Wood and Henkelman, Medical
//! Physics 1985). Lines are taken to follow each other in k-space's own order, as in a plain scan, whatever order they are
//! read in later; a period of P lines makes ghosts at multiples of `W / P` pixels along the lines' axis x.

use rustfft::num_complex::Complex32;
use serde::{Deserialize, Serialize};

use crate::config::Refusal;
use crate::config::key::{Key, real, share};
use crate::mri::KSpace;
use crate::mri::random::{Stream, sin_cos_turns};

/// Periodic motion: a sine along a random direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amplitude`, `min_period`, `max_period`")]
pub struct Ghost {
    /// The part of samples that move while they are measured.
    pub probability: f32,
    /// The sine's amplitude is uniform in `0 ..= amplitude` pixels.
    pub amplitude: f32,
    /// The shortest period, in lines.
    pub min_period: f32,
    /// The longest period, in lines; it is uniform in between.
    pub max_period: f32,
}

impl Default for Ghost {
    fn default() -> Self {
        Self { probability: 0.0, amplitude: 3.0, min_period: 2.0, max_period: 16.0 }
    }
}

impl Ghost {
    pub(super) const KEYS: &[Key] = &[
        share("augment.ghost.probability"),
        real("augment.ghost.amplitude", 0.0, 128.0),
        real("augment.ghost.min_period", 2.0, 512.0),
        real("augment.ghost.max_period", 2.0, 512.0),
    ];

    pub(super) fn check_together(&self) -> Result<(), Refusal> {
        let (least, given) = (self.min_period, self.max_period);
        if given >= least {
            return Ok(());
        }
        Err(("augment.ghost.max_period", format!("must be at least min_period, which is {least}; not {given}")))
    }

    pub(super) fn apply(&self, kspace: &mut KSpace, stream: &mut Stream) {
        if stream.chance(self.probability) {
            let path = self.path(kspace, stream);
            move_object(kspace, &path);
        }
    }

    /// Where the object lies at each line, (dy, dx) in pixels. The mean, weighted by the lines' energy, is zero: it is there
    /// that the image shows the object, and there its classes are.
    fn path(&self, kspace: &KSpace, stream: &mut Stream) -> Vec<[f32; 2]> {
        let amplitude = stream.range(0.0, self.amplitude);
        let (sin, cos) = sin_cos_turns(stream.unit());
        let period = stream.range(self.min_period, self.max_period);
        let start = stream.unit();
        let mut along: Vec<f32> =
            (0..kspace.width).map(|k| amplitude * sin_cos_turns(k as f32 / period + start).0).collect();
        let energy = |k: usize| kspace.line(k).iter().map(Complex32::norm_sqr).sum::<f32>();
        let (sum, total) = along.iter().enumerate().fold((0.0, 0.0), |(sum, total), (k, by)| {
            let weight = energy(k);
            (sum + weight * by, total + weight)
        });
        let mean = if total > 0.0 { sum / total } else { 0.0 };
        along.iter_mut().for_each(|by| *by -= mean);
        along.iter().map(|by| [sin * by, cos * by]).collect()
    }
}

/// Measures line k with the object displaced by `path[k]`, (dy, dx) in pixels.
pub fn move_object(kspace: &mut KSpace, path: &[[f32; 2]]) {
    let (height, width) = (kspace.height, kspace.width);
    for ((k, line), [dy, dx]) in kspace.samples.chunks_exact_mut(height).enumerate().zip(path) {
        let from_dc = |n: usize, len: usize| n as f32 - (len / 2) as f32;
        let (across, along) = (from_dc(k, width) * dx / width as f32, dy / height as f32);
        for (l, sample) in line.iter_mut().enumerate() {
            let (sin, cos) = sin_cos_turns(across + from_dc(l, height) * along);
            *sample *= Complex32::new(cos, -sin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::{Protocol, acquire};

    const H: usize = 32;
    const W: usize = 64;

    /// A block between x = 24 and 40, off the middle along y.
    fn block() -> KSpace {
        let inside = |i: usize| (6..15).contains(&(i / W)) && (24..40).contains(&(i % W));
        let image: Vec<f32> = (0..H * W).map(|i| if inside(i) { 0.3 + (i % 5) as f32 / 10.0 } else { 0.0 }).collect();
        acquire(&image, H, W, &Protocol { noise_sigma: 0.0, ..Protocol::scanner() }, 3)
    }

    /// The image moved down by `dy` and right by `dx`, around the edges.
    fn rolled(image: &[Complex32], dy: isize, dx: isize) -> Vec<Complex32> {
        let from = |n: usize, by: isize, len: usize| (n as isize - by).rem_euclid(len as isize) as usize;
        (0..H * W).map(|i| image[from(i / W, dy, H) * W + from(i % W, dx, W)]).collect()
    }

    fn worst(a: &[Complex32], b: &[Complex32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max)
    }

    #[test]
    fn an_object_that_lies_elsewhere_at_every_line_is_a_shifted_image() {
        for (dy, dx) in [(0, 5), (-3, 0), (4, -7)] {
            let mut kspace = block();
            let image = kspace.image();
            move_object(&mut kspace, &[[dy as f32, dx as f32]; W]);
            let error = worst(&kspace.image(), &rolled(&image, dy, dx));
            assert!(error < 1e-4, "({dy}, {dx}): {error}");
        }
    }

    #[test]
    fn motion_of_period_two_makes_one_ghost_at_half_the_field_of_view() {
        let mut kspace = block();
        let image = kspace.image();
        let path: Vec<[f32; 2]> = (0..W).map(|k| if k % 2 == 0 { [2.0, 3.0] } else { [-2.0, -3.0] }).collect();
        move_object(&mut kspace, &path);
        // Even lines hold (f(x) + f(x + W/2)) / 2 and odd lines (f(x) - f(x + W/2)) / 2, DC being an even line.
        let (even, odd) = (rolled(&image, 2, 3), rolled(&image, -2, -3));
        let object: Vec<Complex32> = even.iter().zip(&odd).map(|(a, b)| (a + b) * 0.5).collect();
        let ghost: Vec<Complex32> = even.iter().zip(&odd).map(|(a, b)| (a - b) * 0.5).collect();
        let expected: Vec<Complex32> =
            object.iter().zip(rolled(&ghost, 0, W as isize / 2)).map(|(object, ghost)| object + ghost).collect();
        assert!(worst(&kspace.image(), &expected) < 1e-4);
        let energy = |columns: std::ops::Range<usize>, image: &[Complex32]| -> f32 {
            columns.flat_map(|x| (0..H).map(move |y| y * W + x)).map(|i| image[i].norm_sqr()).sum()
        };
        assert!(energy(0..10, &image) < 1e-6, "nothing is there");
        assert!(energy(0..10, &kspace.image()) > 0.02 * energy(0..W, &image), "but the ghost is");
    }

    #[test]
    fn the_path_keeps_amplitude_and_period_and_stays_around_the_object() {
        let kspace = block();
        let ghost = Ghost { probability: 1.0, amplitude: 4.0, min_period: 8.0, max_period: 8.0 };
        let energy: Vec<f32> = (0..W).map(|k| kspace.line(k).iter().map(Complex32::norm_sqr).sum()).collect();
        let mut widest = 0f32;
        for seed in 0..50 {
            let path = ghost.path(&kspace, &mut Stream::new(seed));
            for axis in [0, 1] {
                let along: Vec<f32> = path.iter().map(|by| by[axis]).collect();
                let mean = along.iter().zip(&energy).map(|(by, e)| by * e).sum::<f32>() / energy.iter().sum::<f32>();
                assert!(mean.abs() < 1e-4, "seed {seed}: {mean}");
                assert!(along.iter().zip(&along[8..]).all(|(a, b)| (a - b).abs() < 1e-4), "seed {seed}: period 8");
            }
            let ends = |worse: fn(f32, f32) -> f32, axis: usize| path.iter().map(|by| by[axis]).reduce(worse).unwrap();
            let [y, x] = [0, 1].map(|axis| ends(f32::max, axis) - ends(f32::min, axis));
            assert!(y.hypot(x) <= 8.001, "seed {seed}: {} from end to end", y.hypot(x));
            widest = widest.max(y.hypot(x));
        }
        assert!(widest > 6.0, "{widest}");
    }

    #[test]
    fn motion_changes_no_line_s_energy() {
        let before = block();
        let mut after = before.clone();
        Ghost { probability: 1.0, ..Ghost::default() }.apply(&mut after, &mut Stream::new(5));
        assert_ne!(before, after);
        for k in 0..W {
            let energy = |kspace: &KSpace| kspace.line(k).iter().map(Complex32::norm_sqr).sum::<f32>();
            assert!((energy(&before) - energy(&after)).abs() <= 1e-4 * energy(&before), "line {k}");
        }
    }
}
