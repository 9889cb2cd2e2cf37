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

use super::super::simd::widest;

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
    /// Places that a vector holds.
    lanes: usize,
}

impl Layout {
    /// For outputs of `width` columns, in vectors of `lanes` places.
    pub fn new(piece: Piece, width: usize, window: Window, lanes: usize) -> Self {
        Self { piece, window, width, halo: window.halo(), lanes }
    }

    /// Words of a row with its halo.
    pub fn pitch(&self) -> usize {
        self.width + self.halo
    }

    /// The place of pixel 0 of position 0.
    pub fn origin(&self) -> usize {
        self.halo * self.pitch() + self.halo
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
        self.positions() + self.lanes + 2 * self.origin()
    }

    /// Whether vectors end where rows end; otherwise they run on over the halo.
    pub fn fits(&self) -> bool {
        self.width.is_multiple_of(self.lanes)
    }

    /// The positions that vectors start at in one image, if they fit its rows, or in all.
    pub fn starts(&self) -> Vec<usize> {
        if self.fits() {
            let in_row = |row| (0..self.width).step_by(self.lanes).map(move |x| self.position(0, row) + x);
            (0..self.piece.rows).flat_map(in_row).collect()
        } else {
            (0..self.positions()).step_by(self.lanes).collect()
        }
    }

    /// The positions that vectors start at in all images.
    pub fn all_starts(&self) -> Vec<usize> {
        if !self.fits() {
            return self.starts();
        }
        let starts = self.starts();
        (0..self.piece.images).flat_map(|image| starts.iter().map(move |at| at + self.position(image, 0))).collect()
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
            phase * self.plane() + row * self.pitch() + column
        };
        (0..self.window.taps()).map(tap).collect()
    }

    /// Fills a plane: `write` gets an image, one of its rows, and the places of that row's pixels. Everything else becomes
    /// zero. Rows above and below a band are rows like others if what is `beyond` it is asked for, and zero otherwise.
    #[inline(always)]
    fn fill<T: Copy + Default>(&self, plane: &mut [T], beyond: bool, mut write: impl FnMut(usize, isize, &mut [T])) {
        let (zero, apart) = (T::default(), self.piece.rows + self.halo);
        let lines = self.piece.images * apart + self.halo;
        let (rows, rest) = plane.split_at_mut(lines * self.pitch());
        for (line, row) in rows.chunks_exact_mut(self.pitch()).enumerate() {
            let (left, pixels) = row.split_at_mut(self.halo);
            left.fill(zero);
            let image = line.saturating_sub(self.halo) / apart;
            let row = line as isize - (self.halo + image * apart) as isize;
            let inside = (0..self.piece.rows as isize).contains(&row);
            if inside || (beyond && self.piece.images == 1) {
                write(self.piece.image + image.min(self.piece.images - 1), self.piece.row as isize + row, pixels);
            } else {
                pixels.fill(zero);
            }
        }
        rest.fill(zero);
    }
}

/// How rows of a plane come from rows of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// They are the same.
    One,
    /// Every second pixel of every second row is taken, beginning with that of the phase.
    Every(usize),
    /// Every second pixel of every second row is one; those between are zero.
    Between(usize),
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
    /// From a row of these to one of a plane.
    pub step: Step,
}

/// The pixels of a plane that are read: an image, a channel, and one of the phases.
#[derive(Clone, Copy)]
struct Line {
    image: usize,
    channel: usize,
    phase: usize,
    row: isize,
}

impl<'a> Source<'a> {
    /// A row, or nothing where the image has none. `spare` begins with zeros and is kept between calls.
    #[inline(always)]
    fn row<'t>(&self, line: Line, spare: &'t mut [f32]) -> Option<&'t [f32]>
    where
        'a: 't,
    {
        if line.channel >= self.channels {
            return None;
        }
        let row = usize::try_from(line.row).ok()?;
        let (stride, row, column) = match self.step {
            Step::One => (1, row, 0),
            Step::Every(stride) => (stride, row * stride + line.phase / stride, line.phase % stride),
            Step::Between(stride) if row.is_multiple_of(stride) => (stride, row / stride, 0),
            Step::Between(_) => return None,
        };
        if row >= self.height {
            return None;
        }
        let start = ((line.image * self.channels + line.channel) * self.height + row) * self.width;
        let values = &self.values[start..start + self.width];
        match self.step {
            Step::One => return Some(values),
            Step::Every(_) => {
                let taken = values.iter().skip(column).step_by(stride);
                spare.iter_mut().zip(taken).for_each(|(spare, &value)| *spare = value);
            }
            Step::Between(_) => {
                spare.iter_mut().step_by(stride).zip(values).for_each(|(spare, &value)| *spare = value);
            }
        }
        let taken = if let Step::Every(_) = self.step {
            (self.width - column.min(self.width)).div_ceil(stride)
        } else {
            spare.len()
        };
        Some(&spare[..taken.min(spare.len())])
    }

    /// Planes of words, each the bf16 of two channels, the lower one in the lower half; rows beyond a band included.
    pub fn pairs(&self, layout: &Layout, planes: &mut [u32]) {
        self.each_plane(layout, 0, 2, planes, true, |row, second, places| {
            for (place, &value) in places.iter_mut().zip(row) {
                let half = u32::from(bf16(value));
                *place = if second { *place | half << 16 } else { half };
            }
        });
    }

    /// Planes of words, one value each: of the channels from `channel` on, as many as there is room for in `planes`.
    pub fn words(&self, layout: &Layout, channel: usize, beyond: bool, planes: &mut [u32]) {
        self.each_plane(layout, channel, 1, planes, beyond, |row, _, places| {
            places.iter_mut().zip(row).for_each(|(place, value)| *place = value.to_bits());
        });
    }

    /// [`Source::words`] in bf16.
    pub fn halves(&self, layout: &Layout, channel: usize, beyond: bool, planes: &mut [u16]) {
        self.each_plane(layout, channel, 1, planes, beyond, |row, _, places| {
            places.iter_mut().zip(row).for_each(|(place, &value)| *place = bf16(value));
        });
    }

    /// Fills planes of `together` channels: `write` gets a row of one, whether it is a second one, and the places.
    fn each_plane<T: Copy + Default>(
        &self,
        layout: &Layout,
        channel: usize,
        together: usize,
        planes: &mut [T],
        beyond: bool,
        write: impl Fn(&[f32], bool, &mut [T]),
    ) {
        let phases = if let Step::Every(stride) = self.step { stride * stride } else { 1 };
        let mut spare = vec![0.0; if self.step == Step::One { 0 } else { layout.width }];
        for (index, plane) in planes.chunks_exact_mut(layout.plane()).enumerate() {
            let (first, phase) = (channel + index / phases * together, index % phases);
            widest(
                #[inline(always)]
                || {
                    layout.fill(plane, beyond, |image, row, places| {
                        for second in 0..together {
                            let line = Line { image, channel: first + second, phase, row };
                            let pixels = self.row(line, &mut spare).unwrap_or(&[]);
                            let (filled, rest) = places.split_at_mut(pixels.len());
                            write(pixels, second > 0, filled);
                            if second == 0 {
                                rest.fill(T::default());
                            }
                        }
                    });
                },
            );
        }
    }
}

/// The nearest bf16, ties to even.
#[inline(always)]
pub fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    // What rounds a number up to infinity would make a number of a NaN.
    if value.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

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
    if scratch.len() < length {
        scratch.resize(length, T::default());
    }
    let result = work(&mut scratch[..length]);
    kept.set(scratch);
    result
}
