//! Scanning a volume whose slices share a budget: a slice policy says which slice the next line goes to.
//!
//! * [`slice_stats`]: what is kept of a slice's segmentation.
//! * [`tracker`]: all slices of a volume, watched from line to line.
//! * [`features`]: what the slice policy sees of a slice, of its neighbours and of the volume.
//! * [`place`]: where in a volume a line goes.
//! * [`scan`]: the acquisition loop of a volume.
//!
//! Inside a slice lines come in the model's order ([`line_order`]), whatever is seen of it.

pub mod error;
pub mod features;
pub mod place;
mod scale;
pub mod scan;
pub mod slice_stats;
#[cfg(test)]
mod tests;
pub mod tracker;

pub use error::{SliceError, VolumeError, VolumePushError, VolumeSetupError};
pub use features::write_features;
pub use place::{MOST_SLICES, Place};
pub use scan::{
    VolumeScan, line_order, volume_arena_bytes, volume_arena_bytes_with, volume_multiply_accumulates,
    volume_other_operations,
};
pub use slice_stats::{STRUCTURES, SliceStats};
pub use tracker::SliceTracker;
