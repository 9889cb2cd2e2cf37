//! The image's operators: adding a line, conjugate symmetry, energy, quantisation, the class of each pixel.
//!
//! Floats are loaded and stored many at a time, and loops are written out, because that is what counts: stable Rust
//! names no float register here, so that the compiler could not hold any from one instruction to the next. `vmla` and
//! `vmls` round the product and then the sum, as the portable loops do.
//!
//! # Cost
//! Instructions a pixel of 128x128, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C target-cpu=cortex-m4`,
//! opt-level 3, fat LTO):
//!
//! | operator | portable | here |
//! |---|---|---|
//! | adding a line | 15.4 | 5.10 |
//! | energy | 6.47 | 3.60 |
//! | conjugate symmetry, 64x64 | 82.0 | 35.0 |
//! | quantisation | 75.0 | 8.01 |
//! | class, of four | 65.0 | 7.75 |

use core::arch::asm;

use super::dsp::{high_halves, low_halves, max_bytes_with, weave};
use super::norm::square_root;
use crate::Complex32;
use crate::kernels::image::{filled, level, square, total};
use crate::kernels::{ImageKernels, Portable};

/// Columns that are taken at once.
const BLOCK: usize = 8;

/// Adds a line: see [`ImageKernels::accumulate`].
pub(super) fn accumulate(image: &mut [Complex32], profile: &[Complex32], ramp: &[Complex32]) {
    let width = ramp.len();
    if width == 0 {
        return;
    }
    let (ramp_blocks, ramp_rest) = ramp.as_chunks::<BLOCK>();
    for (row, sample) in image.chunks_exact_mut(width).zip(profile) {
        let (blocks, rest) = row.as_chunks_mut::<BLOCK>();
        grow_blocks(blocks, *sample, ramp_blocks);
        for (pixel, phase) in rest.iter_mut().zip(ramp_rest) {
            pixel.re = (pixel.re + sample.re * phase.re) - sample.im * phase.im;
            pixel.im = (pixel.im + sample.re * phase.im) + sample.im * phase.re;
        }
    }
}

fn grow_blocks(row: &mut [[Complex32; BLOCK]], sample: Complex32, ramp: &[[Complex32; BLOCK]]) {
    let count = row.len().min(ramp.len());
    if count == 0 {
        return;
    }
    // Four columns: the image in s0 to s7, the ramp in s8 to s15.
    macro_rules! four {
        () => {
            concat!(
                "vldmia {row}, {{s0-s7}}\n",
                "vldmia {ramp}!, {{s8-s15}}\n",
                "vmla.f32 s0, s16, s8\n vmla.f32 s1, s16, s9\n vmla.f32 s2, s16, s10\n vmla.f32 s3, s16, s11\n",
                "vmla.f32 s4, s16, s12\n vmla.f32 s5, s16, s13\n vmla.f32 s6, s16, s14\n vmla.f32 s7, s16, s15\n",
                "vmls.f32 s0, s17, s9\n vmla.f32 s1, s17, s8\n vmls.f32 s2, s17, s11\n vmla.f32 s3, s17, s10\n",
                "vmls.f32 s4, s17, s13\n vmla.f32 s5, s17, s12\n vmls.f32 s6, s17, s15\n vmla.f32 s7, s17, s14\n",
                "vstmia {row}!, {{s0-s7}}",
            )
        };
    }
    // SAFETY: reads `count` blocks of both slices and writes those of `row`; a `Complex32` is two floats.
    unsafe {
        asm!(
            "vmov s16, s17, {re}, {im}",
            "2:", four!(), four!(), "subs {count}, {count}, #1", "bne 2b",
            row = inout(reg) row.as_mut_ptr() => _, ramp = inout(reg) ramp.as_ptr() => _, count = inout(reg) count => _,
            re = in(reg) sample.re.to_bits(), im = in(reg) sample.im.to_bits(),
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _,
            out("s16") _, out("s17") _, options(nostack),
        );
    }
}

/// Sum of squares: see [`ImageKernels::energy`].
pub(super) fn energy(image: &[Complex32], width: usize) -> f32 {
    if width == 0 {
        return 0.0;
    }
    image.chunks_exact(width).map(row_energy).fold(0.0, |total, row| total + row)
}

fn row_energy(row: &[Complex32]) -> f32 {
    let (blocks, rest) = row.as_chunks();
    let mut sums = block_energies(blocks);
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += square(value);
    }
    total(sums)
}

/// Of each of the block's columns, in order.
fn block_energies(blocks: &[[Complex32; BLOCK]]) -> [f32; BLOCK] {
    let mut sums = [0.0f32; BLOCK];
    if blocks.is_empty() {
        return sums;
    }
    // SAFETY: reads the blocks, reads and writes the eight sums; a `Complex32` is two floats.
    unsafe {
        asm!(
            "vldmia {sums}, {{s16-s23}}",
            "2:",
            "vldmia {from}!, {{s0-s15}}",
            "vmul.f32 s0, s0, s0", "vmul.f32 s2, s2, s2", "vmul.f32 s4, s4, s4", "vmul.f32 s6, s6, s6",
            "vmul.f32 s8, s8, s8", "vmul.f32 s10, s10, s10", "vmul.f32 s12, s12, s12", "vmul.f32 s14, s14, s14",
            "vmla.f32 s0, s1, s1", "vmla.f32 s2, s3, s3", "vmla.f32 s4, s5, s5", "vmla.f32 s6, s7, s7",
            "vmla.f32 s8, s9, s9", "vmla.f32 s10, s11, s11", "vmla.f32 s12, s13, s13", "vmla.f32 s14, s15, s15",
            "vadd.f32 s16, s16, s0", "vadd.f32 s17, s17, s2", "vadd.f32 s18, s18, s4", "vadd.f32 s19, s19, s6",
            "vadd.f32 s20, s20, s8", "vadd.f32 s21, s21, s10", "vadd.f32 s22, s22, s12", "vadd.f32 s23, s23, s14",
            "subs {count}, {count}, #1", "bne 2b",
            "vstmia {sums}, {{s16-s23}}",
            sums = in(reg) sums.as_mut_ptr(), from = inout(reg) blocks.as_ptr() => _, count = inout(reg) blocks.len() => _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _,
            out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _,
            options(nostack),
        );
    }
    sums
}

