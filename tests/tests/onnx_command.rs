//! `kscout export --onnx`, from a file that was exported before, and `kscout net forward --blob`.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use kscout::export::{CalibrationSample, HeaderSpec, Origin, Rounding, onnx, pack};
use kscout::net::{Arch, Scout, Segmenter, SegmenterSpec};
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kernels::Reference;
use kscout_core::kspace::Reconstruction;
use kscout_core::model::{Model, run as run_core};
use kscout_core::rng::SplitMix64;
use kscout_tests::golden::Npy;
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 32;

/// A folder with `heart.kscout`, an untrained segmenter or policy.
struct Sandbox {
    tmp: tempfile::TempDir,
    blob: Vec<u8>,
}

impl Sandbox {
    fn segmenter() -> Self {
        let network = Segmenter::new(&SegmenterSpec::published(Arch::UnextS, 4), &Device::flex());
        let graph = network.graph(SIDE, SIDE);
        Self::holding(pack(Some(&graph), None, &[observation()], &header()).unwrap())
    }

    fn policy() -> Self {
        let graph = Scout::new(SIDE, SIDE, &Device::flex()).graph(SIDE, SIDE);
        Self::holding(pack(None, Some(&graph), &[observation()], &header()).unwrap())
    }

    fn holding(blob: Vec<u8>) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("heart.kscout"), &blob).unwrap();
        Self { tmp, blob }
    }

    fn path(&self, name: &str) -> String {
        self.tmp.path().join(name).display().to_string()
    }

    fn export(&self, arguments: &[&str]) -> Ran {
        let blob = self.path("heart.kscout");
        run(EXE, [&["export", "--from", &blob], arguments].concat())
    }

    fn forward(&self, arguments: &[&str]) -> Ran {
        run(EXE, [&["net", "forward", "--output", &self.path("out.npy")], arguments].concat())
    }

    /// `in.npy`, an array of f32.
    fn array(&self, shape: &str, values: &[f32]) -> String {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(self.path("in.npy"), [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()).unwrap();
        self.path("in.npy")
    }

    fn listing(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.tmp.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    }
}

fn header() -> HeaderSpec {
    HeaderSpec {
        height: SIDE,
        width: SIDE,
        classes: 4,
        layout: kscout_core::kernels::Layout::Portable,
        reconstruction: Reconstruction::ZeroFilled,
        origin: Origin::default(),
        provenance: "untrained".into(),
    }
}

fn levels(seed: u64, count: usize) -> Vec<i8> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| random.next_u64() as i8).collect()
}

/// Half of the lines measured.
fn observation() -> CalibrationSample {
    let state = (0..SIDE + STATE_EXTRAS).map(|i| if i % 2 == 0 { 127 } else { 0 }).collect();
    CalibrationSample { levels: levels(3, SIDE * SIDE), state }
}

#[test]
fn a_file_that_was_exported_before_is_written_as_onnx() {
    let job = Sandbox::segmenter();
    let model = Model::new_checked(&job.blob).unwrap();
    let out = job.path("heart.onnx");
    let said = job.export(&["--onnx", &out]).succeeded();
    let twice = fs::read(&out).unwrap();
    assert!(said.contains(&format!("heart.onnx: {} bytes", twice.len())), "{said}");
    assert_eq!(twice, onnx(&model, Rounding::Twice).unwrap());
    job.export(&["--onnx", &out, "--onnx-rounding", "once"]).succeeded();
    let once = fs::read(&out).unwrap();
    assert_eq!(once, onnx(&model, Rounding::Once).unwrap());
    assert!(once.len() < twice.len(), "{} and {} bytes", once.len(), twice.len());
}

#[test]
fn a_policy_alone_is_refused_and_nothing_is_written() {
    let job = Sandbox::policy();
    let before = job.listing();
    job.export(&["--onnx", &job.path("heart.onnx")]).refused(&["heart.kscout", "no segmenter", "--segmenter"]);
    let input = job.array("(1, 1, 32, 32)", &[0.0; SIDE * SIDE]);
    job.forward(&["--blob", &job.path("heart.kscout"), "--input", &input]).refused(&["heart.kscout", "no segmenter"]);
    fs::remove_file(input).unwrap();
    assert_eq!(job.listing(), before);
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let job = Sandbox::segmenter();
    let before = job.listing();
    // A file is no folder.
    job.export(&["--onnx", &job.path("heart.kscout/heart.onnx")]).refused(&["heart.onnx"]);
    let missing = ["export", "--from", &job.path("no.kscout"), "--onnx", &job.path("heart.onnx")];
    run(EXE, missing).refused(&["no.kscout", "cannot be read"]);
    fs::write(job.path("heart.kscout"), &job.blob[1..]).unwrap();
    job.export(&["--onnx", &job.path("heart.onnx")]).refused(&["heart.kscout", "not a usable .kscout file"]);
    assert_eq!(job.listing(), before);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let job = Sandbox::segmenter();
    let out = job.path("heart.onnx");
    job.export(&[]).refused(&["--onnx"]);
    for conflicting in [["--segmenter", "runs"], ["--data", "data"], ["--line-policy", "runs"], ["--calibration", "3"]]
    {
        job.export(&[&["--onnx", &out], &conflicting[..]].concat()).refused(&["--from", conflicting[0]]);
    }
    job.export(&["--onnx", &out, "--onnx-rounding", "thrice"]).refused(&["thrice", "twice or once"]);
    run(EXE, ["export", "--segmenter", "runs", "--data", "data"]).refused(&["--out"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_blobs_logits_are_the_cores() {
    let job = Sandbox::segmenter();
    let images: Vec<Vec<i8>> = (0..2).map(|seed| levels(seed, SIDE * SIDE)).collect();
    let values: Vec<f32> = images.iter().flatten().map(|&q| (f32::from(q) + 128.0) / 48.0).collect();
    let input = job.array("(2, 1, 32, 32)", &values);
    job.forward(&["--blob", &job.path("heart.kscout"), "--input", &input]).succeeded();
    let logits = Npy::read(Path::new(&job.path("out.npy")));
    assert!(logits.header.contains("(2, 4, 32, 32"), "{}", logits.header);

    let model = Model::new_checked(&job.blob).unwrap();
    let graph = model.segmenter().unwrap();
    let output = graph.output();
    let mut expected = Vec::new();
    for image in &images {
        let mut arena = kscout::runtime::HeapArena::new(graph.arena_bytes());
        let logits = run_core(&graph, &Reference, &[image], arena.bytes()).unwrap();
        let real = |i: usize| output.scale * (f32::from(logits[i]) - output.zero_point as f32);
        expected.extend((0..4).flat_map(|class| (0..SIDE * SIDE).map(move |pixel| pixel * 4 + class)).map(real));
    }
    assert_eq!(logits.f32s(), expected);
}

#[test]
fn images_of_another_size_are_refused() {
    let job = Sandbox::segmenter();
    let input = job.array("(1, 1, 16, 64)", &[0.0; SIDE * SIDE]);
    let blob = job.path("heart.kscout");
    job.forward(&["--blob", &blob, "--input", &input]).refused(&["in.npy", "[1, 1, 16, 64]", "[B, 1, 32, 32]"]);
    job.forward(&["--blob", &blob, "--arch", "unet", "--input", &input]).refused(&["--blob", "--arch"]);
}
