//! How an image is made of the lines measured so far.
//!
//! Every kind of reconstruction starts from the image of all measured lines, zeros elsewhere, and may keep a second image
//! beside it. A kind is a variant here, with its name, its code and an arm in each of the few functions that tell kinds apart; its
//! arithmetic has a file of its own beside this one, or, as [`homodyne`], in the room.

use core::fmt;
use core::str::FromStr;

use super::arrival::Arrival;
use super::homodyne;
use super::mask::LineSet;
use crate::Complex32;
use crate::kernels::ImageKernels;
use crate::length::{LengthError, expect_length};

/// How an image is made of the lines measured so far. Networks are trained on one of these and see no other, so it stands
/// in the blob. The value is the code in its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

    /// Whether a second image is kept beside that of all lines: for conjugate symmetry, that of the lines whose mirror images are
    /// measured too.
    pub const fn has_second_image(self) -> bool {
        match self {
            Self::ZeroFilled => false,
            Self::Homodyne | Self::HalfHomodyne => true,
        }
    }

    /// Whether `line` belongs to the second image once the lines of `measured` are there.
    pub fn is_in_second_image(self, line: usize, measured: &LineSet) -> bool {
        match self {
            Self::ZeroFilled => false,
            Self::Homodyne | Self::HalfHomodyne => homodyne::is_paired(line, measured),
        }
    }

    /// Writes the reconstructed image. `image` is that of all measured lines, `second` the second one, where there is one. Every
    /// pixel depends on the same pixel of the two alone.
    ///
    /// # Errors
    /// [`LengthError`] unless the images have as many pixels; nothing has been written.
    pub fn combine<K: ImageKernels + ?Sized>(
        self,
        kernels: &K,
        image: &[Complex32],
        second: &[Complex32],
        out: &mut [Complex32],
    ) -> Result<(), LengthError> {
        expect_length("the reconstructed image", out.len(), image.len())?;
        if self.has_second_image() {
            expect_length("the second image", second.len(), image.len())?;
        }
        match self {
            Self::ZeroFilled => out.iter_mut().zip(image).for_each(|(out, pixel)| *out = *pixel),
            Self::Homodyne | Self::HalfHomodyne => kernels.homodyne(image, second, self.weight(), out),
        }
        Ok(())
    }

    /// Brings the second image up to date with a line that is about to arrive. `spare` is scratch for the H values of a line,
    /// `ramp` for W.
    pub(super) fn note<K: ImageKernels + ?Sized>(
        self,
        kernels: &K,
        arrival: &Arrival<'_>,
        second: &mut [Complex32],
        spare: &mut [Complex32],
        ramp: &mut [Complex32],
    ) {
        match self {
            Self::ZeroFilled => {}
            Self::Homodyne | Self::HalfHomodyne => homodyne::note(kernels, arrival, second, spare, ramp),
        }
    }
}

impl fmt::Display for Reconstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not the name of a reconstruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        let codes = [Reconstruction::ZeroFilled, Reconstruction::Homodyne, Reconstruction::HalfHomodyne];
        assert_eq!([0, 1, 2].map(Reconstruction::from_code), codes.map(Some));
        assert_eq!(Reconstruction::from_code(Reconstruction::ALL.len() as u16), None);
        let error = "pocs".parse::<Reconstruction>().unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("no such reconstruction: expected one of zero-filled homodyne half-homodyne"),
            "{said}"
        );
    }
}
