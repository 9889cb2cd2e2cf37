//! The gradient of weights: for each of them the dot product of the output's gradient with the pixels that its tap reads.
//!
//! Weights fall into blocks, the batch into units that fit a core's caches, and a task is one block over one share of the
//! units. Shares are added in their order at the end.

use std::ops::Range;

use rayon::prelude::*;

use super::super::simd::Set;
use super::super::simd::dots::{COLUMNS, Dots, Items, ROWS};
use super::planes::{Layout, Piece, Source, Window, with_halves, with_words};

/// Channels of a block, of either side.
const BLOCK: usize = 32;

/// Tasks that there are if the batch can be shared among so many.
const TASKS: usize = 64;

/// Positions of a unit, about.
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
        let rows = POSITIONS.div_ceil(self.slopes.width.max(1));
        let units = Piece::all(self.batch, self.slopes.height, rows);
        let of = |count: usize, index: usize| index * BLOCK..((index + 1) * BLOCK).min(count);
        let across = ins.div_ceil(BLOCK);
        let blocks: Vec<Block> = (0..outs.div_ceil(BLOCK) * across)
            .map(|index| Block { outs: of(outs, index / across), ins: of(ins, index % across) })
            .collect();
        let shares = TASKS.div_ceil(blocks.len()).min(units.len()).max(1);
        let whole = BLOCK * BLOCK * taps;
        let mut sums = vec![0.0; blocks.len() * shares * whole];
        sums.par_chunks_mut(whole).with_max_len(1).enumerate().for_each(|(task, sums)| {
            let (block, share) = (&blocks[task / shares], task % shares);
            self.add_share(block, &units[share * units.len() / shares..(share + 1) * units.len() / shares], sums);
        });
        dw.par_chunks_mut(ins * taps).enumerate().for_each(|(o, dw)| {
            for (across, dw) in dw.chunks_mut(BLOCK * taps).enumerate() {
                let block = o / BLOCK * ins.div_ceil(BLOCK) + across;
                dw.fill(0.0);
                for share in 0..shares {
                    let row = (block * shares + share) * whole + o % BLOCK * (dw.len() / taps) * taps;
                    dw.iter_mut().zip(&sums[row..]).for_each(|(dw, sum)| *dw += sum);
                }
            }
        });
    }

    /// Adds the dot products over `units` to `sums`, `[out][in][tap]` of the block.
    fn add_share(&self, block: &Block, units: &[Piece], sums: &mut [f32]) {
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

    fn add_unit(&self, block: &Block, layout: &Layout, items: Items<'_>, sums: &mut [f32]) {
        let starts = layout.all_starts();
        let taps = layout.taps();
        let of_channel = self.window.phases() * layout.plane();
        let columns: Vec<usize> =
            (0..block.ins.len()).flat_map(|i| taps.iter().map(move |tap| i * of_channel + tap)).collect();
        let slopes = block.ins.len() * of_channel + layout.origin();
        let rows: Vec<usize> = (0..block.outs.len()).map(|o| slopes + o * layout.plane()).collect();
        for (c, some) in columns.chunks(COLUMNS).enumerate() {
            for (r, others) in rows.chunks(ROWS).enumerate() {
                // Where fewer are left, the last ones are taken again and forgotten.
                let work = Dots {
                    items,
                    rows: std::array::from_fn(|row| others[row.min(others.len() - 1)]),
                    columns: std::array::from_fn(|column| some[column.min(some.len() - 1)]),
                    starts: &starts,
                };
                let totals = work.run(self.set);
                for (row, totals) in totals.iter().enumerate().take(others.len()) {
                    let first = (r * ROWS + row) * columns.len() + c * COLUMNS;
                    sums[first..first + some.len()].iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
                }
            }
        }
    }
}
