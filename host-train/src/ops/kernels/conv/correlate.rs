//! Sums over in-channels and taps for every output: convolutions forward, and back to their input.
//!
//! The work falls into pieces: some rows of an image, or some small images, times some out-channels. A piece's planes are
//! laid out once ([`super::planes`]) and then read for one block of out-channels after the other, whose weights follow one
//! another in the order in which they are used.

use std::ops::Range;

use rayon::prelude::*;

use super::super::simd::correlate::{Correlation, MOST_CHANNELS, Place};
use super::super::simd::{Set, bf16};
use super::planes::{Layout, Piece, Source, Window, with_words};

/// Words of the planes of a piece, about: with the weights of a block they stay in a core's second cache.
const PLANES: usize = 64 * 1024;

/// Positions that a piece has if it can, so that weights are worth fetching.
const POSITIONS: usize = 256;

/// Out-channels of a piece, at most: a multiple of every block.
const CHANNELS: usize = 64;

/// A correlation to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// With which instructions.
    pub set: Set,
    /// What an output reads.
    pub window: Window,
    /// Where from.
    pub source: Source<'a>,
    /// Images.
    pub batch: usize,
    /// Sums at a place.
    pub out_channels: usize,
    /// Rows of places.
    pub height: usize,
    /// Columns of places.
    pub width: usize,
    /// 1, or 2 where four channels are the four pixels of one place, in planes of twice the size.
    pub spread: usize,
}

/// Weights in the order of use, `[block][word of in-channels][tap][out-channel of the block]`, and the bias.
struct Packed {
    words: Vec<u32>,
    of_block: usize,
    bias: Vec<f32>,
}

/// What one thread does at a time.
struct Task<'a> {
    piece: Piece,
    blocks: Range<usize>,
    /// The rows to write of `[image][plane]`.
    out: Vec<&'a mut [f32]>,
}

