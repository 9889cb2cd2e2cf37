//! ASMR's actor-critic, computed by its own PyTorch code on weights and inputs that anyone can make again from their names,
//! and the way of its weights into a checkpoint.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use kscout::export::cost::parameters;
use kscout::mri::fourier::lines_to_image;
use kscout::net::asmr::{AsmrActorCritic, KspaceClassifier, one_hot_remaining};
use kscout::net::import::{StateDict, Weights, import_asmr, import_classifier};
use kscout::net::resnet::Depth;
use kscout::train::Meta;
use kscout::train::checkpoint::{self, Kind, LinePolicyRecord};
use kscout_core::Complex32;
use kscout_tests::golden::{Npy, golden_dir, parameter, uniform};
use kscout_tests::pytorch_file::safetensors;
use kscout_tests::run;
use serde_json::{Value, json};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");
const SIDE: usize = 64;
/// What stands before the names that weights and inputs are made from.
const SALT: &str = "kscout";

/// What `models.json` says of the actor-critic.
fn golden() -> Value {
    let text = fs::read_to_string(golden_dir().join("models/models.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["models"]["asmr_policy"].clone()
}

fn extents(shape: &Value) -> Vec<usize> {
    shape.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect()
}

/// Names and weights, as they come out of PyTorch.
fn entries(golden: &Value) -> Vec<(String, Weights)> {
    let weights = |(name, shape): (&String, &Value)| {
        let shape = extents(shape);
        (name.clone(), Weights { data: parameter(SALT, name, &shape), shape })
    };
    golden["state_dict"].as_object().unwrap().iter().map(weights).collect()
}

/// Two masked k-spaces as complex images with ASMR's factor of 1/(HW) in the inverse transform: `[2, 2, 64, 64]`.
fn images(device: &Device) -> Tensor<4> {
    let plane = SIDE * SIDE;
    let (re, im) = (uniform(SALT, "input/asmr_re", 2 * plane), uniform(SALT, "input/asmr_im", 2 * plane));
    let mask = uniform(SALT, "input/asmr_mask", SIDE);
    let mut planes = Vec::new();
    for batch in 0..2 {
        let sample = |line: usize, y: usize| {
            let at = batch * plane + y * SIDE + line;
            if mask[line] > 0.0 { Complex32::new(re[at], im[at]) } else { Complex32::ZERO }
        };
        let lines = (0..plane).map(|i| sample(i / SIDE, i % SIDE)).collect();
        let image = lines_to_image(lines, SIDE, SIDE);
        planes.extend(image.iter().map(|v| v.re / SIDE as f32));
        planes.extend(image.iter().map(|v| v.im / SIDE as f32));
    }
    Tensor::from_data(TensorData::new(planes, [2, 2, SIDE, SIDE]), device)
}

fn outputs(network: &AsmrActorCritic, golden: &Value) -> [Vec<f32>; 2] {
    let device = Device::flex();
    let remaining = extents(&golden["input"]["mt"]);
    let (logits, values) = network.forward(images(&device), one_hot_remaining(&remaining, &device));
    [logits.into_data(), values.into_data()].map(|data| data.try_into_vec::<f32>().unwrap())
}

#[test]
fn golden_asmr_policy_gives_the_logits_and_values_of_the_published_networks() {
    let (golden, device) = (golden(), Device::flex());
    let dict = StateDict::new("golden", entries(&golden)).unwrap();
    let (network, size) = import_asmr(&dict, &device).unwrap();
    assert_eq!(size, [SIDE, SIDE]);
    assert_eq!(parameters(&network), golden["params"].as_u64().unwrap() as usize);

    let got = outputs(&network, &golden);
    for (got, file) in got.iter().zip(["asmr_policy_logits.npy", "asmr_policy_value.npy"]) {
        let expected = Npy::read(&golden_dir().join("models").join(file)).f32s();
        assert_eq!(got.len(), expected.len());
        for (i, (a, b)) in got.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() < 2e-4, "{file}, {i}: {a}, published {b}");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("checkpoint");
    let record = LinePolicyRecord { network: "asmr".into(), labels: Vec::new(), standing: None };
    let meta = Meta::imported(Kind::LinePolicy(record), size, "golden".into());
    checkpoint::save(&dir, &network, None, &meta).unwrap();
    let loaded = checkpoint::load_weights(&dir, AsmrActorCritic::new(size, &device)).unwrap();
    assert_eq!(outputs(&loaded, &golden), got, "the same to the bit after a checkpoint");
}

#[test]
fn weights_of_a_policy_that_leaves_lines_out_are_refused() {
    let mut entries = entries(&golden());
    for (name, weights) in &mut entries {
        if name == "pi.logits_net.out_layer.2.weight" {
            *weights = Weights { shape: vec![40, 256], data: vec![0.0; 40 * 256] };
        }
    }
    let error = import_asmr(&StateDict::new("narrow.pth", entries).unwrap(), &Device::flex()).unwrap_err().to_string();
    assert!(error.starts_with("narrow.pth: ") && error.contains("among 40 lines of images with 64 columns"), "{error}");
}

/// The state dict of ASMR's classifier for `labels` labels: one of the golden policy's backbones, renamed.
fn classifier_entries(labels: usize) -> Vec<(String, Weights)> {
    let ours = |name: &str| {
        let rest = name.strip_prefix("v.")?;
        let part = rest.split('.').next()?;
        ["conv_kspace", "backbone"].contains(&part).then(|| format!("model.{rest}"))
    };
    let entries = entries(&golden()).into_iter();
    let backbone = entries.filter_map(|(name, weights)| Some((ours(&name)?, weights)));
    let layer = |i: usize| {
        let entry = |leaf: &str, shape: Vec<usize>| {
            let name = format!("model.label_layers.{i}.{leaf}");
            (name.clone(), Weights { data: parameter(SALT, &name, &shape), shape })
        };
        [entry("weight", vec![2, 512]), entry("bias", vec![2])]
    };
    backbone.chain((0..labels).flat_map(layer)).collect()
}

#[test]
fn the_weights_of_a_classifier_find_their_places() {
    let device = Device::flex();
    let mut entries = classifier_entries(3);
    // A layer that does not look: its logits are its bias, whatever the image.
    let bias = [0.25, -1.5];
    for (name, weights) in &mut entries {
        match name.as_str() {
            "model.label_layers.1.weight" => weights.data.fill(0.0),
            "model.label_layers.1.bias" => weights.data = bias.to_vec(),
            _ => {}
        }
    }
    let dict = StateDict::new("classifier", entries).unwrap();
    let network: KspaceClassifier = import_classifier(Depth::Resnet18, &dict, &device).unwrap();
    assert_eq!(network.label_layers.len(), 3);
    let logits = network.forward(images(&device)).into_data().try_into_vec::<f32>().unwrap();
    let pairs: Vec<&[f32]> = logits.chunks_exact(2).collect();
    for (at, pair) in pairs.iter().enumerate() {
        assert!(pair.iter().all(|logit| logit.is_finite()), "{pairs:?}");
        assert_eq!(*pair == bias, at % 3 == 1, "label {} of image {}: {pair:?}", at % 3, at / 3);
    }
    assert_ne!(pairs[0], pairs[3], "the other labels depend on the image");

    let error = import_classifier(Depth::Resnet50, &dict, &device).unwrap_err().to_string();
    assert!(error.contains("backbone.4.0.conv3.weight"), "{error}");
}

#[test]
fn a_classifier_is_imported_with_the_names_of_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let entries: Vec<_> = classifier_entries(2).into_iter().map(|(name, w)| (name, w.shape, w.data)).collect();
    fs::write(path("knee.safetensors"), safetensors(&entries)).unwrap();
    let args = ["import", "--arch", "resnet18", "--weights", &path("knee.safetensors"), "--out", &path("knee")];
    let with_labels = |labels| run(EXE, args.iter().copied().chain(["--labels", labels]));
    with_labels("acl").refused(&["--labels", "1 names", "2 labels"]);
    run(EXE, ["import", "--arch", "asmr", "--weights", args[4], "--out", args[6]]).refused(&["not weights of `asmr`"]);
    run(EXE, ["import", "--arch", "resnet34", "--weights", args[4], "--out", args[6]])
        .refused(&["resnet34", "resnet18"]);
    assert!(!folder.path().join("knee").exists(), "nothing is left of what was refused");

    let said = with_labels("acl,mtear").succeeded();
    assert!(said.contains("resnet18 for the labels acl, mtear, 11178614 parameters") && said.contains("MIT"), "{said}");
    let meta: Value = serde_json::from_str(&fs::read_to_string(path("knee/checkpoint.json")).unwrap()).unwrap();
    assert_eq!((&meta["network"], &meta["labels"]), (&json!("resnet18"), &json!(["acl", "mtear"])));
}
