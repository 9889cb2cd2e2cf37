//! Learning which slice of a volume the next line goes to.
//!
//! [`scorers`]: the segmenters that tell what lines gain. [`environment`]: volumes whose slices share a budget. [`learner`]: the
//! policy and its critic over whole volumes. [`train`]: volumes are followed; then [`warm`]: the policy learns to expect what lines gain;
//! then PPO. [`agreement`]: what int8 makes of it.

pub mod agreement;
pub mod config;
pub mod environment;
pub mod learner;
pub mod scorers;
mod task;
pub mod train;
pub mod warm;

pub use config::VolumeConfig;
pub use learner::views_of;
pub use train::{SlicePolicyInputs, load_slice_policy, train_slice_policy};
