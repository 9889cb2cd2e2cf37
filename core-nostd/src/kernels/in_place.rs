//! Operators whose output takes the place of an input, by way of the stack: what [`Kernels`] does for a set that has
//! nothing better.

use super::{Add, Kernels, Table};

/// Values that pass through the stack at once.
const CHUNK: usize = 64;

pub(super) fn table<K: Kernels + ?Sized>(kernels: &K, op: &Table<'_>, values: &mut [i8]) {
    let mut copy = [0; CHUNK];
    for chunk in values.chunks_mut(CHUNK) {
        if let Some(copy) = copied(&mut copy, chunk) {
            kernels.table(op, copy, chunk);
        }
    }
}

/// `None` stands for the values that the sum replaces.
pub(super) fn add<K: Kernels + ?Sized>(kernels: &K, op: &Add, a: Option<&[i8]>, b: Option<&[i8]>, values: &mut [i8]) {
    let right = |part: Option<&[i8]>| part.is_none_or(|part| part.len() == op.len);
    if values.len() != op.len || !right(a) || !right(b) {
        return;
    }
    let mut copy = [0; CHUNK];
    for (index, chunk) in values.chunks_mut(CHUNK).enumerate() {
        let Some(copy) = copied(&mut copy, chunk) else { continue };
        let start = index.saturating_mul(CHUNK);
        let part = |values: &'_ [i8]| start..values.len().min(start.saturating_add(CHUNK));
        let a = a.map_or(Some(copy), |a| a.get(part(a)));
        let b = b.map_or(Some(copy), |b| b.get(part(b)));
        if let (Some(a), Some(b)) = (a, b) {
            kernels.add(&Add { len: chunk.len(), ..*op }, a, b, chunk);
        }
    }
}

fn copied<'c>(copy: &'c mut [i8; CHUNK], values: &[i8]) -> Option<&'c [i8]> {
    let part = copy.get_mut(..values.len())?;
    // Not `copy_from_slice`, which checks the lengths once more with a panic.
    part.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
    Some(part)
}
