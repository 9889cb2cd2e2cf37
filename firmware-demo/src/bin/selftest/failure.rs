//! Why a self-test could not be carried out, or what came out wrong.

use core::fmt;

use kscout_core::capture::CaptureError;
use kscout_core::kspace::{MaskError, SetupError};
use kscout_core::model::BlobError;
use kscout_core::scan::{BudgetError, NetworkError, PushError, ScanError};
use kscout_core::volume::{SliceError, VolumeError, VolumePushError, VolumeSetupError};

/// What went wrong, in words when displayed.
pub enum Failure {
    Capture(CaptureError),
    Blob(BlobError),
    Scan(ScanError),
    Volume(VolumeError),
    /// The scan was captured with another model than the embedded one: CRC-32 of both.
    OtherModel {
        expected: u32,
        found: u32,
    },
    /// The core was started before: its peripherals are taken.
    Taken,
    /// A line that the model's images do not have.
    Mask(MaskError),
    /// The lines that the scan has are not those that were measured.
    Lines,
    /// The result is not the host's.
    Digest,
    /// The stack was used to its last word, and perhaps beyond.
    Memory,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(error) => error.fmt(f),
            Self::Blob(error) => error.fmt(f),
            Self::Scan(error) => error.fmt(f),
            Self::Volume(error) => error.fmt(f),
            Self::Mask(error) => error.fmt(f),
            Self::Lines => f.write_str("the scan has other lines than were measured"),
            Self::OtherModel { expected, found } => write!(
                f,
                "the scan was captured with the model of CRC-32 {expected:#010x}, this one has {found:#010x}: export both together"
            ),
            Self::Taken => f.write_str("the self-test runs once a reset"),
            Self::Digest => f.write_str("the result is not the host's"),
            Self::Memory => f.write_str("the stack took all of its memory"),
        }
    }
}

/// `?` on each step's own error.
macro_rules! from_errors {
    ($($error:ty => $variant:ident),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error.into())
            }
        })*
    };
}

from_errors! {
    CaptureError => Capture,
    BlobError => Blob,
    MaskError => Mask,
    SetupError => Scan,
    BudgetError => Scan,
    PushError => Scan,
    NetworkError => Scan,
    VolumeSetupError => Volume,
    VolumePushError => Volume,
    SliceError => Volume,
}
