//! The area under the ROC curve.

/// The probability that a positive case scores above a negative one, ties counting half (Mann and Whitney, 1947): the area
/// under the ROC curve. `None` unless there are cases of both kinds.
///
/// `cases` are scores with what is true of them.
pub fn roc_auc(cases: &[(f64, bool)]) -> Option<f64> {
    let positives = cases.iter().filter(|(_, truth)| *truth).count();
    let negatives = cases.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut sorted = cases.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut won) = (0usize, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, truth)| *truth).count();
        let negative = tied.len() - positive;
        won += positive as f64 * (below as f64 + 0.5 * negative as f64);
        below += negative;
    }
    Some(won / (positives as f64 * negatives as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_order_is_1_its_reverse_0_and_no_order_a_half() {
        assert_eq!(roc_auc(&[(0.1, false), (0.2, false), (0.3, true)]), Some(1.0));
        assert_eq!(roc_auc(&[(0.9, false), (0.3, true), (0.2, true)]), Some(0.0));
        assert_eq!(roc_auc(&[(0.5, false), (0.5, true), (0.5, true)]), Some(0.5));
    }

    #[test]
    fn it_is_the_share_of_pairs_in_the_right_order() {
        // 0.35 beats 0.1 but not 0.4, 0.8 beats both: three of four.
        assert_eq!(roc_auc(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]), Some(0.75));
        assert_eq!(roc_auc(&[(0.4, false), (0.4, true), (0.1, false), (0.1, true)]), Some(0.5));
    }

    #[test]
    fn one_kind_alone_has_none() {
        assert_eq!(roc_auc(&[(0.1, true), (0.4, true)]), None);
        assert_eq!(roc_auc(&[]), None);
    }
}
