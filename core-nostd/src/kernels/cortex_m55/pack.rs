//! Weights as the kernels want them: `[row][run][filter][place in the run]`, four filters a group.

use super::block::{FILTERS, RUN};
use super::copy::{copy, fill};

/// Packs the four filters from `first` on, of so many rows of `row_len` weights each. Those beyond the last are zero, as are the
/// weights that fill up rows: they meet whatever lies in memory behind the image's row.
pub(super) fn pack(weights: &[i8], (rows, row_len): (usize, usize), first: usize, packed: &mut [i8]) -> Option<()> {
    let runs = row_len.div_ceil(RUN).max(1);
    fill(packed, 0);
    let filter_len = rows * row_len;
    for (lane, filter) in weights.get(first * filter_len..)?.chunks_exact(filter_len.max(1)).take(FILTERS).enumerate() {
        let filter_rows = filter.chunks_exact(row_len.max(1));
        for (row, packed) in filter_rows.zip(packed.chunks_exact_mut((runs * RUN * FILTERS).max(1))) {
            for (run, packed) in row.chunks(RUN).zip(packed.chunks_exact_mut(RUN * FILTERS)) {
                copy(run, packed.get_mut(lane * RUN..lane * RUN + run.len())?)?;
            }
        }
    }
    Some(())
}
