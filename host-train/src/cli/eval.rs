//! `kscout eval`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::Complex32;
use kscout_core::kspace::{Plan, Reconstruction};
use kscout_core::model::Model;

use super::baselines::{BaselineArgs, Ground};
use super::cost::{CostArgs, cost};
use super::export::expect_size;
use super::measuring::MeasuringArgs;
use super::number::Budgets;
use super::shard::{Inputs, ShardArgs, Work};
use super::threads::Threads;
use super::{Failure, number};
use crate::data::measured::MeasuredVolume;
use crate::data::{Dataset, Labels, Split, Volume};
use crate::device::DeviceChoice;
use crate::eval::diagnosis::{DiagnosisTask, evaluate_diagnoses};
use crate::eval::earlier;
use crate::eval::outcome::{Outcome, Scanning, put_together};
use crate::eval::report::{ReportError, Task, pictured, report, summary};
use crate::eval::run::Method;
use crate::export;
use crate::export::inspect::fixed_order;
use crate::inference::diagnose::Diagnoser;
use crate::inference::segment::{CoreSegmenter, DeviceSegmenter, Segment};
use crate::io::fill::fill_folder;
use crate::io::lock::Locks;
use crate::metrics::dice::Occurring;

use crate::net::FixedOrder;
use crate::rl::agent::{Policy, PolicyNetwork, load_any_policy};
use crate::samplers::{Fixed, LineOrder, MethodName, SlicePolicyOrder};
use crate::train::Meta;
use crate::train::checkpoint::read_meta;
use crate::train::classifier::{is_classifier, load_classifier};
use crate::train::segmenter::load_segmenter;

/// Bytes that the k-space of all draws may take.
const MOST_BYTES: usize = 32 << 30;

/// `kscout eval`.
#[derive(Args)]
pub struct EvalArgs {
    /// Exported `.kscout` file: evaluates what a device would compute, in int8.
    #[arg(long, conflicts_with_all = ["reward_model", "line_policy"], required_unless_present = "reward_model")]
    model: Option<PathBuf>,
    /// Checkpoint of a segmenter or classifier: evaluates in f32 instead.
    #[arg(long, alias = "reward", value_name = "DIR")]
    reward_model: Option<PathBuf>,
    /// CSV file with the true labels of the slices, for a classifier.
    #[arg(long, value_name = "FILE.csv", requires = "reward_model")]
    labels: Option<PathBuf>,
    /// Keep only what head K of a U-Net++ needs, 1 to 4.
    #[arg(long, value_name = "K", requires = "reward_model", conflicts_with = "model", value_parser = number::head())]
    prune: Option<usize>,
    /// Checkpoint of a line policy, beside --reward-model.
    #[arg(long, alias = "policy", value_name = "DIR", requires = "reward_model")]
    line_policy: Option<PathBuf>,
    /// Data set folder.
    #[arg(long)]
    data: PathBuf,
    /// Folder for tables and pictures; one that holds results already is refused.
    #[arg(long)]
    out: PathBuf,
    /// Replace the results in --out, or what an interrupted evaluation left there.
    #[arg(long)]
    force: bool,
    /// Lines a slice may measure, separated by commas.
    #[arg(long, default_value = "6,8,12,16,24", value_parser = number::budgets())]
    budgets: Budgets,
    /// Which part of the data set.
    #[arg(long, default_value = "val")]
    split: Split,
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// Measure every volume N times, with phase and noise of seeds SEED, SEED + 1, ...: one draw is too few for differences of
    /// a few thousandths. Tables and intervals are of all draws, panels and acdc/ of the first. The k-space of all is kept in
    /// memory
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::whole::<usize>(1..=100))]
    draws: usize,
    #[command(flatten)]
    baselines: BaselineArgs,
    /// Evaluate only N volumes, spread evenly over the split; by default all.
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>(1..=number::MANY))]
    limit_volumes: Option<usize>,
    /// End a slice policy's scan of a volume early, when no line is expected to raise its mean Dice (or SSIM and Dice, as the
    /// policy was trained) by this much
    #[arg(long, value_name = "DICE", default_value_t = 0.0, requires = "model", value_parser = number::least_gain())]
    least_gain: f32,
    #[command(flatten)]
    cost: CostArgs,
    /// Number of slices to draw panels of.
    #[arg(long, default_value_t = 4, value_parser = number::whole::<usize>(0..=number::MANY))]
    panels: usize,
    /// Where --reward-model computes: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    shard: ShardArgs,
}

