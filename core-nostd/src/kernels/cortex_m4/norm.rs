//! Layer normalisation with the FPU.
//!
//! # Cost
//! Instructions an element, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C target-cpu=cortex-m4`, opt-level
//! 3, fat LTO): 12 to normalise, 2 for the moments, the rest a position's two divisions and its root.
//!
//! | operator | portable | here |
//! |---|---|---|
//! | layer normalisation, 16x16x128 | 45.6 | 14.7 |

use core::arch::asm;

use super::dsp::{Clamp, smlad, sxtb16, sxtb16_odd};
use crate::kernels::{Int8Kernels, LayerNorm, Portable};

/// Channels from which the spread of a position, at most `(128 c)^2`, may leave 32 bits.
const WIDE: usize = 256;

/// Four channels at a time.
pub(super) fn layer_norm(op: &LayerNorm<'_>, input: &[i8], output: &mut [i8]) {
    let fast = op.shape.c < WIDE && op.shape.c.is_multiple_of(4) && op.is_valid() && op.fits(input, output);
    let factors = bytemuck::try_cast_slice(op.gamma).ok().zip(bytemuck::try_cast_slice(op.beta).ok());
    let Some((gamma, beta)) = factors.filter(|_| fast) else {
        return Portable.layer_norm(op, input, output);
    };
    let clamp = Clamp::new(op.clamp);
    let offset = ((op.out_zero - i32::from(op.clamp.0)) << 16) + (1 << 15);
    let positions = input.chunks_exact(op.shape.c.max(1)).zip(output.chunks_exact_mut(op.shape.c.max(1)));
    for (input, output) in positions {
        let (input, output) = (input.as_chunks().0, output.as_chunks_mut().0);
        normalise(input, moments(input, op.eps_q), gamma, beta, (offset, clamp), output);
    }
}

/// Mean, and one over the standard deviation, of fewer than [`WIDE`] values.
#[inline(always)]
fn moments(input: &[[i8; 4]], eps_q: f32) -> (f32, f32) {
    let (mut sum, mut squares) = (0, 0);
    for quad in input {
        let quad = u32::from_le_bytes(quad.map(|q| q as u8));
        let (even, odd) = (sxtb16(quad), sxtb16_odd(quad));
        sum = smlad(odd, 0x0001_0001, smlad(even, 0x0001_0001, sum));
        squares = smlad(odd, odd, smlad(even, even, squares));
    }
    let count = 4 * input.len() as i32;
    let n = count as f32;
    let mean = sum as f32 / n;
    let spread = squares.wrapping_mul(count).wrapping_sub(sum.wrapping_mul(sum));
    let variance = spread as f32 / (n * n);
    (mean, 1.0 / square_root(variance + eps_q))
}

/// A position's channels: `((q - mean) * inverse) * gamma + beta`, each operation rounded (`vmla` rounds the product and the
/// sum), in units of 2^-16, the rest cut off, 0 for what is no number; then to the nearest integer, halves away from zero.
///
/// `offset` is half, and output zero point less the lowest output, in those units.
#[inline(always)]
fn normalise(
    input: &[[i8; 4]],
    (mean, inverse): (f32, f32),
    gamma: &[[f32; 4]],
    beta: &[[f32; 4]],
    (offset, clamp): (i32, Clamp),
    output: &mut [[i8; 4]],
) {
    let count = input.len().min(output.len()).min(gamma.len()).min(beta.len());
    if count == 0 {
        return;
    }
    // SAFETY: reads `count` fours of `input`, `gamma` and `beta`, and writes as many of `output`.
    unsafe {
        asm!(
            "vmov s12, s13, {a}, {b}",
            "2:",
            "ldrsb {a}, [{input}], #4", "ldrsb {b}, [{input}, #-3]", "ldrsb {c}, [{input}, #-2]", "ldrsb {d}, [{input}, #-1]",
            "vmov s0, s1, {a}, {b}", "vmov s2, s3, {c}, {d}",
            "vldmia {gamma}!, {{s4-s7}}", "vldmia {beta}!, {{s8-s11}}",
            "vcvt.f32.s32 s0, s0", "vcvt.f32.s32 s1, s1", "vcvt.f32.s32 s2, s2", "vcvt.f32.s32 s3, s3",
            "vsub.f32 s0, s0, s12", "vsub.f32 s1, s1, s12", "vsub.f32 s2, s2, s12", "vsub.f32 s3, s3, s12",
            "vmul.f32 s0, s0, s13", "vmul.f32 s1, s1, s13", "vmul.f32 s2, s2, s13", "vmul.f32 s3, s3, s13",
            "vmla.f32 s8, s0, s4", "vmla.f32 s9, s1, s5", "vmla.f32 s10, s2, s6", "vmla.f32 s11, s3, s7",
            "vcvt.s32.f32 s8, s8, #16", "vcvt.s32.f32 s9, s9, #16", "vcvt.s32.f32 s10, s10, #16", "vcvt.s32.f32 s11, s11, #16",
            "vmov {a}, {b}, s8, s9",
            "add {c}, {offset}, {a}, asr #31", "add {d}, {offset}, {b}, asr #31", "qadd {a}, {a}, {c}", "qadd {b}, {b}, {d}",
            "vmov {c}, {d}, s10, s11",
            "add {e}, {offset}, {c}, asr #31", "qadd {c}, {c}, {e}", "add {e}, {offset}, {d}, asr #31", "qadd {d}, {d}, {e}",
            "pkhtb {a}, {c}, {a}, asr #16", "pkhtb {b}, {d}, {b}, asr #16",
            "usat16 {a}, #8, {a}", "usat16 {b}, #8, {b}",
            "orr {a}, {a}, {b}, lsl #8", "uqadd8 {a}, {a}, {lift}", "usub8 {a}, {a}, {lower}",
            "str {a}, [{output}], #4",
            "subs {count}, {count}, #1", "bne 2b",
            input = inout(reg) input.as_ptr() => _, output = inout(reg) output.as_mut_ptr() => _,
            gamma = inout(reg) gamma.as_ptr() => _, beta = inout(reg) beta.as_ptr() => _, count = inout(reg) count => _,
            offset = in(reg) offset, lift = in(reg) clamp.lift, lower = in(reg) clamp.lower,
            a = inout(reg) mean.to_bits() => _, b = inout(reg) inverse.to_bits() => _,
            c = out(reg) _, d = out(reg) _, e = out(reg) _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _,
            out("s7") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
            options(nostack),
        );
    }
}

/// `sqrt(value)`, rounded correctly.
#[inline(always)]
pub(super) fn square_root(value: f32) -> f32 {
    let bits: u32;
    // SAFETY: stays within registers. Floats go through integer ones because stable Rust names no others here.
    unsafe {
        asm!("vmov s0, {bits}", "vsqrt.f32 s0, s0", "vmov {bits}, s0", bits = inout(reg) value.to_bits() => bits,
            out("s0") _, options(pure, nomem, nostack, preserves_flags));
    }
    f32::from_bits(bits)
}
