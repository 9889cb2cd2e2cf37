//! Circles in a graph of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who names whom, and what is said of it.
pub type Named = BTreeMap<String, BTreeMap<String, String>>;

/// The shortest circle through each name that is on one, as what is said on the way; each circle once, from its first name on.
pub fn circles(named: &Named) -> BTreeSet<Vec<String>> {
    named.keys().filter_map(|start| circle(named, start)).collect()
}

/// The shortest way from a name back to it, where no name on the way comes before it.
fn circle(named: &Named, start: &String) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = VecDeque::from([(start, Vec::new())]);
    while let Some((at, way)) = ways.pop_front() {
        for (next, said) in named.get(at).into_iter().flatten() {
            let way: Vec<String> = way.iter().chain([said]).cloned().collect();
            if next == start {
                return Some(way);
            }
            if next > start && seen.insert(next) {
                ways.push_back((next, way));
            }
        }
    }
    None
}
