//! The acquisition loop: a budget, then line after line, then a segmentation.
//!
//! ```
//! use kscout_core::Complex32;
//! use kscout_core::model::Model;
//! use kscout_core::scan::Scan;
//!
//! fn segment_slice(
//!     blob: &[u8],
//!     arena: &mut [u8],
//!     mut measure: impl FnMut(usize) -> Vec<Complex32>,
//! ) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let model = Model::new_checked(blob)?;
//!     let mut scan = Scan::new(&model, arena)?;
//!     scan.start(12)?;
//!     while let Some(line) = scan.next_line() {
//!         scan.push_line(line, &measure(line))?;
//!     }
//!     Ok(scan.segment()?.to_vec())
//! }
//! # let mut arena = kscout_core::arena::StaticArena::<16>::new();
//! # assert!(segment_slice(b"no blob", arena.as_mut_slice(), |_| Vec::new()).is_err());
//! ```
//!
//! The policy proposes and the caller disposes: [`push_line`](Scan::push_line) takes any line that has not been
//! measured, so a fixed pattern or another policy can drive the same scan.

mod cost;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod memory;
mod rules;
mod samples;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

use self::memory::{Memory, signed};
use crate::Complex32;
use crate::kernels::{Kernels, Native};
use crate::kspace::fft::is_fft_length;
use crate::kspace::{LineSet, Reconstruction};
use crate::model::{Graph, Model, run};

pub use cost::{multiply_accumulates, other_operations};
pub use error::ScanError;
pub(crate) use memory::{PairedImage, arena_bytes_of, arena_bytes_of_with};
pub use memory::{arena_bytes, arena_bytes_for, arena_bytes_with};
pub(crate) use rules::{Fnv1a, share};
pub use rules::{STATE_EXTRAS, best_line, classes_from_logits, digest, write_state};
pub(crate) use samples::check_samples;
pub use samples::{FAINTEST_LINE, LARGEST_SAMPLE};

/// What the arena of the graphs holds: where the output of the network lies that ran last.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Nothing,
    Policy(Range<usize>),
    Segmenter(Range<usize>),
}

/// A scan of one slice: the lines measured so far, the image they give, and the networks that look at it.
///
/// `K` is the kernel set that runs the networks. Nothing is allocated, and the networks run only when their answer is
/// asked for and something has changed since.
pub struct Scan<'m, 'a, K = Native> {
    segmenter: Option<Graph<'m>>,
    policy: Option<Graph<'m>>,
    class_count: usize,
    reconstruction: Reconstruction,
    kernels: K,
    memory: Memory<'a>,
    mask: LineSet,
    budget: usize,
    /// A line has come whose samples can be told from nothing.
    has_signal: bool,
    image_is_current: bool,
    /// The image of paired lines was lent by the networks, and is there no more: no line can be added.
    used_up: bool,
    held: Held,
    fault: Option<ScanError>,
}

impl<'m, 'a> Scan<'m, 'a, Native> {
    /// A scan with the kernels known to run here ([`Native`]), in an arena of at least [`arena_bytes`] bytes aligned to 16.
    ///
    /// # Errors
    /// [`ScanError::Arena`] if the arena does not do, [`ScanError::Size`] if images of the model's size cannot be
    /// reconstructed.
    pub fn new(model: &Model<'m>, arena: &'a mut [u8]) -> Result<Self, ScanError> {
        Self::with_kernels(model, arena, Native::default())
    }
}

impl<'m, 'a, K: Kernels> Scan<'m, 'a, K> {
    /// A scan with the kernels of the caller's choice; every set gives the same bytes.
    ///
    /// # Errors
    /// As [`Scan::new`].
    pub fn with_kernels(model: &Model<'m>, arena: &'a mut [u8], kernels: K) -> Result<Self, ScanError> {
        Self::carved(model, arena, kernels, PairedImage::Own)
    }

