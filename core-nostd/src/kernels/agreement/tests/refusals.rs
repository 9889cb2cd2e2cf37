//! Records and slices that no kernel takes: the output stays as it was.

use super::*;

proptest! {
    #![proptest_config(config())]

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
            layout: Layout::Portable, rows: (0, b.h), params: ChannelParams::new(&params).unwrap(),
        };
        let mut scratch = scratch(lens.4);
        let scratch: &mut [u8] = bytemuck::cast_slice_mut(&mut scratch);
        let scratch = std::cell::RefCell::new(scratch);
        for (name, set) in sets() {
            let wanted = (set.conv_scratch_bytes(&op), set.depthwise_scratch_bytes(&op));
            prop_assert!(wanted.0 >= conv_scratch_bytes(op.kernel, op.input.c), "{name}");
            prop_assert!(wanted.1 >= depthwise_scratch_bytes(op.kernel, op.input.c), "{name}");
        }
        against_reference(lens.1, |kernels, out| kernels.conv2d(&op, &input, out, &mut scratch.borrow_mut()));
        against_reference(lens.1, |kernels, out| kernels.depthwise(&op, &input, out, &mut scratch.borrow_mut()));
        let op = ConvTranspose2x2 {
            input: a, in_zero: zeros.0, out_zero: zeros.1, clamp, weights: &weights,
            layout: Layout::Portable, params: ChannelParams::new(&params).unwrap(),
        };
        for (name, set) in sets() {
            prop_assert!(set.conv_transpose_scratch_bytes(&op) >= conv_transpose_scratch_bytes(a.c), "{name}");
        }
        against_reference(lens.1, |kernels, out| {
            kernels.conv_transpose2x2(&op, &input, out, &mut scratch.borrow_mut());
        });
        let op = MaxPool { input: a, kernel: dims[6], stride: dims[8], clamp };
        against_reference(lens.1, |kernels, out| kernels.max_pool(&op, &input, out));
        let op = Add {
            len: dims[6], a_zero: zeros.0, a: requant, b_zero: zeros.1, b: requant,
            left_shift: seed as u32, out: requant, out_zero: zeros.1, clamp,
        };
        against_reference(lens.1, |kernels, out| kernels.add(&op, &input, &weights, out));
        let op = Concat {
            a: ConcatInput { shape: a, zero: zeros.0, requant },
            b: ConcatInput { shape: b, zero: zeros.1, requant },
            out_zero: zeros.1, clamp,
        };
        against_reference(lens.1, |kernels, out| kernels.concat(&op, &input, &weights, out));
        for corners in [Corners::HalfPixel, Corners::Aligned] {
            let op = Upsample2x { input: a, corners, in_zero: zeros.0, requant, out_zero: zeros.1, clamp };
            against_reference(lens.1, |kernels, out| kernels.upsample2x(&op, &input, out));
        }
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
        layout: Layout::Portable,
        rows: (0, 2),
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
fn scratch_of_an_absurd_size_is_a_number_all_the_same() {
    let params = Channel { bias: 0, requant: Requant { multiplier: 1 << 30, shift: 1 } }.to_bytes();
    let op = Conv2d { kernel: (2, 2), input: Shape::new(2, 2, usize::MAX), ..identity_conv(&[1], &params) };
    for (name, set) in sets() {
        assert!(set.conv_scratch_bytes(&op) >= conv_scratch_bytes(op.kernel, op.input.c), "{name}");
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
fn a_transposed_convolution_needs_its_scratch_too() {
    let params = Channel { bias: 0, requant: Requant::from_real(1.0).unwrap() }.to_bytes();
    let op = ConvTranspose2x2 {
        input: Shape::new(1, 1, 1),
        in_zero: 0,
        out_zero: 0,
        clamp: (-128, 127),
        weights: &[1, 2, 3, 4],
        layout: Layout::Portable,
        params: ChannelParams::new(&params).unwrap(),
    };
    let enough = conv_transpose_scratch_bytes(1);
    for (bytes, expected) in [(enough, [5, 10, 15, 20]), (enough - 16, [UNTOUCHED; 4])] {
        against_reference(4, |kernels, out| {
            let mut scratch = scratch(bytes);
            kernels.conv_transpose2x2(&op, &[5], out, bytemuck::cast_slice_mut(&mut scratch));
            assert_eq!(out, expected);
        });
    }
}

#[test]
fn tensors_of_two_sizes_are_not_joined() {
    let one = Requant::from_real(1.0).unwrap();
    let part = |h, w, c| ConcatInput { shape: Shape::new(h, w, c), zero: 0, requant: one };
    let join = |a, b| Concat { a, b, out_zero: 0, clamp: (-128, 127) };
    assert!(join(part(2, 3, 1), part(2, 3, 4)).is_valid());
    assert!(!join(part(2, 3, 1), part(3, 2, 1)).is_valid());
    assert!(!join(part(2, 3, 1024), part(2, 3, 1025)).is_valid());
    against_reference(12, |kernels, out| {
        kernels.concat(&join(part(2, 3, 1), part(3, 2, 1)), &[1; 6], &[2; 6], out);
        assert_eq!(out, [UNTOUCHED; 12]);
    });
}

#[test]
fn an_aligned_interpolation_whose_sums_could_overflow_is_refused() {
    let op = |h, w, corners| Upsample2x {
        input: Shape::new(h, w, 1),
        corners,
        in_zero: 0,
        requant: Requant { multiplier: 1 << 30, shift: -20 },
        out_zero: 0,
        clamp: (-128, 127),
    };
    // 255 * 2901^2 fits an i32, 255 * 2903^2 does not.
    assert!(op(1451, 1451, Corners::Aligned).is_valid());
    assert!(!op(1452, 1452, Corners::Aligned).is_valid());
    assert!(!op(8192, 8192, Corners::Aligned).is_valid());
    assert!(op(8192, 8192, Corners::HalfPixel).is_valid());
    assert!(op(1, 8192, Corners::Aligned).is_valid());
}
