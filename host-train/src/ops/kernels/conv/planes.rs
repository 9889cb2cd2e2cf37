//! Where images lie while they are convolved: planes with zeros around them, so that no loop meets a border.
//!
//! A plane is a run of words. Pixel `(y, x)` of image s lies at `origin + position(s, y) + x`; rows follow one another at a
//! distance of the row's width plus the halo, so that the zeros right of one row are those left of the next, and rows of
//! zeros between two images serve both. A tap is then one offset, the same for every pixel: a convolution is a sum of
//! planes that are shifted and scaled, and rows need no attention.
//!
//! With a stride of 2 an image becomes four planes, one for each phase: even and odd rows, even and odd columns. A tap reads
//! one of them at a fixed offset.

use std::cell::Cell;
use std::ops::Range;

use super::super::simd::{bf16, prefetch};

/// Vectors in a row from which on rows begin where vectors do in memory, at the price of a wider gap between them.
const ALIGNED: usize = 2;

/// Which pixels an output reads: taps `0..kernel` in both directions, the tap t of output y at `y * stride + t - pad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps in a row or column.
    pub kernel: usize,
    /// Zeros before the first row and column.
    pub pad: usize,
    /// Distance of two outputs in pixels.
    pub stride: usize,
}

impl Window {
    /// Taps of both directions.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Planes of one channel.
    pub fn phases(&self) -> usize {
        self.stride * self.stride
    }

    /// Zeros that taps may read beside a plane.
    fn halo(&self) -> usize {
        self.pad.div_ceil(self.stride).max((self.kernel - 1 - self.pad) / self.stride)
    }

    /// The phase that tap `t` of one direction reads, and how far from the output's own place, plus the halo.
    fn tap(&self, t: usize) -> (usize, usize) {
        let ahead = t + self.halo() * self.stride - self.pad;
        (ahead % self.stride, ahead / self.stride)
    }
}

/// A part of a batch: some rows of one image, or some whole images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first image.
    pub image: usize,
    /// Images.
    pub images: usize,
    /// The first row.
    pub row: usize,
    /// Rows of each image.
    pub rows: usize,
}

impl Piece {
    /// A batch in pieces of about as many rows as given, in order.
    pub fn all(batch: usize, height: usize, rows: usize) -> Vec<Self> {
        if height == 0 || batch == 0 {
            return Vec::new();
        }
        if rows < height {
            let bands = height.div_ceil(rows.max(1));
            let band = move |image: usize, band: usize| {
                let row = band * height / bands;
                Self { image, images: 1, row, rows: (band + 1) * height / bands - row }
            };
            return (0..batch).flat_map(|image| (0..bands).map(move |index| band(image, index))).collect();
        }
        let groups = batch.div_ceil(rows / height);
        let group = |index: usize| {
            let image = index * batch / groups;
            Self { image, images: (index + 1) * batch / groups - image, row: 0, rows: height }
        };
        (0..groups).map(group).collect()
    }
}

/// The places of a piece's pixels in a plane.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    piece: Piece,
    window: Window,
    width: usize,
    halo: usize,
    /// Zeros left of a row, at least the halo.
    gap: usize,
    /// Places that a vector holds.
    lanes: usize,
    /// Whether a vector holds two rows.
    split: bool,
}

impl Layout {
    /// For outputs of `width` columns, in vectors of `lanes` places.
    pub fn new(piece: Piece, width: usize, window: Window, lanes: usize) -> Self {
        let halo = window.halo();
        let gap = if halo > 0 && width.is_multiple_of(lanes) && width >= ALIGNED * lanes {
            halo.next_multiple_of(lanes)
        } else {
            halo
        };
        let split = halo > 0 && 2 * width == lanes && piece.rows.is_multiple_of(2);
        Self { piece, window, width, halo, gap, lanes, split }
    }

    /// Words of a row with its halo.
    pub fn pitch(&self) -> usize {
        self.width + self.gap
    }

    /// The place of pixel 0 of position 0.
    pub fn origin(&self) -> usize {
        self.halo * self.pitch() + self.gap
    }

    /// The position of the first pixel of row `row` (of the piece) of image `image` (of the piece).
    pub fn position(&self, image: usize, row: usize) -> usize {
        (image * (self.piece.rows + self.halo) + row) * self.pitch()
    }

    /// Positions up to the last pixel.
    pub fn positions(&self) -> usize {
        self.position(self.piece.images - 1, self.piece.rows - 1) + self.width
    }

    /// Words of a plane: what taps around the last vector read is in it.
    pub fn plane(&self) -> usize {
        (self.positions() + self.lanes + 2 * self.origin()).next_multiple_of(self.lanes)
    }

    /// Whether vectors end where rows end; otherwise they run on over the halo.
    pub fn fits(&self) -> bool {
        self.split || self.width.is_multiple_of(self.lanes)
    }

