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
//!     while let Some(line) = scan.propose()? {
//!         scan.push_line(line, &measure(line))?;
//!     }
//!     Ok(scan.segment()?.classes.to_vec())
//! }
//! # let mut arena = kscout_core::arena::StaticArena::<16>::new();
//! # assert!(segment_slice(b"no blob", arena.as_mut_slice(), |_| Vec::new()).is_err());
//! ```
//!
//! The policy proposes and the caller disposes: [`push_line`](Scan::push_line) takes any line that has not been
//! measured, so a fixed pattern or another policy can drive the same scan. Who wants the image and no networks has the
//! [`Reconstructor`] alone.

mod cost;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod memory;
mod rules;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

use self::memory::Memory;
use crate::Complex32;
use crate::arena::ArenaError;
use crate::kernels::{Int8Kernels, Kernels, Native};
use crate::kspace::reconstructor::Look;
use crate::kspace::{LineSet, Plan, Reconstructor, SetupError};
use crate::model::{Graph, Model, run};

pub use cost::{multiply_accumulates, other_operations};
pub use error::{BudgetError, NetworkError, PushError, ScanError};
pub use memory::{arena_bytes, arena_bytes_for, arena_bytes_with};
pub(crate) use memory::{arena_bytes_of, arena_bytes_of_with};
pub(crate) use rules::share;
pub use rules::{best_line, classes_from_logits, digest, write_state};

/// Which network's output lies where in the scratch memory: that of the network that ran last.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Nothing,
    Policy(Range<usize>),
    Segmenter(Range<usize>),
}

/// What a segmenter has made of a scan as it stands: see [`Scan::segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segmentation<'s> {
    /// The class of each pixel, `[y][x]`.
    pub classes: &'s [u8],
    /// The segmenter's logits, `[y][x][class]`.
    pub logits: &'s [i8],
    /// The quantised image that was segmented, `[y][x]`.
    pub image: &'s [i8],
}

/// A scan of one slice: the image of the lines measured so far, and the networks that look at it.
///
/// `K` is the kernel set that runs the networks. Nothing is allocated, and the networks run only when their answer is
/// asked for and something has changed since.
pub struct Scan<'m, 'a, K = Native> {
    segmenter: Option<Graph<'m>>,
    policy: Option<Graph<'m>>,
    class_count: usize,
    /// The networks run in its scratch memory.
    reconstructor: Reconstructor<'a, K>,
    budget: usize,
    classes: &'a mut [u8],
    state: &'a mut [i8],
    lines: &'a mut [u16],
    held: Held,
}

impl<'m, 'a> Scan<'m, 'a, Native> {
    /// A scan with the best kernels of this machine ([`Native`]), in an arena of at least [`arena_bytes`] bytes aligned to 16.
    ///
    /// Less would leave convolutions to slower kernels on some machines; who has no more than the blob plans and accepts that asks
    /// [`with_kernels`](Self::with_kernels).
    ///
    /// # Errors
    /// [`SetupError::Arena`] if the arena does not do, [`SetupError::Size`] if images of the model's size cannot be
    /// reconstructed.
    pub fn new(model: &Model<'m>, arena: &'a mut [u8]) -> Result<Self, SetupError> {
        let kernels = Native::default();
        let (needed, got) = (arena_bytes_with(model, &kernels), arena.len());
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        Self::with_kernels(model, arena, kernels)
    }
}

impl<'m, 'a, K: Kernels> Scan<'m, 'a, K> {
    /// A scan with the kernels of the caller's choice; every set gives the same bytes. The arena has at least the bytes that
    /// [`arena_bytes_with`] gives for [`Portable`](crate::kernels::Portable), better those for these kernels.
    ///
    /// # Errors
    /// As [`Scan::new`].
    pub fn with_kernels(model: &Model<'m>, arena: &'a mut [u8], kernels: K) -> Result<Self, SetupError> {
        Self::planned(model, arena, kernels, model.plan())
    }

