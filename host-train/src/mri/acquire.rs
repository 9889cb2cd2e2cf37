//! What a scanner would measure of a slice.
//!
//! Data sets hold magnitude images, whose k-space is Hermitian: half of it follows from the other half. A scanner's is
//! not, for coils, field and flow give the image a phase. So before sampling, the *scanner* protocol multiplies the image
//! by a smooth random phase and adds complex Gaussian noise. Both come from a seed, [`seed_for`] a slice, so that every
//! method meets the same measurement.

use std::fmt;
use std::str::FromStr;

use rustfft::num_complex::Complex32;

use super::fourier::{image_to_lines, lines_to_image};
use super::random::{Stream, fnv1a, mix, sin_cos_turns};

/// How an image becomes a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// Largest deviation of the phase from its mean over the field, in radians; 0 keeps the image real.
    pub phase_amplitude: f32,
    /// Standard deviation of the noise in the real and in the imaginary part of each sample, relative to the 99.5th
    /// percentile of the image's magnitude. The transform is orthonormal, so it is the same in image and k-space.
    pub noise_sigma: f32,
}

impl Protocol {
    /// A phase of +-pi over the field and noise of 0.01.
    pub const fn scanner() -> Self {
        Self { phase_amplitude: std::f32::consts::PI, noise_sigma: 0.01 }
    }

    /// The magnitude image alone, without noise (the protocol of arXiv 2108.04914).
    pub const fn igs() -> Self {
        Self { phase_amplitude: 0.0, noise_sigma: 0.0 }
    }

    /// Whether another seed measures something else.
    pub fn is_random(&self) -> bool {
        self.phase_amplitude > 0.0 || self.noise_sigma > 0.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            protocol if protocol == Self::scanner() => f.pad("scanner"),
            protocol if protocol == Self::igs() => f.pad("igs"),
            Self { phase_amplitude, noise_sigma } => write!(f, "phase {phase_amplitude} noise {noise_sigma}"),
        }
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "scanner" => Ok(Self::scanner()),
            "igs" => Ok(Self::igs()),
            _ => Err(format!("`{text}` is no protocol; expected scanner or igs")),
        }
    }
}

/// The fully sampled k-space of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct KSpace {
    /// Samples of a line (H).
    pub height: usize,
    /// Number of lines (W).
    pub width: usize,
    /// Line-major samples: line k is `[k * height..(k + 1) * height]`.
    pub samples: Vec<Complex32>,
}

impl KSpace {
    /// Line k: its H samples along ky, DC at H/2.
    ///
    /// # Panics
    /// If `k` is not below the width.
    pub fn line(&self, k: usize) -> &[Complex32] {
        &self.samples[k * self.height..(k + 1) * self.height]
    }

    /// The complex image, row-major, of all lines.
    pub fn image(&self) -> Vec<Complex32> {
        lines_to_image(self.samples.clone(), self.height, self.width)
    }

    /// The complex image, row-major, of the measured lines with zeros in place of the others.
    pub fn zero_filled(&self, measured: impl Fn(usize) -> bool) -> Vec<Complex32> {
        let mut samples = self.samples.clone();
        for (k, line) in samples.chunks_exact_mut(self.height).enumerate() {
            if !measured(k) {
                line.fill(Complex32::ZERO);
            }
        }
        lines_to_image(samples, self.height, self.width)
    }
}

/// The seed of a slice under a base seed: the same slice always meets the same phase and noise.
pub fn seed_for(patient: &str, n: u32, base_seed: u64) -> u64 {
    mix(fnv1a(patient.bytes().chain([b'/']).chain(n.to_le_bytes())) ^ mix(base_seed))
}

