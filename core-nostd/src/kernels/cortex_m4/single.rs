//! A convolution with a single output position, as a linear layer is: filters have no second window to serve, so they are read
//! where they lie, whatever their length, two at a time.
//!
//! Four weights of two filters are 12 instructions: two LDR for the window, and for each filter one LDR, two SXTB16 and two
//! SMLAD.
//!
//! # Cost
//! Instructions a multiply-accumulate, counted in QEMU by `firmware-demo/run.sh bench m4` (Cortex-M4, `-C
//! target-cpu=cortex-m4`, opt-level 3, fat LTO):
//!
//! | layer | portable | here |
//! |---|---|---|
//! | linear 131->128 | 9.44 | 2.73 |

use super::columns::{BLOCK_WORDS, COLUMNS, Columns, Scale};
use super::dsp::{smlad, sxtb16, sxtb16_odd};
use crate::kernels::ops::filter_len;
use crate::kernels::{Channel, Conv2d};

/// Runs a valid `op` of one position on slices that fit it and scratch that suffices.
// Not inlined, so that the loop over many positions is compiled as if this were not there.
#[inline(never)]
pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u8]) {
    let len = filter_len(op.kernel, op.input.c);
    let Some((mut columns, _)) = Columns::new(scratch, len, op.in_zero) else { return };
    columns.gather(op, input, (op.rows.0 * op.stride, 0), 0);
    let scale = Scale::new(op.params, op.out_zero, op.clamp, len);
    let filters = op.weights.chunks((2 * len).max(1)).zip(op.params.records().chunks(2));
    for (out, (filters, records)) in output.chunks_mut(2).zip(filters) {
        let (first, second) = filters.split_at_checked(len).unwrap_or_default();
        // The last one of an odd number is multiplied twice.
        let second = if second.is_empty() { first } else { second };
        for ((out, record), sum) in out.iter_mut().zip(records).zip(products(&columns, first, second)) {
            *out = scale.finish(Channel::from_bytes(record), sum);
        }
    }
}

/// Sums of the window with two filters.
#[inline(always)]
fn products(columns: &Columns<'_>, first: &[i8], second: &[i8]) -> [i32; 2] {
    let (blocks, _) = columns.words.as_chunks::<BLOCK_WORDS>();
    let ((first, first_rest), (second, second_rest)) = (first.as_chunks::<4>(), second.as_chunks::<4>());
    let mut sums = [0; 2];
    let mut add = |block: &[u32; BLOCK_WORDS], quads: [[i8; 4]; 2]| {
        for (sum, quad) in sums.iter_mut().zip(quads) {
            let quad = u32::from_le_bytes(quad.map(|weight| weight as u8));
            *sum = smlad(block[0], sxtb16(quad), *sum);
            *sum = smlad(block[COLUMNS], sxtb16_odd(quad), *sum);
        }
    };
    for ((block, &first), &second) in blocks.iter().zip(first).zip(second) {
        add(block, [first, second]);
    }
    if let (Some(block), false) = (blocks.get(first.len()), first_rest.is_empty()) {
        add(block, [filled_up(first_rest), filled_up(second_rest)]);
    }
    sums
}

/// Up to four weights, and zeros.
#[inline(always)]
fn filled_up(weights: &[i8]) -> [i8; 4] {
    // One by one, because copying a slice of any length is a call.
    [0, 1, 2, 3].map(|k| weights.get(k).copied().unwrap_or_default())
}
