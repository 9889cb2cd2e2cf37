//! `kscout masks`.

use std::path::PathBuf;

use clap::Args;
use kscout_core::model::Model;
use serde::{Deserialize, Serialize};

use super::baselines::{BaselineArgs, BaselineList, Ground};
use super::cost::CostArgs;
use super::export::expect_size;
use super::measuring::MeasuringArgs;
use super::number::Budgets;
use super::shard::{Inputs, ShardArgs, Work};
use super::threads::Threads;
use super::{Failure, expect_no_input, number};
use crate::data::measured::MeasuredVolume;
use crate::data::{Dataset, Split, Volume};
use crate::eval::run::{Method, scan_slices};
use crate::io::lock::Locks;
use crate::metrics::dice::Occurring;
use crate::progress;
use crate::samplers::{LineOrder, MethodName, SlicePolicyOrder};
use crate::shard::interleaved;
use crate::train::RecordedMasks;

/// `kscout masks`.
#[derive(Args)]
#[command(
    after_help = "Example: a segmenter tuned to what a policy measures\n  kscout masks --model heart.kscout --data data/acdc128 --out runs/masks.csv\n  kscout train segmenter --init runs/segmenter --masks runs/masks.csv --config configs/tune.toml \\\n      --data data/acdc128 --out runs/tuned"
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
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// Scan with the baseline that --baselines names, exactly one, instead of the model's policy
    #[arg(long)]
    by_baseline: bool,
    #[command(flatten)]
    cost: CostArgs,
    #[command(flatten)]
    baselines: BaselineArgs,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    shard: ShardArgs,
}

impl MasksArgs {
    /// Scans every training slice.
    pub fn run(self) -> Result<(), Failure> {
        self.threads.set()?;
        let inputs = [Some(&self.model), self.baselines.mask.as_ref(), self.baselines.positions.as_ref()];
        let inputs: Vec<_> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        expect_no_input("--out", &self.out, &inputs)?;
        let _locks = Locks::of([self.shard.place(&self.out).as_path()])?;
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
        let (work, inputs) = (self.shard.work(), self.inputs(&data)?);
        if work == Work::Merge {
            return self.write(&training, interleaved(inputs.read(&self.out)?));
        }
        let here = training.iter().enumerate().filter(|&(place, _)| work.takes(place));
        let volumes: Vec<_> = here.map(|(_, volume)| self.measuring.measured(volume)).collect();
        let shared = SlicePolicyOrder { model: &model, least_gain: 0.0 };
        let orders = if self.by_baseline {
            if work != Work::Whole {
                self.baselines.expect_separable()?;
            }
            let measuring = self.measuring.into();
            let labels = training.iter().flat_map(|volume| &volume.slices).flat_map(|slice| &slice.label);
            let (volumes, occurring) = (&volumes, Occurring::in_labels(labels));
            let (reconstruction, model) = (model.reconstruction(), Some(&model));
            let data = &data;
            self.baselines.orders(&Ground { data, model, reconstruction, volumes, occurring, most, measuring })?
        } else {
            Vec::new()
        };
        let method = self.method(&model, orders.first().map(AsRef::as_ref), &shared)?;
        let followed = self.follow(&model, &volumes, method)?;
        match work {
            Work::Part(shard) => inputs.write(&self.out, shard, followed),
            Work::Whole | Work::Merge => self.write(&training, followed),
        }
    }

    /// What chooses the lines.
    fn method<'a>(
        &self,
        model: &'a Model<'a>,
        order: Option<&'a (dyn LineOrder + 'a)>,
        shared: &'a SlicePolicyOrder<'a>,
    ) -> Result<Method<'a>, Failure> {
        match (order, model.slice_policy(), model.policy()) {
            (Some(order), ..) => Ok(Method::Order(order)),
            (None, Some(_), _) => Ok(Method::Order(shared)),
            (None, None, Some(_)) => Ok(Method::Policy(model)),
            (None, None, None) => {
                let file = self.model.display();
                Err(format!("{file}: holds no policy; --by-baseline scans with a baseline").into())
            }
        }
    }

    /// The lines that `method` measures of each volume.
    fn follow(
        &self,
        model: &Model<'_>,
        volumes: &[MeasuredVolume<'_>],
        method: Method<'_>,
    ) -> Result<Vec<Followed>, Failure> {
        let bar = progress::bar(self.budgets.len() as u64, 0, "budgets");
        let mut followed: Vec<Followed> =
            volumes.iter().map(|_| Followed { method: method.name(), lines: Vec::new() }).collect();
        for &budget in &self.budgets {
            let scans = scan_slices(model.plan(), volumes, method, budget)?;
            for (volume, scans) in followed.iter_mut().zip(scans) {
                volume.lines.push(scans.into_iter().map(|scan| scan.lines).collect());
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(followed)
    }

    /// Writes the masks of all volumes, budget after budget.
    fn write(&self, training: &[Volume<'_>], followed: Vec<Followed>) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for budget in 0..self.budgets.len() {
            for (volume, followed) in training.iter().zip(&followed) {
                let slices = volume.slices.iter().map(|slice| slice.id.clone());
                rows.extend(slices.zip(followed.lines.get(budget).into_iter().flatten().cloned()));
            }
        }
        let expected = training.iter().map(|volume| volume.slices.len()).sum::<usize>() * self.budgets.len();
        if rows.len() != expected {
            return Err(format!(
                "the parts hold {} masks; expected {expected}, one of each slice and budget",
                rows.len()
            )
            .into());
        }
        RecordedMasks::write(&self.out, &rows)?;
        let method = followed.first().map_or("nothing", |followed| followed.method.as_str());
        println!("{}: {} masks of {method}", self.out.display(), rows.len());
        Ok(())
    }

    /// What the masks depend on.
    fn inputs(&self, data: &Dataset) -> Result<Inputs, Failure> {
        let inputs = Inputs::default().data(data).file(Some(&self.model))?;
        inputs.file(self.baselines.mask.as_deref())?.file(self.baselines.positions.as_deref())
    }
}

/// What a method measures of a volume.
#[derive(Serialize, Deserialize)]
struct Followed {
    method: MethodName,
    /// For each budget, for each slice: its lines, in the order measured.
    lines: Vec<Vec<Vec<u16>>>,
}
