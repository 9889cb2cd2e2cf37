//! What training and `kscout verify` simulate of a volume's scan is what the core does: by one int8 slice policy, both give every
//! line to the same slice, and see the same of every slice on the way.

use kscout::data::measured::{MeasuredVolume, measure};
use kscout::data::phantom::{self, PhantomOptions};
use kscout::data::{Dataset, Split};
use kscout::mri::Protocol;
use kscout::rl::volume::agreement::InInt8;
use kscout::runtime::HeapArena;
use kscout::volume::trajectories::follow;
use kscout::volume::trajectory::Course;
use kscout::volume::{Allocate, AllocationEnv, VolumeTrajectories};
use kscout_core::contract::FIRST_LINES;
use kscout_core::kernels::Layout;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;
use kscout_core::volume::{SliceStats, VolumeScan, line_order, volume_arena_bytes};
use kscout_tests::small_model::SIDE;
use kscout_tests::small_volume::random_volume_blob;

/// Lines a slice on average.
const MEAN: usize = 7;

/// A decision after the first lines: what is known of all slices, and which of them gets the next line.
type Decision = (Vec<SliceStats>, usize);

/// The decisions of the core's scan.
fn scanned(model: &Model<'_>, volume: &MeasuredVolume<'_>) -> Vec<Decision> {
    let (slices, budget) = (volume.slices.len(), MEAN * volume.slices.len());
    let mut arena = HeapArena::new(volume_arena_bytes(model, slices, budget));
    let mut scan = VolumeScan::new(model, arena.bytes(), slices, budget).unwrap();
    let mut decisions = Vec::new();
    while let Some(place) = scan.propose().unwrap() {
        decisions.push((scan.stats().to_vec(), place.slice));
        scan.push_line(place, volume.slices[place.slice].kspace.line(place.line)).unwrap();
    }
    assert_eq!(decisions.len(), budget);
    decisions.split_off(FIRST_LINES * slices)
}

/// The decisions of the simulation, which looks up what a slice is like after any number of lines.
fn simulated(model: &Model<'_>, volume: &VolumeTrajectories) -> Vec<Decision> {
    let policy = InInt8 { graph: model.slice_policy().unwrap() };
    let mut scan = AllocationEnv::new(volume, MEAN);
    let mut decisions = Vec::new();
    while scan.left() > 0 {
        let stats = scan.lines().iter().zip(&volume.slices).map(|(&lines, slice)| slice.stages[lines].stats);
        let (stats, slice) = (stats.collect(), policy.next(&[&scan])[0]);
        decisions.push((stats, slice));
        scan.give(slice);
    }
    decisions
}

/// The volumes of phantoms that are made from `seed`.
fn phantoms(seed: u64) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    let (data, options) =
        (folder.path().join("data"), PhantomOptions { patients: 2, seed, size: SIDE, ..Default::default() });
    phantom::make(&data, &options, &()).unwrap();
    Dataset::open(&data).unwrap()
}

#[test]
fn simulation_and_scan_give_every_line_to_the_same_slice() {
    let mut shares = std::collections::BTreeSet::new();
    for reconstruction in Reconstruction::ALL {
        let blob = random_volume_blob(Layout::Portable, reconstruction);
        let model = Model::new_checked(&blob).unwrap();
        let order: Vec<u16> = line_order(&model).collect();
        for seed in 1..=3 {
            let data = phantoms(seed);
            let volumes = measure(&data, Split::Train, &Protocol::scanner(), seed);
            assert!(!volumes.is_empty());
            let followed = follow(&model, &volumes, Course::dice(&order)).unwrap();
            for (volume, trajectories) in volumes.iter().zip(&followed) {
                let (scanned, simulated) = (scanned(&model, volume), simulated(&model, trajectories));
                assert_eq!(scanned.len(), simulated.len());
                for (step, (core, host)) in scanned.iter().zip(&simulated).enumerate() {
                    assert_eq!(core, host, "{reconstruction}, seed {seed}, decision {step}");
                }
                let mut lines = vec![0; volume.slices.len()];
                scanned.iter().for_each(|&(_, slice)| lines[slice] += 1);
                shares.insert(lines);
            }
        }
    }
    assert!(shares.len() > 3, "the policy decides by what it sees: {shares:?}");
    assert!(
        shares.iter().all(|lines| lines.iter().any(|&count| count != lines[0])),
        "not as many for each: {shares:?}"
    );
}
