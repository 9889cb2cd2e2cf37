//! Trains a segmenter on a folder of your own, and says how well it sees the heart in undersampled images.
//!
//!     cargo run --release --example train_segmenter -- nnunet path/to/Dataset027_ACDC
//!
//! reads any layout that `kscout data import` reads. Without arguments the folder is one of synthetic hearts, as PNG files, and
//! everything is so small that it takes seconds; a segmenter for use takes `SegmenterConfig::default()`.

use std::error::Error;
use std::path::Path;

use burn::tensor::Device;
use kscout::data::formats::Format;
use kscout::data::import::ImportOptions;
use kscout::data::measured::measure;
use kscout::data::phantom::{self, PhantomOptions};
use kscout::eval::run::{Method, mean_dice, scan_volumes, score};
use kscout::export::segmenter_in_memory;
use kscout::inference::segment::CoreSegmenter;
use kscout::mri::{Acquisition, Measuring};
use kscout::net::Arch;
use kscout::train::{Pace, RecordedMasks};
use kscout::{Dataset, RunOptions, SegmenterConfig, SegmenterInputs, Split, load_segmenter, train_segmenter};
use kscout_core::kspace::{Pattern, Plan};
use kscout_core::model::Model;

/// Side of the images in pixels.
const SIDE: usize = 32;

/// Lines that the scans measure.
const BUDGET: usize = 8;

#[allow(dead_code)] // the tests call `run`
fn main() -> Result<(), Box<dyn Error>> {
    let work = Path::new("out/example-segmenter");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dice = match arguments.as_slice() {
        [] => run(work, "png", &hearts(work)?),
        [format, folder] => run(work, format, Path::new(folder)),
        _ => Err("give a layout, such as nnunet, and a folder; or nothing".into()),
    }?;
    println!("mean Dice of RV, MYO and LV with {BUDGET} of {SIDE} lines: {dice:.3}");
    Ok(())
}

/// Imports `folder`, trains on it, and scores the segmenter on validation patients. Everything is written into `work`.
pub fn run(work: &Path, format: &str, folder: &Path) -> Result<f64, Box<dyn Error>> {
    // From files to slices with labels, of one size and spacing.
    let format = Format::named(format).ok_or("no such layout: `kscout data import --help` lists them")?;
    let options = ImportOptions { size: SIDE, spacing_mm: Some(6.0), force: true, ..ImportOptions::default() };
    (format.import)(folder, &work.join("data"), &options, &())?;
    let data = Dataset::open(work.join("data"))?;

    // A small network that sees each slice through random masks, so that it knows every stage of a scan.
    let config = SegmenterConfig {
        network: Arch::UnextS,
        network_width: 4,
        steps: 60,
        batch: 8,
        pace: Pace::validating_every(30),
        validate_lines: vec![BUDGET],
        ..SegmenterConfig::default()
    };
    let device = Device::flex();
    let inputs = SegmenterInputs { init: None, masks: &RecordedMasks::default() };
    let out = work.join("run");
    train_segmenter(&data, inputs, &config, RunOptions { out: &out, resume: false, device: &device })?;

    // As a device runs it: in int8, over the core's scan loop.
    let (network, meta) = load_segmenter(&out.join("best"), None, &device)?;
    let Measuring { protocol, seed } = config.measuring;
    let acquisition = Acquisition { protocol, reconstruction: meta.reconstruction };
    let graph = network.graph(data.height(), data.width());
    let blob = segmenter_in_memory(&data, &graph, acquisition, seed)?;
    let model = Model::new_checked(&blob)?;
    let segmenter = CoreSegmenter { graph: model.segmenter().ok_or("a file with a segmenter")? };
    let volumes = measure(&data, Split::Val, &protocol, seed);
    let plan = Plan::new(meta.reconstruction, data.height(), data.width());
    let scans = scan_volumes(plan, &segmenter, &volumes, Method::Pattern(Pattern::CentreOut), BUDGET)?;
    mean_dice(&score(&volumes, &scans)?).mean().ok_or_else(|| "no patients to validate on".into())
}

/// A folder of synthetic hearts as anybody's PNG files: PATIENT/images/N.png and PATIENT/labels/N.png.
pub fn hearts(work: &Path) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let folder = work.join("hearts");
    phantom::make(&folder, &PhantomOptions { patients: 5, force: true, ..PhantomOptions::default() }, &())?;
    Ok(folder)
}
