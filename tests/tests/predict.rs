//! `kscout predict`: segmentations on the files' own grids, equal to what `kscout eval` scores under the protocol `igs`.

#[allow(dead_code)] // other tests use the rest
mod acdc_tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use acdc_tree::{Volume, label};
use burn::tensor::{Device, Tensor};
use kscout::data::import::{ImportOptions, Progress};
use kscout::data::nifti_volume::NiftiVolume;
use kscout::data::png_tree::Grey;
use kscout::data::{Axes, Dataset, Reorder, Slice, Split, acdc};
use kscout::export::{BlobFile, HeaderSpec, Origin, observe, pack};
use kscout::mri::observation::{observed_levels, pattern_mask};
use kscout::mri::{Protocol, acquire};
use kscout::net::{Arch, Segmenter, SegmenterSpec};
use kscout::segment::{CoreSegmenter, DeviceSegmenter, Segment, classify};
use kscout::train::checkpoint;
use kscout_core::kspace::{Pattern, Reconstruction};
use kscout_tests::Ran;
use kscout_tests::job::Job;
use serde_json::json;

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
        let observations = observe(&data.slices(Split::Train), 8, (&Protocol::igs(), Reconstruction::ZeroFilled), 1);
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
        self.save_trained(name, classes, network, (&json!({}), None));
    }

    fn save_trained(
        &self,
        name: &str,
        classes: usize,
        network: &Segmenter,
        (config, axes): (&serde_json::Value, Option<&str>),
    ) {
        let mut meta = json!({
            "network": "unet", "segmenter": { "arch": "unet", "width": 4, "classes": classes, "channels": 1 },
            "height": SIDE, "width": SIDE, "step": 0, "data": "phantom", "config": config
        });
        if let Some(axes) = axes {
            meta["axis_codes"] = json!(axes);
        }
        let meta = serde_json::from_value(meta).unwrap();
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
        self.predict_with(&["--model", &self.job.path("model")], inputs, options)
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

/// The crop of the plane that the network saw, and whether all else is background.
fn cropped(plane: &[u8]) -> (Vec<u8>, bool) {
    let (nx, left, top) = (usize::from(NX), (usize::from(NX) - SIDE) / 2, (usize::from(NY) - SIDE) / 2);
    let inside =
        |index: usize| (left..left + SIDE).contains(&(index % nx)) && (top..top + SIDE).contains(&(index / nx));
    let crop = plane.iter().enumerate().filter(|(index, _)| inside(*index)).map(|(_, &class)| class).collect();
    (crop, plane.iter().enumerate().all(|(index, &class)| inside(index) || class == 0))
}

#[test]
fn a_volume_is_segmented_as_eval_does_on_its_own_grid() {
    let sandbox = Sandbox::new();
    sandbox.save_trained("model", 4, &sandbox.network, (&json!({}), Some("LAS")));
    sandbox.write("model.kscout", sandbox.blob(Some("LAS")));
    // The same volume imported as a data set is what `kscout eval` would run on.
    let patient = sandbox.path("src/patient007");
    fs::create_dir_all(&patient).unwrap();
    fs::write(patient.join("Info.cfg"), "ED: 1\nES: 2\n").unwrap();
    let truth = Volume { dim: [NX, NY, 2], ..Volume::new([NX, NY, 2], |x, _, _| f32::from(x / 30)) };
    for frame in [1, 2] {
        fs::write(patient.join(format!("patient007_frame{frame:02}.nii")), heart()).unwrap();
        fs::write(patient.join(format!("patient007_frame{frame:02}_gt.nii")), truth.bytes()).unwrap();
    }
    let options = ImportOptions { size: SIDE, ..ImportOptions::default() };
    acdc::import(&sandbox.path("src"), &sandbox.path("imported"), &options, &Progress::hidden()).unwrap();
    let data = Dataset::open(sandbox.path("imported")).unwrap();
    let slices: Vec<&Slice> = data.all().iter().take(2).collect();

    sandbox.write("heart.nii", heart());
    let image = NiftiVolume::read(&sandbox.path("heart.nii")).unwrap();
    let (blob, out) = (sandbox.job.path("model.kscout"), sandbox.path("out/heart_seg.nii.gz"));
    let undersampled = ["--undersample", "centre-out:12"];
    for (lines, undersample) in [(SIDE, &[][..]), (12, &undersampled[..])] {
        let [float, int8] = sandbox.as_evaluated(&slices, lines);
        for (expected, int8) in [(float, false), (int8, true)] {
            let ran = if int8 {
                sandbox.predict_with(&["--blob", &blob], &["heart.nii"], undersample)
            } else {
                sandbox.predict(&["heart.nii"], undersample)
            };
            let said = ran.succeeded();
            assert!(said.contains("heart_seg.nii.gz: 2 slices of 96x80, RV"), "{said}");
            let found = NiftiVolume::read(&out).unwrap();
            assert_eq!((found.dim, found.spacing_mm), (image.dim, image.spacing_mm));
            assert_eq!(found.affine(), image.affine());
            let classes = found.classes(&out).unwrap();
            for (z, (plane, expected)) in classes.chunks_exact(usize::from(NX * NY)).zip(&expected).enumerate() {
                let (crop, background) = cropped(plane);
                assert!(background, "outside the crop there is background");
                assert!(crop == *expected, "slice {z}, {lines} lines, int8 {int8}: other classes than eval's");
            }
        }
    }
}

#[test]
fn a_picture_is_segmented_as_eval_does() {
    let sandbox = Sandbox::new();
    let data = Dataset::open(sandbox.path("data")).unwrap();
    let slice = &data.all()[1];
    let name = format!("data/{}/images/{}.png", slice.id.patient, slice.id.n);
    let [float, int8] = sandbox.as_evaluated(&[slice], SIDE);
    let out = sandbox.path(&format!("out/{}_seg.png", slice.id.n));
    sandbox.predict(&[&name], &[]).succeeded();
    let (grey, classes) = Grey::read_label(&out).unwrap();
    assert_eq!((grey.width, grey.height), (SIDE, SIDE));
    assert!(classes == float[0], "other classes than eval's");
    let blob = sandbox.job.path("model.kscout");
    sandbox.predict_with(&["--blob", &blob], &[&name], &[]).succeeded();
    assert!(Grey::read_label(&out).unwrap().1 == int8[0], "other classes than eval's in int8");
}

#[test]
fn overlays_are_a_picture_a_slice() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    fs::copy(sandbox.path("data/patient001/images/0.png"), sandbox.path("slice.png")).unwrap();
    for _ in 0..2 {
        sandbox.predict(&["heart.nii", "slice.png"], &["--overlay"]).succeeded();
        assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz", "slice_overlay.png", "slice_seg.png"]);
    }
    let names: Vec<String> = sandbox.overlays().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["0.png", "1.png"]);
    assert!(sandbox.overlays()[1].1.len() > 1000);
}