    /// [`with_kernels`](Self::with_kernels) of another plan for the images. Where that is [`aliased`](Plan::aliased), no line can be
    /// added once a network has run or the image has been looked at, until the scan is started again.
    pub(crate) fn planned(model: &Model<'m>, arena: &'a mut [u8], kernels: K, plan: Plan) -> Result<Self, SetupError> {
        let Memory { classes, state, lines, rest } = Memory::carve(arena, model, plan)?;
        Ok(Self {
            segmenter: model.segmenter(),
            policy: model.policy(),
            class_count: model.classes(),
            reconstructor: Reconstructor::with_kernels(plan, rest, kernels)?,
            budget: 0,
            classes,
            state,
            lines,
            held: Held::Nothing,
        })
    }

    /// Begins a scan of `budget` lines, and forgets any scan before it.
    ///
    /// # Errors
    /// [`BudgetError`] unless the budget is 1 to W; the scan before then goes on.
    pub fn start(&mut self, budget: usize) -> Result<(), BudgetError> {
        let width = self.reconstructor.plan().width();
        if budget == 0 || budget > width {
            return Err(BudgetError { budget, width });
        }
        self.reconstructor.clear();
        self.held = Held::Nothing;
        self.budget = budget;
        Ok(())
    }

    /// The line that the policy would measure next, or `None` once the budget is spent. Until a line is pushed the
    /// answer stays the same.
    ///
    /// # Errors
    /// [`NetworkError::NoPolicy`] or [`NetworkError::Run`].
    pub fn propose(&mut self) -> Result<Option<usize>, NetworkError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        let output = self.run_policy()?;
        Ok(best_line(self.values(&output), self.mask()))
    }

    /// Takes in a measured line: H samples along ky, DC at H/2, as [`Reconstructor::push_line`] takes them. Any line that has not
    /// been measured will do.
    ///
    /// # Errors
    /// [`PushError`]; the scan stays as it was.
    pub fn push_line(&mut self, line: usize, samples: &[Complex32]) -> Result<(), PushError> {
        let budget = self.budget;
        if budget == 0 {
            return Err(PushError::NotStarted);
        }
        if self.remaining() == 0 {
            return Err(PushError::BudgetSpent { budget });
        }
        let place = self.mask().len();
        self.reconstructor.push_line(line, samples)?;
        if let Some(slot) = self.lines.get_mut(place) {
            *slot = line as u16;
        }
        self.held = Held::Nothing;
        Ok(())
    }

    /// Segments the image as it is. At any moment, before the first line too; the scan can go on afterwards.
    ///
    /// # Errors
    /// [`NetworkError::NoSegmenter`] or [`NetworkError::Run`].
    pub fn segment(&mut self) -> Result<Segmentation<'_>, NetworkError> {
        let output = self.run_segmenter()?;
        let (image, scratch) = self.reconstructor.looked();
        Ok(Segmentation { classes: self.classes, logits: signed(scratch, &output), image })
    }

    /// The [`digest`] of the lines measured so far and of what the segmenter makes of them, which is segmented if need be.
    ///
    /// # Errors
    /// Those of [`segment`](Self::segment).
    pub fn digest(&mut self) -> Result<u64, NetworkError> {
        let output = self.run_segmenter()?;
        let (image, scratch) = self.reconstructor.looked();
        Ok(digest(self.lines(), image, signed(scratch, &output), self.classes))
    }

    /// The policy's logits, W of them, for the state the scan is in.
    ///
    /// # Errors
    /// [`NetworkError::NoPolicy`] or [`NetworkError::Run`].
    pub fn policy_logits(&mut self) -> Result<&[i8], NetworkError> {
        let output = self.run_policy()?;
        Ok(self.values(&output))
    }

    /// The sum of the values that `graph` gives for `input`. What the networks have said of the scan is forgotten.
    pub(crate) fn run_aside(&mut self, graph: &Graph<'_>, input: &[i8]) -> Result<i16, NetworkError> {
        self.held = Held::Nothing;
        let Look { scratch, kernels, .. } = self.reconstructor.look();
        let output = run_graph(graph, kernels, &[input], scratch)?;
        let values = signed(scratch, &output).iter().map(|&value| i16::from(value));
        Ok(values.fold(0, i16::saturating_add))
    }

    /// Where the policy's output lies.
    fn run_policy(&mut self) -> Result<Range<usize>, NetworkError> {
        let graph = self.policy.ok_or(NetworkError::NoPolicy)?;
        self.write_state();
        if let Held::Policy(output) = &self.held {
            return Ok(output.clone());
        }
        self.held = Held::Nothing;
        let Look { levels, scratch, kernels } = self.reconstructor.look();
        let output = run_graph(&graph, kernels, &[levels, self.state], scratch)?;
        self.held = Held::Policy(output.clone());
        Ok(output)
    }

    /// Where the segmenter's output lies, whose classes are in their place.
    fn run_segmenter(&mut self) -> Result<Range<usize>, NetworkError> {
        let graph = self.segmenter.ok_or(NetworkError::NoSegmenter)?;
        if let Held::Segmenter(output) = &self.held {
            return Ok(output.clone());
        }
        self.held = Held::Nothing;
        let Look { levels, scratch, kernels } = self.reconstructor.look();
        let output = run_graph(&graph, kernels, &[levels], scratch)?;
        kernels.classify(signed(scratch, &output), self.class_count, self.classes);
        self.held = Held::Segmenter(output.clone());
        Ok(output)
    }

    /// The values at `output` of the networks' memory.
    fn values(&self, output: &Range<usize>) -> &[i8] {
        signed(self.reconstructor.looked().1, output)
    }

    /// To take the segmenter away and give it back.
    #[cfg(test)]
    pub(crate) fn segmenter_mut(&mut self) -> &mut Option<Graph<'m>> {
        &mut self.segmenter
    }

    fn write_state(&mut self) {
        // The arena was cut up for its length.
        let _ = write_state(self.reconstructor.measured(), self.budget, self.state);
    }

    /// The policy's second input, W + 3 values: see [`write_state`].
    pub fn state(&mut self) -> &[i8] {
        self.write_state();
        self.state
    }

    /// The quantised image of the lines measured so far, `[y][x]`: see [`Reconstructor::quantised`].
    pub fn image(&mut self) -> &[i8] {
        self.reconstructor.quantised()
    }
}

