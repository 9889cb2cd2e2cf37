//! Asking trained networks: segmenting images, diagnosing them, and scans whose lines a policy chooses.
//!
//! * [`segment`]: segmenters in int8 or in real numbers, behind one trait. `diagnose`: classifiers.
//! * [`rollout`]: scans of slices whose k-space is at hand. `partial_scan`: those whose lines no exported network chooses.
//! * [`numbers`](mod@numbers): the one way out of a tensor, which lets no NaN pass.

pub(crate) mod diagnose;
pub mod numbers;
pub(crate) mod partial_scan;
pub mod rollout;
pub mod segment;
