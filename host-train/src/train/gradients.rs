//! Gradients between the backward pass and the optimizer: their norm, their scale, their limits.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use crate::ops;

/// The Euclidean norm of all gradients of `network` together; not finite where one of them is not.
pub fn norm<M: Module>(network: &M, gradients: &GradientsParams) -> f64 {
    let mut squares = Squares { gradients, sum: None };
    network.visit(&mut squares);
    squares.sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()).sqrt())
}

/// Scales all gradients down so that their norm together is at most `largest`, as PyTorch's `clip_grad_norm_` does.
pub fn clip_norm<M: Module>(network: &M, gradients: &mut GradientsParams, largest: f64) {
    let factor = largest / (norm(network, gradients) + 1e-6);
    if factor < 1.0 {
        network.visit(&mut Change { gradients, how: How::Scale(factor) });
    }
}

/// Scales every gradient down by itself so that its norm is at most `largest`, as burn's clipping by norm does.
pub fn clip_each_norm<M: Module>(network: &M, gradients: &mut GradientsParams, largest: f64) {
    network.visit(&mut Change { gradients, how: How::ScaleEach(largest) });
}

/// Moves every gradient that is beyond plus or minus `largest` to it.
pub fn clip_value<M: Module>(network: &M, gradients: &mut GradientsParams, largest: f64) {
    network.visit(&mut Change { gradients, how: How::Clamp(largest) });
}

/// Gradients in f32, times `factor`.
pub fn widen<M: Module>(network: &M, gradients: &mut GradientsParams, factor: f64) {
    network.visit(&mut Change { gradients, how: How::Widen(factor) });
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let squares = ops::sum(gradient.square());
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

enum How {
    Scale(f64),
    ScaleEach(f64),
    Clamp(f64),
    Widen(f64),
}

struct Change<'a> {
    gradients: &'a mut GradientsParams,
    how: How,
}

impl ModuleVisitor for Change<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let changed = match self.how {
                How::Scale(factor) => gradient.mul_scalar(factor),
                How::ScaleEach(largest) => {
                    let norm = ops::sum(gradient.clone().square()).sqrt();
                    let factor = (largest as f32 / norm.add_scalar(f32::MIN_POSITIVE)).clamp_max(1.0);
                    gradient.mul(factor.unsqueeze())
                }
                How::Clamp(largest) => gradient.clamp(-largest, largest),
                How::Widen(factor) => gradient.cast(FloatDType::F32).mul_scalar(factor),
            };
            self.gradients.register(param.id, changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    /// A layer of one weight and one bias, whose gradients are 3 and 4.
    fn three_and_four() -> (Linear, GradientsParams) {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(1, 1).init(&device);
        let weight = layer.weight.val().sum().mul_scalar(3.0);
        let bias = layer.bias.as_ref().unwrap().val().sum().mul_scalar(4.0);
        let gradients = GradientsParams::from_grads((weight + bias).backward(), &layer);
        (layer, gradients)
    }

    fn values(layer: &Linear, gradients: &GradientsParams) -> [f32; 2] {
        let weight = gradients.get::<2>(layer.weight.id).unwrap().into_scalar::<f32>();
        [weight, gradients.get::<1>(layer.bias.as_ref().unwrap().id).unwrap().into_scalar::<f32>()]
    }

    #[test]
    fn the_norm_is_over_all_parameters_together() {
        let (layer, gradients) = three_and_four();
        assert_eq!(values(&layer, &gradients), [3.0, 4.0]);
        assert!((norm(&layer, &gradients) - 5.0).abs() < 1e-6);
    }

    #[test]
    fn clipping_by_norm_keeps_the_direction() {
        let (layer, mut gradients) = three_and_four();
        clip_norm(&layer, &mut gradients, 2.5);
        let [weight, bias] = values(&layer, &gradients);
        assert!((weight - 1.5).abs() < 1e-5 && (bias - 2.0).abs() < 1e-5, "{weight} {bias}");
        clip_norm(&layer, &mut gradients, 100.0);
        assert_eq!(values(&layer, &gradients), [weight, bias], "already below");
    }

    #[test]
    fn each_gradient_is_clipped_by_its_own_norm_as_burn_does() {
        use burn::grad_clipping::GradientClippingConfig;
        for largest in [3.5, 0.1, 100.0] {
            let (layer, mut gradients) = three_and_four();
            let burns = GradientClippingConfig::Norm(largest).init();
            let of = |id| burns.clip_gradient(gradients.get::<1>(id).unwrap()).into_scalar::<f32>();
            let bias = of(layer.bias.as_ref().unwrap().id);
            let weight = burns.clip_gradient(gradients.get::<2>(layer.weight.id).unwrap()).into_scalar::<f32>();
            clip_each_norm(&layer, &mut gradients, f64::from(largest));
            let apart = values(&layer, &gradients).into_iter().zip([weight, bias]).map(|(a, b)| (a - b).abs() / b);
            assert!(apart.fold(0f32, f32::max) < 1e-6, "{largest}");
        }
    }

    #[test]
    fn clipping_by_value_takes_each_gradient_by_itself() {
        let (layer, mut gradients) = three_and_four();
        clip_value(&layer, &mut gradients, 3.5);
        assert_eq!(values(&layer, &gradients), [3.0, 3.5]);
    }

    #[test]
    fn widening_undoes_the_scale_of_the_loss() {
        let (layer, mut gradients) = three_and_four();
        widen(&layer, &mut gradients, 0.25);
        assert_eq!(values(&layer, &gradients), [0.75, 1.0]);
    }
}
