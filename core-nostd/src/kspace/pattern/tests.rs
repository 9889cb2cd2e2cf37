//! Orders as the docs promise them, on every target the same.

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

/// How many lines the block around DC has.
fn block(pattern: Pattern, budget: usize) -> usize {
    let mut out = vec![0; budget];
    let order = Order::new(512, 0, &mut out).unwrap();
    match pattern {
        Pattern::CentreOut => budget,
        Pattern::Equispaced { centre_fraction } | Pattern::VariableDensity { centre_fraction, .. } => {
            order.block(centre_fraction).unwrap()
        }
        Pattern::PartialFourier { centre_fraction } => partial_fourier::block(&order, centre_fraction).unwrap(),
        _ => 0,
    }
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
    assert_eq!([1, 2, 6, 12, 16].map(|budget| block(pattern, budget)), [1, 1, 3, 7, 9]);
}

#[test]
fn the_share_of_the_block_is_rounded_and_never_lost() {
    let pattern = Pattern::Equispaced { centre_fraction: 0.25 };
    assert_eq!([1, 6, 16].map(|budget| block(pattern, budget)), [1, 2, 4]);
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
    let known = Pattern::ALL.map(|pattern| pattern.name()).join(" ");
    assert_eq!(error.to_string(), format!("unknown pattern: expected one of {known}"));
    assert!(known.starts_with("centre-out equispaced variable-density partial-fourier random-low-bias random"));
}

#[test]
fn what_cannot_be_written_is_refused_and_named() {
    let mut out = [7_u16; 4];
    let order = |pattern: Pattern, width, budget, out: &mut [u16]| pattern.order(width, budget, 0, out).unwrap_err();
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
        assert_eq!(*pattern.lines(128, 16, 42).unwrap(), *order(pattern, 128, 16, 42));
        assert!(pattern.lines(128, 16, 42).unwrap().into_iter().eq(order(pattern, 128, 16, 42)));
        assert_eq!(*pattern.lines(512, 512, 1).unwrap(), *order(pattern, 512, 512, 1));
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
                Pattern::Equispaced { centre_fraction },
                Pattern::VariableDensity { centre_fraction, power },
                Pattern::PartialFourier { centre_fraction },
            ];
        for pattern in patterns.into_iter().chain(Pattern::ALL) {
            let mut out = vec![u16::MAX; budget + 3];
            prop_assert_eq!(pattern.order(width, budget, seed, &mut out), Ok(budget));
            prop_assert_eq!(&out[budget..], &[u16::MAX; 3]);
            let lines: BTreeSet<u16> = out[..budget].iter().copied().collect();
            prop_assert_eq!(lines.len(), budget);
            prop_assert!(lines.iter().all(|&line| usize::from(line) < width));
            let block = block(pattern, budget);
            prop_assert!(out[..block].iter().map(|&line| usize::from(line)).eq(centre_out(width).take(block)));
            let mut again = vec![0; budget];
            let _ = pattern.order(width, budget, seed, &mut again);
            prop_assert_eq!(&out[..budget], &again[..]);
        }
    }
}
