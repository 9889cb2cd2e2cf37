//! Convolutions: windows are read where they lie in the image. What of a window lies outside is left out together with its
//! weights; where these do not fill vectors, the windows at the left and right border are copied first.
//!
//! # Cost
//! Instructions a multiply-accumulate, padding included, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C
//! target-feature=+mve,+lob`, opt-level 3, fat LTO). With portable weights a single position is
//! [`CortexM4`](super::CortexM4)'s.
//!
//! | layer | portable kernels | here | weights in the set's layout |
//! |---|---|---|---|
//! | 3x3 64x64 16->16 | 1.59 | 0.169 | 0.169 |
//! | 3x3 64x64 8->8 | 2.52 | 0.320 | 0.320 |
//! | 3x3 32x32 32->32 | 1.22 | 0.146 | 0.145 |
//! | 3x3 16x16 64->64 | 1.08 | 0.141 | 0.137 |
//! | 1x1 32x32 32->64 | 3.18 | 0.293 | 0.291 |
//! | 3x3 stride 2, 32x32 32->32 | 1.22 | 0.172 | 0.167 |
//! | 3x3 128x128 4->4 | 4.98 | 0.420 | 0.420 |
//! | 1x1 128x128 4->4 | 29.9 | 1.76 | 1.76 |
//! | linear 131->128 | 2.59 | 2.71 | 2.93 |

use super::block::{FILTERS, Filters, RUN, Scales};
use super::columns;
use super::copy::{copy, fill};
use super::pack::{PACKING, pack};
use super::windows::{Axis, Same, Strip};
use crate::kernels::{Conv2d, Layout, Shape};

/// Runs a valid `op` on slices that fit it. `None` where it cannot, the output then being undefined.
pub(super) fn conv2d(op: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [i8]) -> Option<()> {
    if columns::pay(op, scratch.len()) {
        return columns::conv2d(op, input, output, scratch);
    }
    let (op, input) = &pointwise_as_one_row(op, input)?;
    let row_len = op.filters().row_len;
    let group_bytes = op.kernel.0 * row_len.next_multiple_of(RUN) * FILTERS;
    let (packed, scratch) = match op.layout {
        Layout::CortexM55 => scratch.split_at_mut_checked(0)?,
        layout if layout.is_unpacked() => scratch.split_at_mut_checked(group_bytes)?,
        _ => return None,
    };
    for (group, records) in op.params.records().chunks(FILTERS).enumerate() {
        let weights = match op.layout {
            layout if layout.is_unpacked() => {
                pack(op.weights, op.filters(), group * FILTERS, packed)?;
                &*packed
            }
            _ => op.weights.get(group * group_bytes..)?.get(..group_bytes)?,
        };
        let filters = Filters::of(op, weights, op.kernel.0, Scales::of(records)?, records.len());
        let output = output.get_mut(group * FILTERS..).unwrap_or_default();
        if op.input.c.is_multiple_of(RUN) && (op.dilation == 1 || op.kernel.1 == 1) {
            without_border(op, &filters, input, output)?;
        } else if PACKING.rows_end_in_zeros(weights, row_len) {
            with_border(op, &filters, input, output, scratch)?;
        } else {
            return None;
        }
    }
    Some(())
}

/// A convolution of single positions as one of a single row, and the input it reads; any other as it is.
fn pointwise_as_one_row<'a, 'b>(op: &Conv2d<'a>, input: &'b [i8]) -> Option<(Conv2d<'a>, &'b [i8])> {
    if op.kernel != (1, 1) || op.stride != 1 || op.pad != 0 {
        return Some((*op, input));
    }
    let rows = op.rows.1 - op.rows.0;
    let (w, row_bytes) = (rows * op.input.w, op.input.w * op.input.c);
    let (from, to) = (Shape { h: 1, w, ..op.input }, Shape { h: 1, w, ..op.output });
    let input = input.get(op.rows.0 * row_bytes..op.rows.1 * row_bytes)?;
    Some((Conv2d { input: from, output: to, rows: (0, rows.min(1)), ..*op }, input))
}

/// Channels that fill vectors: at the border, taps outside the image are left out with their weights.
fn without_border(op: &Conv2d<'_>, filters: &Filters<'_>, input: &[i8], output: &mut [i8]) -> Option<()> {
    let runs = op.input.c / RUN;
    let (rows, columns) = (Axis::rows(op), Axis::columns(op));
    for ys in rows.parts(op.rows) {
        let ky = rows.taps(ys.0)?;
        for xs in columns.parts((0, op.output.w)) {
            let kx = columns.taps(xs.0)?;
            let mut part = filters.part(ky, (kx.0 * runs, kx.1 * runs), op.in_zero)?;
            Same { op, taps: (ky.0, kx.0) }.strips(ys, xs, |strip| part.run(strip, input, output))?;
        }
    }
    Some(())
}

/// Any number of channels: windows that reach over the left or right border, or with what fills up their last row over the
/// image's end, are copied first.
fn with_border(
    op: &Conv2d<'_>,
    filters: &Filters<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [i8],
) -> Option<()> {
    let image = Image { op, input };
    let rows = Axis::rows(op);
    for ys in rows.parts(op.rows) {
        // If none lies within the image: the first, which then reads zero points alone.
        let ky = rows.taps(ys.0).unwrap_or((0, 1));
        let mut part = filters.part(ky, (0, filters.runs()), op.in_zero)?;
        for y in ys.0..ys.1 {
            let out = output.get_mut((y - op.rows.0) * op.output.w * op.output.c..)?;
            image.row(&mut part, y, ky, out, scratch)?;
        }
    }
    Some(())
}

