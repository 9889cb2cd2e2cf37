//! The image of the lines measured so far, in the caller's memory: zero-filled, reconstructed, and as the networks see it.
//!
//! ```
//! use kscout_core::Complex32;
//! use kscout_core::arena::StaticArena;
//! use kscout_core::kspace::{Plan, Reconstruction, Reconstructor};
//!
//! let plan = Plan::new(Reconstruction::Homodyne, 16, 32);
//! let mut arena = StaticArena::<{ Plan::new(Reconstruction::Homodyne, 16, 32).bytes() }>::new();
//! let mut image = Reconstructor::new(plan, arena.as_mut_slice()).unwrap();
//! image.push_line(16, &[Complex32::new(1.0, 0.0); 16]).unwrap();
//! assert_eq!(image.quantised().len(), 16 * 32);
//! ```

#[cfg(test)]
pub(super) mod tests;

use core::fmt;

use super::arrival::Arrival;
use super::error::{LineError, ReconError, SetupError};
use super::fft::{ifft_centred, is_fft_length};
use super::mask::LineSet;
use super::recon::{Twiddles, accumulate_line, quantise_magnitude_with};
use super::reconstruction::Reconstruction;
use super::samples::check_samples;
use crate::Complex32;
use crate::arena::{ArenaError, Carver, carved_bytes};
use crate::kernels::{ImageKernels, Native};

const ZERO: Complex32 = Complex32::new(0.0, 0.0);

/// What a [`Reconstructor`] makes, and how much memory it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    reconstruction: Reconstruction,
    height: usize,
    width: usize,
    is_aliased: bool,
}

impl Plan {
    /// Images of `height` rows and `width` columns.
    pub const fn new(reconstruction: Reconstruction, height: usize, width: usize) -> Self {
        Self { reconstruction, height, width, is_aliased: false }
    }

    /// The same without memory of its own for the second image, where the reconstruction keeps one: it lies in the scratch memory,
    /// and is *invalidated* by the first look at the quantised image. Then no line can be added: [`Reconstructor::clear`] comes
    /// first, and all lines are pushed again.
    #[must_use]
    pub const fn aliased(self) -> Self {
        Self { is_aliased: true, ..self }
    }

    /// How the images are made.
    pub const fn reconstruction(&self) -> Reconstruction {
        self.reconstruction
    }

    /// Rows of the images, H.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Columns of the images, W.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Bytes of memory that it takes, scratch memory among them.
    pub const fn bytes(&self) -> usize {
        self.bytes_with(0)
    }

    /// Bytes of memory that it takes with at least `scratch` bytes of scratch memory, which others may use between its turns.
    pub(crate) const fn bytes_with(&self, scratch: usize) -> usize {
        let pixels = self.height.saturating_mul(self.width);
        let image = carved_bytes::<Complex32>(pixels);
        // The second image and a line of it; and one in the scratch memory, for a look at the two.
        let (own, spare, least) = match (self.reconstruction.has_second_image(), self.is_aliased) {
            (false, _) => (0, 0, 0),
            (true, false) => (image, carved_bytes::<Complex32>(self.height), image),
            (true, true) => (0, carved_bytes::<Complex32>(self.height), image),
        };
        let scratch = if scratch < least { least } else { scratch };
        image
            .saturating_add(carved_bytes::<Complex32>(self.height))
            .saturating_add(carved_bytes::<Complex32>(self.width).saturating_mul(2))
            .saturating_add(carved_bytes::<u8>(pixels))
            .saturating_add(own)
            .saturating_add(spare)
            .saturating_add(carved_bytes::<u8>(scratch))
    }
}

/// Where the second image lies.
enum Second<'a> {
    /// There is none.
    None,
    /// In memory of its own.
    Own(&'a mut [Complex32]),
    /// In the scratch memory.
    Aliased,
}

impl Second<'_> {
    fn pixels<'s>(&'s mut self, scratch: &'s mut [u8], pixels: usize) -> &'s mut [Complex32] {
        match self {
            Self::None => &mut [],
            Self::Own(image) => image,
            Self::Aliased => image_in(scratch, pixels),
        }
    }
}

/// An image at the front of the scratch memory.
fn image_in(scratch: &mut [u8], pixels: usize) -> &mut [Complex32] {
    let room = scratch.get_mut(..pixels.saturating_mul(size_of::<Complex32>())).unwrap_or_default();
    bytemuck::try_cast_slice_mut(room).unwrap_or_default()
}

/// What the networks run on: see [`Reconstructor::look`].
pub(crate) struct Look<'s, K> {
    /// The quantised image.
    pub levels: &'s [i8],
    pub scratch: &'s mut [u8],
    pub kernels: &'s K,
}

