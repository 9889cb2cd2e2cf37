//! Convolutions of so few weights that a whole filter fits one vector, such as 3x3 on an image of one channel: a row of a
//! window would leave most of a vector empty. Windows are gathered into columns of one vector each. A tap of 16 windows is
//! moved at once, gathered from the image and scattered over the columns, and the columns serve 16 filters.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO):
//!
//! | layer | portable kernels | here | weights in the set's layout |
//! |---|---|---|---|
//! | 3x3 64x64 1->16 | 11.5 | 1.29 | 1.29 |
//! | 3x3 stride 2, 128x128 1->8 | 13.0 | 1.75 | 1.75 |
#![allow(unsafe_code)]

use core::arch::asm;

use super::block::{FILTERS, Filters, RUN, Scales};
use super::windows::{Axis, Strip};
use crate::kernels::{Channel, Conv2d};

/// Columns that are gathered at once: lanes of a vector.
const COLUMNS: usize = 16;
/// Groups of filters that share them.
const GROUPS: usize = 4;
/// Farthest that a lane reaches: places are counted in 8 bits.
const REACH: usize = u8::MAX as usize;

/// Whether filters fit a vector, fill it better than their rows would, and windows are not too far apart.
pub(super) fn pay(op: &Conv2d<'_>, scratch: usize) -> bool {
    let filters = op.filters();
    let fits = filters.rows * filters.row_len <= RUN && filters.rows > 1;
    fits && op.dilation == 1 && (COLUMNS - 1) * op.stride * op.input.c <= REACH && scratch >= COLUMNS * RUN
}

/// Runs a valid `op` for which columns [`pay`], on slices that fit it.
pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [i8]) -> Option<()> {
    // What lies in columns beyond a window meets weights of zero.
    let columns = scratch.first_chunk_mut::<{ COLUMNS * RUN }>()?;
    for (index, records) in op.params.records().chunks(GROUPS * FILTERS).enumerate() {
        let first = index * GROUPS * FILTERS;
        let mut weights = [[0; RUN * FILTERS]; GROUPS];
        for (group, weights) in weights.iter_mut().enumerate() {
            pack(op, first + group * FILTERS, weights);
        }
        let mut image = Image { op, input, groups: [None; GROUPS], first };
        let parts = weights.iter().zip(records.chunks(FILTERS));
        for (group, (weights, records)) in image.groups.iter_mut().zip(parts) {
            *group = Some(filters(op, weights, records)?);
        }
        for y in op.rows.0..op.rows.1 {
            image.row(y, output, columns)?;
        }
    }
    Some(())
}

fn filters<'a>(op: &Conv2d<'_>, weights: &'a [i8], records: &[[u8; Channel::BYTES]]) -> Option<Filters<'a>> {
    Filters::of(op, weights, 1, Scales::of(records)?, records.len()).part((0, 1), (0, 1), op.in_zero)
}

/// Packs four filters from `first` on, each as one row, whatever the layout they come in.
fn pack(op: &Conv2d<'_>, first: usize, packed: &mut [i8; RUN * FILTERS]) {
    let row_len = op.filters().row_len.max(1);
    for (lane, packed) in packed.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
        if first + lane < op.output.c {
            for (row, packed) in packed.chunks_mut(row_len).take(op.kernel.0).enumerate() {
                packed.iter_mut().enumerate().for_each(|(k, to)| *to = op.weight(first + lane, row, k));
            }
        }
    }
}

struct Image<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
    groups: [Option<Filters<'a>>; GROUPS],
    /// First output channel of the groups.
    first: usize,
}

