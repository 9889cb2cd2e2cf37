//! Cross-entropy and soft Dice of a softmax.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::loss;
use super::operator::{self, Operator};
use super::values::{contiguous, dims, slice, tensor, zeros};

/// The loss of logits `[B, C, H, W]` and the truth of the same shape.
#[derive(Debug)]
struct CrossEntropyDice {
    weights: Option<Vec<f32>>,
    dice_weight: f32,
}

/// Cross-entropy of the softmax of the logits `z`, `[B, C, H, W]`, with the one-hot truth `t` of the same shape, plus `dice_weight`
/// times one minus the soft Dice; `weights` are those of the classes, `None`: all 1. On the CPU device in f32 only
/// ([`runs_here`](super::runs_here)).
pub fn cross_entropy_dice(z: Tensor<4>, t: Tensor<4>, weights: Option<Vec<f32>>, dice_weight: f32) -> Tensor<1> {
    let loss: Tensor<4> = operator::binary(Arc::new(CrossEntropyDice { weights, dice_weight }), z, t);
    loss.reshape([1])
}

impl Operator<2> for CrossEntropyDice {
    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Vec<FlexTensor>) {
        let [z, t] = inputs.map(contiguous);
        let shape @ [batch, classes, height, width] = dims(&z);
        let sizes = loss::CrossEntropyDice {
            batch,
            classes,
            pixels: height * width,
            class_weights: self.weights.as_deref(),
            cross_entropy_weight: 1.0,
            dice_weight: self.dice_weight,
        };
        let mut gradient = zeros(sizes.values());
        let value = loss::value_and_gradient(&sizes, slice(&z), slice(&t), &mut gradient);
        (tensor(vec![value], [1, 1, 1, 1]), vec![tensor(gradient, shape)])
    }

    fn backward(&self, mut kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let upstream = slice(&contiguous(gradient))[0];
        let own = kept.swap_remove(0);
        if upstream == 1.0 {
            return [Some(own), None];
        }
        let scaled = slice(&own).iter().map(|g| g * upstream).collect();
        [Some(tensor(scaled, dims::<4>(&own))), None]
    }
}
