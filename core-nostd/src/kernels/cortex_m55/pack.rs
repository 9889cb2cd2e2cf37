//! Weights as the kernels want them: `[row][run][filter][place in the run]`, four filters a group.
//!
//! # Cost
//! 1.2 to 1.4 instructions a weight where rows fill vectors of 16, 2.2 in a 1x1 kernel of 32 channels: the difference between
//! the layouts, counted in QEMU by `firmware-demo/run.sh bench m55` (Cortex-M55, `-C target-feature=+mve,+lob`, opt-level 3,
//! fat LTO).

use super::block::{FILTERS, RUN};
use super::copy::{copy, fill};
use crate::kernels::{Filters, Layout, Packing};

/// The order that [`pack`] makes.
pub(super) const PACKING: Packing = Layout::CortexM55.packing();

/// Packs the four filters from `first` on of weights in the portable layout. Those beyond the last are zero.
pub(super) fn pack(weights: &[i8], filters: Filters, first: usize, packed: &mut [i8]) -> Option<()> {
    let runs = filters.row_len.div_ceil(RUN).max(1);
    fill(packed, 0);
    let filter_len = filters.rows * filters.row_len;
    for (lane, filter) in weights.get(first * filter_len..)?.chunks_exact(filter_len.max(1)).take(FILTERS).enumerate() {
        let rows = filter.chunks_exact(filters.row_len.max(1));
        for (row, packed) in rows.zip(packed.chunks_exact_mut((runs * RUN * FILTERS).max(1))) {
            for (run, packed) in row.chunks(RUN).zip(packed.chunks_exact_mut(RUN * FILTERS)) {
                copy(run, packed.get_mut(lane * RUN..lane * RUN + run.len())?)?;
            }
        }
    }
    Some(())
}
