//! Sampling patterns: orders of lines chosen without looking at the data.
//!
//! A pattern writes `budget` distinct lines, in the order in which a scanner would measure them, into the caller's
//! slice. Draws are in integers, so a seed gives the same lines on every target.

use core::fmt;
use core::str::FromStr;

use super::mask::{LineSet, MAX_LINES};
use super::rng::SplitMix64;

/// The largest exponent a variable density may have.
pub const MAX_POWER: u8 = 6;

/// An order of lines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// Outward from DC: `W/2, W/2 - 1, W/2 + 1, W/2 - 2, ...`
    CentreOut,
    /// A block of lines around DC, and the rest of the budget spread evenly over the other lines. The block comes
    /// first, then the others outward from DC.
    Equispaced {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, at least one unless 0.
        centre_fraction: f32,
    },
    /// A block of lines around DC, as fastMRI's masks have it, and the rest drawn without replacement with a density of
    /// `(1 - r)^power`, `r = |k - W/2| / (W/2 + 1)`: the polynomial density of Lustig, Donoho and Pauly, *Sparse
    /// MRI*, 2007, who use powers of 1 to 6. The block comes first, then the others in the order drawn, so that any
    /// beginning of the order is itself of variable density.
    VariableDensity {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, at least one unless 0.
        centre_fraction: f32,
        /// How fast the density falls away from DC: 0 (uniform) to [`MAX_POWER`].
        power: u8,
    },
    /// Partial Fourier: a block of lines around DC, as many on either side, then the lower side outward, and the upper side
    /// only once that is measured. The block gives the phase that [`homodyne`](super::homodyne) needs to put the upper side's
    /// mirror images in place of it.
    PartialFourier {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, and up to an odd number of them.
        centre_fraction: f32,
    },
    /// Lines drawn without replacement, near ones more often: a normal density of deviation W/10 around DC, which is 1
    /// there, and half the budget's share of all lines on top, `exp(-(10 (k - W/2) / W)^2 / 2) + budget / (2 W)`. The
    /// "random with low bias" of Pineda, Basu, Romero, Calandra and Drozdzal, *Active MR k-space sampling with reinforcement
    /// learning*, 2020; no block comes first.
    RandomLowBias,
    /// Lines drawn uniformly without replacement, in the order drawn.
    Random,
}

/// Why a pattern could not be written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PatternError {
    /// A k-space has 1 to [`MAX_LINES`] lines.
    Width {
        /// The width asked for.
        width: usize,
    },
    /// A budget is 1 to the number of lines.
    Budget {
        /// The budget asked for.
        budget: usize,
        /// How many lines there are.
        width: usize,
    },
    /// The caller's slice cannot hold the order.
    Output {
        /// Entries needed: the budget.
        needed: usize,
        /// Entries the slice has.
        got: usize,
    },
    /// The share of the centre block is not a number from 0 to 1.
    CentreFraction {
        /// The share given.
        centre_fraction: f32,
    },
    /// The exponent is above [`MAX_POWER`].
    Power {
        /// The exponent given.
        power: u8,
    },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { width } => {
                write!(f, "a k-space of {width} lines: expected 1 to {MAX_LINES}")
            }
            Self::Budget { budget, width } => {
                write!(f, "a budget of {budget} lines: expected 1 to {width}")
            }
            Self::Output { needed, got } => write!(f, "room for {got} lines: {needed} are needed"),
            Self::CentreFraction { centre_fraction } => {
                write!(f, "a centre block of {centre_fraction} of the budget: expected 0 to 1")
            }
            Self::Power { power } => write!(f, "a density exponent of {power}: expected 0 to {MAX_POWER}"),
        }
    }
}

impl core::error::Error for PatternError {}

impl Pattern {
    /// Every pattern, with its default parameters: a quarter of the budget in the centre, half of it for partial Fourier,
    /// density to the fourth power.
    pub const ALL: [Self; 6] = [
        Self::CentreOut,
        Self::Equispaced { centre_fraction: 0.25 },
        Self::VariableDensity { centre_fraction: 0.25, power: 4 },
        Self::PartialFourier { centre_fraction: 0.5 },
        Self::RandomLowBias,
        Self::Random,
    ];