/// An image and the operator over it.
struct Image<'a> {
    op: &'a Conv2d<'a>,
    input: &'a [i8],
}

impl Image<'_> {
    /// One row of outputs, whose first one is the start of `out`.
    fn row(
        &self,
        filters: &mut Filters<'_>,
        y: usize,
        ky: (usize, usize),
        out: &mut [i8],
        scratch: &mut [i8],
    ) -> Option<()> {
        let op = self.op;
        let row_bytes = op.input.w * op.input.c;
        let top = (y * op.stride + ky.0 * op.dilation).checked_sub(op.pad);
        let (from, to) = top.map_or((0, 0), |top| self.direct(filters, top * row_bytes));
        // The odd one out joins the border's odd one.
        let to = if (to - from) % 2 == 1 && (op.output.w - (to - from)) % 2 == 1 { to - 1 } else { to };
        if from < to {
            let x = top? * row_bytes + (from * op.stride - op.pad) * op.input.c;
            let row_step = op.dilation * row_bytes;
            let first = Strip { x: [x; 2], row_step, out: [from * op.output.c; 2], ..Strip::default() };
            let steps = (op.stride * op.input.c, op.output.c);
            Strip::of(first, steps, to - from, |strip| filters.run(strip, self.input, out))?;
        }
        self.border(filters, (0..from).chain(to..op.output.w), y, ky, out, scratch)
    }

    /// The outputs of a row, from the first to before the second, whose windows lie in the image side by side as they should,
    /// with what fills up their last row. The windows' first row starts at `start`.
    fn direct(&self, filters: &Filters<'_>, start: usize) -> (usize, usize) {
        let op = self.op;
        let row_bytes = op.input.w * op.input.c;
        let read = start + (filters.rows() - 1) * op.dilation * row_bytes + filters.row_bytes();
        let (from, to) = Axis::columns(op).outputs();
        match self.input.len().checked_sub(read) {
            Some(room) if op.dilation == 1 || op.kernel.1 == 1 => {
                let readable = (room / op.input.c.max(1) + op.pad) / op.stride.max(1) + 1;
                (from.min(readable), to.min(readable))
            }
            _ => (0, 0),
        }
    }

    /// The outputs `xs` of a row, two at a time, from copies of their windows.
    fn border(
        &self,
        filters: &mut Filters<'_>,
        mut xs: impl Iterator<Item = usize>,
        y: usize,
        ky: (usize, usize),
        out: &mut [i8],
        scratch: &mut [i8],
    ) -> Option<()> {
        let row_bytes = filters.row_bytes();
        let window = filters.rows() * row_bytes;
        while let Some(x) = xs.next() {
            let next = xs.next();
            let scratch = scratch.get_mut(..2 * window)?;
            let (first, second) = scratch.split_at_mut_checked(window)?;
            self.copy_window(y, x, ky, row_bytes, first)?;
            if let Some(next) = next {
                self.copy_window(y, next, ky, row_bytes, second)?;
            }
            let strip = Strip {
                x: [0, if next.is_some() { window } else { 0 }],
                row_step: row_bytes,
                out: [x, next.unwrap_or(x)].map(|x| x * self.op.output.c),
                pairs: 1,
                ..Strip::default()
            };
            filters.run(&strip, scratch, out)?;
        }
        Some(())
    }

    /// The rows of the window of output (y, x), each filled up to `row_bytes` with whatever was there.
    fn copy_window(&self, y: usize, x: usize, ky: (usize, usize), row_bytes: usize, to: &mut [i8]) -> Option<()> {
        let op = self.op;
        let in_row = op.input.w * op.input.c;
        for (ky, to) in (ky.0..ky.1).zip(to.chunks_exact_mut(row_bytes.max(1))) {
            let to = to.get_mut(..op.kernel.1 * op.input.c)?;
            let row = (y * op.stride + ky * op.dilation).checked_sub(op.pad).filter(|&row| row < op.input.h);
            match row {
                Some(row) => self.copy_row(self.input.get(row * in_row..)?.get(..in_row)?, x, to)?,
                None => fill(to, op.in_zero as i8),
            }
        }
        Some(())
    }

    /// One row of a window out of the image's row.
    fn copy_row(&self, row: &[i8], x: usize, to: &mut [i8]) -> Option<()> {
        let op = self.op;
        let channels = op.input.c;
        let left = x * op.stride;
        let zero = op.in_zero as i8;
        if op.dilation == 1 {
            let before = op.pad.saturating_sub(left).min(op.kernel.1);
            let start = (left + before).saturating_sub(op.pad).min(op.input.w);
            let inside = (op.input.w - start).min(op.kernel.1 - before);
            let (outside, to) = to.split_at_mut_checked(before * channels)?;
            fill(outside, zero);
            let (to, outside) = to.split_at_mut_checked(inside * channels)?;
            copy(row.get(start * channels..)?, to)?;
            fill(outside, zero);
        } else {
            for (kx, to) in to.chunks_exact_mut(channels.max(1)).enumerate() {
                let column = (left + kx * op.dilation).checked_sub(op.pad).filter(|&column| column < op.input.w);
                match column {
                    Some(column) => copy(row.get(column * channels..)?, to)?,
                    None => fill(to, zero),
                }
            }
        }
        Some(())
    }
}
