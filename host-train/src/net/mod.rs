//! The networks, in burn, and as plain graphs for the exporter.
//!
//! `segmenters`: the segmenters by name, a file a network, and one type for them all. `scout`: the policy.
//! `fixed_order`: lines in a fixed order as a policy;
//! `line_policy`: that or `scout`. `slice_policy`: the policy that shares a budget among slices.
//! [`asmr`]: ASMR's policy and classifier of k-space, on a [`resnet`]. `graph`: a network as a list of operators.
//! [`import`](mod@import): weights from PyTorch.

pub mod asmr;
mod drawn;
pub(crate) mod fixed_order;
pub(crate) mod graph;
pub mod import;
mod layers;
pub(crate) mod line_policy;
mod lower;
pub mod resnet;
pub(crate) mod scout;
pub(crate) mod segmenters;
pub(crate) mod slice_policy;

pub use drawn::drawn;
pub use fixed_order::FixedOrder;
pub use graph::FloatGraph;
pub use line_policy::{DevicePolicy, LinePolicy};
pub use scout::{Critic, Scout};
pub use segmenters::{Arch, Segmenter, SegmenterSpec};
pub use slice_policy::{SlicePolicy, VolumeCritic};
