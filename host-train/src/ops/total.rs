//! Sums and means over all values of a tensor.

use burn::tensor::Tensor;

use super::values::is_cpu;

/// The sum of all values, `[1]`.
///
/// On a GPU axis by axis: burn's own adds up by atomics, in another order each time, so that a run would not repeat itself, and the
/// compiler of Mesa's program in the place of a GPU, up to 22.3 at least, crashes on it.
pub fn sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if is_cpu(&x.device()) {
        return x.sum();
    }
    (0..D).rev().fold(x, |x, axis| x.sum_dim(axis)).reshape([1])
}

/// The mean of all values, `[1]`.
pub fn mean<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if is_cpu(&x.device()) {
        return x.mean();
    }
    let count = x.shape().num_elements();
    sum(x).div_scalar(count as f64)
}
