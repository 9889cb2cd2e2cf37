//! Every operator against burn's own: the output and every gradient, on random shapes; against differences of itself; and with
//! one thread and three.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::tensor::module::{interpolate, max_pool2d};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// No parameters.
type Nothing = Vec<Linear>;

fn random(dims: [usize; 4], rng: &mut ChaCha8Rng) -> Tensor<4> {
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Tensor::from_data(TensorData::new(values, dims), &Device::flex().autodiff())
}

/// A layer with weights of the test's own seed, whatever it begins with.
fn redrawn<M: Module>(module: M, rng: &mut ChaCha8Rng) -> M {
    struct Draw<'a>(&'a mut ChaCha8Rng);
    impl burn::module::ModuleMapper for Draw<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| {
                let count = value.dims().iter().product();
                let values: Vec<f32> = (0..count).map(|_| self.0.random_range(-1.0f32..1.0)).collect();
                let drawn = Tensor::from_data(TensorData::new(values, value.dims()), &value.device());
                if value.is_require_grad() { drawn.require_grad() } else { drawn.square() + 0.5 }
            })
        }
    }
    module.map(&mut Draw(rng))
}

/// The output of `f`, and the gradients of `x` and of all parameters for a fixed random gradient of the output.
fn run<M: Module>(module: &M, x: &Tensor<4>, f: impl Fn(&M, Tensor<4>) -> Tensor<4>) -> [Vec<f32>; 3] {
    let x = x.clone().detach().require_grad();
    let y = f(module, x.clone());
    let weights = random(y.dims(), &mut ChaCha8Rng::seed_from_u64(99));
    let gradients = (y.clone() * weights).sum().backward();
    let of_x = x.grad(&gradients).expect("a gradient of the input").into_data();
    struct Collect(GradientsParams, Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1.extend(gradient.into_data().try_into_vec::<f32>().unwrap());
            }
        }
    }
    let mut collect = Collect(GradientsParams::from_grads(gradients, module), Vec::new());
    module.visit(&mut collect);
    [y.inner().into_data(), of_x]
        .map(|data| data.try_into_vec::<f32>().unwrap())
        .into_iter()
        .chain([collect.1])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

/// The largest distance of `a` and `b`, over the largest value.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.map(f32::abs).fold(0f32, f32::max);
    largest(&mut a.iter().zip(b).map(|(a, b)| a - b)) / largest(&mut b.iter().copied()).max(1e-3)
}

/// Ours and burn's agree in output and gradients.
fn assert_agree<M: Module>(
    what: &str,
    module: &M,
    x: &Tensor<4>,
    ours: impl Fn(&M, Tensor<4>) -> Tensor<4>,
    burns: impl Fn(&M, Tensor<4>) -> Tensor<4>,
) {
    assert!(runs_here(x), "{what} would compare burn with itself");
    let (ours, burns) = (run(module, x, ours), run(module, x, burns));
    for (part, (ours, burns)) in
        ["output", "input gradient", "parameters' gradients"].iter().zip(ours.iter().zip(&burns))
    {
        let apart = distance(ours, burns);
        assert!(apart < 1e-4, "{what} on {:?}: {part} apart by {apart}", x.dims());
    }
}

/// The gradient of the input is what a small change of it does.
fn assert_slope<M: Module>(what: &str, module: &M, x: &Tensor<4>, f: impl Fn(&M, Tensor<4>) -> Tensor<4>) {
    let [_, gradient, _] = run(module, x, &f);
    let along = random(x.dims(), &mut ChaCha8Rng::seed_from_u64(7));
    let step = 1e-2;
    let value = |by: f64| {
        let y = f(module, x.clone() + along.clone().mul_scalar(by));
        let weights = random(y.dims(), &mut ChaCha8Rng::seed_from_u64(99));
        f64::from((y * weights).sum().into_scalar::<f32>())
    };
    let measured = (value(step) - value(-step)) / (2.0 * step);
    let directions = along.inner().into_data().try_into_vec::<f32>().unwrap();
    let expected: f64 = gradient.iter().zip(&directions).map(|(g, d)| f64::from(g * d)).sum();
    let scale: f64 = gradient.iter().zip(&directions).map(|(g, d)| f64::from((g * d).powi(2))).sum::<f64>().sqrt();
    assert!((measured - expected).abs() < 0.05 * scale.max(0.1), "{what}: {measured}, expected {expected}");
}

