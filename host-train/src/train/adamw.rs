//! AdamW in one pass over memory on the CPU device, with the state that burn's keeps, so that either goes on where the other
//! stopped.

use burn::optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor, TensorData};

use crate::ops::kernels::adamw::{self, AdamW as Numbers};
use crate::ops::runs_here;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;

/// Loshchilov and Hutter, ICLR 2019.
#[derive(Clone)]
pub(super) struct AdamW {
    burns: burn::optim::AdamW,
    weight_decay: f32,
    epsilon: f32,
}

impl AdamW {
    pub(super) fn new(weight_decay: f32, epsilon: f32) -> Self {
        let config = AdamWConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2);
        let burns = config.with_weight_decay(weight_decay).with_epsilon(epsilon).build();
        Self { burns, weight_decay, epsilon }
    }
}

/// The values of a tensor, without a copy where nobody else holds them.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("a tensor of f32")
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let state = state.map(|state| state.momentum);
        if !runs_here(&tensor) || !runs_here(&gradient) || state.as_ref().is_some_and(|s| s.max_moment_2.is_some()) {
            return self.burns.step(rate, tensor, gradient, state.map(AdamWState::new));
        }
        let (device, dims) = (tensor.device(), tensor.dims());
        let (mut p, g) = (values(tensor), values(gradient));
        let (time, mut m, mut v) = match state {
            Some(state) => (state.time + 1, values(state.moment_1), values(state.moment_2)),
            None => (1, vec![0.0; p.len()], vec![0.0; p.len()]),
        };
        let (epsilon, weight_decay) = (self.epsilon, self.weight_decay);
        let numbers = Numbers { beta_1: BETA_1, beta_2: BETA_2, epsilon, weight_decay, rate };
        adamw::step(&numbers, time as i32, &mut p, &g, &mut m, &mut v);
        let [p, m, v] = [p, m, v].map(|values| Tensor::<D>::from_data(TensorData::new(values, dims), &device));
        (p, Some(AdamWState::new(AdaptiveMomentumState::new(time, m, v))))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <burn::optim::AdamW as Optimizer>::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, ModuleOptimizer};

    /// The weights after some steps, the optimizer's state having gone through `change` after three of them.
    fn steps(mut optimizer: ModuleOptimizer, change: impl Fn(ModuleOptimizer) -> ModuleOptimizer) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let weights: Vec<f32> = (0..35).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut layer: Linear = LinearConfig::new(7, 5).with_bias(false).init(&device);
        layer.weight =
            layer.weight.map(|_| Tensor::from_data(TensorData::new(weights.clone(), [7, 5]), &device).require_grad());
        for step in 0..6 {
            if step == 3 {
                optimizer = change(optimizer);
            }
            let x = Tensor::<2>::ones([2, 7], &device).mul_scalar(0.3 * f64::from(step) - 0.5);
            let gradients = GradientsParams::from_grads(layer.forward(x).square().sum().backward(), &layer);
            layer = optimizer.step(0.01, layer, gradients);
        }
        values(layer.valid().weight.val())
    }

    fn burns() -> ModuleOptimizer {
        AdamWConfig::new().with_weight_decay(0.1).with_epsilon(1e-8).init()
    }

    #[test]
    fn it_takes_the_steps_that_burns_takes_and_goes_on_from_its_state() {
        let expected = steps(burns(), |optimizer| optimizer);
        let ours = || ModuleOptimizer::from(AdamW::new(0.1, 1e-8));
        let runs = [
            steps(ours(), |optimizer| optimizer),
            steps(ours(), |optimizer| burns().load_record(optimizer.to_record())),
            steps(burns(), |optimizer| ours().load_record(optimizer.to_record())),
        ];
        for run in runs {
            let apart = run.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(apart < 1e-6, "{apart}");
        }
    }
}
