//! How far a slice policy in int8 decides as it does in real numbers.

use burn::tensor::Device;
use kscout_core::contract::FEATURES;
use kscout_core::model::{Graph, run};
use serde::Serialize;

use super::learner::Learned;
use crate::net::SlicePolicy;
use crate::runtime::{HeapArena, fastest};
use crate::volume::allocate::Reached;
use crate::volume::{Allocate, AllocationEnv, VolumeTrajectories};

/// A slice policy in int8, over volumes that were followed line by line: what the core's scan of a volume does.
pub struct InInt8<'m> {
    /// The slice policy.
    pub graph: Graph<'m>,
}

impl InInt8<'_> {
    /// The sum of the outputs.
    fn logit(&self, features: &[i8; FEATURES], arena: &mut HeapArena) -> i32 {
        let outputs = run(&self.graph, &fastest(), &[features.as_slice()], arena.bytes());
        outputs.expect("a checked graph and its sizes").iter().map(|&output| i32::from(output)).sum()
    }
}

impl Allocate for InInt8<'_> {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn next(&self, scans: &[&AllocationEnv<'_>]) -> Vec<usize> {
        let mut arena = HeapArena::new(self.graph.arena_bytes_with(&fastest()));
        let mut next = |scan: &&AllocationEnv<'_>| {
            let logits: Vec<i32> = scan.features().iter().map(|features| self.logit(features, &mut arena)).collect();
            let better = |best, slice| if logits[slice] > logits[best] { slice } else { best };
            scan.open().reduce(better).expect("an open slice")
        };
        scans.iter().map(&mut next).collect()
    }
}

/// What came of a comparison at one budget.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// Lines a slice on average.
    pub budget: usize,
    /// Decisions compared.
    pub decisions: usize,
    /// Those that are equal.
    pub equal: usize,
    /// Mean 3-D Dice of scans by the policy in real numbers.
    pub float_dice: f64,
    /// The same in int8.
    pub int8_dice: f64,
}

impl Agreement {
    /// Compares at `budget` lines: decisions in the states that the int8 policy comes to, Dice where each goes its own way.
    pub fn of(
        policy: &SlicePolicy,
        int8: &InInt8<'_>,
        volumes: &[VolumeTrajectories],
        budget: usize,
        device: &Device,
    ) -> Self {
        let float = Learned { policy, device };
        let (mut decisions, mut equal) = (0, 0);
        let mut scans: Vec<AllocationEnv<'_>> =
            volumes.iter().map(|volume| AllocationEnv::new(volume, budget)).collect();
        loop {
            scans.retain(|scan| scan.left() > 0);
            if scans.is_empty() {
                break;
            }
            let asked: Vec<&AllocationEnv<'_>> = scans.iter().collect();
            let (chosen, other) = (int8.next(&asked), float.next(&asked));
            decisions += chosen.len();
            equal += chosen.iter().zip(&other).filter(|(a, b)| a == b).count();
            for (scan, slice) in scans.iter_mut().zip(chosen) {
                scan.give(slice);
            }
        }
        let dice = |method: &dyn Allocate| Reached::by(method, volumes, budget).dice;
        let (float_dice, int8_dice) = (dice(&float), dice(int8));
        Self { budget, decisions, equal, float_dice, int8_dice }
    }
}