impl EvalArgs {
    /// Evaluates.
    pub fn run(self) -> Result<(), Failure> {
        self.threads.set()?;
        let _locks = Locks::of([self.shard.place(&self.out).as_path()])?;
        let data = Dataset::open(&self.data)?;
        if let Some(budget) = self.budgets.iter().find(|&&lines| lines > data.width()) {
            return Err(format!("--budgets: {budget} is not within 1 to {} lines", data.width()).into());
        }
        if data.slices(self.split).is_empty() {
            return Err(format!(
                "{}: no slices in split `{}`; `kscout data info` lists the splits, --split names another",
                self.data.display(),
                self.split
            )
            .into());
        }
        if self.draws > 1 && !self.measuring.protocol.is_random() {
            let (draws, protocol) = (self.draws, self.measuring.protocol);
            let why = format!("the {protocol} protocol has no phase or noise to draw anew");
            return Err(format!("--draws {draws}: {why}; leave --draws out").into());
        }
        let samples = data.slices(self.split).iter().map(|slice| slice.height * slice.width).sum::<usize>();
        let most = MOST_BYTES / (samples * size_of::<Complex32>()).max(1);
        if self.draws > most.max(1) {
            let draws = self.draws;
            return Err(format!("--draws {draws}: their k-space takes over 32 GB; expected 1 to {most}").into());
        }
        self.baselines.check(data.width(), self.most_lines())?;
        if self.shard.work() != Work::Whole {
            self.baselines.expect_separable()?;
        }
        match &self.model {
            Some(path) => {
                data.expect_masks("`kscout eval` of a segmenter")?;
                let file = self.cost.read(path)?;
                println!("{}: {}", path.display(), cost(&file)?);
                let model = file.model()?;
                let graph = model.segmenter().ok_or_else(|| format!("{}: holds no segmenter", path.display()))?;
                let shared = SlicePolicyOrder { model: &model, least_gain: self.least_gain };
                let policy = match (model.slice_policy(), model.policy()) {
                    (Some(_), _) => Some(Method::Order(&shared)),
                    (None, policy) => policy.map(|_| Method::Policy(&model)),
                };
                let fixed = fixed_order(&model).filter(|_| model.slice_policy().is_none());
                let kept = said(fixed.as_ref());
                let (path, reconstruction) = (path.display(), model.reconstruction());
                let title =
                    format!("{path} (int8), {} protocol, {reconstruction} images{kept}", self.measuring.protocol);
                let source = Source { plan: model.plan(), model: Some(&model) };
                self.finish(&data, source, &CoreSegmenter { graph }, policy, &title)
            }
            None => self.in_real_numbers(&data),
        }
    }

