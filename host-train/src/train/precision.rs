//! Mixed precision: forward and backward in a narrow type, weights and everything else in f32.
//!
//! A step makes a copy of the network in bf16 or f16, with running statistics of its own, and runs images through it. The
//! logits are widened before the loss, the gradients before the optimizer, which changes the weights in f32 (Micikevicius
//! et al., "Mixed precision training", ICLR 2018). In f16 small gradients would vanish: the loss is multiplied by a fixed
//! `loss_scale` and the gradients are divided by it; a step whose gradients are too large for f16 is left out.
//!
//! It is meant for GPUs, where it saves time and memory. On the CPU device, bf16 is another thing: tensors stay in f32, and only the
//! factors of products are rounded to bf16, which processors with AVX512-BF16 multiply twice as many of at a time; sums are in f32.
//! In f16 the CPU device saves nothing, and adds up in f16, which takes digits off the gradients.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::ops;

/// How much of a batch's statistics goes into the running ones: what PyTorch and burn have unless told otherwise, and all
/// segmenters here keep.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// The type that forward and backward calculate in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits with more digits and less range.
    F16,
}

impl Precision {
    /// The type that tensors on `device` are narrowed to; `None` where they stay in f32.
    pub fn narrow(self, device: &Device) -> Option<FloatDType> {
        match self {
            Self::F32 => None,
            Self::Bf16 if ops::is_cpu(device) => None,
            Self::Bf16 => Some(FloatDType::BF16),
            Self::F16 => Some(FloatDType::F16),
        }
    }

    /// What products of tensors in f32 on the CPU device are taken with.
    pub fn of_products(self) -> ops::Precision {
        match self {
            Self::Bf16 => ops::Precision::Bf16,
            Self::F32 | Self::F16 => ops::Precision::F32,
        }
    }

    /// Refuses a type that `device` cannot calculate in.
    pub fn check(self, device: &Device) -> Result<(), String> {
        match self.narrow(device) {
            Some(dtype) if !device.supports_dtype(dtype) => Err(format!(
                "this --device cannot calculate in {dtype:?}; set precision = \"f32\", or take another device"
            )),
            _ => Ok(()),
        }
    }
}

/// A copy of `network`, which is under training, in the type `dtype`, with parameters of the same ids.
///
/// The copy's running statistics are its own and begin at zero, for [`take_statistics`].
pub fn narrowed<M: Module>(network: &M, dtype: FloatDType) -> M {
    let mut statistics = Statistics(Vec::new());
    network.visit(&mut statistics);
    network.valid().map(&mut Narrow { dtype, statistics: statistics.0 }).train()
}

/// Moves the running statistics of `network` by what its narrow copy saw in `passes` forward passes.
///
/// Each pass adds a tenth of a batch's statistics to nine tenths of the running ones. Done in bf16, with eight binary
/// digits, that would soon stand still; so the copy, begun at zero, collects the new part alone.
pub fn take_statistics<M: Module>(network: M, narrow: &M, passes: usize) -> M {
    // Brings the statistics of the last pass in.
    narrow.valid();
    let mut seen = Seen(GradientsParams::new());
    narrow.visit(&mut seen);
    // Brings in what an earlier pass of the network itself has left.
    network.valid();
    network.map(&mut Take { seen: seen.0, keep: (1.0 - BATCH_NORM_MOMENTUM).powi(passes as i32) })
}

/// The values that no gradient changes: running statistics.
struct Statistics(Vec<ParamId>);

impl ModuleVisitor for Statistics {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            self.0.push(param.id);
        }
    }
}

struct Narrow {
    dtype: FloatDType,
    statistics: Vec<ParamId>,
}

impl ModuleMapper for Narrow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let is_statistic = self.statistics.contains(&param.id);
        let narrow = |value: Tensor<D>| value.cast(self.dtype);
        param.map(|value| narrow(if is_statistic { value.zeros_like() } else { value }))
    }
}

struct Seen(GradientsParams);

impl ModuleVisitor for Seen {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            self.0.register(param.id, param.val().inner());
        }
    }
}

struct Take {
    seen: GradientsParams,
    keep: f64,
}

