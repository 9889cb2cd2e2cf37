//! ASMR's actor-critic: sees the complex image and the number of remaining lines.

use burn::tensor::{Device, Tensor};
use kscout_core::Complex32;

use super::Agent;
use crate::inference::rollout::Observation;
use crate::net::asmr::{AsmrActorCritic, MAX_REMAINING, complex_planes, one_hot_remaining};

/// Images `[B, 2, H, W]` and one-hot remaining lines `[B, 60]`.
fn inputs(observations: &[&Observation], size: [usize; 2], device: &Device) -> (Tensor<4>, Tensor<2>) {
    let images: Vec<&[Complex32]> = observations.iter().map(|observation| observation.image.as_slice()).collect();
    let remaining: Vec<usize> = observations.iter().map(|observation| observation.remaining).collect();
    (complex_planes(&images, size, device), one_hot_remaining(&remaining, device))
}

impl Agent for AsmrActorCritic {
    const NAME: &'static str = "asmr";
    const SEES_PHASE: bool = true;
    const MOST_LINES: usize = MAX_REMAINING;

    fn new(size: [usize; 2], device: &Device) -> Self {
        AsmrActorCritic::new(size, device)
    }

    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self {
        AsmrActorCritic::beginning_with(self, logits, device)
    }

    /// One batch of first observations settles the statistics of new batch norms; from then on they are fixed.
    fn ready(self, first: Option<&[Observation]>, size: [usize; 2], device: &Device) -> Self {
        if let Some(first) = first {
            let observations: Vec<&Observation> = first.iter().collect();
            let (images, remaining) = inputs(&observations, size, device);
            self.forward(images, remaining);
        }
        self.with_fixed_norms()
    }

    fn logits(&self, observations: &[&Observation], size: [usize; 2], device: &Device) -> Tensor<2> {
        let (images, remaining) = inputs(observations, size, device);
        AsmrActorCritic::logits(self, images, remaining)
    }

    fn logits_and_values(
        &self,
        observations: &[&Observation],
        size: [usize; 2],
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>) {
        let (images, remaining) = inputs(observations, size, device);
        self.forward(images, remaining)
    }
}
