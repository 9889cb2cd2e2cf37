//! Work on many files at the same time, within a bound on memory.

use std::ops::Range;

use rayon::prelude::*;

/// Has `work` do all items, in their order, and in parallel as many of them as take no more than `most` bytes together; one that
/// takes more is worked on alone. `bytes` says what an item takes.
///
/// # Errors
/// That of the first item that fails; those behind it may not have been worked on.
pub fn in_turn<T: Sync, R: Send, E: Send>(
    items: &[T],
    most: u64,
    bytes: impl Fn(&T) -> u64 + Sync,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let sizes: Vec<u64> = items.par_iter().map(&bytes).collect();
    let mut results = Vec::with_capacity(items.len());
    for turn in turns(&sizes, most) {
        let done: Vec<Result<R, E>> = items[turn].par_iter().map(&work).collect();
        for result in done {
            results.push(result?);
        }
    }
    Ok(results)
}

/// Neighbours whose sizes come to no more than `most`, as many as possible, or one that has more.
fn turns(sizes: &[u64], most: u64) -> Vec<Range<usize>> {
    let mut turns: Vec<Range<usize>> = Vec::new();
    let mut sum = 0u64;
    for (item, &size) in sizes.iter().enumerate() {
        sum = sum.saturating_add(size);
        match turns.last_mut() {
            Some(turn) if sum <= most => turn.end = item + 1,
            _ => {
                turns.push(item..item + 1);
                sum = size;
            }
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn neighbours_share_a_turn_as_far_as_they_fit() {
        assert_eq!(turns(&[3, 3, 3, 9, 1, 5, 0, 1], 6), [0..2, 2..3, 3..4, 4..7, 7..8]);
        assert_eq!(turns(&[u64::MAX, u64::MAX, 0], 6), [0..1, 1..2, 2..3]);
        assert!(turns(&[], 6).is_empty());
    }

    #[test]
    fn no_more_is_at_work_than_fits_and_the_first_error_in_order_counts() {
        let (at_work, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let items: Vec<u64> = (0..200).map(|item| item % 7).collect();
        let work = |&size: &u64| {
            let now = at_work.fetch_add(size, Ordering::SeqCst) + size;
            most.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            at_work.fetch_sub(size, Ordering::SeqCst);
            if size < 6 { Ok(2 * size) } else { Err(now) }
        };
        let few: Vec<u64> = items.iter().copied().filter(|&size| size < 6).collect();
        assert_eq!(in_turn(&few, 10, |&size| size, work).unwrap(), few.iter().map(|size| 2 * size).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 10);
        let named: Vec<(usize, u64)> = items.into_iter().enumerate().collect();
        let fails = |&(place, size): &(usize, u64)| if size < 6 { Ok(()) } else { Err(place) };
        assert_eq!(in_turn(&named, 10, |&(_, size)| size, fails), Err(6));
    }
}
