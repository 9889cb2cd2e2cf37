//! A step of AdamW: Adam whose weight decay is not part of the gradient.
//!
//! Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. At step t, counted from 1:
//! `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g^2`,
//! `p = (1 - rate decay) p - rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)`.

/// Values in a piece of work for one thread.
const PIECE: usize = 16 * 1024;

use rayon::prelude::*;

use super::simd::widest;

/// The optimizer's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// How much of the gradients' mean is kept.
    pub beta_1: f32,
    /// How much of the squares' mean is kept.
    pub beta_2: f32,
    /// Added to the root of the squares' mean.
    pub epsilon: f32,
    /// Share of the weights that is taken away, per learning rate.
    pub weight_decay: f32,
    /// Learning rate.
    pub rate: f64,
}

/// Step `time` (1 for the first) of the parameters `p` with their gradient `g`, the mean `m` and the mean square `v` of
/// the gradients so far (zeros at first). All have the same length.
pub fn step(numbers: &AdamW, time: i32, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert!(g.len() == p.len() && m.len() == p.len() && v.len() == p.len(), "parameters and moments of one length");
    let keep = (1.0 - numbers.rate * f64::from(numbers.weight_decay)) as f32;
    let (unbias_1, unbias_2) = (1.0 - numbers.beta_1.powi(time), 1.0 - numbers.beta_2.powi(time));
    let (beta_1, beta_2, epsilon, rate) = (numbers.beta_1, numbers.beta_2, numbers.epsilon, numbers.rate as f32);
    let pieces = (p.par_chunks_mut(PIECE), g.par_chunks(PIECE), m.par_chunks_mut(PIECE), v.par_chunks_mut(PIECE));
    pieces.into_par_iter().for_each(|(p, g, m, v)| {
        widest(|| {
            for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                *m = *m * beta_1 + g * (1.0 - beta_1);
                *v = *v * beta_2 + g * g * (1.0 - beta_2);
                *p = *p * keep - *m / unbias_1 / ((*v / unbias_2).sqrt() + epsilon) * rate;
            }
        });
    });
}
