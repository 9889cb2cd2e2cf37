//! What a case needs to run: records, tensors in the caller's memory, and the checksum of the output.

use crate::Complex32;
use crate::arena::Carver;
use crate::kernels::{
    Add, Channel, ChannelParams, Concat, ConcatInput, Conv2d, ConvTranspose2x2, Corners, Filters, Kernels, LayerNorm,
    Layout, Shape, Upsample2x, conv_extent,
};
use crate::quant::Requant;

/// All of an output's range.
pub(super) const WHOLE: (i8, i8) = (i8::MIN, i8::MAX);

/// Zero points of inputs and outputs.
const IN_ZERO: i32 = -3;
const OUT_ZERO: i32 = 5;
/// Seven tenths.
const MULTIPLIER: i32 = 1_500_000_000;
/// All channels alike: a scale that keeps outputs within eight bits.
const CHANNEL: Channel = Channel { bias: 100, requant: Requant { multiplier: MULTIPLIER, shift: -10 } };

/// Memory for a case, the set it is for, and who measures it.
pub(super) struct TestBench<'c> {
    kernels: &'c dyn Kernels,
    layout: Layout,
    carver: Carver<'c>,
    measure: &'c mut dyn FnMut(&mut dyn FnMut()),
}

impl<'c> TestBench<'c> {
    pub fn new(
        kernels: &'c dyn Kernels,
        layout: Layout,
        memory: &'c mut [u8],
        measure: &'c mut dyn FnMut(&mut dyn FnMut()),
    ) -> Option<Self> {
        Some(Self { kernels, layout, carver: Carver::new(memory).ok()?, measure })
    }

