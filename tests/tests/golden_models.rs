//! The published networks, computed by their own PyTorch code on weights that anyone can make again from their names.
//!
//! The weights come in the way a user's do, as a state dict.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kscout::export::cost::parameters;
use kscout::net::import::{StateDict, Weights, import_segmenter};
use kscout::net::{Arch, Segmenter, SegmenterSpec};
use kscout::train::Meta;
use kscout::train::checkpoint::{self, Kind, SegmenterRecord};
use kscout::train::segmenter::load_segmenter;
use kscout_tests::golden::{Npy, golden_dir, parameter, uniform};
use serde_json::Value;

/// Largest difference of a logit.
const TOLERANCE: f32 = 2e-4;

fn shape(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|extent| extent.as_u64().unwrap() as usize).collect()
}

/// What `models.json` says of a network.
struct Golden {
    salt: String,
    name: &'static str,
    model: Value,
}

impl Golden {
    fn of(name: &'static str) -> Self {
        let text = fs::read_to_string(golden_dir().join("models/models.json")).unwrap();
        let mut golden: Value = serde_json::from_str(&text).unwrap();
        Self { salt: golden["salt"].as_str().unwrap().into(), name, model: golden["models"][name].take() }
    }

    fn state_dict(&self) -> StateDict {
        let shapes = self.model["state_dict"].as_object().unwrap().iter();
        let weights = |(name, extents): (&String, &Value)| {
            let shape = shape(extents);
            (name.clone(), Weights { data: parameter(&self.salt, name, &shape), shape })
        };
        StateDict::new(self.name, shapes.map(weights)).unwrap()
    }

    fn input(&self) -> Tensor<4> {
        let shape: [usize; 4] = shape(&self.model["input"]).try_into().unwrap();
        let data = uniform(&self.salt, &format!("input/{}", self.name), shape.iter().product());
        Tensor::from_data(TensorData::new(data, shape), &Device::flex())
    }

    fn output(&self) -> Vec<f32> {
        Npy::read(&golden_dir().join(format!("models/{}_out.npy", self.name))).f32s()
    }

    #[track_caller]
    fn expect_output(&self, network: &Segmenter) {
        let (logits, expected) = (logits(network, self.input()), self.output());
        assert_eq!(logits.len(), expected.len());
        for (i, (a, b)) in logits.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() < TOLERANCE, "{}, logit {i}: {a}, published {b}", self.name);
        }
    }
}

/// The logits of every head, the shallowest first.
fn logits(network: &Segmenter, input: Tensor<4>) -> Vec<f32> {
    let values = |head: Tensor<4>| head.into_data().try_into_vec::<f32>().unwrap();
    network.heads(input).into_iter().flat_map(values).collect()
}

/// Writes a checkpoint, reads it back and removes it: what was loaded must not need the file any more.
fn saved_and_loaded(network: &Segmenter, spec: SegmenterSpec) -> Segmenter {
    let meta = Meta::imported(Kind::Segmenter(SegmenterRecord::new(spec)), [64, 64], "golden".into());
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("checkpoint");
    checkpoint::save(&dir, network, None, &meta).unwrap();
    load_segmenter(&dir, None, &Device::flex()).unwrap().0
}

/// The published logits from the state dict, the published number of parameters, and the same logits to the bit after a
/// checkpoint has been written and read.
#[track_caller]
fn expect_published(name: &'static str, arch: Arch) {
    let golden = Golden::of(name);
    let (network, spec) = import_segmenter(arch, &golden.state_dict(), &Device::flex()).unwrap();
    assert_eq!(spec, SegmenterSpec::published(arch, 4));
    assert_eq!(parameters(&network), golden.model["params"].as_u64().unwrap() as usize);
    golden.expect_output(&network);
    let loaded = saved_and_loaded(&network, spec);
    assert_eq!(logits(&loaded, golden.input()), logits(&network, golden.input()));
}

#[test]
fn unet_gives_the_logits_of_the_published_network() {
    expect_published("unet", Arch::Unet);
}

#[test]
fn unet_bilinear_gives_the_logits_of_the_published_network() {
    expect_published("unet_bilinear", Arch::UnetBilinear);
}

#[test]
fn unetpp_gives_the_logits_of_its_four_heads() {
    expect_published("unetpp", Arch::UnetPp);
}

#[test]
fn unext_gives_the_logits_of_the_published_network() {
    expect_published("unext", Arch::Unext);
}

#[test]
fn unext_s_gives_the_logits_of_the_published_network() {
    expect_published("unext_s", Arch::UnextS);
}

/// What the exporter quantises: operators with batch norms folded in, on an image of one channel, cut down to one head.
#[track_caller]
fn expect_published_graph(name: &'static str, arch: Arch, level: usize) {
    let golden = Golden::of(name);
    let (network, _) = import_segmenter(arch, &golden.state_dict(), &Device::flex()).unwrap();
    let [.., height, width] = golden.input().dims();
    let image = golden.input().into_data().try_into_vec::<f32>().unwrap();
    let got = network.pruned(level).graph(height, width).run(&[&image]).pop().unwrap();
    let (plane, heads) = (height * width, golden.output());
    let classes = got.len() / plane;
    let expected = &heads[(level - 1) * got.len()..level * got.len()];
    for (i, expected) in expected.iter().enumerate() {
        let got = got[i % plane * classes + i / plane];
        assert!((got - expected).abs() < TOLERANCE, "{name}, head {level}, logit {i}: {got}, published {expected}");
    }
}

#[test]
fn the_exported_operators_give_the_published_logits() {
    expect_published_graph("unet", Arch::Unet, 1);
    expect_published_graph("unet_bilinear", Arch::UnetBilinear, 1);
}

#[test]
fn the_exported_operators_of_each_level_give_the_published_logits_of_its_head() {
    (1..=4).for_each(|level| expect_published_graph("unetpp", Arch::UnetPp, level));
}

/// A file that PyTorch wrote gives the logits that its weights by name give.
fn expect_published_file(path: &Path, name: &'static str, arch: Arch) {
    let golden = Golden::of(name);
    let dict = StateDict::read(path).unwrap();
    let made = golden.state_dict();
    for name in made.names() {
        let (read, made) = (dict.get(name).unwrap(), made.get(name).unwrap());
        assert_eq!(read.shape, made.shape, "{name}");
        let difference = read.data.iter().zip(&made.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-6, "{name}: {difference}");
    }
    golden.expect_output(&import_segmenter(arch, &dict, &Device::flex()).unwrap().0);
}

#[test]
fn a_checkpoint_that_pytorch_wrote_gives_the_published_logits() {
    expect_published_file(&golden_dir().join("models/unext_s.pth"), "unext_s", Arch::UnextS);
}

/// The larger file is not in the repository.
#[test]
fn a_larger_checkpoint_gives_the_published_logits_where_it_is_there() {
    let path = golden_dir().join("models/unext.pth");
    if path.is_file() {
        expect_published_file(&path, "unext", Arch::Unext);
    } else {
        eprintln!("{} is not there (KSCOUT_GOLDEN names a folder that has it): not compared", path.display());
    }
}
