//! The slice policy and its critic, over whole volumes at once.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::contract::FEATURES;

use crate::net::{SlicePolicy, VolumeCritic};
use crate::volume::{Allocate, AllocationEnv, VolumeTrajectories};

/// Lines a slice on average, in turn, of the scans that int8 is calibrated on.
const CALIBRATION_BUDGETS: [usize; 5] = [6, 8, 12, 16, 24];

/// Added to a logit that must not be chosen.
const NEVER: f32 = -1e9;

/// What trains together.
#[derive(Module, Debug)]
pub struct VolumeActorCritic {
    /// Chooses slices.
    pub policy: SlicePolicy,
    /// Values volumes.
    pub critic: VolumeCritic,
}

/// What is seen of a volume.
#[derive(Clone, Debug)]
pub struct VolumeObservation {
    /// The features of each slice.
    pub features: Vec<[i8; FEATURES]>,
    /// Whether a slice may have another line.
    pub open: Vec<bool>,
}

impl VolumeObservation {
    /// The scan as it stands.
    pub fn of(scan: &AllocationEnv<'_>) -> Self {
        let mut open = vec![false; scan.lines().len()];
        scan.open().for_each(|slice| open[slice] = true);
        Self { features: scan.features(), open }
    }
}

/// Features `[N, FEATURES]` in real numbers.
pub fn features<'a>(features: impl Iterator<Item = &'a [i8; FEATURES]>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = features.flatten().map(|&value| f32::from(value) / 127.0).collect();
    let rows = values.len() / FEATURES;
    Tensor::from_data(TensorData::new(values, [rows, FEATURES]), device)
}

impl VolumeActorCritic {
    /// Random weights.
    pub fn new(device: &Device) -> Self {
        Self { policy: SlicePolicy::new(device), critic: VolumeCritic::new(device) }
    }

    /// Log-probabilities `[B, S]` of the slices, S being the most slices of a volume, and values `[B]`.
    /// The logits are those of the policy times `sharpness`.
    pub fn evaluate(
        &self,
        observations: &[&VolumeObservation],
        sharpness: f64,
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>) {
        let (batch, most) =
            (observations.len(), observations.iter().map(|observation| observation.features.len()).max().unwrap_or(0));
        let blank = [0; FEATURES];
        let padded = observations
            .iter()
            .flat_map(|observation| (0..most).map(|s| observation.features.get(s).unwrap_or(&blank)));
        let seen = features(padded, device);
        let of_slices = |value: &dyn Fn(&VolumeObservation, usize) -> f32| {
            let values: Vec<f32> =
                observations.iter().flat_map(|observation| (0..most).map(|s| value(observation, s))).collect();
            Tensor::<2>::from_data(TensorData::new(values, [batch, most]), device)
        };
        let closed = of_slices(&|observation, s| if observation.open.get(s) == Some(&true) { 0.0 } else { NEVER });
        let shares = of_slices(&|observation, s| {
            if s < observation.features.len() { 1.0 / observation.features.len() as f32 } else { 0.0 }
        });
        let logits = self.policy.forward(seen.clone()).reshape([batch, most]).mul_scalar(sharpness);
        (log_softmax(logits + closed, 1), self.critic.forward(seen.reshape([batch, most, FEATURES]), shares))
    }
}

/// Gives each line to the slice with the largest expected gain, the first of equal ones.
pub struct Learned<'a> {
    /// The policy, without gradients.
    pub policy: &'a SlicePolicy,
    /// Where it runs.
    pub device: &'a Device,
}

impl Allocate for Learned<'_> {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize> {
        let seen: Vec<Vec<[i8; FEATURES]>> = scans.iter().map(|scan| scan.features()).collect();
        let logits = self.policy.forward(features(seen.iter().flatten(), self.device)).into_data();
        let logits = logits.try_into_vec::<f32>().expect("f32");
        let mut rest = logits.as_slice();
        let mut best = |scan: &&AllocationEnv<'_>| {
            let (own, others) = rest.split_at(scan.lines().len());
            rest = others;
            scan.open().reduce(|best, slice| if own[slice] > own[best] { slice } else { best }).expect("an open slice")
        };
        scans.iter().map(&mut best).collect()
    }
}

/// What `policy` sees of `volumes` while it shares budgets from few lines to many: what its int8 form is calibrated on.
pub fn views_of(policy: &SlicePolicy, volumes: &[VolumeTrajectories], device: &Device) -> Vec<[i8; FEATURES]> {
    let learned = Learned { policy, device };
    let mut seen = Vec::new();
    for (number, volume) in volumes.iter().enumerate() {
        let mean = CALIBRATION_BUDGETS[number % CALIBRATION_BUDGETS.len()];
        let mut scan = AllocationEnv::new(volume, mean);
        while scan.left() > 0 {
            seen.extend(scan.features());
            let slice = learned.next(&[&scan])[0];
            scan.give(slice);
        }
    }
    seen
}
