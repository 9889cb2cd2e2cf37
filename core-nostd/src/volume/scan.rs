//! The scan of a volume: lines for its slices in turn, first a few for each, then where the slice policy expects the most.

use core::fmt;

use heapless::Vec;

use super::error::{SliceError, VolumePushError, VolumeSetupError};
use super::features::write_features_of;
use super::place::{MOST_SLICES, Place};
use super::slice_stats::SliceStats;
use super::tracker::{SliceTracker, filled};
use crate::Complex32;
use crate::arena::{ArenaError, Carver, carved_bytes};
use crate::contract::{FEATURES, FIRST_LINES, GAIN_UNIT, MAX_SLICE_LINES};
use crate::fnv::Fnv1a;
use crate::kernels::{Int8Kernels, Kernels, Native};
use crate::kspace::pattern::centre_out;
use crate::kspace::samples::check_samples;
use crate::model::{Graph, Model};
use crate::scan::{NetworkError, Scan, Segmentation, arena_bytes_of, arena_bytes_of_with};

/// Bytes of arena that a scan of a volume of `slices` slices and `budget` lines needs on this machine, with its best kernels
/// ([`Native`]): a slice's scan, and beside it the samples of all lines (8 bytes each) and the classes of all slices (2 bits a
/// pixel). Homodyne reconstruction takes a line more, but no image: that shares the networks' memory, which is at least as
/// large then.
pub fn volume_arena_bytes(model: &Model<'_>, slices: usize, budget: usize) -> usize {
    volume_arena_bytes_with(model, slices, budget, &Native::default())
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

/// [`volume_arena_bytes`] with what these kernels make use of. With those of [`Portable`](crate::kernels::Portable), which the blob
/// plans, every set runs too, but some then leave convolutions to slower kernels.
pub fn volume_arena_bytes_with<K: Int8Kernels + ?Sized>(
    model: &Model<'_>,
    slices: usize,
    budget: usize,
    kernels: &K,
) -> usize {
    kept_bytes(model, slices, budget).saturating_add(arena_bytes_of_with(model, model.plan().aliased(), kernels))
}

fn kept_bytes(model: &Model<'_>, slices: usize, budget: usize) -> usize {
    carved_bytes::<Complex32>(budget.saturating_mul(model.height()))
        .saturating_add(carved_bytes::<u16>(budget.saturating_mul(2)))
        .saturating_add(carved_bytes::<u8>(SliceTracker::bytes(model, slices)))
}

/// The lines of a slice in the order in which they are measured, as many as a slice may have: the model's own order, or centre-out.
pub fn line_order<'m>(model: &Model<'m>) -> impl Iterator<Item = u16> + use<'m> {
    let has_none = model.line_order().next().is_none();
    let centre_out = centre_out(model.width()).map(|line| line as u16).filter(move |_| has_none);
    model.line_order().chain(centre_out).take(MAX_SLICE_LINES)
}

/// The scan of a volume.
///
/// One image is in memory at a time. Of the slices at rest their lines are kept, and the image is added up from them again when
/// the slice is visited: one complex multiply-add a pixel and line. By conjugate symmetry up to 2.5 of them, and then an image takes
/// no line once it has been segmented, so that a slice's next line always asks for its image to be added up again.
pub struct VolumeScan<'m, 'a, K = Native> {
    scan: Scan<'m, 'a, K>,
    policy: Option<Graph<'m>>,
    height: usize,
    budget: usize,
    order: Vec<u16, MAX_SLICE_LINES>,
    tracker: SliceTracker<'a>,
    /// What the slice policy expects of another line of each slice: the sum of its outputs.
    logits: Vec<i16, MOST_SLICES>,
    /// Nothing has been measured since the logits were computed.
    scored: bool,
    visited: Option<usize>,
    measured: usize,
    /// Hash of the decisions and lines so far.
    course: Fnv1a,
    samples: &'a mut [Complex32],
    /// Slice and line of each measured line.
    places: &'a mut [u16],
}

impl<'m, 'a> VolumeScan<'m, 'a, Native> {
    /// [`VolumeScan::with_kernels`] with the best kernels of this machine, in an arena of at least [`volume_arena_bytes`] bytes
    /// aligned to 16.
    ///
    /// # Errors
    /// Those of [`VolumeScan::with_kernels`].
    pub fn new(model: &Model<'m>, arena: &'a mut [u8], slices: usize, budget: usize) -> Result<Self, VolumeSetupError> {
        let needed = volume_arena_bytes(model, slices, budget);
        Self::carved(model, arena, slices, budget, Native::default(), needed)
    }
}

impl<'m, 'a, K: Kernels> VolumeScan<'m, 'a, K> {
    /// A scan of `budget` lines for `slices` slices together, from base to apex, in an arena aligned to 16 of at least the bytes that
    /// [`volume_arena_bytes_with`] gives for [`Portable`](crate::kernels::Portable), better those for these kernels.
    ///
    /// # Errors
    /// [`VolumeSetupError`].
    pub fn with_kernels(
        model: &Model<'m>,
        arena: &'a mut [u8],
        slices: usize,
        budget: usize,
        kernels: K,
    ) -> Result<Self, VolumeSetupError> {
        let planned = kept_bytes(model, slices, budget).saturating_add(arena_bytes_of(model, model.plan().aliased()));
        Self::carved(model, arena, slices, budget, kernels, planned)
    }

