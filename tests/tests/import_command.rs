//! `kscout import` and `kscout net`: weights from PyTorch in every wrapping, and files that are not weights.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use kscout::net::Arch;
use kscout::net::import::{StateDict, import_segmenter};
use kscout_tests::golden::Npy;
use kscout_tests::pytorch_file::{Storage, Value, bare, legacy, safetensors, zipped};
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A folder of its own, and the UNeXt-S that PyTorch wrote.
struct Sandbox {
    tmp: tempfile::TempDir,
}

type Entry = (String, Vec<usize>, Vec<f32>);

impl Sandbox {
    fn new() -> Self {
        Self { tmp: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn import(&self, arch: &str, weights: &Path) -> Ran {
        let (weights, out) = (weights.display().to_string(), self.path("out").display().to_string());
        run(EXE, ["import", "--arch", arch, "--weights", &weights, "--out", &out])
    }

    /// An import that must fail, say `words` and the file's name, and leave nothing behind.
    #[track_caller]
    fn refuses(&self, arch: &str, weights: &Path, words: &[&str]) {
        let before = self.listing();
        let name = weights.file_name().unwrap().to_string_lossy().into_owned();
        self.import(arch, weights).refused(&[&[name.as_str()], words].concat());
        assert_eq!(self.listing(), before, "a refused import left something behind");
    }

    fn listing(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.tmp.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    }

    /// Images of 32x64, `channels` of them in each of two, as an `.npy` file.
    fn images(&self, channels: usize, height: usize) -> PathBuf {
        let data: Vec<f32> = (0..2 * channels * height * 64).map(|i| (i as f32 * 0.37).sin()).collect();
        self.file("in.npy", &Npy::file(&[2, channels, height, 64], &data))
    }

    /// `kscout net forward` on `images`, to `out.npy`.
    fn forward(&self, network: &[&str], images: &Path) -> Ran {
        let (images, out) = (images.display().to_string(), self.path("out.npy").display().to_string());
        run(EXE, [&["net", "forward"], network, &["--input", &images, "--output", &out]].concat())
    }
}

/// In the repository, whatever `KSCOUT_GOLDEN` says.
fn unext_s() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models/unext_s.pth")
}

fn entries(dict: &StateDict) -> Vec<Entry> {
    let entry = |name: &str| {
        let weights = dict.get(name).unwrap();
        (name.to_owned(), weights.shape.clone(), weights.data.clone())
    };
    dict.names().map(entry).collect()
}

/// A state dict as PyTorch pickles it, every name behind `prefix`.
fn pickled(entries: &[Entry], prefix: &str, storage: Storage) -> Vec<(String, Value)> {
    let value = |(name, shape, data): &Entry| {
        let tensor = Value::Tensor { storage, shape: shape.clone(), data: data.clone() };
        (format!("{prefix}{name}"), tensor)
    };
    entries.iter().map(value).collect()
}

/// The names and values of the weights in `bytes`, as a file of that name.
fn read(sandbox: &Sandbox, name: &str, bytes: &[u8]) -> Vec<Entry> {
    entries(&StateDict::read(&sandbox.file(name, bytes)).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn weights_are_the_same_in_every_container_and_wrapping() {
    let sandbox = Sandbox::new();
    let original = entries(&StateDict::read(&unext_s()).unwrap());
    let plain = |prefix: &str| pickled(&original, prefix, Storage::Float);
    let optimizer = || ("optimizer", Value::dict([("exp_avg", tensor(&[1.0]))]));
    let wrapped = |key: &str, prefix: &str| Value::dict([(key, Value::Dict(plain(prefix))), optimizer()]);
    let mask_values = ("mask_values".into(), Value::List(vec![Value::Int(0), Value::Int(1)]));
    let mut counted = plain("");
    counted.push(mask_values);
    let batches = Value::Tensor { storage: Storage::Long, shape: vec![], data: vec![7.0] };
    counted.push(("ebn1.num_batches_tracked".into(), batches));
    for (what, bytes) in [
        ("plain", zipped(&Value::Dict(plain("")))),
        ("before PyTorch 1.6", legacy(&Value::Dict(plain("")))),
        ("DataParallel", zipped(&Value::Dict(plain("module.")))),
        ("wrapped", zipped(&wrapped("state_dict", ""))),
        ("wrapped, DataParallel", legacy(&wrapped("model_state_dict", "module."))),
        ("wrapped as model, compiled", zipped(&wrapped("model", "_orig_mod."))),
        ("mask_values, batches counted", zipped(&Value::Dict(counted))),
    ] {
        assert!(read(&sandbox, "a.pth", &bytes) == original, "{what}");
    }
    assert!(read(&sandbox, "a.safetensors", &safetensors(&original)) == original, "safetensors");
}

fn tensor(data: &[f32]) -> Value {
    Value::Tensor { storage: Storage::Float, shape: vec![data.len()], data: data.to_vec() }
}

#[test]
fn every_floating_point_type_becomes_f32() {
    let sandbox = Sandbox::new();
    let entry: Entry = ("a.weight".into(), vec![2, 3], vec![1.0, -0.5, 0.0, 1.5, -96.0, 0.25]);
    for storage in [Storage::Float, Storage::Double, Storage::Half, Storage::BFloat16] {
        let bytes = zipped(&Value::Dict(pickled(std::slice::from_ref(&entry), "", storage)));
        assert_eq!(read(&sandbox, "a.pt", &bytes), std::slice::from_ref(&entry));
    }
    let long = Value::Dict(pickled(std::slice::from_ref(&entry), "", Storage::Long));
    sandbox.refuses("unet", &sandbox.file("long.pt", &zipped(&long)), &["no weights in it"]);
}

#[test]
fn an_imported_checkpoint_computes_what_the_weights_do() {
    let sandbox = Sandbox::new();
    let said = sandbox.import("unext-s", &unext_s()).succeeded();
    for word in ["unext-s, width 8, 4 classes, 3 image channels, 253588 parameters", "licence: ", "MIT"] {
        assert!(said.contains(word), "{said}");
    }
    let (model, weights) = (sandbox.path("out").display().to_string(), unext_s().display().to_string());
    let images = sandbox.images(3, 32);
    let said = sandbox.forward(&["--arch", "unext-s", "--weights", &weights], &images).succeeded();
    assert!(said.contains("[2, 4, 32, 64], float32"), "{said}");
    let by_weights = fs::read(sandbox.path("out.npy")).unwrap();
    sandbox.forward(&["--model", &model], &images).succeeded();
    assert_eq!(fs::read(sandbox.path("out.npy")).unwrap(), by_weights);

    sandbox.import("unext-s", &unext_s()).refused(&["out", "there already"]);
    sandbox.forward(&["--arch", "unet", "--model", &model], &images).refused(&["unext-s", "--arch says `unet`"]);
}

/// A U-Net++ of width 2 for 1 channel and 3 classes, of numbers made from their place.
fn small_unetpp() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut layer = |name: String, out_in: [usize; 2], kernel: usize, out: usize| {
        let count = out_in[0] * out_in[1] * kernel * kernel;
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 300.0 - 0.15;
        entries.push((format!("{name}.weight"), [out_in, [kernel, kernel]].concat(), (0..count).map(value).collect()));
        entries.push((format!("{name}.bias"), vec![out], (0..out).map(value).collect()));
    };
    for i in 0..=4usize {
        for j in 0..=4 - i {
            let (width, above) = (2 << i, if i == 0 { 1 } else { 1 << i });
            let from = if j == 0 { above } else { (j + 1) * width };
            layer(format!("x{i}_{j}.conv1"), [width, from], 3, width);
            layer(format!("x{i}_{j}.conv2"), [width, width], 3, width);
            if j > 0 {
                layer(format!("up{i}_{j}"), [2 * width, width], 2, width);
            }
        }
    }
    (1..=4).for_each(|j| layer(format!("head{j}"), [3, 2], 1, 3));
    entries
}

#[test]
fn the_heads_of_unetpp_are_stacked_first() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("pp.safetensors", &safetensors(&small_unetpp()));
    let weights = file.display().to_string();
    let images = sandbox.images(1, 32);
    let said = sandbox.forward(&["--arch", "unetpp", "--weights", &weights], &images).succeeded();
    assert!(said.contains("[4, 2, 3, 32, 64]"), "{said}");

    let device = Device::flex();
    let (network, _) = import_segmenter(Arch::UnetPp, &StateDict::read(&file).unwrap(), &device).unwrap();
    let values = |path: &Path| Npy::read(path).f32s();
    let images = Tensor::<4>::from_data(TensorData::new(values(&images), [2, 1, 32, 64]), &device);
    let heads = network.heads(images).into_iter().flat_map(|head| head.into_data().try_into_vec::<f32>().unwrap());
    let (written, expected) = (values(&sandbox.path("out.npy")), heads.collect::<Vec<_>>());
    assert_eq!(written.len(), expected.len());
    let difference = written.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-6, "{difference}");
    let spread = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    assert!(spread > 0.01, "the heads must say something: {spread}");
}

