//! Values in steps finer than int8's.
//!
//! A value is computed several times, each time shifted by another fraction of a step before it is rounded: the sum goes in steps as
//! fine as that fraction (Hermite's identity: floor(nx) is the sum of floor(x + k/n) over k < n). It costs the
//! multiply-accumulates of as many values.

use super::layers::Layer;

/// Has the results of `layer`, in steps of `step`, come out `times` times, all of them once, then all of them again; `next`,
/// which reads them, takes their mean.
pub fn read(layer: &mut Layer, next: Option<&mut Layer>, times: usize, step: f32) {
    let outputs = layer.bias.len();
    layer.weights = layer.weights.repeat(times);
    layer.bias = layer.bias.repeat(times);
    for (k, bias) in layer.bias.chunks_exact_mut(outputs).enumerate() {
        bias.iter_mut().for_each(|bias| *bias += shift(k, times) * step);
    }
    if let Some(next) = next {
        next.weights = repeated(&next.weights, outputs, times);
        next.weights.iter_mut().for_each(|weight| *weight /= times as f32);
        next.width = outputs * times;
    }
}

/// Every row of `width` values `times` times in a row.
pub fn repeated(rows: &[f32], width: usize, times: usize) -> Vec<f32> {
    rows.chunks_exact(width).flat_map(|row| row.repeat(times)).collect()
}

/// Fractions of a step that lie evenly about zero, so that the mean stays what it is.
fn shift(k: usize, times: usize) -> f32 {
    (k as f32 - (times - 1) as f32 / 2.0) / times as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::refine::fixture;

    #[test]
    fn sixteen_readings_tell_a_sixteenth_of_a_step() {
        let mut layer = Layer { width: 1, weights: vec![1.0], bias: vec![0.25], relu: false };
        let (times, step) = (16, 0.5);
        read(&mut layer, None, times, step);
        for thousandth in 0..2000 {
            let x = thousandth as f32 / 1000.0;
            let sum: f32 = layer.sums(&[x]).iter().map(|y| (y / step).round()).sum();
            let mean = sum * step / times as f32;
            assert!((mean - x - 0.25).abs() <= step / 32.0 + 1e-5, "{mean} for {x}");
        }
    }

    #[test]
    fn layers_that_read_twice_compute_the_same() {
        let (mut layers, samples) = (fixture::layers(), fixture::samples(20));
        let before = layers.run(&samples);
        let [first, second, _] = &mut layers.layers[..] else { panic!("three layers") };
        read(first, Some(second), 2, 0.0);
        let after = layers.run(&samples);
        assert_eq!(after[0], repeated(&before[0], 16, 2));
        assert!(before[2].iter().zip(&after[2]).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
