//! Convolution, ordinary and transposed: a block of positions by a block of filters in registers.
//!
//! A window's rows lie contiguous in the padded copy of the input ([`band`](super::band)), so the block walks them four
//! bytes at a time: each four meet the four weights of sixteen filters in one VPDPBUSD. No columns are gathered.
//!
//! # Cost
//! Picoseconds a multiply-accumulate, padding included, one core of an AMD EPYC (Zen 5) at about 4.4 GHz, rustc 1.95 without
//! flags, opt-level 3: the best times of four runs of `tests/targets/run.sh bench x86-64`, packing of weights included.
//! VPDPBUSD's own limit is 1.8 with AVX-512, twice that with AVX-VNNI.
//!
//! | layer | portable kernels | AVX2 | AVX-VNNI | AVX-512 |
//! |---|---|---|---|---|
//! | 3x3 64x64 16->16 | 56.1 | 12.7 | 5.8 | 3.0 |
//! | 3x3 64x64 8->8 | 101 | 16.9 | 10.9 | 6.2 |
//! | 3x3 32x32 32->32 | 47.3 | 11.8 | 4.8 | 2.4 |
//! | 3x3 16x16 64->64 | 44.6 | 11.5 | 4.4 | 2.3 |
//! | 3x3 64x64 1->16 | 543 | 47.7 | 37.7 | 15.5 |
//! | 1x1 32x32 32->64 | 124 | 20.4 | 13.1 | 6.0 |
//! | 3x3 stride 2, 32x32 32->32 | 46.9 | 12.2 | 5.2 | 2.7 |
//! | 3x3 stride 2, 128x128 1->8 | 591 | 51.3 | 38.7 | 21.5 |
//! | 3x3 128x128 4->4 | 200 | 36.1 | 19.3 | 13.0 |
//! | 1x1 128x128 4->4 | 1242 | 114 | 86.7 | 52.1 |
//! | linear 131->128 | 120 | 142 | 113 | 109 |
//! | transposed 2x2 stride 2, 16x16 64->32 | 75.0 | 16.4 | 9.3 | 4.8 |
#![allow(unsafe_code)]

use super::band::Geometry;
use super::cursor::Cursor;
use super::lanes::Lanes;
use super::pack::{Channels, GROUP, RUN, group_bytes, pack, runs, sums};
use super::sink::{Limits, Place, Sink, finish};
use crate::kernels::{ChannelParams, Conv2d, ConvTranspose2x2, Filters, Layout};

/// Most groups of filters in a block.
const MAX_GROUPS: usize = 2;
/// Scratch is cut at multiples of this, so that vectors of weights lie in one line of the cache.
const ALIGN: usize = 64;

/// A convolution, whichever it is, in the terms of this file.
#[derive(Clone, Copy)]
struct Plan<'a> {
    geometry: Geometry,
    filters: Filters,
    weights: &'a [i8],
    /// Whether the weights lie packed already.
    packed: bool,
    params: ChannelParams<'a>,
    out_zero: i32,
    clamp: (i8, i8),
    /// Output rows: first, and before which.
    rows: (usize, usize),
}

impl<'a> Plan<'a> {
    fn conv(op: &Conv2d<'a>) -> Self {
        Self {
            geometry: Geometry::of(op),
            filters: op.filters(),
            weights: op.weights,
            packed: op.layout == Layout::X86_64,
            params: op.params,
            out_zero: op.out_zero,
            clamp: op.clamp,
            rows: op.rows,
        }
    }

    fn transpose(op: &ConvTranspose2x2<'a>) -> Self {
        Self {
            geometry: Geometry::of_positions(op.input, op.in_zero),
            filters: op.filters(),
            weights: op.weights,
            packed: op.layout == Layout::X86_64,
            params: op.params,
            out_zero: op.out_zero,
            clamp: op.clamp,
            rows: (0, op.input.h),
        }
    }

    /// Groups of sixteen filters.
    const fn groups(&self) -> usize {
        self.filters.count.div_ceil(GROUP)
    }

    /// Bytes of the weights that are packed at a time.
    fn weight_bytes(&self) -> usize {
        if self.packed { 0 } else { group_bytes(self.filters).saturating_mul(MAX_GROUPS.min(self.groups())) }
    }

    fn scratch_bytes(&self) -> usize {
        let rows = self.rows.1.saturating_sub(self.rows.0);
        self.geometry.band_bytes(rows).saturating_add(self.weight_bytes()).saturating_add(2 * ALIGN) & !(ALIGN - 1)
    }
}

/// Scratch bytes of a valid convolution.
pub(super) fn conv_scratch_bytes(op: &Conv2d<'_>) -> usize {
    Plan::conv(op).scratch_bytes()
}

