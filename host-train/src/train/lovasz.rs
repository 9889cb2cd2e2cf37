//! Lovasz-softmax: a surface through the Jaccard loss that has slopes.
//!
//! Source: Berman, Triki and Blaschko, "The Lovasz-Softmax loss", CVPR 2018. For a class c, a pixel's error is
//! `m = |t - p|`. With the errors sorted from the largest down, the loss is the sum of `m_i (J_i - J_{i-1})`, where J_i is
//! the Jaccard loss `1 - |intersection| / |union|` of the prediction that is wrong in the first i pixels and right in all
//! others. For a hard prediction that is its Jaccard loss. It is taken over the whole batch and averaged, with the class
//! weights, over the classes that the truth has.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::ops;

/// The loss of the probabilities `p` and the one-hot `target`, both `[B, C, H, W]`; `class_weights` are C.
///
/// The sorting and the differences of J are done on the host in f64: near the end of the order they are differences of
/// nearly equal numbers, which f32 would lose.
pub fn lovasz_softmax(p: Tensor<4>, target: &Tensor<4>, class_weights: &[f64]) -> Tensor<1> {
    let (shape, device) = (p.dims(), p.device());
    let errors = (target.clone() - p).abs();
    let values = |x: &Tensor<4>| x.clone().into_data().try_into_vec::<f32>().expect("f32");
    let slopes = slopes(&values(&errors.clone().detach()), &values(target), shape, class_weights);
    ops::sum(errors * Tensor::<4>::from_data(TensorData::new(slopes, shape), &device))
}

/// What each error is multiplied by, `[B, C, H, W]`.
fn slopes(errors: &[f32], target: &[f32], [batch, classes, height, width]: [usize; 4], weights: &[f64]) -> Vec<f32> {
    let plane = height * width;
    let at = |class: usize, i: usize| (i / plane * classes + class) * plane + i % plane;
    let of_class = |class: usize| {
        let truth: Vec<bool> = (0..batch * plane).map(|i| target[at(class, i)] > 0.5).collect();
        let error: Vec<f32> = (0..batch * plane).map(|i| errors[at(class, i)]).collect();
        class_slopes(&error, &truth)
    };
    let of_classes: Vec<Option<Vec<f64>>> = (0..classes).into_par_iter().map(of_class).collect();
    let present = |&class: &usize| of_classes[class].is_some();
    let total: f64 = (0..classes).filter(present).map(|class| weights[class]).sum();
    let mut slopes = vec![0.0; errors.len()];
    if total > 0.0 {
        for (class, of_class) in of_classes.iter().enumerate() {
            for (i, slope) in of_class.iter().flatten().enumerate() {
                slopes[at(class, i)] = (slope * weights[class] / total) as f32;
            }
        }
    }
    slopes
}

/// `J_i - J_{i-1}` for each pixel, in the pixels' own order; `None` for a class that the truth does not have.
fn class_slopes(errors: &[f32], truth: &[bool]) -> Option<Vec<f64>> {
    let positives = truth.iter().filter(|&&t| t).count();
    if positives == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..errors.len()).collect();
    order.sort_unstable_by(|&a, &b| errors[b].total_cmp(&errors[a]).then(a.cmp(&b)));
    let mut slopes = vec![0.0; errors.len()];
    let (mut missed, mut added, mut before) = (0, 0, 0.0);
    for pixel in order {
        if truth[pixel] {
            missed += 1
        } else {
            added += 1
        }
        let jaccard = 1.0 - (positives - missed) as f64 / (positives + added) as f64;
        slopes[pixel] = jaccard - before;
        before = jaccard;
    }
    Some(slopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    const SHAPE: [usize; 4] = [2, 4, 2, 3];

    fn one_hot(classes: &[usize; 12]) -> Vec<f32> {
        let mut values = vec![0.0; 48];
        for (i, class) in classes.iter().enumerate() {
            values[(i / 6 * 4 + class) * 6 + i % 6] = 1.0;
        }
        values
    }

    fn loss(p: Vec<f32>, target: Vec<f32>, weights: [f64; 4]) -> f64 {
        let device = Device::flex();
        let tensor = |values| Tensor::<4>::from_data(TensorData::new(values, SHAPE), &device);
        f64::from(lovasz_softmax(tensor(p), &tensor(target), &weights).into_scalar::<f32>())
    }

    fn jaccard_loss(predicted: &[usize], truth: &[usize], class: usize) -> Option<f64> {
        let count = |f: &dyn Fn(bool, bool) -> bool| {
            predicted.iter().zip(truth).filter(|&(&p, &t)| f(p == class, t == class)).count() as f64
        };
        let positives = count(&|_, t| t);
        (positives > 0.0).then(|| 1.0 - count(&|p, t| p && t) / count(&|p, t| p || t))
    }

    const TRUTH: [usize; 12] = [0, 0, 1, 1, 2, 2, 0, 1, 1, 0, 0, 2];
    const PREDICTED: [usize; 12] = [0, 1, 1, 1, 2, 0, 0, 3, 1, 0, 2, 2];

    #[test]
    fn a_hard_prediction_costs_its_mean_jaccard_loss_over_the_classes_present() {
        let each: Vec<f64> = (0..4).filter_map(|class| jaccard_loss(&PREDICTED, &TRUTH, class)).collect();
        assert_eq!(each.len(), 3, "class 3 is predicted once and never true");
        let mean = each.iter().sum::<f64>() / 3.0;
        assert!((loss(one_hot(&PREDICTED), one_hot(&TRUTH), [1.0; 4]) - mean).abs() < 1e-6);
        let weighted = (each[0] + 5.0 * each[1] + 2.0 * each[2]) / 8.0;
        assert!((loss(one_hot(&PREDICTED), one_hot(&TRUTH), [1.0, 5.0, 2.0, 9.0]) - weighted).abs() < 1e-6);
        assert_eq!(loss(one_hot(&TRUTH), one_hot(&TRUTH), [1.0; 4]), 0.0);
    }

    #[test]
    fn soft_errors_are_weighed_in_their_order() {
        // Truth 1, 1, 0 and errors 0.2, 0.6, 0.5. Sorted: 0.6 (missed), 0.5 (added), 0.2 (missed);
        // J: 1 - 1/2 = 1/2, 1 - 1/3 = 2/3, 1 - 0/3 = 1.
        let slopes = class_slopes(&[0.2, 0.6, 0.5], &[true, true, false]).unwrap();
        let expected = [1.0 / 3.0, 0.5, 1.0 / 6.0];
        assert!(slopes.iter().zip(expected).all(|(s, e)| (s - e).abs() < 1e-12), "{slopes:?}");
        assert_eq!(class_slopes(&[0.2], &[false]), None);
    }

    #[test]
    fn a_truth_without_any_weighted_class_costs_nothing() {
        assert_eq!(loss(one_hot(&PREDICTED), one_hot(&[0; 12]), [0.0, 1.0, 1.0, 1.0]), 0.0);
    }
}
