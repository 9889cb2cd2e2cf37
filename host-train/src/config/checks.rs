//! Checks of configuration keys that several trainings have.

use crate::config::Refusal;

/// Refuses the keys where `allowed` does not hold.
pub fn expect(allowed: bool, key: &'static str, expected: &str) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err((key, format!("must be {expected}"))) }
}

/// Whether `value` can weigh something: finite, and not below 0.
pub fn is_weight(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// The numbers of lines at which validation scores, for images of `width` lines: a larger number means all of them, which is
/// said on standard error, and none stays twice.
pub fn fitted_lines(lines: &[usize], width: usize) -> Vec<usize> {
    let mut fitted = Vec::new();
    for &lines in lines {
        if !fitted.contains(&lines.min(width)) {
            fitted.push(lines.min(width));
        }
    }
    let more: Vec<String> = lines.iter().filter(|&&lines| lines > width).map(usize::to_string).collect();
    if !more.is_empty() {
        let (more, means) = (more.join(" and "), if more.len() > 1 { "mean" } else { "means" });
        eprintln!("note: `validate_lines`: images have {width} lines; {more} {means} all of them");
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_lines_than_there_are_mean_all_of_them_once() {
        assert_eq!(fitted_lines(&[128, 16, 8], 128), [128, 16, 8]);
        assert_eq!(fitted_lines(&[128, 16, 8], 64), [64, 16, 8]);
        assert_eq!(fitted_lines(&[128, 8, 64, 32], 32), [32, 8]);
        assert!(fitted_lines(&[], 32).is_empty());
    }
}
