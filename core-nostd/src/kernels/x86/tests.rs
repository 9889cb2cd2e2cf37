//! What the random operators of `agreement` are too small for, what is this set's own, and each path once for Miri:
//! `RUSTFLAGS="-C target-feature=+avx2" cargo +nightly miri test -p kscout-core --lib x86::` runs the level AVX2; Miri does not
//! know all instructions of the others.

use std::vec;
use std::vec::Vec;

use super::{Detected, Level, X86};
use crate::Complex32;
use crate::kernels::{
    Add, Channel, ChannelParams, Conv2d, ConvTranspose2x2, Corners, Filters, ImageKernels, Int8Kernels, Kernels,
    Layout, MaxPool, Portable, Shape, Table, Upsample2x, conv_extent,
};
use crate::quant::Requant;

/// Bytes that look random (an LCG's upper ones).
fn bytes(len: usize, seed: u64) -> Vec<i8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8 as i8
        })
        .collect()
}

fn params(channels: usize) -> Vec<u8> {
    let channel = |c: usize| Channel {
        bias: c as i32 * 1000 - 20_000,
        requant: Requant { multiplier: (1 << 30) + (c as i32) * 12_345, shift: -8 - (c % 4) as i32 },
    };
    (0..channels).flat_map(|c| channel(c).to_bytes()).collect()
}

fn sets() -> impl Iterator<Item = X86> {
    Level::ALL.into_iter().filter_map(X86::with_level)
}

fn conv<'a>(
    input: Shape,
    channels: usize,
    (kernel, stride, pad): (usize, usize, usize),
    weights: &'a [i8],
    params: &'a [u8],
) -> Conv2d<'a> {
    let extent = |n| conv_extent(n, kernel, stride, pad, 1).unwrap();
    let output = Shape::new(extent(input.h), extent(input.w), channels);
    Conv2d {
        input,
        output,
        kernel: (kernel, kernel),
        stride,
        pad,
        dilation: 1,
        in_zero: -7,
        out_zero: 3,
        clamp: (-120, 125),
        weights,
        layout: Layout::Portable,
        rows: (0, output.h),
        params: ChannelParams::new(params).unwrap(),
    }
}

fn scratch(bytes: usize) -> Vec<u128> {
    vec![0; bytes.div_ceil(16)]
}

/// Each level's fast path of each operator, small enough for Miri.
#[test]
fn small_operators_agree() {
    let convolutions = [
        (Shape::new(3, 5, 5), 17, (3, 1, 1)),
        (Shape::new(4, 6, 8), 8, (3, 2, 1)),
        (Shape::new(2, 5, 4), 4, (1, 1, 0)),
        (Shape::new(3, 3, 1), 33, (2, 1, 2)),
    ];
    let mut memory = scratch(1 << 17);
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    for (input, channels, geometry) in convolutions {
        let weights = bytes(geometry.0 * geometry.0 * input.c * channels, 1);
        let params = params(channels);
        let op = conv(input, channels, geometry, &weights, &params);
        let data = bytes(input.len(), 2);
        agree(op.output.len(), |set, out| {
            let bytes = set.conv_scratch_bytes(&op);
            set.conv2d(&op, &data, out, &mut memory[..bytes]);
        });
    }
    let (shape, params) = (Shape::new(3, 4, 16), params(16));
    let (weights, data) = (bytes(9 * 16, 3), bytes(shape.len(), 4));
    let op = conv(shape, 16, (3, 1, 1), &weights, &params);
    agree(op.output.len(), |set, out| {
        let bytes = set.depthwise_scratch_bytes(&op);
        set.depthwise(&op, &data, out, &mut memory[..bytes]);
    });
    let op = ConvTranspose2x2 {
        input: shape,
        in_zero: 9,
        out_zero: -2,
        clamp: (-128, 127),
        weights: &bytes(4 * 16 * 6, 5),
        layout: Layout::Portable,
        params: ChannelParams::new(&params[..6 * Channel::BYTES]).unwrap(),
    };
    agree(op.output().len(), |set, out| {
        let bytes = set.conv_transpose_scratch_bytes(&op);
        set.conv_transpose2x2(&op, &data, out, &mut memory[..bytes]);
    });
    for c in [8, 16] {
        let input = Shape::new(2, 4, c);
        let data = bytes(input.len(), 6);
        let op = MaxPool { input, kernel: 2, stride: 2, clamp: (-100, 100) };
        agree(2 * c, |set, out| set.max_pool(&op, &data, out));
        let requant = Requant { multiplier: 1_234_567_890, shift: -4 };
        let clamp = (-128, 127);
        let op = Upsample2x { input, corners: Corners::HalfPixel, in_zero: 3, requant, out_zero: 1, clamp };
        agree(4 * input.len(), |set, out| set.upsample2x(&op, &data, out));
    }
}