impl Job<'_> {
    /// Words that hold the in-channels of one pixel.
    fn words(&self) -> usize {
        if self.set.is_bf16() { self.source.channels.div_ceil(2) } else { self.source.channels }
    }

    fn blocks(&self) -> usize {
        self.out_channels.div_ceil(self.set.channels())
    }

    /// Planes of the output that a block writes.
    fn planes_of_block(&self) -> usize {
        self.set.channels() / (self.spread * self.spread)
    }

    /// `out` = the sums of `weight(out-channel, in-channel, tap)` times pixels, plus the `bias`, `[N, out, H, W]`.
    pub fn run(&self, weight: impl Fn(usize, usize, usize) -> f32 + Sync, bias: Option<&[f32]>, out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        let packed = self.pack(weight, bias);
        self.tasks(out).into_par_iter().with_max_len(1).for_each(|mut task| self.finish(&mut task, &packed));
    }

    fn pack(&self, weight: impl Fn(usize, usize, usize) -> f32 + Sync, bias: Option<&[f32]>) -> Packed {
        let (channels, taps) = (self.set.channels(), self.window.taps());
        let of_block = self.words() * taps * channels;
        let mut words = vec![0u32; self.blocks() * of_block];
        let at = |o: usize, i: usize, tap: usize| {
            if o < self.out_channels && i < self.source.channels { weight(o, i, tap) } else { 0.0 }
        };
        words.par_chunks_mut(of_block.max(1)).enumerate().for_each(|(block, words)| {
            for (i, words) in words.chunks_exact_mut(taps * channels).enumerate() {
                for (tap, words) in words.chunks_exact_mut(channels).enumerate() {
                    for (o, word) in (block * channels..).zip(words) {
                        *word = if self.set.is_bf16() {
                            let half = |i: usize| u32::from(bf16::nearest(at(o, i, tap)));
                            half(2 * i) | half(2 * i + 1) << 16
                        } else {
                            at(o, i, tap).to_bits()
                        };
                    }
                }
            }
        });
        let bias =
            (0..self.blocks() * channels).map(|o| bias.and_then(|bias| bias.get(o / (self.spread * self.spread))));
        Packed { words, of_block, bias: bias.map(|bias| bias.copied().unwrap_or(0.0)).collect() }
    }

    /// Pieces times ranges of blocks, with what each of them writes.
    fn tasks<'o>(&self, out: &'o mut [f32]) -> Vec<Task<'o>> {
        let words_of_row = (self.words() * self.window.phases() * (self.width + self.window.kernel)).max(1);
        let fitting = (PLANES / words_of_row).saturating_sub(self.window.kernel).max(1);
        let enough = if fitting > self.height { POSITIONS.div_ceil(self.width) } else { fitting };
        let pieces = Piece::all(self.batch, self.height, fitting.min(enough.max(self.height)));
        let blocks = CHANNELS / self.set.channels();
        let ranges = self.blocks().div_ceil(blocks);
        let range = |index: usize| index * blocks..((index + 1) * blocks).min(self.blocks());
        let task = |piece: &Piece, index| Task { piece: *piece, blocks: range(index), out: Vec::new() };
        let mut tasks: Vec<Task<'o>> =
            pieces.iter().flat_map(|piece| (0..ranges).map(move |index| task(piece, index))).collect();
        let row = self.spread * self.spread * self.width;
        let planes = self.out_channels / (self.spread * self.spread);
        let mut first = 0;
        for (index, mut plane) in out.chunks_mut(self.height * row).enumerate() {
            let (image, range) = (index / planes, index % planes / (blocks * self.planes_of_block()));
            while pieces[first].image + pieces[first].images <= image {
                first += 1;
            }
            for (number, piece) in pieces.iter().enumerate().skip(first).take_while(|(_, piece)| piece.image <= image) {
                let (rows, rest) = plane.split_at_mut(piece.rows * row);
                tasks[number * ranges + range].out.push(rows);
                plane = rest;
            }
        }
        tasks
    }

    fn finish(&self, task: &mut Task<'_>, packed: &Packed) {
        let layout = Layout::new(task.piece, self.width, self.window, self.set.lanes());
        let of_channel = self.window.phases() * layout.plane();
        // Results that do not fit their rows, or are to be spread, are put here first.
        let direct = layout.fits() && self.spread == 1;
        let rows = if direct { 0 } else { self.set.channels() * (layout.positions() + self.set.lanes()) };
        with_words(self.words() * of_channel, |planes| {
            if self.set.is_bf16() {
                self.source.pairs(&layout, planes);
            } else {
                self.source.words(&layout, 0, true, planes);
            }
            let mut results = vec![0.0; rows];
            let (taps, starts) = (layout.taps(), layout.starts());
            for (number, block) in task.blocks.clone().enumerate() {
                let mut bias = [0.0; MOST_CHANNELS];
                let channels = self.set.channels();
                bias[..channels].copy_from_slice(&packed.bias[block * channels..][..channels]);
                let weights = &packed.words[block * packed.of_block..][..packed.of_block];
                let apart = layout.apart();
                let work =
                    Correlation { planes, plane: of_channel, taps: &taps, starts: &starts, apart, weights, bias };
                if direct {
                    self.write_rows(&work, &layout, number, &mut task.out);
                } else {
                    self.write_results(&work, &layout, number, &mut results, &mut task.out);
                }
            }
        });
    }

    /// Vectors fit rows: they are written where they belong.
    fn write_rows(&self, work: &Correlation<'_>, layout: &Layout, number: usize, out: &mut [&mut [f32]]) {
        let (planes, of_image) = (out.len() / layout.images(), work.starts.len() / layout.images());
        let first = number * self.set.channels();
        let place = |index| Place { row: index / of_image * planes + first, at: index % of_image * self.set.lanes() };
        let places: Vec<Place> = (0..work.starts.len()).map(place).collect();
        work.run(self.set, &places, (planes - first).min(self.set.channels()), out);
    }

    /// Vectors run on over rows: they are written beside, and rows are taken from there.
    fn write_results(
        &self,
        work: &Correlation<'_>,
        layout: &Layout,
        number: usize,
        results: &mut [f32],
        out: &mut [&mut [f32]],
    ) {
        let channels = self.set.channels();
        let of_channel = results.len() / channels;
        let mut lines: Vec<&mut [f32]> = results.chunks_exact_mut(of_channel).collect();
        let places: Vec<Place> = work.starts.iter().map(|&at| Place { row: 0, at }).collect();
        work.run(self.set, &places, channels, &mut lines);
        let planes = out.len() / layout.images();
        let (first, together) = (number * self.planes_of_block(), self.spread * self.spread);
        for (image, out) in out.chunks_mut(planes).enumerate() {
            let of_block = out.iter_mut().skip(first).take(self.planes_of_block());
            for (out, lines) in of_block.zip(lines.chunks(together)) {
                for (index, out) in out.chunks_exact_mut(self.spread * self.width).enumerate() {
                    let start = layout.position(image, index / self.spread);
                    let line =
                        |column: usize| &lines[index % self.spread * self.spread + column][start..start + self.width];
                    match self.spread {
                        1 => out.copy_from_slice(line(0)),
                        _ => {
                            let both = line(0).iter().zip(line(1));
                            out.chunks_exact_mut(2).zip(both).for_each(|(out, (&a, &b))| out.copy_from_slice(&[a, b]));
                        }
                    }
                }
            }
        }
    }
}
