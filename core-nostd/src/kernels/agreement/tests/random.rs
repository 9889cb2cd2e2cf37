//! Random operators on random data.

use super::*;

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
            layout: Layout::Portable, rows: (0, output.h), params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid());
        let input = source.tensor(op.input.len(), x);
        against_reference(output.len(), |kernels, out| {
            let mut scratch = scratch(kernels.conv_scratch_bytes(&op));
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
            layout: Layout::Portable, rows: (0, output.h), params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid_depthwise());
        let input = source.tensor(op.input.len(), x);
        against_reference(output.len(), |kernels, out| {
            let mut scratch = scratch(kernels.depthwise_scratch_bytes(&op));
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
            clamp: (-128, 127), weights: &weights, layout: Layout::Portable, rows: (0, 1), params: ChannelParams::new(&params).unwrap(),
        };
        let input = source.tensor(op.input.len(), x);
        against_reference(op.output.len(), |kernels, out| {
            let mut scratch = scratch(kernels.conv_scratch_bytes(&op));
            kernels.conv2d(&op, &input, out, bytemuck::cast_slice_mut(&mut scratch));
        });
    }

    #[test]
    fn transposed_convolutions_agree(
        input in shape(9, 40), out_channels in 1..=19usize, seed: u64, x in values(), w in values(),
        in_zero in zero_point(), out_zero in zero_point(), clamp in clamp(),
    ) {
        let mut source = Source(seed);
        let weights = source.tensor(4 * input.c * out_channels, w);
        let params = source.params(out_channels, input.c);
        let op = ConvTranspose2x2 {
            input, in_zero, out_zero, clamp, weights: &weights, layout: Layout::Portable, params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid());
        let data = source.tensor(input.len(), x);
        against_reference(op.output().len(), |kernels, out| {
            let mut scratch = scratch(kernels.conv_transpose_scratch_bytes(&op));
            kernels.conv_transpose2x2(&op, &data, out, bytemuck::cast_slice_mut(&mut scratch));
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
        let mut expected = vec![UNTOUCHED; len];
        Reference.add(&op, &a, &b, &mut expected);
        let instead_of = |of: &[i8], run: &dyn Fn(&dyn Kernels, &mut [i8])| {
            against(&expected, |kernels, out| {
                out.copy_from_slice(of);
                run(kernels, out);
            });
        };
        instead_of(&a, &|kernels, values| kernels.add_in_place(&op, None, Some(&b), values));
        instead_of(&b, &|kernels, values| kernels.add_in_place(&op, Some(&a), None, values));
        Reference.add(&op, &a, &a, &mut expected);
        against(&expected, |kernels, values| {
            values.copy_from_slice(&a);
            kernels.add_in_place(&op, None, None, values);
        });
    }

    #[test]
    fn concatenations_agree(
        a in shape(9, 40), b_channels in 1..=40usize, zeros in (zero_point(), zero_point(), zero_point()),
        scales in (requant(), requant()), clamp in clamp(), seed: u64, x in values(), y in values(),
    ) {
        let b = Shape { c: b_channels, ..a };
        let op = Concat {
            a: ConcatInput { shape: a, zero: zeros.0, requant: scales.0 },
            b: ConcatInput { shape: b, zero: zeros.1, requant: scales.1 },
            out_zero: zeros.2, clamp,
        };
        prop_assert!(op.is_valid());
        let mut source = Source(seed);
        let (a, b) = (source.tensor(a.len(), x), source.tensor(b.len(), y));
        against_reference(op.output().len(), |kernels, out| kernels.concat(&op, &a, &b, out));
    }

    #[test]
    fn interpolations_agree(
        input in shape(9, 24), corners in corners(), in_zero in zero_point(), gain in 0.01..8.0f64,
        out_zero in zero_point(), clamp in clamp(), seed: u64, x in values(),
    ) {
        let requant = Requant::from_real(gain / corners.total_weight(input) as f64).unwrap();
        let op = Upsample2x { input, corners, in_zero, requant, out_zero, clamp };
        prop_assert!(op.is_valid());
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
        let (mut gamma, beta) = (factors(gain), factors(60.0));
        // One channel beyond all bounds: the cast to an integer saturates, and so must the sum with the zero point.
        gamma[..4].copy_from_slice(&1e12f32.to_le_bytes());
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
        let mut expected = vec![UNTOUCHED; len];
        Reference.table(&op, &data, &mut expected);
        against(&expected, |kernels, values| {
            values.copy_from_slice(&data);
            kernels.table_in_place(&op, values);
        });
    }

    #[test]
    fn shifts_agree(
        shape in shape(9, 40), axis in prop_oneof![Just(Axis::X), Just(Axis::Y)], zero: i8, seed: u64,
    ) {
        let op = Shift { shape, axis, zero };
        let data = Source(seed).tensor(shape.len(), Values::Any);
        against_reference(shape.len(), |kernels, out| kernels.shift(&op, &data, out));
    }

    #[test]
    fn images_agree(
        width in 1..=40usize, rows in 0..=5usize, more in 0..=9usize, size in -60..60i32, gain in 0.0..300.0f32, seed: u64,
    ) {
        let mut source = Source(seed);
        let mut draw = |len: usize, power: i32| -> Vec<Complex32> {
            let mut float = || (source.next() as i32 as f32) * libm::exp2f((power - 31) as f32);
            (0..len).map(|_| Complex32::new(float(), float())).collect()
        };
        let image = draw(width * rows + more, size);
        let (profile, ramp) = (draw(rows, size), draw(width, 0));
        let grown = |kernels: &dyn Kernels| {
            let mut image = image.clone();
            kernels.accumulate(&mut image, &profile, &ramp);
            image
        };
        let paired = draw(image.len(), size);
        let filled = |kernels: &dyn Kernels, weight| {
            let mut out = vec![Complex32::new(0.5, 0.5); image.len() + 1];
            kernels.homodyne(&image, &paired, weight, &mut out);
            out
        };
        for (name, set) in sets() {
            prop_assert_eq!(grown(&*set), grown(&Reference), "{}", name);
            for weight in [1.0, 0.5, gain / 300.0] {
                prop_assert_eq!(filled(&*set, weight), filled(&Reference, weight), "{} {}", name, weight);
            }
            let energies = (set.energy(&image, width).to_bits(), Reference.energy(&image, width).to_bits());
            prop_assert_eq!(energies.0, energies.1, "{}", name);
        }
        let gain = gain * libm::exp2f(-size as f32);
        against_reference(image.len(), |kernels, out| kernels.quantise(&image, gain, out));
        against_reference(image.len() + 1, |kernels, out| kernels.quantise(&image, -gain, out));
    }

    #[test]
    fn classes_agree(pixels in 0..=70usize, more in 0..=3usize, classes in 0..=9usize, seed: u64, x in values()) {
        let logits = Source(seed).tensor(pixels * classes + more, x);
        let run = |kernels: &dyn Kernels| {
            let mut out = vec![0x55; pixels + 1];
            kernels.classify(&logits, classes, &mut out);
            out
        };
        for (name, set) in sets() {
            prop_assert_eq!(run(&*set), run(&Reference), "{}", name);
        }
    }

    #[test]
    fn convolutions_of_whole_blocks_agree(
        size in (1..=12usize, 1..=40usize), channels in (1..=20usize, 1..=20usize), fives in (any::<bool>(), any::<bool>()),
        kernel in prop_oneof![Just(1usize), Just(3)], stride in 1..=2usize, seed: u64, x in values(), w in values(),
        in_zero in zero_point(), out_zero in zero_point(), clamp in clamp(),
    ) {
        // Up to 80 channels, in steps of 4 or 5.
        let step = |five| if five { 5 } else { 4 };
        let input = Shape::new(size.0, size.1, channels.0 * step(fives.0));
        let out_channels = channels.1 * step(fives.1);
        let pad = kernel / 2;
        let extent = |n| conv_extent(n, kernel, stride, pad, 1).unwrap();
        let output = Shape::new(extent(input.h), extent(input.w), out_channels);
        let terms = kernel * kernel * input.c;
        let mut source = Source(seed);
        let weights = source.tensor(terms * out_channels, w);
        let params = source.params(out_channels, terms);
        let op = Conv2d {
            input, output, kernel: (kernel, kernel), stride, pad, dilation: 1, in_zero, out_zero, clamp,
            weights: &weights, layout: Layout::Portable, rows: (0, output.h), params: ChannelParams::new(&params).unwrap(),
        };
        prop_assert!(op.is_valid());
        let data = source.tensor(input.len(), x);
        against_reference(output.len(), |kernels, out| {
            let mut scratch = scratch(kernels.conv_scratch_bytes(&op));
            kernels.conv2d(&op, &data, out, bytemuck::cast_slice_mut(&mut scratch));
        });
    }
}
