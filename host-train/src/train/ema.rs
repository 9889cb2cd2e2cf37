//! An exponential moving average of a network's weights, which often validates better than the last weights do.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// The average of a network over its training.
///
/// After update t (from 0) the average is `d average + (1 - d) weights` with `d = min(decay, (1 + t) / (10 + t))`, so that
/// the random weights at the start are soon forgotten. The running statistics of batch norms are averaged as well: they
/// belong to the weights.
pub struct Ema<M> {
    network: M,
    decay: f64,
}

impl<M: Module> Ema<M> {
    /// An average that begins at the weights of `network`, which may be under training.
    pub fn new(network: &M, decay: f64) -> Self {
        Self { network: network.valid(), decay }
    }

    /// The average, without gradients.
    pub fn network(&self) -> &M {
        &self.network
    }

    /// Puts stored averages in place: `load` gets the average and gives it back with its values.
    pub fn restore<E>(&mut self, load: impl FnOnce(M) -> Result<M, E>) -> Result<(), E> {
        self.network = load(self.network.clone())?;
        Ok(())
    }

    /// Takes in the weights after one more step; `updates` is how many there were before.
    pub fn update(&mut self, network: &M, updates: usize) {
        let decay = self.decay.min((1 + updates) as f64 / (10 + updates) as f64);
        let mut values = Values(GradientsParams::new());
        network.valid().visit(&mut values);
        self.network = self.network.clone().map(&mut Blend { values: values.0, decay });
    }
}

/// A network's values by parameter: gradients and values are kept alike.
struct Values(GradientsParams);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Blend {
    values: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.values.remove::<D>(param.id) {
            Some(value) => param.map(|mean| mean.mul_scalar(self.decay) + value.mul_scalar(1.0 - self.decay)),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::Device;

    /// The layer's scale and running mean.
    fn values(layer: &BatchNorm) -> [f32; 2] {
        [layer.gamma.val().into_scalar::<f32>(), layer.running_mean.value_sync().into_scalar::<f32>()]
    }

    fn with_scale(layer: &BatchNorm, scale: f32) -> BatchNorm {
        let mut layer = layer.clone();
        layer.gamma = layer.gamma.map(|gamma| gamma.zeros_like().add_scalar(scale).detach().require_grad());
        layer
    }

    #[test]
    fn weights_and_running_statistics_are_averaged_and_the_network_is_left_alone() {
        let device = Device::flex().autodiff();
        let layer = BatchNormConfig::new(1).init(&device);
        let mut ema = Ema::new(&layer, 0.15);
        let layer = with_scale(&layer, 3.0);
        // Batches of mean 10 move the running mean to 1, then to 1.9.
        let batch = || Tensor::<2>::from_floats([[9.0], [11.0]], &device);
        layer.forward(batch());
        ema.update(&layer, 0);
        let close = |[a, b]: [f32; 2], [c, d]: [f32; 2]| (a - c).abs() < 1e-5 && (b - d).abs() < 1e-5;
        // The first decay is 1/10, the second would be 2/11 and is capped.
        assert!(close(values(ema.network()), [0.1 + 0.9 * 3.0, 0.9]), "{:?}", values(ema.network()));
        layer.forward(batch());
        ema.update(&layer, 1);
        assert!(close(values(ema.network()), [0.15 * 2.8 + 0.85 * 3.0, 0.15 * 0.9 + 0.85 * 1.9]));
        assert!(close(values(&layer), [3.0, 1.9]), "{:?}", values(&layer));
    }
}