/// The image of the lines measured so far. A line costs one to four complex multiply-adds a pixel, whatever has been measured before.
///
/// `K` is the kernel set; every set gives the same bytes.
pub struct Reconstructor<'a, K = Native> {
    plan: Plan,
    kernels: K,
    measured: LineSet,
    /// A line has come whose samples can be told from nothing.
    has_signal: bool,
    /// Of all measured lines, zero-filled.
    image: &'a mut [Complex32],
    second: Second<'a>,
    profile: &'a mut [Complex32],
    /// A line of the second image.
    spare: &'a mut [Complex32],
    twiddles: Twiddles<'a>,
    ramp: &'a mut [Complex32],
    levels: &'a mut [i8],
    levels_are_current: bool,
    is_invalidated: bool,
    scratch: &'a mut [u8],
}

impl<'a> Reconstructor<'a, Native> {
    /// An image without lines, with the kernels known to run here ([`Native`]), in memory of at least [`Plan::bytes`] bytes
    /// aligned to 16.
    ///
    /// # Errors
    /// [`SetupError`] if the memory does not do, or images of this size cannot be reconstructed.
    pub fn new(plan: Plan, memory: &'a mut [u8]) -> Result<Self, SetupError> {
        Self::with_kernels(plan, memory, Native::default())
    }
}

impl<'a, K: ImageKernels> Reconstructor<'a, K> {
    /// [`Reconstructor::new`] with the kernels of the caller's choice.
    ///
    /// # Errors
    /// Those of [`Reconstructor::new`].
    pub fn with_kernels(plan: Plan, memory: &'a mut [u8], kernels: K) -> Result<Self, SetupError> {
        let Plan { reconstruction, height, width, is_aliased } = plan;
        let size = SetupError::Size { height, width };
        if !is_fft_length(height) {
            return Err(size);
        }
        let measured = LineSet::new(width).map_err(|_| size)?;
        let (needed, got) = (plan.bytes(), memory.len());
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        let mut carver = Carver::new(memory)?;
        let (second, spare): (_, &mut [Complex32]) = match (reconstruction.has_second_image(), is_aliased) {
            (false, _) => (Second::None, &mut []),
            (true, false) => (Second::Own(carver.take(height * width)?), carver.take(height)?),
            (true, true) => (Second::Aliased, carver.take(height)?),
        };
        let mut reconstructor = Self {
            plan,
            kernels,
            measured,
            has_signal: false,
            image: carver.take(height * width)?,
            second,
            profile: carver.take(height)?,
            spare,
            twiddles: Twiddles::fill(carver.take(width)?),
            ramp: carver.take(width)?,
            levels: carver.take(height * width)?,
            levels_are_current: false,
            is_invalidated: false,
            scratch: carver.rest(),
        };
        reconstructor.clear();
        Ok(reconstructor)
    }

    /// Adds a line: H samples along ky, DC at H/2. Any line that has not been measured will do.
    ///
    /// The samples' unit does not matter, but no real or imaginary part may be beyond [`LARGEST_SAMPLE`](super::LARGEST_SAMPLE), and
    /// the largest of a line not below [`FAINTEST_LINE`](super::FAINTEST_LINE), unless all are zero or an earlier line is above it.
    ///
    /// # Errors
    /// [`LineError`]; the image stays as it was.
    pub fn push_line(&mut self, line: usize, samples: &[Complex32]) -> Result<(), LineError> {
        let has_signal = self.check_line(line, samples)?;
        self.profile.iter_mut().zip(samples).for_each(|(value, sample)| *value = *sample);
        // Its length was checked when the memory was cut up.
        let transformed = ifft_centred(self.profile);
        transformed.map_err(|_| LineError::SampleCount { needed: self.plan.height, got: samples.len() })?;
        let pixels = self.image.len();
        let arrival = Arrival {
            image: self.image,
            measured: &self.measured,
            twiddles: &self.twiddles,
            line,
            profile: self.profile,
        };
        let second = self.second.pixels(self.scratch, pixels);
        self.plan.reconstruction.note(&self.kernels, &arrival, second, self.spare, self.ramp);
        accumulate_line(&self.kernels, self.image, line, self.profile, &self.twiddles, self.ramp);
        // The line exists, as was checked.
        let _ = self.measured.insert(line);
        self.has_signal |= has_signal;
        self.levels_are_current = false;
        Ok(())
    }

    /// Whether the line has signal, if it can be taken.
    fn check_line(&self, line: usize, samples: &[Complex32]) -> Result<bool, LineError> {
        let Plan { width, .. } = self.plan;
        if self.is_invalidated {
            return Err(LineError::Invalidated);
        }
        if line >= width {
            return Err(LineError::Line { line, width });
        }
        if self.measured.contains(line) {
            return Err(LineError::Repeated { line });
        }
        check_samples(line, samples, self.plan.height, self.has_signal)
    }

