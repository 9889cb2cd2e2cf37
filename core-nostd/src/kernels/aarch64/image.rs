//! The class of each pixel, sixteen pixels at a time. The image's other operators are those of every target, which the compiler
//! turns into vectors.
//!
//! # Cost
//! Instructions a pixel of 128x128, counted under qemu-aarch64 by `tests/targets/run.sh bench aarch64` (rustc 1.95 without
//! flags, opt-level 3):
//!
//! | operator | portable kernels | here |
//! |---|---|---|
//! | class, of four | 102.0 | 0.815 |

#![allow(unsafe_code)]

use core::arch::aarch64::{vbslq_u8, vcgtq_s8, vdupq_n_u8, vld4q_s8, vmaxq_s8, vst1q_u8};

use crate::kernels::image;

/// Classes of a pixel that the kernel is for: LD4 brings those of sixteen pixels into four vectors.
const CLASSES: usize = 4;
/// Pixels at once.
const PIXELS: usize = 16;

/// See [`ImageKernels::classify`](crate::kernels::ImageKernels::classify).
pub(super) fn classify(logits: &[i8], classes: usize, out: &mut [u8]) {
    if classes != CLASSES {
        return image::classify(logits, classes, out);
    }
    let (blocks, _) = logits.as_chunks::<{ PIXELS * CLASSES }>();
    let mut done = 0;
    for (block, out) in blocks.iter().zip(out.as_chunks_mut::<PIXELS>().0) {
        // SAFETY: NEON is always there; a block holds four times 16 bytes, and 16 are written.
        unsafe {
            let scores = vld4q_s8(block.as_ptr());
            let (mut best, mut class) = (scores.0, vdupq_n_u8(0));
            for (number, scores) in [(1, scores.1), (2, scores.2), (3, scores.3)] {
                // Only a larger score takes a pixel over: the first of the largest stays.
                class = vbslq_u8(vcgtq_s8(scores, best), vdupq_n_u8(number), class);
                best = vmaxq_s8(best, scores);
            }
            vst1q_u8(out.as_mut_ptr(), class);
        }
        done += PIXELS;
    }
    let rest = (logits.get(done * CLASSES..).unwrap_or_default(), out.get_mut(done..).unwrap_or_default());
    image::classify(rest.0, classes, rest.1);
}
