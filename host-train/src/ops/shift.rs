//! Moving channel groups by a few pixels, as UNeXt's shifted MLP does.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::operator::{self, Operator};
use super::values::{contiguous, dims, runs_here, slice, tensor, zeros};

/// Which way channels move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Along y.
    Rows,
    /// Along x.
    Columns,
}

#[derive(Debug)]
struct Shift {
    axis: Axis,
    by: Vec<isize>,
}

/// `x`, `[B, C, H, W]`, with channel c moved by `by[c]` pixels along `axis`, zeros entering.
pub fn shift(x: Tensor<4>, axis: Axis, by: Vec<isize>) -> Tensor<4> {
    if runs_here(&x) {
        return operator::unary(Arc::new(Shift { axis, by }), x);
    }
    of_burns(x, axis, &by)
}

/// [`shift`] by burn's operators.
pub(super) fn of_burns(x: Tensor<4>, axis: Axis, by: &[isize]) -> Tensor<4> {
    // Neighbours that move alike move together.
    let mut start = 0;
    let groups = by.chunk_by(|a, b| a == b).map(|group| {
        let moved = move_along(x.clone().narrow(1, start, group.len()), axis, group[0]);
        start += group.len();
        moved
    });
    Tensor::cat(groups.collect(), 1)
}

/// All channels moved alike.
fn move_along(x: Tensor<4>, axis: Axis, by: isize) -> Tensor<4> {
    let steps = by.unsigned_abs();
    if steps == 0 {
        return x;
    }
    let dim = match axis {
        Axis::Rows => 2,
        Axis::Columns => 3,
    };
    let mut shape = x.dims();
    let length = shape[dim];
    shape[dim] = steps.min(length);
    let zeros = Tensor::zeros(shape, (&x.device(), x.dtype()));
    if steps >= length {
        return zeros;
    }
    let kept = x.narrow(dim, if by < 0 { steps } else { 0 }, length - steps);
    let parts = if by < 0 { vec![kept, zeros] } else { vec![zeros, kept] };
    Tensor::cat(parts, dim)
}

impl Shift {
    fn moved(&self, x: FlexTensor, sign: isize) -> FlexTensor {
        let x = contiguous(x);
        let [batch, channels, height, width] = dims(&x);
        let mut out = zeros(batch * channels * height * width);
        let plane = height * width;
        if plane > 0 {
            let planes = out.par_chunks_exact_mut(plane).zip(slice(&x).par_chunks_exact(plane));
            planes.enumerate().for_each(|(i, (to, from))| {
                move_plane(from, to, width, self.axis, sign * self.by[i % channels]);
            });
        }
        tensor(out, [batch, channels, height, width])
    }
}

/// `from`, rows of `width`, moved into `to`, which is zero.
fn move_plane(from: &[f32], to: &mut [f32], width: usize, axis: Axis, by: isize) {
    let (length, step) = match axis {
        Axis::Rows => (from.len(), width),
        Axis::Columns => (width, 1),
    };
    let reach = by.unsigned_abs().saturating_mul(step).min(length);
    for (to, from) in to.chunks_exact_mut(length).zip(from.chunks_exact(length)) {
        if by >= 0 {
            to[reach..].copy_from_slice(&from[..length - reach]);
        } else {
            to[..length - reach].copy_from_slice(&from[reach..]);
        }
    }
}

impl Operator<1> for Shift {
    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, Vec<FlexTensor>) {
        (self.moved(x, 1), Vec::new())
    }

    fn backward(&self, _: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.moved(gradient, -1))]
    }
}
