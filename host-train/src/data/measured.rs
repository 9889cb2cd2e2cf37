//! Volumes as the scanner would measure them: what every way of choosing lines is run on.

use rayon::prelude::*;

use crate::data::{Dataset, Phase, Slice, Split, Volume};
use crate::mri::{KSpace, Protocol, acquire, seed_for};

/// A slice and what the scanner would measure of it.
pub struct Measured<'a> {
    /// The slice.
    pub slice: &'a Slice,
    /// Its k-space.
    pub kspace: KSpace,
    /// The seed of its phase and noise, and of the random patterns.
    pub seed: u64,
}

impl<'a> Measured<'a> {
    /// Measures a slice. Phase and noise depend on the slice and `seed` alone.
    pub fn new(slice: &'a Slice, protocol: &Protocol, seed: u64) -> Self {
        let seed = seed_for(&slice.id.patient, slice.id.n, seed);
        let kspace = acquire(&slice.image, slice.height, slice.width, protocol, seed);
        Self { slice, kspace, seed }
    }
}

/// One volume, measured.
pub struct MeasuredVolume<'a> {
    /// The volume's name, such as `patient001/ED`.
    pub name: String,
    /// The patient.
    pub patient: &'a str,
    /// The phase of the cycle.
    pub phase: Phase,
    /// The seed that phase and noise of its slices come from.
    pub seed: u64,
    /// Distance of neighbouring voxels along z, y and x in mm.
    pub spacing_mm: [f64; 3],
    /// Its slices, from base to apex.
    pub slices: Vec<Measured<'a>>,
}

impl<'a> MeasuredVolume<'a> {
    /// Measures a volume, its slices in parallel.
    pub fn new(volume: &Volume<'a>, protocol: &Protocol, seed: u64) -> Self {
        Self {
            name: volume.name(),
            patient: volume.patient,
            phase: volume.phase,
            seed,
            spacing_mm: [2, 1, 0].map(|axis| f64::from(volume.spacing_mm[axis])),
            slices: volume.slices.par_iter().map(|slice| Measured::new(slice, protocol, seed)).collect(),
        }
    }
}

/// Measures the volumes of a split.
pub fn measure<'a>(data: &'a Dataset, split: Split, protocol: &Protocol, seed: u64) -> Vec<MeasuredVolume<'a>> {
    data.volumes(split).iter().map(|volume| MeasuredVolume::new(volume, protocol, seed)).collect()
}
