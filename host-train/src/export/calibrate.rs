//! Which range of real values each tensor of a graph takes.

use crate::net::FloatGraph;
use crate::progress;
use rayon::prelude::*;

/// The values that a tensor takes, zero always among them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// Smallest value; at most 0.
    pub low: f32,
    /// Largest value; at least 0.
    pub high: f32,
}

/// What one calibration image gives a graph: one tensor of real values an input.
pub type CalibrationInput = Vec<Vec<f32>>;

impl Range {
    /// The range of `values`; it reaches to infinity if one of them is not a number.
    pub(super) fn of(values: &[f32]) -> Self {
        let number = |x: f32| if x.is_nan() { f32::INFINITY } else { x };
        values
            .iter()
            .map(|&x| number(x))
            .fold(Self::default(), |range, x| Self { low: range.low.min(x), high: range.high.max(x) })
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// The range of every node of `graph` over the calibration inputs.
pub fn calibrate(graph: &FloatGraph, inputs: &[CalibrationInput]) -> Vec<Range> {
    let nothing = || vec![Range::default(); graph.nodes.len()];
    let union = |a: Vec<Range>, b: Vec<Range>| a.into_iter().zip(b).map(|(a, b)| a.union(b)).collect::<Vec<_>>();
    let bar = progress::bar(inputs.len() as u64, 0, "calibration");
    let one = |input: &CalibrationInput| {
        let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
        let mut ranges = Vec::with_capacity(graph.nodes.len());
        graph.run_with(&input, |_, values| ranges.push(Range::of(values)));
        bar.inc(1);
        ranges
    };
    let ranges = inputs.par_iter().map(one).reduce(nothing, union);
    bar.finish_and_clear();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_zero_and_every_value() {
        assert_eq!(Range::of(&[1.0, 3.0]), Range { low: 0.0, high: 3.0 });
        assert_eq!(Range::of(&[-2.0, 3.0, -1.0]), Range { low: -2.0, high: 3.0 });
    }

    #[test]
    fn a_value_that_is_no_number_cannot_hide_in_a_range() {
        assert_eq!(Range::of(&[1.0, f32::NAN, 2.0]).high, f32::INFINITY);
    }
}