#[test]
fn overlays_of_a_volume_with_fewer_slices_replace_all_of_an_earlier_one() {
    let sandbox = Sandbox::new();
    for slices in [2, 1] {
        let volume = Volume::new([70, 66, slices], |x, y, z| f32::from(x * (z + 1) % 31) + f32::from(y));
        sandbox.write("heart.nii", volume.bytes());
        sandbox.predict(&["heart.nii"], &["--overlay"]).succeeded();
        assert_eq!(sandbox.overlays().len(), usize::from(slices));
    }
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

#[test]
fn an_error_in_writing_leaves_what_an_earlier_run_wrote() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.predict(&["heart.nii"], &["--overlay"]).succeeded();
    let (segmentation, overlays) = (fs::read(sandbox.path("out/heart_seg.nii.gz")).unwrap(), sandbox.overlays());

    // A folder in the segmentation's place: nothing is written at all.
    fs::rename(sandbox.path("out/heart_seg.nii.gz"), sandbox.path("kept.nii.gz")).unwrap();
    fs::create_dir(sandbox.path("out/heart_seg.nii.gz")).unwrap();
    sandbox
        .predict(&["heart.nii"], &["--overlay", "--undersample", "centre-out:4"])
        .refused(&["heart_seg.nii.gz", "write"]);
    assert!(sandbox.overlays() == overlays, "the overlays have changed");
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);

    // A file in the overlays' place: the segmentation is written, and the file stays.
    fs::remove_dir(sandbox.path("out/heart_seg.nii.gz")).unwrap();
    fs::remove_dir_all(sandbox.path("out/heart_overlay")).unwrap();
    sandbox.write("out/heart_overlay", "mine");
    sandbox.predict(&["heart.nii"], &["--overlay"]).refused(&["heart_overlay", "cannot be written"]);
    assert_eq!(fs::read_to_string(sandbox.path("out/heart_overlay")).unwrap(), "mine");
    assert!(fs::read(sandbox.path("out/heart_seg.nii.gz")).unwrap() == segmentation, "another segmentation");
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

