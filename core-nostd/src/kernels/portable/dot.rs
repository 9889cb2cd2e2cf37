//! The dot product of a 16-bit column with a 16-bit filter.
//!
//! # Cost
//! Most of what [`conv`](super::conv) and [`transpose`](super::transpose) cost: their tables have it.

/// Slices are whole blocks of so many elements.
pub(super) const BLOCK: usize = 16;

/// Sum of products of two slices of one length, a multiple of [`BLOCK`]; what one has beyond the other is left out.
/// Wraps.
///
/// A block's products are summed before they join the running sum: in that form LLVM takes products in pairs
/// (`pmaddwd` on x86, `smlal` on Arm). It stays a function of its own because LLVM loses that form among other
/// sums.
#[inline(never)]
pub(super) fn product(column: &[i16], filter: &[i16]) -> i32 {
    let (column, column_rest) = column.as_chunks::<{ 2 * BLOCK }>();
    let (filter, filter_rest) = filter.as_chunks::<{ 2 * BLOCK }>();
    let blocks = column.iter().zip(filter).map(|(column, filter)| block_product(column, filter));
    let sum = blocks.fold(0, i32::wrapping_add);
    match (column_rest.first_chunk::<BLOCK>(), filter_rest.first_chunk::<BLOCK>()) {
        (Some(column), Some(filter)) => sum.wrapping_add(block_product(column, filter)),
        _ => sum,
    }
}

#[inline(always)]
fn block_product<const N: usize>(column: &[i16; N], filter: &[i16; N]) -> i32 {
    let products = column.iter().zip(filter).map(|(&x, &w)| i32::from(x) * i32::from(w));
    products.fold(0, i32::wrapping_add)
}