fn conv(from: usize, to: usize, kernel: usize, stride: usize, bias: bool, groups: usize) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(bias)
        .with_groups(groups)
        .init(&Device::flex().autodiff())
}

/// Some shapes: batch, channels in and out, height, width.
fn shapes(rng: &mut ChaCha8Rng, count: usize) -> Vec<[usize; 5]> {
    let mut draw = |from: usize, to: usize| rng.random_range(from..=to);
    (0..count).map(|_| [draw(1, 3), draw(1, 20), draw(1, 20), draw(1, 21), draw(1, 37)]).collect()
}

#[test]
fn convolutions_are_those_of_burn() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (i, [batch, from, to, height, width]) in shapes(&mut rng, 24).into_iter().enumerate() {
        let (kernel, stride) = ([1, 3][i % 2], 1 + i / 2 % 2);
        let layer = redrawn(conv(from, to, kernel, stride, i % 3 > 0, 1), &mut rng);
        let x = random([batch, from, height, width], &mut rng);
        let what = format!("a {kernel}x{kernel} convolution to {to} channels with stride {stride}");
        assert_agree(&what, &layer, &x, conv2d, |layer, x| layer.forward(x));
    }
}

#[test]
fn depthwise_and_doubling_convolutions_are_those_of_burn() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for [batch, from, to, height, width] in shapes(&mut rng, 12) {
        let x = random([batch, from, height, width], &mut rng);
        let each = redrawn(conv(from, from, 3, 1, to % 2 == 0, from), &mut rng);
        assert_agree("depthwise", &each, &x, conv2d, |layer, x| layer.forward(x));
        let config = ConvTranspose2dConfig::new([from, to], [2, 2]).with_stride([2, 2]).with_bias(to % 3 > 0);
        let doubling = redrawn(config.init(&Device::flex().autodiff()), &mut rng);
        assert_agree("doubling", &doubling, &x, up_conv, |layer, x| layer.forward(x));
        let pixel = redrawn(LinearConfig::new(from, to).init(&Device::flex().autodiff()), &mut rng);
        assert_agree("linear", &pixel, &x, linear, |layer, x| values::per_pixel(x, |pixels| layer.forward(pixels)));
    }
}

#[test]
fn other_convolutions_are_left_to_burn() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let device = Device::flex().autodiff();
    let x = random([2, 4, 16, 16], &mut rng);
    let layers = [
        Conv2dConfig::new([4, 6], [4, 4]).with_stride([4, 4]),
        Conv2dConfig::new([4, 6], [3, 3]),
        Conv2dConfig::new([4, 6], [3, 3]).with_padding(PaddingConfig2d::Same).with_groups(2),
        Conv2dConfig::new([4, 6], [3, 3]).with_dilation([2, 2]),
    ];
    for config in layers {
        let layer = redrawn(config.init(&device), &mut rng);
        assert_agree("another convolution", &layer, &x, conv2d, |layer, x| layer.forward(x));
    }
}

