//! `kscout scan --volume`: a volume's scan, and the capture of it that other machines repeat.

use std::fs;

use kscout::runtime::HeapArena;
use kscout_core::Complex32;
use kscout_core::capture::VolumeCapture;
use kscout_core::contract::FIRST_LINES;
use kscout_core::kernels::{Layout, Portable};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;
use kscout_core::volume::{VolumeScan, volume_arena_bytes};
use kscout_tests::Ran;
use kscout_tests::job::Job;
use kscout_tests::small_model::{SIDE, random_blob};
use kscout_tests::small_volume::{EARLY, random_volume_blob};

/// Phantom data, a model with a slice policy and one without, in a folder of their own.
fn job() -> Job {
    let job = Job::new(env!("CARGO_BIN_EXE_kscout-under-test"), 2, 4, SIDE);
    fs::write(job.path("volume.kscout"), random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled)).unwrap();
    fs::write(job.path("slice.kscout"), random_blob(Layout::Portable)).unwrap();
    job
}

fn scan(job: &Job, model: &str, volume: &str, options: &[&str]) -> Ran {
    let (model, data) = (job.path(model), job.path("data"));
    job.run(&[&["scan", &model, "--data", &data, "--volume", volume][..], options].concat())
}

/// The rest of the line of `text` that begins with `word`.
fn said<'t>(text: &'t str, word: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word} in {text}")).trim()
}

/// Repeats a captured scan, as another machine does.
fn repeated(blob: &[u8], capture: &VolumeCapture<'_>) -> u64 {
    let model = Model::new_checked(blob).unwrap();
    let (slices, budget) = (capture.slices(), capture.budget());
    let mut arena = HeapArena::new(volume_arena_bytes(&model, slices, budget));
    let mut scan = VolumeScan::with_kernels(&model, arena.bytes(), slices, budget, Portable).unwrap();
    let mut samples = vec![Complex32::default(); capture.height()];
    let mut places = capture.places();
    while let Some(place) = scan.propose_gaining(capture.least_gain()).unwrap() {
        assert_eq!(places.next(), Some(place));
        capture.copy_line(place, &mut samples).unwrap();
        scan.push_line(place, &samples).unwrap();
    }
    assert_eq!(places.next(), None);
    scan.digest().unwrap()
}

#[test]
fn a_scan_of_a_volume_can_be_repeated_from_its_capture() {
    let job = job();
    let file = job.path("volume.kscan");
    let options = ["--budget", "4", "--capture", &file];
    let first = scan(&job, "volume.kscout", "patient001/ED", &options).succeeded();
    let bytes = fs::read(&file).unwrap();
    let capture = VolumeCapture::new_checked(&bytes).unwrap();
    assert_eq!(capture.places().len(), capture.budget());
    assert_eq!(capture.budget(), 4 * capture.slices(), "a budget is a slice's, on average");
    assert_eq!(said(&first, "digest"), format!("{:016x}", capture.digest()));
    let slices: Vec<String> = capture.places().map(|place| place.slice.to_string()).collect();
    assert_eq!(said(&first, "slices"), slices.join(" "));
    assert_eq!(first.lines().filter(|line| line.starts_with("lines")).count(), capture.slices());
    assert_eq!(repeated(&random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled), &capture), capture.digest());

    let second = scan(&job, "volume.kscout", "patient001/ED", &options).succeeded();
    assert_eq!(first, second, "the same scan twice");
    let other = scan(&job, "volume.kscout", "patient001/ES", &options).succeeded();
    assert_ne!(said(&first, "digest"), said(&other, "digest"));
}

#[test]
fn a_scan_that_stops_early_is_captured_as_it_was() {
    let job = job();
    let (file, gain) = (job.path("early.kscan"), (100.0 * EARLY).to_string());
    scan(&job, "volume.kscout", "patient001/ED", &["--budget", "6", "--least-gain", &gain, "--capture", &file])
        .succeeded();
    let bytes = fs::read(&file).unwrap();
    let capture = VolumeCapture::new_checked(&bytes).unwrap();
    assert_eq!(capture.places().len(), FIRST_LINES * capture.slices(), "so much is expected of no line");
    assert_eq!(repeated(&random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled), &capture), capture.digest());
}

#[test]
fn what_cannot_be_scanned_is_refused_in_words() {
    let job = job();
    let refused = |model: &str, volume: &str, options: &[&str], words: &[&str]| {
        scan(&job, model, volume, options).refused(words);
    };
    let budget = ["--budget", "4"];
    refused("volume.kscout", "patient001/ENDE", &budget, &["patient001/ENDE", "patient001/ED and patient001/ES"]);
    refused("volume.kscout", "patient099/ED", &budget, &["no patient099", "nearest name"]);
    refused("slice.kscout", "patient001/ED", &budget, &["slice.kscout", "no slice policy", "--slice-policy"]);
    refused("volume.kscout", "patient001/ED", &["--budget", "1"], &["--budget 1", "expected 2 to ", "lines a slice"]);
    refused("volume.kscout", "patient001/ED", &["--budget", "4", "--least-gain", "NaN"], &["--least-gain", "NaN"]);
    refused("volume.kscout", "patient001/ED", &["--budget", "4", "--slice", "patient001/1"], &["--slice", "--volume"]);
    let (data, model) = (job.path("data"), job.path("volume.kscout"));
    job.run(&["scan", &model, "--data", &data, "--budget", "4"]).refused(&["--slice"]);
}
