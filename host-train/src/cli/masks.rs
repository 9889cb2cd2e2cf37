//! `kscout masks`.

use std::path::PathBuf;

use clap::Args;

use super::baselines::{BaselineArgs, BaselineList, Ground};
use super::cost::CostArgs;
use super::export::expect_size;
use super::number::Budgets;
use super::threads::Threads;
use super::{Failure, expect_no_input, number};
use crate::data::{Dataset, Split};
use crate::eval::run::{Method, scan_slices};
use crate::io::lock::Locks;
use crate::measure::MeasuredVolume;
use crate::mri::Protocol;
use crate::orders::SlicePolicyOrder;
use crate::progress;
use crate::train::GivenMasks;

/// `kscout masks`.
#[derive(Args)]
#[command(
    after_help = "Example: a segmenter tuned to what a policy measures\n  kscout masks --model heart.kscout --data data/acdc128 --out runs/masks.csv\n  kscout train reward --init runs/reward --masks runs/masks.csv --config configs/tune.toml \\\n      --data data/acdc128 --out runs/tuned"
)]
pub struct MasksArgs {
    /// Exported file whose policy or slice policy chooses the lines
    #[arg(long, value_name = "FILE.kscout")]
    model: PathBuf,
    /// Data set whose training slices are scanned
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Lines a slice, or a slice on average where slices share a budget, separated by commas
    #[arg(long, default_value = "6,8,12,16", value_parser = number::budgets())]
    budgets: Budgets,
    /// How slices are measured: `scanner` (phase and noise) or `igs` (magnitude only)
    #[arg(long, default_value = "scanner")]
    protocol: Protocol,
    /// Seed of phase, noise and random patterns
    #[arg(long, default_value_t = 1, value_parser = number::seed())]
    seed: u64,
    /// Scan with the baseline that --baselines names, exactly one, instead of the model's policy
    #[arg(long)]
    by_baseline: bool,
    #[command(flatten)]
    cost: CostArgs,
    #[command(flatten)]
    baselines: BaselineArgs,
    #[command(flatten)]
    threads: Threads,
}

impl MasksArgs {
    /// Scans every training slice.
    pub fn run(self) -> Result<(), Failure> {
        self.threads.set()?;
        let inputs = [Some(&self.model), self.baselines.mask.as_ref(), self.baselines.positions.as_ref()];
        let inputs: Vec<_> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        expect_no_input("--out", &self.out, &inputs)?;
        let _locks = Locks::of([self.out.as_path()])?;
        let data = Dataset::open(&self.data)?;
        let most = self.budgets.iter().max().copied().unwrap_or_default();
        if let Some(budget) = self.budgets.iter().find(|&&budget| budget > data.width()) {
            return Err(format!("--budgets: {budget} is not within 1 to {} lines", data.width()).into());
        }
        if self.by_baseline && self.baselines.baselines.0.len() != 1 {
            return Err("--by-baseline: name one baseline with --baselines".into());
        }
        let names_one = self.baselines.mask.is_some() || self.baselines.positions.is_some();
        if !self.by_baseline && (names_one || self.baselines.baselines != BaselineList::default()) {
            return Err(
                "--baselines, --mask and --positions: only with --by-baseline; without it the file's policy chooses"
                    .into(),
            );
        }
        let file = self.cost.read(&self.model)?;
        let model = file.model()?;
        let size = [data.height(), data.width()];
        expect_size(&self.data, size, [model.height(), model.width()], "the model")?;
        self.baselines.check(data.width(), most)?;
        let training = data.volumes(Split::Train);
        let volumes: Vec<_> =
            training.iter().map(|volume| MeasuredVolume::new(volume, &self.protocol, self.seed)).collect();
        let shared = SlicePolicyOrder { model: &model, least_gain: 0.0 };
        let orders = if self.by_baseline {
            let (protocol, seed) = (self.protocol, self.seed);
            self.baselines.orders(&Ground { data: &data, model: &model, volumes: &volumes, most, protocol, seed })?
        } else {
            Vec::new()
        };
        let method = match (orders.first(), model.slice_policy(), model.policy()) {
            (Some(order), ..) => Method::Order(order.as_ref()),
            (None, Some(_), _) => Method::Order(&shared),
            (None, None, Some(_)) => Method::Policy,
            (None, None, None) => {
                let file = self.model.display();
                return Err(format!("{file}: holds no policy; --by-baseline scans with a baseline").into());
            }
        };
        let bar = progress::bar(self.budgets.len() as u64, 0, "budgets");
        let mut rows = Vec::new();
        for &budget in &self.budgets {
            let scans = scan_slices(&model, &volumes, method, budget)?;
            let slices = volumes.iter().flat_map(|volume| &volume.slices).map(|measured| measured.slice.id.clone());
            rows.extend(slices.zip(scans.into_iter().flatten().map(|scan| scan.lines)));
            bar.inc(1);
        }
        bar.finish_and_clear();
        GivenMasks::write(&self.out, &rows)?;
        println!("{}: {} masks of {}", self.out.display(), rows.len(), method.name());
        Ok(())
    }
}