#[test]
fn norms_are_those_of_burn() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let device = Device::flex().autodiff();
    for (i, [batch, channels, _, height, width]) in shapes(&mut rng, 12).into_iter().enumerate() {
        // One value has no spread: both sides are all rounding.
        let x = random([batch + 1, channels + 1, height, width], &mut rng);
        let layer = redrawn(BatchNormConfig::new(channels + 1).init(&device), &mut rng);
        let rectified = i % 2 == 0;
        let burns =
            |layer: &BatchNorm, x| if rectified { activation::relu(layer.forward(x)) } else { layer.forward(x) };
        assert_agree("batch norm", &layer, &x, |layer, x| batch_norm(layer, x, rectified), burns);
        let layer = redrawn(LayerNormConfig::new(channels + 1).init(&device), &mut rng);
        assert_agree("channel norm", &layer, &x, channel_norm, |layer, x| {
            values::per_pixel(x, |pixels| layer.forward(pixels))
        });
    }
}

#[test]
fn batch_norm_leaves_the_running_statistics_that_burns_leaves() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let device = Device::flex().autodiff();
    let x = random([3, 5, 7, 6], &mut rng).mul_scalar(3.0).add_scalar(10.0);
    let statistics = |f: &dyn Fn(&BatchNorm, Tensor<4>) -> Tensor<4>| {
        let layer = BatchNormConfig::new(5).init(&device);
        f(&layer, x.clone());
        f(&layer, x.clone().mul_scalar(2.0));
        let layer = layer.valid();
        let y = f(&layer, x.clone().inner());
        [layer.running_mean.value(), layer.running_var.value(), y.reshape([3 * 5 * 7 * 6])]
            .map(|values| values.into_data().try_into_vec::<f32>().unwrap())
    };
    let ours = statistics(&|layer, x| batch_norm(layer, x, false));
    let burns = statistics(&|layer, x| layer.forward(x));
    for (ours, burns) in ours.iter().zip(&burns) {
        assert!(distance(ours, burns) < 1e-5, "{ours:?}, expected {burns:?}");
    }
}

#[test]
fn halving_doubling_and_activations_are_those_of_burn() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let nothing = Nothing::new();
    for (i, [batch, channels, _, height, width]) in shapes(&mut rng, 12).into_iter().enumerate() {
        let x = random([batch, channels, height + 1, width + 1], &mut rng).mul_scalar(3.0);
        let halved = |_: &Nothing, x| max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
        assert_agree("halving", &nothing, &x, |_, x| pool2(x), halved);
        let (align_corners, rectified) = (i % 2 == 0, i % 4 < 2);
        let doubled = |_: &Nothing, x| {
            let options = InterpolateOptions::new(InterpolateMode::Bilinear)
                .with_align_corners(align_corners)
                .with_scale_factor([2.0, 2.0]);
            let y = interpolate(x, options);
            if rectified { activation::relu(y) } else { y }
        };
        assert_agree("doubling", &nothing, &x, |_, x| upsample2(x, align_corners, rectified), doubled);
        assert_agree("gelu", &nothing, &x, |_, x| gelu(x), |_, x| activation::gelu(x));
        assert_agree("relu", &nothing, &x, |_, x| relu(x), |_, x| activation::relu(x));
        let by: Vec<isize> = (0..channels as isize).map(|c| c / 2 % 5 - 2).collect();
        let axis = if i % 2 == 0 { Axis::Rows } else { Axis::Columns };
        assert_agree("shift", &nothing, &x, |_, x| shift(x, axis, by.clone()), |_, x| shift::of_burns(x, axis, &by));
    }
}

