//! A line policy that a device can run: learned, or a fixed order of lines.

use std::fmt::Debug;

use burn::tensor::{Device, Tensor};

use super::{FixedOrder, FloatGraph, Scout};

/// A network that picks the next line and that a device can run.
pub trait DevicePolicy: Debug + Send + Sync {
    /// It as a graph for images of `height` by `width`.
    fn graph(&self, height: usize, width: usize) -> FloatGraph;

    /// Logits `[B, W]` of images `[B, 1, H, W]` and states `[B, W + 3]`, measured lines not yet excluded.
    fn forward(&self, images: Tensor<4>, states: Tensor<2>) -> Tensor<2>;
}

impl DevicePolicy for Scout {
    fn graph(&self, height: usize, width: usize) -> FloatGraph {
        Scout::graph(self, height, width)
    }

    fn forward(&self, images: Tensor<4>, states: Tensor<2>) -> Tensor<2> {
        Scout::forward(self, images, states)
    }
}

/// Picks the next line of a slice.
#[derive(Debug)]
pub enum LinePolicy {
    /// Looks at the image.
    Learned(Box<dyn DevicePolicy>),
    /// Measures the same lines in every scan.
    Fixed(FixedOrder),
}

impl LinePolicy {
    /// The policy as a graph for images of `height` by `width`.
    pub fn graph(&self, height: usize, width: usize) -> FloatGraph {
        match self {
            Self::Learned(policy) => policy.graph(height, width),
            Self::Fixed(order) => order.graph(height),
        }
    }

    /// Logits `[B, W]` of images `[B, 1, H, W]` and states `[B, W + 3]`, measured lines not yet excluded.
    pub fn forward(&self, images: Tensor<4>, states: Tensor<2>, device: &Device) -> Tensor<2> {
        match self {
            Self::Learned(policy) => policy.forward(images, states),
            Self::Fixed(order) => {
                let [batch, ..] = images.dims();
                Tensor::<1>::from_floats(order.logits().as_slice(), device).unsqueeze::<2>().repeat_dim(0, batch)
            }
        }
    }
}
