//! `kscout export`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use kscout_core::kernels::Layout;
use kscout_core::kspace::fft::is_fft_length;
use kscout_core::model::{GraphKind, Model};
use kscout_core::volume::line_order;

use super::measuring::MeasuringArgs;
use super::{Failure, expect_no_input, number};
use crate::data::{CLASSES, Dataset, Split};
use crate::eval::table::{Align, Table};
use crate::export::blob_writer::{GraphSpec, write_graphs};
use crate::export::inspect::{Contents, inspect};
use crate::export::observe::CALIBRATION;
use crate::export::{self, BlobFile, HeaderSpec, Origin, Rounding, observe, onnx, quantised, quantised_slice_policy};
use crate::io::lock::Locks;
use crate::io::whole::write_atomically;

use crate::net::SlicePolicy;
use crate::rl::agent::load_policy;
use crate::rl::volume::{load_slice_policy, views_of};
use crate::train::Meta;
use crate::train::checkpoint::{ActingPolicy, WeightsHash};
use crate::train::segmenter::load_segmenter;
use crate::volume::trajectories::follow;
use crate::volume::trajectory::Course;

/// Training volumes that a slice policy is calibrated on, at most.
const CALIBRATION_VOLUMES: usize = 24;

/// `kscout export`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  kscout export --segmenter runs/segmenter/best --line-policy runs/policy/best --data data/acdc128 \\\n      --out heart.kscout\n  kscout export --from heart.kscout --onnx heart.onnx\n\nThen `kscout verify` says what int8 costs, `kscout inspect` what the file needs of a device, `kscout scan` runs a scan."
)]
pub struct ExportArgs {
    /// Checkpoint of the segmenter: the folder that `kscout train segmenter` wrote, or its `best` or `last`
    #[arg(long, alias = "reward", value_name = "DIR", required_unless_present = "from", conflicts_with = "from")]
    segmenter: Option<PathBuf>,
    /// Keep only what head K of a U-Net++ needs, 1 to 4: smaller and faster
    #[arg(long, value_name = "K", conflicts_with = "from", value_parser = number::head())]
    prune: Option<usize>,
    /// Checkpoint of a line policy, from `kscout train line-policy`; without any policy the file holds the segmenter alone
    #[arg(long, alias = "policy", value_name = "DIR", conflicts_with = "from")]
    line_policy: Option<PathBuf>,
    /// Checkpoint of a slice policy, from `kscout train slice-policy`
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    slice_policy: Option<PathBuf>,
    /// Data set whose training slices the int8 ranges are calibrated on
    #[arg(long, value_name = "DIR", required_unless_present = "from", conflicts_with = "from")]
    data: Option<PathBuf>,
    /// How many training slices to calibrate on, each at a random step of a scan
    #[arg(
        long,
        value_name = "SLICES",
        default_value_t = CALIBRATION,
        conflicts_with = "from",
        value_parser = number::whole::<usize>(1..=10_000)
    )]
    calibration: usize,
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// Lay weights out for the fastest kernels of a target: `portable`, `cortex-m4` (also M7 and M33), `cortex-m55`, `x86-64` or
    /// `aarch64`. Every core runs every file, with the same result; on its own target a file made for it is faster
    #[arg(long, default_value_t = Layout::Portable, conflicts_with = "from")]
    target: Layout,
    /// The file to write
    #[arg(long, value_name = "FILE.kscout", required_unless_present = "onnx", conflicts_with = "from")]
    out: Option<PathBuf>,
    /// Write the segmenter as an ONNX file too: the same int8 network in QDQ form, for other runtimes
    #[arg(long, value_name = "FILE.onnx")]
    onnx: Option<PathBuf>,
    /// How many times the ONNX file rounds when it requantises: `twice`, as the core does, or `once`, as other runtimes do in
    /// int8: faster, but further from the core's results
    #[arg(long, value_name = "TIMES", default_value = "twice", requires = "onnx")]
    onnx_rounding: Rounding,
    /// A file that was exported before, to write as ONNX
    #[arg(long, value_name = "FILE.kscout", requires = "onnx", conflicts_with_all = ["protocol", "seed"])]
    from: Option<PathBuf>,
}

impl ExportArgs {
    /// Exports.
    pub fn run(self) -> Result<(), Failure> {
        if let (Some(from), Some(out)) = (&self.from, &self.onnx) {
            expect_no_input("--onnx", out, &[from])?;
        }
        let _locks = Locks::of([&self.out, &self.onnx].into_iter().flatten().map(PathBuf::as_path))?;
        let bytes = match (&self.from, &self.segmenter, &self.data) {
            (Some(file), ..) => BlobFile::read(file)?.into_bytes(),
            (None, Some(segmenter), Some(data)) => self.pack(segmenter, data)?,
            _ => return Err("--segmenter and --data are needed, or --from".into()),
        };
        let model = Model::new_checked(&bytes)?;
        // Before anything is written, so that an error leaves nothing half done.
        let onnx = self.onnx.as_ref().map(|path| {
            let whose = self.from.as_ref().unwrap_or(path).display();
            let bytes = onnx(&model, self.onnx_rounding).map_err(|error| format!("{whose}: {error}"))?;
            Ok::<_, Failure>((path, bytes))
        });
        let onnx = onnx.transpose()?;
        if let Some(path) = &self.out {
            print!("{}", summary(&inspect(&model)));
            write(path, &bytes)?;
        }
        onnx.map_or(Ok(()), |(path, bytes)| write(path, &bytes))
    }

