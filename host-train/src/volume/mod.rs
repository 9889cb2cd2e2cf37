//! Volumes whose slices share a budget.
//!
//! Inside a slice the lines come in one order, so what a slice looks like after n lines does not depend on the other
//! slices: a [`Trajectory`](trajectory::Trajectory) holds it for every n, and [`VolumeTrajectories`] those of a volume.
//! [`AllocationEnv`], which shares a budget, then only looks things up, and a thousand decisions cost what one segmentation does.
//!
//! [`allocate`]: who gets the next line: uniform, or by an oracle; [`position`]: by a slice's place. What learns to say so is
//! in [`rl::volume`](crate::rl::volume).

pub mod allocate;
pub(crate) mod allocation;
pub mod position;
pub mod trajectories;
pub mod trajectory;

pub use allocate::Allocate;
pub use allocation::AllocationEnv;
pub use position::ByPosition;
pub use trajectories::VolumeTrajectories;
