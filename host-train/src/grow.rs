//! Images that grow by a line, outside a scan: for those who try many lines, or keep many images. Bytes and order of operations
//! are those of the core's scan loop.

use kscout_core::Complex32;
use kscout_core::kspace::fft::is_fft_length;
use kscout_core::kspace::recon::{Twiddles, grow_image_with, quantise_magnitude_with};
use kscout_core::kspace::{Homodyne, LineSet, Reconstruction, ifft_centred};
use kscout_core::scan::ScanError;

use crate::kernels::fastest;
use crate::mri::KSpace;

/// The image of some lines.
#[derive(Clone, Debug)]
pub struct Grown {
    /// Of all lines, zero-filled.
    image: Vec<Complex32>,
    /// Of lines whose mirror image is measured too; empty where symmetry does not count.
    paired: Vec<Complex32>,
    measured: LineSet,
}

impl Grown {
    /// The lines that it has.
    pub fn measured(&self) -> &LineSet {
        &self.measured
    }
}

/// Grows images of one size. It keeps the memory that this takes, not the images.
pub struct Grower<'t> {
    reconstruction: Reconstruction,
    twiddles: Twiddles<'t>,
    ramp: Vec<Complex32>,
    profile: Vec<Complex32>,
    mirror: Vec<Complex32>,
    filled: Vec<Complex32>,
    trial: Option<Grown>,
    levels: Vec<i8>,
}

impl<'t> Grower<'t> {
    /// For images of `height` rows and `table.len()` columns; what `table` holds does not matter.
    ///
    /// # Errors
    /// [`ScanError::Size`] where the core cannot reconstruct images of that size.
    pub fn new(height: usize, table: &'t mut [Complex32], reconstruction: Reconstruction) -> Result<Self, ScanError> {
        let width = table.len();
        let size = ScanError::Size { height, width };
        if !is_fft_length(height) {
            return Err(size);
        }
        let twiddles = Twiddles::fill(table).map_err(|_| size)?;
        Ok(Self {
            reconstruction,
            twiddles,
            ramp: vec![Complex32::ZERO; width],
            profile: vec![Complex32::ZERO; height],
            mirror: vec![Complex32::ZERO; height],
            filled: vec![Complex32::ZERO; if reconstruction.is_symmetric() { height * width } else { 0 }],
            trial: None,
            levels: vec![0; height * width],
        })
    }

    /// An image without lines.
    pub fn empty(&self) -> Grown {
        let image = vec![Complex32::ZERO; self.levels.len()];
        let paired = if self.reconstruction.is_symmetric() { image.clone() } else { Vec::new() };
        Grown { image, paired, measured: LineSet::new(self.ramp.len()).expect("a width that was checked") }
    }

    /// Adds a line of `kspace` that the image does not have yet.
    ///
    /// # Panics
    /// If one of them is of another size, or there is no such line.
    pub fn grow(&mut self, grown: &mut Grown, kspace: &KSpace, line: usize) {
        const CHECKED: &str = "an image and a line of the size that was checked";
        self.profile.copy_from_slice(kspace.line(line));
        ifft_centred(&mut self.profile).expect("a height that was checked");
        let Grown { image, paired, measured } = grown;
        if self.reconstruction.is_symmetric() {
            let mut homodyne = Homodyne::new(self.reconstruction, paired, &mut self.mirror);
            let added = (line, &*self.profile);
            homodyne.push_line(&fastest(), image, measured, added, &self.twiddles, &mut self.ramp).expect(CHECKED);
        }
        grow_image_with(&fastest(), image, &self.profile, line, &self.twiddles, &mut self.ramp).expect(CHECKED);
        measured.insert(line).expect(CHECKED);
    }

