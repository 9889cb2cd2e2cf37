//! Every kernel set against [`Reference`], to the bit, over random operators; and what each set does with records
//! and slices that do not fit. A new set joins by a line in [`against_reference`].

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{
    Add, Axis, Channel, ChannelParams, Conv2d, Kernels, LayerNorm, MaxPool, Portable, Reference, Shape, Shift, Table,
    Upsample2x, conv_extent, conv_scratch_bytes, depthwise_scratch_bytes,
};
use crate::quant::Requant;

/// What an output holds before a kernel runs: a kernel that writes nothing shows.
const UNTOUCHED: i8 = 0x55;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6b73_636f_7574),
        ..ProptestConfig::default()
    }
}

/// Runs every set on an output of `len` elements and compares.
fn against_reference(len: usize, run: impl Fn(&dyn Kernels, &mut [i8])) {
    let mut expected = vec![UNTOUCHED; len];
    run(&Reference, &mut expected);
    let mut ours = vec![UNTOUCHED; len];
    run(&Portable, &mut ours);
    assert_eq!(ours, expected, "portable");
}

/// How tensors and weights are drawn.
#[derive(Clone, Copy, Debug)]
enum Values {
    Any,
    /// Only the ends of the range, where products and sums are largest.
    Ends,
    Lowest,
    Highest,
}

fn values() -> impl Strategy<Value = Values> {
    prop_oneof![
        4 => Just(Values::Any),
        1 => Just(Values::Ends),
        1 => Just(Values::Lowest),
        1 => Just(Values::Highest),
    ]
}

/// Numbers for a test's data (splitmix64).
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tensor(&mut self, len: usize, values: Values) -> Vec<i8> {
        let draw = |bits: u64| match values {
            Values::Any => bits as i8,
            Values::Ends if bits & 1 == 0 => i8::MIN,
            Values::Ends | Values::Highest => i8::MAX,
            Values::Lowest => i8::MIN,
        };
        (0..len).map(|_| draw(self.next() >> 32)).collect()
    }

    /// A scale that brings sums of `terms` products near the range of i8, or one that saturates.
    fn requant(&mut self, terms: usize) -> Requant {
        let multiplier = (1 << 30) + (self.next() >> 34) as i32;
        let usual = -6 - (terms.max(1).ilog2() as i32) / 2;
        let shift = match self.next() % 8 {
            0 => usual + 6,
            1 => 3,
            2 => -31,
            _ => usual,
        };
        let multiplier = if self.next().is_multiple_of(8) { i32::MAX } else { multiplier };
        Requant { multiplier, shift }
    }

    fn params(&mut self, channels: usize, terms: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..channels {
            let bias = (self.next() >> 32) as i32 >> (8 + self.next() % 16);
            bytes.extend(Channel { bias, requant: self.requant(terms) }.to_bytes());
        }
        bytes
    }
}

fn zero_point() -> impl Strategy<Value = i32> {
    prop_oneof![3 => -128..=127i32, 1 => Just(-128), 1 => Just(127), 1 => Just(0)]
}

