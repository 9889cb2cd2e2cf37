//! Why a self-test could not be carried out, or what came out wrong.

use core::fmt;

use kscout_core::capture::CaptureError;
use kscout_core::model::BlobError;
use kscout_core::scan::ScanError;
use kscout_core::volume::VolumeError;

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

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}