    fn in_real_numbers(&self, data: &Dataset) -> Result<(), Failure> {
        // Putting parts together computes nothing.
        let device = if self.shard.work() == Work::Merge { Device::flex() } else { self.device.open()? };
        let size = [data.height(), data.width()];
        let reward = self.reward_model.as_deref().ok_or("give --model or --reward-model")?;
        let reconstruction = read_meta(reward)?.1.reconstruction;
        let plan = Plan::new(reconstruction, size[0], size[1]);
        let policy = self
            .line_policy
            .as_deref()
            .map(|path| self.load_policy(path, size, reconstruction, &device))
            .transpose()?;
        let graph = match &policy {
            Some(Policy::Device(policy)) => Some(policy.graph(size[0], size[1])),
            _ => None,
        };
        let order = match &policy {
            Some(Policy::Fixed(order)) => Some(Fixed { name: MethodName::POLICY, lines: order.lines.clone() }),
            _ => None,
        };
        let kept = said(match &policy {
            Some(Policy::Fixed(order)) => Some(order),
            _ => None,
        });
        let policy = match (&policy, &graph) {
            (Some(Policy::Fixed(_)), _) => order.as_ref().map(|order| Method::Order(order)),
            (Some(Policy::Host(policy)), _) => Some(Method::Chooser(policy.as_ref())),
            (_, graph) => graph.as_ref().map(Method::FloatPolicy),
        };
        if is_classifier(reward)? {
            if self.draws > 1 {
                let why = "--reward-model is a classifier, which is evaluated once";
                return Err(format!("--draws {}: {why}; leave --draws out", self.draws).into());
            }
            if let Some(name) = self.baselines.asks_segmenter() {
                return Err(format!("--baselines {name}: asks a segmenter, and --reward-model is a classifier").into());
            }
            let (diagnoser, meta) = load_classifier(reward, &device)?;
            self.check_reward(reward, &meta, size)?;
            if self.shard.work() != Work::Whole {
                return Err(
                    "--shard: --reward-model is a classifier, whose evaluation is not dealt out; leave --shard out"
                        .into(),
                );
            }
            return self.diagnose(data, plan, &diagnoser, policy, &kept);
        }
        if let Some(labels) = &self.labels {
            let labels = labels.display();
            return Err(
                format!("--labels {labels}: --reward-model is a segmenter, which is scored by the masks").into()
            );
        }
        data.expect_masks("`kscout eval` of a segmenter")?;
        let (network, meta) = load_segmenter(reward, self.prune, &device)?;
        self.check_reward(reward, &meta, size)?;
        // Whoever tries every line asks the int8 segmenter, which takes a hundredth of the time; the real one has the last word.
        let exported = |_| {
            let acquisition = self.measuring.acquisition(reconstruction);
            export::segmenter_in_memory(data, &network.graph(size[0], size[1]), acquisition, self.measuring.seed)
        };
        let blob = self.baselines.asks_segmenter().map(exported).transpose()?;
        let model = blob.as_deref().map(Model::new_checked).transpose()?;
        let pruned = self.prune.map_or(String::new(), |level| format!(", pruned to head {level}"));
        let (path, reconstruction) = (reward.display(), meta.reconstruction);
        let title =
            format!("{path} (f32{pruned}), {} protocol, {reconstruction} images{kept}", self.measuring.protocol);
        let segmenter = DeviceSegmenter { network, size, device };
        self.finish(data, Source { plan, model: model.as_ref() }, &segmenter, policy, &title)
    }

    fn most_lines(&self) -> usize {
        self.budgets.iter().max().copied().unwrap_or_default()
    }

