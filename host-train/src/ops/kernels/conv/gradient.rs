//! The gradient of weights: for each of them the dot product of the output's gradient with the pixels that its tap reads.
//!
//! Weights fall into blocks, the batch into units that fit a core's caches, and a task is one block over one share of the
//! units. Shares are added in their order at the end.

use std::ops::Range;

use rayon::prelude::*;

use super::super::simd::Set;
use super::super::simd::dots::{COLUMNS, Dots, Items, ROWS, Totals};
use super::planes::{Layout, Piece, Source, Window, with_halves, with_words};

/// Channels of a block, of either side: planes are laid out once for each, so that more is better.
const BLOCK: usize = 64;

/// Tasks that there are if the batch can be shared among so many.
const TASKS: usize = 64;

/// Sums that there are at most, in groups, so that adding them up costs little.
const SUMS: usize = 48 * 1024;

/// Words of a unit's planes, about: they stay in a core's second cache.
const PLANES: usize = 96 * 1024;

/// Sums whose shares are added by one thread, in groups.
const PART: usize = 128;

/// Positions whose products are summed up at a time, so that a few planes stay in the first cache.
const POSITIONS: usize = 512;

/// Weights whose gradient is to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// With which instructions.
    pub set: Set,
    /// What an output reads of `pixels`.
    pub window: Window,
    /// The input.
    pub pixels: Source<'a>,
    /// The gradient of the output.
    pub slopes: Source<'a>,
    /// Images.
    pub batch: usize,
}

/// Weights of some out-channels and some in-channels.
#[derive(Clone)]
struct Block {
    outs: Range<usize>,
    ins: Range<usize>,
}

impl Job<'_> {
    /// `dw` = the gradient of the weights, `[out, in, taps]`.
    pub fn run(&self, dw: &mut [f32]) {
        if dw.is_empty() {
            return;
        }
        let (outs, ins, taps) = (self.slopes.channels, self.pixels.channels, self.window.taps());
        let units = Piece::all(self.batch, self.slopes.height, self.rows());
        let of = |count: usize, index: usize| index * BLOCK..((index + 1) * BLOCK).min(count);
        let across = ins.div_ceil(BLOCK);
        let blocks: Vec<Block> = (0..outs.div_ceil(BLOCK) * across)
            .map(|index| Block { outs: of(outs, index / across), ins: of(ins, index % across) })
            .collect();
        let whole = outs.min(BLOCK).div_ceil(ROWS) * (ins.min(BLOCK) * taps).div_ceil(COLUMNS);
        let most = (SUMS / (blocks.len() * whole)).min(TASKS.div_ceil(blocks.len()));
        let shares = most.min(units.len()).max(1);
        let mut sums = vec![[[0.0; ROWS]; COLUMNS]; blocks.len() * shares * whole];
        sums.par_chunks_mut(whole).with_max_len(1).enumerate().for_each(|(task, sums)| {
            let (block, share) = (&blocks[task / shares], task % shares);
            self.add_share(block, &units[share * units.len() / shares..(share + 1) * units.len() / shares], sums);
        });
        sums.par_chunks_mut(shares * whole).for_each(|sums| add_shares(sums, whole));
        dw.par_chunks_mut(ins * taps).enumerate().for_each(|(o, dw)| {
            let groups = (outs - o / BLOCK * BLOCK).min(BLOCK).div_ceil(ROWS);
            for (index, dw) in dw.chunks_mut(BLOCK * taps).enumerate() {
                let sums = &sums[(o / BLOCK * across + index) * shares * whole..];
                let group = sums.iter().skip(o % BLOCK / ROWS).step_by(groups);
                for (dw, totals) in dw.chunks_mut(COLUMNS).zip(group) {
                    dw.iter_mut().zip(totals).for_each(|(dw, rows)| *dw = rows[o % ROWS]);
                }
            }
        });
    }

    /// Rows of a unit.
    fn rows(&self) -> usize {
        let planes = self.pixels.channels.min(BLOCK) * self.window.phases() + self.slopes.channels.min(BLOCK);
        let row = (self.slopes.width + self.window.kernel) * planes;
        let words = if self.set.is_bf16() { 2 * PLANES } else { PLANES };
        (words / row.max(1)).saturating_sub(self.window.kernel).max(1)
    }

    /// Adds the dot products over `units` to `sums`: groups of `[in][tap]`, and for each of them groups of `[out]`.
    fn add_share(&self, block: &Block, units: &[Piece], sums: &mut [Totals]) {
        for &unit in units {
            let layout = Layout::new(unit, self.slopes.width, self.window, self.set.items());
            let pixels = block.ins.len() * self.window.phases() * layout.plane();
            let slopes = block.outs.len() * layout.plane();
            if self.set.is_bf16() {
                with_halves(pixels + slopes, |items| {
                    let (of_pixels, of_slopes) = items.split_at_mut(pixels);
                    self.pixels.halves(&layout, block.ins.start, true, of_pixels);
                    self.slopes.halves(&layout, block.outs.start, false, of_slopes);
                    self.add_unit(block, &layout, Items::Halves(items), sums);
                });
            } else {
                with_words(pixels + slopes, |items| {
                    let (of_pixels, of_slopes) = items.split_at_mut(pixels);
                    self.pixels.words(&layout, block.ins.start, true, of_pixels);
                    self.slopes.words(&layout, block.outs.start, false, of_slopes);
                    self.add_unit(block, &layout, Items::Words(items), sums);
                });
            }
        }
    }

    fn add_unit(&self, block: &Block, layout: &Layout, items: Items<'_>, sums: &mut [Totals]) {
        let starts = layout.starts();
        let taps = layout.taps();
        let of_channel = self.window.phases() * layout.plane();
        let columns: Vec<usize> =
            (0..block.ins.len()).flat_map(|i| taps.iter().map(move |tap| i * of_channel + tap)).collect();
        let slopes = block.ins.len() * of_channel + layout.origin();
        let rows: Vec<usize> = (0..block.outs.len()).map(|o| slopes + o * layout.plane()).collect();
        let (rows, columns) = (groups::<ROWS>(&rows), groups::<COLUMNS>(&columns));
        for starts in starts.chunks(POSITIONS / self.set.items()) {
            let work = Dots { items, rows: &rows, columns: &columns, starts, apart: layout.apart() };
            work.add_to(self.set, &mut sums[..rows.len() * columns.len()]);
        }
    }
}

/// Adds all shares to the first one, in their order.
fn add_shares(sums: &mut [Totals], whole: usize) {
    let (first, others) = sums.split_at_mut(whole);
    let parts = first.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, first)| {
        let first = first.as_flattened_mut().as_flattened_mut();
        for other in others.chunks_exact(whole) {
            let other = other[part * PART..].as_flattened().as_flattened();
            first.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
    });
}

/// Groups of `N`; the last place stands for those that are missing.
fn groups<const N: usize>(places: &[usize]) -> Vec<[usize; N]> {
    let group = |group: &[usize]| std::array::from_fn(|index| group[index.min(group.len() - 1)]);
    places.chunks(N).map(group).collect()
}
