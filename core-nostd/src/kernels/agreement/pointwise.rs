//! Operators on single elements or single positions: sum, joining, layer normalisation, table.

use super::draw::Draw;
use super::stand::{Fault, Output, TestBench};
use crate::kernels::{Add, Concat, ConcatInput, LayerNorm, Shape, Table};
use crate::quant::Requant;

pub(super) fn add(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let len = draw.between(0, 2000);
    // As TFLite writes it: inputs at most halved, the sum brought back from 20 bits of headroom.
    let left_shift = if draw.one_in(2) { 20 } else { draw.between(0, 22) as u32 };
    let usual = draw.one_in(2);
    let mut scale = |shift: i32| match usual {
        true => Requant { shift, ..draw.requant(1) },
        false => draw.any_requant(1),
    };
    let (a, b, out) = (scale(-1), scale(0), scale(2 - left_shift as i32));
    let (a_zero, b_zero, out_zero, clamp) = (draw.zero(), draw.zero(), draw.zero(), draw.clamp());
    let op = Add { len, a_zero, a, b_zero, b, left_shift, out, out_zero, clamp };
    if !op.is_valid() {
        return Err(Fault::Draw);
    }
    let (a, b) = (stand.tensor(draw, len)?, stand.tensor(draw, len)?);
    let in_place = |start| Output { len, start: Some(start) };
    match draw.between(0, 5) {
        0 => stand.compare_with(
            draw,
            &("a in place", op),
            in_place(a),
            |_| 0,
            |kernels, out, _| {
                kernels.add_in_place(&op, None, Some(b), out);
            },
        ),
        1 => stand.compare_with(
            draw,
            &("b in place", op),
            in_place(b),
            |_| 0,
            |kernels, out, _| {
                kernels.add_in_place(&op, Some(a), None, out);
            },
        ),
        _ => stand.compare(draw, &op, len, |kernels, out| kernels.add(&op, a, b, out)),
    }
}

pub(super) fn concat(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let a = draw.shape(9, 20, 40);
    let b = Shape { c: draw.channels(40), ..a };
    let mut part = |shape| {
        let requant = match draw.one_in(2) {
            // Handed on as it is.
            true => Requant { multiplier: 1 << 30, shift: 1 },
            false => draw.any_requant(1),
        };
        ConcatInput { shape, zero: draw.zero(), requant }
    };
    let (a, b) = (part(a), part(b));
    let op = Concat { a, b, out_zero: draw.zero(), clamp: draw.clamp() };
    if !op.is_valid() {
        return Err(Fault::Draw);
    }
    let (a, b) = (stand.tensor(draw, a.shape.len())?, stand.tensor(draw, b.shape.len())?);
    stand.compare(draw, &op, op.output().len(), |kernels, out| kernels.concat(&op, a, b, out))
}

pub(super) fn layer_norm(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let mut shape = draw.shape(5, 12, 200);
    if draw.one_in(8) {
        // Here the spread of a position leaves 32 bits.
        shape.c = draw.one_of([252, 256, 272]);
    }
    let gain = draw.one_of([0.0, 1.0, 30.0, 400.0, 1e6]);
    let gamma = factors(&mut stand, draw, shape.c, gain)?;
    let beta = factors(&mut stand, draw, shape.c, 60.0)?;
    let eps_q = if draw.one_in(4) { 0.0 } else { 10.0 * draw.unit().abs() };
    let op = LayerNorm { shape, eps_q, gamma, beta, out_zero: draw.zero(), clamp: draw.clamp() };
    if !op.is_valid() {
        return Err(Fault::Draw);
    }
    let input = stand.tensor(draw, shape.len())?;
    let brief = LayerNorm { gamma: &[], beta: &[], ..op };
    stand.compare(draw, &brief, shape.len(), |kernels, out| kernels.layer_norm(&op, input, out))
}

/// A factor for each channel, up to `size`, in little-endian order.
fn factors<'c>(stand: &mut TestBench<'c, '_>, draw: &mut Draw, channels: usize, size: f32) -> Result<&'c [u8], Fault> {
    let bytes: &mut [u8] = stand.take(draw, 4 * channels)?;
    for factor in bytes.as_chunks_mut::<4>().0 {
        *factor = (draw.unit() * size).to_le_bytes();
    }
    Ok(bytes)
}

pub(super) fn table(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let mut table = [0; 256];
    draw.fill(&mut table);
    let op = Table { table: &table };
    let len = draw.between(0, 2000);
    let input = stand.tensor(draw, len)?;
    if draw.one_in(3) {
        let out = Output { len, start: Some(input) };
        return stand.compare_with(
            draw,
            &("table in place", len),
            out,
            |_| 0,
            |kernels, out, _| {
                kernels.table_in_place(&op, out);
            },
        );
    }
    stand.compare(draw, &("table", len), len, |kernels, out| kernels.table(&op, input, out))
}