/// The k-space that `protocol` measures of a magnitude image (row-major, `height * width` values).
///
/// # Panics
/// If the image's length is not `height * width`, or one of them is zero.
pub fn acquire(image: &[f32], height: usize, width: usize, protocol: &Protocol, seed: u64) -> KSpace {
    assert!(image.len() == height * width, "{} values for an image of {height}x{width}", image.len());
    let mut stream = Stream::new(seed);
    let complex = if protocol.phase_amplitude > 0.0 {
        let phase = phase_field(height, width, protocol.phase_amplitude, &mut stream);
        let rotated = |(&m, turns): (&f32, f32)| {
            let (sin, cos) = sin_cos_turns(turns);
            Complex32::new(m * cos, m * sin)
        };
        image.iter().zip(phase).map(rotated).collect()
    } else {
        image.iter().map(|&m| Complex32::new(m, 0.0)).collect()
    };
    let mut samples = image_to_lines(complex, height, width);
    if protocol.noise_sigma > 0.0 {
        let sigma = protocol.noise_sigma * noise_unit(image);
        for sample in &mut samples {
            let (re, im) = stream.normal_pair();
            *sample += Complex32::new(sigma * re, sigma * im);
        }
    }
    KSpace { height, width, samples }
}

/// Number of cosines in the phase field.
const WAVES: usize = 3;

/// A smooth random phase in turns: a ramp and [`WAVES`] cosines of at most one period over the field, scaled to +-amplitude
/// (radians) around a random constant.
fn phase_field(height: usize, width: usize, amplitude: f32, stream: &mut Stream) -> Vec<f32> {
    let (ramp_y, ramp_x) = stream.normal_pair();
    let ramp = |n: usize, len: usize| (n as f32 + 0.5) / len as f32 - 0.5;
    let mut field = Vec::with_capacity(height * width);
    for y in 0..height {
        field.extend((0..width).map(|x| ramp_y * ramp(y, height) + ramp_x * ramp(x, width)));
    }
    for _ in 0..WAVES {
        add_wave(&mut field, height, width, stream);
    }
    let (low, high) = field.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    let constant = stream.unit();
    let scale = amplitude / std::f32::consts::TAU / (0.5 * (high - low)).max(f32::MIN_POSITIVE);
    field.iter_mut().for_each(|v| *v = (*v - 0.5 * (low + high)) * scale + constant);
    field
}

/// Adds `a * cos(fy * y + fx * x + c)`, from sines and cosines of rows and of columns (angle addition).
fn add_wave(field: &mut [f32], height: usize, width: usize, stream: &mut Stream) {
    let weight = 0.5 * stream.normal();
    let (fy, fx, shift) = (stream.range(-1.0, 1.0), stream.range(-1.0, 1.0), stream.unit());
    let columns: Vec<(f32, f32)> = (0..width).map(|x| sin_cos_turns(fx * x as f32 / width as f32 + shift)).collect();
    for (y, row) in field.chunks_exact_mut(width).enumerate() {
        let (sin, cos) = sin_cos_turns(fy * y as f32 / height as f32);
        for (value, (column_sin, column_cos)) in row.iter_mut().zip(&columns) {
            *value += weight * (cos * column_cos - sin * column_sin);
        }
    }
}

/// What noise is measured in: the 99.5th percentile of the image's magnitude, which a few bright pixels do not move.
pub fn noise_unit(image: &[f32]) -> f32 {
    percentile(image, 0.995)
}

