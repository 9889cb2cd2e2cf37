//! Weights rounded with an eye to each other.
//!
//! Rounding each weight to the nearest step is best only for inputs that have nothing to do with each other. The counts that
//! a slice policy sees rise and fall together, so what one weight loses another can make up for. The error of a row's sum has
//! the variance `e' C e`, e being the errors of the weights and C the covariance of the inputs. With `C = L L'` that is
//! a sum of squares, the j-th of which holds the errors from the j-th on; so the weights are rounded from the last to the first,
//! each to what leaves its square least. (L. Babai's nearest plane, Combinatorica 1986; also what E. Frantar et al.,
//! "GPTQ", ICLR 2023, come to from another side.)

use super::layers::Layer;

/// Added to every variance, as a share of the mean one, so that inputs that calibration has never seen move leave no weight free.
const DAMPING: f64 = 1e-3;

/// How inputs vary together.
pub struct Covariance {
    width: usize,
    /// `[i][j]`, both halves.
    values: Vec<f64>,
}

impl Covariance {
    /// Over samples of `width` values each, damped.
    pub fn of(samples: &[f32], width: usize) -> Self {
        let count = (samples.len() / width) as f64;
        let mut means = vec![0.0; width];
        for sample in samples.chunks_exact(width) {
            means.iter_mut().zip(sample).for_each(|(mean, &x)| *mean += f64::from(x) / count);
        }
        let mut values = vec![0.0; width * width];
        for sample in samples.chunks_exact(width) {
            let centred: Vec<f64> = sample.iter().zip(&means).map(|(&x, mean)| f64::from(x) - mean).collect();
            for (row, a) in values.chunks_exact_mut(width).zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(value, b)| *value += a * b / count);
            }
        }
        let mut covariance = Self { width, values };
        let mean = (0..width).map(|i| covariance.at(i, i)).sum::<f64>() / width as f64;
        // Inputs that never move are not told apart.
        let damping = if mean > 0.0 { DAMPING * mean } else { 1.0 };
        (0..width).for_each(|i| covariance.values[i * width + i] += damping);
        covariance
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.width + j]
    }

    /// Cholesky's factor of the inputs in `order`: the lower triangle, row by row.
    fn factor(&self, order: &[usize]) -> Vec<Vec<f64>> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(order.len());
        for (i, &a) in order.iter().enumerate() {
            let mut row = Vec::with_capacity(i + 1);
            for (j, &b) in order[..=i].iter().enumerate() {
                let other = if i == j { &row } else { &rows[j] };
                let rest = self.at(a, b) - row.iter().zip(&other[..j]).map(|(x, y)| x * y).sum::<f64>();
                row.push(if i == j { rest.sqrt() } else { rest / other[j] });
            }
            rows.push(row);
        }
        rows
    }
}

/// Rounds the weights of each output to steps of int8: to multiples of a 127th of the largest, which stays as it is, so that
/// quantisation finds the same steps. Weights of zero stay zero.
pub fn round(layer: &mut Layer, inputs: &Covariance) {
    layer.weights.chunks_exact_mut(layer.width).for_each(|row| round_row(row, inputs));
}

fn round_row(weights: &mut [f32], inputs: &Covariance) {
    let mut order: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] != 0.0).collect();
    // Ascending, because rounding goes from the last to the first: the input that varies most is rounded before any error is made.
    order.sort_by(|&a, &b| inputs.at(a, a).total_cmp(&inputs.at(b, b)));
    let sizes = |i: &usize, j: &usize| weights[*i].abs().total_cmp(&weights[*j].abs());
    let Some(largest) = order.iter().copied().max_by(sizes) else { return };
    order.retain(|&i| i != largest);
    order.push(largest);
    let step = f64::from(weights[largest].abs()) / 127.0;
    let factor = inputs.factor(&order);
    let mut errors = vec![0.0; order.len()];
    for j in (0..order.len()).rev() {
        let made: f64 = (j + 1..order.len()).map(|k| factor[k][j] * errors[k]).sum();
        let weight = f64::from(weights[order[j]]);
        let rounded = ((weight - made / factor[j][j]) / step).round().clamp(-127.0, 127.0) * step;
        errors[j] = rounded - weight;
        weights[order[j]] = rounded as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::refine::fixture;

    fn largest(row: &[f32]) -> f32 {
        row.iter().fold(0.0, |largest, weight| largest.max(weight.abs()))
    }

    /// The nearest steps.
    fn nearest(layer: &Layer) -> Layer {
        let round = |row: &[f32]| -> Vec<f32> {
            let step = largest(row) / 127.0;
            row.iter().map(|weight| (weight / step).round() * step).collect()
        };
        Layer { weights: layer.rows().flat_map(round).collect(), ..layer.clone() }
    }

    /// Mean variance of the outputs' errors.
    fn error(layer: &Layer, rounded: &Layer, samples: &[f32]) -> f64 {
        let errors: Vec<f64> =
            layer.sums(samples).iter().zip(rounded.sums(samples)).map(|(a, b)| f64::from(b - a)).collect();
        let outputs = layer.bias.len();
        let of = |output: usize| -> Vec<f64> { errors.iter().skip(output).step_by(outputs).copied().collect() };
        let variance = |errors: Vec<f64>| {
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / errors.len() as f64
        };
        (0..outputs).map(|output| variance(of(output))).sum::<f64>() / outputs as f64
    }

    #[test]
    fn inputs_that_vary_together_are_rounded_better_than_to_the_nearest_step() {
        let layer = fixture::layers().layers.remove(0);
        let mut rounded = layer.clone();
        round(&mut rounded, &Covariance::of(&fixture::samples(400), layer.width));
        // The last are samples that calibration has not seen.
        let unseen = fixture::samples(800).split_off(400 * layer.width);
        let (ours, plain) = (error(&layer, &rounded, &unseen), error(&layer, &nearest(&layer), &unseen));
        assert!(ours < plain / 3.0, "{ours} {plain}");
    }

    #[test]
    fn inputs_that_have_nothing_in_common_are_rounded_to_the_nearest_step() {
        let layer = fixture::layers().layers.remove(0);
        let mut rounded = layer.clone();
        round(&mut rounded, &Covariance::of(&vec![0.5; 3 * layer.width], layer.width));
        let expected = nearest(&layer);
        assert!(rounded.weights.iter().zip(&expected.weights).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn rounded_weights_are_steps_of_their_largest() {
        let before = fixture::layers().layers.remove(1);
        let mut layer = before.clone();
        round(&mut layer, &Covariance::of(&fixture::samples(400), before.width));
        for (row, before) in layer.rows().zip(before.rows()) {
            assert_eq!(largest(row), largest(before));
            for (weight, before) in row.iter().zip(before) {
                let steps = 127.0 * weight / largest(row);
                assert!((steps - steps.round()).abs() < 1e-3, "{steps}");
                assert_eq!(*weight == 0.0, *before == 0.0 || steps.round() == 0.0);
            }
        }
    }

    #[test]
    fn a_factor_times_itself_is_the_covariance() {
        let covariance = Covariance::of(&fixture::samples(400), fixture::INPUTS);
        let order = [4, 0, 3];
        let factor = covariance.factor(&order);
        for (i, &a) in order.iter().enumerate() {
            for (j, &b) in order.iter().enumerate() {
                let product: f64 = factor[i].iter().zip(&factor[j]).map(|(x, y)| x * y).sum();
                assert!((product - covariance.at(a, b)).abs() < 1e-12);
            }
        }
    }
}
