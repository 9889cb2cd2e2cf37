//! The rules around the networks, which training on a host must share: what the policy is told, how logits become a
//! line and classes, and the digest.

use crate::contract::STATE_EXTRAS;
use crate::fnv::Fnv1a;
use crate::kernels::{ImageKernels, Native};
use crate::kspace::LineSet;
use crate::length::{LengthError, expect_length};

/// Writes the policy's second input, the *state vector*, W + 3 values of scale 1/127 and zero point 0.
///
/// For each line 127 if it has been measured, else 0; then the lines remaining, the lines measured and the budget,
/// each as a share of W, `round(127 * v / W)`, at most 127.
///
/// # Errors
/// [`LengthError`] unless `out` has W + 3 values.
pub fn write_state(mask: &LineSet, budget: usize, out: &mut [i8]) -> Result<(), LengthError> {
    let width = mask.width();
    expect_length("the state vector", out.len(), width + STATE_EXTRAS)?;
    let counts = [budget.saturating_sub(mask.len()), mask.len(), budget];
    let lines = (0..width).map(|line| if mask.contains(line) { 127 } else { 0 });
    for (entry, value) in out.iter_mut().zip(lines.chain(counts.map(|count| share(count, width)))) {
        *entry = value;
    }
    Ok(())
}

/// `part` of `whole` as 0 to 127, rounded to the nearest; 0 of nothing.
pub(crate) fn share(part: usize, whole: usize) -> i8 {
    let rounded = (2 * 127 * part.min(whole) + whole).checked_div(2 * whole);
    rounded.unwrap_or(0).min(127) as i8
}

/// The unmeasured line with the largest logit, the lowest such line on a tie; `None` if all have been measured.
pub fn best_line(logits: &[i8], mask: &LineSet) -> Option<usize> {
    let mut best: Option<(usize, i8)> = None;
    for line in mask.missing() {
        let logit = *logits.get(line)?;
        if best.is_none_or(|(_, highest)| logit > highest) {
            best = Some((line, logit));
        }
    }
    best.map(|(line, _)| line)
}

/// Writes for each pixel the class with the largest logit, the lowest such class on a tie.
///
/// `logits` is `[y][x][class]`, `out` a value for each pixel.
///
/// # Errors
/// [`LengthError`] unless `logits` has `classes` values, one at least, for each pixel of `out`; nothing has been written.
pub fn classes_from_logits(logits: &[i8], classes: usize, out: &mut [u8]) -> Result<(), LengthError> {
    if classes == 0 {
        return expect_length("the classes of no logits", out.len(), 0);
    }
    expect_length("the logits", logits.len(), out.len().saturating_mul(classes))?;
    Native::default().classify(logits, classes, out);
    Ok(())
}

/// FNV-1a, 64 bits, of the chosen lines (u16 little-endian, in order), the quantised image, the segmenter's logits and the
/// classes: equal on every target that ran the same scan.
///
/// ```
/// use kscout_core::scan::digest;
/// assert_eq!(digest(&[], &[], &[], &[]), 0xcbf2_9ce4_8422_2325);
/// ```
pub fn digest(lines: &[u16], image: &[i8], logits: &[i8], classes: &[u8]) -> u64 {
    Fnv1a::NOTHING.of(lines.iter().flat_map(|line| line.to_le_bytes())).of_segmentation(image, logits, classes).value()
}

impl Fnv1a {
    pub(crate) fn of_segmentation(self, image: &[i8], logits: &[i8], classes: &[u8]) -> Self {
        let signed = image.iter().chain(logits).map(|&value| value as u8);
        self.of(signed).of(classes.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: usize, lines: &[usize]) -> LineSet {
        let mut mask = LineSet::new(width).unwrap();
        lines.iter().for_each(|&line| assert_eq!(mask.insert(line), Ok(true)));
        mask
    }

    #[test]
    fn the_state_is_the_mask_and_three_shares_of_the_width() {
        let mut state = [1; 35];
        write_state(&mask(32, &[0, 16, 31]), 8, &mut state).unwrap();
        let mut expected = [0; 35];
        for line in [0, 16, 31] {
            expected[line] = 127;
        }
        // 5, 3 and 8 of 32: 19.84, 11.91 and 31.75 of 127.
        expected[32..].copy_from_slice(&[20, 12, 32]);
        assert_eq!(state, expected);
    }

    #[test]
    fn a_state_of_another_length_is_refused_and_left_alone() {
        for got in [34, 36] {
            let mut state = std::vec![1; got];
            let refused = LengthError { what: "the state vector", needed: 35, got };
            assert_eq!(write_state(&mask(32, &[0]), 8, &mut state), Err(refused));
            assert!(state.iter().all(|&value| value == 1));
        }
    }

    #[test]
    fn shares_stay_within_0_to_127() {
        let mut state = [0; 7];
        write_state(&mask(4, &[0, 1, 2, 3]), 1000, &mut state).unwrap();
        assert_eq!(state, [127; 7]);
        write_state(&mask(4, &[0, 1]), 1, &mut state).unwrap();
        assert_eq!(state[4..], [0, 64, 32]);
    }

    #[test]
    fn shares_run_from_0_to_127() {
        assert_eq!([share(0, 9), share(1, 2), share(9, 9), share(10, 9), share(1, 0)], [0, 64, 127, 127, 0]);
    }

    #[test]
    fn the_next_line_is_the_unmeasured_one_with_the_largest_logit() {
        assert_eq!(best_line(&[5, 9, -3, 9], &mask(4, &[])), Some(1));
        assert_eq!(best_line(&[5, 9, -3, 9], &mask(4, &[1])), Some(3));
        assert_eq!(best_line(&[-128; 4], &mask(4, &[0])), Some(1));
        assert_eq!(best_line(&[5; 4], &mask(4, &[0, 1, 2, 3])), None);
    }

    #[test]
    fn a_pixel_has_the_class_of_its_largest_logit_and_the_lowest_on_a_tie() {
        let mut classes = [9; 3];
        classes_from_logits(&[1, 2, 3, 3, 2, 1, -128, -128, -128], 3, &mut classes).unwrap();
        assert_eq!(classes, [2, 0, 0]);
        let refused = |what, needed, got| Err(LengthError { what, needed, got });
        assert_eq!(classes_from_logits(&[1, 2, 3], 3, &mut classes), refused("the logits", 9, 3));
        assert_eq!(classes_from_logits(&[1, 2, 3], 0, &mut classes), refused("the classes of no logits", 0, 3));
        assert_eq!(classes, [2, 0, 0]);
    }

    #[test]
    fn the_digest_is_fnv_1a_of_all_bytes_in_order() {
        // "foobar", whose hash the authors of FNV publish, split over the four parts.
        let lines = [u16::from_le_bytes(*b"fo")];
        assert_eq!(digest(&lines, &[b'o' as i8], &[b'b' as i8], b"ar"), 0x85944171f73967e8);
    }
}
