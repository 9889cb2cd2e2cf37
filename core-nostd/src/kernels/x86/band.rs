//! Some rows of the input with its borders: a copy in which every window is whole, and activations are bytes without
//! sign, as VPDPBUSD takes them.

use crate::kernels::{Conv2d, Shape};

/// Bytes that a copy may have, unless one row of windows needs more: it shall stay in the second cache.
const BAND_BYTES: usize = 384 << 10;
/// Bytes after the copy that may be read with its last window: at most a vector.
pub(super) const SLACK: usize = 64;

/// Where the windows of some output rows lie in the copy.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    /// Shape of the input.
    pub(super) input: Shape,
    /// What the border holds.
    pub(super) zero: i32,
    /// Rows and columns of the border before the input.
    pub(super) pad: usize,
    /// Columns of output.
    pub(super) out_w: usize,
    /// Step between windows.
    pub(super) stride: usize,
    /// Rows of the copy that one row of windows takes.
    pub(super) window_h: usize,
    /// Bytes of a row of the copy.
    pub(super) row_len: usize,
}

impl Geometry {
    /// Of a valid convolution.
    pub(super) fn of(op: &Conv2d<'_>) -> Self {
        let window = |kernel: usize| op.dilation * (kernel - 1) + 1;
        Self {
            input: op.input,
            zero: op.in_zero,
            pad: op.pad,
            out_w: op.output.w,
            stride: op.stride,
            window_h: window(op.kernel.0),
            row_len: ((op.output.w - 1) * op.stride + window(op.kernel.1)) * op.input.c,
        }
    }

    /// Of positions that are windows by themselves.
    pub(super) fn of_positions(input: Shape, zero: i32) -> Self {
        Self { input, zero, pad: 0, out_w: input.w, stride: 1, window_h: 1, row_len: input.w * input.c }
    }

    /// Rows of the copy for `rows` rows of windows.
    const fn copy_rows(&self, rows: usize) -> usize {
        rows.saturating_sub(1) * self.stride + self.window_h
    }

    /// Output rows that may share a copy: at least one.
    fn most_rows(&self) -> usize {
        let fit = (BAND_BYTES / self.row_len.max(1)).saturating_sub(self.window_h) / self.stride.max(1);
        fit + 1
    }

    /// Output rows that share a copy, of `rows` in all: at least one. Copies are of about one size, so that the last one is
    /// not a rest.
    pub(super) fn band_rows(&self, rows: usize) -> usize {
        let bands = rows.div_ceil(self.most_rows()).max(1);
        rows.div_ceil(bands).max(1)
    }

    /// Bytes of a copy for bands of `rows` output rows in all, and what may be read beyond it. More rows never take less.
    pub(super) fn band_bytes(&self, rows: usize) -> usize {
        self.copy_rows(self.most_rows().min(rows.max(1))).saturating_mul(self.row_len).saturating_add(SLACK)
    }

    /// Copies what the output rows `first ..` to before `end` need. `None` if `copy` is too short.
    pub(super) fn fill(&self, input: &[i8], first: usize, end: usize, copy: &mut [u8]) -> Option<()> {
        let flip = |q: i8| q as u8 ^ 0x80;
        let border = flip(self.zero as i8);
        let channels = self.input.c;
        let left = (self.pad * channels).min(self.row_len);
        let middle = (self.input.w * channels).min(self.row_len - left);
        let rows = self.copy_rows(end - first);
        for (index, row) in copy.get_mut(..rows * self.row_len)?.chunks_exact_mut(self.row_len.max(1)).enumerate() {
            let y = (first * self.stride + index).checked_sub(self.pad).filter(|&y| y < self.input.h);
            let Some(y) = y else {
                row.fill(border);
                continue;
            };
            let from = input.get(y * self.input.w * channels..)?.get(..middle)?;
            let (before, rest) = row.split_at_mut_checked(left)?;
            let (inside, after) = rest.split_at_mut_checked(middle)?;
            before.fill(border);
            after.fill(border);
            for (to, &q) in inside.iter_mut().zip(from) {
                *to = flip(q);
            }
        }
        Some(())
    }
}