#[test]
fn small_images_agree() {
    let numbers = |len: usize, seed| -> Vec<Complex32> {
        let parts = bytes(2 * len, seed);
        parts.chunks_exact(2).map(|pair| Complex32::new(f32::from(pair[0]) + 0.1, f32::from(pair[1]) * 0.3)).collect()
    };
    let (image, profile, ramp) = (numbers(3 * 13, 1), numbers(3, 2), numbers(13, 3));
    let grown = |set: &dyn Kernels| {
        let mut image = image.clone();
        set.accumulate(&mut image, &profile, &ramp);
        image
    };
    let logits = bytes(4 * 19, 4);
    let classes = |set: &dyn Kernels| {
        let mut classes = [9; 19];
        set.classify(&logits, 4, &mut classes);
        classes
    };
    for set in sets() {
        assert_eq!(grown(&set), grown(&Portable));
        assert_eq!(set.energy(&image, 13).to_bits(), Portable.energy(&image, 13).to_bits());
        assert_eq!(classes(&set), classes(&Portable));
    }
}

/// Runs every level and the portable kernels on an output of `len` elements and compares.
fn agree(len: usize, mut run: impl FnMut(&dyn Kernels, &mut [i8])) {
    let mut expected = vec![0x55; len];
    run(&Portable, &mut expected);
    for set in sets() {
        let mut output = vec![0x55; len];
        run(&set, &mut output);
        assert_eq!(output, expected, "{}", set.level().name());
    }
}

