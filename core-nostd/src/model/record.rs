//! Tensor and node records: from bytes to plain values and back. [`super::blob`] documents the bytes.

use super::bytes::{Reader, Span, Writer};
use super::error::Problem;
use super::kinds::OperatorKind;
use super::repr::{ConvRepr, NodeRepr, OperatorRepr, Place, TensorRepr};
use crate::kernels::{Axis, Corners, Shape};
use crate::quant::Requant;

/// Bytes of a tensor record.
pub const TENSOR_BYTES: usize = 24;
/// Bytes of a node record.
pub const NODE_BYTES: usize = 64;
/// An absent second input in a node record.
const NO_INPUT: u32 = u32::MAX;

impl TensorRepr {
    /// Reads a tensor record.
    ///
    /// # Errors
    /// The first field that holds what no record can.
    pub fn parse(record: &[u8]) -> Result<Self, Problem> {
        let mut r = Reader::new(record);
        let shape = Shape::new(r.u16()?.into(), r.u16()?.into(), r.u16()?.into());
        let kind = r.u8()?;
        let zero = Reader::new(&[r.u8()?]).rest_is_zero();
        let (scale, zero_point) = (r.f32()?, r.i32()?);
        let value = r.size()?;
        let place = match kind {
            0 => Place::Input(value),
            1 => Place::Arena(value),
            _ => return Err(Problem::UnknownCode { field: "place", got: kind.into() }),
        };
        zero.and(r.rest_is_zero())?;
        Ok(Self { shape, scale, zero_point, place })
    }

    /// Writes a tensor record of [`TENSOR_BYTES`].
    ///
    /// # Errors
    /// A field too large for its place.
    pub fn emit(&self, record: &mut [u8]) -> Result<(), Problem> {
        let (kind, value) = match self.place {
            Place::Input(index) => (0, index),
            Place::Arena(offset) => (1, offset),
        };
        let mut w = Writer::new(record);
        w.size16("height", self.shape.h)?;
        w.size16("width", self.shape.w)?;
        w.size16("channels", self.shape.c)?;
        w.put([kind, 0])?;
        w.put(self.scale.to_le_bytes())?;
        w.put(self.zero_point.to_le_bytes())?;
        w.size32("place", value)?;
        w.put([0; 4])
    }
}

impl NodeRepr<Span> {
    /// Reads a node record.
    ///
    /// # Errors
    /// The first field that holds what no record can.
    pub fn parse(record: &[u8]) -> Result<Self, Problem> {
        let mut r = Reader::new(record);
        let code = r.u16()?;
        let unknown = Problem::UnknownCode { field: "operator", got: code.into() };
        let kind = OperatorKind::from_code(code).ok_or(unknown)?;
        let zero = r.u16()?;
        let first = r.size()?;
        let second = Some(r.size()?).filter(|&id| id != NO_INPUT as usize);
        let (scratch_offset, scratch_bytes) = (r.size()?, r.size()?);
        let spans = [r.span()?, r.span()?];
        let op = parse_operator(kind, spans, &mut r)?;
        r.rest_is_zero()?;
        zeros("reserved bytes", [zero])?;
        Ok(Self { op, inputs: (first, second), scratch_offset, scratch_bytes })
    }

    /// Writes a node record of [`NODE_BYTES`].
    ///
    /// # Errors
    /// A field too large for its place.
    pub fn emit(&self, record: &mut [u8]) -> Result<(), Problem> {
        let mut w = Writer::new(record);
        w.put((self.op.kind() as u16).to_le_bytes())?;
        w.put([0; 2])?;
        w.size32("first input", self.inputs.0)?;
        match self.inputs.1 {
            None => w.put(NO_INPUT.to_le_bytes())?,
            Some(id) => w.size32("second input", id)?,
        }
        w.size32("scratch offset", self.scratch_offset)?;
        w.size32("scratch bytes", self.scratch_bytes)?;
        emit_operator(&self.op, &mut w)
    }
}

fn parse_operator(kind: OperatorKind, [a, b]: [Span; 2], r: &mut Reader<'_>) -> Result<OperatorRepr<Span>, Problem> {
    let used = match kind {
        OperatorKind::Conv2d | OperatorKind::Depthwise | OperatorKind::LayerNorm | OperatorKind::ConvTranspose2x2 => 2,
        OperatorKind::Table => 1,
        _ => 0,
    };
    for span in [a, b].get(used..).unwrap_or_default() {
        zeros("unused constants", [span.offset, span.length])?;
    }
    let clamp = (r.i8()?, r.i8()?);
    Ok(match kind {
        OperatorKind::Conv2d => OperatorRepr::Conv2d(parse_conv(clamp, a, b, r)?),
        OperatorKind::Depthwise => OperatorRepr::Depthwise(parse_conv(clamp, a, b, r)?),
        OperatorKind::MaxPool => OperatorRepr::MaxPool { kernel: r.u8()?.into(), stride: r.u8()?.into(), clamp },
        OperatorKind::Add => {
            let left_shift = r.u16()?.into();
            OperatorRepr::Add { a: requant(r)?, b: requant(r)?, left_shift, out: requant(r)?, clamp }
        }
        OperatorKind::Upsample2x => {
            let corners = match r.u16()? {
                0 => Corners::HalfPixel,
                1 => Corners::Aligned,
                code => return Err(Problem::UnknownCode { field: "corners", got: code.into() }),
            };
            OperatorRepr::Upsample2x { corners, requant: requant(r)?, clamp }
        }
        OperatorKind::LayerNorm => {
            reserved16(r)?;
            OperatorRepr::LayerNorm { eps_q: r.f32()?, clamp, gamma: a, beta: b }
        }
        OperatorKind::Table => {
            no_clamp(clamp)?;
            OperatorRepr::Table { table: a }
        }
        OperatorKind::Shift => {
            no_clamp(clamp)?;
            let axis = match r.u16()? {
                0 => Axis::Y,
                1 => Axis::X,
                code => return Err(Problem::UnknownCode { field: "axis", got: code.into() }),
            };
            OperatorRepr::Shift { axis }
        }
        OperatorKind::Concat => {
            reserved16(r)?;
            OperatorRepr::Concat { a: requant(r)?, b: requant(r)?, clamp }
        }
        OperatorKind::ConvTranspose2x2 => OperatorRepr::ConvTranspose2x2 { clamp, weights: a, params: b },
    })
}