    /// How far the second half of a vector is from the first, where it holds two rows.
    pub fn apart(&self) -> Option<usize> {
        self.split.then(|| self.pitch())
    }

    /// The positions that vectors start at: row by row and image by image, if they fit.
    pub fn starts(&self) -> Vec<usize> {
        if !self.fits() {
            return (0..self.positions()).step_by(self.lanes).collect();
        }
        let rows = (0..self.piece.rows).step_by(if self.split { 2 } else { 1 });
        let in_row = move |start: usize| (0..self.width).step_by(self.lanes).map(move |x| start + x);
        let in_image = |image| rows.clone().flat_map(move |row| in_row(self.position(image, row)));
        (0..self.piece.images).flat_map(in_image).collect()
    }

    /// Images of the piece.
    pub fn images(&self) -> usize {
        self.piece.images
    }

    /// The places that the taps read for position 0, counted from the first of a channel's planes.
    pub fn taps(&self) -> Vec<usize> {
        let tap = |index: usize| {
            let (row_phase, row) = self.window.tap(index / self.window.kernel);
            let (column_phase, column) = self.window.tap(index % self.window.kernel);
            let phase = row_phase * self.window.stride + column_phase;
            phase * self.plane() + row * self.pitch() + self.gap - self.halo + column
        };
        (0..self.window.taps()).map(tap).collect()
    }

    /// Where the pixels of row `row` of image `image` (of the piece; a band has rows beyond) begin in a plane.
    fn place(&self, image: usize, row: isize) -> usize {
        (self.origin() + self.position(image, 0)).wrapping_add_signed(row * self.pitch() as isize)
    }

    /// The row of the image that row `row` of the piece is.
    fn row(&self, row: isize) -> usize {
        self.piece.row.wrapping_add_signed(row)
    }

    /// Rows that a plane takes from an image that has `available`, counted from the first of the piece. Those above and
    /// below a band are among them if what is `beyond` it is asked for.
    fn rows(&self, available: usize, beyond: bool) -> Range<isize> {
        let halo = if beyond && self.piece.images == 1 { self.halo as isize } else { 0 };
        let first = self.piece.row as isize;
        (-halo).max(-first)..(self.piece.rows as isize + halo).min(available as isize - first)
    }
}

/// How the pixels of a plane come from those of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// They are the same.
    One,
    /// Every second pixel of every second row is taken, beginning with that of the phase.
    Halved,
    /// Every second pixel of every second row is one of the image's; those between are zero.
    Doubled,
}

/// Images that planes are filled from, `[N, C, H, W]`.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The values.
    pub values: &'a [f32],
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// From the pixels of these to those of a plane.
    pub step: Step,
}

/// A plane to be filled: of one or two channels, and one of the phases.
#[derive(Clone, Copy)]
struct Plane {
    channel: usize,
    phase: usize,
    beyond: bool,
}

/// An image of a piece, by its number there, and the pixels of the first and the last channel of a plane.
struct Picture<'a> {
    image: usize,
    pixels: [&'a [f32]; 2],
}

