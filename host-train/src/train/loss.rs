//! What a segmenter minimises.
//!
//! Every loss takes logits `[B, C, H, W]` and the truth as one-hot `[B, C, H, W]`, both f32, and gives one number. With
//! N pixels in the batch, t the truth, z the logits, p the softmax of z over the classes, w the class weights:
//!
//! | name | value |
//! |---|---|
//! | `ce` | cross-entropy: `sum w_c t (-log p) / sum w_c t` over all classes and pixels, as PyTorch's |
//! | `focal` | Lin et al., "Focal loss", ICCV 2017: as `ce`, each pixel's term times `(1 - p_t)^gamma`, p_t of its true class |
//! | `bce` | binary cross-entropy of sigmoid(z) with t: the mean over pixels of each class, then `sum w_c / sum w` over classes |
//! | `lovasz` | Lovasz-softmax, see [`super::lovasz`] |
//!
//! A name with `-dice` adds a Dice term times `dice_weight`. For `ce-dice`, `focal-dice` and `lovasz-dice` it is one minus
//! the soft Dice of the classes 1 and up over the whole batch, `(2 sum p t + 1) / (sum p + sum t + 1)` (Milletari et al.,
//! "V-Net", 3DV 2016, with plain sums), averaged over the classes with their weights. `bce-dice` is the loss that UNeXt and
//! U-Net++ projects train with: `0.5 * bce` plus `dice_weight` times one minus a Dice of the sigmoids, which is
//! `(2 sum w p t + e) / (sum w p + sum w t + e)` with e = 1e-5 over all pixels and the classes 1 and up of one image, then
//! averaged over images. Their masks have no channel for the background; so neither has this Dice.

use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::lovasz::lovasz_softmax;
use crate::data::CLASSES;
use crate::ops;

/// Added to both sides of the Dice of `bce-dice`.
const SIGMOID_DICE_SMOOTH: f64 = 1e-5;

/// Weight of the binary cross-entropy in `bce-dice`.
const BCE_WEIGHT: f64 = 0.5;

/// A loss by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the table above says what each is
pub enum LossName {
    Ce,
    CeDice,
    Bce,
    BceDice,
    Focal,
    FocalDice,
    Lovasz,
    LovaszDice,
}

/// A loss with its numbers.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Which one.
    pub name: LossName,
    /// Weight of the Dice term.
    pub dice_weight: f64,
    /// Weights of the classes, background first.
    pub class_weights: [f64; CLASSES],
    /// The focal loss's exponent; 0 makes it the cross-entropy.
    pub focal_gamma: f64,
    /// Weights of a network's heads, the shallowest first; empty: all alike.
    pub head_weights: Vec<f64>,
}

impl Loss {
    /// The loss over the heads of a network (deep supervision): the weighted mean of theirs.
    ///
    /// `head_weights`, where there are any, are as many as the heads.
    pub fn of_heads(&self, heads: Vec<Tensor<4>>, target: &Tensor<4>) -> Tensor<1> {
        let weights = if self.head_weights.is_empty() { vec![1.0; heads.len()] } else { self.head_weights.clone() };
        let total: f64 = weights.iter().sum();
        let terms = heads.into_iter().zip(weights).filter(|&(_, weight)| weight > 0.0);
        terms
            .map(|(logits, weight)| {
                let loss = self.of(logits, target.clone());
                if weight == total { loss } else { loss.mul_scalar(weight / total) }
            })
            .reduce(|sum, term| sum + term)
            .expect("a head with a weight above 0")
    }

    /// The loss of one head.
    pub fn of(&self, logits: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
        match self.name {
            LossName::Ce | LossName::CeDice if ops::runs_here(&logits) && self.weighs_foreground() => {
                let dice = if self.name == LossName::Ce { 0.0 } else { self.dice_weight };
                let weighted = self.class_weights.iter().any(|&weight| weight != 1.0);
                let weights = weighted.then(|| self.class_weights.map(|weight| weight as f32).to_vec());
                ops::cross_entropy_dice(logits, target, weights, dice as f32)
            }
            LossName::Ce => self.cross_entropy(&log_softmax(logits, 1), &target),
            LossName::CeDice => {
                let log_p = log_softmax(logits, 1);
                self.cross_entropy(&log_p, &target) + self.soft_dice_term(log_p.exp(), target)
            }
            LossName::Bce => self.binary_cross_entropy(&logits, &target),
            LossName::BceDice => {
                let bce = self.binary_cross_entropy(&logits, &target).mul_scalar(BCE_WEIGHT);
                bce + self.sigmoid_dice_term(sigmoid(logits), target)
            }
            LossName::Focal => self.focal(&log_softmax(logits, 1), &target),
            LossName::FocalDice => {
                let log_p = log_softmax(logits, 1);
                self.focal(&log_p, &target) + self.soft_dice_term(log_p.exp(), target)
            }
            LossName::Lovasz => lovasz_softmax(log_softmax(logits, 1).exp(), &target, &self.class_weights),
            LossName::LovaszDice => {
                let p = log_softmax(logits, 1).exp();
                let lovasz = lovasz_softmax(p.clone(), &target, &self.class_weights);
                lovasz + self.soft_dice_term(p, target)
            }
        }
    }

