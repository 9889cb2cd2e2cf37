//! `kscout train mask`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::capture::blob_crc;
use kscout_core::model::Model;

use crate::cli::cost::CostArgs;
use crate::cli::export::expect_size;
use crate::cli::measuring::MeasuringArgs;
use crate::cli::shard::Inputs;
use crate::cli::threads::Threads;
use crate::cli::{Failure, number};
use crate::data::{Dataset, Split};
use crate::export::segmenter_in_memory;
use crate::io::lock::Locks;
use crate::io::stop::{Graceful, Stopped};
use crate::metrics::dice::Occurring;

use crate::progress;
use crate::samplers::learn::{Change, Learned, Learning, Origin};
use crate::samplers::mask_file::Provenance;
use crate::samplers::{LearnedMask, Score, Scorer};
use crate::shard::{self, Shard, Together};
use crate::train::segmenter::load_segmenter;

/// `kscout train mask`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout train mask --segmenter runs/segmenter --data data/acdc128 --out runs/mask.json\n  kscout eval --baselines patterns,learned-mask --mask runs/mask.json --reward-model runs/segmenter \\\n      --data data/acdc128 --out runs/eval\n\nAt each step the line is added whose addition to all slices gives the best score by the segmenter in int8."
)]
pub struct MaskArgs {
    /// Checkpoint of the segmenter that masks are scored by
    #[arg(long, alias = "reward", value_name = "DIR", required_unless_present = "model", conflicts_with = "model")]
    segmenter: Option<PathBuf>,
    /// Exported file whose segmenter they are scored by, instead of --segmenter
    #[arg(long, value_name = "FILE.kscout")]
    model: Option<PathBuf>,
    /// Data set whose training volumes are learned from
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write, after every line and every round of moves
    #[arg(long, value_name = "FILE.json")]
    out: PathBuf,
    /// Lines to learn: the largest budget that the mask is used with
    #[arg(long, value_name = "LINES", default_value_t = 24, value_parser = number::whole::<usize>(1..=number::MAX_IMAGE_LINES))]
    budget: usize,
    /// Training volumes to learn from, drawn at random; whole ones, because volumes are scored
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = number::whole::<usize>(1..=number::MANY))]
    volumes: usize,
    /// Select among the N lines nearest to the centre, for speed; by default among all
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>(1..=number::MAX_IMAGE_LINES))]
    candidates: Option<usize>,
    /// Then move single lines to other places of the order while the score, averaged over all numbers of lines, improves:
    /// forward selection only takes what is best for the next line. An existing mask can be reordered with --resume
    #[arg(long)]
    reorder: bool,
    /// What is optimised: `dice` (mean 3-D Dice of the volumes), `soft-dice` (the same of probabilities) or `cross-entropy`
    #[arg(long, default_value_t = Score::Dice)]
    score: Score,
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// Go on with the mask in --out; where there is none, one begins, and a note says so
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    threads: Threads,
    /// Score the Ith of N parts of the volumes, such as 2/4. As each line depends on those before, all N processes work at the same
    /// time, and exchange what they find in the folder `OUT.parts` beside --out, which may be removed when the mask is there; the
    /// first writes it. One that was stopped is started again as it was
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

impl MaskArgs {
    /// How many threads compute.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// What this process writes.
    fn place(&self) -> PathBuf {
        self.shard.map_or(self.out.clone(), |shard| shard::path(&self.out, shard))
    }

    /// What the mask depends on.
    fn inputs(&self, data: &Dataset, segmenter: &[u8]) -> Result<Inputs, Failure> {
        let inputs = Inputs::default().data(data).file(self.model.as_deref())?.checkpoint(self.segmenter.as_deref())?;
        // Quantised by each process for itself.
        Ok(inputs.with("segmenter in int8", format!("{:08x}", blob_crc(segmenter))))
    }