#[test]
fn another_protocol_than_that_of_training_is_said_where_it_matters() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.save_trained("model", 4, &sandbox.network, (&json!({ "protocol": "scanner" }), Some("LAS")));
    let note = "trained with the protocol `scanner`, this uses `igs`";
    let few = ["--undersample", "centre-out:8"];
    let said = sandbox.predict(&["heart.nii"], &few);
    assert!(said.ok && said.stderr.contains(note), "{said:?}");
    for options in [&[][..], &[few[0], few[1], "--protocol", "scanner"]] {
        let said = sandbox.predict(&["heart.nii"], options);
        assert!(said.ok && said.stderr.is_empty(), "{said:?}");
    }
}

#[test]
fn files_that_cannot_be_segmented() {
    let sandbox = Sandbox::new();
    sandbox.write("text.nii.gz", "x".repeat(500));
    sandbox.refused(&["text.nii.gz"], &[], &["text.nii.gz", "not a readable NIfTI volume"]);
    sandbox.write("cut.nii", &heart()[..9000]);
    sandbox.refused(&["cut.nii"], &[], &["cut.nii", "cut off"]);
    let mut series = heart();
    series[40..50].copy_from_slice(&[4, 0, NX as u8, 0, NY as u8, 0, 1, 0, 2, 0]);
    sandbox.write("series.nii", series);
    sandbox.refused(&["series.nii"], &[], &["series.nii", "a series", "take a frame out"]);
    sandbox.write("nan.nii", Volume::new([40, 40, 1], |x, _, _| if x == 3 { f32::NAN } else { 1.0 }).bytes());
    sandbox.refused(&["nan.nii"], &[], &["nan.nii", "NaN", "x=3, y=0, z=0"]);
    sandbox.write("blank.nii", Volume::new([40, 40, 1], |_, _, _| -1.0).bytes());
    sandbox.refused(&["blank.nii"], &[], &["blank.nii", "no intensity above zero"]);
    for (mm, unit) in [(0.0015, 2), (1.5, 1), (3e38, 2), (1e-44, 2)] {
        let mut bytes = Volume { spacing_mm: [mm, mm, 10.0], ..Volume::new([40, 40, 1], |_, _, _| 1.0) }.bytes();
        bytes[123] = unit;
        sandbox.write("size.nii", bytes);
        sandbox.refused(&["size.nii"], &[], &["size.nii", "voxels of", "unit of length"]);
    }
    sandbox.write("picture.png", "no picture");
    sandbox.refused(&["picture.png"], &[], &["picture.png", "not a readable grey PNG"]);
    sandbox.write("photo.jpg", "a photo");
    sandbox.refused(&["photo.jpg"], &[], &["photo.jpg", "neither a NIfTI volume", ".png"]);
}

#[test]
fn names_are_checked_before_anything_is_segmented() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii", "gone.nii"], &[], &["gone.nii", "no such file or folder"]);
    fs::create_dir(sandbox.path("again")).unwrap();
    sandbox.write("again/heart.nii", heart());
    sandbox.refused(&["heart.nii", "again/heart.nii"], &[], &["again/heart.nii", "both would become heart_seg"]);
}

#[test]
fn a_bad_file_does_not_keep_a_good_one() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.nii", "bad");
    sandbox.write("heart.nii", heart());
    sandbox.predict(&["bad.nii", "heart.nii"], &["--overlay"]).refused(&["bad.nii", "1 of 2 inputs"]);
    assert_eq!(sandbox.out(), ["heart_overlay", "heart_seg.nii.gz"]);
}