#[test]
fn gradients_are_the_slopes() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let device = Device::flex().autodiff();
    let x = random([2, 3, 6, 5], &mut rng);
    let nothing = Nothing::new();
    let conv_layer = redrawn(conv(3, 4, 3, 1, true, 1), &mut rng);
    assert_slope("convolution", &conv_layer, &x, conv2d);
    let halving = redrawn(conv(3, 4, 3, 2, true, 1), &mut rng);
    assert_slope("convolution of stride 2", &halving, &x, conv2d);
    let each = redrawn(conv(3, 3, 3, 1, true, 3), &mut rng);
    assert_slope("depthwise", &each, &x, conv2d);
    let doubling = redrawn(ConvTranspose2dConfig::new([3, 2], [2, 2]).with_stride([2, 2]).init(&device), &mut rng);
    assert_slope("doubling convolution", &doubling, &x, up_conv);
    let norm = redrawn(BatchNormConfig::new(3).init(&device), &mut rng);
    assert_slope("batch norm", &norm, &x, |layer, x| batch_norm(layer, x, false));
    let norm = redrawn(LayerNormConfig::new(3).init(&device), &mut rng);
    assert_slope("channel norm", &norm, &x, channel_norm);
    assert_slope("gelu", &nothing, &x, |_, x| gelu(x));
    assert_slope("bilinear", &nothing, &x, |_, x| upsample2(x, false, false));
    let truth = one_hot(x.dims(), &mut rng);
    assert_slope("loss", &nothing, &x, |_, x| {
        cross_entropy_dice(x, truth.clone(), Some(vec![1.0, 2.0, 0.5]), 0.7).reshape([1, 1, 1, 1])
    });
}

/// A class for each pixel.
fn one_hot([batch, classes, height, width]: [usize; 4], rng: &mut ChaCha8Rng) -> Tensor<4> {
    let plane = height * width;
    let mut values = vec![0f32; batch * classes * plane];
    for sample in values.chunks_exact_mut(classes * plane) {
        for pixel in 0..plane {
            sample[rng.random_range(0..classes) * plane + pixel] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(values, [batch, classes, height, width]), &Device::flex().autodiff())
}

#[test]
fn numbers_that_are_none_stay_so() {
    let device = Device::flex();
    let x = Tensor::<4>::from_data(TensorData::new(vec![f32::NAN, -1.0, 2.0, 3.0], [1, 1, 2, 2]), &device);
    let nan = |y: Tensor<4>| y.into_data().try_into_vec::<f32>().unwrap()[0].is_nan();
    assert!(nan(relu(x.clone())), "relu");
    assert!(nan(gelu(x.clone())), "gelu");
    assert!(nan(pool2(x.clone())), "halving");
    assert!(nan(upsample2(x.clone(), false, true)), "doubling");
    let norm = BatchNormConfig::new(1).init(&device);
    assert!(nan(batch_norm(&norm, x.clone(), true)), "batch norm");
    let truth = Tensor::<4>::ones([1, 1, 2, 2], &device);
    let two = |a: Tensor<4>| Tensor::cat(vec![a.clone(), a], 1);
    assert!(cross_entropy_dice(two(x), two(truth), None, 1.0).into_scalar::<f32>().is_nan(), "loss");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let device = Device::flex().autodiff();
    let x = random([5, 6, 33, 40], &mut rng);
    let layers = (
        redrawn(conv(6, 9, 3, 1, true, 1), &mut rng),
        redrawn(BatchNormConfig::new(9).init(&device), &mut rng),
        redrawn(conv(9, 9, 3, 1, true, 9), &mut rng),
        redrawn(LayerNormConfig::new(9).init(&device), &mut rng),
    );
    let truth = one_hot([5, 9, 32, 40], &mut rng);
    let pass = |precision| {
        run(&layers, &x, |(first, batch, each, channels), x| {
            with_precision(precision, || {
                let y = pool2(batch_norm(batch, conv2d(first, x), true));
                let y = channel_norm(channels, gelu(conv2d(each, upsample2(y, false, true))));
                y.clone() + cross_entropy_dice(y, truth.clone(), None, 1.0).reshape([1, 1, 1, 1])
            })
        })
    };
    for precision in [Precision::F32, Precision::Bf16] {
        let of =
            |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| pass(precision));
        let (one, three) = (of(1), of(3));
        let bits = |parts: [Vec<f32>; 3]| parts.map(|part| part.into_iter().map(f32::to_bits).collect::<Vec<u32>>());
        assert!(bits(one) == bits(three), "{precision:?}");
    }
}
