//! Slices of which any number of lines can be tried before one is measured.

use kscout_core::Complex32;
use kscout_core::kspace::Pattern;
use rayon::prelude::*;

use super::OrderError;
use super::judge::{Bench, Judge, Tally};
use crate::grow::Grower;
use crate::measure::Measured;

/// The `nearest` lines to the centre of all `width`, outward; all where that is more.
pub fn candidates(width: usize, nearest: usize) -> Result<Vec<u16>, OrderError> {
    Ok(Pattern::CentreOut.lines(width, nearest.min(width), 0)?.to_vec())
}

/// A slice with some lines measured.
pub struct Growing<'a> {
    measured: &'a Measured<'a>,
    image: Vec<Complex32>,
    lines: Vec<u16>,
}

impl<'a> Growing<'a> {
    /// A slice of which `lines` are measured.
    ///
    /// # Errors
    /// [`OrderError::Scan`] where the core cannot reconstruct images of its size.
    ///
    /// # Panics
    /// If there is no such line.
    pub fn new(measured: &'a Measured<'a>, lines: &[u16]) -> Result<Self, OrderError> {
        let mut growing =
            Self { measured, image: vec![Complex32::ZERO; measured.slice.image.len()], lines: Vec::new() };
        growing.with_grower(|_, _| ())?;
        lines.iter().for_each(|&line| growing.grow(line));
        Ok(growing)
    }

    /// The lines measured so far, in order.
    pub fn lines(&self) -> &[u16] {
        &self.lines
    }

    /// Measures a line.
    ///
    /// # Panics
    /// If there is no such line.
    pub fn grow(&mut self, line: u16) {
        let mut image = std::mem::take(&mut self.image);
        self.with_grower(|grower, measured| grower.grow(&mut image, &measured.kspace, usize::from(line)))
            .expect("a size that was checked");
        self.image = image;
        self.lines.push(line);
    }

    /// The quantised image of the lines so far.
    pub fn levels(&self) -> Vec<i8> {
        self.with_grower(|grower, _| grower.levels(&self.image).to_vec()).expect("a size that was checked")
    }

    /// The tally of the lines so far.
    pub fn tally(&self, judge: &Judge<'_>, bench: &mut Bench) -> Tally {
        judge.tally(bench, &self.levels(), &self.measured.slice.label)
    }

    /// The tallies with one line more, for each of `lines`; `None` for those that are measured already.
    fn tally_with(&self, judge: &Judge<'_>, bench: &mut Bench, lines: &[u16]) -> Vec<Option<Tally>> {
        let Measured { slice, kspace, .. } = self.measured;
        let tried = self.with_grower(|grower, _| {
            let mut one = |&line: &u16| {
                let levels = grower.levels_with(&self.image, kspace, usize::from(line));
                judge.tally(bench, levels, &slice.label)
            };
            lines.iter().map(|line| (!self.lines.contains(line)).then(|| one(line))).collect()
        });
        tried.expect("a size that was checked")
    }

    fn with_grower<T>(&self, work: impl FnOnce(&mut Grower<'_>, &Measured<'_>) -> T) -> Result<T, OrderError> {
        let mut table = vec![Complex32::ZERO; self.measured.slice.width];
        let mut grower = Grower::new(self.measured.slice.height, &mut table)?;
        Ok(work(&mut grower, self.measured))
    }
}

/// For each slice the tallies with one line more, for each of `lines`; `None` where it is measured already. In parallel.
pub fn tally_each(judge: &Judge<'_>, slices: &[Growing<'_>], lines: &[u16]) -> Vec<Vec<Option<Tally>>> {
    slices.par_iter().map_init(|| judge.bench(), |bench, slice| slice.tally_with(judge, bench, lines)).collect()
}