    /// A tensor, weights or a table of arbitrary values.
    pub fn values(&mut self, len: usize) -> Option<&'c [i8]> {
        let values = self.carver.take(len).ok()?;
        let mut state = 1_u32;
        for value in values.iter_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 24) as i8;
        }
        Some(values)
    }

    /// Complex numbers of arbitrary values, up to 181 in magnitude.
    fn complex(&mut self, len: usize) -> Option<&'c mut [Complex32]> {
        let numbers = self.carver.take::<Complex32>(len).ok()?;
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from((state >> 24) as i8)
        };
        numbers.iter_mut().for_each(|number| *number = Complex32::new(next(), next()));
        Some(numbers)
    }

    pub fn image(&mut self, len: usize) -> Option<&'c [Complex32]> {
        Some(self.complex(len)?)
    }

    fn params(&mut self, channels: usize) -> Option<ChannelParams<'c>> {
        let records = self.carver.take::<u8>(channels * Channel::BYTES).ok()?;
        records.as_chunks_mut().0.iter_mut().for_each(|record| *record = CHANNEL.to_bytes());
        ChannelParams::new(records)
    }

    /// Weights in the layout that the case is run with.
    fn weights(&mut self, filters: Filters) -> Option<&'c [i8]> {
        let weights = self.values(filters.weights())?;
        let packing = self.layout.packing();
        if packing == Layout::Portable.packing() {
            return Some(weights);
        }
        let packed = self.carver.take::<u8>(packing.bytes(filters)).ok()?;
        packing.pack(weights, filters, packed)?;
        Some(bytemuck::cast_slice(packed))
    }

    /// Measures an operator of one input.
    pub fn map(&mut self, from: usize, to: usize, work: impl Fn(&[i8], &mut [i8])) -> Option<u32> {
        let input = self.values(from)?;
        self.make(to, |out| work(input, out))
    }

    /// Measures an operator of two inputs.
    fn join(&mut self, a: usize, b: usize, to: usize, work: impl Fn(&[i8], &[i8], &mut [i8])) -> Option<u32> {
        let (a, b) = (self.values(a)?, self.values(b)?);
        self.make(to, |out| work(a, b, out))
    }

    fn make(&mut self, len: usize, work: impl Fn(&mut [i8])) -> Option<u32> {
        let output = self.carver.take::<i8>(len).ok()?;
        output.fill(0);
        (self.measure)(&mut || work(output));
        Some(checksum(bytemuck::cast_slice(output)))
    }

    pub fn conv(&mut self, input: Shape, channels: usize, kernel: usize, stride: usize) -> Option<u32> {
        let filters = Filters { count: channels, rows: kernel, row_len: kernel * input.c };
        let weights = self.weights(filters)?;
        let op = self.record(input, channels, kernel, stride, weights)?;
        let (kernels, scratch) = (self.kernels, self.kernels.conv_scratch_bytes(&op));
        self.convolve(input.len(), op.output.len(), scratch, |from, to, scratch| {
            kernels.conv2d(&op, from, to, scratch);
        })
    }

    pub fn depthwise(&mut self, input: Shape) -> Option<u32> {
        let weights = self.values(9 * input.c)?;
        let op = self.record(input, input.c, 3, 1, weights)?;
        let (kernels, scratch) = (self.kernels, self.kernels.depthwise_scratch_bytes(&op));
        self.convolve(input.len(), op.output.len(), scratch, |from, to, scratch| {
            kernels.depthwise(&op, from, to, scratch);
        })
    }

    pub fn conv_transpose2x2(&mut self, input: Shape, channels: usize) -> Option<u32> {
        let weights = self.weights(Filters { count: 4 * channels, rows: 1, row_len: input.c })?;
        let op = ConvTranspose2x2 {
            input,
            in_zero: IN_ZERO,
            out_zero: OUT_ZERO,
            clamp: WHOLE,
            weights,
            layout: self.layout,
            params: self.params(channels)?,
        };
        let (kernels, scratch) = (self.kernels, self.kernels.conv_transpose_scratch_bytes(&op));
        self.convolve(input.len(), op.output().len(), scratch, |from, to, scratch| {
            kernels.conv_transpose2x2(&op, from, to, scratch);
        })
    }

    fn convolve(
        &mut self,
        from: usize,
        to: usize,
        scratch: usize,
        work: impl Fn(&[i8], &mut [i8], &mut [u8]),
    ) -> Option<u32> {
        let input = self.values(from)?;
        let output = self.carver.take::<i8>(to).ok()?;
        output.fill(0);
        let scratch = self.carver.take::<u8>(scratch).ok()?;
        (self.measure)(&mut || work(input, output, scratch));
        Some(checksum(bytemuck::cast_slice(output)))
    }

    /// A convolution padded to keep its extent at stride 1.
    fn record(
        &mut self,
        input: Shape,
        channels: usize,
        kernel: usize,
        stride: usize,
        weights: &'c [i8],
    ) -> Option<Conv2d<'c>> {
        let pad = kernel / 2;
        let extent = conv_extent(input.h, kernel, stride, pad, 1)?;
        Some(Conv2d {
            input,
            output: Shape::new(extent, extent, channels),
            kernel: (kernel, kernel),
            stride,
            pad,
            dilation: 1,
            in_zero: IN_ZERO,
            out_zero: OUT_ZERO,
            clamp: WHOLE,
            weights,
            layout: self.layout,
            rows: (0, extent),
            params: self.params(channels)?,
        })
    }

    pub fn upsample2x(&mut self, input: Shape, corners: Corners, relu: bool) -> Option<u32> {
        // Half of what goes in is lost to a ReLU, so that its output has the finer scale.
        let shift = match corners {
            Corners::HalfPixel if relu => -3,
            Corners::HalfPixel => -4,
            Corners::Aligned => -(corners.total_weight(input).ilog2() as i32),
        };
        let op = Upsample2x {
            input,
            corners,
            in_zero: IN_ZERO,
            requant: Requant { multiplier: MULTIPLIER, shift },
            out_zero: if relu { -128 } else { OUT_ZERO },
            clamp: WHOLE,
        };
        let kernels = self.kernels;
        self.map(input.len(), op.output().len(), |from, to| kernels.upsample2x(&op, from, to))
    }

    pub fn add(&mut self, len: usize) -> Option<u32> {
        let op = Add {
            len,
            a_zero: IN_ZERO,
            a: Requant { multiplier: 1 << 30, shift: 0 },
            b_zero: OUT_ZERO,
            b: Requant { multiplier: MULTIPLIER, shift: -1 },
            left_shift: 20,
            out: Requant { multiplier: MULTIPLIER, shift: -19 },
            out_zero: OUT_ZERO,
            clamp: WHOLE,
        };
        let kernels = self.kernels;
        self.join(len, len, len, |a, b, out| kernels.add(&op, a, b, out))
    }

    pub fn concat(&mut self, a: Shape, b: Shape) -> Option<u32> {
        let part = |shape| ConcatInput { shape, zero: IN_ZERO, requant: Requant { multiplier: MULTIPLIER, shift: 0 } };
        let op = Concat { a: part(a), b: part(b), out_zero: OUT_ZERO, clamp: WHOLE };
        let kernels = self.kernels;
        self.join(a.len(), b.len(), op.output().len(), |a, b, out| kernels.concat(&op, a, b, out))
    }

    pub fn layer_norm(&mut self, shape: Shape) -> Option<u32> {
        let (gamma, beta) = (self.floats(shape.c, 20.0)?, self.floats(shape.c, 1.5)?);
        let op = LayerNorm { shape, eps_q: 0.5, gamma, beta, out_zero: OUT_ZERO, clamp: WHOLE };
        let kernels = self.kernels;
        self.map(shape.len(), shape.len(), |from, to| kernels.layer_norm(&op, from, to))
    }

    /// So many times the same number, in little-endian order.
    fn floats(&mut self, count: usize, value: f32) -> Option<&'c [u8]> {
        let bytes = self.carver.take::<u8>(4 * count).ok()?;
        bytes.as_chunks_mut().0.iter_mut().for_each(|bytes| *bytes = value.to_le_bytes());
        Some(bytes)
    }

    pub fn accumulate(&mut self, side: usize) -> Option<u32> {
        let (image, profile, ramp) = (self.complex(side * side)?, self.image(side)?, self.image(side)?);
        let kernels = self.kernels;
        (self.measure)(&mut || kernels.accumulate(image, profile, ramp));
        Some(checksum(bytemuck::cast_slice(image)))
    }

    pub fn energy(&mut self, side: usize) -> Option<u32> {
        let image = self.image(side * side)?;
        let kernels = self.kernels;
        let mut energy = 0.0;
        (self.measure)(&mut || energy = kernels.energy(image, side));
        Some(checksum(&energy.to_le_bytes()))
    }

    pub fn homodyne(&mut self, len: usize) -> Option<u32> {
        let (image, paired, out) = (self.image(len)?, self.image(len)?, self.complex(len)?);
        let kernels = self.kernels;
        (self.measure)(&mut || kernels.homodyne(image, paired, 0.5, out));
        Some(checksum(bytemuck::cast_slice(out)))
    }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, &byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