    /// The bytes of a blob from checkpoints.
    fn pack(&self, dir: &Path, data_dir: &Path) -> Result<Vec<u8>, Failure> {
        let device = Device::flex();
        let (segmenter, reward) = load_segmenter(dir, self.prune, &device)?;
        let policy = self.line_policy.as_deref().map(|dir| load_policy(dir, &device)).transpose()?;
        let slices = self.slice_policy.as_deref().map(|dir| Ok::<_, Failure>((dir, load_slice_policy(dir, &device)?)));
        let slices = slices.transpose()?;
        check_size(dir, &reward)?;
        reward.note_protocol(&self.measuring.protocol.to_string());
        let size = [reward.height, reward.width];
        if let (Some((_, meta)), Some(dir)) = (&policy, &self.line_policy) {
            expect_size(dir, [meta.height, meta.width], size, "the segmenter")?;
            meta.expect_reconstruction(dir, reward.reconstruction, "the segmenter")?;
            meta.expect_axes(dir, reward.axis_codes, "the segmenter")?;
        }
        if let Some((dir, (_, meta))) = &slices {
            expect_size(dir, [meta.height, meta.width], size, "the segmenter")?;
            meta.expect_reconstruction(dir, reward.reconstruction, "the segmenter")?;
            meta.expect_axes(dir, reward.axis_codes, "the segmenter")?;
        }
        let data = Dataset::open(data_dir)?;
        expect_size(data_dir, [data.height(), data.width()], size, "the segmenter")?;
        let acquisition = self.measuring.acquisition(reward.reconstruction);
        let observations = observe(&data.slices(Split::Train), self.calibration, acquisition, self.measuring.seed);
        let header = HeaderSpec {
            height: reward.height,
            width: reward.width,
            classes: CLASSES,
            layout: self.target,
            reconstruction: reward.reconstruction,
            origin: origin(&reward, policy.as_ref().map(|(_, meta)| meta), slices.as_ref().map(|(_, (_, meta))| meta)),
            provenance: provenance(&reward, self.prune, policy.as_ref().map(|(_, meta)| meta), observations.len()),
        };
        let segmenter = segmenter.graph(reward.height, reward.width);
        let policy = policy.map(|(policy, _)| policy.graph(reward.height, reward.width));
        let segmenter = quantised(GraphKind::Segmenter, &segmenter, &observations)?;
        let policy = policy.map(|policy| quantised(GraphKind::Policy, &policy, &observations)).transpose()?;
        let slices = slices.map(|(dir, (policy, meta))| {
            let order = meta.slice_policy(dir)?.line_order.clone();
            Ok::<_, Failure>((self.slice_policy(&policy, &meta, &order, &segmenter, &data, &device)?, order))
        });
        let (slices, order) = slices.transpose()?.unzip();
        let graphs = [
            (GraphKind::Segmenter, Some(&segmenter)),
            (GraphKind::Policy, policy.as_ref()),
            (GraphKind::SlicePolicy, slices.as_ref()),
        ];
        let graphs: Vec<_> = graphs.into_iter().filter_map(|(kind, graph)| Some((kind, graph?))).collect();
        Ok(write_graphs(&header, &graphs, &order.unwrap_or_default())?)
    }

    /// The slice policy in int8, calibrated on what it sees of training volumes.
    fn slice_policy(
        &self,
        policy: &SlicePolicy,
        meta: &Meta,
        order: &[u16],
        segmenter: &GraphSpec,
        data: &Dataset,
        device: &Device,
    ) -> Result<GraphSpec, Failure> {
        let header = export::header(data, meta.reconstruction);
        let blob = write_graphs(&header, &[(GraphKind::Segmenter, segmenter)], order)?;
        let model = Model::new_checked(&blob)?;
        let mut volumes = data.volumes(Split::Train);
        let step = volumes.len().div_ceil(CALIBRATION_VOLUMES).max(1);
        volumes = volumes.into_iter().step_by(step).collect();
        let volumes: Vec<_> = volumes.iter().map(|volume| self.measuring.measured(volume)).collect();
        let views = views_of(
            policy,
            &follow(&model, &volumes, Course::dice(&line_order(&model).collect::<Vec<u16>>()))?,
            device,
        );
        Ok(quantised_slice_policy(policy, &views)?)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_atomically(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
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

/// Which data and weights the networks come from, as programs compare it.
fn origin(reward: &Meta, policy: Option<&Meta>, slices: Option<&Meta>) -> Origin {
    let hash = |meta: Option<&Meta>| meta.and_then(|meta| meta.weights_hash).map_or(0, WeightsHash::get);
    Origin { axes: reward.axis_codes, weights: [Some(reward), policy, slices].map(hash) }
}

/// Where the networks come from, in one line.
fn provenance(reward: &Meta, prune: Option<usize>, policy: Option<&Meta>, slices: usize) -> String {
    let network = |meta: &Meta, prune: Option<usize>| {
        let pruned = prune.map_or(String::new(), |level| format!(" pruned to head {level}"));
        // The score is that of the whole network.
        let score = meta.score.filter(|_| prune.is_none());
        let score = score.map_or(String::new(), |score| format!(", validation Dice {score:.4}"));
        // Of a policy what the run keeps, which is not always the network.
        if let Some(standing) = meta.standing().filter(|standing| standing.acting == ActingPolicy::FixedOrder) {
            return standing.to_string();
        }
        match meta.step {
            0 => format!("{}{pruned} {}", meta.network(), meta.data),
            steps => format!("{}{pruned} trained on {} for {steps} steps{score}", meta.network(), meta.data),
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