/// Scratch bytes of a valid transposed convolution.
pub(super) fn transpose_scratch_bytes(op: &ConvTranspose2x2<'_>) -> usize {
    Plan::transpose(op).scratch_bytes()
}

/// Runs a valid `op` without dilation on slices that fit it. `None` if the scratch is too small; then the output is as it
/// was.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn conv2d<L: Lanes, const P: usize, const F: usize, const Q: usize>(
    op: &Conv2d<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) -> Option<()> {
    let sink = match op.output.c {
        4 => Sink::Four,
        8 => Sink::Eight,
        _ => Sink::Channels,
    };
    // SAFETY: as the caller; the output holds `rows` rows of `out_w` positions of as many channels as there are filters.
    unsafe { run::<L, P, F, Q>(&Plan::conv(op), sink, input, output, scratch) }
}

/// As [`conv2d`].
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
pub(super) unsafe fn conv_transpose2x2<L: Lanes, const P: usize, const F: usize, const Q: usize>(
    op: &ConvTranspose2x2<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) -> Option<()> {
    // SAFETY: as the caller; the output holds four positions for each of the input.
    unsafe { run::<L, P, F, Q>(&Plan::transpose(op), Sink::Transposed, input, output, scratch) }
}

/// # Safety
/// The CPU has the features of `L`. Slices fit the plan as the two callers say.
#[inline(always)]
unsafe fn run<L: Lanes, const P: usize, const F: usize, const Q: usize>(
    plan: &Plan<'_>,
    sink: Sink,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u8],
) -> Option<()> {
    const { assert!(F <= MAX_GROUPS && Q.is_multiple_of(4)) };
    let start = scratch.as_ptr().align_offset(ALIGN);
    let (packed, copy) = scratch.get_mut(start..)?.split_at_mut_checked(plan.weight_bytes())?;
    let rows = plan.rows.1 - plan.rows.0;
    let copy = copy.get_mut(..plan.geometry.band_bytes(rows))?;
    let step = plan.geometry.band_rows(rows);
    // Bytes of an output row; with a transposed convolution, of the two that a row of windows makes.
    let row_len = plan.geometry.out_w * plan.filters.count;
    let bands = (plan.rows.0..plan.rows.1).step_by(step);
    for (first, output) in bands.zip(output.chunks_mut((step * row_len).max(1))) {
        let end = (first + step).min(plan.rows.1);
        plan.geometry.fill(input, first, end, copy)?;
        let mut group = 0;
        while group < plan.groups() {
            let block = Block { plan, copy: &*copy, rows: end - first, group };
            // SAFETY: as the caller; the copy holds the windows of `rows` rows, the output their results.
            unsafe {
                if plan.groups() - group >= F {
                    block.groups::<L, P, F, Q>(sink, packed, output)?;
                    group += F;
                } else {
                    block.groups::<L, P, 1, Q>(sink, packed, output)?;
                    group += 1;
                }
            }
        }
    }
    Some(())
}

/// Some groups of filters over a band.
struct Block<'a> {
    plan: &'a Plan<'a>,
    copy: &'a [u8],
    /// Rows of windows in the copy.
    rows: usize,
    /// The first group.
    group: usize,
}