    /// The quantised image, which is what the networks see.
    ///
    /// # Panics
    /// If the image is of another size.
    pub fn levels(&mut self, grown: &mut Grown) -> &[i8] {
        let quantised = if self.reconstruction.is_symmetric() {
            let homodyne = Homodyne::new(self.reconstruction, &mut grown.paired, &mut self.mirror);
            let image = (&*grown.image, self.ramp.len());
            homodyne.quantise(&fastest(), image, &mut self.filled, &mut self.levels)
        } else {
            quantise_magnitude_with(&fastest(), &grown.image, self.ramp.len(), &mut self.levels)
        };
        quantised.expect("an image of the size that was checked");
        &self.levels
    }

    /// What [`levels`](Self::levels) would be with one line of `kspace` more.
    ///
    /// # Panics
    /// Those of [`grow`](Self::grow).
    pub fn levels_with(&mut self, grown: &Grown, kspace: &KSpace, line: usize) -> &[i8] {
        let mut trial = self.trial.take().unwrap_or_else(|| self.empty());
        trial.image.copy_from_slice(&grown.image);
        trial.paired.copy_from_slice(&grown.paired);
        trial.measured.clone_from(&grown.measured);
        self.grow(&mut trial, kspace, line);
        self.levels(&mut trial);
        self.trial = Some(trial);
        &self.levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{HeaderSpec, Observation, Origin, pack};
    use crate::kernels::{LAYOUT, scan, scan_arena};
    use crate::mri::random::Stream;
    use crate::net::Scout;
    use burn::tensor::Device;
    use kscout_core::model::Model;
    use kscout_core::scan::STATE_EXTRAS;

    const SIDE: usize = 32;

    fn noise() -> KSpace {
        let mut stream = Stream::new(4);
        let samples = (0..SIDE * SIDE).map(|_| stream.normal_pair()).map(|(re, im)| Complex32::new(re, im));
        KSpace { height: SIDE, width: SIDE, samples: samples.collect() }
    }

    /// A blob for scans that are reconstructed so.
    fn blob(reconstruction: Reconstruction) -> Vec<u8> {
        let policy = Scout::new(SIDE, SIDE, &Device::flex()).graph(SIDE, SIDE);
        let seen = Observation { levels: vec![0; SIDE * SIDE], state: vec![127; SIDE + STATE_EXTRAS] };
        let (origin, provenance) = (Origin::default(), String::new());
        let header =
            HeaderSpec { height: SIDE, width: SIDE, classes: 4, layout: LAYOUT, reconstruction, origin, provenance };
        pack(None, Some(&policy), &[seen], &header).unwrap()
    }

    #[test]
    fn grown_and_tried_images_are_the_scans_to_the_bit() {
        let kspace = noise();
        for reconstruction in Reconstruction::ALL {
            let blob = blob(reconstruction);
            let model = Model::new_checked(&blob).unwrap();
            let mut arena = scan_arena(&model);
            let mut scan = scan(&model, &mut arena).unwrap();
            scan.start(SIDE).unwrap();
            let mut table = [Complex32::ZERO; SIDE];
            let mut grower = Grower::new(SIDE, &mut table, reconstruction).unwrap();
            let mut grown = grower.empty();
            for line in [16, 15, 17, 12, 3, 20, 19] {
                let tried = grower.levels_with(&grown, &kspace, line).to_vec();
                assert_eq!(grower.levels(&mut grown), scan.image(), "{reconstruction}: a trial leaves the image alone");
                scan.push_line(line, kspace.line(line)).unwrap();
                grower.grow(&mut grown, &kspace, line);
                assert_eq!(grower.levels(&mut grown), scan.image(), "{reconstruction}");
                assert_eq!(tried, scan.image(), "{reconstruction}");
                assert_eq!(grown.measured(), scan.mask());
            }
        }
    }

    #[test]
    fn a_size_that_the_core_cannot_reconstruct_is_refused() {
        let refused = Grower::new(24, &mut [Complex32::ZERO; 32], Reconstruction::ZeroFilled).err();
        assert_eq!(refused, Some(ScanError::Size { height: 24, width: 32 }));
    }
}