    /// The volumes that are evaluated, in any draw.
    fn volumes<'a>(&self, data: &'a Dataset) -> Vec<Volume<'a>> {
        let volumes = data.volumes(self.split);
        let count = self.limit_volumes.map_or(volumes.len(), |limit| limit.min(volumes.len()));
        (0..count).map(|i| volumes[i * volumes.len() / count].clone()).collect()
    }

    /// What is evaluated, draw after draw: all of it, or what this process does of it.
    fn measure<'a>(&self, data: &'a Dataset, work: Work) -> Vec<MeasuredVolume<'a>> {
        let chosen = self.volumes(data);
        let seeds = (0..self.draws as u64).map(|draw| self.measuring.seed.wrapping_add(draw));
        let all = seeds.flat_map(|seed| chosen.iter().map(move |volume| (volume, seed))).enumerate();
        let here = all.filter(|&(place, _)| work == Work::Merge || work.takes(place));
        here.map(|(_, (volume, seed))| MeasuredVolume::new(volume, &self.measuring.protocol, seed)).collect()
    }

    /// What the policy is compared with.
    fn orders<'a>(
        &self,
        data: &'a Dataset,
        Source { plan, model }: Source<'a>,
        volumes: &'a [MeasuredVolume<'a>],
    ) -> Result<Vec<Box<dyn LineOrder + 'a>>, Failure> {
        let (most, measuring) = (self.most_lines(), self.measuring.into());
        let (occurring, reconstruction) = (self.occurring(data), plan.reconstruction());
        self.baselines.orders(&Ground { data, model, reconstruction, volumes, occurring, most, measuring })
    }

    /// Which structures occur in the truth of what is evaluated, by all processes.
    fn occurring(&self, data: &Dataset) -> Occurring {
        let evaluated = self.volumes(data);
        let slices = evaluated.iter().flat_map(|volume| &volume.slices);
        Occurring::in_labels(slices.flat_map(|slice| &slice.label))
    }

    /// The volumes that pictures are drawn of, by their place among those that are scanned here.
    fn pictured(&self, data: &Dataset, work: Work) -> BTreeSet<usize> {
        let volumes = self.volumes(data).len();
        let pictured = pictured(self.panels, volumes);
        let here = (0..volumes).filter(|&place| work.takes(place)).enumerate();
        here.filter(|(_, place)| pictured.contains(place)).map(|(here, _)| here).collect()
    }

    /// What the results depend on.
    fn inputs(&self, data: &Dataset) -> Result<Inputs, Failure> {
        let inputs = Inputs::default().data(data).file(self.model.as_deref())?;
        let inputs = inputs.checkpoint(self.reward_model.as_deref())?.checkpoint(self.line_policy.as_deref())?;
        inputs.file(self.baselines.mask.as_deref())?.file(self.baselines.positions.as_deref())
    }

    /// Refuses a folder that holds results, unless they are to be replaced: last of all, before the work begins.
    fn expect_room(&self) -> Result<(), Failure> {
        if self.force { Ok(()) } else { Ok(earlier::expect_none(&self.out)?) }
    }

    /// Has `evaluate` write its files, which appear in the folder together. Of an evaluation before, nothing stays: it may have had
    /// other methods, budgets and pictures.
    fn write<T>(&self, evaluate: impl FnOnce(&Path) -> Result<T, Failure>) -> Result<T, Failure> {
        let failed = |error| format!("{}: cannot be written: {error}", self.out.display()).into();
        fill_folder(&self.out, &earlier::MARKS, |out| Ok(earlier::results(out)?), failed, evaluate)
    }

    fn check_reward(&self, path: &Path, meta: &Meta, size: [usize; 2]) -> Result<(), Failure> {
        meta.note_protocol(&self.measuring.protocol.to_string());
        expect_size(path, [meta.height, meta.width], size, &self.data.display().to_string())
    }

    fn diagnose(
        &self,
        data: &Dataset,
        plan: Plan,
        diagnoser: &Diagnoser,
        policy: Option<Method<'_>>,
        kept: &str,
    ) -> Result<(), Failure> {
        let labels =
            self.labels.as_deref().ok_or("--reward-model is a classifier: give the truth with --labels FILE.csv")?;
        let labels = Labels::read(labels)?.only(&diagnoser.labels)?;
        labels.expect_some(data, self.split)?;
        self.expect_room()?;
        let volumes = self.measure(data, Work::Whole);
        let orders = self.orders(data, Source { plan, model: None }, &volumes)?;
        let methods = methods(policy, &orders);
        let budgets = &self.budgets;
        let task = DiagnosisTask { plan, diagnoser, labels: &labels, volumes: &volumes, methods: &methods, budgets };
        let table = self.write(|out| Ok(evaluate_diagnoses(&task, out)?))?;
        println!(
            "ROC-AUC over cases (patients, or slices where labels are by slice) and mean log-probability of the truth, {} \
             protocol, {} images{kept}:",
            self.measuring.protocol,
            plan.reconstruction()
        );
        print!("{}", table.to_text());
        println!("As a file: {}", self.out.join("diagnosis.csv").display());
        Ok(())
    }

    fn load_policy(
        &self,
        path: &Path,
        size: [usize; 2],
        reconstruction: Reconstruction,
        device: &Device,
    ) -> Result<Policy, Failure> {
        let (policy, meta) = load_any_policy(path, device)?;
        meta.expect_reconstruction(path, reconstruction, "the segmenter")?;
        expect_size(path, [meta.height, meta.width], size, &self.data.display().to_string())?;
        let most = self.most_lines();
        let counts_to = match policy {
            Policy::Fixed(_) => usize::MAX,
            _ => meta.network().parse().map_or(usize::MAX, PolicyNetwork::most_lines),
        };
        if most > counts_to {
            let path = path.display();
            return Err(format!("--budgets: {most} lines, but the policy in {path} counts to {counts_to}").into());
        }
        Ok(policy)
    }

    fn finish(
        &self,
        data: &Dataset,
        source: Source<'_>,
        segmenter: &dyn Segment,
        policy: Option<Method<'_>>,
        title: &str,
    ) -> Result<(), Failure> {
        let plan = source.plan;
        expect_size(&self.data, [data.height(), data.width()], [plan.height(), plan.width()], "the model")?;
        let work = self.shard.work();
        self.expect_room()?;
        if self.occurring(data) == Occurring::default() {
            return Err(ReportError::NoStructure.into());
        }
        let volumes = self.measure(data, work);
        let task = Task {
            reconstruction: plan.reconstruction(),
            volumes: &volumes,
            draws: self.draws,
            budgets: &self.budgets,
            panels: self.panels,
            width: data.width(),
            title,
        };
        let outcomes = match work {
            Work::Merge => {
                let parts = self.inputs(data)?.read(&self.out)?;
                put_together(parts).ok_or("these parts are of different methods or budgets")?
            }
            Work::Whole | Work::Part(_) => self.scan(data, source, segmenter, policy, &volumes)?,
        };
        if let Work::Part(shard) = work {
            return self.inputs(data)?.computed_on(&segmenter.device()).write(&self.out, shard, outcomes);
        }
        let results = self.write(|out| Ok(report(&task, &outcomes, out)?))?;
        println!("Mean 3-D Dice of {}, lines a slice ({}):", results.evaluated(), title);
        print!("{}", summary(&results, &self.budgets).to_text());
        if self.least_gain > 0.0 {
            let early = results.entries.iter().filter(|entry| entry.method == MethodName::Policy);
            let measured: Vec<String> = early.map(|entry| format!("{:.2} of {}", entry.lines, entry.budget)).collect();
            println!("Lines that the policy measured, a slice: {}", measured.join(", "));
        }
        results.notes.iter().for_each(|note| println!("note: {note}"));
        println!("Report, tables and pictures: {}", self.out.display());
        Ok(())
    }

    /// Scans the volumes that are here by every method.
    fn scan(
        &self,
        data: &Dataset,
        source: Source<'_>,
        segmenter: &dyn Segment,
        policy: Option<Method<'_>>,
        volumes: &[MeasuredVolume<'_>],
    ) -> Result<Vec<Outcome>, Failure> {
        let orders = self.orders(data, source, volumes)?;
        let (methods, pictured) = (methods(policy, &orders), self.pictured(data, self.shard.work()));
        let (methods, pictured, budgets, width) = (&methods, &pictured, &self.budgets, data.width());
        Ok(Scanning { plan: source.plan, segmenter, volumes, pictured, methods, budgets, width }.outcomes()?)
    }
}

/// How scans are made, and the file whose segmenter baselines ask, where there is one.
#[derive(Clone, Copy)]
struct Source<'a> {
    plan: Plan,
    model: Option<&'a Model<'a>>,
}

/// What a title says of a policy that is a fixed order.
fn said(order: Option<&FixedOrder>) -> String {
    order.map_or(String::new(), |order| format!("; the policy is {order}"))
}

/// The policy, if any, and what it is compared with.
fn methods<'a>(policy: Option<Method<'a>>, orders: &'a [Box<dyn LineOrder + 'a>]) -> Vec<Method<'a>> {
    policy.into_iter().chain(orders.iter().map(|order| Method::Order(order.as_ref()))).collect()
}