    /// The pattern's name, as configurations and reports write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CentreOut => "centre-out",
            Self::Equispaced { .. } => "equispaced",
            Self::VariableDensity { .. } => "variable-density",
            Self::PartialFourier { .. } => "partial-fourier",
            Self::RandomLowBias => "random-low-bias",
            Self::Random => "random",
        }
    }

    /// Writes `budget` distinct lines of `0..width` into the front of `out`, in the order of acquisition, and gives
    /// back `budget`.
    ///
    /// ```
    /// use kscout_core::kspace::Pattern;
    /// let mut order = [0_u16; 5];
    /// assert_eq!(Pattern::CentreOut.order(128, 5, 0, &mut order), Ok(5));
    /// assert_eq!(order, [64, 63, 65, 62, 66]);
    /// ```
    ///
    /// # Errors
    /// [`PatternError`] if the width, the budget, the length of `out` or a parameter is outside its range; `out` stays
    /// as it was.
    pub fn order(&self, width: usize, budget: usize, seed: u64, out: &mut [u16]) -> Result<usize, PatternError> {
        let got = out.len();
        let Ok(mut chosen) = LineSet::new(width) else {
            return Err(PatternError::Width { width });
        };
        if budget == 0 || budget > width {
            return Err(PatternError::Budget { budget, width });
        }
        let out = out.get_mut(..budget).ok_or(PatternError::Output { needed: budget, got })?;
        let centre = self.centre_lines(budget)?;
        let mut slots = out.iter_mut();
        for line in centre_out(width).take(centre) {
            take(line, &mut chosen, &mut slots);
        }
        match *self {
            Self::CentreOut => {}
            Self::Equispaced { .. } => spread_evenly(budget - centre, &mut chosen, &mut slots),
            Self::VariableDensity { power, .. } => {
                let weight = |line| polynomial(line, width, power);
                draw(weight, seed, &mut chosen, &mut slots);
            }
            Self::PartialFourier { .. } => {
                let below = (0..width / 2).rev();
                below.chain(width / 2..width).for_each(|line| take(line, &mut chosen, &mut slots));
            }
            Self::RandomLowBias => draw(|line| low_bias(line, width, budget), seed, &mut chosen, &mut slots),
            Self::Random => draw(|_| 1, seed, &mut chosen, &mut slots),
        }
        Ok(budget)
    }

    /// [`order`](Self::order), into a vector of its own: 1 KiB, wherever the caller keeps it.
    ///
    /// ```
    /// use kscout_core::kspace::Pattern;
    /// assert_eq!(Pattern::CentreOut.lines(128, 5, 0).unwrap(), [64, 63, 65, 62, 66]);
    /// ```
    ///
    /// # Errors
    /// [`PatternError`] if the width, the budget or a parameter is outside its range.
    pub fn lines(&self, width: usize, budget: usize, seed: u64) -> Result<heapless::Vec<u16, MAX_LINES>, PatternError> {
        let mut lines = heapless::Vec::new();
        // Never longer than the capacity; a larger budget is larger than any width, and `order` refuses it.
        let _ = lines.resize(budget.min(MAX_LINES), 0);
        self.order(width, budget, seed, &mut lines)?;
        Ok(lines)
    }

    /// How many lines the block around DC has, after checking the parameters.
    fn centre_lines(&self, budget: usize) -> Result<usize, PatternError> {
        let centre_fraction = match *self {
            Self::CentreOut => return Ok(budget),
            Self::RandomLowBias | Self::Random => return Ok(0),
            Self::VariableDensity { power, .. } if power > MAX_POWER => {
                return Err(PatternError::Power { power });
            }
            Self::Equispaced { centre_fraction }
            | Self::VariableDensity { centre_fraction, .. }
            | Self::PartialFourier { centre_fraction } => centre_fraction,
        };
        if !(0.0..=1.0).contains(&centre_fraction) {
            return Err(PatternError::CentreFraction { centre_fraction });
        }
        let rounded = (budget as f32 * centre_fraction + 0.5) as usize;
        if let Self::PartialFourier { .. } = self {
            return Ok((rounded | 1).min(budget));
        }
        Ok(if centre_fraction > 0.0 { rounded.clamp(1, budget) } else { 0 })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not the name of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPattern;

impl fmt::Display for UnknownPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown pattern: expected one of")?;
        Pattern::ALL.iter().try_for_each(|pattern| write!(f, " {pattern}"))
    }
}