impl Image<'_> {
    /// One row of outputs.
    fn row(&mut self, y: usize, output: &mut [i8], columns: &mut [i8; COLUMNS * RUN]) -> Option<()> {
        let op = self.op;
        let out = output.get_mut((y - op.rows.0) * op.output.w * op.output.c + self.first..)?;
        // Outputs whose windows lie within the image's columns.
        let (from, to) = Axis::columns(op).outputs();
        let (from, to) = if to - from < 2 { (0, 0) } else { (from, to) };
        let mut border = (0..from).chain(to..op.output.w);
        while let Some(x) = border.next() {
            let next = border.next().unwrap_or(x);
            for (x, column) in [x, next].into_iter().zip(columns.as_chunks_mut::<RUN>().0) {
                self.window(y, x, column);
            }
            self.run([x, next], 1, columns, out)?;
        }
        let mut x = from;
        while x < to {
            // Pairs: the last one may repeat an output.
            x = x.min(to - 2);
            let count = (to - x).min(COLUMNS) & !1;
            self.gather(y, x, columns)?;
            self.run([x, x + 1], count / 2, columns, out)?;
            x += count;
        }
        Some(())
    }

    /// Outputs of pairs of columns: of `xs`, and of what follows.
    fn run(&mut self, xs: [usize; 2], pairs: usize, columns: &[i8], out: &mut [i8]) -> Option<()> {
        let out_step = self.op.output.c;
        for (group, filters) in self.groups.iter_mut().flatten().enumerate() {
            let strip = Strip {
                x: [0, RUN],
                x_pair: 2 * RUN,
                out: xs.map(|x| x * out_step + group * FILTERS),
                out_pair: 2 * out_step,
                pairs,
                ..Strip::default()
            };
            filters.run(&strip, columns, out)?;
        }
        Some(())
    }

    /// The image's row for row `ky` of the window of output row `y`.
    fn image_row(&self, y: usize, ky: usize) -> Option<&[i8]> {
        let op = self.op;
        let row_bytes = op.input.w * op.input.c;
        let row = (y * op.stride + ky).checked_sub(op.pad).filter(|&row| row < op.input.h)?;
        self.input.get(row * row_bytes..)?.get(..row_bytes)
    }

    /// The window of output (y, x), which may reach over the image's edges.
    fn window(&self, y: usize, x: usize, column: &mut [i8; RUN]) {
        let op = self.op;
        let channels = op.input.c.max(1);
        let row_len = (op.kernel.1 * channels).max(1);
        for (ky, to) in column.chunks_mut(row_len).take(op.kernel.0).enumerate() {
            let row = self.image_row(y, ky);
            for (kx, to) in to.chunks_exact_mut(channels).enumerate() {
                let at = (x * op.stride + kx).checked_sub(op.pad);
                match row.zip(at).and_then(|(row, at)| row.get(at * channels..)?.get(..channels)) {
                    Some(from) => to.iter_mut().zip(from).for_each(|(to, &q)| *to = q),
                    None => to.fill(op.in_zero as i8),
                }
            }
        }
    }

    /// The windows of up to [`COLUMNS`] outputs from (y, x) on, as many as lie within the image's columns.
    fn gather(&self, y: usize, x: usize, columns: &mut [i8; COLUMNS * RUN]) -> Option<()> {
        let op = self.op;
        let row_len = op.kernel.1 * op.input.c;
        let start = (x * op.stride).checked_sub(op.pad)? * op.input.c;
        let zeros = [op.in_zero as i8; RUN];
        for ky in 0..op.kernel.0 {
            let (from, step) = match self.image_row(y, ky) {
                Some(row) => (row.get(start..)?, op.stride * op.input.c),
                // A row of zero points, the same for all columns.
                None => (&zeros[..], 0),
            };
            scatter(from, step, row_len, columns, ky * row_len)?;
        }
        Some(())
    }
}

/// Copies `len` bytes for each column: from `from`, columns `step` bytes apart, to place `at` of the columns, as many as
/// `from` holds. Not inlined, since the compiler cannot be told that it changes the predicate register.
#[inline(never)]
fn scatter(from: &[i8], step: usize, len: usize, to: &mut [i8; COLUMNS * RUN], at: usize) -> Option<()> {
    let room = from.len().checked_sub(len)?;
    let count = room.checked_div(step).map_or(COLUMNS, |last| (last + 1).min(COLUMNS));
    if len == 0 || at + len > RUN || (COLUMNS - 1) * step > REACH {
        return None;
    }
    // SAFETY: lane i < count reads byte `i step + k` of `from` and writes byte `16 i + at + k` of `to` for k < len; the first
    // is at most `room + k`, the second at most 255. Lanes beyond `count` are masked out.
    unsafe {
        asm!(
            "vctp.8 {count}",
            "vidup.u8 q1, r0, #1",
            "vshl.i8 q2, q1, #4",
            "vmul.i8 q1, q1, {step}",
            "2:",
            "subs {len}, {len}, #1",
            "vpstt",
            "vldrbt.u8 q0, [{from}, q1]",
            "vstrbt.8 q0, [{to}, q2]",
            "add.w {from}, {from}, #1",
            "add.w {to}, {to}, #1",
            "bne 2b",
            count = in(reg) count,
            step = in(reg) step,
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr().wrapping_add(at) => _,
            len = inout(reg) len => _,
            inout("r0") 0 => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            options(nostack)
        );
    }
    Some(())
}
