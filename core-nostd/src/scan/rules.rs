//! The rules around the networks, which training on a host must share: what the policy is told, how logits become a
//! line and classes, and the digest.

use crate::kernels::{Kernels, Native};
use crate::kspace::LineSet;

/// Entries of the state vector beyond one a line: remaining, measured, budget.
pub const STATE_EXTRAS: usize = 3;

/// Writes the policy's second input, the *state vector*, W + 3 values of scale 1/127 and zero point 0.
///
/// For each line 127 if it has been measured, else 0; then the lines remaining, the lines measured and the budget,
/// each as a share of W, `round(127 * v / W)`, at most 127. Entries that `out` has beyond those stay as they are.
pub fn write_state(mask: &LineSet, budget: usize, out: &mut [i8]) {
    let width = mask.width();
    let counts = [budget.saturating_sub(mask.len()), mask.len(), budget];
    let lines = (0..width).map(|line| if mask.contains(line) { 127 } else { 0 });
    for (entry, value) in out.iter_mut().zip(lines.chain(counts.map(|count| share(count, width)))) {
        *entry = value;
    }
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
/// `logits` is `[y][x][class]`; as many pixels are written as both slices hold, none for no classes.
pub fn classes_from_logits(logits: &[i8], classes: usize, out: &mut [u8]) {
    Native::default().classify(logits, classes, out);
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

/// FNV-1a, 64 bits, of what has been given to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv1a(u64);

impl Fnv1a {
    pub(crate) const NOTHING: Self = Self(0xcbf2_9ce4_8422_2325);

    pub(crate) fn of(self, bytes: impl IntoIterator<Item = u8>) -> Self {
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.into_iter().fold(self.0, add))
    }

    pub(crate) fn of_segmentation(self, image: &[i8], logits: &[i8], classes: &[u8]) -> Self {
        let signed = image.iter().chain(logits).map(|&value| value as u8);
        self.of(signed).of(classes.iter().copied())
    }

    pub(crate) fn value(self) -> u64 {
        self.0
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
        let mut state = [1; 36];
        write_state(&mask(32, &[0, 16, 31]), 8, &mut state);
        let mut expected = [0; 36];
        for line in [0, 16, 31] {
            expected[line] = 127;
        }
        // 5, 3 and 8 of 32: 19.84, 11.91 and 31.75 of 127; the last entry is not part of the state.
        expected[32..].copy_from_slice(&[20, 12, 32, 1]);
        assert_eq!(state, expected);
    }

    #[test]
    fn shares_stay_within_0_to_127() {
        let mut state = [0; 7];
        write_state(&mask(4, &[0, 1, 2, 3]), 1000, &mut state);
        assert_eq!(state, [127; 7]);
        write_state(&mask(4, &[0, 1]), 1, &mut state);
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
        let mut classes = [9; 4];
        classes_from_logits(&[1, 2, 3, 3, 2, 1, -128, -128, -128], 3, &mut classes);
        assert_eq!(classes, [2, 0, 0, 9]);
        classes_from_logits(&[1, 2, 3], 0, &mut classes);
        assert_eq!(classes, [2, 0, 0, 9]);
    }

    #[test]
    fn the_digest_is_fnv_1a_of_all_bytes_in_order() {
        // "foobar", whose hash the authors of FNV publish, split over the four parts.
        let lines = [u16::from_le_bytes(*b"fo")];
        assert_eq!(digest(&lines, &[b'o' as i8], &[b'b' as i8], b"ar"), 0x85944171f73967e8);
    }
}