    /// Learns the mask.
    pub fn run(self) -> Result<(), Failure> {
        let _locks = Locks::of([self.place().as_path()])?;
        let data = Dataset::open(&self.data)?;
        data.expect_masks("a learned mask")?;
        self.check(&data)?;
        let (segmenter, bytes) = self.segmenter(&data)?;
        let model = Model::new_checked(&bytes)?;
        let scorer = Scorer::new(&model, self.score);
        let scorer = scorer.ok_or_else(|| format!("{}: holds no segmenter", segmenter.display()))?;
        let labels = data.slices(Split::Train).into_iter().flat_map(|slice| &slice.label);
        let scorer = scorer.among(Occurring::in_labels(labels));
        let learning = Learning {
            data: &data,
            scorer: &scorer,
            protocol: self.measuring.protocol,
            seed: self.measuring.seed,
            volumes: self.volumes,
            nearest: self.candidates.unwrap_or(data.width()),
            budget: self.budget,
            reorder: self.reorder,
        };
        let command = std::env::args_os().map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ");
        let bar = progress::bar(self.budget as u64, 0, "lines");
        let say = |change: Change, mask: &LearnedMask| {
            let (many, score) = (mask.lines.len(), self.score);
            bar.set_position(many as u64);
            let mean = mask.scores.iter().sum::<f64>() / many.max(1) as f64;
            bar.suspend(|| match (change, mask.lines.last(), mask.scores.last()) {
                (Change::Joined, Some(line), Some(last)) => {
                    println!("{many:3} lines: line {line:3} joins, {score} {last:.4}")
                }
                _ => println!("{many:3} lines in a better order, mean {score} {mean:.5}: {:?}", mask.lines),
            });
        };
        let origin = Origin { command, segmenter, segmenter_crc: blob_crc(&bytes) };
        let mut together = match self.shard {
            Some(shard) => Together::among(&self.out, shard, self.inputs(&data, &bytes)?.made_by()),
            None => Together::alone(),
        };
        let graceful = Graceful::begin();
        let Learned { mask, stopped } = learning.run(origin, &self.out, self.resume, &mut together, say)?;
        bar.finish_and_clear();
        if stopped {
            let (out, many) = (self.out.display(), mask.lines.len());
            return Err(Stopped::having(format!("stopped; {many} lines are saved in {out}")).into());
        }
        graceful.finish();
        let Provenance { volumes, slices, .. } = &mask.provenance;
        println!("{}: {} lines from {} volumes ({slices} slices)", self.out.display(), mask.lines.len(), volumes.len());
        Ok(())
    }

    fn check(&self, data: &Dataset) -> Result<(), Failure> {
        let width = data.width();
        let nearest = self.candidates.unwrap_or(width);
        if nearest > width {
            return Err(format!("--candidates {nearest}: expected 1 to {width} lines").into());
        }
        if self.budget > nearest {
            return Err(format!("--budget {}: expected 1 to {nearest} lines", self.budget).into());
        }
        Ok(())
    }

    /// The segmenter's path, and a blob that holds it.
    fn segmenter(&self, data: &Dataset) -> Result<(&Path, Vec<u8>), Failure> {
        let size = [data.height(), data.width()];
        let data_name = self.data.display().to_string();
        if let Some(path) = &self.model {
            let file = CostArgs::default().read(path)?;
            let model = file.model()?;
            expect_size(path, [model.height(), model.width()], size, &data_name)?;
            return Ok((path, file.into_bytes()));
        }
        let path = self.segmenter.as_deref().ok_or("give --segmenter or --model")?;
        let (network, meta) = load_segmenter(path, None, &Device::flex())?;
        expect_size(path, [meta.height, meta.width], size, &data_name)?;
        meta.note_protocol(&self.measuring.protocol.to_string());
        let acquisition = self.measuring.acquisition(meta.reconstruction);
        let bytes = segmenter_in_memory(data, &network.graph(size[0], size[1]), acquisition, self.measuring.seed)?;
        Ok((path, bytes))
    }
}