    /// [`with_kernels`](Self::with_kernels), with the image of paired lines in memory of its own or lent. Then no line can be added once
    /// a network has run or the image has been looked at ([`can_grow`](Self::can_grow)): the scan has to be started again, and
    /// says [`ScanError::NotStarted`]. And there is nothing to [`reconstruct`](Self::reconstruct).
    pub(crate) fn carved(
        model: &Model<'m>,
        arena: &'a mut [u8],
        kernels: K,
        paired: PairedImage,
    ) -> Result<Self, ScanError> {
        let (height, width) = (model.height(), model.width());
        let size = ScanError::Size { height, width };
        if !is_fft_length(height) {
            return Err(size);
        }
        let mask = LineSet::new(width).map_err(|_| size)?;
        let mut scan = Self {
            segmenter: model.segmenter(),
            policy: model.policy(),
            class_count: model.classes(),
            reconstruction: model.reconstruction(),
            kernels,
            memory: Memory::carve(arena, model, paired)?,
            mask,
            budget: 0,
            has_signal: false,
            image_is_current: false,
            used_up: false,
            held: Held::Nothing,
            fault: None,
        };
        scan.forget();
        Ok(scan)
    }

    /// Begins a scan of `budget` lines, and forgets any scan before it.
    ///
    /// # Errors
    /// [`ScanError::Budget`] unless the budget is 1 to W; the scan before then goes on.
    pub fn start(&mut self, budget: usize) -> Result<(), ScanError> {
        let width = self.mask.width();
        if budget == 0 || budget > width {
            return Err(ScanError::Budget { budget, width });
        }
        self.forget();
        self.budget = budget;
        Ok(())
    }

    fn forget(&mut self) {
        self.memory.clear();
        self.mask.clear();
        self.has_signal = false;
        self.image_is_current = false;
        self.used_up = false;
        self.held = Held::Nothing;
        self.fault = None;
    }

    /// The line that the policy would measure next, or `None` once the budget is spent. Until a line is pushed the
    /// answer stays the same.
    ///
    /// Also `None` if the policy cannot run, most of all if the model has none: the next [`segment`](Self::segment) then says
    /// why, so that a loop over `next_line` cannot end early unnoticed, unless a line has been pushed in between.
    /// [`propose`](Self::propose) says so at once.
    pub fn next_line(&mut self) -> Option<usize> {
        match self.propose() {
            Ok(line) => line,
            Err(error) => {
                self.fault = Some(error);
                None
            }
        }
    }