/// The segmentation of one of the cases of NIfTI files, in the order `LPS`, and what was noted.
fn segmented_case(sandbox: &Sandbox, name: &str, network: &[&str], options: &[&str]) -> (Vec<u8>, String) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/nifti").join(name);
    fs::copy(&case, sandbox.path(name)).unwrap();
    let ran = sandbox.predict_with(network, &[name], options);
    let noted = ran.stderr.clone();
    ran.succeeded();
    let (image, out) = (NiftiVolume::read(&case).unwrap(), sandbox.path("out").join(name.replace(".nii", "_seg.nii")));
    let labels = NiftiVolume::read(&out).unwrap();
    let place = |volume: &NiftiVolume| (volume.dim, volume.spacing_mm, volume.affine());
    assert_eq!(place(&labels), place(&image), "{name}: not in the file's own order");
    let reorder = image.axes().unwrap().to(Axes::LPS);
    (reorder.apply(&labels.classes(&out).unwrap(), labels.dim), noted)
}

#[test]
fn a_volume_is_segmented_alike_however_its_axes_are_stored() {
    let sandbox = Sandbox::new();
    let (model, blob) = (sandbox.job.path("model"), sandbox.job.path("model.kscout"));
    let assumed = "assumed of a network that does not say its own";
    for (trained, whose) in [(Some("LPS"), "the network's"), (None, assumed)] {
        sandbox.save_trained("model", 4, &sandbox.network, (&json!({}), trained));
        sandbox.write("model.kscout", sandbox.blob(trained));
        for network in [["--model", &model], ["--blob", &blob]] {
            let (expected, noted) = segmented_case(&sandbox, "reference.nii.gz", &network, &[]);
            assert!(noted.is_empty(), "{noted}");
            assert!((0..4).filter(|class| expected.contains(class)).count() > 1, "one class alone tests nothing");
            for (name, stored) in [("canonical.nii.gz", "RAS"), ("slice_first.nii.gz", "SLP")] {
                let (found, noted) = segmented_case(&sandbox, name, &network, &[]);
                assert!(found == expected, "{name}, {network:?}: other classes than the reference's");
                let said = format!("note: {}: stored as {stored}; segmented as LPS, {whose}", sandbox.job.path(name));
                assert!(noted.starts_with(&said), "{noted}");
            }
        }
    }
}

#[test]
fn the_axes_of_the_training_data_are_the_checkpoint_s_or_the_user_s() {
    let sandbox = Sandbox::new();
    let model = sandbox.job.path("model");
    let network = ["--model", &model];
    let as_stored = |name| segmented_case(&sandbox, name, &network, &["--axes", "stored"]);
    let (reference, canonical) = (as_stored("reference.nii.gz"), as_stored("canonical.nii.gz"));
    assert!(reference.0 != canonical.0 && canonical.1.is_empty(), "{}", canonical.1);
    // A network of `RAS` sees the canonical file as it is stored, whoever says so.
    let told = segmented_case(&sandbox, "reference.nii.gz", &network, &["--axes", "RAS"]);
    assert!(told.0 == canonical.0 && told.1.contains("stored as LPS; segmented as RAS"), "{}", told.1);
    sandbox.save_trained("model", 4, &sandbox.network, (&json!({}), Some("RAS")));
    assert!(segmented_case(&sandbox, "reference.nii.gz", &network, &[]).0 == canonical.0);
    assert!(segmented_case(&sandbox, "canonical.nii.gz", &network, &[]) == (canonical.0, String::new()));
    assert!(segmented_case(&sandbox, "reference.nii.gz", &network, &["--axes", "LPS"]).0 == reference.0);
    // Slices along another direction than the training data's stay slices.
    sandbox.save_trained("model", 4, &sandbox.network, (&json!({}), Some("SLP")));
    let (found, noted) = segmented_case(&sandbox, "reference.nii.gz", &network, &[]);
    assert!(found == reference.0, "the slices were cut");
    assert!(noted.contains("its slices follow each other towards S, the training data's towards P"), "{noted}");
    for wrong in ["LLS", "up"] {
        sandbox.predict(&["reference.nii.gz"], &["--axes", wrong]).refused(&["--axes", "such as LPS", "`stored`"]);
    }
}

