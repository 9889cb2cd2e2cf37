//! Operators of the networks for training and evaluating on the CPU, where burn's own are slow.
//!
//! Each is a function of tensors like burn's, held to burn's by tests, with a backward pass of its own. It runs by `kernels` and
//! by loops over planes on the CPU device in f32; on other devices and in other types the function calls burn's. All cores work;
//! what is summed is cut into parts by the shapes alone, so that any number of threads gives the same bytes.
//!
//! | function | operator |
//! |---|---|
//! | [`conv2d`], [`conv3x3`], [`linear`], [`up_conv`] | convolutions, a layer over the channels of each pixel, doubling |
//! | `batch_norm`, `channel_norm` | batch norm with its ReLU, layer norm over channels |
//! | [`pool2`], [`upsample2`] | halving and doubling |
//! | [`relu`], [`gelu`], `shift` | activations, the shift of UNeXt's channel groups |
//! | `cross_entropy_dice` | the usual loss |
//! | [`sum`], [`mean`] | over all values, in the same order every time on a GPU too |

mod activation;
mod batch_norm;
mod channel_norm;
mod convolution;
mod cross_entropy_dice;
pub(crate) mod kernels;
mod operator;
mod pool;
mod precision;
mod shift;
#[cfg(test)]
mod tests;
mod total;
mod upsample;
mod values;
mod vectors;

pub use activation::{gelu, relu};
pub use batch_norm::batch_norm;
pub use channel_norm::channel_norm;
pub use convolution::{conv2d, conv3x3, linear, up_conv};
pub use cross_entropy_dice::cross_entropy_dice;
pub use pool::pool2;
pub use precision::{Precision, with_precision};
pub use shift::{Axis, shift};
pub use total::{mean, sum};
pub use upsample::upsample2;
pub use values::{is_cpu, runs_here};

/// Whether this processor multiplies pairs of bf16, which [`Precision::Bf16`] makes products of.
pub fn has_bf16_products() -> bool {
    kernels::simd::Set::of(Precision::Bf16).is_bf16()
}
