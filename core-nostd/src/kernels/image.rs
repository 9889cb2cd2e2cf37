//! The image's operators for every target: adding a line, conjugate symmetry, energy, quantisation, the class of each pixel.
//!
//! Floating point has one order of operations, which [`ImageKernels`] documents and these loops keep.
//!
//! # Cost
//! Instructions a pixel of 128x128 on emulated cores, picoseconds on x86-64; cores, clock and flags stand on the page of
//! [`portable`](super::portable).
//!
//! | operator | M4 | M55 | 64-bit Arm | x86-64, ps |
//! |---|---|---|---|---|
//! | adding a line | 15.4 | 11.2 | 4.10 | 273 |
//! | energy | 6.47 | 5.39 | 3.38 | 166 |
//! | conjugate symmetry, 64x64 | 82.0 | 77.0 | 26.0 | 2061 |
//! | quantisation | 75.0 | 67.0 | 13.0 | 1068 |
//! | class, of four | 65.0 | 58.0 | 102.0 | 4649 |

use crate::Complex32;

/// A set of operators on what lies around the networks: the complex image, the bytes that are made of it, and the class of each
/// pixel. Each has a default, the loops of every target.
///
/// Anybody may implement it; see [`Int8Kernels`](super::Int8Kernels).
pub trait ImageKernels {
    /// Adds one line to a complex image, `image[y][x] += profile[y] * ramp[x]`, `[y][x]` with rows as long as `ramp`, as many
    /// rows as both `image` and `profile` have:
    ///
    /// `re = (re + p.re * r.re) - p.im * r.im`, `im = (im + p.re * r.im) + p.im * r.re`, each operation rounded.
    fn accumulate(&self, image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
        self::accumulate(image, profile, ramp);
    }

    /// Sum of `re * re + im * im` over an image of rows of `width`; 0 for a width of 0, and without a last row that is not
    /// whole.
    ///
    /// Column x of a row adds to sum `x % 8`, in rising order; the row's energy is `((s0 + s4) + (s2 + s6)) + ((s1 + s5) +
    /// (s3 + s7))`; rows add to 0 in rising order.
    fn energy(&self, image: &[Complex32], width: usize) -> f32 {
        self::energy(image, width)
    }

    /// An image filled in by conjugate symmetry, pixel by pixel, for as many as the three slices hold. `paired` is the part of
    /// `image` whose lines have measured mirror images; `weight`, 0 to 1, is what the lines count that symmetry tells.
    ///
    /// With `s` of `paired` and `size = sqrt(s.re * s.re + s.im * s.im)`, `re = (z.re * s.re + z.im * s.im) / size` and `im =
    /// (z.im * s.re - z.re * s.im) / size` are the pixel `z` of `image` less the phase of `s`; out comes `re + weight * (re -
    /// size)` and `im - weight * im`, each operation rounded. A pixel whose `size` is not above 0 comes out as it is.
    fn homodyne(&self, image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
        self::homodyne(image, paired, weight, out);
    }

    /// Levels of an image's magnitude: `floor(sqrt(re * re + im * im) * gain + 0.5)`, each operation rounded, limited to 0 ..=
    /// 255 (0 for what is no number) and less 128, for as many pixels as both slices hold.
    fn quantise(&self, image: &[Complex32], gain: f32, out: &mut [i8]) {
        self::quantise(image, gain, out);
    }

    /// Class of each pixel: the first of its largest logits, of more than 256 classes among the first 256. `logits` is
    /// `[y][x][class]`; as many pixels are written as both slices hold, none for no classes.
    fn classify(&self, logits: &[i8], classes: usize, out: &mut [u8]) {
        self::classify(logits, classes, out);
    }
}

/// Columns whose energies are summed side by side, so that vectors can.
const COLUMNS: usize = 8;

pub(super) fn accumulate(image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
    // Not a zip of chunks: that divides by the width, and is a panic where the optimiser works for size.
    let mut rest = image;
    for sample in profile {
        let Some((row, below)) = rest.split_at_mut_checked(ramp.len()) else {
            return;
        };
        rest = below;
        for (pixel, phase) in row.iter_mut().zip(ramp) {
            pixel.re = (pixel.re + sample.re * phase.re) - sample.im * phase.im;
            pixel.im = (pixel.im + sample.re * phase.im) + sample.im * phase.re;
        }
    }
}

pub(super) fn energy(image: &[Complex32], width: usize) -> f32 {
    if width == 0 {
        return 0.0;
    }
    image.chunks_exact(width).map(row_energy).fold(0.0, |sum, row| sum + row)
}

fn row_energy(row: &[Complex32]) -> f32 {
    let mut sums = [0.0f32; COLUMNS];
    let (blocks, rest) = row.as_chunks::<COLUMNS>();
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += square(value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += square(value);
    }
    total(sums)
}

/// The sums of a row's columns in pairs, as vectors are folded.
pub(super) fn total([a, b, c, d, e, f, g, h]: [f32; COLUMNS]) -> f32 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

pub(super) fn homodyne(image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
    for ((pixel, z), s) in out.iter_mut().zip(image).zip(paired) {
        *pixel = filled(z, s, libm::sqrtf(square(s)), weight);
    }
}

/// A pixel `z` filled in, `size` being the magnitude of `s`.
#[inline(always)]
pub(super) fn filled(z: &Complex32, s: &Complex32, size: f32, weight: f32) -> Complex32 {
    if size > 0.0 {
        let re = (z.re * s.re + z.im * s.im) / size;
        let im = (z.im * s.re - z.re * s.im) / size;
        Complex32::new(re + weight * (re - size), im - weight * im)
    } else {
        *z
    }
}

pub(super) fn quantise(image: &[Complex32], gain: f32, out: &mut [i8]) {
    for (q, value) in out.iter_mut().zip(image) {
        *q = level(libm::sqrtf(square(value)), gain);
    }
}

/// The cast rounds down and saturates at 255; flipping the top bit takes 128 away.
#[inline(always)]
pub(super) fn level(magnitude: f32, gain: f32) -> i8 {
    ((magnitude * gain + 0.5) as u8 ^ 0x80) as i8
}

#[inline(always)]
pub(super) fn square(value: &Complex32) -> f32 {
    value.re * value.re + value.im * value.im
}

pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) {
    if classes == 0 {
        return;
    }
    let mut all_scores = logits.chunks_exact(classes);
    for pixel in out {
        let Some(scores) = all_scores.next() else {
            return;
        };
        let mut best = (0, i8::MIN);
        for (class, &score) in (0_u8..=u8::MAX).zip(scores) {
            if score > best.1 {
                best = (class, score);
            }
        }
        *pixel = best.0;
    }
}
