//! `kscout predict`: segmentations on the files' own grids, equal to what `kscout eval` scores under the protocol `igs`.

mod as_eval;
mod axes;
mod inputs;
mod written;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use kscout::data::{Dataset, Slice, Split};
use kscout::export::{BlobFile, HeaderSpec, Origin, observe, pack};
use kscout::inference::segment::{CoreSegmenter, DeviceSegmenter, Segment, classify};
use kscout::mri::observation::{observed_levels, pattern_mask};
use kscout::mri::{Acquisition, Measuring, Protocol, acquire};
use kscout::net::{Arch, Segmenter, SegmenterSpec};
use kscout::train::checkpoint::{self, Kind, Meta, Scoring, SegmenterRecord};
use kscout_core::kspace::{Pattern, Reconstruction};
use kscout_tests::Ran;
use kscout_tests::acdc_tree::Volume;
use kscout_tests::job::Job;

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 64;

/// A small U-Net with random weights, the same each time.
fn network(classes: usize, device: &Device, seed: u64) -> Segmenter {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    device.seed(seed);
    let network = Segmenter::new(&SegmenterSpec { arch: Arch::Unet, width: 4, classes, channels: 1 }, device);
    // Weights are drawn when they are first used: here, while no other test draws any.
    network.forward(Tensor::<4>::zeros([1, 1, SIDE, SIDE], device));
    network
}

/// The first of these networks that does not say the same of nearly all pixels of a picture with structure.
fn telling_network(device: &Device) -> Segmenter {
    let picture = |i: usize| 1.0 + (i as f32 * 0.11).sin() + ((i / SIDE) as f32 * 0.17).cos();
    let picture: Vec<f32> = (0..SIDE * SIDE).map(picture).collect();
    let tells = |network: &Segmenter| {
        let found = classify(network, picture.clone(), [SIDE; 2], device).unwrap();
        (0..4).all(|class| found.iter().filter(|&&found| found == class).count() < SIDE * SIDE * 9 / 10)
    };
    (0..100).map(|seed| network(4, device, seed)).find(tells).expect("one of a hundred random networks")
}

/// A folder with a checkpoint `model`, its blob `model.kscout` and a phantom data set `data`.
struct Sandbox {
    job: Job,
    device: Device,
    network: Segmenter,
}

impl Sandbox {
    fn new() -> Self {
        let device = Device::flex();
        let sandbox = Self { job: Job::new(EXE, 1, 3, SIDE), network: telling_network(&device), device };
        sandbox.save("model", 4, &sandbox.network);
        sandbox.write("model.kscout", sandbox.blob(None));
        sandbox
    }

    /// The network's blob, of training data with these axes.
    fn blob(&self, axes: Option<&str>) -> Vec<u8> {
        let data = Dataset::open(self.path("data")).unwrap();
        let acquisition = Acquisition { protocol: Protocol::igs(), reconstruction: Reconstruction::ZeroFilled };
        let observations = observe(&data.slices(Split::Train), 8, acquisition, 1);
        let header = HeaderSpec {
            height: SIDE,
            width: SIDE,
            classes: 4,
            layout: kscout_core::kernels::Layout::Portable,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin { axes: axes.map(|axes| axes.parse().unwrap()), ..Origin::default() },
            provenance: "a test".into(),
        };
        pack(Some(&self.network.graph(SIDE, SIDE)), None, &observations, &header).unwrap()
    }

    fn save(&self, name: &str, classes: usize, network: &Segmenter) {
        self.save_trained(name, classes, network, None, None);
    }

