//! Operators that look at neighbours: pooling, interpolation, shift.

use super::draw::Draw;
use super::stand::{Fault, TestBench};
use crate::kernels::{Axis, Corners, MaxPool, Shift, Upsample2x};

pub(super) fn max_pool(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let (op, output) = loop {
        let input = draw.shape(12, 20, 72);
        let (kernel, stride) = match draw.one_in(2) {
            true => (2, 2),
            false => (draw.between(1, 4), draw.between(1, 4)),
        };
        let op = MaxPool { input, kernel, stride, clamp: draw.clamp() };
        if let Some(output) = op.output() {
            break (op, output);
        }
    };
    let input = stand.tensor(draw, op.input.len())?;
    stand.compare(draw, &op, output.len(), |kernels, out| kernels.max_pool(&op, input, out))
}

pub(super) fn upsample2x(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let input = draw.shape(8, 14, 40);
    let corners = draw.one_of([Corners::HalfPixel, Corners::Aligned]);
    let mut requant = draw.any_requant(1);
    if draw.one_in(2) {
        // As exporters write it: the weights' sum taken out.
        requant.shift = 1 - (corners.total_weight(input).ilog2() as i32);
    }
    let (in_zero, out_zero, clamp) = (draw.zero(), draw.zero(), draw.clamp());
    let op = Upsample2x { input, corners, in_zero, requant, out_zero, clamp };
    if !op.is_valid() {
        return Err(Fault::Draw);
    }
    let input = stand.tensor(draw, input.len())?;
    stand.compare(draw, &op, op.output().len(), |kernels, out| kernels.upsample2x(&op, input, out))
}

pub(super) fn shift(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let (shape, axis) = (draw.shape(9, 20, 80), draw.one_of([Axis::X, Axis::Y]));
    let op = Shift { shape, axis, zero: draw.zero() as i8 };
    let input = stand.tensor(draw, shape.len())?;
    stand.compare(draw, &op, shape.len(), |kernels, out| kernels.shift(&op, input, out))
}