    /// A scan in an arena that these kernels ask to have at least `needed` bytes.
    fn carved(
        model: &Model<'m>,
        arena: &'a mut [u8],
        slices: usize,
        budget: usize,
        kernels: K,
        needed: usize,
    ) -> Result<Self, VolumeSetupError> {
        if slices == 0 || slices > MOST_SLICES {
            return Err(VolumeSetupError::Slices { slices });
        }
        let order: Vec<u16, MAX_SLICE_LINES> = line_order(model).collect();
        let (min, max) = (FIRST_LINES * slices, order.len() * slices);
        if budget < min || budget > max {
            return Err(VolumeSetupError::Budget { budget, min, max });
        }
        model.segmenter().ok_or(VolumeSetupError::NoSegmenter)?;
        let got = arena.len();
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        let height = model.height();
        let mut carver = Carver::new(arena)?;
        let samples = carver.take(budget * height)?;
        let places = carver.take(budget * 2)?;
        let tracker = SliceTracker::new(model, slices, carver.take(SliceTracker::bytes(model, slices))?)?;
        Ok(Self {
            scan: Scan::planned(model, carver.rest(), kernels, model.plan().aliased())?,
            policy: model.slice_policy(),
            height,
            budget,
            order,
            tracker,
            logits: filled(slices, 0),
            scored: false,
            visited: None,
            measured: 0,
            course: Fnv1a::NOTHING,
            samples,
            places,
        })
    }