    fn save_trained(
        &self,
        name: &str,
        classes: usize,
        network: &Segmenter,
        protocol: Option<Protocol>,
        axes: Option<&str>,
    ) {
        let spec = SegmenterSpec { arch: Arch::Unet, width: 4, classes, channels: 1 };
        let kind = Kind::Segmenter(SegmenterRecord::new(spec));
        let scoring = protocol.map(|protocol| Scoring::new(&Measuring { protocol, seed: 1 }, &[8]));
        let axis_codes = axes.map(|axes| axes.parse().unwrap());
        let meta = Meta { scoring, axis_codes, ..Meta::imported(kind, [SIDE; 2], "phantom".into()) };
        checkpoint::save(&self.path(name), network, None, &meta).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.job.path(name).into()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Runs `kscout predict` with the checkpoint into `out`.
    fn predict(&self, inputs: &[&str], options: &[&str]) -> Ran {
        self.predict_with(&["--segmenter", &self.job.path("model")], inputs, options)
    }

    fn predict_with(&self, network: &[&str], inputs: &[&str], options: &[&str]) -> Ran {
        let out = self.job.path("out");
        let inputs: Vec<String> = inputs.iter().map(|name| self.job.path(name)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.job.run(&[&["predict", "--out", &out], network, options, &inputs].concat())
    }

    fn out(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("out")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The overlays of `heart.nii`, by name.
    fn overlays(&self) -> Vec<(String, Vec<u8>)> {
        let slices = fs::read_dir(self.path("out/heart_overlay")).unwrap().map(|entry| entry.unwrap());
        let read =
            |slice: fs::DirEntry| (slice.file_name().to_string_lossy().into_owned(), fs::read(slice.path()).unwrap());
        let mut slices: Vec<_> = slices.map(read).collect();
        slices.sort();
        slices
    }

    /// Predicts, expects a refusal that says `words` and writes nothing.
    #[track_caller]
    fn refused(&self, inputs: &[&str], options: &[&str], words: &[&str]) {
        self.predict(inputs, options).refused(words);
        assert_eq!(self.out(), [""; 0], "a refused prediction wrote something");
    }

    /// The classes that `kscout eval` would score of slices, in real numbers and in int8.
    fn as_evaluated(&self, slices: &[&Slice], lines: usize) -> [Vec<Vec<u8>>; 2] {
        let mask = pattern_mask(Pattern::CentreOut, SIDE, lines, 0);
        let levels: Vec<Vec<i8>> = slices
            .iter()
            .map(|slice| {
                observed_levels(
                    &acquire(&slice.image, SIDE, SIDE, &Protocol::igs(), 0),
                    &mask,
                    Reconstruction::ZeroFilled,
                )
            })
            .collect();
        let levels: Vec<&[i8]> = levels.iter().map(Vec::as_slice).collect();
        let (network, device) = (self.network.clone(), self.device.clone());
        let float = DeviceSegmenter { network, size: [SIDE; 2], device }.segment(&levels).unwrap();
        let blob = BlobFile::read(&self.path("model.kscout")).unwrap();
        let int8 = CoreSegmenter { graph: blob.model().unwrap().segmenter().unwrap() }.segment(&levels).unwrap();
        for classes in [&float, &int8] {
            let first = classes[0][0];
            assert!(
                classes.iter().flatten().any(|&class| class != first),
                "a network that always says {first} tests nothing"
            );
        }
        [float, int8]
    }
}

const NX: u16 = 96;
const NY: u16 = 80;

/// A beating blob of 96x80 pixels of 1.5 mm and two slices, with a place in space.
fn heart() -> Vec<u8> {
    let volume = Volume::new([NX, NY, 2], |x, y, z| {
        let (dx, dy) = (f32::from(x) - 45.0, f32::from(y) - 38.0);
        let wave = (dx * 0.3).sin() * (dy * 0.23).cos();
        (600.0 * (-(dx * dx + dy * dy) / 500.0).exp() * (1.3 + wave) + 40.0 * f32::from(z)).round()
    });
    let mut bytes = volume.bytes();
    bytes[123] = 2;
    bytes[254] = 1;
    for (at, value) in [(280, -1.5f32), (292, 71.0), (300, 1.5), (308, -52.0), (320, 10.0), (324, 9.0)] {
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}
