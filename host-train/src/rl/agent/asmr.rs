//! ASMR's actor-critic: sees the complex image and the number of remaining lines.

use burn::tensor::{Device, Tensor};
use kscout_core::Complex32;

use super::Agent;
use crate::net::FloatGraph;
use crate::net::asmr::{AsmrActorCritic, complex_planes, one_hot_remaining};
use crate::play::Sight;
use crate::rl::config::PolicyNetwork;

/// Images `[B, 2, H, W]` and one-hot remaining lines `[B, 60]`.
fn inputs(sights: &[&Sight], size: [usize; 2], device: &Device) -> (Tensor<4>, Tensor<2>) {
    let images: Vec<&[Complex32]> = sights.iter().map(|sight| sight.image.as_slice()).collect();
    let remaining: Vec<usize> = sights.iter().map(|sight| sight.remaining).collect();
    (complex_planes(&images, size, device), one_hot_remaining(&remaining, device))
}

impl Agent for AsmrActorCritic {
    const NETWORK: PolicyNetwork = PolicyNetwork::Asmr;
    const SEES_PHASE: bool = true;

    fn new(size: [usize; 2], device: &Device) -> Self {
        AsmrActorCritic::new(size, device)
    }

    fn beginning_with(self, logits: Tensor<1>, device: &Device) -> Self {
        AsmrActorCritic::beginning_with(self, logits, device)
    }

    /// One batch of first sights settles the statistics of new batch norms; from then on they are fixed.
    fn ready(self, first: Option<&[Sight]>, size: [usize; 2], device: &Device) -> Self {
        if let Some(first) = first {
            let sights: Vec<&Sight> = first.iter().collect();
            let (images, remaining) = inputs(&sights, size, device);
            self.forward(images, remaining);
        }
        self.with_fixed_norms()
    }

    fn logits(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> Tensor<2> {
        let (images, remaining) = inputs(sights, size, device);
        AsmrActorCritic::logits(self, images, remaining)
    }

    fn logits_and_values(&self, sights: &[&Sight], size: [usize; 2], device: &Device) -> (Tensor<2>, Tensor<1>) {
        let (images, remaining) = inputs(sights, size, device);
        self.forward(images, remaining)
    }

    fn graph(&self, _: [usize; 2]) -> Option<FloatGraph> {
        None
    }
}