#[test]
fn a_network_for_other_classes_is_imported_and_runs_and_does_not_go_further() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("pp.safetensors", &safetensors(&small_unetpp()));
    let said = sandbox.import("unetpp", &file).succeeded();
    assert!(said.contains("width 2, 3 classes") && said.contains("data sets have 4 classes"), "{said}");
    assert!(said.contains("non-commercial"), "{said}");
    let (model, blob) = (sandbox.path("out").display().to_string(), sandbox.path("a.kscout").display().to_string());
    sandbox.forward(&["--model", &model], &sandbox.images(1, 32)).succeeded();
    let export = run(EXE, ["export", "--segmenter", &model, "--data", "nowhere", "--out", &blob]);
    export.refused(&["out", "tells 3 classes apart", "needs 4"]);
}

#[test]
fn images_that_the_network_cannot_take_leave_no_output() {
    let sandbox = Sandbox::new();
    let weights = unext_s().display().to_string();
    let network = ["--arch", "unext-s", "--weights", &weights];
    sandbox.forward(&network, &sandbox.images(2, 32)).refused(&["in.npy", "images of 2 channels", "takes 1 or 3"]);
    sandbox.forward(&network, &sandbox.images(1, 40)).refused(&["in.npy", "40x64", "multiples of 32"]);
    sandbox.forward(&network, &sandbox.file("in.npy", b"no array")).refused(&["in.npy", "not an .npy file"]);
    sandbox.forward(&["--model", "nowhere"], &sandbox.images(1, 32)).refused(&["nowhere", "no checkpoint here"]);
    assert!(!sandbox.path("out.npy").exists());
}