    /// The slice and line that come next: every slice's first lines, then where the slice policy expects the most, the first
    /// of equal slices. `None` once the budget is spent.
    ///
    /// # Errors
    /// [`NetworkError::NoSlicePolicy`] or [`NetworkError::Run`].
    pub fn propose(&mut self) -> Result<Option<Place>, NetworkError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        let first = self.stats().iter().position(|stats| usize::from(stats.lines) < FIRST_LINES);
        let slice = match first {
            Some(slice) => Some(slice),
            None => {
                self.evaluate()?;
                self.best()
            }
        };
        Ok(slice.and_then(|slice| self.next_place(slice)))
    }

    /// [`propose`](Self::propose), but `None` too when no slice's next line is expected to gain the volume at least
    /// `least_gain`, in the unit of [`expected_gain`](Self::expected_gain): the scan is good enough. First lines are always proposed.
    ///
    /// # Errors
    /// Those of [`propose`](Self::propose).
    pub fn propose_gaining(&mut self, least_gain: f32) -> Result<Option<Place>, NetworkError> {
        let next = self.propose()?;
        let scored = self.stats().iter().all(|stats| usize::from(stats.lines) >= FIRST_LINES);
        Ok(next.filter(|place| !scored || self.expected_gain(place.slice) >= least_gain))
    }

    /// What another line of a slice is expected to gain the volume, as of the last [`propose`](Self::propose): mean Dice, where the
    /// policy was trained on segmentation alone; otherwise the weighted mean of the slices' mean SSIM and mean Dice.
    pub fn expected_gain(&self, slice: usize) -> f32 {
        let (Some(&logit), Some(policy)) = (self.logits.get(slice), self.policy) else { return 0.0 };
        let output = policy.output();
        // The mean of the outputs.
        let count = output.shape.c as i32;
        let real = (i32::from(logit) - count * output.zero_point) as f32 * (output.scale / count as f32);
        libm::expf(real) * GAIN_UNIT / self.stats().len() as f32
    }

    /// The next line of a slice, for who chooses slices himself; `None` if it has all that a slice may have, or does not exist.
    pub fn next_place(&self, slice: usize) -> Option<Place> {
        let lines = usize::from(self.stats().get(slice)?.lines);
        self.order.get(lines).map(|&line| Place { slice, line: usize::from(line) })
    }

    /// Takes in a line, H samples along ky, and segments its slice. It is the next one of any slice that may have another line: what
    /// [`propose`](Self::propose) or [`next_place`](Self::next_place) say. Samples have the range that [`Scan::push_line`] gives.
    ///
    /// # Errors
    /// [`VolumePushError`]; the scan stays as it was.
    pub fn push_line(&mut self, place: Place, samples: &[Complex32]) -> Result<(), VolumePushError> {
        let Place { slice, line } = place;
        self.check_slice(slice)?;
        if self.remaining() == 0 {
            return Err(VolumePushError::BudgetSpent { budget: self.budget });
        }
        let next = self.next_place(slice);
        if next != Some(place) {
            return Err(VolumePushError::NotNext { place, line: next.map(|next| next.line) });
        }
        // Before another slice gives up its place for this one.
        let has_signal = self.tracker.has_signal(slice);
        check_samples(line, samples, self.height, has_signal)
            .map_err(|error| VolumePushError::Line { slice, error })?;
        self.visit(slice)?;
        self.segment_with(place, samples).inspect_err(|_| self.visited = None)?;
        self.keep(place, samples);
        Ok(())
    }

    /// Segments the visited slice with a line more, and takes note of what is seen.
    fn segment_with(&mut self, Place { slice, line }: Place, samples: &[Complex32]) -> Result<(), SliceError> {
        self.scan.push_line(line, samples)?;
        let segmentation = self.scan.segment()?;
        self.tracker.observe(slice, samples, &segmentation)
    }

    /// Segments a slice as it stands.
    ///
    /// # Errors
    /// [`SliceError::Slice`], or why the slice could not be segmented.
    pub fn segment(&mut self, slice: usize) -> Result<Segmentation<'_>, SliceError> {
        if self.visited != Some(slice) {
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
    pub fn digest(&mut self) -> Result<u64, SliceError> {
        let mut hash = self.decided();
        for slice in 0..self.stats().len() {
            let Segmentation { image, logits, classes } = self.segment(slice)?;
            hash = hash.of_segmentation(image, logits, classes);
        }
        Ok(hash.value())
    }

    /// Lines that may still be measured.
    pub fn remaining(&self) -> usize {
        self.budget - self.measured
    }

    /// Lines of a slice so far; 0 of one that does not exist.
    pub fn lines(&self, slice: usize) -> usize {
        self.stats().get(slice).map_or(0, |stats| usize::from(stats.lines))
    }

    /// What is known of each slice.
    pub fn stats(&self) -> &[SliceStats] {
        self.tracker.stats()
    }

    /// The scan of the slice that was visited last.
    #[cfg(test)]
    pub(super) fn slice_scan(&mut self) -> &mut Scan<'m, 'a, K> {
        &mut self.scan
    }

    /// The logits of all slices, each the sum of the slice policy's outputs, as of the last [`propose`](Self::propose).
    pub fn logits(&self) -> &[i16] {
        &self.logits
    }

    /// Adds up the image of a slice from its lines, unless it [`is_ready`](Self::is_ready). [`push_line`](Self::push_line) begins with
    /// it, and [`segment`](Self::segment) if need be; who calls it while the slice's next line is being measured, after
    /// [`propose`](Self::propose), has less to wait for.
    ///
    /// # Errors
    /// [`SliceError::Slice`], or why the image could not be added up.
    pub fn visit(&mut self, slice: usize) -> Result<(), SliceError> {
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
        self.visited == Some(slice) && self.scan.reconstructor().takes_lines()
    }

    fn check_slice(&self, slice: usize) -> Result<(), SliceError> {
        let slices = self.stats().len();
        if slice < slices { Ok(()) } else { Err(SliceError::Slice { slice, slices }) }
    }

    fn keep(&mut self, Place { slice, line }: Place, samples: &[Complex32]) {
        let at = self.measured * self.height;
        if let Some(kept) = self.samples.get_mut(at..at + self.height) {
            kept.iter_mut().zip(samples).for_each(|(kept, sample)| *kept = *sample);
        }
        if let Some([of, number]) = self.places.get_mut(self.measured * 2..self.measured * 2 + 2) {
            (*of, *number) = (slice as u16, line as u16);
        }
        self.course = self.decided().of([slice, line].into_iter().flat_map(|number| (number as u16).to_le_bytes()));
        self.scored = false;
        self.measured += 1;
    }

    /// The course so far with the logits of the next decision, if it has been made.
    fn decided(&self) -> Fnv1a {
        let logits = self.logits.iter().take(if self.scored { MOST_SLICES } else { 0 });
        self.course.of(logits.flat_map(|logit| logit.to_le_bytes()))
    }

    /// Asks the slice policy about every slice.
    pub(super) fn evaluate(&mut self) -> Result<(), NetworkError> {
        let policy = self.policy.ok_or(NetworkError::NoSlicePolicy)?;
        self.scored = false;
        let left = self.remaining();
        let mut features = [0; FEATURES];
        let stats = self.tracker.stats();
        for ((slice, own), logit) in stats.iter().enumerate().zip(&mut self.logits) {
            write_features_of(own, stats, slice, left, &mut features);
            *logit = self.scan.run_aside(&policy, &features)?;
        }
        self.scored = true;
        Ok(())
    }

    /// The slice with the largest logit that may have another line.
    fn best(&self) -> Option<usize> {
        let open = (0..self.stats().len()).filter(|&slice| self.next_place(slice).is_some());
        let logit = |slice: usize| self.logits.get(slice).copied();
        open.reduce(|best, slice| if logit(slice) > logit(best) { slice } else { best })
    }
}

impl<K> fmt::Debug for VolumeScan<'_, '_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeScan")
            .field("budget", &self.budget)
            .field("stats", &self.tracker.stats())
            .finish_non_exhaustive()
    }
}