#[test]
fn what_a_checkpoint_does_not_say_of_axes_a_training_on_such_data_does() {
    let sandbox = Sandbox::new();
    let [data, trained] = ["five", "trained"].map(|name| sandbox.job.path(name));
    let size = SIDE.to_string();
    sandbox.job.run(&["data", "phantom", &data, "--patients", "5", "--size", &size]).succeeded();
    let manifest = sandbox.path("five/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"intensity\"", "\"axes\": \"RAS\", \"intensity\"", 1)).unwrap();
    let keys =
        ["network=unet", "network_width=4", "steps=2", "batch=2", "warmup=1", "validate_every=2", "validate_lines=[8]"];
    let keys = keys.iter().flat_map(|key| ["--set", key]);
    let train: Vec<&str> = ["train", "reward", "--data", &data, "--out", &trained].into_iter().chain(keys).collect();
    sandbox.job.run(&train).succeeded();
    let (_, noted) = segmented_case(&sandbox, "reference.nii.gz", &["--model", &trained], &[]);
    assert!(noted.contains("stored as LPS; segmented as RAS, the network's"), "{noted}");
}

#[test]
fn the_slices_of_a_volume_that_does_not_say_how_it_lies_may_be_along_any_axis() {
    let sandbox = Sandbox::new();
    let value = |x: u16, y: u16, z: u16| f32::from(x * (z + 1) % 31) + f32::from(y);
    let last = Volume { spacing_mm: [1.5, 1.5, 8.0], ..Volume::new([70, 66, 4], value) };
    let first = Volume { spacing_mm: [8.0, 1.5, 1.5], ..Volume::new([4, 70, 66], |z, x, y| value(x, y, z)) };
    sandbox.write("last.nii", last.bytes());
    sandbox.write("first.nii", first.bytes());
    let ran = sandbox.predict(&["last.nii", "first.nii"], &[]);
    assert!(ran.ok && ran.stderr.contains("first.nii: its first axis is taken as that of the slices"), "{ran:?}");
    let classes = |name: &str| {
        let path = sandbox.path(name);
        NiftiVolume::read(&path).unwrap().classes(&path).unwrap()
    };
    let (last, first) = (classes("out/last_seg.nii.gz"), classes("out/first_seg.nii.gz"));
    assert!(Reorder::last(0).apply(&first, [4, 70, 66]) == last, "other classes");
}

#[test]
fn folders_are_segmented_and_their_results_pair_again() {
    let sandbox = Sandbox::new();
    let image = Volume::new([40, 32, 2], |x, y, _| f32::from(x * y % 97)).bytes();
    for (images, labels) in [
        (
            &["a/imagesTr/p1_frame01_0000.nii", "a/imagesTr/p1_frame09_0000.nii"][..],
            &["a/labelsTr/p1_frame01.nii", "a/labelsTr/p1_frame09.nii"][..],
        ),
        (
            &["b/p1/p1_frame01.nii", "b/p1/p1_4d.nii", "b/p2/p2_frame02.nii"],
            &["b/p1/p1_frame01_gt.nii", "b/p2/p2_frame02_gt.nii"],
        ),
        (
            &["c/sub-01/anat/sub-01_T1w.nii", "c/sub-02/anat/sub-02_T1w.nii"],
            &["c/derivatives/manual/sub-01/anat/sub-01_dseg.nii", "c/derivatives/manual/sub-02/anat/sub-02_dseg.nii"],
        ),
        (&["d/p1/image.nii", "d/p2/image.nii"], &["d/p1/label.nii", "d/p2/label.nii"]),
        (&["e/p1.nii", "e/p2.nii"], &["e/p1_mask.nii", "e/p2_mask.nii"]),
    ] {
        let root = &images[0][..1];
        for name in images.iter().chain(labels) {
            fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
            sandbox.write(name, if labels.contains(name) { label().bytes() } else { image.clone() });
        }
        let _ = fs::remove_dir_all(sandbox.path("out"));
        let said = sandbox.predict(&[root], &[]).succeeded();
        assert_eq!(said.lines().count(), 2, "{root}: {said}");
        let [truth, out] = [root, "out"].map(|name| sandbox.job.path(name));
        let said = sandbox.job.run(&["metrics", &truth, &out]).succeeded();
        assert!(said.contains("Paired 2 volumes"), "{root}: {said}");
        // Another run finds the same images, also where its results lie among them.
        let inside = sandbox.job.path(&format!("{root}/results"));
        for _ in 0..2 {
            let ran = sandbox.job.run(&["predict", "--model", &sandbox.job.path("model"), "--out", &inside, &truth]);
            assert_eq!(ran.succeeded().lines().count(), 2, "{root}");
        }
    }
}