#[test]
fn weights_of_another_network_name_the_one_that_fits() {
    let sandbox = Sandbox::new();
    for arch in ["unet", "unet-bilinear", "unetpp", "unext"] {
        sandbox.refuses(arch, &unext_s(), &[&format!("not weights of `{arch}`"), "Give --arch unext-s"]);
    }
    let strange = zipped(&Value::dict([("layer1.0.conv1.weight", tensor(&[1.0, 2.0]))]));
    let strange = sandbox.file("strange.pth", &strange);
    sandbox.refuses("unet", &strange, &["`inc.double_conv.0.weight` is not there", "layer1.0.conv1.weight"]);
    sandbox.import("resnet", &unext_s()).refused(&["resnet", "unet-bilinear"]);
}

#[test]
fn all_names_and_shapes_that_differ_are_listed_at_once() {
    let sandbox = Sandbox::new();
    let mut entries = entries(&StateDict::read(&unext_s()).unwrap());
    entries.retain(|(name, ..)| name != "norm3.bias");
    entries.push(("extra.weight".into(), vec![1], vec![0.0]));
    let wrong = entries.iter_mut().find(|(name, ..)| name == "dbn1.weight").unwrap();
    (wrong.1, wrong.2) = (vec![3], vec![0.0; 3]);
    let file = sandbox.file("near.safetensors", &safetensors(&entries));
    let words = ["1 missing: norm3.bias", "1 left over: extra.weight", "dbn1.weight is [3], should be [64]"];
    sandbox.refuses("unext-s", &file, &words);
}

