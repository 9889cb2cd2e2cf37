//! Small cases worked out by hand: they hold the reference too.

use super::*;

#[test]
fn a_factor_of_one_upsamples_a_row_to_quarters() {
    // 16 / 16: in steps of 16, so that quarters show.
    let op = Upsample2x {
        input: Shape::new(1, 3, 1),
        corners: Corners::HalfPixel,
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

fn aligned(input: Shape) -> Upsample2x {
    let requant = Requant::from_real(1.0 / Corners::Aligned.total_weight(input) as f64).unwrap();
    Upsample2x { input, corners: Corners::Aligned, in_zero: -3, requant, out_zero: -3, clamp: (-128, 127) }
}

#[test]
fn aligned_corners_spread_a_row_evenly() {
    // Six outputs over two steps of 50: 20 from each to the next.
    against_reference(12, |kernels, out| {
        kernels.upsample2x(&aligned(Shape::new(1, 3, 1)), &[0, 50, 100], out);
        assert_eq!(out, [0, 20, 40, 60, 80, 100, 0, 20, 40, 60, 80, 100]);
    });
    // Along both axes at once, from 2x2 to 4x4: thirds.
    against_reference(16, |kernels, out| {
        kernels.upsample2x(&aligned(Shape::new(2, 2, 1)), &[0, 30, 60, 90], out);
        assert_eq!(out, [0, 10, 20, 30, 20, 30, 40, 50, 40, 50, 60, 70, 60, 70, 80, 90]);
    });
}

#[test]
fn one_position_with_aligned_corners_is_repeated() {
    against_reference(12, |kernels, out| {
        kernels.upsample2x(&aligned(Shape::new(1, 1, 3)), &[-128, 5, 127], out);
        assert_eq!(out, [-128, 5, 127].repeat(4));
    });
}

#[test]
fn a_transposed_convolution_paints_one_window_a_position() {
    let params = [7, -1].map(|bias| Channel { bias, requant: Requant::from_real(1.0).unwrap() }.to_bytes());
    // Two inputs, two outputs: the first sums them with weights that tell the window's positions apart, the second takes
    // their difference in the lower right alone.
    let weights = [1, 1, 2, 2, 3, 3, 4, 4, 0, 0, 0, 0, 0, 0, 1, -1];
    let op = ConvTranspose2x2 {
        input: Shape::new(1, 2, 2),
        in_zero: 1,
        out_zero: 0,
        clamp: (-128, 100),
        weights: &weights,
        layout: Layout::Portable,
        params: ChannelParams::new(params.as_flattened()).unwrap(),
    };
    against_reference(16, |kernels, out| {
        let mut scratch = scratch(conv_transpose_scratch_bytes(2));
        kernels.conv_transpose2x2(&op, &[3, 4, 31, -9], out, bytemuck::cast_slice_mut(&mut scratch));
        // Sums, zero point taken off: 5 and 20; differences: -1 and 40.
        assert_eq!(out, [12, -1, 17, -1, 27, -1, 47, -1, 22, -1, 27, -2, 67, -1, 87, 39]);
    });
}

#[test]
fn a_concatenation_keeps_what_has_its_scale_and_rescales_the_rest() {
    let op = Concat {
        a: ConcatInput { shape: Shape::new(1, 2, 2), zero: 4, requant: Requant::from_real(1.0).unwrap() },
        b: ConcatInput { shape: Shape::new(1, 2, 1), zero: -8, requant: Requant::from_real(0.5).unwrap() },
        out_zero: 4,
        clamp: (-128, 60),
    };
    against_reference(6, |kernels, out| {
        kernels.concat(&op, &[-128, 0, 4, 61], &[-8, 93], out);
        // (93 + 8) / 2 rounds up to 51.
        assert_eq!(out, [-128, 0, 4, 4, 60, 55]);
    });
}

#[test]
fn a_factor_of_one_is_the_identity() {
    let one = Requant::from_real(1.0).unwrap();
    for value in i8::MIN..=i8::MAX {
        for zero in [-128, -5, 0, 127] {
            assert_eq!(one.apply(i32::from(value) - zero) + zero, i32::from(value));
        }
    }
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

#[test]
fn an_images_energy_is_summed_in_its_own_order() {
    // 2^12 squared is 2^24, where the next float is 2 away: a 1 is lost on it, two are not.
    let row = |values: &[(usize, f32)]| {
        let mut row = [Complex32::new(0.0, 0.0); 16];
        values.iter().for_each(|&(x, re)| row[x].re = re);
        row
    };
    let (large, one) = (4096.0, 1.0);
    let energy =
        |row: &[Complex32]| [&Reference as &dyn Kernels, &Portable].map(|kernels| kernels.energy(row, row.len()));
    // Columns 8 apart share a sum, and 1 + 1 before 2^24; columns 4 apart meet next.
    assert_eq!(energy(&row(&[(0, large), (1, one), (9, one)])), [16_777_218.0; 2]);
    assert_eq!(energy(&row(&[(0, large), (4, one), (8, one)])), [16_777_216.0; 2]);
    assert_eq!(energy(&row(&[(0, large), (2, one), (6, one)])), [16_777_218.0; 2]);
    assert_eq!(energy(&row(&[(0, large), (2, one), (4, one)])), [16_777_216.0; 2]);
}

#[test]
fn conjugate_symmetry_turns_a_pixel_and_counts_its_real_part_twice() {
    let number = Complex32::new;
    // The phase of 3 + 4i has size 5: the first pixel becomes 8 - i, the second 5; one without a phase stays.
    let image = [number(5.6, 5.8), number(3.0, 4.0), number(-2.0, 7.0)];
    let paired = [number(3.0, 4.0), number(3.0, 4.0), number(0.0, 0.0)];
    for kernels in [&Reference as &dyn Kernels, &Portable] {
        let filled = |weight| {
            let mut out = [number(9.0, 9.0); 4];
            kernels.homodyne(&image, &paired, weight, &mut out);
            out
        };
        for (weight, expected) in [(1.0, number(11.0, 0.0)), (0.5, number(9.5, -0.5))] {
            let [first, second, third, beyond] = filled(weight);
            assert!((first - expected).l1_norm() < 1e-5, "{first}");
            assert_eq!([second, third, beyond], [number(5.0, 0.0), image[2], number(9.0, 9.0)]);
        }
    }
}

#[test]
fn a_class_is_one_of_256() {
    let mut logits = [0; 2 * 300];
    (logits[255], logits[256]) = (5, 9);
    (logits[300 + 7], logits[300 + 299]) = (5, 9);
    for (name, kernels) in [("reference", Box::new(Reference) as Box<dyn Kernels>)].into_iter().chain(sets()) {
        let mut out = [9; 2];
        kernels.classify(&logits, 300, &mut out);
        assert_eq!(out, [255, 7], "{name}");
    }
}

#[test]
fn an_image_grows_by_the_real_part_first() {
    // (2^24 + 1) - 1 is 2^24 - 1, because 2^24 + 1 is no float; 2^24 + (1 - 1) would be 2^24.
    for kernels in [&Reference as &dyn Kernels, &Portable] {
        let mut image = [Complex32::new(16_777_216.0, 16_777_216.0)];
        kernels.accumulate(&mut image, &[Complex32::new(1.0, 1.0)], &[Complex32::new(1.0, 1.0)]);
        assert_eq!(image, [Complex32::new(16_777_215.0, 16_777_216.0)]);
    }
}
