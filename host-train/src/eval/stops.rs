//! How early scans could end at no loss of Dice, if it were known beforehand what every line brings: the most that any rule for
//! ending a volume's scan can save ([`fewest_lines`]). Such foresight knows the chances of a single scan too. What a rule would save
//! that knows each heart from other scans of it, but not the phase and noise of this one, is less ([`fewest_lines_of_hearts`]).

use crate::metrics::stats;

/// Where scans end, on average over volumes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stop {
    /// Lines a slice.
    lines: f64,
    /// Mean Dice.
    dice: f64,
}

/// Bisections of the price of a line.
const BISECTIONS: usize = 60;
/// The least of the prices of a line that are tried where that cannot be found by bisection: as good as nothing.
const LEAST_PRICE: f64 = 1e-9;
/// What each of them is a multiple of the one before.
const PRICE_STEP: f64 = 1.05;
/// How many there are: up to one that no line gains.
const PRICES: std::ops::Range<i32> = 0..425;

/// Mean lines a slice below which no choice of where each volume's scan ends keeps the mean Dice that all lines give. `curves`
/// has a row a volume, its Dice at each of the ascending `budgets`; there is at least one of each.
///
/// For any price of a line, ending every scan where `dice - price * lines` is largest gives the most Dice for its lines. The
/// price at which no Dice is lost is found by bisection; between the ends just below and just above it lies the bound, a straight
/// line (the Lagrangian bound: a mixture of both would reach it, whole volumes come close).
pub fn fewest_lines(budgets: &[usize], curves: &[Vec<f64>]) -> f64 {
    let last = budgets.len() - 1;
    let full = mean(curves.iter().map(|curve| curve[last]));
    let (mut cheap, mut dear) = (0.0, 1.0);
    for _ in 0..BISECTIONS {
        let price = (cheap + dear) / 2.0;
        *if at_price(budgets, curves, price).dice >= full { &mut cheap } else { &mut dear } = price;
    }
    let [kept, lost] = [cheap, dear].map(|price| at_price(budgets, curves, price));
    let share = if kept.dice > lost.dice { (full - lost.dice) / (kept.dice - lost.dice) } else { 1.0 };
    lost.lines + share * (kept.lines - lost.lines)
}

/// Mean lines a slice with which scans keep the mean Dice that all lines give, if each ends where it is best, at one price of a line
/// for all, for the *other* draws of phase and noise of the same heart. `hearts` has a row a volume, of a curve a draw, as in
/// [`fewest_lines`]; `None` where a volume has fewer than two draws.
///
/// No bound, but an estimate: a mean of a few draws knows a heart less well than could be, and the price is the one that saves the
/// most among those that keep the Dice of these draws. Unlike the bound it can come out at all lines: an end that was best in
/// other draws need not be in this one.
pub fn fewest_lines_of_hearts(budgets: &[usize], hearts: &[Vec<Vec<f64>>]) -> Option<f64> {
    let mut own = Vec::new();
    let mut known = Vec::new();
    for draws in hearts {
        let others = draws.len().checked_sub(1).filter(|&others| others > 0)? as f64;
        let sums: Vec<f64> = (0..budgets.len()).map(|place| draws.iter().map(|curve| curve[place]).sum()).collect();
        known.extend(draws.iter().map(|curve| sums.iter().zip(curve).map(|(sum, own)| (sum - own) / others).collect()));
        own.extend(draws.iter().cloned());
    }
    let last = budgets.len() - 1;
    let full = mean(own.iter().map(|curve| curve[last]));
    let stop = |price: f64| Stop::of(budgets, &own, &ends(budgets, &known, price));
    let stops = PRICES.map(|step| stop(LEAST_PRICE * PRICE_STEP.powi(step)));
    let kept = stops.filter(|stop| stop.dice >= full).map(|stop| stop.lines);
    Some(kept.fold(budgets[last] as f64, f64::min))
}

impl Stop {
    /// Of scans that end at these places of `budgets`.
    fn of(budgets: &[usize], curves: &[Vec<f64>], ends: &[usize]) -> Self {
        Self {
            lines: mean(ends.iter().map(|&end| budgets[end] as f64)),
            dice: mean(ends.iter().zip(curves).map(|(&end, curve)| curve[end])),
        }
    }
}

fn at_price(budgets: &[usize], curves: &[Vec<f64>], price: f64) -> Stop {
    Stop::of(budgets, curves, &ends(budgets, curves, price))
}

/// Where each curve less `price` a line is largest. Of places that are worth the same, the first: fewer lines.
fn ends(budgets: &[usize], curves: &[Vec<f64>], price: f64) -> Vec<usize> {
    let net = |curve: &[f64], place: usize| curve[place] - price * budgets[place] as f64;
    let best = |curve: &Vec<f64>| {
        (0..budgets.len()).fold(0, |best, place| if net(curve, place) > net(curve, best) { place } else { best })
    };
    curves.iter().map(best).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    stats::mean(&values.collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_ends_where_it_gains_no_more() {
        // The first is done after 4 lines, the second gains all the way.
        let curves = [vec![0.75, 0.75, 0.75], vec![0.25, 0.5, 0.75]];
        assert_eq!(fewest_lines(&[4, 6, 8], &curves), 6.0);
    }

    #[test]
    fn lines_that_harm_one_volume_pay_for_lines_that_another_does_without() {
        // Its last two lines cost the first volume .25, which the second may lose: 6 lines each.
        let curves = [vec![0.25, 0.75, 0.5], vec![0.25, 0.5, 0.75]];
        assert!((fewest_lines(&[4, 6, 8], &curves) - 6.0).abs() < 1e-9);
    }

    #[test]
    fn what_holds_in_every_draw_is_saved_and_luck_is_not() {
        // The first heart is done after 4 lines in all draws.
        let steady = vec![vec![0.75, 0.75, 0.75]; 3];
        let gains = vec![vec![0.25, 0.5, 0.75]; 3];
        assert_eq!(fewest_lines_of_hearts(&[4, 6, 8], &[steady, gains]), Some(6.0));
        // Each draw is done early by luck, and where it is lucky the other is not.
        let lucky = vec![vec![0.75, 0.25, 0.7], vec![0.25, 0.75, 0.7]];
        assert!(fewest_lines(&[4, 6, 8], &lucky) < 6.0);
        assert_eq!(fewest_lines_of_hearts(&[4, 6, 8], &[lucky]), Some(8.0));
    }

    #[test]
    fn one_draw_tells_nothing_of_another() {
        assert_eq!(fewest_lines_of_hearts(&[4, 6], &[vec![vec![0.5, 0.75]; 2], vec![vec![0.5, 0.75]]]), None);
    }

    #[test]
    fn without_anything_to_save_all_lines_are_measured() {
        assert_eq!(fewest_lines(&[4, 6], &[vec![0.5, 0.75]]), 6.0);
        assert_eq!(fewest_lines(&[4], &[vec![0.5]]), 4.0);
    }
}
