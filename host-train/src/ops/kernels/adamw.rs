//! A step of AdamW: Adam whose weight decay is not part of the gradient.
//!
//! Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. At step t, counted from 1:
//! `m = beta_1 m + (1 - beta_1) g`, `v = beta_2 v + (1 - beta_2) g^2`,
//! `p = (1 - rate decay) p - rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)`.

use rayon::prelude::*;

use super::simd::widest;

/// Values in a piece of work for one thread.
const PIECE: usize = 8 * 1024;

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
        widest!({
            for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                *m = *m * beta_1 + g * (1.0 - beta_1);
                *v = *v * beta_2 + g * g * (1.0 - beta_2);
                *p = *p * keep - *m / unbias_1 / ((*v / unbias_2).sqrt() + epsilon) * rate;
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::oracle::{Random, assert_near, assert_same_on_any_threads};
    use super::*;

    const NUMBERS: AdamW = AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.05, rate: 2e-3 };

    /// Parameters after three steps with these gradients, in f32 and as the formula says in f64.
    fn steps(count: usize) -> (Vec<f32>, Vec<f64>) {
        let mut random = Random::new(1);
        let mut p = random.values(count);
        let mut exact: Vec<f64> = p.iter().map(|&p| f64::from(p)).collect();
        let (mut m, mut v) = (vec![0.0; count], vec![0.0; count]);
        let mut moments = vec![[0.0f64; 2]; count];
        let (beta_1, beta_2) = (f64::from(NUMBERS.beta_1), f64::from(NUMBERS.beta_2));
        for time in 1..=3 {
            let g = random.values(count);
            step(&NUMBERS, time, &mut p, &g, &mut m, &mut v);
            for ((p, &g), [m, v]) in exact.iter_mut().zip(&g).zip(&mut moments) {
                let g = f64::from(g);
                (*m, *v) = (beta_1 * *m + (1.0 - beta_1) * g, beta_2 * *v + (1.0 - beta_2) * g * g);
                let delta = *m / (1.0 - beta_1.powi(time)) / ((*v / (1.0 - beta_2.powi(time))).sqrt() + 1e-8);
                *p = *p * (1.0 - NUMBERS.rate * f64::from(NUMBERS.weight_decay)) - NUMBERS.rate * delta;
            }
        }
        (p, exact)
    }

    #[test]
    fn steps_are_those_of_the_formula() {
        for count in [0, 1, 7, 100, 2 * PIECE + 3] {
            let (got, exact) = steps(count);
            assert_near(&got, &exact, 1e-6, &format!("{count} parameters"));
        }
    }

    #[test]
    fn a_parameter_without_gradients_only_decays() {
        let (mut p, mut m, mut v) = ([2.0], [0.0], [0.0]);
        step(&NUMBERS, 1, &mut p, &[0.0], &mut m, &mut v);
        assert_eq!(p, [2.0 * (1.0 - 1e-4)]);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        assert_same_on_any_threads(|| steps(5 * PIECE + 1).0);
    }
}