impl core::error::Error for UnknownPattern {}

impl FromStr for Pattern {
    type Err = UnknownPattern;

    /// A pattern by its name, with the parameters it has in [`Pattern::ALL`].
    fn from_str(text: &str) -> Result<Self, UnknownPattern> {
        Self::ALL.into_iter().find(|pattern| pattern.name() == text).ok_or(UnknownPattern)
    }
}

/// Every line of `0..width`, outward from DC, the lower one first.
fn centre_out(width: usize) -> impl Iterator<Item = usize> {
    (0..width).map(move |n| {
        let distance = n.div_ceil(2);
        if n % 2 == 1 { (width / 2).wrapping_sub(distance) } else { width / 2 + distance }
    })
}

type Slots<'s> = core::slice::IterMut<'s, u16>;

fn take(line: usize, chosen: &mut LineSet, slots: &mut Slots<'_>) {
    if chosen.insert(line) == Ok(true)
        && let Some(slot) = slots.next()
    {
        *slot = line as u16;
    }
}

/// Line i of `count` is the one in the middle of the i-th of `count` equal parts of the lines not yet chosen.
fn spread_evenly(count: usize, chosen: &mut LineSet, slots: &mut Slots<'_>) {
    let block = chosen.clone();
    let others = block.width() - block.len();
    let mut spread = block.clone();
    spread.clear();
    let mut part = 0;
    for (index, line) in block.missing().enumerate() {
        let middle = ((2 * part + 1) * others).checked_div(2 * count);
        if part < count && middle == Some(index) {
            let _ = spread.insert(line);
            part += 1;
        }
    }
    for line in centre_out(block.width()).filter(|&line| spread.contains(line)) {
        take(line, chosen, slots);
    }
}

/// `(W/2 + 1 - |k - W/2|)^power`: at most 257^6, and 512 of them, below 2^58.
fn polynomial(line: usize, width: usize, power: u8) -> u64 {
    let centre = width / 2;
    ((centre + 1 - centre.abs_diff(line)) as u64).saturating_pow(u32::from(power))
}

/// The density of [`Pattern::RandomLowBias`] in units of 2^-32, rounded to whole ones, so that draws are in integers.
fn low_bias(line: usize, width: usize, budget: usize) -> u64 {
    const UNIT: f64 = 4_294_967_296.0;
    let deviations = 10.0 * (line as f64 - (width / 2) as f64) / width as f64;
    libm::round(UNIT * (libm::exp(-0.5 * deviations * deviations) + 0.5 * budget as f64 / width as f64)) as u64
}

