//! Convolutions: ordinary, depthwise and transposed.

use super::draw::Draw;
use super::stand::{Fault, Output, TestBench};
use crate::kernels::{
    Channel, ChannelParams, Conv2d, ConvTranspose2x2, Filters, Kernels, Layout, Packing, Shape, conv_extent,
};

/// Most products of one case, so that the reference takes milliseconds on a microcontroller.
const MAX_PRODUCTS: usize = 1 << 18;
/// Most weights of one case: in the widest layout, beside the same weights unpacked, they leave room for tensors.
const MAX_WEIGHTS: usize = 24 * 1024;
/// Most elements of an input and an output together.
const MAX_ELEMENTS: usize = 32 * 1024;

const NO_PARAMS: &[u8] = &[];

/// What a convolution looks like, weights apart.
#[derive(Clone, Copy)]
struct Geometry {
    input: Shape,
    output: Shape,
    kernel: (usize, usize),
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Geometry {
    /// Of an ordinary or depthwise convolution, small enough for a case.
    fn draw(draw: &mut Draw, depthwise: bool) -> Self {
        loop {
            if let Some(geometry) = Self::draw_any(draw, depthwise).filter(|geometry| geometry.is_small(depthwise)) {
                return geometry;
            }
        }
    }

    fn draw_any(draw: &mut Draw, depthwise: bool) -> Option<Self> {
        let (kernel, stride, pad, dilation) = match draw.between(0, 9) {
            // What networks are made of.
            0..4 => ((3, 3), 1, 1, 1),
            4 => ((3, 3), 2, 1, 1),
            5 | 6 => ((1, 1), 1, 0, 1),
            // What they could be.
            7 => ((draw.between(1, 8), draw.between(1, 8)), 1, draw.between(0, 2), 1),
            _ => {
                let kernel = (draw.between(1, 5), draw.between(1, 5));
                (kernel, draw.between(1, 3), draw.between(0, 4), draw.between(1, 3))
            }
        };
        let (rows, columns) = if draw.one_in(3) { (6, 40) } else { (12, 16) };
        let channels = if kernel == (1, 1) && draw.one_in(3) { 300 } else { 72 };
        let input = draw.shape(rows, columns, channels);
        let channels = if depthwise { input.c } else { draw.channels(72) };
        let extent = |input, kernel| conv_extent(input, kernel, stride, pad, dilation);
        let output = Shape::new(extent(input.h, kernel.0)?, extent(input.w, kernel.1)?, channels);
        Some(Self { input, output, kernel, stride, pad, dilation })
    }

    /// Products summed for one output.
    fn terms(&self, depthwise: bool) -> usize {
        self.kernel.0 * self.kernel.1 * if depthwise { 1 } else { self.input.c }
    }

    fn is_small(&self, depthwise: bool) -> bool {
        let terms = self.terms(depthwise);
        terms * self.output.len() <= MAX_PRODUCTS
            && terms * self.output.c <= MAX_WEIGHTS
            && self.input.len() + self.output.len() <= MAX_ELEMENTS
    }

    /// The record of it, with all of its rows or a band of them.
    fn record<'a>(&self, draw: &mut Draw, layout: Layout, weights: &'a [i8], params: &'a [u8]) -> Option<Conv2d<'a>> {
        let &Self { input, output, kernel, stride, pad, dilation } = self;
        let rows = if draw.one_in(2) {
            (0, output.h)
        } else {
            let first = draw.between(0, output.h);
            (first, draw.between(first, output.h))
        };
        Some(Conv2d {
            input,
            output,
            rows,
            kernel,
            stride,
            pad,
            dilation,
            in_zero: draw.zero(),
            out_zero: draw.zero(),
            clamp: draw.clamp(),
            weights,
            layout,
            params: ChannelParams::new(params)?,
        })
    }
}

/// `op` without what is too long to print.
fn brief<'a>(op: &Conv2d<'_>) -> Option<Conv2d<'a>> {
    let Conv2d { input, output, rows, kernel, stride, pad, dilation, in_zero, out_zero, clamp, layout, .. } = *op;
    let params = ChannelParams::new(NO_PARAMS)?;
    Some(Conv2d {
        input,
        output,
        rows,
        kernel,
        stride,
        pad,
        dilation,
        in_zero,
        out_zero,
        clamp,
        weights: &[],
        layout,
        params,
    })
}

