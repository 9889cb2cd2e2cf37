//! Counts on a scale of octaves, in integers.

/// `steps * log2(1 + count)`, linear within an octave, rounded down, at most 127.
///
/// ```text
/// count   0  1   3   7  ...  16383
/// 8 steps 0  8  16  24  ...    112
/// ```
pub(super) fn octaves(count: u32, steps: u32) -> i8 {
    let value = count.saturating_add(1);
    let octave = value.ilog2();
    let within = ((u64::from(value) - (1u64 << octave)) * u64::from(steps)) >> octave;
    (octave * steps).saturating_add(within as u32).min(127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_by_steps_an_octave_and_evenly_within() {
        let seen: [i8; 8] = [0, 1, 2, 3, 5, 7, 15, 16383].map(|count| octaves(count, 8));
        // 1 + 2 = 3 lies halfway from 2 to 4, 1 + 5 = 6 halfway from 4 to 8.
        assert_eq!(seen, [0, 8, 12, 16, 20, 24, 32, 112]);
        assert_eq!(octaves(u32::MAX, 8), 127);
    }
}
