//! What a convolution prepares for some groups of sixteen filters: packed weights, and their channels' biases and scales
//! in vectors.
//!
//! # Cost
//! Packing takes about 52 to 58 picoseconds a weight, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without
//! flags, opt-level 3: the best times of four runs of `tests/targets/run.sh bench x86-64`, a linear layer of 131 to 128 with
//! weights in either layout. Weights in the set's own layout need none.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::lanes::{Factors, Lanes, shifts};
#[cfg(doc)]
use crate::kernels::Layout;
use crate::kernels::{Channel, ChannelParams, Filters};

/// Filters side by side in a vector.
pub(super) const GROUP: usize = 16;
/// Weights of a filter that lie together.
pub(super) const RUN: usize = 4;

/// Bias and scale of sixteen filters.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Channels {
    bias: [i32; GROUP],
    multiplier: [i32; GROUP],
    left: [i32; GROUP],
    right: [i32; GROUP],
}

impl Channels {
    pub(super) const EMPTY: Self =
        Self { bias: [0; GROUP], multiplier: [0; GROUP], left: [0; GROUP], right: [0; GROUP] };

    /// Of sixteen filters. `sums` are those of each filter's weights: activations come with `zero` more than they stand
    /// for, which the bias takes off again. `channel` says whose record a filter uses.
    pub(super) fn new(
        params: &ChannelParams<'_>,
        channel: impl Fn(usize) -> usize,
        sums: &[i32; GROUP],
        zero: i32,
    ) -> Self {
        let mut all = Self::EMPTY;
        let lanes = all.bias.iter_mut().zip(&mut all.multiplier).zip(all.left.iter_mut().zip(&mut all.right));
        for (lane, ((bias, multiplier), (left, right))) in lanes.enumerate() {
            let none = Channel { bias: 0, requant: crate::quant::Requant { multiplier: 0, shift: 0 } };
            let record = params.get(channel(lane)).unwrap_or(none);
            let sum = sums.get(lane).copied().unwrap_or(0);
            *bias = record.bias.wrapping_sub(sum.wrapping_mul(zero));
            *multiplier = record.requant.multiplier;
            (*left, *right) = shifts(record.requant.shift);
        }
        all
    }

    /// The biases, where accumulation begins.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    pub(super) unsafe fn bias<L: Lanes>(&self) -> L::V {
        // SAFETY: sixteen values are read where sixteen are.
        unsafe { L::load(self.bias.as_ptr()) }
    }

    /// The scales.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    pub(super) unsafe fn factors<L: Lanes>(&self) -> Factors<L> {
        // SAFETY: as above, three times.
        unsafe {
            Factors::new(L::load(self.multiplier.as_ptr()), L::load(self.left.as_ptr()), L::load(self.right.as_ptr()))
        }
    }
}

/// Runs of a row.
pub(super) const fn runs(filters: Filters) -> usize {
    filters.row_len.div_ceil(RUN)
}

/// Bytes of a packed group.
pub(super) const fn group_bytes(filters: Filters) -> usize {
    filters.rows.saturating_mul(runs(filters)).saturating_mul(GROUP * RUN)
}

/// Packs group `group` of weights `[filter][row][k]`, all of `to`, as [`Layout::X86_64`] does. `None` if it has another
/// length than [`group_bytes`].
pub(super) fn pack(all: Filters, weights: &[i8], group: usize, to: &mut [u8]) -> Option<()> {
    if to.len() != group_bytes(all) {
        return None;
    }
    let len = all.rows * all.row_len;
    let first = weights.get(group * GROUP * len..)?;
    to.fill(0);
    let four = first.chunks(4 * len.max(1)).zip((0..GROUP).step_by(4));
    for (filters, lane) in four {
        let rows = to.chunks_exact_mut((runs(all) * GROUP * RUN).max(1));
        for (row, to) in rows.enumerate() {
            let mut from = filters.chunks_exact(len.max(1)).map(|f| f.get(row * all.row_len..)?.get(..all.row_len));
            let four = [from.next().flatten(), from.next().flatten(), from.next().flatten(), from.next().flatten()];
            pack_four(four, lane, to);
        }
    }
    Some(())
}

/// One row of up to four filters to their places in vectors of sixteen, `lane` being the first one's; blocks of four runs at
/// a time where there are four filters.
fn pack_four(rows: [Option<&[i8]>; 4], lane: usize, to: &mut [u8]) {
    let (vectors, _) = to.as_chunks_mut::<{ GROUP * RUN }>();
    let mut done = 0;
    if let [Some(a), Some(b), Some(c), Some(d)] = rows {
        let blocks = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
        let blocks = blocks.zip(c.as_chunks::<16>().0.iter().zip(d.as_chunks::<16>().0));
        for (to, ((a, b), (c, d))) in vectors.chunks_exact_mut(4).zip(blocks) {
            for (to, quad) in to.iter_mut().zip(transpose([a, b, c, d])) {
                if let Some(to) = to.get_mut(lane * RUN..).and_then(|to| to.first_chunk_mut()) {
                    *to = quad;
                }
            }
            done += 16;
        }
    }
    for (index, row) in rows.into_iter().enumerate() {
        let rest = row.and_then(|row| row.get(done..)).unwrap_or_default();
        for (run, to) in rest.chunks(RUN).zip(vectors.iter_mut().skip(done / RUN)) {
            let place = to.iter_mut().skip((lane + index) * RUN);
            place.zip(run).for_each(|(to, &w)| *to = w as u8);
        }
    }
}

/// Four rows of four runs as four columns.
#[inline(always)]
fn transpose(rows: [&[i8; 16]; 4]) -> [[u8; 16]; 4] {
    let mut columns = [[0; 16]; 4];
    // SAFETY: SSE2 is part of x86-64; sixteen bytes are read and written where sixteen are.
    unsafe {
        let [a, b, c, d] = rows.map(|row| _mm_loadu_si128(row.as_ptr().cast()));
        let (ab, ab_high) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        let (cd, cd_high) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
        let runs = [
            _mm_unpacklo_epi64(ab, cd),
            _mm_unpackhi_epi64(ab, cd),
            _mm_unpacklo_epi64(ab_high, cd_high),
            _mm_unpackhi_epi64(ab_high, cd_high),
        ];
        columns.iter_mut().zip(runs).for_each(|(to, run)| _mm_storeu_si128(to.as_mut_ptr().cast(), run));
    }
    columns
}

/// The sum of each filter's weights in a packed group.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn sums<L: Lanes>(packed: &[u8]) -> [i32; GROUP] {
    let ones = [1u8; RUN];
    let mut sums = [0; GROUP];
    // SAFETY: what is read and written are whole chunks and arrays.
    unsafe {
        let ones = L::activations(ones.as_ptr());
        let mut acc = [L::splat(0); 4];
        let mut chunks = packed.chunks_exact(4 * GROUP * RUN);
        for four in &mut chunks {
            for (index, acc) in acc.iter_mut().enumerate() {
                *acc = L::dot(*acc, ones, L::weights(four.as_ptr().add(index * GROUP * RUN)));
            }
        }
        let [mut first, second, third, fourth] = acc;
        for one in chunks.remainder().chunks_exact(GROUP * RUN) {
            first = L::dot(first, ones, L::weights(one.as_ptr()));
        }
        L::store(sums.as_mut_ptr(), L::add(L::add(first, second), L::add(third, fourth)));
    }
    sums
}
