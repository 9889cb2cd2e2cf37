//! The optimizers by name, with the numbers that PyTorch gives them.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, RmsPropConfig, SgdConfig};
use serde::{Deserialize, Serialize};

use super::adamw::AdamW;

/// Added to the root of the squared gradients' mean.
const EPSILON: f32 = 1e-8;

/// An optimizer by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Gradient descent with momentum: `v = momentum v + g`, the weights less `rate v`; with Nesterov's look ahead, less
    /// `rate (g + momentum v)`.
    Sgd,
    /// Kingma and Ba, ICLR 2015, with betas 0.9 and 0.999.
    Adam,
    /// Loshchilov and Hutter, ICLR 2019: Adam whose weight decay is not part of the gradient.
    AdamW,
    /// Tieleman and Hinton, 2012, with a smoothing of 0.99, and momentum over the divided gradients.
    RmsProp,
}

/// An optimizer with its numbers.
#[derive(Clone, Copy, Debug)]
pub struct OptimizerSpec {
    /// Which one.
    pub name: OptimizerName,
    /// `adamw`: the weights shrink by this times the learning rate in a step. The others: this times the weights is added
    /// to the gradient.
    pub weight_decay: f64,
    /// Momentum of `sgd` and `rmsprop`.
    pub momentum: f64,
    /// Nesterov's look ahead in `sgd`.
    pub nesterov: bool,
}

impl OptimizerSpec {
    /// The optimizer, without any state yet.
    pub fn init(&self) -> ModuleOptimizer {
        let decay = (self.weight_decay > 0.0).then(|| WeightDecayConfig::new(self.weight_decay as f32));
        match self.name {
            OptimizerName::AdamW => AdamW::new(self.weight_decay as f32, EPSILON).into(),
            OptimizerName::Adam => AdamConfig::new().with_weight_decay(decay).with_epsilon(EPSILON).init(),
            OptimizerName::Sgd => {
                let momentum =
                    MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0).with_nesterov(self.nesterov);
                let momentum = (self.momentum > 0.0).then_some(momentum);
                SgdConfig::new().with_weight_decay(decay).with_momentum(momentum).init()
            }
            OptimizerName::RmsProp => {
                let momentum = self.momentum as f32;
                let config = RmsPropConfig::new().with_alpha(0.99).with_momentum(momentum).with_epsilon(EPSILON);
                config.with_weight_decay(decay).init()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<1>>,
    }

    /// The weight, 1 at first, after steps of 0.1 with these gradients.
    fn steps(spec: OptimizerSpec, gradients: &[f64]) -> f64 {
        let device = Device::flex().autodiff();
        let mut one = One { weight: Param::from_data([1f32], &device) };
        let mut optimizer = spec.init();
        for &gradient in gradients {
            let loss = one.weight.val().mul_scalar(gradient).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &one);
            one = optimizer.step(0.1, one, gradients);
        }
        f64::from(one.weight.val().into_scalar::<f32>())
    }

    fn spec(name: OptimizerName) -> OptimizerSpec {
        OptimizerSpec { name, weight_decay: 0.0, momentum: 0.9, nesterov: false }
    }

    fn assert_close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
    }

    #[test]
    fn sgd_carries_its_momentum_undamped() {
        let sgd = spec(OptimizerName::Sgd);
        assert_close(steps(sgd, &[2.0, 1.0]), 1.0 - 0.2 - 0.1 * (0.9 * 2.0 + 1.0));
        assert_close(steps(OptimizerSpec { momentum: 0.0, ..sgd }, &[2.0, 1.0]), 1.0 - 0.3);
        let nesterov = OptimizerSpec { nesterov: true, ..sgd };
        assert_close(
            steps(nesterov, &[2.0, 1.0]),
            1.0 - 0.1 * (2.0 + 0.9 * 2.0) - 0.1 * (1.0 + 0.9 * (0.9 * 2.0 + 1.0)),
        );
    }

    #[test]
    fn adam_divides_by_the_corrected_root_of_squares() {
        let m = (0.9 * 0.2 + 0.1) / (1.0 - 0.81);
        let v: f64 = (0.999 * 0.004 + 0.001) / (1.0 - 0.999 * 0.999);
        assert_close(steps(spec(OptimizerName::Adam), &[2.0, 1.0]), 1.0 - 0.1 - 0.1 * m / v.sqrt());
        assert_close(steps(spec(OptimizerName::AdamW), &[2.0, 1.0]), 1.0 - 0.1 - 0.1 * m / v.sqrt());
    }

    #[test]
    fn rmsprop_has_momentum_over_the_divided_gradients() {
        let first = 2.0 / (0.01 * 4.0f64).sqrt();
        let second = 1.0 / (0.99 * 0.04 + 0.01f64).sqrt();
        let rmsprop = spec(OptimizerName::RmsProp);
        assert_close(steps(rmsprop, &[2.0, 1.0]), 1.0 - 0.1 * first - 0.1 * (0.9 * first + second));
        let plain = OptimizerSpec { momentum: 0.0, ..rmsprop };
        assert_close(steps(plain, &[2.0, 1.0]), 1.0 - 0.1 * first - 0.1 * second);
    }

    #[test]
    fn weight_decay_joins_the_gradient_but_in_adamw() {
        let decayed = |name| steps(OptimizerSpec { weight_decay: 0.5, momentum: 0.0, ..spec(name) }, &[2.0]);
        assert_close(decayed(OptimizerName::Sgd), 1.0 - 0.1 * 2.5);
        assert_close(decayed(OptimizerName::Adam), 1.0 - 0.1);
        assert_close(decayed(OptimizerName::RmsProp), 1.0 - 0.1 * 10.0);
        assert_close(decayed(OptimizerName::AdamW), (1.0 - 0.05) - 0.1);
    }

    #[test]
    fn names_are_lower_case() {
        let names = [OptimizerName::Sgd, OptimizerName::Adam, OptimizerName::AdamW, OptimizerName::RmsProp];
        let names = names.map(|name| serde_json::to_value(name).unwrap().as_str().unwrap().to_owned());
        assert_eq!(names, ["sgd", "adam", "adamw", "rmsprop"]);
    }
}