    /// The quantised image, `[y][x]`, which is what the networks see: the magnitude of the reconstructed image as
    /// [`quantise_magnitude`](super::quantise_magnitude) writes it.
    pub fn quantised(&mut self) -> &[i8] {
        self.refresh();
        self.levels
    }

    /// The quantised image, and the scratch memory for whoever looks at it. What is left there lasts until the next line or
    /// [`clear`](Self::clear).
    pub(crate) fn look(&mut self) -> Look<'_, K> {
        self.refresh();
        Look { levels: self.levels, scratch: self.scratch, kernels: &self.kernels }
    }

    /// While the quantised image is out of date, nobody else's values are in the scratch memory.
    fn refresh(&mut self) {
        if self.levels_are_current {
            return;
        }
        let Plan { reconstruction, width, .. } = self.plan;
        let (kernels, image) = (&self.kernels, &*self.image);
        // Lengths were checked when the memory was cut up, so none of these can fail.
        let _ = match &mut self.second {
            Second::None => quantise_magnitude_with(kernels, image, width, self.levels),
            Second::Own(second) => {
                let whole = image_in(self.scratch, image.len());
                let _ = reconstruction.combine(kernels, image, second, whole);
                quantise_magnitude_with(kernels, whole, width, self.levels)
            }
            Second::Aliased => {
                self.is_invalidated = true;
                let second = image_in(self.scratch, image.len());
                for (image, second) in image.chunks(width.max(1)).zip(second.chunks_mut(width.max(1))) {
                    self.ramp.iter_mut().zip(&*second).for_each(|(kept, pixel)| *kept = *pixel);
                    let _ = reconstruction.combine(kernels, image, self.ramp, second);
                }
                quantise_magnitude_with(kernels, second, width, self.levels)
            }
        };
        self.levels_are_current = true;
    }

    /// Writes the reconstructed image, `[y][x]`, H * W pixels, before its magnitude is taken. Zero-filled it is
    /// [`zero_filled`](Self::zero_filled).
    ///
    /// # Errors
    /// [`ReconError::Length`] where `out` is of another length, [`ReconError::Invalidated`] where the second image was
    /// [`aliased`](Plan::aliased) and is there no more.
    pub fn reconstruct(&self, out: &mut [Complex32]) -> Result<(), ReconError> {
        let second = self.second_image()?;
        Ok(self.plan.reconstruction.combine(&self.kernels, self.image, second, out)?)
    }

    /// Takes over the lines of `other`, in one copy of its images: to try a line, or to look at an image that is
    /// [`aliased`](Plan::aliased) and leave it as it is.
    ///
    /// # Errors
    /// [`ReconError::OtherPlan`] unless both make the same images, [`ReconError::Invalidated`] where the other's second image is there
    /// no more; then nothing has changed.
    pub fn copy_from(&mut self, other: &Reconstructor<'_, K>) -> Result<(), ReconError> {
        if self.plan.aliased() != other.plan.aliased() {
            return Err(ReconError::OtherPlan);
        }
        copy(other.second_image()?, self.second.pixels(self.scratch, self.image.len()));
        copy(other.image, self.image);
        self.measured.clone_from(&other.measured);
        self.has_signal = other.has_signal;
        self.levels_are_current = false;
        self.is_invalidated = false;
        Ok(())
    }

    fn second_image(&self) -> Result<&[Complex32], ReconError> {
        Ok(match &self.second {
            Second::None => &[],
            Second::Own(image) => image,
            Second::Aliased if self.is_invalidated => return Err(ReconError::Invalidated),
            Second::Aliased => {
                let bytes = self.scratch.get(..size_of_val(self.image)).unwrap_or_default();
                bytemuck::try_cast_slice(bytes).unwrap_or_default()
            }
        })
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.image.fill(ZERO);
        self.second.pixels(self.scratch, self.image.len()).fill(ZERO);
        self.measured.clear();
        self.has_signal = false;
        self.levels_are_current = false;
        self.is_invalidated = false;
    }
}

impl<K> Reconstructor<'_, K> {
    /// The complex zero-filled image, `[y][x]`, whatever the reconstruction is.
    pub fn zero_filled(&self) -> &[Complex32] {
        self.image
    }

    /// The lines that the image has.
    pub fn measured(&self) -> &LineSet {
        &self.measured
    }

    /// What it makes.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Whether a line can be added: not once a second image that was [`aliased`](Plan::aliased) has been invalidated.
    pub fn takes_lines(&self) -> bool {
        !self.is_invalidated
    }

    /// The image as it was quantised last, and what the networks have left in the scratch memory since.
    pub(crate) fn looked(&self) -> (&[i8], &[u8]) {
        (self.levels, self.scratch)
    }
}

impl<K> fmt::Debug for Reconstructor<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconstructor")
            .field("plan", &self.plan)
            .field("measured", &self.measured)
            .finish_non_exhaustive()
    }
}

fn copy(from: &[Complex32], to: &mut [Complex32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