impl ModuleMapper for Take {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.seen.remove::<D>(param.id) {
            Some(seen) => {
                let seen = Tensor::from_inner(seen.cast(FloatDType::F32));
                param.map(|value| value.mul_scalar(self.keep) + seen)
            }
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Arch, Segmenter, SegmenterSpec};
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// All values in the order of a visit, those that learn before the running statistics.
    fn values(network: &Segmenter) -> [Vec<f32>; 2] {
        struct Collect([Vec<f32>; 2], Vec<ParamId>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                assert_eq!(param.val().dtype(), burn::tensor::DType::F32);
                let values = param.val().into_data().try_into_vec::<f32>().unwrap();
                self.0[usize::from(self.1.contains(&param.id))].extend(values);
            }
        }
        let mut statistics = Statistics(Vec::new());
        network.visit(&mut statistics);
        let mut collect = Collect(Default::default(), statistics.0);
        network.valid().visit(&mut collect);
        collect.0
    }

    /// Weights of its own seed: that of burn is shared with tests that run at the same time.
    struct Draw(ChaCha8Rng);

    impl ModuleMapper for Draw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            // Scales and shifts of norms are 1 and 0 already; biases, which are less than a half, become 0.
            param.map(|value| if D == 1 { value.round() } else { random(value.dims(), &value.device(), &mut self.0) })
        }
    }

    /// As many values as `dims` says, with the variance that He et al. give weights.
    fn random<const D: usize>(dims: [usize; D], device: &Device, rng: &mut ChaCha8Rng) -> Tensor<D> {
        let count: usize = dims.iter().product();
        let bound = (6.0 * dims[0] as f32 / count as f32).sqrt();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-bound..bound)).collect();
        Tensor::from_data(TensorData::new(values, dims), device)
    }

    /// Length of the difference over the length of `b`.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-12)
    }

    fn logits_and_gradients(network: &Segmenter, images: Tensor<4>, dtype: FloatDType) -> (Vec<f32>, Vec<f32>) {
        let logits = network.forward(images.cast(dtype)).cast(FloatDType::F32);
        let wave = logits.clone().sin().sum();
        let mut gradients = GradientsParams::from_grads(wave.backward(), network);
        crate::train::gradients::widen(network, &mut gradients, 1.0);
        struct Collect(GradientsParams, Vec<f32>);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.1.extend(gradient.into_data().try_into_vec::<f32>().unwrap());
                }
            }
        }
        let mut collect = Collect(gradients, Vec::new());
        network.visit(&mut collect);
        (logits.inner().into_data().try_into_vec().unwrap(), collect.1)
    }

    #[test]
    fn narrow_types_give_every_network_nearly_the_same_logits_gradients_and_statistics() {
        let device = Device::flex().autodiff();
        let mut with_statistics = Vec::new();
        for arch in Arch::ALL {
            let mut draw = Draw(ChaCha8Rng::seed_from_u64(5));
            let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(arch, 4) };
            let network = Segmenter::new(&spec, &Device::flex()).map(&mut draw).train();
            let images = random([2, 1, 64, 64], &device, &mut draw.0).mul_scalar(20.0);
            // The same statistics twice, from a network of its own.
            let wide = network.valid().train();
            let (logits, gradients) = logits_and_gradients(&wide, images.clone(), FloatDType::F32);
            wide.forward(images.clone());
            let [weights, statistics] = values(&wide);
            // Gradients are farther apart: a unit near zero may be on its other side, and this device adds up f16 in f16.
            for (dtype, tolerance) in [(FloatDType::BF16, [0.08, 0.3, 0.004]), (FloatDType::F16, [0.02, 0.3, 0.001])] {
                let network = network.valid().train();
                let copy = narrowed(&network, dtype);
                let (narrow_logits, narrow_gradients) = logits_and_gradients(&copy, images.clone(), dtype);
                copy.forward(images.clone().cast(dtype));
                let network = take_statistics(network, &copy, 2);
                let [weights_after, narrow_statistics] = values(&network);
                assert_eq!(weights_after, weights, "{arch}");
                let distances = [
                    distance(&narrow_logits, &logits),
                    distance(&narrow_gradients, &gradients),
                    distance(&narrow_statistics, &statistics),
                ];
                assert!(distances.iter().zip(tolerance).all(|(d, t)| *d < t), "{arch} {dtype:?}: {distances:?}");
                assert!(distances[0] > 0.0, "{arch} {dtype:?} was not narrow");
            }
            with_statistics.extend((!statistics.is_empty()).then_some(arch));
        }
        assert!(with_statistics.contains(&Arch::UnextS) && !with_statistics.contains(&Arch::UnetPp));
    }

    #[test]
    fn statistics_are_taken_in_f32_and_without_loss() {
        use burn::nn::BatchNormConfig;
        let device = Device::flex().autodiff();
        let layer = BatchNormConfig::new(1).init(&device);
        let images = Tensor::<4>::from_data(TensorData::new(vec![99f32, 101.0], [2, 1, 1, 1]), &device);
        let mut taken = layer;
        // Within bf16's steps of half a unit at 100, the running mean would stop short of it.
        for _ in 0..200 {
            let copy = narrowed(&taken, FloatDType::BF16);
            copy.forward(images.clone().cast(FloatDType::BF16));
            taken = take_statistics(taken, &copy, 1);
        }
        let mean = taken.running_mean.value_sync().into_scalar::<f32>();
        assert!((mean - 100.0).abs() < 0.2, "{mean}");
    }

    #[test]
    fn flex_calculates_in_every_type() {
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            precision.check(&Device::flex()).unwrap();
        }
    }
}
