//! Scanning a volume whose slices share a budget: a slice policy says which slice the next line goes to.
//!
//! * [`glimpse`]: what is kept of a slice's segmentation.
//! * [`view`]: what the slice policy sees of a slice, of its neighbours and of the volume.
//! * [`scan`]: the acquisition loop of a volume.
//!
//! Inside a slice lines come in the model's order ([`line_order`]), whatever is seen of it.

pub mod glimpse;
mod scale;
pub mod scan;
#[cfg(test)]
mod tests;
pub mod view;

pub use glimpse::{Glimpse, STRUCTURES};
pub use scan::{
    FIRST_LINES, MOST_OPINIONS, MOST_SLICES, VolumeError, VolumeScan, line_order, volume_arena_bytes,
    volume_arena_bytes_with, volume_multiply_accumulates, volume_other_operations,
};
pub use view::{MOST_LINES, VIEW, write_view};