#[test]
fn files_that_are_not_whole_or_not_weights_are_named() {
    let sandbox = Sandbox::new();
    let whole = fs::read(unext_s()).unwrap();
    let again = "copy or download it again";
    sandbox.refuses("unext-s", &sandbox.file("cut.pth", &whole[..whole.len() / 2]), &["cut short", again]);
    sandbox.refuses("unext-s", &sandbox.file("empty.pth", b""), &["an empty file", again]);
    let page = sandbox.file("page.pth", b"\n<!DOCTYPE html><html><title>404</title>");
    sandbox.refuses("unext-s", &page, &["a web page", "download the file itself"]);
    sandbox.refuses("unext-s", &sandbox.file("weights.npz", &whole), &[".safetensors", "rename it"]);
    sandbox.refuses("unext-s", &sandbox.file("a.safetensors", &whole), &["holds a PyTorch file", "ends in .pth"]);
    sandbox.refuses("unext-s", &sandbox.path("nowhere.pth"), &["No such file"]);

    let entries = entries(&StateDict::read(&unext_s()).unwrap());
    let bytes = safetensors(&entries);
    sandbox.refuses("unext-s", &sandbox.file("b.pth", &bytes), &["holds safetensors", "ends in .safetensors"]);
    let cut = sandbox.file("cut.safetensors", &bytes[..bytes.len() - 4]);
    sandbox.refuses("unext-s", &cut, &["cut short or damaged", again]);
    let old = legacy(&Value::Dict(pickled(&entries, "", Storage::Float)));
    sandbox.refuses("unext-s", &sandbox.file("old.pth", &old[..old.len() - 4]), &["cut short or damaged", again]);
}

#[test]
fn a_value_that_is_no_number_is_refused() {
    let sandbox = Sandbox::new();
    let file = zipped(&Value::dict([("inc.weight", tensor(&[1.0, f32::NAN]))]));
    sandbox.refuses("unet", &sandbox.file("nan.pth", &file), &["`inc.weight` holds NaN"]);
}