    /// [`next_line`](Self::next_line), with the reason if the policy cannot run.
    ///
    /// # Errors
    /// [`ScanError::NoPolicy`] or [`ScanError::Run`].
    pub fn propose(&mut self) -> Result<Option<usize>, ScanError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        self.run_policy()?;
        Ok(best_line(self.policy_output(), &self.mask))
    }

    /// Takes in a measured line: H samples along ky, DC at H/2. Any line that has not been measured will do.
    ///
    /// The samples' unit does not matter, but no real or imaginary part may be beyond [`LARGEST_SAMPLE`], and the largest of a line
    /// not below [`FAINTEST_LINE`], unless all are zero or an earlier line is above it.
    ///
    /// # Errors
    /// [`ScanError::NotStarted`], [`Line`](ScanError::Line), [`Repeated`](ScanError::Repeated),
    /// [`BudgetSpent`](ScanError::BudgetSpent), [`SampleCount`](ScanError::SampleCount), [`NotFinite`](ScanError::NotFinite),
    /// [`TooLarge`](ScanError::TooLarge) or [`TooFaint`](ScanError::TooFaint); the scan stays as it was.
    pub fn push_line(&mut self, line: usize, samples: &[Complex32]) -> Result<(), ScanError> {
        let has_signal = self.check_line(line, samples)?;
        self.memory.grow(&self.kernels, &self.mask, (line, samples))?;
        if let Some(slot) = self.memory.lines.get_mut(self.mask.len()) {
            *slot = line as u16;
        }
        let width = self.mask.width();
        self.mask.insert(line).map_err(|_| ScanError::Line { line, width })?;
        self.has_signal |= has_signal;
        self.image_is_current = false;
        self.held = Held::Nothing;
        // Somebody else chooses the lines, so the scan has not ended early.
        self.fault = None;
        Ok(())
    }

    /// Whether the line has signal, if it can be taken.
    fn check_line(&self, line: usize, samples: &[Complex32]) -> Result<bool, ScanError> {
        let width = self.mask.width();
        if self.budget == 0 || self.used_up {
            return Err(ScanError::NotStarted);
        }
        if line >= width {
            return Err(ScanError::Line { line, width });
        }
        if self.mask.contains(line) {
            return Err(ScanError::Repeated { line });
        }
        if self.remaining() == 0 {
            return Err(ScanError::BudgetSpent { budget: self.budget });
        }
        check_samples(line, samples, self.memory.profile.len(), self.has_signal)
    }

    /// Segments the image as it is, and gives the class of each pixel, `[y][x]`. At any moment, before the first line too;
    /// the scan can go on afterwards.
    ///
    /// # Errors
    /// [`ScanError::NoSegmenter`] or [`ScanError::Run`]; and once, the reason why [`next_line`](Self::next_line) gave
    /// `None` too early, if no line has come since.
    pub fn segment(&mut self) -> Result<&[u8], ScanError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let graph = self.segmenter.ok_or(ScanError::NoSegmenter)?;
        self.refresh_image()?;
        if !matches!(self.held, Held::Segmenter(_)) {
            self.held = Held::Nothing;
            let inputs = [&*self.memory.quantised];
            let output = run_graph(&graph, &self.kernels, &inputs, self.memory.graph)?;
            let logits = signed(self.memory.graph, &output);
            self.kernels.classify(logits, self.class_count, self.memory.classes);
            self.held = Held::Segmenter(output);
        }
        Ok(self.memory.classes)
    }

    /// The policy's logits, W of them, for the state the scan is in.
    ///
    /// # Errors
    /// [`ScanError::NoPolicy`] or [`ScanError::Run`].
    pub fn policy_logits(&mut self) -> Result<&[i8], ScanError> {
        self.run_policy()?;
        Ok(self.policy_output())
    }

    /// The sum of the values that `graph` gives for `input`. What the networks have said of the scan is forgotten.
    pub(crate) fn run_aside(&mut self, graph: &Graph<'_>, input: &[i8]) -> Result<i16, ScanError> {
        self.held = Held::Nothing;
        self.used_up |= self.memory.lends();
        let output = run_graph(graph, &self.kernels, &[input], self.memory.graph)?;
        let values = signed(self.memory.graph, &output).iter().map(|&value| i16::from(value));
        Ok(values.fold(0, i16::saturating_add))
    }

    fn run_policy(&mut self) -> Result<(), ScanError> {
        let graph = self.policy.ok_or(ScanError::NoPolicy)?;
        self.refresh_image()?;
        write_state(&self.mask, self.budget, self.memory.state);
        if !matches!(self.held, Held::Policy(_)) {
            self.held = Held::Nothing;
            let inputs = [&*self.memory.quantised, &*self.memory.state];
            self.held = Held::Policy(run_graph(&graph, &self.kernels, &inputs, self.memory.graph)?);
        }
        Ok(())
    }

    fn policy_output(&self) -> &[i8] {
        match &self.held {
            Held::Policy(output) => signed(self.memory.graph, output),
            _ => &[],
        }
    }

    /// The policy's second input, W + 3 values: see [`write_state`].
    pub fn state(&mut self) -> &[i8] {
        write_state(&self.mask, self.budget, self.memory.state);
        self.memory.state
    }

    /// The quantised image of the lines measured so far, `[y][x]`: see [`quantise_magnitude`](crate::kspace::quantise_magnitude)
    /// and [`Homodyne::quantise`](crate::kspace::Homodyne::quantise); the blob says which of them.
    pub fn image(&mut self) -> &[i8] {
        match self.refresh_image() {
            Ok(()) => self.memory.quantised,
            Err(_) => &[],
        }
    }

    /// Writes the reconstructed image of the lines measured so far, `[y][x]`, before its magnitude is taken; as many pixels as
    /// `out` holds. Zero-filled it is the [`complex_image`](Self::complex_image), else see
    /// [`Homodyne::fill_in`](crate::kspace::Homodyne::fill_in).
    pub fn reconstruct(&self, out: &mut [Complex32]) {
        self.memory.reconstruct(&self.kernels, out);
    }

    /// Fails only where a lent image is used up.
    fn refresh_image(&mut self) -> Result<(), ScanError> {
        if !self.can_look() {
            return Err(ScanError::NotStarted);
        }
        if !self.image_is_current {
            // The lengths were checked when the scan was made, so this cannot fail. While the image is out of date nothing of the
            // networks is held, so their memory is free.
            let _ = self.memory.quantise(&self.kernels);
            self.image_is_current = true;
            self.used_up = self.memory.lends();
        }
        Ok(())
    }

    /// Whether a line can be added to the image: not if what the networks lent is used up.
    pub(crate) fn can_grow(&self) -> bool {
        !self.used_up
    }

    /// Whether the networks can look at the image of all lines so far.
    pub(crate) fn can_look(&self) -> bool {
        self.image_is_current || !self.used_up
    }
}

