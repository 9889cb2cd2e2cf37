//! `kscout import`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use burn::tensor::Device;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use kscout_core::kspace::fft::is_fft_length;

use super::{Failure, number};
use crate::data::CLASSES;
use crate::export::cost::parameters;
use crate::io::lock::Locks;
use crate::net::import::{
    StateDict, Wanted, import_asmr, import_classifier, import_segmenter, wanted_asmr, wanted_classifier,
    wanted_segmenter,
};
use crate::net::resnet::Depth;
use crate::net::{Arch, SegmenterSpec};
use crate::rl::PolicyNetwork;
use crate::shown::shown;
use crate::train::Meta;
use crate::train::checkpoint::{self, ClassifierRecord, Kind, LinePolicyRecord, SegmenterRecord};

/// `kscout import`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout import --arch unext-s --weights model.pth --out runs/unext\n\nTakes state dicts with the original projects' own names, whatever dictionary they lie in and whatever DataParallel,\ntorch.compile, weight averaging or Lightning put before them. Nothing in the file is ever run."
)]
pub struct ImportArgs {
    /// The network: a segmenter, ASMR's policy (asmr) or its classifier (resnet18, resnet50); width, classes and channels
    /// are the weights' own
    #[arg(long, value_name = "NAME", value_parser = Network::parser())]
    arch: Network,
    /// The weights: .pth, .pt or .ckpt as torch.save writes them, or .safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Of several networks in the file, the one behind this key, such as model_ema or state_dict.net; `.` for names with
    /// nothing before them
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Names of a classifier's labels, in the order of its layers, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Vec<String>,
    /// Height and width in pixels of the images it is for: 32, 64, 128, 256 or 512; asmr's are the weights' own
    #[arg(long, default_value_t = 128, value_parser = number::side())]
    size: usize,
    /// The checkpoint to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ImportArgs {
    /// Imports.
    pub fn run(self) -> Result<(), Failure> {
        let Self { arch, weights, key, size, out, labels } = self;
        if !labels.is_empty() && !matches!(arch, Network::Classifier(_)) {
            return Err("--labels: only the classifiers resnet18 and resnet50 have labels".into());
        }
        let _locks = Locks::of([out.as_path()])?;
        if out.exists() {
            return Err(format!("{}: there already; choose another --out, or remove it", out.display()).into());
        }
        let dict = StateDict::read_wanted(&weights, arch.wanted().under(key.as_deref()))?;
        // The name alone: it ends up in exported files, and folders are nobody else's business.
        let origin = format!("imported from {}", weights.file_name().unwrap_or_default().display());
        match arch {
            Network::Segmenter(arch) => segmenter(arch, &dict, [size; 2], origin, &out)?,
            Network::Asmr => policy(&dict, origin, &out)?,
            Network::Classifier(depth) => classifier(depth, &dict, [size; 2], labels, origin, &out)?,
        }
        for (names, what) in [(dict.left_out(), "as no weights"), (dict.beside(), "beside the network")] {
            if let Some(first) = names.first() {
                let (count, entries) = (names.len(), if names.len() == 1 { "entry" } else { "entries" });
                println!("left out {what}: {count} {entries}, such as {}", shown(first));
            }
        }
        println!("licence: {}", arch.licence());
        Ok(())
    }
}

fn segmenter(arch: Arch, dict: &StateDict, size: [usize; 2], origin: String, out: &Path) -> Result<(), Failure> {
    let (network, spec) = import_segmenter(arch, dict, &Device::flex())?;
    checkpoint::save(out, &network, None, &Meta::imported(Kind::Segmenter(SegmenterRecord::new(spec)), size, origin))?;
    let SegmenterSpec { width, classes, channels, .. } = spec;
    println!(
        "{}: {arch}, width {width}, {classes} classes, {channels} image channels, {} parameters",
        out.display(),
        parameters(&network)
    );
    if classes != CLASSES {
        println!(
            "note: kscout's data sets have {CLASSES} classes; `kscout net` runs this network, training and evaluation do not"
        );
    }
    Ok(())
}

fn policy(dict: &StateDict, origin: String, out: &Path) -> Result<(), Failure> {
    let (network, [height, width]) = import_asmr(dict, &Device::flex())?;
    let (network_name, labels) = (PolicyNetwork::Asmr.name().into(), Vec::new());
    let record = LinePolicyRecord { network: network_name, labels, standing: None };
    let meta = Meta::imported(Kind::LinePolicy(record), [height, width], origin);
    checkpoint::save(out, &network, None, &meta)?;
    let (out, parameters) = (out.display(), parameters(&network));
    println!("{out}: policy asmr for images of {height}x{width}, {parameters} parameters");
    if ![height, width].iter().all(|&side| is_fft_length(side) && side >= 32) {
        println!("note: kscout's data sets have images with sides of 32, 64, 128, 256 or 512; none fits this policy");
    }
    Ok(())
}

fn classifier(
    depth: Depth,
    dict: &StateDict,
    size: [usize; 2],
    labels: Vec<String>,
    origin: String,
    out: &Path,
) -> Result<(), Failure> {
    let network = import_classifier(depth, dict, &Device::flex())?;
    let (needed, given) = (network.label_layers.len(), labels.len());
    let distinct = labels.iter().filter(|label| !label.is_empty()).collect::<std::collections::BTreeSet<_>>();
    if distinct.len() != given {
        return Err(format!("--labels {}: each label needs a name of its own", labels.join(",")).into());
    }
    if needed != given {
        return Err(format!("--labels: {given} names, but the weights have {needed} labels; name each").into());
    }
    let known = labels.join(", ");
    let kind = Kind::Classifier(ClassifierRecord { network: depth, labels });
    checkpoint::save(out, &network, None, &Meta::imported(kind, size, origin))?;
    println!("{}: {depth} for the labels {known}, {} parameters", out.display(), parameters(&network));
    Ok(())
}

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    Segmenter(Arch),
    Asmr,
    Classifier(Depth),
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == PolicyNetwork::Asmr.name() {
            return Ok(Self::Asmr);
        }
        if let Ok(depth) = text.parse() {
            return Ok(Self::Classifier(depth));
        }
        text.parse().map(Self::Segmenter).map_err(|error| format!("{error}, asmr, resnet18 or resnet50"))
    }
}

impl Network {
    fn parser() -> impl TypedValueParser<Value = Self> {
        let names = Arch::ALL.map(Arch::name).into_iter().chain(Depth::ALL.map(Depth::name));
        let names: Vec<&str> = names.chain([PolicyNetwork::Asmr.name()]).collect();
        PossibleValuesParser::new(names).try_map(|name| name.parse())
    }

    fn wanted(self) -> Wanted<'static> {
        match self {
            Self::Segmenter(arch) => wanted_segmenter(arch),
            Self::Asmr => wanted_asmr(),
            Self::Classifier(_) => wanted_classifier(),
        }
    }

    fn licence(self) -> &'static str {
        match self {
            Self::Segmenter(arch) => arch.description().licence,
            Self::Asmr | Self::Classifier(_) => "ASMR is under the MIT licence; keep its notice with its weights",
        }
    }
}
