//! How early scans could end at no loss of Dice, if it were known beforehand what every line brings: the most that any rule for
//! ending a volume's scan can save.

use super::stats;

/// Where scans end, on average over volumes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stop {
    /// Lines a slice.
    lines: f64,
    /// Mean Dice.
    dice: f64,
}

/// Bisections of what a line is worth.
const BISECTIONS: usize = 60;

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

fn at_price(budgets: &[usize], curves: &[Vec<f64>], price: f64) -> Stop {
    let net = |curve: &[f64], place: usize| curve[place] - price * budgets[place] as f64;
    // Of places that are worth the same, the first: fewer lines.
    let best = |curve: &[f64]| {
        (0..budgets.len()).fold(0, |best, place| if net(curve, place) > net(curve, best) { place } else { best })
    };
    let ends: Vec<usize> = curves.iter().map(|curve| best(curve)).collect();
    Stop {
        lines: mean(ends.iter().map(|&end| budgets[end] as f64)),
        dice: mean(ends.iter().zip(curves).map(|(&end, curve)| curve[end])),
    }
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
    fn without_anything_to_save_all_lines_are_measured() {
        assert_eq!(fewest_lines(&[4, 6], &[vec![0.5, 0.75]]), 6.0);
        assert_eq!(fewest_lines(&[4], &[vec![0.5]]), 4.0);
    }
}
