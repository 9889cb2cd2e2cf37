//! Hidden units of like ranges.
//!
//! All units of a layer share one int8 scale, so one whose values stay small has few steps to itself. But ReLU lets a factor
//! through: a unit whose incoming weights are divided by r and whose outgoing ones are multiplied by it computes the same
//! (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019).

use super::layers::{Layer, Layers};

/// No unit grows by more than one over this: one that calibration has seen little of may go further than it did there.
const LEAST: f32 = 0.35;

/// Brings the units of every hidden layer to the same largest value over `samples`, but none by more than a factor of about three.
pub fn equalise(layers: &mut Layers, samples: &[f32]) {
    let results = layers.run(samples);
    for (number, results) in results.iter().enumerate() {
        if let [layer, next, ..] = &mut layers.layers[number..]
            && layer.relu
        {
            let factors = factors(results, layer.bias.len());
            divide(layer, &factors);
            next.weights.chunks_exact_mut(next.width).for_each(|row| scale(row, &factors));
        }
    }
}

/// Each unit's largest value, relative to that of all.
fn factors(results: &[f32], units: usize) -> Vec<f32> {
    let mut largest = vec![0f32; units];
    for result in results.chunks_exact(units) {
        largest.iter_mut().zip(result).for_each(|(largest, &x)| *largest = largest.max(x));
    }
    let all = largest.iter().copied().fold(0f32, f32::max);
    // Where no unit ever speaks there is nothing to compare.
    largest.iter().map(|unit| if all > 0.0 { (unit / all).max(LEAST) } else { 1.0 }).collect()
}

fn divide(layer: &mut Layer, factors: &[f32]) {
    let rows = layer.weights.chunks_exact_mut(layer.width).zip(&mut layer.bias);
    for ((row, bias), factor) in rows.zip(factors) {
        row.iter_mut().for_each(|weight| *weight /= factor);
        *bias /= factor;
    }
}

fn scale(row: &mut [f32], factors: &[f32]) {
    row.iter_mut().zip(factors).for_each(|(weight, factor)| *weight *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::refine::fixture;

    #[test]
    fn equal_units_compute_what_unequal_ones_did() {
        let (before, samples) = (fixture::layers(), fixture::samples(50));
        let mut after = before.clone();
        equalise(&mut after, &samples);
        assert_ne!(after, before);
        let [before, after] = [&before, &after].map(|layers| layers.run(&samples).pop().unwrap());
        for (before, after) in before.iter().zip(&after) {
            assert!((before - after).abs() < 1e-5, "{before} {after}");
        }
    }

    #[test]
    fn units_reach_the_same_value_or_grow_as_far_as_they_may() {
        // What a unit reaches by the side of the largest one, before and after.
        let reaches = |layers: &Layers, samples: &[f32]| -> Vec<f32> {
            let results = layers.run(samples).remove(0);
            let largest = |unit| results.iter().skip(unit).step_by(16).copied().fold(0.0, f32::max);
            let all = results.iter().copied().fold(0.0, f32::max);
            (0..16).map(|unit| largest(unit) / all).collect()
        };
        let (mut layers, samples) = (fixture::layers(), fixture::samples(50));
        let before = reaches(&layers, &samples);
        equalise(&mut layers, &samples);
        for (before, after) in before.iter().zip(reaches(&layers, &samples)) {
            assert!((after - (before / LEAST).min(1.0)).abs() < 1e-4, "{after} after {before}");
        }
    }

    #[test]
    fn units_that_never_speak_stay_as_they_are() {
        assert_eq!(factors(&[0.0, 0.0], 2), [1.0, 1.0]);
        assert_eq!(factors(&[0.0, 2.0, 0.0, 1.0], 2), [LEAST, 1.0]);
    }
}
