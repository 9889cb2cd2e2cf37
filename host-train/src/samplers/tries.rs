//! Slices of which any number of lines can be tried before one is measured.

use kscout_core::kspace::{Pattern, Plan, Reconstruction};
use kscout_core::scan::ScanError;
use rayon::prelude::*;

use crate::data::measured::Measured;
use crate::io::stop;
use crate::runtime::HeapReconstructor;
use crate::samplers::OrderError;
use crate::samplers::scorer::{Bench, Scorer, Tally};

/// The `nearest` lines to the centre of all `width`, outward; all where that is more.
pub fn candidates(width: usize, nearest: usize) -> Result<Vec<u16>, OrderError> {
    Ok(Pattern::CentreOut.lines(width, nearest.min(width), 0)?.to_vec())
}

/// The memory in which lines are tried: one a thread.
pub struct Trial {
    image: Option<HeapReconstructor>,
    bench: Bench,
}

impl Trial {
    /// For `scorer`.
    pub fn new(scorer: &Scorer<'_>) -> Self {
        Self { image: None, bench: scorer.bench() }
    }
}

/// A copy of an image, to add a line to or to look at.
fn copy<'t>(image: &HeapReconstructor, room: &'t mut Option<HeapReconstructor>) -> &'t mut HeapReconstructor {
    let plan = image.view().plan();
    let plan = Plan::new(plan.reconstruction(), plan.height(), plan.width());
    if room.as_ref().is_none_or(|room| room.view().plan() != plan) {
        *room = None;
    }
    let copy = room.get_or_insert_with(|| HeapReconstructor::new(plan).expect("a size that there is an image of"));
    copy.copy_from(image).expect("an image of this plan, which nobody has looked at");
    copy
}

/// A slice with some lines measured.
pub struct PartialSlice<'a> {
    measured: &'a Measured<'a>,
    /// Lines are added to it, and it is looked at in copies alone.
    image: HeapReconstructor,
    lines: Vec<u16>,
}

impl<'a> PartialSlice<'a> {
    /// A slice of which `lines` are measured, each once.
    ///
    /// # Errors
    /// [`OrderError::Scan`] where the core cannot reconstruct images of its size, or does not take a line.
    pub fn new(measured: &'a Measured<'a>, lines: &[u16], reconstruction: Reconstruction) -> Result<Self, OrderError> {
        let plan = Plan::new(reconstruction, measured.slice.height, measured.slice.width).aliased();
        let image = HeapReconstructor::new(plan).map_err(ScanError::from)?;
        let mut slice = Self { measured, image, lines: Vec::new() };
        lines.iter().try_for_each(|&line| slice.push_line(line))?;
        Ok(slice)
    }

    /// The lines measured so far, in order.
    pub fn lines(&self) -> &[u16] {
        &self.lines
    }

    /// Measures a line.
    ///
    /// # Errors
    /// [`OrderError::Scan`] where there is no such line, or it was measured already.
    pub fn push_line(&mut self, line: u16) -> Result<(), OrderError> {
        let samples = self.measured.kspace.line(usize::from(line));
        self.image.push_line(usize::from(line), samples).map_err(|error| ScanError::Push(error.into()))?;
        self.lines.push(line);
        Ok(())
    }

    /// The quantised image of the lines so far.
    pub fn levels(&self) -> Vec<i8> {
        copy(&self.image, &mut None).quantised().to_vec()
    }

    /// The tally of the lines so far.
    ///
    /// # Panics
    /// If the slice is not of the scorer's size.
    pub fn tally(&self, scorer: &Scorer<'_>, trial: &mut Trial) -> Tally {
        let levels = copy(&self.image, &mut trial.image).quantised();
        scorer.tally(&mut trial.bench, levels, &self.measured.slice.label)
    }

    /// The tallies with one line more, for each of `lines`; `None` for those that are measured already or do not exist.
    fn tally_with(&self, scorer: &Scorer<'_>, trial: &mut Trial, lines: &[u16]) -> Vec<Option<Tally>> {
        let Measured { slice, kspace, .. } = self.measured;
        let mut one = |line: usize| {
            let image = copy(&self.image, &mut trial.image);
            image.push_line(line, kspace.line(line)).ok()?;
            Some(scorer.tally(&mut trial.bench, image.quantised(), &slice.label))
        };
        let lines = lines.iter().map(|&line| usize::from(line));
        lines.map(|line| if self.image.view().measured().contains(line) { None } else { one(line) }).collect()
    }
}

/// For each slice the tallies with one line more, for each of `lines`; `None` where it is measured already. In parallel. Some are
/// missing where the command is to end.
pub fn tally_each(scorer: &Scorer<'_>, slices: &[PartialSlice<'_>], lines: &[u16]) -> Vec<Vec<Option<Tally>>> {
    let tally = |trial: &mut Trial, slice: &PartialSlice<'_>| match stop::asked() {
        true => Vec::new(),
        false => slice.tally_with(scorer, trial, lines),
    };
    slices.par_iter().map_init(|| Trial::new(scorer), tally).collect()
}
