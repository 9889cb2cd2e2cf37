//! The weighted sampler: slices are drawn by the inverse frequency of the set of classes they hold, so that a basal slice
//! without a ventricle counts as much as the many that have all of them.

use std::collections::BTreeMap;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;

use crate::data::{CLASSES, Slice};

/// The classes in a slice, background left out, as names joined by `+`.
pub fn class_set(slice: &Slice) -> String {
    let names = ["RV", "MYO", "LV"];
    let held = |class: usize| slice.label.iter().any(|&c| usize::from(c) == class);
    let held: Vec<&str> = (1..CLASSES).filter(|&class| held(class)).map(|class| names[class - 1]).collect();
    if held.is_empty() { "none".into() } else { held.join("+") }
}

/// Draws slices so that every set of classes comes up equally often.
pub struct WeightedSampler {
    /// How many slices hold each set.
    pub counts: BTreeMap<String, usize>,
    /// One weight a slice; they sum to 1.
    pub weights: Vec<f64>,
    index: WeightedIndex<f64>,
}

impl WeightedSampler {
    /// A sampler over `slices`, of which there is at least one.
    pub fn new(slices: &[&Slice]) -> Self {
        Self::of_sets(&slices.iter().map(|slice| class_set(slice)).collect::<Vec<_>>())
    }

    /// A sampler over slices that hold these sets, at least one, whatever they are sets of.
    pub fn of_sets(sets: &[String]) -> Self {
        let mut counts = BTreeMap::new();
        for set in sets {
            *counts.entry(set.clone()).or_insert(0) += 1;
        }
        let weights: Vec<f64> = sets.iter().map(|set| 1.0 / (counts[set] * counts.len()) as f64).collect();
        let index = WeightedIndex::new(&weights).expect("at least one slice, all weights positive");
        Self { counts, weights, index }
    }

    /// The number of a slice.
    pub fn draw(&self, rng: &mut impl rand::Rng) -> usize {
        self.index.sample(rng)
    }
}