/// Conjugate symmetry: see [`ImageKernels::homodyne`].
pub(super) fn homodyne(image: &[Complex32], paired: &[Complex32], weight: f32, out: &mut [Complex32]) {
    for ((pixel, z), s) in out.iter_mut().zip(image).zip(paired) {
        *pixel = filled(z, s, square_root(square(s)), weight);
    }
}

/// Levels of the image: see [`ImageKernels::quantise`].
pub(super) fn quantise(image: &[Complex32], gain: f32, out: &mut [i8]) {
    let (blocks, out_blocks) = (image.as_chunks().0, out.as_chunks_mut().0);
    quantise_blocks(blocks, gain, out_blocks);
    let done = BLOCK * blocks.len().min(out_blocks.len());
    let rest = out.iter_mut().zip(image).skip(done);
    for (q, value) in rest {
        *q = level(square_root(square(value)), gain);
    }
}

/// Rounding's half, for four columns.
static HALVES: [f32; 4] = [0.5; 4];

fn quantise_blocks(image: &[[Complex32; BLOCK]], gain: f32, out: &mut [[i8; BLOCK]]) {
    let count = image.len().min(out.len());
    if count == 0 {
        return;
    }
    // Four columns. The conversion cuts off and saturates at 32767, and `usat16` at 255.
    macro_rules! four {
        () => {
            concat!(
                "vldmia {from}!, {{s0-s7}}\n",
                "vldmia {halves}, {{s8-s11}}\n",
                "vmul.f32 s0, s0, s0\n vmul.f32 s2, s2, s2\n vmul.f32 s4, s4, s4\n vmul.f32 s6, s6, s6\n",
                "vmla.f32 s0, s1, s1\n vmla.f32 s2, s3, s3\n vmla.f32 s4, s5, s5\n vmla.f32 s6, s7, s7\n",
                "vsqrt.f32 s0, s0\n vsqrt.f32 s2, s2\n vsqrt.f32 s4, s4\n vsqrt.f32 s6, s6\n",
                "vmla.f32 s8, s0, s12\n vmla.f32 s9, s2, s12\n vmla.f32 s10, s4, s12\n vmla.f32 s11, s6, s12\n",
                "vcvt.s16.f32 s8, s8, #0\n vcvt.s16.f32 s9, s9, #0\n vcvt.s16.f32 s10, s10, #0\n vcvt.s16.f32 s11, s11, #0\n",
                "vmov {a}, {b}, s8, s9\n vmov {c}, {d}, s10, s11\n",
                "pkhbt {a}, {a}, {c}, lsl #16\n pkhbt {b}, {b}, {d}, lsl #16\n",
                "usat16 {a}, #8, {a}\n usat16 {b}, #8, {b}\n",
                "orr {a}, {a}, {b}, lsl #8\n eor {a}, {a}, #0x80808080\n str {a}, [{to}], #4",
            )
        };
    }
    // SAFETY: reads `count` blocks of `image` and the four halves, and writes as many blocks of `out`.
    unsafe {
        asm!(
            "vmov s12, {gain}",
            "2:", four!(), four!(), "subs {count}, {count}, #1", "bne 2b",
            from = inout(reg) image.as_ptr() => _, to = inout(reg) out.as_mut_ptr() => _, count = inout(reg) count => _,
            halves = in(reg) HALVES.as_ptr(), gain = in(reg) gain.to_bits(),
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, options(nostack),
        );
    }
}

/// Class of each pixel: see [`ImageKernels::classify`]. Four pixels of four classes at a time.
pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) {
    let (Ok(pixels), 4) = (bytemuck::try_cast_slice::<i8, [u32; 4]>(logits), classes) else {
        return Portable.classify(logits, classes, out);
    };
    let (quads, rest) = out.as_chunks_mut::<4>();
    for (quad, &[a, b, c, d]) in quads.iter_mut().zip(pixels) {
        *quad = first_largest(two_and_two(a, b), two_and_two(c, d)).to_le_bytes();
    }
    Portable.classify(logits.get(16 * quads.len()..).unwrap_or_default(), classes, rest);
}

/// Of two pixels the larger of logits 0 and 1 and the larger of 2 and 3, as bytes 0, 1 and 2, 3; and which they are.
#[inline(always)]
fn two_and_two(a: u32, b: u32) -> (u32, u32) {
    let (even, odd) = weave(a, b);
    max_bytes_with(even, odd, 0x0202_0000, 0x0303_0101)
}

#[inline(always)]
fn first_largest((a, a_classes): (u32, u32), (b, b_classes): (u32, u32)) -> u32 {
    let (first, second) = (low_halves(a, b), high_halves(a, b));
    max_bytes_with(first, second, low_halves(a_classes, b_classes), high_halves(a_classes, b_classes)).1
}
