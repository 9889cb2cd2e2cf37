//! What int8 may change, and whether a file keeps to it.

use serde::Serialize;

use crate::eval::table::{Align, Table};
use crate::export::verify::VerifyReport;
use crate::rl::volume::agreement::Agreement;

/// What int8 may change of what the networks do in f32.
///
/// The largest changes seen of files exported from this project's configurations: Dice .0055, 1.2 % of the pixels, 6 % of the slices
/// chosen; of lines, none was another by more than a step of int8. A file of wrong scales or weights is far beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The most that mean 3-D Dice may differ, up or down, 0 to 1.
    pub dice: f64,
    /// The least share of pixels with the same class, 0 to 1.
    pub pixels: f64,
    /// The least share of choices, of a line or a slice, that are alike, 0 to 1.
    pub choices: f64,
}

/// Something measured against its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was measured, in words.
    pub what: &'static str,
    /// The worst value over all numbers of lines.
    pub measured: f64,
    /// The number of lines where it was measured.
    pub lines: usize,
    /// What it may be.
    pub limit: f64,
    /// Whether the limit is the most that it may be, or the least.
    pub at_most: bool,
    /// Whether it is within its limit.
    pub passed: bool,
}

/// What a measured value may be.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Check {
    /// The worst of `values`, each with its number of lines; none of nothing. What is not a number is the worst of all.
    fn worst(what: &'static str, limit: Limit, values: impl Iterator<Item = (usize, f64)>) -> Option<Self> {
        let (limit, at_most) = match limit {
            Limit::AtMost(limit) => (limit, true),
            Limit::AtLeast(limit) => (limit, false),
        };
        let passes = |value: f64| if at_most { value <= limit } else { value >= limit };
        let badness = |value: f64| {
            if value.is_nan() {
                f64::INFINITY
            } else if at_most {
                value
            } else {
                -value
            }
        };
        let (lines, measured) = values.max_by(|(_, a), (_, b)| badness(*a).total_cmp(&badness(*b)))?;
        Some(Self { what, measured, lines, limit, at_most, passed: passes(measured) })
    }

    /// A value of this kind in words: Dice has no unit, shares are per cent.
    fn words(&self, value: f64, digits: usize) -> String {
        if self.at_most { format!("{value:.0$}", digits + 2) } else { format!("{:.digits$} %", 100.0 * value) }
    }

    /// `0.0321`, or `96.20 %`.
    fn measured(&self) -> String {
        self.words(self.measured, 2)
    }

    /// `at most 0.02`, or `at least 97 %`.
    fn limit(&self) -> String {
        let side = if self.at_most { "at most" } else { "at least" };
        let limit = if self.at_most { self.limit.to_string() } else { format!("{} %", rounded(100.0 * self.limit)) };
        format!("{side} {limit}")
    }
}