#[test]
fn folders_without_images_are_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("labels")).unwrap();
    sandbox.refused(&["labels"], &[], &["labels", "no images", ".nii.gz"]);
    sandbox.write("labels/a_gt.nii", label().bytes());
    sandbox.refused(&["labels"], &[], &["labels", "no images", "1 file of labels"]);
    sandbox.write("pair.hdr", [0; 348]);
    sandbox.refused(&["pair.hdr"], &[], &["pair.hdr", ".hdr/.img pair", "convert"]);
}

#[test]
fn files_above_the_limit_are_refused_unless_it_is_raised() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii"], &["--max-gib", "0.00005"], &["heart.nii", "96x80x2 voxels", "--max-gib"]);
    // Slices of 2x2 pixels become as large as the network's images.
    sandbox.write("thin.nii", Volume::new([2, 2, 100], |x, y, _| f32::from(1 + x + y)).bytes());
    let thin = ["thin.nii", "100 slices", "64x64 pixels each", "above the limit of 0.001 GiB"];
    sandbox.refused(&["thin.nii"], &["--max-gib", "0.001"], &thin);
    sandbox.predict(&["heart.nii"], &["--max-gib", "0.001"]).succeeded();
    for wrong in ["nan", "inf", "-1", "0", "1e308"] {
        let limit = format!("--max-gib={wrong}");
        sandbox.predict(&["heart.nii"], &[&limit]).refused(&["--max-gib", "GiB above 0"]);
    }
}

#[test]
fn networks_and_options_that_do_not_fit() {
    let sandbox = Sandbox::new();
    sandbox.write("heart.nii", heart());
    sandbox.refused(&["heart.nii"], &["--undersample", "centre-out:65"], &["centre-out:65", "1 to 64 lines"]);
    sandbox.refused(&["heart.nii"], &["--undersample", "spiral:16"], &["spiral"]);
    sandbox.refused(&["heart.nii"], &["--spacing", "0"], &["--spacing", "0.1 to 20 mm"]);
    sandbox.refused(&["heart.nii"], &["--prune", "2"], &["unet", "unetpp"]);
    sandbox.save("two", 2, &network(2, &sandbox.device, 0));
    let two = sandbox.job.path("two");
    sandbox.predict_with(&["--model", &two], &["heart.nii"], &[]).refused(&["two", "tells 2 classes apart", "4"]);
    sandbox.predict_with(&["--model", "gone"], &["heart.nii"], &[]).refused(&["gone", "no checkpoint"]);
    let heart = sandbox.job.path("heart.nii");
    sandbox.predict_with(&["--blob", &heart], &["heart.nii"], &[]).refused(&["heart.nii", "not a usable"]);
    assert_eq!(sandbox.out(), [""; 0]);
}

#[test]
fn what_predict_writes_metrics_reads() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("truth")).unwrap();
    let truth = Volume { spacing_mm: [1.5, 1.5, 10.0], ..label() };
    for name in ["patient001_frame01", "patient001_frame09"] {
        sandbox.write(&format!("{name}.nii"), Volume::new([40, 32, 2], |x, y, _| f32::from(x * y % 97)).bytes());
        sandbox.write(&format!("truth/{name}_gt.nii"), truth.bytes());
    }
    sandbox.predict(&["patient001_frame01.nii", "patient001_frame09.nii"], &[]).succeeded();
    let [truth, out] = ["truth", "out"].map(|name| sandbox.job.path(name));
    let said = sandbox.job.run(&["metrics", &truth, &out]).succeeded();
    assert!(said.contains("Paired 2 volumes of 1 patients (1 ED, 1 ES"), "{said}");
}
