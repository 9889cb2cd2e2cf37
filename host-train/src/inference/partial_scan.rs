//! A scan of one slice without networks: somebody else chooses its lines.

use kscout_core::Complex32;
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kspace::{LineSet, Plan, SetupError};
use kscout_core::scan::{BudgetError, PushError, write_state};

use crate::runtime::{HeapReconstructor, HostReconstructor};

/// A scan of one slice under way: its image, its lines in order, and how many more it may measure.
#[derive(Debug)]
pub struct PartialScan {
    image: HeapReconstructor,
    lines: Vec<u16>,
    budget: usize,
}

impl PartialScan {
    /// A scan that is to be [started](Self::start).
    ///
    /// # Errors
    /// [`SetupError::Size`] where the core cannot reconstruct images of that size.
    pub fn new(plan: Plan) -> Result<Self, SetupError> {
        Ok(Self { image: HeapReconstructor::new(plan)?, lines: Vec::new(), budget: 0 })
    }

    /// Begins a scan of `budget` lines, and forgets any scan before it.
    ///
    /// # Errors
    /// [`BudgetError`] unless the budget is 1 to W; the scan before then goes on.
    pub fn start(&mut self, budget: usize) -> Result<(), BudgetError> {
        let width = self.reconstructor().plan().width();
        if budget == 0 || budget > width {
            return Err(BudgetError { budget, width });
        }
        self.image.clear();
        self.lines.clear();
        self.budget = budget;
        Ok(())
    }

    /// Takes in a measured line, as [`Scan::push_line`](kscout_core::scan::Scan::push_line) does.
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
        self.image.push_line(line, samples)?;
        self.lines.push(line as u16);
        Ok(())
    }

    /// The quantised image of the lines measured so far.
    pub fn image(&mut self) -> &[i8] {
        self.image.quantised()
    }

    /// What a line policy is told of the lines: see [`write_state`].
    pub fn state(&self) -> Vec<i8> {
        let mut state = vec![0; self.mask().width() + STATE_EXTRAS];
        write_state(self.mask(), self.budget, &mut state).expect("a state of its length");
        state
    }

    /// The image as complex numbers.
    pub fn reconstructor(&self) -> &HostReconstructor<'_> {
        self.image.view()
    }

    /// The lines measured so far.
    pub fn mask(&self) -> &LineSet {
        self.reconstructor().measured()
    }

    /// The lines measured so far, in the order they came.
    pub fn lines(&self) -> &[u16] {
        &self.lines
    }

    /// How many lines may still be measured.
    pub fn remaining(&self) -> usize {
        self.budget.saturating_sub(self.lines.len())
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::kspace::{LineError, Reconstruction};

    use super::*;

    #[test]
    fn a_scan_keeps_to_its_budget_and_starts_anew() {
        let mut scan = PartialScan::new(Plan::new(Reconstruction::Homodyne, 16, 20)).unwrap();
        let samples = [Complex32::new(1.0, -1.0); 16];
        assert_eq!(scan.push_line(3, &samples), Err(PushError::NotStarted));
        for budget in [0, 21] {
            assert_eq!(scan.start(budget), Err(BudgetError { budget, width: 20 }));
        }
        let dark = scan.image().to_vec();
        scan.start(2).unwrap();
        scan.push_line(10, &samples).unwrap();
        assert_eq!(scan.push_line(10, &samples), Err(PushError::Line(LineError::Repeated { line: 10 })));
        scan.push_line(3, &samples).unwrap();
        assert_eq!(scan.push_line(4, &samples), Err(PushError::BudgetSpent { budget: 2 }));
        assert_eq!((scan.lines(), scan.remaining()), (&[10, 3][..], 0));
        assert_eq!(scan.state()[..4], [0, 0, 0, 127]);
        assert_eq!(scan.state()[20..], [0, 13, 13]);
        assert_ne!(scan.image(), dark);
        scan.start(5).unwrap();
        assert_eq!((scan.lines(), scan.remaining()), (&[][..], 5));
        assert_eq!(scan.image(), dark);
    }
}