/// Without the digits that a product adds: `97`, `99.5`.
fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// Everything that has a limit. `slices`: what a slice policy's choices came to, where they were compared.
pub fn checks(report: &VerifyReport, slices: &[Agreement], limits: &Limits) -> Vec<Check> {
    let budgets = || report.budgets.iter();
    let share = |part: usize, all: usize| part as f64 / all as f64;
    let dice = budgets().map(|budget| (budget.budget, budget.loss().abs()));
    let pixels = budgets().map(|budget| (budget.budget, budget.classes_equal));
    let compared = budgets().filter(|budget| budget.decisions > 0);
    let lines = compared.map(|budget| (budget.budget, share(budget.decisions_alike, budget.decisions)));
    let compared = slices.iter().filter(|found| found.decisions > 0);
    let chosen = compared.map(|found| (found.budget, share(found.equal, found.decisions)));
    let reached = slices.iter().map(|found| (found.budget, (found.float_dice - found.int8_dice).abs()));
    [
        Check::worst("Dice, difference", Limit::AtMost(limits.dice), dice),
        Check::worst("pixels of the same class", Limit::AtLeast(limits.pixels), pixels),
        Check::worst("lines chosen alike", Limit::AtLeast(limits.choices), lines),
        Check::worst("slices chosen alike", Limit::AtLeast(limits.choices), chosen),
        Check::worst("Dice by the slice policies, difference", Limit::AtMost(limits.dice), reached),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Measured values and limits side by side.
pub fn table(checks: &[Check]) -> Table {
    let left = ["int8 against f32", "limit", ""].map(|title| (title, Align::Left));
    let mut table = Table::new([left[0], ("worst", Align::Right), ("at lines", Align::Right), left[1], left[2]]);
    for check in checks {
        let result = if check.passed { "passed" } else { "FAILED" };
        let [measured, limit] = [check.measured(), check.limit()];
        table.push([check.what.to_owned(), measured, check.lines.to_string(), limit, result.to_owned()]);
    }
    table
}

/// What is wrong, in words, if anything is. `known`: the file says of which weights it was made, and these are the ones.
pub fn verdict(report: &VerifyReport, checks: &[Check], known: bool) -> Result<(), String> {
    if let Some(place) = &report.kernel_difference {
        return Err(format!("the plain and the fast int8 kernels differ at {place}; this build must not be trusted"));
    }
    let failed = |check: &&Check| !check.passed;
    let words =
        |check: &Check| format!("{} {} at {} lines ({})", check.what, check.measured(), check.lines, check.limit());
    let failed: Vec<String> = checks.iter().filter(failed).map(words).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let help = if known {
        "export it again, with more --calibration, or train longer"
    } else {
        "give the checkpoints that it was exported from; if these are they, export it again, with more --calibration"
    };
    Err(format!("int8 does not do what the networks do in f32: {}; {help}", failed.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::verify::{BudgetReport, ScanDigest};

    const BARS: Limits = Limits { dice: 0.02, pixels: 0.97, choices: 0.8 };

    fn budget(lines: usize, float: f64, int8: f64) -> BudgetReport {
        let (dice_float, dice_int8) = ([Some(float); 3], [Some(int8), None, Some(int8)]);
        let mut budget =
            BudgetReport { budget: lines, dice_float, dice_int8, classes_equal: 0.998, ..Default::default() };
        (budget.decisions, budget.decisions_equal, budget.decisions_alike) = (100, 91, 99);
        budget
    }

    fn report(budgets: Vec<BudgetReport>) -> VerifyReport {
        let digest = ScanDigest { slice: "p/1".into(), budget: 8, digest: "0".into() };
        VerifyReport { slices: 1, budgets, kernel_slices: 1, kernel_difference: None, digest }
    }

    fn verdict_on(report: &VerifyReport) -> Result<(), String> {
        verdict(report, &checks(report, &[], &BARS), true)
    }

    #[test]
    fn a_difference_above_the_bar_fails_up_or_down_and_names_the_lines() {
        assert_eq!(verdict_on(&report(vec![budget(8, 0.8, 0.785), budget(16, 0.8, 0.81)])), Ok(()));
        for int8 in [0.77, 0.83] {
            let reason = verdict_on(&report(vec![budget(8, 0.8, 0.8), budget(16, 0.8, int8)])).unwrap_err();
            assert!(reason.contains("Dice, difference 0.0300 at 16 lines (at most 0.02)"), "{reason}");
        }
    }

    #[test]
    fn too_few_equal_pixels_or_choices_fail_even_where_dice_is_equal() {
        let mut other = report(vec![budget(8, 0.8, 0.8)]);
        other.budgets[0].classes_equal = 0.962;
        other.budgets[0].decisions_alike = 79;
        let reason = verdict_on(&other).unwrap_err();
        assert!(reason.contains("pixels of the same class 96.20 % at 8 lines (at least 97 %)"), "{reason}");
        assert!(reason.contains("lines chosen alike 79.00 % at 8 lines (at least 80 %)"), "{reason}");
    }

    #[test]
    fn choices_of_slices_have_the_same_bars() {
        let slices = |equal, int8_dice| [Agreement { budget: 6, decisions: 50, equal, float_dice: 0.75, int8_dice }];
        let report = report(vec![budget(8, 0.8, 0.8)]);
        let verdict_on = |slices: &[Agreement]| verdict(&report, &checks(&report, slices, &BARS), true);
        assert_eq!(verdict_on(&slices(40, 0.76)), Ok(()));
        let reason = verdict_on(&slices(39, 0.7)).unwrap_err();
        assert!(reason.contains("slices chosen alike 78.00 % at 6 lines"), "{reason}");
        assert!(reason.contains("Dice by the slice policies, difference 0.0500"), "{reason}");
    }

    #[test]
    fn what_is_not_a_number_fails() {
        let reason = verdict_on(&report(vec![budget(8, 0.8, 0.8), budget(16, f64::NAN, 0.7)])).unwrap_err();
        assert!(reason.contains("NaN at 16 lines"), "{reason}");
    }

    #[test]
    fn a_single_differing_kernel_fails() {
        let mut differs = report(vec![budget(8, 0.8, 0.8)]);
        differs.kernel_difference = Some("segmenter, operator 3 (Add)".into());
        let reason = verdict_on(&differs).unwrap_err();
        assert!(reason.contains("operator 3"), "{reason}");
    }

    #[test]
    fn measured_values_and_bars_stand_side_by_side() {
        let text = table(&checks(&report(vec![budget(8, 0.8, 0.75)]), &[], &BARS)).to_text();
        let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split_whitespace().collect()).collect();
        assert!(rows.iter().any(|row| row.ends_with(&["0.0500", "8", "at", "most", "0.02", "FAILED"])), "{text}");
        assert!(
            rows.iter().any(|row| row.ends_with(&["99.80", "%", "8", "at", "least", "97", "%", "passed"])),
            "{text}"
        );
    }
}
