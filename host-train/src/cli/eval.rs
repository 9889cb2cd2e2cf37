//! `kscout eval`.

use std::path::PathBuf;

use clap::Args;
use kscout_core::kspace::Pattern;
use kscout_core::model::{BlobError, Model};

use super::Failure;
use crate::data::{CLASSES, Dataset, Split};
use crate::device::DeviceChoice;
use crate::eval::report::{Task, evaluate, summary};
use crate::eval::run::{Method, measure};
use crate::export;
use crate::mri::Protocol;
use crate::net::unext::UNEXT_S_WIDTHS;
use crate::net::{FloatGraph, UNext};
use crate::rl::agent::{ActorCritic, SCOUT};
use crate::rl::train::header;
use crate::segment::{CoreSegmenter, DeviceSegmenter, Segment};
use crate::train::checkpoint;
use crate::train::reward::UNEXT_S;

/// Slices that calibrate the in-memory model of an evaluation in real numbers; it only runs the scan loop.
const LOOP_CALIBRATION: usize = 8;

/// `kscout eval`.
#[derive(Args)]
pub struct EvalArgs {
    /// Exported `.kscout` file: evaluates what a device would compute, in int8.
    #[arg(long, conflicts_with_all = ["reward", "policy"], required_unless_present = "reward")]
    model: Option<PathBuf>,
    /// Segmenter checkpoint: evaluates in real numbers instead.
    #[arg(long)]
    reward: Option<PathBuf>,
    /// Policy checkpoint, beside --reward.
    #[arg(long, requires = "reward")]
    policy: Option<PathBuf>,
    /// Data set folder.
    #[arg(long)]
    data: PathBuf,
    /// Folder for tables and pictures.
    #[arg(long)]
    out: PathBuf,
    /// Lines a slice may measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "8,12,16,24")]
    budgets: Vec<usize>,
    /// Which part of the data set.
    #[arg(long, default_value = "val")]
    split: Split,
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only).
    #[arg(long, default_value = "scanner")]
    protocol: Protocol,
    /// Seed of phase, noise and random patterns.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Slices that panels are drawn of.
    #[arg(long, default_value_t = 4)]
    panels: usize,
    /// Where --reward computes.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl EvalArgs {
    /// Evaluates.
    pub fn run(self) -> Result<(), Failure> {
        let data = Dataset::open(&self.data)?;
        if let Some(budget) = self.budgets.iter().find(|&&b| b == 0 || b > data.width()) {
            return Err(format!("--budgets: {budget} is not within 1 to {} lines", data.width()).into());
        }
        if data.slices(self.split).is_empty() {
            return Err(format!("{}: no slices in split `{}`", self.data.display(), self.split).into());
        }
        match &self.model {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let model = open(path, &bytes)?;
                let graph = model.segmenter().ok_or_else(|| format!("{}: holds no segmenter", path.display()))?;
                let policy = model.policy().map(|_| Method::Policy);
                let title = format!("{} (int8), {} protocol", path.display(), self.protocol);
                self.finish(&data, &model, &CoreSegmenter { graph }, policy, &title)
            }
            None => self.in_real_numbers(&data),
        }
    }

    fn in_real_numbers(&self, data: &Dataset) -> Result<(), Failure> {
        let device = self.device.open()?;
        let size = [data.height(), data.width()];
        let reward = self.reward.as_deref().ok_or("give --model or --reward")?;
        let (dir, meta) = checkpoint::read_meta(reward)?;
        meta.expect_network(&dir, &[UNEXT_S])?;
        let network = checkpoint::load_weights(&dir, UNext::new(UNEXT_S_WIDTHS, CLASSES, &device))?;
        let policy = match &self.policy {
            Some(path) => Some(load_policy(path, size, &device)?),
            None => None,
        };
        let graph = export::segmenter_graph(&network, size[0], size[1]);
        let observations = export::observe(data, LOOP_CALIBRATION, &self.protocol, self.seed);
        let blob = export::pack(Some(&graph), None, &observations, &header(data))?;
        let model = open(reward, &blob)?;
        let title = format!("{} (f32), {} protocol", reward.display(), self.protocol);
        let segmenter = DeviceSegmenter { network, size, device };
        self.finish(data, &model, &segmenter, policy.as_ref().map(Method::FloatPolicy), &title)
    }

    fn finish(
        &self,
        data: &Dataset,
        model: &Model<'_>,
        segmenter: &dyn Segment,
        policy: Option<Method<'_>>,
        title: &str,
    ) -> Result<(), Failure> {
        if [model.height(), model.width()] != [data.height(), data.width()] {
            let (h, w) = (model.height(), model.width());
            return Err(format!(
                "the model is for images of {h}x{w}, {} has {}x{}",
                self.data.display(),
                data.height(),
                data.width()
            )
            .into());
        }
        let volumes = measure(data, self.split, &self.protocol, self.seed);
        let methods: Vec<Method<'_>> =
            policy.into_iter().chain(Pattern::ALL.into_iter().map(Method::Pattern)).collect();
        let task = Task {
            model,
            segmenter,
            volumes: &volumes,
            methods: &methods,
            budgets: &self.budgets,
            panels: self.panels,
            width: data.width(),
            title,
        };
        let results = evaluate(&task, &self.out)?;
        println!("Mean 3-D Dice of {} volumes ({}):", results.volumes, title);
        print!("{}", summary(&results, &self.budgets).to_text());
        println!("Report, tables and pictures: {}", self.out.display());
        Ok(())
    }
}

fn open<'a>(path: &std::path::Path, bytes: &'a [u8]) -> Result<Model<'a>, Failure> {
    Model::new_checked(bytes).map_err(|error: BlobError| format!("{}: {error}", path.display()).into())
}

/// The policy of a checkpoint as a graph for images of `size`.
fn load_policy(path: &std::path::Path, size: [usize; 2], device: &burn::tensor::Device) -> Result<FloatGraph, Failure> {
    let (dir, meta) = checkpoint::read_meta(path)?;
    meta.expect_network(&dir, &[SCOUT])?;
    if [meta.height, meta.width] != size {
        let (h, w) = (meta.height, meta.width);
        return Err(format!("{}: a policy for images of {h}x{w}, the data has {size:?}", dir.display()).into());
    }
    let agent = checkpoint::load_weights(&dir, ActorCritic::new(size[0], size[1], device))?;
    Ok(agent.policy.graph(size[0], size[1]))
}