/// The smallest value that at least this fraction of all magnitudes does not exceed.
fn percentile(image: &[f32], fraction: f32) -> f32 {
    let mut magnitudes: Vec<f32> = image.iter().map(|v| v.abs()).collect();
    let rank = (fraction * (magnitudes.len() - 1) as f32).round() as usize;
    *magnitudes.select_nth_unstable_by(rank, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 64;

    fn disc() -> Vec<f32> {
        let inside = |i: usize| ((i / N) as f32 - 30.0).hypot((i % N) as f32 - 35.0) < 18.0;
        (0..N * N).map(|i| if inside(i) { 0.8 } else { 0.1 }).collect()
    }

    fn energy(values: impl Iterator<Item = f32>) -> f64 {
        values.map(f64::from).sum()
    }

    #[test]
    fn without_phase_and_noise_the_inverse_is_the_image() {
        let image = disc();
        let back = acquire(&image, N, N, &Protocol::igs(), 1).image();
        let error = image.iter().zip(&back).map(|(m, v)| (v - Complex32::new(*m, 0.0)).norm()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn phase_changes_no_magnitude() {
        let image = disc();
        let protocol = Protocol { noise_sigma: 0.0, ..Protocol::scanner() };
        let back = acquire(&image, N, N, &protocol, 1).image();
        let error = image.iter().zip(&back).map(|(m, v)| (v.norm() - m).abs()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn energy_is_the_same_in_image_and_k_space() {
        let image = disc();
        let kspace = acquire(&image, N, N, &Protocol { noise_sigma: 0.0, ..Protocol::scanner() }, 2);
        let (in_image, in_kspace) =
            (energy(image.iter().map(|m| m * m)), energy(kspace.samples.iter().map(|v| v.norm_sqr())));
        assert!((in_image / in_kspace - 1.0).abs() < 1e-5, "{in_image} and {in_kspace}");
    }

    /// How far k-space is from Hermitian: 0 is exactly, about 1.4 is unrelated.
    fn asymmetry(kspace: &KSpace) -> f64 {
        let at = |k: usize, l: usize| kspace.line(k)[l];
        let inner = || (1..N).flat_map(|k| (1..N).map(move |l| (k, l)));
        let difference = energy(inner().map(|(k, l)| (at(k, l) - at(N - k, N - l).conj()).norm_sqr()));
        (difference / energy(inner().map(|(k, l)| at(k, l).norm_sqr()))).sqrt()
    }

    #[test]
    fn k_space_is_hermitian_only_without_phase() {
        let image = disc();
        assert!(asymmetry(&acquire(&image, N, N, &Protocol::igs(), 3)) < 1e-4);
        for seed in 0..20 {
            let protocol = Protocol { noise_sigma: 0.0, ..Protocol::scanner() };
            let asymmetry = asymmetry(&acquire(&image, N, N, &protocol, seed));
            assert!(asymmetry > 0.2, "seed {seed}: {asymmetry}");
        }
    }

    #[test]
    fn the_phase_spans_plus_minus_its_amplitude_and_is_smooth() {
        for seed in 0..20 {
            let field = phase_field(N, N, std::f32::consts::PI, &mut Stream::new(seed));
            let (low, high) = field.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            assert!((high - low - 1.0).abs() < 1e-4, "one turn from end to end, not {}", high - low);
            let step = field.chunks(N).flat_map(|r| r.windows(2)).map(|p| (p[1] - p[0]).abs()).fold(0.0, f32::max);
            assert!(step < 0.1, "seed {seed}: {step} turns between neighbours");
        }
    }

    #[test]
    fn noise_has_its_sigma_in_both_parts() {
        let image = disc();
        let clean = acquire(&image, N, N, &Protocol { noise_sigma: 0.0, ..Protocol::scanner() }, 4);
        let noisy = acquire(&image, N, N, &Protocol { noise_sigma: 0.05, ..Protocol::scanner() }, 4);
        let noise: Vec<Complex32> = noisy.samples.iter().zip(&clean.samples).map(|(a, b)| a - b).collect();
        for part in [|v: &Complex32| v.re, |v: &Complex32| v.im] {
            let sigma = (energy(noise.iter().map(|v| part(v).powi(2))) / noise.len() as f64).sqrt();
            assert!((sigma - 0.04).abs() < 0.002, "{sigma}, expected 0.05 of 0.8");
        }
    }

    #[test]
    fn a_seed_gives_one_measurement_and_slices_have_their_own() {
        let image = disc();
        let measure = |seed| acquire(&image, N, N, &Protocol::scanner(), seed);
        assert_eq!(measure(9), measure(9));
        assert_ne!(measure(9), measure(10));
        assert_eq!(seed_for("patient001", 3, 0), seed_for("patient001", 3, 0));
        let seeds = [("patient001", 3, 0), ("patient001", 4, 0), ("patient002", 3, 0), ("patient001", 3, 1)];
        let mut seeds = seeds.map(|(patient, n, base)| seed_for(patient, n, base)).to_vec();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 4);
    }

    #[test]
    fn unmeasured_lines_count_as_zero() {
        let kspace = acquire(&disc(), N, N, &Protocol::scanner(), 6);
        let sum: Vec<Complex32> =
            (kspace.zero_filled(|k| k < 20).iter()).zip(kspace.zero_filled(|k| k >= 20)).map(|(a, b)| a + b).collect();
        let error = sum.iter().zip(kspace.image()).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn an_empty_image_stays_empty() {
        let kspace = acquire(&vec![0.0; N * N], N, N, &Protocol::scanner(), 7);
        assert!(kspace.samples.iter().all(|v| v.norm() == 0.0));
    }
}
