//! Which windows lie within the image, which of their taps do, and where they lie.

use crate::kernels::Conv2d;

/// One axis of a convolution: what follows is the same along either.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Axis {
    /// From row to row.
    pub fn rows(op: &Conv2d<'_>) -> Self {
        let &Conv2d { pad, .. } = op;
        let (stride, dilation) = (op.stride.max(1), op.dilation.max(1));
        Self { input: op.input.h, output: op.output.h, kernel: op.kernel.0, stride, pad, dilation }
    }

    /// From column to column.
    pub fn columns(op: &Conv2d<'_>) -> Self {
        Self { input: op.input.w, output: op.output.w, kernel: op.kernel.1, ..Self::rows(op) }
    }

    /// The outputs whose windows lie within the image, from the first to before the second.
    pub fn outputs(self) -> (usize, usize) {
        let window = self.dilation * (self.kernel - 1) + 1;
        let last = (self.input + self.pad).checked_sub(window);
        let to = last.map_or(0, |last| last / self.stride + 1).min(self.output);
        (self.pad.div_ceil(self.stride).min(to), to)
    }

    /// The taps of output `o` that lie within the image, from the first to before the second; `None` if there are none.
    pub fn taps(self, o: usize) -> Option<(usize, usize)> {
        let start = o * self.stride;
        let from = self.pad.saturating_sub(start).div_ceil(self.dilation);
        let to = (self.input + self.pad).saturating_sub(start).div_ceil(self.dilation).min(self.kernel);
        (from < to).then_some((from, to))
    }

    /// Outputs from the first of `range` to before its second, split so that those of a part share their taps.
    pub fn parts(self, range: (usize, usize)) -> impl Iterator<Item = (usize, usize)> + Clone {
        let (from, to) = self.outputs();
        let (from, to) = (from.clamp(range.0, range.1.max(range.0)), to.clamp(range.0, range.1.max(range.0)));
        let single = |o: usize| (o, o + 1);
        let middle = (from < to).then_some((from, to));
        let after = if from < to { to } else { from };
        (range.0..from).map(single).chain(middle).chain((after..range.1).map(single))
    }
}

/// Pairs of windows and where their outputs go, in bytes from the start of input and output.
#[derive(Clone, Copy, Default)]
pub(super) struct Strip {
    /// First tap of the first and the second window.
    pub x: [usize; 2],
    /// From a tap to the next of its row.
    pub column_step: usize,
    /// From a row's first tap to the next row's.
    pub row_step: usize,
    /// From a pair of windows to the next.
    pub x_pair: usize,
    /// Outputs of the first and the second window.
    pub out: [usize; 2],
    /// From a pair's outputs to the next pair's.
    pub out_pair: usize,
    pub pairs: usize,
}

impl Strip {
    /// Calls `run` with `count` windows in a row, the second half of a pair being `x_step` and `out_step` after the first. The
    /// odd one out is paired with itself.
    pub fn of(
        first: Self,
        (x_step, out_step): (usize, usize),
        count: usize,
        mut run: impl FnMut(&Self) -> Option<()>,
    ) -> Option<()> {
        let ([x, _], [out, _]) = (first.x, first.out);
        if count >= 2 {
            let (x_pair, out_pair) = (2 * x_step, 2 * out_step);
            run(&Self { x: [x, x + x_step], out: [out, out + out_step], x_pair, out_pair, pairs: count / 2, ..first })?;
        }
        if count % 2 == 1 {
            let (x, out) = (x + (count - 1) * x_step, out + (count - 1) * out_step);
            run(&Self { x: [x; 2], out: [out; 2], pairs: 1, ..first })?;
        }
        Some(())
    }
}

/// Outputs whose windows have the same taps within the image, from row and column `taps` of the kernel on.
pub(super) struct Same<'a> {
    pub op: &'a Conv2d<'a>,
    pub taps: (usize, usize),
}

impl Same<'_> {
    /// Calls `run` with the strips of the outputs of `ys` and `xs`: rows, or a single column.
    pub fn strips(
        &self,
        ys: (usize, usize),
        xs: (usize, usize),
        mut run: impl FnMut(&Strip) -> Option<()>,
    ) -> Option<()> {
        if xs.1 - xs.0 == 1 {
            return self.strip((ys.0, xs.0), (1, 0), ys.1 - ys.0, run);
        }
        for y in ys.0..ys.1 {
            self.strip((y, xs.0), (0, 1), xs.1 - xs.0, &mut run)?;
        }
        Some(())
    }

    /// `count` outputs from (y, x) on, each so many rows and columns from the one before.
    fn strip(
        &self,
        (y, x): (usize, usize),
        step: (usize, usize),
        count: usize,
        run: impl FnMut(&Strip) -> Option<()>,
    ) -> Option<()> {
        let Self { op, taps } = self;
        let top = (y * op.stride + taps.0 * op.dilation).checked_sub(op.pad)?;
        let left = (x * op.stride + taps.1 * op.dilation).checked_sub(op.pad)?;
        let place = (top * op.input.w + left) * op.input.c;
        let out = (y.checked_sub(op.rows.0)? * op.output.w + x) * op.output.c;
        let first = Strip {
            x: [place; 2],
            column_step: op.dilation * op.input.c,
            row_step: op.dilation * op.input.w * op.input.c,
            out: [out; 2],
            ..Strip::default()
        };
        let x_step = (step.0 * op.input.w + step.1) * op.stride * op.input.c;
        Strip::of(first, (x_step, (step.0 * op.output.w + step.1) * op.output.c), count, run)
    }
}
