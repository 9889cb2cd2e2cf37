//! `kscout relabel`.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use kscout_core::kspace::Reconstruction;

use super::Failure;
use crate::io::lock::Locks;
use crate::load_segmenter;
use crate::train::Meta;
use crate::train::checkpoint;

/// `kscout relabel`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout relabel runs/zero-filled --reconstruction half-homodyne --out runs/start\n\nA segmenter is for images of the reconstruction that it was trained on. One for another reconstruction learns soonest from\nits weights: mask learning, export and `train segmenter --init` then take the copy."
)]
pub struct RelabelArgs {
    /// The segmenter's checkpoint, or its run's folder, of which the last one is meant
    #[arg(value_name = "CHECKPOINT")]
    segmenter: PathBuf,
    /// How the images are made that the copy is for
    #[arg(long)]
    reconstruction: Reconstruction,
    /// The checkpoint to write; one of the same weights is replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl RelabelArgs {
    /// Copies the segmenter, for images of another reconstruction.
    pub fn run(self) -> Result<(), Failure> {
        let Self { segmenter, reconstruction, out } = self;
        let _locks = Locks::of([out.as_path()])?;
        let (from, _) = checkpoint::read_meta(&segmenter)?;
        let (network, meta) = load_segmenter(&from, None, &Device::flex())?;
        let is_copy = || {
            let there = checkpoint::read_meta(&out).ok().filter(|(dir, _)| *dir == out);
            there.is_some_and(|(_, there)| there.weights_hash.is_some() && there.weights_hash == meta.weights_hash)
        };
        if out.exists() && (from == out || !is_copy()) {
            return Err(format!("{}: there already; choose another --out, or remove it", out.display()).into());
        }
        // Scores on other images say nothing of these.
        let (score, best, best_step, scoring) = (None, None, None, None);
        let meta = Meta { reconstruction, score, best, best_step, scoring, row: String::new(), ..meta };
        checkpoint::save(&out, &network, None, &meta)?;
        println!("{}: {}, for {reconstruction} images", out.display(), meta.network());
        Ok(())
    }
}