impl<K> Scan<'_, '_, K> {
    /// The complex zero-filled image of the lines measured so far, `[y][x]`, whatever the reconstruction is.
    pub fn complex_image(&self) -> &[Complex32] {
        self.memory.image
    }

    /// How the image is made that the networks see.
    pub fn reconstruction(&self) -> Reconstruction {
        self.reconstruction
    }

    /// The quantised image that was segmented, right after [`segment`](Self::segment); empty once the scan has gone on.
    pub fn segmented_image(&self) -> &[i8] {
        match &self.held {
            Held::Segmenter(_) => self.memory.quantised,
            _ => &[],
        }
    }

    /// The segmenter's logits, `[y][x][class]`, right after [`segment`](Self::segment); empty once the scan has gone on.
    pub fn logits(&self) -> &[i8] {
        match &self.held {
            Held::Segmenter(output) => signed(self.memory.graph, output),
            _ => &[],
        }
    }

    /// The class of each pixel, `[y][x]`, right after [`segment`](Self::segment); empty once the scan has gone on.
    pub fn classes(&self) -> &[u8] {
        match self.held {
            Held::Segmenter(_) => self.memory.classes,
            _ => &[],
        }
    }

    /// The [`digest`] of the scan right after [`segment`](Self::segment); once it has gone on, that of its lines alone.
    pub fn digest(&self) -> u64 {
        let image = if matches!(self.held, Held::Segmenter(_)) { &*self.memory.quantised } else { &[] };
        digest(self.lines(), image, self.logits(), self.classes())
    }

    /// The lines measured so far.
    pub fn mask(&self) -> &LineSet {
        &self.mask
    }

    /// The lines measured so far, in the order they came.
    pub fn lines(&self) -> &[u16] {
        self.memory.lines.get(..self.mask.len()).unwrap_or_default()
    }

    /// How many lines the scan may measure; 0 before [`start`](Self::start).
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// How many lines the scan may still measure.
    pub fn remaining(&self) -> usize {
        self.budget.saturating_sub(self.mask.len())
    }
}

impl<K> fmt::Debug for Scan<'_, '_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("budget", &self.budget).field("lines", &self.lines()).finish_non_exhaustive()
    }
}

/// Runs a graph and says where in `arena` its output lies, so that nobody has to keep the arena borrowed.
fn run_graph<K: Kernels>(
    graph: &Graph<'_>,
    kernels: &K,
    inputs: &[&[i8]],
    arena: &mut [u8],
) -> Result<Range<usize>, ScanError> {
    let start = arena.as_ptr() as usize;
    let output = run(graph, kernels, inputs, arena)?;
    let at = (output.as_ptr() as usize).saturating_sub(start);
    Ok(at..at + output.len())
}
