//! Cross-entropy and soft Dice of a softmax, value and gradient in two passes.
//!
//! With N pixels, z the logits, p their softmax, t the truth as one-hot, w the weights of the classes: the cross-entropy
//! is `sum w t (-log p) / sum w t`; the Dice of a class above 0 is `(2 sum p t + 1) / (sum p + sum t + 1)` over the batch, and the
//! term `d (1 - their weighted mean)`. With A the gradient of p, that of z is `p (A - sum p A)`, plus `p sum w t - w t` over
//! `sum w t` for the cross-entropy.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::operator::{self, Operator};
use super::values::{contiguous, dims, slice, tensor};
use super::vectors::{self, PIXELS};

/// The loss of logits `[B, C, H, W]` and the truth of the same shape.
#[derive(Debug)]
struct CrossEntropyDice {
    /// Of the classes, background first.
    weights: Vec<f32>,
    /// Of the Dice term.
    dice_weight: f64,
}

/// Cross-entropy with the class weights `weights`, plus `dice_weight` times one minus the soft Dice.
pub fn cross_entropy_dice(z: Tensor<4>, t: Tensor<4>, weights: Vec<f32>, dice_weight: f64) -> Tensor<1> {
    let loss: Tensor<4> = operator::binary(Arc::new(CrossEntropyDice { weights, dice_weight }), z, t);
    loss.reshape([1])
}

/// Sums over pixels: the weighted cross-entropy, the weights, and of each class p t, p and t.
#[derive(Clone)]
struct Sums {
    entropy: f64,
    weight: f64,
    overlaps: Vec<[f64; 3]>,
}

impl Sums {
    fn zero(classes: usize) -> Self {
        Self { entropy: 0.0, weight: 0.0, overlaps: vec![[0.0; 3]; classes] }
    }

    fn add(&mut self, other: &Self) {
        self.entropy += other.entropy;
        self.weight += other.weight;
        for (sum, other) in self.overlaps.iter_mut().zip(&other.overlaps) {
            sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
    }
}

/// Runs of at most [`PIXELS`] pixels of a plane, as start and length.
fn runs(plane: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..plane).step_by(PIXELS).map(move |start| (start, PIXELS.min(plane - start)))
}

impl CrossEntropyDice {
    /// Sums of a sample; its probabilities are written into `p`.
    fn sample(&self, z: &[f32], t: &[f32], p: &mut [f32]) -> Sums {
        let classes = self.weights.len();
        let plane = z.len() / classes;
        let mut sums = Sums::zero(classes);
        let mut rows = vec![0f32; classes * PIXELS];
        for (at, count) in runs(plane) {
            let (entropy, weight) = vectors::softmax((z, t, plane), (at, count), &self.weights, &mut rows);
            sums.entropy += f64::from(entropy);
            sums.weight += f64::from(weight);
            let classes = rows.chunks_exact(PIXELS).zip(t.chunks_exact(plane)).zip(p.chunks_exact_mut(plane));
            for (((row, t), p), sums) in classes.zip(&mut sums.overlaps) {
                p[at..at + count].copy_from_slice(&row[..count]);
                let overlap = vectors::overlap(&row[..count], &t[at..at + count]);
                sums.iter_mut().zip(overlap).for_each(|(sum, x)| *sum += f64::from(x));
            }
        }
        sums
    }

    /// Weight of the classes above 0 together.
    fn foreground(&self) -> f64 {
        self.weights[1..].iter().map(|&w| f64::from(w)).sum()
    }
}

impl Operator<2> for CrossEntropyDice {
    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Vec<FlexTensor>) {
        let [z, t] = inputs.map(contiguous);
        let shape: [usize; 4] = dims(&z);
        let sample = shape[1] * shape[2] * shape[3];
        let mut p = vec![0f32; slice(&z).len()];
        let samples = slice(&z).par_chunks_exact(sample).zip(slice(&t).par_chunks_exact(sample));
        let parts = samples.zip(p.par_chunks_exact_mut(sample)).map(|((z, t), p)| self.sample(z, t, p));
        let mut sums = Sums::zero(shape[1]);
        parts.collect::<Vec<Sums>>().iter().for_each(|part| sums.add(part));
        // A batch of classes that all weigh nothing costs nothing.
        let weight = sums.weight.max(1e-6);
        let dice = sums.overlaps.iter().map(|[pt, p, t]| ((2.0 * pt + 1.0), (p + t + 1.0)));
        let mean: f64 = dice.clone().zip(&self.weights).skip(1).map(|((o, s), &w)| f64::from(w) * o / s).sum();
        let loss = sums.entropy / weight + self.dice_weight * (1.0 - mean / self.foreground());
        // What the gradient of each class is made of: a and b of its probability, w of its cross-entropy.
        let factors = dice.zip(&self.weights).enumerate().flat_map(|(class, ((overlap, sum), &w))| {
            let share = if class == 0 { 0.0 } else { self.dice_weight * f64::from(w) / self.foreground() };
            [-share * 2.0 / sum, share * overlap / (sum * sum), f64::from(w) / weight].map(|x| x as f32)
        });
        let factors = tensor(factors.collect(), [shape[1], 3]);
        (tensor(vec![loss as f32], [1, 1, 1, 1]), vec![tensor(p, shape), t, factors])
    }

    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [p, t, factors] = [&kept[0], &kept[1], &kept[2]];
        let upstream = slice(&contiguous(gradient))[0];
        let factors: Vec<[f32; 3]> =
            slice(factors).chunks_exact(3).map(|f| [f[0] * upstream, f[1] * upstream, f[2] * upstream]).collect();
        let shape: [usize; 4] = dims(p);
        let (sample, plane) = (shape[1] * shape[2] * shape[3], shape[2] * shape[3]);
        let mut out = vec![0f32; slice(p).len()];
        let samples = slice(p).par_chunks_exact(sample).zip(slice(t).par_chunks_exact(sample));
        out.par_chunks_exact_mut(sample).zip(samples).for_each(|(out, (p, t))| {
            for run in runs(plane) {
                vectors::softmax_gradient((p, t, plane), run, &factors, out);
            }
        });
        [Some(tensor(out, shape)), None]
    }
}