    /// Whether a class above 0 counts at all: a mean over those needs one.
    fn weighs_foreground(&self) -> bool {
        self.class_weights[1..].iter().any(|&weight| weight > 0.0)
    }

    /// The class weights as `[1, C, 1, 1]`; `None` where all are 1.
    fn weights(&self, device: &Device) -> Option<Tensor<4>> {
        if self.class_weights.iter().all(|&weight| weight == 1.0) {
            return None;
        }
        let weights = self.class_weights.map(|weight| weight as f32);
        Some(Tensor::<4>::from_data(TensorData::new(weights.to_vec(), [1, CLASSES, 1, 1]), device))
    }

    fn cross_entropy(&self, log_p: &Tensor<4>, target: &Tensor<4>) -> Tensor<1> {
        let [batch, _, height, width] = log_p.dims();
        match self.weights(&log_p.device()) {
            None => ops::sum(log_p.clone() * target.clone()).neg().div_scalar((batch * height * width) as f64),
            Some(weights) => {
                let weighted = target.clone() * weights;
                ops::sum(log_p.clone() * weighted.clone()).neg() / above_zero(ops::sum(weighted))
            }
        }
    }

    fn focal(&self, log_p: &Tensor<4>, target: &Tensor<4>) -> Tensor<1> {
        let log_true = (log_p.clone() * target.clone()).sum_dim(1);
        let pixel_weight = match self.weights(&log_p.device()) {
            None => target.clone().sum_dim(1),
            Some(weights) => (target.clone() * weights).sum_dim(1),
        };
        // A power below one has no slope at zero.
        let doubt = log_true.clone().exp().neg().add_scalar(1.0).clamp_min(1e-7);
        let modulation = doubt.powf_scalar(self.focal_gamma);
        ops::sum(log_true * modulation * pixel_weight.clone()).neg() / above_zero(ops::sum(pixel_weight))
    }

    fn binary_cross_entropy(&self, logits: &Tensor<4>, target: &Tensor<4>) -> Tensor<1> {
        // -t log s(z) - (1 - t) log s(-z), where log s(-z) = log s(z) - z.
        let term = target.clone().neg().add_scalar(1.0) * logits.clone() - log_sigmoid(logits.clone());
        match self.weights(&logits.device()) {
            None => ops::mean(term),
            Some(weights) => {
                let total: f64 = self.class_weights.iter().sum();
                ops::mean(term * weights).mul_scalar(CLASSES as f64 / total)
            }
        }
    }

    /// `dice_weight` times one minus the Dice of the probabilities `p`, over the whole batch.
    fn soft_dice_term(&self, p: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
        let [batch, classes, height, width] = p.dims();
        let device = p.device();
        let foreground = |x: Tensor<4>| x.narrow(1, 1, classes - 1);
        let (p, t) = (foreground(p), foreground(target));
        let per_class = |x: Tensor<4>| x.swap_dims(0, 1).reshape([classes - 1, batch * height * width]).sum_dim(1);
        let overlap = per_class(p.clone() * t.clone()).mul_scalar(2.0).add_scalar(1.0);
        let total = (per_class(p) + per_class(t)).add_scalar(1.0);
        let dice = overlap / total;
        let dice = match self.weights(&device) {
            None => ops::mean(dice),
            Some(weights) => {
                let weights = foreground(weights).reshape([classes - 1, 1]);
                ops::sum(dice * weights.clone()) / ops::sum(weights)
            }
        };
        dice.neg().add_scalar(1.0).mul_scalar(self.dice_weight)
    }

    /// `dice_weight` times one minus the Dice of the sigmoids `p`, over each image.
    fn sigmoid_dice_term(&self, p: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
        let [batch, classes, height, width] = p.dims();
        let weights = self.weights(&p.device());
        let foreground = |x: Tensor<4>| x.narrow(1, 1, classes - 1);
        let per_image = |x: Tensor<4>| {
            let x = if let Some(weights) = &weights { x * foreground(weights.clone()) } else { x };
            x.reshape([batch, (classes - 1) * height * width]).sum_dim(1)
        };
        let (p, t) = (foreground(p), foreground(target));
        let overlap = per_image(p.clone() * t.clone()).mul_scalar(2.0).add_scalar(SIGMOID_DICE_SMOOTH);
        let total = (per_image(p) + per_image(t)).add_scalar(SIGMOID_DICE_SMOOTH);
        ops::mean(overlap / total).neg().add_scalar(1.0).mul_scalar(self.dice_weight)
    }
}

/// A sum of weights to divide by: a batch of classes that all weigh nothing costs nothing.
fn above_zero(weights: Tensor<1>) -> Tensor<1> {
    weights.clamp_min(1e-6)
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