/// Weights drawn and packed for a layout.
fn packed<'c>(
    stand: &mut TestBench<'c, '_>,
    draw: &mut Draw,
    layout: Layout,
    filters: Filters,
) -> Result<&'c [i8], Fault> {
    let weights = stand.tensor(draw, filters.weights())?;
    let packing = layout.packing();
    let packed: &mut [u8] = stand.take(draw, packing.bytes(filters))?;
    packing.pack(weights, filters, packed).ok_or(Fault::Draw)?;
    if draw.one_in(16) {
        litter(draw, packing, filters, packed);
    }
    Ok(bytemuck::cast_slice(packed))
}

/// Puts something where rows and groups are filled up: no weights, so no set may count it in.
fn litter(draw: &mut Draw, packing: Packing, filters: Filters, packed: &mut [u8]) {
    for filter in 0..filters.count.next_multiple_of(packing.filters) {
        for row in 0..filters.rows {
            let beyond = if filter < filters.count { filters.row_len } else { 0 };
            for k in beyond..packing.row_len(filters) {
                if let Some(place) = packed.get_mut(packing.place(filters, filter, row, k)) {
                    *place = draw.byte() as u8;
                }
            }
        }
    }
}

fn params<'c>(
    stand: &mut TestBench<'c, '_>,
    draw: &mut Draw,
    channels: usize,
    terms: usize,
) -> Result<&'c [u8], Fault> {
    let params = stand.take(draw, channels * Channel::BYTES)?;
    draw.params(params, terms);
    Ok(params)
}

pub(super) fn conv2d(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let geometry = Geometry::draw(draw, false);
    let layout = draw.layout();
    let Geometry { input, output, kernel, .. } = geometry;
    let filters = Filters { count: output.c, rows: kernel.0, row_len: kernel.1 * input.c };
    let weights = packed(&mut stand, draw, layout, filters)?;
    let params = params(&mut stand, draw, output.c, geometry.terms(false))?;
    let op = geometry.record(draw, layout, weights, params).filter(Conv2d::is_valid).ok_or(Fault::Draw)?;
    let input = stand.tensor(draw, input.len())?;
    let out = Output { len: (op.rows.1 - op.rows.0) * output.w * output.c, start: None };
    let scratch = |kernels: &dyn Kernels| kernels.conv_scratch_bytes(&op);
    stand.compare_with(draw, &brief(&op), out, scratch, |kernels, out, scratch| {
        kernels.conv2d(&op, input, out, scratch);
    })
}

pub(super) fn depthwise(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let geometry = Geometry::draw(draw, true);
    let Geometry { input, output, kernel, .. } = geometry;
    let weights = stand.tensor(draw, kernel.0 * kernel.1 * input.c)?;
    let params = params(&mut stand, draw, output.c, geometry.terms(true))?;
    let layout = draw.layout();
    let op = geometry.record(draw, layout, weights, params).filter(Conv2d::is_valid_depthwise).ok_or(Fault::Draw)?;
    let input = stand.tensor(draw, input.len())?;
    let out = Output { len: (op.rows.1 - op.rows.0) * output.w * output.c, start: None };
    let scratch = |kernels: &dyn Kernels| kernels.depthwise_scratch_bytes(&op);
    stand.compare_with(draw, &brief(&op), out, scratch, |kernels, out, scratch| {
        kernels.depthwise(&op, input, out, scratch);
    })
}

pub(super) fn conv_transpose2x2(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let (input, channels) = loop {
        let (input, channels) = (draw.shape(6, 20, 72), draw.channels(40));
        let (weights, outputs) = (4 * channels * input.c, 4 * input.h * input.w * channels);
        if weights <= MAX_WEIGHTS && outputs * input.c <= MAX_PRODUCTS && input.len() + outputs <= MAX_ELEMENTS {
            break (input, channels);
        }
    };
    let layout = draw.layout();
    let filters = Filters { count: 4 * channels, rows: 1, row_len: input.c };
    let weights = packed(&mut stand, draw, layout, filters)?;
    let params = ChannelParams::new(params(&mut stand, draw, channels, input.c)?).ok_or(Fault::Draw)?;
    let (in_zero, out_zero, clamp) = (draw.zero(), draw.zero(), draw.clamp());
    let op = ConvTranspose2x2 { input, in_zero, out_zero, clamp, weights, layout, params };
    if !op.is_valid() {
        return Err(Fault::Draw);
    }
    let none = ChannelParams::new(NO_PARAMS).ok_or(Fault::Draw)?;
    let brief = (ConvTranspose2x2 { weights: &[], params: none, ..op }, op.output());
    let data = stand.tensor(draw, input.len())?;
    let out = Output { len: op.output().len(), start: None };
    let scratch = |kernels: &dyn Kernels| kernels.conv_transpose_scratch_bytes(&op);
    stand.compare_with(draw, &brief, out, scratch, |kernels, out, scratch| {
        kernels.conv_transpose2x2(&op, data, out, scratch);
    })
}