impl<'a, K> Scan<'_, 'a, K> {
    /// The image of the lines measured so far, as complex numbers, zero-filled and reconstructed.
    pub fn reconstructor(&self) -> &Reconstructor<'a, K> {
        &self.reconstructor
    }

    /// The lines measured so far.
    pub fn mask(&self) -> &LineSet {
        self.reconstructor.measured()
    }

    /// The lines measured so far, in the order they came.
    pub fn lines(&self) -> &[u16] {
        self.lines.get(..self.mask().len()).unwrap_or_default()
    }

    /// How many lines the scan may measure; 0 before [`start`](Self::start).
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// How many lines the scan may still measure.
    pub fn remaining(&self) -> usize {
        self.budget.saturating_sub(self.mask().len())
    }
}

impl<K> fmt::Debug for Scan<'_, '_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("budget", &self.budget).field("lines", &self.lines()).finish_non_exhaustive()
    }
}

/// Runs a graph and says where in `arena` its output lies, so that nobody has to keep the arena borrowed.
fn run_graph<K: Int8Kernels>(
    graph: &Graph<'_>,
    kernels: &K,
    inputs: &[&[i8]],
    arena: &mut [u8],
) -> Result<Range<usize>, NetworkError> {
    let start = arena.as_ptr() as usize;
    let output = run(graph, kernels, inputs, arena)?;
    let at = (output.as_ptr() as usize).saturating_sub(start);
    Ok(at..at + output.len())
}

/// The values at `range` of the networks' memory.
fn signed<'b>(bytes: &'b [u8], range: &Range<usize>) -> &'b [i8] {
    bytemuck::try_cast_slice(bytes.get(range.clone()).unwrap_or_default()).unwrap_or_default()
}
