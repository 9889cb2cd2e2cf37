//! Zero-filled images that grow by a line, outside a scan: for those who try many lines, or keep many images. Bytes and order
//! of operations are those of the core's scan loop.

use kscout_core::Complex32;
use kscout_core::kspace::recon::{Twiddles, grow_image_with, quantise_magnitude_with};
use kscout_core::kspace::{fft::is_fft_length, ifft_centred};
use kscout_core::scan::ScanError;

use crate::kernels::fastest;
use crate::mri::KSpace;

/// Grows images of one size. It keeps the memory that this takes, not the images.
pub struct Grower<'t> {
    twiddles: Twiddles<'t>,
    ramp: Vec<Complex32>,
    profile: Vec<Complex32>,
    trial: Vec<Complex32>,
    levels: Vec<i8>,
}

impl<'t> Grower<'t> {
    /// For images of `height` rows and `table.len()` columns; what `table` holds does not matter.
    ///
    /// # Errors
    /// [`ScanError::Size`] where the core cannot reconstruct images of that size.
    pub fn new(height: usize, table: &'t mut [Complex32]) -> Result<Self, ScanError> {
        let width = table.len();
        let size = ScanError::Size { height, width };
        if !is_fft_length(height) {
            return Err(size);
        }
        let twiddles = Twiddles::fill(table).map_err(|_| size)?;
        Ok(Self {
            twiddles,
            ramp: vec![Complex32::ZERO; width],
            profile: vec![Complex32::ZERO; height],
            trial: Vec::new(),
            levels: vec![0; height * width],
        })
    }

    /// An image without lines.
    pub fn empty(&self) -> Vec<Complex32> {
        vec![Complex32::ZERO; self.levels.len()]
    }

    /// Adds a line of `kspace` to `image`, row-major.
    ///
    /// # Panics
    /// If one of them is of another size, or there is no such line.
    pub fn grow(&mut self, image: &mut [Complex32], kspace: &KSpace, line: usize) {
        self.profile.copy_from_slice(kspace.line(line));
        ifft_centred(&mut self.profile).expect("a height that was checked");
        grow_image_with(&fastest(), image, &self.profile, line, &self.twiddles, &mut self.ramp)
            .expect("an image and a line of the size that was checked");
    }

    /// The quantised image of `image`, which is what the networks see.
    ///
    /// # Panics
    /// If it is of another size.
    pub fn levels(&mut self, image: &[Complex32]) -> &[i8] {
        quantise_magnitude_with(&fastest(), image, self.ramp.len(), &mut self.levels).expect("an image of this size");
        &self.levels
    }

    /// What [`levels`](Self::levels) would be with one line of `kspace` more.
    ///
    /// # Panics
    /// Those of [`grow`](Self::grow).
    pub fn levels_with(&mut self, image: &[Complex32], kspace: &KSpace, line: usize) -> &[i8] {
        let mut trial = std::mem::take(&mut self.trial);
        trial.clear();
        trial.extend_from_slice(image);
        self.grow(&mut trial, kspace, line);
        self.trial = trial;
        quantise_magnitude_with(&fastest(), &self.trial, self.ramp.len(), &mut self.levels).expect("a grown image");
        &self.levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mri::observation::{observed_levels, pattern_mask};
    use crate::mri::random::Stream;
    use kscout_core::kspace::Pattern;

    const SIDE: usize = 32;

    fn noise() -> KSpace {
        let mut stream = Stream::new(4);
        let samples = (0..SIDE * SIDE).map(|_| stream.normal_pair()).map(|(re, im)| Complex32::new(re, im));
        KSpace { height: SIDE, width: SIDE, samples: samples.collect() }
    }

    #[test]
    fn a_grown_image_is_that_of_its_lines_and_a_trial_leaves_it_alone() {
        let (kspace, mut table) = (noise(), [Complex32::ZERO; SIDE]);
        let mut grower = Grower::new(SIDE, &mut table).unwrap();
        let mut image = grower.empty();
        for line in [16, 15, 17] {
            grower.grow(&mut image, &kspace, line);
        }
        let tried = grower.levels_with(&image, &kspace, 14).to_vec();
        let close = |a: &[i8], b: &[i8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
        let expected = |lines| observed_levels(&kspace, &pattern_mask(Pattern::CentreOut, SIDE, lines, 0));
        assert!(close(&tried, &expected(4)));
        assert!(close(grower.levels(&image), &expected(3)), "the image still has three lines");
        grower.grow(&mut image, &kspace, 14);
        assert_eq!(grower.levels(&image), tried, "to the bit");
    }

    #[test]
    fn a_size_that_the_core_cannot_reconstruct_is_refused() {
        assert!(matches!(Grower::new(24, &mut [Complex32::ZERO; 32]), Err(ScanError::Size { height: 24, width: 32 })));
    }
}