fn clamp() -> impl Strategy<Value = (i8, i8)> {
    let any = (any::<i8>(), any::<i8>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![2 => Just((-128, 127)), 1 => any]
}

prop_compose! {
    fn requant()(multiplier in (1i32 << 30)..=i32::MAX, shift in -31..=6i32) -> Requant {
        Requant { multiplier, shift }
    }
}

/// A shape whose channels often fill blocks of 8 and 16, and often do not.
fn shape(extent: usize, channels: usize) -> impl Strategy<Value = Shape> {
    let channels = prop_oneof![1..=channels, (1..=channels.div_ceil(8)).prop_map(|n| 8 * n)];
    (1..=extent, 1..=extent, channels).prop_map(|(h, w, c)| Shape::new(h, w, c))
}

/// Geometry of a convolution: input, output channels, kernel, stride, pad, dilation.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    input: Shape,
    out_channels: usize,
    kernel: (usize, usize),
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Geometry {
    fn output(&self, channels: usize) -> Option<Shape> {
        let extent = |input, kernel| conv_extent(input, kernel, self.stride, self.pad, self.dilation);
        let (h, w) = (extent(self.input.h, self.kernel.0)?, extent(self.input.w, self.kernel.1)?);
        Some(Shape::new(h, w, channels))
    }
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let kernel = (1..=5usize, 1..=5usize);
    (shape(9, 24), 1..=19usize, kernel, 1..=3usize, 0..=4usize, 1..=3usize)
        .prop_map(|(input, out_channels, kernel, stride, pad, dilation)| Geometry {
            input,
            out_channels,
            kernel,
            stride,
            pad,
            dilation,
        })
        .prop_filter("the window is larger than the input", |g| g.output(1).is_some())
}

/// Scratch that begins at an address which is a multiple of 16, as in an arena.
fn scratch(bytes: usize) -> Vec<u128> {
    vec![u128::MAX / 3; bytes.div_ceil(16)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn convolutions_agree(
        g in geometry(), seed: u64, x in values(), w in values(),
        in_zero in zero_point(), out_zero in zero_point(), clamp in clamp(),
    ) {
        let mut source = Source(seed);
        let terms = g.kernel.0 * g.kernel.1 * g.input.c;
        let weights = source.tensor(terms * g.out_channels, w);
        let params = source.params(g.out_channels, terms);
        let output = g.output(g.out_channels).unwrap();
        let op = Conv2d {
            input: g.input, output, kernel: g.kernel, stride: g.stride, pad: g.pad,
            dilation: g.dilation, in_zero, out_zero, clamp, weights: &weights,
            params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid());
        let input = source.tensor(op.input.len(), x);
        against_reference(output.len(), |kernels, out| {
            let mut scratch = scratch(conv_scratch_bytes(op.kernel, op.input.c));
            kernels.conv2d(&op, &input, out, bytemuck::cast_slice_mut(&mut scratch));
        });
    }

    #[test]
    fn depthwise_convolutions_agree(
        g in geometry(), seed: u64, x in values(), w in values(),
        in_zero in zero_point(), out_zero in zero_point(), clamp in clamp(),
    ) {
        let mut source = Source(seed);
        let taps = g.kernel.0 * g.kernel.1;
        let weights = source.tensor(taps * g.input.c, w);
        let params = source.params(g.input.c, taps);
        let output = g.output(g.input.c).unwrap();
        let op = Conv2d {
            input: g.input, output, kernel: g.kernel, stride: g.stride, pad: g.pad,
            dilation: g.dilation, in_zero, out_zero, clamp, weights: &weights,
            params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid_depthwise());
        let input = source.tensor(op.input.len(), x);
        against_reference(output.len(), |kernels, out| {
            let mut scratch = scratch(depthwise_scratch_bytes(op.kernel, op.input.c));
            kernels.depthwise(&op, &input, out, bytemuck::cast_slice_mut(&mut scratch));
        });
    }

    #[test]
    fn linear_layers_agree(
        tokens in 1..=9usize, inputs in 1..=300usize, outputs in 1..=40usize, seed: u64,
        x in values(), w in values(), in_zero in zero_point(), out_zero in zero_point(),
    ) {
        let mut source = Source(seed);
        let weights = source.tensor(inputs * outputs, w);
        let params = source.params(outputs, inputs);
        let op = Conv2d {
            input: Shape::new(1, tokens, inputs), output: Shape::new(1, tokens, outputs),
            kernel: (1, 1), stride: 1, pad: 0, dilation: 1, in_zero, out_zero,
            clamp: (-128, 127), weights: &weights, params: ChannelParams::new(&params).unwrap(),
        };
        let input = source.tensor(op.input.len(), x);
        against_reference(op.output.len(), |kernels, out| {
            let mut scratch = scratch(conv_scratch_bytes(op.kernel, op.input.c));
            kernels.conv2d(&op, &input, out, bytemuck::cast_slice_mut(&mut scratch));
        });
    }

    #[test]
    fn poolings_agree(
        input in shape(12, 40), kernel in 1..=4usize, stride in 1..=4usize, clamp in clamp(),
        seed: u64, x in values(),
    ) {
        let op = MaxPool { input, kernel, stride, clamp };
        prop_assume!(op.is_valid());
        let data = Source(seed).tensor(input.len(), x);
        against_reference(op.output().unwrap().len(), |kernels, out| kernels.max_pool(&op, &data, out));
    }

    #[test]
    fn sums_agree(
        len in 0..=300usize, zeros in (zero_point(), zero_point(), zero_point()),
        scales in (requant(), requant(), requant()), left_shift in 0..=22u32, clamp in clamp(),
        seed: u64, x in values(), y in values(),
    ) {
        let op = Add {
            len, a_zero: zeros.0, a: scales.0, b_zero: zeros.1, b: scales.1, left_shift,
            out: scales.2, out_zero: zeros.2, clamp,
        };
        let mut source = Source(seed);
        let (a, b) = (source.tensor(len, x), source.tensor(len, y));
        against_reference(len, |kernels, out| kernels.add(&op, &a, &b, out));
    }

    #[test]
    fn interpolations_agree(
        input in shape(9, 24), in_zero in zero_point(), requant in requant(),
        out_zero in zero_point(), clamp in clamp(), seed: u64, x in values(),
    ) {
        let op = Upsample2x { input, in_zero, requant, out_zero, clamp };
        let data = Source(seed).tensor(input.len(), x);
        against_reference(op.output().len(), |kernels, out| kernels.upsample2x(&op, &data, out));
    }

    #[test]
    fn layer_norms_agree(
        shape in shape(5, 200), eps in prop_oneof![Just(0.0f32), 1e-6..10.0f32], gain in 0.0..400.0f32,
        out_zero in zero_point(), clamp in clamp(), seed: u64, x in values(),
    ) {
        let mut source = Source(seed);
        let mut factors = |scale: f32| -> Vec<u8> {
            let unit = |bits: u64| (bits >> 40) as f32 / 8_388_608.0 - 1.0;
            (0..shape.c).flat_map(|_| (unit(source.next()) * scale).to_le_bytes()).collect()
        };
        let (gamma, beta) = (factors(gain), factors(60.0));
        let op = LayerNorm { shape, eps_q: eps, gamma: &gamma, beta: &beta, out_zero, clamp };
        let data = source.tensor(shape.len(), x);
        against_reference(shape.len(), |kernels, out| kernels.layer_norm(&op, &data, out));
    }

    #[test]
    fn tables_agree(len in 0..=300usize, seed: u64) {
        let mut source = Source(seed);
        let table: [i8; 256] = source.tensor(256, Values::Any).try_into().unwrap();
        let data = source.tensor(len, Values::Any);
        let op = Table { table: &table };
        against_reference(len, |kernels, out| kernels.table(&op, &data, out));
    }

    #[test]
    fn shifts_agree(
        shape in shape(9, 40), axis in prop_oneof![Just(Axis::X), Just(Axis::Y)], zero: i8, seed: u64,
    ) {
        let op = Shift { shape, axis, zero };
        let data = Source(seed).tensor(shape.len(), Values::Any);
        against_reference(shape.len(), |kernels, out| kernels.shift(&op, &data, out));
    }

    /// Records as a hostile blob may hold them: anything but a panic, and an output that does not depend on the
    /// kernel set.
    #[test]
    fn records_that_make_no_sense_are_refused_alike(
        dims in prop::collection::vec(prop_oneof![0..=4usize, Just(255), Just(1 << 20), Just(usize::MAX)], 12),
        zeros in (any::<i32>(), any::<i32>()), clamp in (any::<i8>(), any::<i8>()),
        lens in (0..=64usize, 0..=64usize, 0..=64usize, 0..=4usize, 0..=1024usize), seed: u64,
    ) {
        let mut source = Source(seed);
        let weights = source.tensor(lens.2, Values::Any);
        let params: Vec<u8> = (0..12 * lens.3).map(|_| source.next() as u8).collect();
        let input = source.tensor(lens.0, Values::Any);
        let (a, b) = (Shape::new(dims[0], dims[1], dims[2]), Shape::new(dims[3], dims[4], dims[5]));
        let requant = Requant { multiplier: source.next() as i32, shift: source.next() as i32 };
        let op = Conv2d {
            input: a, output: b, kernel: (dims[6], dims[7]), stride: dims[8], pad: dims[9],
            dilation: dims[10], in_zero: zeros.0, out_zero: zeros.1, clamp, weights: &weights,
            params: ChannelParams::new(&params).unwrap(),
        };
        let mut scratch = scratch(lens.4);
        let scratch: &mut [u8] = bytemuck::cast_slice_mut(&mut scratch);
        let scratch = std::cell::RefCell::new(scratch);
        against_reference(lens.1, |kernels, out| kernels.conv2d(&op, &input, out, &mut scratch.borrow_mut()));
        against_reference(lens.1, |kernels, out| kernels.depthwise(&op, &input, out, &mut scratch.borrow_mut()));
        let op = MaxPool { input: a, kernel: dims[6], stride: dims[8], clamp };
        against_reference(lens.1, |kernels, out| kernels.max_pool(&op, &input, out));
        let op = Add {
            len: dims[6], a_zero: zeros.0, a: requant, b_zero: zeros.1, b: requant,
            left_shift: seed as u32, out: requant, out_zero: zeros.1, clamp,
        };
        against_reference(lens.1, |kernels, out| kernels.add(&op, &input, &weights, out));
        let op = Upsample2x { input: a, in_zero: zeros.0, requant, out_zero: zeros.1, clamp };
        against_reference(lens.1, |kernels, out| kernels.upsample2x(&op, &input, out));
        let op = LayerNorm {
            shape: a, eps_q: f32::from_bits(seed as u32), gamma: &params, beta: &params,
            out_zero: zeros.1, clamp,
        };
        against_reference(lens.1, |kernels, out| kernels.layer_norm(&op, &input, out));
        let op = Shift { shape: a, axis: Axis::Y, zero: clamp.0 };
        against_reference(lens.1, |kernels, out| kernels.shift(&op, &input, out));
        let op = Table { table: &[7; 256] };
        against_reference(lens.1, |kernels, out| kernels.table(&op, &input, out));
    }
}

fn identity_conv<'a>(weights: &'a [i8], params: &'a [u8]) -> Conv2d<'a> {
    Conv2d {
        input: Shape::new(2, 2, 1),
        output: Shape::new(2, 2, 1),
        kernel: (1, 1),
        stride: 1,
        pad: 0,
        dilation: 1,
        in_zero: 0,
        out_zero: 0,
        clamp: (-128, 127),
        weights,
        params: ChannelParams::new(params).unwrap(),
    }
}

#[test]
fn a_short_scratch_leaves_the_output_as_it_was() {
    let params = Channel { bias: 0, requant: Requant { multiplier: 1 << 30, shift: 1 } }.to_bytes();
    let op = identity_conv(&[1], &params);
    let enough = conv_scratch_bytes(op.kernel, op.input.c);
    for (bytes, expected) in [(enough, [1, 2, 3, 4]), (enough - 16, [UNTOUCHED; 4])] {
        against_reference(4, |kernels, out| {
            let mut scratch = scratch(bytes);
            kernels.conv2d(&op, &[1, 2, 3, 4], out, bytemuck::cast_slice_mut(&mut scratch));
            assert_eq!(out, expected);
        });
    }
}

#[test]
fn a_factor_of_one_upsamples_a_row_to_quarters() {
    // 16 / 16: in steps of 16, so that quarters show.
    let op = Upsample2x {
        input: Shape::new(1, 3, 1),
        in_zero: 0,
        requant: Requant::from_real(1.0 / 16.0).unwrap(),
        out_zero: 0,
        clamp: (-128, 127),
    };
    against_reference(12, |kernels, out| {
        kernels.upsample2x(&op, &[0, 16, 64], out);
        assert_eq!(out, [0, 4, 12, 28, 52, 64, 0, 4, 12, 28, 52, 64]);
    });
}

#[test]
fn five_groups_of_channels_move_by_minus_two_to_two() {
    let op = Shift { shape: Shape::new(1, 3, 5), axis: Axis::X, zero: -1 };
    let input: Vec<i8> = (0..15).collect();
    against_reference(15, |kernels, out| {
        kernels.shift(&op, &input, out);
        // Position 0 holds channel 0 of position 2, channel 1 of position 1, channel 2 of itself.
        assert_eq!(out, [10, 6, 2, -1, -1, -1, 11, 7, 3, -1, -1, -1, 12, 8, 4]);
    });
}

#[test]
fn layer_norm_of_two_values_is_plus_and_minus_one() {
    let (gamma, beta) = ([10.0f32, 10.0].map(f32::to_le_bytes), [0.5f32, 0.5].map(f32::to_le_bytes));
    let op = LayerNorm {
        shape: Shape::new(1, 1, 2),
        eps_q: 0.0,
        gamma: gamma.as_flattened(),
        beta: beta.as_flattened(),
        out_zero: 3,
        clamp: (-128, 127),
    };
    against_reference(2, |kernels, out| {
        kernels.layer_norm(&op, &[20, 40], out);
        // -9.5 and 10.5 round away from zero, then the zero point is added.
        assert_eq!(out, [-10 + 3, 11 + 3]);
    });
}
