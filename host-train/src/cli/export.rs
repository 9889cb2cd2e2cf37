//! `kscout export`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::kernels::Layout;
use kscout_core::kspace::fft::is_fft_length;
use kscout_core::model::Model;

use super::Failure;
use crate::data::{CLASSES, Dataset, Split};
use crate::eval::atomic::write_atomically;
use crate::eval::table::{Align, Table};
use crate::export::inspect::{Contents, inspect};
use crate::export::observe::CALIBRATION;
use crate::export::{HeaderSpec, observe, pack};
use crate::mri::Protocol;
use crate::rl::agent::load_policy;
use crate::train::Meta;
use crate::train::reward::load_segmenter;

/// `kscout export`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout export --reward runs/reward/best --policy runs/policy/best --data data/acdc128 \\\n      --out heart.kscout\n\nThen `kscout verify` says what int8 costs, `kscout inspect` what the file needs of a device, `kscout scan` plays a scan."
)]
pub struct ExportArgs {
    /// Checkpoint of the segmenter: the folder that `kscout train reward` wrote, or its `best` or `last`
    #[arg(long, value_name = "DIR")]
    reward: PathBuf,
    /// Keep only what head K of a U-Net++ needs, 1 to 4: smaller and faster
    #[arg(long, value_name = "K")]
    prune: Option<usize>,
    /// Checkpoint of the policy, from `kscout train policy`; without it the file holds the segmenter alone
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Data set whose training slices set the ranges of the int8 numbers
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many training slices to calibrate on, each at a random moment of a scan
    #[arg(long, value_name = "SLICES", default_value_t = CALIBRATION)]
    calibration: usize,
    /// How those slices are measured: `scanner` (phase and noise) or `igs` (magnitude only)
    #[arg(long, default_value = "scanner")]
    protocol: Protocol,
    /// Seed of phase, noise and masks of the calibration
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lay weights out for the fastest kernels of a target: `portable`, `cortex-m4` (also M7 and M33), `cortex-m55`, `x86-64` or
    /// `aarch64`. Every core runs every file, with the same result; on its own target a file made for it is faster
    #[arg(long, default_value_t = Layout::Portable)]
    target: Layout,
    /// The file to write
    #[arg(long, value_name = "FILE.kscout")]
    out: PathBuf,
}

impl ExportArgs {
    /// Exports.
    pub fn run(self) -> Result<(), Failure> {
        let device = Device::flex();
        let (segmenter, reward) = load_segmenter(&self.reward, self.prune, &device)?;
        let policy = self.policy.as_deref().map(|dir| load_policy(dir, &device)).transpose()?;
        check_size(&self.reward, &reward)?;
        reward.note_protocol(&self.protocol.to_string());
        let size = [reward.height, reward.width];
        if let (Some((_, meta)), Some(dir)) = (&policy, &self.policy) {
            expect_size(dir, [meta.height, meta.width], size, "the segmenter")?;
        }
        let data = Dataset::open(&self.data)?;
        expect_size(&self.data, [data.height(), data.width()], size, "the segmenter")?;
        let observations = observe(&data.slices(Split::Train), self.calibration, &self.protocol, self.seed);
        let header = HeaderSpec {
            height: reward.height,
            width: reward.width,
            classes: CLASSES,
            layout: self.target,
            provenance: provenance(&reward, self.prune, policy.as_ref().map(|(_, meta)| meta), observations.len()),
        };
        let segmenter = segmenter.graph(reward.height, reward.width);
        let policy = policy.map(|(policy, _)| policy.graph(reward.height, reward.width));
        let bytes = pack(Some(&segmenter), policy.as_ref(), &observations, &header)?;
        let contents = inspect(&Model::new_checked(&bytes)?);
        write_atomically(&self.out, &bytes).map_err(|error| format!("{}: {error}", self.out.display()))?;
        print!("{}", summary(&contents));
        println!("{}: {} bytes", self.out.display(), bytes.len());
        Ok(())
    }
}

fn check_size(dir: &Path, meta: &Meta) -> Result<(), Failure> {
    let Meta { height, width, .. } = *meta;
    if is_fft_length(height) && is_fft_length(width) {
        return Ok(());
    }
    let dir = dir.display();
    Err(format!("{dir}: trained on images of {height}x{width}; a device takes sides of 32, 64, 128, 256 or 512").into())
}

/// Refuses `path` if what it holds is of another size than `whose`.
pub(super) fn expect_size(path: &Path, found: [usize; 2], expected: [usize; 2], whose: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let ([h, w], [eh, ew]) = (found, expected);
    Err(format!("{}: images of {h}x{w}, but {whose} is for {eh}x{ew}", path.display()).into())
}

/// Where the networks come from, in one line.
fn provenance(reward: &Meta, prune: Option<usize>, policy: Option<&Meta>, slices: usize) -> String {
    let network = |meta: &Meta, prune: Option<usize>| {
        let pruned = prune.map_or(String::new(), |level| format!(" pruned to head {level}"));
        // The score is that of the whole network.
        let score = meta.score.filter(|_| prune.is_none());
        let score = score.map_or(String::new(), |score| format!(", validation Dice {score:.4}"));
        match meta.step {
            0 => format!("{}{pruned} {}", meta.network, meta.data),
            steps => format!("{}{pruned} trained on {} for {steps} steps{score}", meta.network, meta.data),
        }
    };
    let policy = policy.map_or(String::new(), |meta| format!("; {}", network(meta, None)));
    let reward = network(reward, prune);
    let mut text = format!("kscout {}: {reward}{policy}; calibrated on {slices} slices", env!("CARGO_PKG_VERSION"));
    let end = text.floor_char_boundary(kscout_core::model::blob::MAX_PROVENANCE);
    text.truncate(end);
    text
}

/// One row a network, and what a scan needs.
pub(super) fn summary(contents: &Contents) -> String {
    let right = |title: &str| (title.to_owned(), Align::Right);
    let mut table = Table::new([
        ("graph".to_owned(), Align::Left),
        right("operators"),
        right("MACs"),
        right("weight bytes"),
        right("arena bytes"),
        right("scan arena bytes"),
    ]);
    for graph in &contents.graphs {
        table.push([
            graph.kind.clone(),
            graph.operators.len().to_string(),
            graph.macs.to_string(),
            graph.weight_bytes.to_string(),
            graph.arena_bytes.to_string(),
            String::new(),
        ]);
    }
    table.push(["scan", "", "", "", "", &contents.scan_arena_bytes.to_string()]);
    table.to_text()
}
