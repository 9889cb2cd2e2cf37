//! `--max-gib`, of commands that read NIfTI files.

use clap::Args;

use crate::data::nifti_volume::{DEFAULT_MAX_BYTES, gib};

/// Bytes of a GiB.
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// More than any machine has.
const LARGEST: f64 = 65536.0;

/// How large NIfTI files may be, each and together.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct FileLimit {
    /// Refuse NIfTI files that are larger than this unpacked, or whose voxels or resampled slices take more memory, at 4 bytes
    /// each, in GiB. Files of a folder are worked on at the same time as long as they take no more than this together, or one
    /// pair or patient that takes more: the whole command needs up to about five times this much memory, whatever the number of
    /// files and cores
    #[arg(long, value_name = "GIB", default_value_t = Gib(DEFAULT_MAX_BYTES))]
    max_gib: Gib,
}

impl FileLimit {
    /// The bytes.
    pub(super) fn bytes(self) -> u64 {
        self.max_gib.0
    }
}

/// Bytes, read and shown in GiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gib(u64);

impl std::fmt::Display for Gib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&gib(self.0))
    }
}

impl std::str::FromStr for Gib {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let gib = text.parse().ok().filter(|gib| (1e-6..=LARGEST).contains(gib));
        gib.map(|gib: f64| Self((gib * GIB) as u64)).ok_or_else(|| format!("expected GiB above 0, at most {LARGEST}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_gib_above_0() {
        assert_eq!(("2.5".parse::<Gib>().unwrap().0, Gib(DEFAULT_MAX_BYTES).to_string()), (5 << 29, "0.5".into()));
        for text in ["0.3", "0.000001", "2", "65536"] {
            assert_eq!(text.parse::<Gib>().unwrap().to_string(), text);
        }
        for wrong in ["0", "-1", "nan", "inf", "1e308", "9223372036854775808", "much", ""] {
            assert!(wrong.parse::<Gib>().unwrap_err().contains("GiB above 0"), "{wrong}");
        }
    }
}
