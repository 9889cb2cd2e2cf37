//! What networks answer, as numbers: the one way out of a tensor.
//!
//! A network whose weights are damaged, or that was not trained to an end, gives values that are no numbers. No class, line or score may
//! come of those: every comparison with them is false, so that all would be background, in silence.

use burn::tensor::Tensor;

/// A network has answered with something that is no number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the {network} gives no numbers ({value} is among what it answers): its weights are damaged, or it was not trained to an end; \
     take another checkpoint, or train again with a lower `learning_rate`"
)]
pub struct NoNumbers {
    network: &'static str,
    value: f32,
}

/// The values of `tensor`, row-major, which `network` has answered with.
///
/// # Errors
/// [`NoNumbers`] if one of them is infinite or none.
pub fn numbers<const D: usize>(tensor: Tensor<D>, network: &'static str) -> Result<Vec<f32>, NoNumbers> {
    let values = tensor.into_data().convert::<f32>().try_into_vec::<f32>().expect("converted to f32");
    check(&values, network)?;
    Ok(values)
}

/// Refuses `values`, which `network` has answered with, if one of them is infinite or no number.
///
/// # Errors
/// [`NoNumbers`] then.
pub fn check(values: &[f32], network: &'static str) -> Result<(), NoNumbers> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(NoNumbers { network, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, FloatDType};

    use super::*;

    #[test]
    fn what_is_no_number_is_refused_whatever_the_precision() {
        let device = Device::flex();
        let tensor = |values: [f32; 3]| Tensor::<1>::from_data(values, &device);
        assert_eq!(numbers(tensor([1.0, -2.5, 0.0]), "segmenter"), Ok(vec![1.0, -2.5, 0.0]));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = numbers(tensor([1.0, value, 0.0]), "segmenter").unwrap_err().to_string();
            assert!(error.contains("the segmenter gives no numbers") && error.contains("checkpoint"), "{error}");
        }
        assert!(numbers(tensor([1e30, 0.0, 0.0]).cast(FloatDType::F16), "policy").is_err(), "beyond f16");
    }
}
