//! How an image is made of the lines measured so far.

use core::fmt;
use core::str::FromStr;

/// How an image is made of the lines measured so far. Networks are trained on one of these and see no other, so it stands
/// in the blob. The value is the code in its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Reconstruction {
    /// Zeros in place of lines that have not been measured; the magnitude of the complex image.
    #[default]
    ZeroFilled = 0,
    /// Conjugate symmetry in place of a line whose mirror image has been measured, with the phase of those lines that have
    /// both: exact where the phase is, above all for an image without any.
    Homodyne = 1,
    /// The same, but what symmetry tells counts half: better where the phase is known from a few lines only.
    HalfHomodyne = 2,
}

impl Reconstruction {
    /// Every reconstruction.
    pub const ALL: [Self; 3] = [Self::ZeroFilled, Self::Homodyne, Self::HalfHomodyne];

    /// Its name, as configurations and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroFilled => "zero-filled",
            Self::Homodyne => "homodyne",
            Self::HalfHomodyne => "half-homodyne",
        }
    }

    /// The reconstruction with this code in a blob.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|&reconstruction| reconstruction as u16 == code)
    }

    /// How much a line counts that conjugate symmetry tells, 0 to 1.
    pub const fn weight(self) -> f32 {
        match self {
            Self::ZeroFilled => 0.0,
            Self::Homodyne => 1.0,
            Self::HalfHomodyne => 0.5,
        }
    }

    /// Whether mirror images of lines count at all, for which a scan grows a second image.
    pub const fn is_symmetric(self) -> bool {
        !matches!(self, Self::ZeroFilled)
    }
}

impl fmt::Display for Reconstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not the name of a reconstruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReconstruction;

impl fmt::Display for UnknownReconstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such reconstruction: expected one of")?;
        Reconstruction::ALL.iter().try_for_each(|reconstruction| write!(f, " {reconstruction}"))
    }
}

impl core::error::Error for UnknownReconstruction {}

impl FromStr for Reconstruction {
    type Err = UnknownReconstruction;

    fn from_str(text: &str) -> Result<Self, UnknownReconstruction> {
        Self::ALL.into_iter().find(|reconstruction| reconstruction.name() == text).ok_or(UnknownReconstruction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn names_and_codes_are_read_back() {
        for reconstruction in Reconstruction::ALL {
            assert_eq!(reconstruction.to_string().parse(), Ok(reconstruction));
            assert_eq!(Reconstruction::from_code(reconstruction as u16), Some(reconstruction));
        }
        assert_eq!(Reconstruction::from_code(3), None);
        let error = "pocs".parse::<Reconstruction>().unwrap_err();
        assert_eq!(error.to_string(), "no such reconstruction: expected one of zero-filled homodyne half-homodyne");
    }
}