fn parse_conv(clamp: (i8, i8), weights: Span, params: Span, r: &mut Reader<'_>) -> Result<ConvRepr<Span>, Problem> {
    let kernel = (r.u8()?.into(), r.u8()?.into());
    let (stride, pad, dilation) = (r.u8()?.into(), r.u8()?.into(), r.u8()?.into());
    Ok(ConvRepr { kernel, stride, pad, dilation, clamp, weights, params })
}

fn emit_operator(op: &OperatorRepr<Span>, w: &mut Writer<'_>) -> Result<(), Problem> {
    let none = Span::default();
    let (first, second, clamp) = match *op {
        OperatorRepr::Conv2d(c) | OperatorRepr::Depthwise(c) => (c.weights, c.params, c.clamp),
        OperatorRepr::LayerNorm { gamma, beta, clamp, .. } => (gamma, beta, clamp),
        OperatorRepr::ConvTranspose2x2 { weights, params, clamp } => (weights, params, clamp),
        OperatorRepr::Table { table } => (table, none, (0, 0)),
        OperatorRepr::MaxPool { clamp, .. }
        | OperatorRepr::Add { clamp, .. }
        | OperatorRepr::Concat { clamp, .. }
        | OperatorRepr::Upsample2x { clamp, .. } => (none, none, clamp),
        OperatorRepr::Shift { .. } => (none, none, (0, 0)),
    };
    w.span(first)?;
    w.span(second)?;
    w.put(clamp.0.to_le_bytes())?;
    w.put(clamp.1.to_le_bytes())?;
    match *op {
        OperatorRepr::Conv2d(c) | OperatorRepr::Depthwise(c) => {
            w.size8("kernel height", c.kernel.0)?;
            w.size8("kernel width", c.kernel.1)?;
            w.size8("stride", c.stride)?;
            w.size8("pad", c.pad)?;
            w.size8("dilation", c.dilation)
        }
        OperatorRepr::MaxPool { kernel, stride, .. } => {
            w.size8("kernel", kernel)?;
            w.size8("stride", stride)
        }
        OperatorRepr::Add { a, b, left_shift, out, .. } => {
            w.size16("left shift", left_shift as usize)?;
            [a, b, out].into_iter().try_for_each(|r| emit_requant(r, w))
        }
        OperatorRepr::Upsample2x { corners, requant, .. } => {
            w.put([u8::from(corners == Corners::Aligned), 0])?;
            emit_requant(requant, w)
        }
        OperatorRepr::LayerNorm { eps_q, .. } => {
            w.put([0; 2])?;
            w.put(eps_q.to_le_bytes())
        }
        OperatorRepr::Concat { a, b, .. } => {
            w.put([0; 2])?;
            [a, b].into_iter().try_for_each(|r| emit_requant(r, w))
        }
        OperatorRepr::Table { .. } | OperatorRepr::ConvTranspose2x2 { .. } => Ok(()),
        OperatorRepr::Shift { axis } => w.put([u8::from(axis == Axis::X), 0]),
    }
}

fn requant(r: &mut Reader<'_>) -> Result<Requant, Problem> {
    Ok(Requant { multiplier: r.i32()?, shift: r.i32()? })
}

fn emit_requant(value: Requant, w: &mut Writer<'_>) -> Result<(), Problem> {
    w.put(value.multiplier.to_le_bytes())?;
    w.put(value.shift.to_le_bytes())
}

fn reserved16(r: &mut Reader<'_>) -> Result<(), Problem> {
    zeros("reserved bytes", [r.u16()?])
}

fn no_clamp((low, high): (i8, i8)) -> Result<(), Problem> {
    zeros("reserved bytes", [low, high])
}

/// Values without a meaning are zero; the error shows the first that is not.
fn zeros<T: Into<i64>, const N: usize>(field: &'static str, values: [T; N]) -> Result<(), Problem> {
    match values.into_iter().map(T::into).find(|&got| got != 0) {
        None => Ok(()),
        Some(got) => Err(Problem::Mismatch { field, got, expected: 0 }),
    }
}
