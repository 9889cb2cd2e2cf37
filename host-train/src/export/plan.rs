//! Puts buffers with known lifetimes into one arena.
//!
//! Greedy by size (Pisarchyk and Lee 2020, "Efficient Memory Management for Deep Neural Net Inference"): the largest
//! buffer first, each into the tightest gap between those already placed that live at the same time. A few other orders
//! are tried too, the best is improved by exchanges, and the smallest arena wins.

use std::cmp::Reverse;

/// Buffers start at multiples of this.
pub const ALIGN: usize = 16;

/// A buffer and the steps of a graph during which it must not be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Size in bytes.
    pub bytes: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it; not before `first`.
    pub last: usize,
}

/// Where buffers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Offset of each buffer, a multiple of [`ALIGN`].
    pub offsets: Vec<usize>,
    /// Bytes of the arena, a multiple of [`ALIGN`].
    pub bytes: usize,
}

impl Buffer {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn steps(&self) -> usize {
        self.last - self.first + 1
    }

    fn padded(&self) -> usize {
        self.bytes.next_multiple_of(ALIGN)
    }
}

/// What to place first: the buffers for which this is largest.
type Order = fn(&[Buffer], usize) -> (usize, usize);

const ORDERS: [Order; 3] = [
    |buffers, i| (buffers[i].padded(), buffers[i].steps()),
    |buffers, i| (buffers[i].padded() * buffers[i].steps(), buffers[i].padded()),
    |buffers, i| (breadth(buffers, i), buffers[i].padded()),
];

/// Exchanges tried to make the best of these orders better.
const EXCHANGES: usize = 2000;

/// Gives every buffer an offset such that buffers which live at the same step never overlap. The same buffers always get
/// the same offsets.
pub fn plan(buffers: &[Buffer]) -> Plan {
    let orders = ORDERS.iter().map(|order| {
        let mut indices: Vec<usize> = (0..buffers.len()).collect();
        indices.sort_by_key(|&i| Reverse(order(buffers, i)));
        (place(buffers, &indices), indices)
    });
    match orders.min_by_key(|(plan, _)| plan.bytes) {
        Some((plan, order)) => improve(buffers, plan, order),
        None => Plan { offsets: Vec::new(), bytes: 0 },
    }
}

/// Exchanges two places in the order, again and again, and keeps what is not worse.
fn improve(buffers: &[Buffer], mut best: Plan, mut order: Vec<usize>) -> Plan {
    let least = lower_bound(buffers);
    let mut state = 1u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for _ in 0..EXCHANGES {
        if best.bytes <= least {
            break;
        }
        let (i, j) = (below(order.len()), below(order.len()));
        order.swap(i, j);
        let plan = place(buffers, &order);
        if plan.bytes <= best.bytes {
            best = plan;
        } else {
            order.swap(i, j);
        }
    }
    best
}

/// No arena can be smaller: the most bytes that live at one step.
pub fn lower_bound(buffers: &[Buffer]) -> usize {
    buffers.iter().map(|b| alive(buffers, b.first)).max().unwrap_or(0)
}

fn alive(buffers: &[Buffer], step: usize) -> usize {
    buffers.iter().filter(|b| b.first <= step && step <= b.last).map(Buffer::padded).sum()
}

/// The most bytes that live at some step of buffer `index`.
fn breadth(buffers: &[Buffer], index: usize) -> usize {
    let own = &buffers[index];
    (own.first..=own.last).map(|step| alive(buffers, step)).max().unwrap_or(0)
}

fn place(buffers: &[Buffer], order: &[usize]) -> Plan {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut bytes = 0;
    for &index in order {
        let buffer = &buffers[index];
        // Everything placed that lives at the same time, from the bottom up.
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| buffers[other].meets(buffer))
            .map(|&other| (offsets[other], offsets[other] + buffers[other].padded()))
            .collect();
        taken.sort_unstable();
        offsets[index] = tightest_gap(&taken, buffer.padded());
        bytes = bytes.max(offsets[index] + buffer.padded());
        placed.push(index);
    }
    Plan { offsets, bytes }
}

/// Start of the smallest gap of at least `bytes`, else the end of what is taken.
fn tightest_gap(taken: &[(usize, usize)], bytes: usize) -> usize {
    let mut end = 0;
    let mut best: Option<(usize, usize)> = None;
    for &(start, stop) in taken {
        let gap = start.saturating_sub(end);
        if gap >= bytes && best.is_none_or(|(smallest, _)| gap < smallest) {
            best = Some((gap, end));
        }
        end = end.max(stop);
    }
    best.map_or(end, |(_, start)| start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(spec: &[(usize, usize, usize)]) -> Vec<Buffer> {
        spec.iter().map(|&(bytes, first, last)| Buffer { bytes, first, last }).collect()
    }

    fn assert_sound(buffers: &[Buffer], plan: &Plan) {
        for (i, a) in buffers.iter().enumerate() {
            assert_eq!(plan.offsets[i] % ALIGN, 0);
            assert!(plan.offsets[i] + a.bytes <= plan.bytes);
            for (j, b) in buffers.iter().enumerate().skip(i + 1) {
                let apart =
                    plan.offsets[i] + a.bytes <= plan.offsets[j] || plan.offsets[j] + b.bytes <= plan.offsets[i];
                assert!(!a.meets(b) || apart, "buffers {i} and {j} overlap: {plan:?}");
            }
        }
    }

    #[test]
    fn no_buffers_need_no_arena() {
        assert_eq!(plan(&[]), Plan { offsets: vec![], bytes: 0 });
    }

    #[test]
    fn a_chain_needs_the_largest_neighbouring_pair() {
        let chain = buffers(&[(64, 0, 1), (128, 1, 2), (32, 2, 3), (256, 3, 4), (16, 4, 5)]);
        let plan = plan(&chain);
        assert_sound(&chain, &plan);
        assert_eq!(plan.bytes, 288);
    }

    #[test]
    fn a_skip_connection_is_kept_until_it_is_read() {
        let skips = buffers(&[(100, 0, 5), (50, 1, 2), (50, 2, 3), (25, 3, 4), (100, 4, 5)]);
        let plan = plan(&skips);
        assert_sound(&skips, &plan);
        assert_eq!(plan.bytes, lower_bound(&skips));
    }

    #[test]
    fn random_buffers_never_overlap_and_come_near_the_lower_bound() {
        let mut state = 1u32;
        let mut next = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) % limit) as usize
        };
        let mut worst = 1.0f64;
        for _ in 0..200 {
            let many: Vec<Buffer> = (0..30)
                .map(|_| (1 + next(2000), next(30), next(6)))
                .map(|(bytes, first, length)| Buffer { bytes, first, last: first + length })
                .collect();
            let plan = plan(&many);
            assert_sound(&many, &plan);
            worst = worst.max(plan.bytes as f64 / lower_bound(&many) as f64);
        }
        assert!(worst < 1.12, "worst ratio to the lower bound: {worst}");
    }
}
