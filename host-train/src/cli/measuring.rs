//! `--protocol` and `--seed`: how slices are measured by simulation.

use clap::Args;
use kscout_core::kspace::Reconstruction;

use super::number;
use crate::data::Volume;
use crate::data::measured::MeasuredVolume;
use crate::mri::{Acquisition, Measuring, Protocol};

/// `--protocol` and `--seed`.
#[derive(Args, Clone, Copy)]
pub struct MeasuringArgs {
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only)
    #[arg(long, default_value = "scanner")]
    pub protocol: Protocol,
    /// Seed of phase and noise, and of all else that is drawn at random
    #[arg(long, default_value_t = 1, value_parser = number::seed())]
    pub seed: u64,
}

impl MeasuringArgs {
    /// With images that are made so of what is measured.
    pub fn acquisition(self, reconstruction: Reconstruction) -> Acquisition {
        Acquisition { protocol: self.protocol, reconstruction }
    }

    /// A volume, measured.
    pub fn measured<'a>(self, volume: &Volume<'a>) -> MeasuredVolume<'a> {
        MeasuredVolume::new(volume, &self.protocol, self.seed)
    }
}

impl From<MeasuringArgs> for Measuring {
    fn from(MeasuringArgs { protocol, seed }: MeasuringArgs) -> Self {
        Self { protocol, seed }
    }
}