impl Block<'_> {
    /// Prepares `F` groups and runs them.
    ///
    /// # Safety
    /// The CPU has the features of `L`; `self.copy` and `output` hold what the plan says of `self.rows` rows of windows.
    #[inline(always)]
    unsafe fn groups<L: Lanes, const P: usize, const F: usize, const Q: usize>(
        &self,
        sink: Sink,
        packed: &mut [u8],
        output: &mut [i8],
    ) -> Option<()> {
        let plan = self.plan;
        let bytes = group_bytes(plan.filters);
        let weights: &[u8] = if plan.packed {
            let (weights, first) = (bytemuck::cast_slice::<i8, u8>(plan.weights), self.group * bytes);
            weights.get(first..)?.get(..F * bytes)?
        } else {
            for (index, to) in packed.get_mut(..F * bytes)?.chunks_exact_mut(bytes.max(1)).enumerate() {
                pack(plan.filters, plan.weights, self.group + index, to)?;
            }
            packed.get(..F * bytes)?
        };
        // SAFETY: as the caller.
        let channels = unsafe { self.channels::<L, F>(sink, weights) };
        // SAFETY: as the caller; there are the weights of F groups.
        unsafe {
            match sink {
                Sink::Channels => self.positions::<L, P, F, { Sink::Channels as usize }>(weights, &channels, output),
                Sink::Eight => self.positions::<L, Q, F, { Sink::Eight as usize }>(weights, &channels, output),
                Sink::Four => self.positions::<L, Q, F, { Sink::Four as usize }>(weights, &channels, output),
                Sink::Transposed => {
                    self.positions::<L, P, F, { Sink::Transposed as usize }>(weights, &channels, output)
                }
            }
        }
        Some(())
    }

    /// Biases and scales of F groups.
    ///
    /// # Safety
    /// The CPU has the features of `L`.
    #[inline(always)]
    unsafe fn channels<L: Lanes, const F: usize>(&self, sink: Sink, weights: &[u8]) -> [Channels; F] {
        let mut channels = [Channels::EMPTY; F];
        let groups = weights.chunks_exact(group_bytes(self.plan.filters).max(1));
        for (index, (to, weights)) in channels.iter_mut().zip(groups).enumerate() {
            // SAFETY: as the caller.
            let mut sums = unsafe { sums::<L>(weights) };
            let first = (self.group + index) * GROUP;
            // Where positions share a vector, the first filters' records are repeated.
            let repeated = match sink {
                Sink::Eight => 8,
                Sink::Four => 4,
                _ => GROUP,
            };
            let own = sums;
            sums.iter_mut().zip(own.iter().take(repeated).cycle()).for_each(|(sum, &own)| *sum = own);
            let channel = |lane: usize| match sink {
                Sink::Transposed => (first + lane) / 4,
                _ => first + lane % repeated,
            };
            *to = Channels::new(&self.plan.params, channel, &sums, self.plan.geometry.zero + 128);
        }
        channels
    }

    /// Runs F groups over all positions.
    ///
    /// # Safety
    /// As [`Block::groups`]; `weights` are those of F groups.
    #[inline(always)]
    unsafe fn positions<L: Lanes, const P: usize, const F: usize, const SINK: usize>(
        &self,
        weights: &[u8],
        channels: &[Channels; F],
        output: &mut [i8],
    ) {
        let plan = self.plan;
        let geometry = plan.geometry;
        let count = plan.filters.count;
        let filter = self.group * GROUP;
        // SAFETY: as the caller.
        let limits = unsafe { Limits::<L>::new(plan.out_zero, plan.clamp) };
        let transposed = SINK == Sink::Transposed as usize;
        let channels_out = if transposed { count / 4 } else { count };
        // To the next position, and from row to row besides: a transposed convolution makes two rows at a time.
        let steps = if transposed { (2 * channels_out, 2 * geometry.out_w * channels_out) } else { (count, 0) };
        let mut cursor = Cursor::new(&geometry, self.copy.as_ptr(), output.as_mut_ptr(), steps);
        let total = self.rows * geometry.out_w;
        let mut done = 0;
        while done < total {
            let valid = (total - done).min(P);
            // SAFETY: the cursor walks over the `total` positions of copy and output, and what a block reads of them lies
            // in the copy, whose slack takes what a last run reads beyond its window. The weights are F groups.
            unsafe {
                let (x, out) = cursor.next::<P>(valid);
                let sums = self.sums::<L, P, F>(&x, weights, channels);
                let place = Place { valid, filter, count, out_row: 2 * geometry.out_w * channels_out };
                finish::<L, P, F, SINK>(&sums, channels, &limits, &out, place);
            }
            done += valid;
        }
    }

    /// The accumulators of P positions by F groups.
    ///
    /// # Safety
    /// The CPU has the features of `L`; `x` are windows in the copy, `weights` those of F groups.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "LLVM keeps arrays in registers where loops count")]
    unsafe fn sums<L: Lanes, const P: usize, const F: usize>(
        &self,
        x: &[*const u8; P],
        weights: &[u8],
        channels: &[Channels; F],
    ) -> [[[i32; GROUP]; F]; P] {
        let filters = self.plan.filters;
        let (row_len, runs, group) = (self.plan.geometry.row_len, runs(filters), group_bytes(filters));
        // SAFETY: as the caller: `rows * runs` vectors in each group, as many runs in each window.
        unsafe {
            let bias: [L::V; F] = core::array::from_fn(|f| channels.get_unchecked(f).bias::<L>());
            let mut acc = [bias; P];
            let mut w = weights.as_ptr();
            for ky in 0..filters.rows {
                let mut at = ky * row_len;
                let end = at + runs * RUN;
                while at < end {
                    let mut row = [L::weights(w); F];
                    for f in 1..F {
                        row[f] = L::weights(w.add(f * group));
                    }
                    for p in 0..P {
                        let x = L::activations(x[p].add(at));
                        for f in 0..F {
                            acc[p][f] = L::dot(acc[p][f], x, row[f]);
                        }
                    }
                    w = w.add(GROUP * RUN);
                    at += RUN;
                }
            }
            // By way of memory: what `finish` does in turns would not keep them in registers over the loop above.
            let mut stored = [[[0; GROUP]; F]; P];
            for p in 0..P {
                for f in 0..F {
                    L::store(stored[p][f].as_mut_ptr(), acc[p][f]);
                }
            }
            stored
        }
    }
}
