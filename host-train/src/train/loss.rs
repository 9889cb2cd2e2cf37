//! What a segmenter minimises.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// Cross-entropy plus `dice_weight` times one minus the soft Dice of the classes 1 and up, over the whole batch.
///
/// `logits` and `target` (one-hot) are `[B, classes, H, W]`. The soft Dice of a class is
/// `(2 sum p t + 1) / (sum p + sum t + 1)`, as in Milletari et al., "V-Net", 3DV 2016, with plain sums.
pub fn cross_entropy_and_dice(logits: Tensor<4>, target: Tensor<4>, dice_weight: f64) -> Tensor<1> {
    let [batch, classes, height, width] = logits.dims();
    let log_p = log_softmax(logits, 1);
    let cross_entropy = (log_p.clone() * target.clone()).sum().neg().div_scalar((batch * height * width) as f64);
    let foreground = |x: Tensor<4>| x.narrow(1, 1, classes - 1);
    let (p, t) = (foreground(log_p.exp()), foreground(target));
    let per_class = |x: Tensor<4>| x.swap_dims(0, 1).reshape([classes - 1, batch * height * width]).sum_dim(1);
    let overlap = per_class(p.clone() * t.clone()).mul_scalar(2.0).add_scalar(1.0);
    let total = (per_class(p) + per_class(t)).add_scalar(1.0);
    let dice = (overlap / total).mean();
    cross_entropy + dice.neg().add_scalar(1.0).mul_scalar(dice_weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn loss(logits: [f32; 2], target: [f32; 2]) -> f32 {
        let device = Device::flex();
        let tensor = |v: [f32; 2]| Tensor::<1>::from_floats(v, &device).reshape([1, 2, 1, 1]);
        cross_entropy_and_dice(tensor(logits), tensor(target), 1.0).into_scalar::<f32>()
    }

    #[test]
    fn a_certain_and_right_answer_costs_nothing() {
        assert!(loss([-50.0, 50.0], [0.0, 1.0]).abs() < 1e-6);
    }

    #[test]
    fn an_even_guess_costs_ln_2_and_the_dice_of_one_half() {
        let expected = 2f32.ln() + 1.0 - 2.0 / 2.5;
        assert!((loss([0.0, 0.0], [0.0, 1.0]) - expected).abs() < 1e-6);
    }
}
