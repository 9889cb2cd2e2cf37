//! The scan of a volume: lines for its slices in turn, first a few for each, then where the slice policy expects the most.

use core::fmt;

use heapless::Vec;

use super::glimpse::{Glimpse, Sight, energy_of, line_energy, pack_classes};
use super::view::{MOST_LINES, VIEW, write_view};
use crate::Complex32;
use crate::arena::{ArenaError, Carver, carved_bytes};
use crate::kernels::{Kernels, Native};
use crate::kspace::Pattern;
use crate::model::{Graph, Model};
use crate::scan::{Fnv1a, PairedImage, Scan, ScanError, arena_bytes_of, arena_bytes_of_with, check_samples};

/// The most slices of a volume.
pub const MOST_SLICES: usize = 32;

/// Lines that every slice is given before the slice policy chooses.
pub const FIRST_LINES: usize = 2;

/// The most opinions that a slice policy gives. They are added up, so that many opinions in int8 tell more apart than one.
pub const MOST_OPINIONS: usize = 64;

/// Unit of the gains that the slice policy's logits are logarithms of: this part of the Dice of an average slice.
pub const GAIN_UNIT: f32 = 0.01;

/// Why a volume cannot be scanned, or a step of it was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VolumeError {
    /// A volume has 1 to [`MOST_SLICES`] slices.
    Slices {
        /// Slices asked for.
        slices: usize,
    },
    /// The budget does not give every slice its first lines, or is more than all slices can have.
    Budget {
        /// Lines asked for, of the volume.
        budget: usize,
        /// The fewest that do.
        min: usize,
        /// The most that can be measured.
        max: usize,
    },
    /// The model has no slice policy.
    NoSlicePolicy,
    /// The slice does not exist.
    Slice {
        /// The slice that was given.
        slice: usize,
        /// Slices of the volume.
        slices: usize,
    },
    /// The slice has all the lines that a slice may have.
    Full {
        /// The slice.
        slice: usize,
    },
    /// The volume's budget is spent.
    BudgetSpent {
        /// Lines of the volume.
        budget: usize,
    },
    /// The slice's scan refused.
    Scan(ScanError),
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slices { slices } => write!(f, "a volume of {slices} slices: expected 1 to {MOST_SLICES}"),
            Self::Budget { budget, min, max } => {
                write!(f, "a budget of {budget} lines for the volume: expected {min} to {max}")
            }
            Self::NoSlicePolicy => {
                write!(f, "the model has no slice policy: export one, or choose the slices yourself")
            }
            Self::Slice { slice, slices } => write!(f, "slice {slice} does not exist: there are {slices}"),
            Self::Full { slice } => write!(f, "slice {slice} has all the lines that a slice may have"),
            Self::BudgetSpent { budget } => write!(f, "all {budget} lines of the volume have been measured"),
            Self::Scan(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for VolumeError {}

impl From<ScanError> for VolumeError {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl From<ArenaError> for VolumeError {
    fn from(error: ArenaError) -> Self {
        Self::Scan(error.into())
    }
}

/// Bytes of arena that a scan of a volume of `slices` slices and `budget` lines needs: a slice's scan, and beside it the
/// samples of all lines (8 bytes each) and the classes of all slices (2 bits a pixel). Homodyne reconstruction takes a line
/// more, but no image: the networks' memory, which is at least as large then, lends it.
pub fn volume_arena_bytes(model: &Model<'_>, slices: usize, budget: usize) -> usize {
    kept_bytes(model, slices, budget).saturating_add(arena_bytes_of(model, PairedImage::Lent))
}

/// Multiply-accumulates of a scan of `lines` lines for `slices` slices together with `model`: for each line its segmenter's once, and
/// its slice policy's once a slice; `u64::MAX` where they are more. See [`scan::multiply_accumulates`](crate::scan::multiply_accumulates).
pub fn volume_multiply_accumulates(model: &Model<'_>, slices: usize, lines: usize) -> u64 {
    of_volume(model, slices, lines, Graph::macs)
}

/// What the same scan computes besides multiply-accumulates; `u64::MAX` where it is more. See
/// [`scan::other_operations`](crate::scan::other_operations).
pub fn volume_other_operations(model: &Model<'_>, slices: usize, lines: usize) -> u64 {
    of_volume(model, slices, lines, Graph::other_operations)
}

fn of_volume<'m>(model: &Model<'m>, slices: usize, lines: usize, cost: fn(&Graph<'m>) -> u64) -> u64 {
    let of = |graph: Option<Graph<'m>>| graph.map_or(0, |graph| cost(&graph));
    let decision = of(model.slice_policy()).saturating_mul(slices as u64);
    decision.saturating_add(of(model.segmenter())).saturating_mul(lines as u64)
}

/// [`volume_arena_bytes`] with what these kernels make use of.
pub fn volume_arena_bytes_with<K: Kernels + ?Sized>(
    model: &Model<'_>,
    slices: usize,
    budget: usize,
    kernels: &K,
) -> usize {
    kept_bytes(model, slices, budget).saturating_add(arena_bytes_of_with(model, PairedImage::Lent, kernels))
}

fn kept_bytes(model: &Model<'_>, slices: usize, budget: usize) -> usize {
    carved_bytes::<Complex32>(budget.saturating_mul(model.height()))
        .saturating_add(carved_bytes::<u16>(budget.saturating_mul(2)))
        .saturating_add(carved_bytes::<u8>(slices.saturating_mul(map_bytes(model))))
}

/// Bytes of a slice's classes.
fn map_bytes(model: &Model<'_>) -> usize {
    model.height().saturating_mul(model.width()).div_ceil(4)
}

/// The lines of a slice in the order in which they are measured, as many as a slice may have: the model's own order, or centre-out.
pub fn line_order(model: &Model<'_>) -> Vec<u16, MOST_LINES> {
    let centre_out = Pattern::CentreOut.lines(model.width(), MOST_LINES.min(model.width()), 0).unwrap_or_default();
    let none = model.line_order().next().is_none();
    let default = centre_out.iter().copied().filter(|_| none);
    let mut order = Vec::new();
    for line in model.line_order().chain(default) {
        // What does not fit is more than a slice may have.
        let _ = order.push(line);
    }
    order
}

/// `count` values, as many as fit.
fn filled<T: Clone, const N: usize>(count: usize, value: T) -> Vec<T, N> {
    let mut values = Vec::new();
    let _ = values.resize(count.min(N), value);
    values
}

/// The scan of a volume.
///
/// One image is in memory at a time. Of the slices at rest their lines are kept, and the image is grown again from them when
/// the slice is visited: one complex multiply-add a pixel and line. By conjugate symmetry up to 2.5 of them, and then an image takes
/// no line once it has been segmented, so that a slice's next line always asks for its image to be grown again.
pub struct VolumeScan<'m, 'a, K = Native> {
    scan: Scan<'m, 'a, K>,
    policy: Option<Graph<'m>>,
    logit_scale: f32,
    class_count: usize,
    height: usize,
    width: usize,
    budget: usize,
    order: Vec<u16, MOST_LINES>,
    glimpses: Vec<Glimpse, MOST_SLICES>,
    /// Energy of all lines of each slice.
    energies: Vec<f32, MOST_SLICES>,
    /// What the slice policy expects of another line of each slice: the sum of its opinions.
    logits: Vec<i16, MOST_SLICES>,
    /// Nothing has been measured since the logits were computed.
    judged: bool,
    visited: Option<usize>,
    measured: usize,
    /// Hash of the decisions and lines so far.
    course: Fnv1a,
    samples: &'a mut [Complex32],
    /// Slice and line of each measured line.
    places: &'a mut [u16],
    /// The classes of each slice, packed.
    maps: &'a mut [u8],
}

impl<'m, 'a> VolumeScan<'m, 'a, Native> {
    /// [`VolumeScan::with_kernels`] with the kernels known to run here.
    ///
    /// # Errors
    /// Those of [`VolumeScan::with_kernels`].
    pub fn new(model: &Model<'m>, arena: &'a mut [u8], slices: usize, budget: usize) -> Result<Self, VolumeError> {
        Self::with_kernels(model, arena, slices, budget, Native::default())
    }
}

impl<'m, 'a, K: Kernels> VolumeScan<'m, 'a, K> {
    /// A scan of `budget` lines for `slices` slices together, from base to apex, in an arena of at least
    /// [`volume_arena_bytes`] bytes aligned to 16.
    ///
    /// # Errors
    /// [`VolumeError::Slices`], [`VolumeError::Budget`], or why a slice could not be scanned with the model.
    pub fn with_kernels(
        model: &Model<'m>,
        arena: &'a mut [u8],
        slices: usize,
        budget: usize,
        kernels: K,
    ) -> Result<Self, VolumeError> {
        if slices == 0 || slices > MOST_SLICES {
            return Err(VolumeError::Slices { slices });
        }
        let (height, width) = (model.height(), model.width());
        let order = line_order(model);
        let most = order.len();
        let (min, max) = (FIRST_LINES * slices, most * slices);
        if budget < min || budget > max {
            return Err(VolumeError::Budget { budget, min, max });
        }
        let segmenter = model.segmenter().ok_or(ScanError::NoSegmenter)?;
        let (needed, got) = (volume_arena_bytes(model, slices, budget), arena.len());
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        let mut carver = Carver::new(arena)?;
        let samples = carver.take(budget * height)?;
        let places = carver.take(budget * 2)?;
        let maps: &mut [u8] = carver.take(slices * map_bytes(model))?;
        maps.fill(0);
        let scan = Scan::carved(model, carver.rest(), kernels, PairedImage::Lent)?;
        Ok(Self {
            scan,
            policy: model.slice_policy(),
            logit_scale: segmenter.output().scale,
            class_count: model.classes(),
            height,
            width,
            budget,
            order,
            glimpses: filled(slices, Glimpse::blank(height, width)),
            energies: filled(slices, 0.0),
            logits: filled(slices, 0),
            judged: false,
            visited: None,
            measured: 0,
            course: Fnv1a::NOTHING,
            samples,
            places,
            maps,
        })
    }

    /// The slice and line that come next: every slice's first lines, then where the slice policy expects the most, the first
    /// of equal slices. `None` once the budget is spent.
    ///
    /// # Errors
    /// [`VolumeError::NoSlicePolicy`], or why it could not run.
    pub fn propose(&mut self) -> Result<Option<(usize, usize)>, VolumeError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        let first = self.glimpses.iter().position(|glimpse| usize::from(glimpse.lines) < FIRST_LINES);
        let slice = match first {
            Some(slice) => Some(slice),
            None => {
                self.judge()?;
                self.best()
            }
        };
        Ok(slice.and_then(|slice| Some((slice, self.next_line(slice)?))))
    }

    /// [`propose`](Self::propose), but `None` too when no slice's next line is expected to gain the volume at least
    /// `least_gain`, in the unit of [`expected_gain`](Self::expected_gain): the scan is good enough. First lines are always proposed.
    ///
    /// # Errors
    /// Those of [`propose`](Self::propose).
    pub fn propose_worth(&mut self, least_gain: f32) -> Result<Option<(usize, usize)>, VolumeError> {
        let next = self.propose()?;
        let judged = self.glimpses.iter().all(|glimpse| usize::from(glimpse.lines) >= FIRST_LINES);
        Ok(next.filter(|&(slice, _)| !judged || self.expected_gain(slice) >= least_gain))
    }

    /// What another line of a slice is expected to gain the volume, as of the last [`propose`](Self::propose): mean Dice, where the
    /// policy was trained on segmentation alone; otherwise the weighted mean of the slices' mean SSIM and mean Dice.
    pub fn expected_gain(&self, slice: usize) -> f32 {
        let (Some(&logit), Some(policy)) = (self.logits.get(slice), self.policy) else { return 0.0 };
        let output = policy.output();
        // The mean of the opinions.
        let count = output.shape.c as i32;
        let real = (i32::from(logit) - count * output.zero_point) as f32 * (output.scale / count as f32);
        libm::expf(real) * GAIN_UNIT / self.glimpses.len() as f32
    }

    /// The next line of a slice, `None` if it has all that a slice may have.
    pub fn next_line(&self, slice: usize) -> Option<usize> {
        let lines = usize::from(self.glimpses.get(slice)?.lines);
        self.order.get(lines).map(|&line| usize::from(line))
    }

    /// Takes in the next line of a slice, H samples along ky, and segments the slice. Any slice that may have another line
    /// will do. Samples have the range that [`Scan::push_line`] gives.
    ///
    /// # Errors
    /// [`VolumeError`]; the scan stays as it was.
    pub fn push_line(&mut self, slice: usize, samples: &[Complex32]) -> Result<(), VolumeError> {
        self.check_slice(slice)?;
        if self.remaining() == 0 {
            return Err(VolumeError::BudgetSpent { budget: self.budget });
        }
        let line = self.next_line(slice).ok_or(VolumeError::Full { slice })?;
        // Before another slice gives up its place for this one.
        let has_signal = self.energies.get(slice).is_some_and(|&energy| energy > 0.0);
        check_samples(line, samples, self.height, has_signal)?;
        self.visit(slice)?;
        self.scan.push_line(line, samples)?;
        self.keep(slice, line, samples);
        self.scan.segment()?;
        self.look(slice, samples);
        Ok(())
    }

    /// Segments a slice as it stands: the class of each pixel, `[y][x]`.
    ///
    /// # Errors
    /// [`VolumeError::Slice`], or why the slice could not be segmented.
    pub fn segment(&mut self, slice: usize) -> Result<&[u8], VolumeError> {
        if self.visited != Some(slice) || !self.scan.can_look() {
            self.visit(slice)?;
        }
        Ok(self.scan.segment()?)
    }

    /// Equal on every target that ran the same scan: FNV-1a, 64 bits, of what decided, what was measured and what came of it.
    ///
    /// For each line in the order in which they came: where the slice policy was asked about it, the logits of all slices (i16
    /// little-endian); then slice and line (u16 little-endian each). Then the logits of a decision after which nothing was
    /// measured, such as one to stop. Last, of each slice, what [`scan::digest`](crate::scan::digest) takes in of its image,
    /// logits and classes: all slices are segmented once more.
    ///
    /// # Errors
    /// Why a slice could not be segmented.
    pub fn digest(&mut self) -> Result<u64, VolumeError> {
        let mut hash = self.decided();
        for slice in 0..self.glimpses.len() {
            self.segment(slice)?;
            hash = hash.of_segmentation(self.scan.segmented_image(), self.scan.logits(), self.scan.classes());
        }
        Ok(hash.value())
    }

    /// Lines that may still be measured.
    pub fn remaining(&self) -> usize {
        self.budget - self.measured
    }

    /// Lines of a slice so far; 0 of one that does not exist.
    pub fn lines(&self, slice: usize) -> usize {
        self.glimpses.get(slice).map_or(0, |glimpse| usize::from(glimpse.lines))
    }

    /// What is known of each slice.
    pub fn glimpses(&self) -> &[Glimpse] {
        &self.glimpses
    }

    /// The scan of the slice that was visited last.
    #[cfg(test)]
    pub(super) fn slice_scan(&self) -> &Scan<'m, 'a, K> {
        &self.scan
    }

    /// The logits of all slices, each the sum of the slice policy's opinions, as of the last [`propose`](Self::propose).
    pub fn logits(&self) -> &[i16] {
        &self.logits
    }

    /// Grows the image of a slice from its lines, unless it [`is_ready`](Self::is_ready). [`push_line`](Self::push_line) begins with
    /// it, and [`segment`](Self::segment) if need be; who calls it while the slice's next line is being measured, after
    /// [`propose`](Self::propose), has less to wait for.
    ///
    /// # Errors
    /// [`VolumeError::Slice`], or why the image could not be grown.
    pub fn visit(&mut self, slice: usize) -> Result<(), VolumeError> {
        self.check_slice(slice)?;
        if self.is_ready(slice) {
            return Ok(());
        }
        self.visited = None;
        self.scan.start(self.order.len())?;
        let places = self.places.chunks_exact(2).take(self.measured);
        for (place, samples) in places.zip(self.samples.chunks_exact(self.height.max(1))) {
            if let [of, line] = place
                && usize::from(*of) == slice
            {
                self.scan.push_line(usize::from(*line), samples)?;
            }
        }
        self.visited = Some(slice);
        Ok(())
    }

    /// Whether the image of a slice is in memory and can take a line. By conjugate symmetry it cannot after
    /// [`propose`](Self::propose) or [`segment`](Self::segment).
    pub fn is_ready(&self, slice: usize) -> bool {
        self.visited == Some(slice) && self.scan.can_grow()
    }

    fn check_slice(&self, slice: usize) -> Result<(), VolumeError> {
        let slices = self.glimpses.len();
        if slice < slices { Ok(()) } else { Err(VolumeError::Slice { slice, slices }) }
    }

    fn keep(&mut self, slice: usize, line: usize, samples: &[Complex32]) {
        let at = self.measured * self.height;
        if let Some(kept) = self.samples.get_mut(at..at + self.height) {
            kept.iter_mut().zip(samples).for_each(|(kept, sample)| *kept = *sample);
        }
        if let Some([of, number]) = self.places.get_mut(self.measured * 2..self.measured * 2 + 2) {
            (*of, *number) = (slice as u16, line as u16);
        }
        self.course = self.decided().of([slice, line].into_iter().flat_map(|number| (number as u16).to_le_bytes()));
        self.judged = false;
        self.measured += 1;
    }

    /// The course so far with the logits of the next decision, if it has been made.
    fn decided(&self) -> Fnv1a {
        let logits = self.logits.iter().take(if self.judged { MOST_SLICES } else { 0 });
        self.course.of(logits.flat_map(|logit| logit.to_le_bytes()))
    }

    /// Takes the glimpse of the slice that has just been segmented.
    fn look(&mut self, slice: usize, samples: &[Complex32]) {
        let bytes = (self.height * self.width).div_ceil(4);
        let map = self.maps.get_mut(slice * bytes..(slice + 1) * bytes);
        let (Some(glimpse), Some(all), Some(map)) = (self.glimpses.get_mut(slice), self.energies.get_mut(slice), map)
        else {
            return;
        };
        let energy = energy_of(samples);
        *all += energy;
        let sight = Sight {
            width: self.width,
            levels: self.scan.segmented_image(),
            logits: self.scan.logits(),
            class_count: self.class_count,
            logit_scale: self.logit_scale,
            classes: self.scan.classes(),
            classes_before: map,
        };
        *glimpse = glimpse.next(&sight, line_energy(energy, *all));
        pack_classes(self.scan.classes(), map);
    }

    /// Asks the slice policy about every slice.
    pub(super) fn judge(&mut self) -> Result<(), VolumeError> {
        let policy = self.policy.ok_or(VolumeError::NoSlicePolicy)?;
        self.judged = false;
        let left = self.remaining();
        let mut view = [0; VIEW];
        for (slice, logit) in self.logits.iter_mut().enumerate() {
            write_view(&self.glimpses, slice, left, &mut view);
            *logit = self.scan.run_aside(&policy, &view)?;
        }
        self.judged = true;
        Ok(())
    }

    /// The slice with the largest logit that may have another line.
    fn best(&self) -> Option<usize> {
        let open = (0..self.glimpses.len()).filter(|&slice| self.next_line(slice).is_some());
        let logit = |slice: usize| self.logits.get(slice).copied();
        open.reduce(|best, slice| if logit(slice) > logit(best) { slice } else { best })
    }
}

impl<K> fmt::Debug for VolumeScan<'_, '_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeScan")
            .field("budget", &self.budget)
            .field("glimpses", &self.glimpses)
            .finish_non_exhaustive()
    }
}