#[test]
#[cfg_attr(miri, ignore = "too large")]
fn maps_larger_than_a_band_are_convolved_in_several() {
    let shapes = [
        (Shape::new(40, 40, 300), 33, (3, 1, 1)),
        (Shape::new(90, 70, 130), 8, (3, 2, 1)),
        (Shape::new(200, 150, 17), 4, (1, 1, 0)),
        (Shape::new(300, 300, 5), 16, (5, 3, 2)),
    ];
    for (input, channels, geometry) in shapes {
        let weights = bytes(geometry.0 * geometry.0 * input.c * channels, 1);
        let params = params(channels);
        let op = conv(input, channels, geometry, &weights, &params);
        let data = bytes(input.len(), 2);
        let mut expected = vec![0; op.output.len()];
        let mut memory = scratch(Portable.conv_scratch_bytes(&op));
        Portable.conv2d(&op, &data, &mut expected, bytemuck::cast_slice_mut(&mut memory));
        for set in sets() {
            let mut output = vec![0x55; op.output.len()];
            let mut memory = scratch(set.conv_scratch_bytes(&op));
            set.conv2d(&op, &data, &mut output, bytemuck::cast_slice_mut(&mut memory));
            assert!(output == expected, "{} {input:?}", set.level().name());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too large")]
fn so_are_depthwise_and_transposed_convolutions() {
    let input = Shape::new(60, 70, 128);
    let params = params(128);
    let weights = bytes(9 * 128, 3);
    let op = conv(input, 128, (3, 1, 1), &weights, &params);
    let data = bytes(input.len(), 4);
    let (mut expected, mut output) = (vec![0; op.output.len()], vec![0; op.output.len()]);
    let mut memory = scratch(1 << 20);
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    Portable.depthwise(&op, &data, &mut expected, memory);
    for set in sets() {
        output.fill(0x55);
        set.depthwise(&op, &data, &mut output, &mut memory[..set.depthwise_scratch_bytes(&op)]);
        assert!(output == expected, "{}", set.level().name());
    }
    let weights = bytes(4 * 128 * 20, 5);
    let op = ConvTranspose2x2 {
        input,
        in_zero: 9,
        out_zero: -2,
        clamp: (-128, 127),
        weights: &weights,
        layout: Layout::Portable,
        params: ChannelParams::new(&params[..20 * Channel::BYTES]).unwrap(),
    };
    let (mut expected, mut output) = (vec![0; op.output().len()], vec![0; op.output().len()]);
    Portable.conv_transpose2x2(&op, &data, &mut expected, memory);
    for set in sets() {
        output.fill(0x55);
        set.conv_transpose2x2(&op, &data, &mut output, &mut memory[..set.conv_transpose_scratch_bytes(&op)]);
        assert!(output == expected, "{}", set.level().name());
    }
}

#[test]
fn unpacked_weights_and_those_of_this_layout_are_read_here() {
    let filters = Filters { count: 16, rows: 3, row_len: 12 };
    let weights = vec![1; 16 * 36];
    let read = Layout::ALL.map(|layout| super::reads(layout, &weights, filters));
    assert_eq!(read, [true, true, false, true, false], "{:?}", Layout::ALL);
}

#[test]
fn scratch_stays_modest() {
    let (input, channels) = (Shape::new(256, 256, 128), 64);
    let weights = vec![0; 9 * 128 * channels];
    let params = params(channels);
    let op = conv(input, channels, (3, 1, 1), &weights, &params);
    for set in sets() {
        let all = set.conv_scratch_bytes(&op);
        assert!(all < 1 << 19, "{all}");
    }
}

#[test]
fn with_the_portable_scratch_alone_a_convolution_runs_all_the_same() {
    let input = Shape::new(9, 8, 4);
    let (weights, params) = (bytes(9 * 4 * 3, 6), params(3));
    let op = conv(input, 3, (3, 1, 1), &weights, &params);
    let data = bytes(input.len(), 7);
    let mut memory = scratch(Portable.conv_scratch_bytes(&op));
    let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let (mut expected, mut output) = (vec![0; op.output.len()], vec![0x55; op.output.len()]);
    Portable.conv2d(&op, &data, &mut expected, memory);
    for set in sets() {
        assert!(set.conv_scratch_bytes(&op) > memory.len());
        output.fill(0x55);
        set.conv2d(&op, &data, &mut output, memory);
        assert_eq!(output, expected, "{}", set.level().name());
    }
}

#[test]
fn sums_and_tables_take_the_place_of_their_inputs() {
    let scale = |shift| Requant { multiplier: 1_500_000_000, shift };
    let len = 203;
    let op = Add {
        len,
        a_zero: 5,
        a: scale(0),
        b_zero: -100,
        b: scale(-1),
        left_shift: 20,
        out: scale(-17),
        out_zero: 11,
        clamp: (-128, 120),
    };
    let (a, b) = (bytes(len, 8), bytes(len, 9));
    let table: [i8; 256] = bytes(256, 10).try_into().unwrap();
    let sum = |a: &[i8], b: &[i8]| {
        let mut sum = vec![0; len];
        Portable.add(&op, a, b, &mut sum);
        sum
    };
    for set in sets() {
        let mut values = a.clone();
        set.add_in_place(&op, None, Some(&b), &mut values);
        assert_eq!(values, sum(&a, &b));
        values.copy_from_slice(&b);
        set.add_in_place(&op, Some(&a), None, &mut values);
        assert_eq!(values, sum(&a, &b));
        values.copy_from_slice(&a);
        set.add_in_place(&op, None, None, &mut values);
        assert_eq!(values, sum(&a, &a));
        // Slices of another length change nothing.
        set.add_in_place(&op, Some(&a[1..]), None, &mut values);
        set.add_in_place(&op, None, None, &mut values[1..]);
        assert_eq!(values, sum(&a, &a));
        values.copy_from_slice(&a);
        set.table_in_place(&Table { table: &table }, &mut values);
        let looked_up: Vec<i8> = a.iter().map(|&q| table[(i32::from(q) + 128) as usize]).collect();
        assert_eq!(values, looked_up);
    }
}

#[test]
fn the_best_level_is_chosen_and_std_sees_the_same_features() {
    let best = Level::ALL.into_iter().rev().find(|&level| X86::with_level(level).is_some());
    assert_eq!(X86::detect().map(|set| set.level()), best);
    assert_eq!(Detected::default().name(), best.map_or("portable", Level::name));
    if cfg!(miri) {
        return;
    }
    let has = |level| X86::with_level(level).is_some();
    assert_eq!(has(Level::Avx2), std::is_x86_feature_detected!("avx2"));
    assert_eq!(has(Level::AvxVnni), std::is_x86_feature_detected!("avxvnni"));
    let avx512 = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512vnni");
    assert_eq!(has(Level::Avx512Vnni), avx512);
}