impl Source<'_> {
    /// Planes of words, one value each: of the channels from `channel` on, as many as there is room for in `planes`. Rows
    /// beyond a band are filled if asked for, and zero otherwise.
    pub fn words(&self, layout: &Layout, channel: usize, beyond: bool, planes: &mut [u32]) {
        self.each_plane(layout, channel, 1, beyond, planes, |[own, _], places| {
            places.iter_mut().zip(own).for_each(|(place, value)| *place = value.to_bits());
        });
    }

    /// [`Source::words`] in bf16.
    pub fn halves(&self, layout: &Layout, channel: usize, beyond: bool, planes: &mut [u16]) {
        self.each_plane(layout, channel, 1, beyond, planes, |[own, _], places| bf16::round(own, places));
    }

    /// Planes of words, each the bf16 of two channels, the lower one in the lower half; rows beyond a band included.
    ///
    /// Where there is no second channel, the first stands in for it: what it is multiplied with is zero.
    pub fn pairs(&self, layout: &Layout, planes: &mut [u32]) {
        self.each_plane(layout, 0, 2, true, planes, |[own, next], places| bf16::round_pairs(own, next, places));
    }

    /// Fills planes of `together` channels each with what `write` makes of rows of the first and of the last of them.
    fn each_plane<T: Copy + Default>(
        &self,
        layout: &Layout,
        channel: usize,
        together: usize,
        beyond: bool,
        planes: &mut [T],
        write: impl Fn([&[f32]; 2], &mut [T]),
    ) {
        let phases = if self.step == Step::Halved { 4 } else { 1 };
        let mut spare = [vec![0.0; layout.width], vec![0.0; layout.width]];
        for (index, places) in planes.chunks_exact_mut(layout.plane()).enumerate() {
            let plane = Plane { channel: channel + index / phases * together, phase: index % phases, beyond };
            places.fill(T::default());
            for image in 0..layout.images() {
                let pixels = self.pixels(layout, image, plane.channel);
                let last = self.pixels(layout, image, (plane.channel + together).min(self.channels) - 1);
                if plane.channel + together < self.channels {
                    prefetch(self.band(layout, image, plane.channel + together));
                }
                let picture = Picture { image, pixels: [pixels, last] };
                self.fill(layout, plane, picture, places, &mut spare, &write);
            }
        }
    }

    /// The pixels of a channel of an image of the piece.
    fn pixels(&self, layout: &Layout, image: usize, channel: usize) -> &[f32] {
        let pixels = self.height * self.width;
        &self.values[((layout.piece.image + image) * self.channels + channel) * pixels..][..pixels]
    }

    /// Those of a channel that a piece reads, without what is beyond it.
    fn band(&self, layout: &Layout, image: usize, channel: usize) -> &[f32] {
        let rows = match self.step {
            Step::One => layout.piece.row..layout.piece.row + layout.piece.rows,
            Step::Halved => 2 * layout.piece.row..2 * (layout.piece.row + layout.piece.rows),
            Step::Doubled => layout.piece.row / 2..(layout.piece.row + layout.piece.rows) / 2,
        };
        let pixels = self.pixels(layout, image, channel);
        &pixels[rows.start * self.width..(rows.end * self.width).min(pixels.len())]
    }

    /// Fills the rows of one image.
    fn fill<T: Copy + Default>(
        &self,
        layout: &Layout,
        plane: Plane,
        Picture { image, pixels }: Picture<'_>,
        places: &mut [T],
        spare: &mut [Vec<f32>; 2],
        write: &impl Fn([&[f32]; 2], &mut [T]),
    ) {
        let place = |row| layout.place(image, row);
        match self.step {
            Step::One if layout.gap == 0 => {
                let rows = layout.rows(self.height, plane.beyond);
                let (first, count) = (layout.row(rows.start) * self.width, rows.len() * self.width);
                write(pixels.map(|pixels| &pixels[first..first + count]), &mut places[place(rows.start)..][..count]);
            }
            Step::One => {
                for row in layout.rows(self.height, plane.beyond) {
                    let first = layout.row(row) * self.width;
                    let row_of = pixels.map(|pixels| &pixels[first..first + self.width]);
                    write(row_of, &mut places[place(row)..][..self.width]);
                }
            }
            Step::Halved => {
                let (down, right) = (plane.phase / 2, plane.phase % 2);
                let count = (self.width + 1 - right) / 2;
                for row in layout.rows((self.height + 1 - down) / 2, plane.beyond) {
                    let line = (2 * layout.row(row) + down) * self.width;
                    let [own, next] = &mut *spare;
                    halve(&pixels[0][line..][..self.width], right, own);
                    halve(&pixels[1][line..][..self.width], right, next);
                    write([&own[..count], &next[..count]], &mut places[place(row)..][..count]);
                }
            }
            Step::Doubled => {
                for row in layout.rows(2 * self.height, plane.beyond) {
                    let from = layout.row(row);
                    if from.is_multiple_of(2) {
                        let line = from / 2 * self.width;
                        for (spare, pixels) in spare.iter_mut().zip(pixels) {
                            let values = &pixels[line..][..self.width];
                            spare.iter_mut().step_by(2).zip(values).for_each(|(spare, &value)| *spare = value);
                        }
                        write([&spare[0], &spare[1]], &mut places[place(row)..][..layout.width]);
                    }
                }
            }
        }
    }
}

/// Every second value from `first` on.
fn halve(row: &[f32], first: usize, to: &mut [f32]) {
    let (pairs, rest) = row[first.min(row.len())..].as_chunks::<2>();
    for (to, pair) in to.iter_mut().zip(pairs) {
        *to = pair[0];
    }
    if let (Some(to), [last]) = (to.get_mut(pairs.len()), rest) {
        *to = *last;
    }
}

/// Bytes of a line of a cache, where scratch begins.
const LINE: usize = 64;

thread_local! {
    static WORDS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    static HALVES: Cell<Vec<u16>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with this thread's words, at least so many, of any content.
pub fn with_words<R>(words: usize, work: impl FnOnce(&mut [u32]) -> R) -> R {
    with_scratch(&WORDS, words, work)
}

/// Calls `work` with this thread's halves, at least so many, of any content.
pub fn with_halves<R>(halves: usize, work: impl FnOnce(&mut [u16]) -> R) -> R {
    with_scratch(&HALVES, halves, work)
}

fn with_scratch<T: Copy + Default, R>(
    kept: &'static std::thread::LocalKey<Cell<Vec<T>>>,
    length: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    let mut scratch = kept.take();
    let enough = length + LINE / size_of::<T>();
    if scratch.len() < enough {
        scratch.resize(enough, T::default());
    }
    let first = scratch.as_ptr().align_offset(LINE);
    let result = work(&mut scratch[first..first + length]);
    kept.set(scratch);
    result
}
