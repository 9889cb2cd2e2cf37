//! Slices of which any number of lines can be tried before one is measured.

use kscout_core::Complex32;
use kscout_core::kspace::{Pattern, Reconstruction};
use rayon::prelude::*;

use super::OrderError;
use super::judge::{Bench, Judge, Tally};
use crate::grow::{Grower, Grown};
use crate::io::stop;
use crate::measure::Measured;

/// The `nearest` lines to the centre of all `width`, outward; all where that is more.
pub fn candidates(width: usize, nearest: usize) -> Result<Vec<u16>, OrderError> {
    Ok(Pattern::CentreOut.lines(width, nearest.min(width), 0)?.to_vec())
}

/// A slice with some lines measured.
pub struct Growing<'a> {
    measured: &'a Measured<'a>,
    reconstruction: Reconstruction,
    grown: Grown,
    lines: Vec<u16>,
}

impl<'a> Growing<'a> {
    /// A slice of which `lines` are measured, each once.
    ///
    /// # Errors
    /// [`OrderError::Scan`] where the core cannot reconstruct images of its size.
    ///
    /// # Panics
    /// If there is no such line.
    pub fn new(measured: &'a Measured<'a>, lines: &[u16], reconstruction: Reconstruction) -> Result<Self, OrderError> {
        let mut table = vec![Complex32::ZERO; measured.slice.width];
        let mut grower = Grower::new(measured.slice.height, &mut table, reconstruction)?;
        let mut grown = grower.empty();
        lines.iter().for_each(|&line| grower.grow(&mut grown, &measured.kspace, usize::from(line)));
        Ok(Self { measured, reconstruction, grown, lines: lines.to_vec() })
    }

    /// The lines measured so far, in order.
    pub fn lines(&self) -> &[u16] {
        &self.lines
    }

    /// Measures a line that was not measured yet.
    ///
    /// # Panics
    /// If there is no such line.
    pub fn grow(&mut self, line: u16) {
        let kspace = &self.measured.kspace;
        self.with_grower(|grower, grown| grower.grow(grown, kspace, usize::from(line)));
        self.lines.push(line);
    }

    /// The quantised image of the lines so far.
    pub fn levels(&mut self) -> Vec<i8> {
        self.with_grower(|grower, grown| grower.levels(grown).to_vec())
    }

    /// The tally of the lines so far.
    pub fn tally(&mut self, judge: &Judge<'_>, bench: &mut Bench) -> Tally {
        judge.tally(bench, &self.levels(), &self.measured.slice.label)
    }

    /// The tallies with one line more, for each of `lines`; `None` for those that are measured already.
    fn tally_with(&mut self, judge: &Judge<'_>, bench: &mut Bench, lines: &[u16]) -> Vec<Option<Tally>> {
        let Measured { slice, kspace, .. } = self.measured;
        self.with_grower(|grower, grown| {
            let mut one = |line: usize| {
                let levels = grower.levels_with(grown, kspace, line);
                judge.tally(bench, levels, &slice.label)
            };
            let lines = lines.iter().map(|&line| usize::from(line));
            lines.map(|line| (!grown.measured().contains(line)).then(|| one(line))).collect()
        })
    }

    fn with_grower<T>(&mut self, work: impl FnOnce(&mut Grower<'_>, &mut Grown) -> T) -> T {
        let slice = self.measured.slice;
        let mut table = vec![Complex32::ZERO; slice.width];
        let grower = Grower::new(slice.height, &mut table, self.reconstruction);
        work(&mut grower.expect("a size that was checked"), &mut self.grown)
    }
}

/// For each slice the tallies with one line more, for each of `lines`; `None` where it is measured already. In parallel. Some are
/// missing where the command is to end.
pub fn tally_each(judge: &Judge<'_>, slices: &mut [Growing<'_>], lines: &[u16]) -> Vec<Vec<Option<Tally>>> {
    let tally = |bench: &mut Bench, slice: &mut Growing<'_>| match stop::asked() {
        true => Vec::new(),
        false => slice.tally_with(judge, bench, lines),
    };
    slices.par_iter_mut().map_init(|| judge.bench(), tally).collect()
}