#[test]
fn a_file_cut_short_anywhere_is_an_error_and_never_a_panic() {
    let sandbox = Sandbox::new();
    let value = || Value::dict([("a.weight", tensor(&[1.0, 2.0])), ("b.weight", tensor(&[3.0]))]);
    let entry = |name: &str, data: &[f32]| (name.to_owned(), vec![data.len()], data.to_vec());
    let stored = [entry("a.weight", &[1.0, 2.0]), entry("b.weight", &[3.0])];
    let files = [("a.pth", zipped(&value())), ("a.pt", legacy(&value())), ("a.safetensors", safetensors(&stored))];
    for (name, bytes) in files {
        assert_eq!(read(&sandbox, name, &bytes), stored);
        for length in 0..bytes.len() {
            let file = sandbox.file(name, &bytes[..length]);
            assert!(StateDict::read(&file).is_err(), "{name}: {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused_by_name() {
    let sandbox = Sandbox::new();
    let value = || Value::dict([("a.weight", tensor(&[1.0, 2.0])), ("b.weight", tensor(&[3.0]))]);
    let entry = ("a.weight".to_owned(), vec![1], vec![2.0]);
    let files = [("a.pth", zipped(&value())), ("a.pt", legacy(&value())), ("a.safetensors", safetensors(&[entry]))];
    for (name, bytes) in files {
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                if let Err(error) = StateDict::read(&sandbox.file(name, &changed)) {
                    assert!(error.to_string().contains(name), "byte {at} of {name}: {error}");
                }
            }
        }
    }
}

/// Opcodes that, run by Python, make a file of the name `marker`.
fn attack(marker: &Path) -> Vec<u8> {
    format!("cos\nsystem\n(S'touch {}'\ntR", marker.display()).into_bytes()
}

#[test]
fn a_pickle_with_code_in_it_is_refused_by_name_and_not_run() {
    let sandbox = Sandbox::new();
    let marker = sandbox.path("marker");
    let entries = entries(&StateDict::read(&unext_s()).unwrap());
    let weights = || pickled(&entries, "", Storage::Float);
    let as_entry = || {
        let mut entries = weights();
        entries.push(("extra".into(), Value::Opcodes(attack(&marker))));
        Value::Dict(entries)
    };
    // The call's result is dropped, and what is left on the stack is a state dict like any other.
    let dropped = || {
        let dict = bare(&Value::dict([("a", Value::Int(1))]));
        Value::Opcodes([attack(&marker), b"0".to_vec(), dict[2..dict.len() - 1].to_vec()].concat())
    };
    let words = ["`os.system`", "code and not weights", "has run nothing of it"];
    for (name, bytes) in [
        ("zip.pth", zipped(&as_entry())),
        ("legacy.pth", legacy(&as_entry())),
        ("bare.pth", bare(&Value::Opcodes(attack(&marker)))),
        ("text.pth", [attack(&marker), b".".to_vec()].concat()),
        ("dropped.pth", bare(&dropped())),
        ("dropped-zip.pth", zipped(&dropped())),
    ] {
        sandbox.refuses("unext-s", &sandbox.file(name, &bytes), &words);
        assert!(!marker.exists(), "{name} was run");
    }
}

#[test]
fn a_whole_pickled_model_says_how_to_save_its_weights() {
    let sandbox = Sandbox::new();
    let model =
        Value::Opcodes(b"c__main__\nUNet\n)\x81}X\x04\x00\x00\x00convctorch.nn.modules.conv\nConv2d\n)\x81sb".to_vec());
    let words = ["a whole pickled model", "`__main__.UNet`", "model.state_dict()"];
    sandbox.refuses("unet", &sandbox.file("model.pth", &zipped(&model)), &words);
}

#[test]
fn info_lists_the_published_networks() {
    for (arch, parameters) in [
        ("unet", 31_036_676),
        ("unet-bilinear", 17_262_020),
        ("unetpp", 9_041_568 + 4 * 132),
        ("unext", 1_471_972),
        ("unext-s", 253_588),
    ] {
        let text = run(EXE, ["net", "info", "--arch", arch, "--size", "64", "--json"]).succeeded();
        let info: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(info["cost"]["parameters"], parameters, "{arch}");
        let layers = info["cost"]["layers"].as_array().unwrap();
        let of_layers: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
        assert_eq!(of_layers, parameters, "{arch}");
        assert_eq!(layers[0]["output"].as_array().unwrap()[..2], [64, 64], "{arch}");
        let (int8, f32) = (&info["cost"]["arena_int8_bytes"], &info["cost"]["peak_f32_bytes"]);
        assert!(int8.as_u64().unwrap() < f32.as_u64().unwrap(), "{arch}: {int8} {f32}");
    }
}

#[test]
fn info_as_text_has_a_row_a_layer_and_the_totals() {
    let args = ["net", "info", "--arch", "unetpp", "--size", "32", "--width", "4", "--prune", "2"];
    let text = run(EXE, args).succeeded();
    for word in ["unetpp, pruned to head 2: width 4", "x0_2.conv1", "up0_1", "head2", "transposed 2x2", "in int8"] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    assert!(!text.contains("x3_0"), "{text}");
    run(EXE, ["net", "info", "--arch", "unet", "--prune", "2"]).refused(&["only unetpp can be pruned"]);
    run(EXE, ["net", "info", "--arch", "unet", "--size", "100"]).refused(&["--size 100", "64"]);
}