/// Fills the slots with lines drawn without replacement, each with its weight.
fn draw(weight: impl Fn(usize) -> u64, seed: u64, chosen: &mut LineSet, slots: &mut Slots<'_>) {
    let mut total: u64 = chosen.missing().map(&weight).sum();
    let mut rng = SplitMix64::new(seed);
    while slots.len() > 0 {
        let mut ticket = rng.below(total);
        let winner = chosen.missing().find(|&line| {
            let passed = ticket >= weight(line);
            ticket = ticket.saturating_sub(weight(line));
            !passed
        });
        let Some(line) = winner else { return };
        total -= weight(line);
        take(line, chosen, slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::format;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn order(pattern: Pattern, width: usize, budget: usize, seed: u64) -> Vec<u16> {
        let mut out = vec![0; budget];
        assert_eq!(pattern.order(width, budget, seed, &mut out), Ok(budget));
        out
    }

    #[test]
    fn centre_out_goes_outward_from_dc_the_lower_line_first() {
        assert_eq!(order(Pattern::CentreOut, 8, 8, 0), [4, 3, 5, 2, 6, 1, 7, 0]);
        assert_eq!(order(Pattern::CentreOut, 5, 5, 0), [2, 1, 3, 0, 4]);
    }

    #[test]
    fn equispaced_has_its_block_first_and_then_goes_outward() {
        let pattern = Pattern::Equispaced { centre_fraction: 0.25 };
        assert_eq!(order(pattern, 128, 8, 0), [64, 63, 75, 52, 96, 31, 117, 10]);
        assert_eq!(order(Pattern::Equispaced { centre_fraction: 0.0 }, 16, 4, 0), [6, 10, 2, 14]);
    }

    #[test]
    fn gaps_between_equispaced_lines_differ_by_at_most_one() {
        let mut lines = order(Pattern::Equispaced { centre_fraction: 0.0 }, 128, 24, 0);
        lines.sort_unstable();
        let gaps: BTreeSet<u16> = lines.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps, BTreeSet::from([5, 6]));
    }

    #[test]
    fn partial_fourier_has_a_symmetric_block_and_then_one_side_before_the_other() {
        let pattern = Pattern::PartialFourier { centre_fraction: 0.5 };
        assert_eq!(order(pattern, 128, 8, 0), [64, 63, 65, 62, 66, 61, 60, 59]);
        let all = order(pattern, 16, 16, 0);
        assert_eq!(all, [8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 2, 1, 0, 13, 14, 15]);
        let block = |budget| pattern.centre_lines(budget);
        assert_eq!([1, 2, 6, 12, 16].map(block), [1, 1, 3, 7, 9].map(Ok));
    }

    #[test]
    fn the_share_of_the_block_is_rounded_and_never_lost() {
        let block = |budget| Pattern::Equispaced { centre_fraction: 0.25 }.centre_lines(budget);
        assert_eq!([block(1), block(6), block(16)], [Ok(1), Ok(2), Ok(4)]);
    }

    #[test]
    fn variable_density_measures_near_lines_more_often() {
        let mut counts = [0_u32; 128];
        for seed in 0..2000 {
            for line in order(Pattern::VariableDensity { centre_fraction: 0.0, power: 4 }, 128, 16, seed) {
                counts[usize::from(line)] += 1;
            }
        }
        let near: u32 = counts[56..72].iter().sum();
        let middle: u32 = counts[28..44].iter().sum();
        let far: u32 = counts[0..16].iter().sum();
        assert!(near > 3 * middle && middle > 10 * far, "{near} {middle} {far}");
    }

    #[test]
    fn low_bias_follows_its_density_from_the_first_line_on() {
        let (mut counts, draws) = ([0_u32; 64], 40_000);
        (0..draws).for_each(|seed| counts[usize::from(order(Pattern::RandomLowBias, 64, 8, seed)[0])] += 1);
        let density = |line: usize| (-0.5 * (10.0 * (line as f64 - 32.0) / 64.0).powi(2)).exp() + 8.0 / 128.0;
        let total: f64 = (0..64).map(density).sum();
        for (line, &count) in counts.iter().enumerate() {
            let expected = f64::from(draws as u32) * density(line) / total;
            assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{line}: {count}, not {expected:.0}");
        }
    }

    #[test]
    fn random_measures_every_line_as_often() {
        let mut counts = [0_u32; 32];
        for seed in 0..4000 {
            for line in order(Pattern::Random, 32, 8, seed) {
                counts[usize::from(line)] += 1;
            }
        }
        assert!(counts.iter().all(|&n| n.abs_diff(1000) < 150), "{counts:?}");
    }

    #[test]
    fn a_seed_gives_these_lines_on_every_target() {
        let pattern = Pattern::VariableDensity { centre_fraction: 0.25, power: 4 };
        assert_eq!(order(pattern, 128, 8, 42), [64, 63, 73, 50, 56, 59, 36, 81]);
        assert_eq!(order(Pattern::RandomLowBias, 128, 8, 42), [73, 49, 56, 59, 32, 81, 53, 77]);
        assert_eq!(order(Pattern::Random, 128, 8, 42), [94, 20, 36, 45, 4, 111, 28, 102]);
    }

    #[test]
    fn names_are_read_back() {
        for pattern in Pattern::ALL {
            assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
        let error = "spiral".parse::<Pattern>().unwrap_err();
        let known = "centre-out equispaced variable-density partial-fourier random-low-bias random";
        assert_eq!(error.to_string(), format!("unknown pattern: expected one of {known}"));
    }

    #[test]
    fn what_cannot_be_written_is_refused_and_named() {
        let mut out = [7_u16; 4];
        let order =
            |pattern: Pattern, width, budget, out: &mut [u16]| pattern.order(width, budget, 0, out).unwrap_err();
        assert_eq!(order(Pattern::Random, 0, 1, &mut out), PatternError::Width { width: 0 });
        assert_eq!(order(Pattern::Random, 513, 1, &mut out), PatternError::Width { width: 513 });
        assert_eq!(order(Pattern::Random, 8, 0, &mut out), PatternError::Budget { budget: 0, width: 8 });
        assert_eq!(order(Pattern::Random, 8, 9, &mut out), PatternError::Budget { budget: 9, width: 8 });
        assert_eq!(order(Pattern::Random, 8, 5, &mut out), PatternError::Output { needed: 5, got: 4 });
        let steep = Pattern::VariableDensity { centre_fraction: 0.5, power: 7 };
        assert_eq!(order(steep, 8, 4, &mut out), PatternError::Power { power: 7 });
        for centre_fraction in [-0.1, 1.5, f32::NAN, f32::INFINITY] {
            let error = order(Pattern::Equispaced { centre_fraction }, 8, 4, &mut out);
            assert!(matches!(error, PatternError::CentreFraction { .. }));
        }
        assert_eq!(out, [7; 4]);
    }

    #[test]
    fn an_owned_order_is_the_written_one() {
        for pattern in Pattern::ALL {
            assert_eq!(pattern.lines(128, 16, 42).unwrap(), *order(pattern, 128, 16, 42));
            assert_eq!(pattern.lines(512, 512, 1).unwrap(), *order(pattern, 512, 512, 1));
        }
        assert_eq!(Pattern::Random.lines(513, 1, 0), Err(PatternError::Width { width: 513 }));
        for budget in [0, 9, MAX_LINES + 1, usize::MAX] {
            assert_eq!(Pattern::Random.lines(8, budget, 0), Err(PatternError::Budget { budget, width: 8 }));
        }
        let steep = Pattern::VariableDensity { centre_fraction: 0.5, power: 7 };
        assert_eq!(steep.lines(8, 4, 0), Err(PatternError::Power { power: 7 }));
    }

    proptest! {
        #![proptest_config(crate::kspace::fixed_cases(256))]

        #[test]
        fn writes_exactly_budget_distinct_lines(
            width in 1_usize..=512, share in 0.0_f32..=1.0, seed: u64, centre_fraction in 0.0_f32..=1.0, power in 0_u8..=6,
        ) {
            let budget = ((width as f32 * share) as usize).max(1);
            let patterns = [
                Pattern::CentreOut,
                Pattern::Equispaced { centre_fraction },
                Pattern::VariableDensity { centre_fraction, power },
                Pattern::PartialFourier { centre_fraction },
                Pattern::RandomLowBias,
                Pattern::Random,
            ];
            for pattern in patterns {
                let mut out = vec![u16::MAX; budget + 3];
                prop_assert_eq!(pattern.order(width, budget, seed, &mut out), Ok(budget));
                prop_assert_eq!(&out[budget..], &[u16::MAX; 3]);
                let lines: BTreeSet<u16> = out[..budget].iter().copied().collect();
                prop_assert_eq!(lines.len(), budget);
                prop_assert!(lines.iter().all(|&line| usize::from(line) < width));
                let block = pattern.centre_lines(budget).unwrap();
                prop_assert!(out[..block].iter().map(|&line| usize::from(line)).eq(centre_out(width).take(block)));
                let mut again = vec![0; budget];
                let _ = pattern.order(width, budget, seed, &mut again);
                prop_assert_eq!(&out[..budget], &again[..]);
            }
        }
    }
}
