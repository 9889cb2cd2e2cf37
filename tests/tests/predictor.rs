//! What `kscout predict` does to an image, with a network that reads the labels off: resampling, cropping, leaving out lines.

use std::fs;
use std::path::Path;

use kscout::data::nifti_volume::DEFAULT_MAX_BYTES;
use kscout::inference::numbers::NoNumbers;
use kscout::inference::segment::Segment;
use kscout::mri::Protocol;
use kscout::predict::input::Input;
use kscout::predict::orientation::Trained;
use kscout::predict::{Predictor, Undersampling};
use kscout_core::kspace::Reconstruction;
use kscout_tests::acdc_tree::Volume;

const SIDE: usize = 64;

/// A network that says which of four intensities a pixel has: 0, 1, 2 or 3 times a level.
struct Plateaus;

impl Segment for Plateaus {
    fn logits(&self, images: &[&[i8]]) -> Result<Vec<Vec<f32>>, NoNumbers> {
        let one = |image: &&[i8]| -> Vec<f32> {
            let top = f32::from(*image.iter().max().unwrap()) + 128.0;
            let level = |q: i8| 3.0 * (f32::from(q) + 128.0) / top;
            image.iter().flat_map(|&q| (0..4u8).map(move |class| -(level(q) - f32::from(class)).abs())).collect()
        };
        Ok(images.iter().map(one).collect())
    }
}

fn plateaus(dim: [u16; 3], spacing_mm: [f32; 3]) -> Volume {
    let middle = [0, 1].map(|axis| f32::from(dim[axis]) / 2.0);
    let mm = |at: u16, axis: usize| (f32::from(at) + 0.5 - middle[axis]) * spacing_mm[axis];
    let volume = Volume::new(dim, |x, y, z| match mm(x, 0).hypot(mm(y, 1)) + f32::from(z) {
        r if r < 15.0 => 3.0,
        r if r < 24.0 => 2.0,
        r if r < 35.0 => 1.0,
        _ => 0.0,
    });
    Volume { spacing_mm, ..volume }
}

fn read(path: &Path) -> Input {
    Input::read(path, "plateaus", Trained::AsStored, DEFAULT_MAX_BYTES).unwrap()
}

/// The labels of plateaus, and what comes back of them through the predictor at a spacing of the network's.
fn through_the_predictor(volume: &Volume, spacing_mm: Option<f32>) -> (Vec<u8>, Vec<u8>) {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("plateaus.nii");
    fs::write(&path, volume.bytes()).unwrap();
    let predictor = Predictor {
        network: &Plateaus,
        side: SIDE,
        spacing_mm,
        undersampling: None,
        reconstruction: Reconstruction::ZeroFilled,
        protocol: Protocol::igs(),
        seed: 1,
    };
    let prediction = predictor.predict(&read(&path), true).unwrap().unwrap();
    (volume.voxels.iter().map(|&v| v as u8).collect(), prediction.classes.concat())
}

#[test]
fn a_network_that_reads_the_labels_off_gives_them_back_exactly_at_their_own_spacing() {
    for dim in [[90, 70, 2], [64, 64, 1], [50, 81, 2]] {
        let (truth, found) = through_the_predictor(&plateaus(dim, [1.5, 1.5, 8.0]), None);
        assert!(truth == found, "{dim:?}");
        let (truth, found) = through_the_predictor(&plateaus(dim, [1.5, 1.5, 8.0]), Some(1.5));
        assert!(truth == found, "{dim:?}, asked for the spacing that it has");
    }
}

#[test]
fn at_another_spacing_it_gives_them_back_but_for_the_boundaries() {
    for (dim, spacing) in
        [([100, 90, 2], [1.1, 1.2, 8.0]), ([60, 70, 1], [1.8, 1.6, 8.0]), ([128, 140, 1], [0.7, 0.7, 8.0])]
    {
        let (truth, found) = through_the_predictor(&plateaus(dim, spacing), Some(1.5));
        let [nx, ny] = [0, 1].map(|axis| usize::from(dim[axis]));
        let reach = (2.0 * 1.5 / spacing[0].min(spacing[1])).ceil() as usize;
        let mut moved = 0;
        for (index, (&own, &class)) in truth.iter().zip(&found).enumerate().filter(|(_, (a, b))| a != b) {
            let (plane, x, y) = (index / (nx * ny) * nx * ny, index % nx, index / nx % ny);
            let around = |at: usize, n: usize| at.saturating_sub(reach)..(at + reach + 1).min(n);
            let boundary = around(y, ny).any(|y| around(x, nx).any(|x| truth[plane + y * nx + x] != own));
            assert!(boundary, "{dim:?}: {own} became {class} at {x}, {y}, inside its structure");
            moved += 1;
        }
        let inside = truth.iter().filter(|&&class| class > 0).count();
        assert!(moved * 100 < 15 * inside, "{dim:?}: {moved} of {inside} pixels moved");
    }
}

#[test]
fn fewer_lines_give_another_image_and_the_same_seed_the_same_one() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("plateaus.nii");
    fs::write(&path, plateaus([90, 70, 2], [1.5, 1.5, 8.0]).bytes()).unwrap();
    let seen = |undersampling, seed| {
        let predictor = Predictor {
            network: &Plateaus,
            side: SIDE,
            spacing_mm: None,
            reconstruction: Reconstruction::ZeroFilled,
            undersampling,
            protocol: Protocol::igs(),
            seed,
        };
        predictor.predict(&read(&path), true).unwrap().unwrap().seen
    };
    let random = |lines| Some(Undersampling { pattern: "random".parse().unwrap(), lines });
    assert_ne!(seen(None, 1), seen(random(16), 1));
    assert_ne!(seen(random(16), 1), seen(random(16), 2));
    assert_eq!(seen(random(16), 1), seen(random(16), 1));
    assert_eq!(seen(random(SIDE), 1), seen(None, 1), "all lines in any order");
}
