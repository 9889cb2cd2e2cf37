//! `kscout import`: weights as people save them, in every wrapping; and files that are no weights, or bad ones.

use std::fs;
use std::path::{Path, PathBuf};

use kscout::net::Arch;
use kscout::net::import::{ImportError, StateDict, Weights, import_segmenter, wanted_segmenter};
use kscout_tests::golden::{Npy, uniform};
use kscout_tests::pytorch_file::{Storage, Value, bare, legacy, safetensors, zip, zipped, zipped_in};
use kscout_tests::small_unet::{Entry, unet};
use kscout_tests::{Ran, run};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The U-Net's weights in `bytes`, as a file of that name.
    fn read(&self, name: &str, bytes: &[u8]) -> Result<StateDict, ImportError> {
        self.read_key(name, bytes, None)
    }

    fn read_key(&self, name: &str, bytes: &[u8], key: Option<&str>) -> Result<StateDict, ImportError> {
        StateDict::read_wanted(&self.file(name, bytes), wanted_segmenter(Arch::Unet).under(key))
    }

    fn import(&self, weights: &Path, more: &[&str]) -> Ran {
        let (weights, out) = (weights.display().to_string(), self.path("out").display().to_string());
        run(EXE, [&["import", "--arch", "unet", "--weights", &weights, "--out", &out], more].concat())
    }
}

fn tensor(data: &[f32]) -> Value {
    Value::Tensor { storage: Storage::Float, shape: vec![data.len()], data: data.to_vec() }
}

fn number(value: f32) -> Value {
    Value::Tensor { storage: Storage::Long, shape: vec![], data: vec![value] }
}

/// A state dict, its names changed by `rename`, with what batch norms count beside the weights.
fn dict(entries: &[Entry], rename: impl Fn(&str) -> String) -> Vec<(String, Value)> {
    let mut dict = Vec::new();
    for (name, shape, data) in entries {
        let value = Value::Tensor { storage: Storage::Float, shape: shape.clone(), data: data.clone() };
        dict.push((rename(name), value));
        if let Some(norm) = name.strip_suffix("running_var") {
            dict.push((rename(&format!("{norm}num_batches_tracked")), number(7.0)));
        }
    }
    dict
}

fn behind(prefix: &str) -> impl Fn(&str) -> String {
    let prefix = prefix.to_owned();
    move |name| format!("{prefix}{name}")
}

/// `inc.double_conv` as `inc._orig_mod.double_conv`, and so for every block.
fn wrapped_blocks(wrapper: &str) -> impl Fn(&str) -> String {
    let wrapper = wrapper.to_owned();
    move |name| name.replacen('.', &format!(".{wrapper}."), 1)
}

fn with(mut dict: Vec<(String, Value)>, more: Vec<(&str, Value)>) -> Value {
    dict.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Dict(dict)
}

fn plain(prefix: &str) -> Value {
    Value::Dict(dict(&unet(), behind(prefix)))
}

fn optimizer() -> Value {
    let state = Value::dict([("0", Value::dict([("step", number(3.0)), ("exp_avg", tensor(&[1.0, f32::NAN]))]))]);
    Value::dict([("state", state)])
}

fn entries(dict: &StateDict) -> Vec<Entry> {
    let entry = |name: &str| {
        let Weights { shape, data } = dict.get(name).unwrap();
        (name.to_owned(), shape.clone(), data.clone())
    };
    dict.names().map(entry).collect()
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

#[test]
fn archives_are_read_whatever_the_folder_inside_is_called() {
    let sandbox = Sandbox::new();
    let value = || Value::dict([("a.weight", tensor(&[1.0, 2.0])), ("b.weight", tensor(&[3.0]))]);
    // Folders called as the files are that tell other archives apart, too.
    let others = ["code", "data", "constants", "MAR-INF", "archive_format", "config.json", "metadata.json", "a.npy"];
    for stem in (1..=64).map(|length| "x".repeat(length)).chain(others.map(str::to_owned)) {
        let read = StateDict::read(&sandbox.file("a.pth", &zipped_in(&stem, &value())));
        let names = read.map(|dict| dict.names().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(names.unwrap_or_else(|error| panic!("{stem}: {error}")), ["a.weight", "b.weight"]);
    }
}

#[test]
fn scripts_are_told_apart_whatever_the_folder_inside_is_called() {
    let sandbox = Sandbox::new();
    for stem in ["m", "code", "data", "constants"] {
        for more in ["code/__torch__/m.py", "constants.pkl"] {
            let names = [format!("{stem}/data.pkl"), format!("{stem}/{more}"), format!("{stem}/version")];
            let file = sandbox.file("m.pt", &zip(&names.map(|name| (name, b"x".to_vec()))));
            sandbox.import(&file, &[]).refused(&["m.pt", "a TorchScript archive", "torch.jit.load"]);
        }
    }
    let served = ["MAR-INF/MANIFEST.json", "model.pt"].map(|name| (name.to_owned(), b"x".to_vec()));
    sandbox.import(&sandbox.file("m.pt", &zip(&served)), &[]).refused(&["a TorchServe archive"]);
}

#[test]
fn a_list_or_tuple_of_values_says_how_to_take_the_weights_out() {
    let sandbox = Sandbox::new();
    let list = Value::List(vec![plain(""), optimizer()]);
    for (name, bytes) in [("list.pth", zipped(&list)), ("list-old.pth", legacy(&list))] {
        sandbox.import(&sandbox.file(name, &bytes), &[]).refused(&[name, "a list of several values", "[0]"]);
    }
    let tuple = Value::Opcodes(b"}}\x86".to_vec());
    sandbox.import(&sandbox.file("tuple.pth", &zipped(&tuple)), &[]).refused(&["a tuple of several values", "[0]"]);
    sandbox.import(&sandbox.file("one.pth", &zipped(&tensor(&[1.0]))), &[]).refused(&["a single tensor"]);
}

/// A module as PyTorch pickles it: its class, and what it is made of.
fn module(
    module: &'static str,
    name: &'static str,
    parameters: Vec<(&str, Value)>,
    parts: Vec<(&str, Value)>,
) -> Value {
    let [parameters, parts] = [parameters, parts].map(Value::dict);
    let tables = [("_parameters", parameters), ("_buffers", Value::Dict(Vec::new())), ("_modules", parts)];
    Value::Object(module, name, Box::new(Value::dict(tables)))
}

/// The beginning of a U-Net that is pickled whole.
fn pickled_unet() -> Value {
    let (_, shape, data) = unet().into_iter().find(|(name, ..)| name == "inc.double_conv.0.weight").unwrap();
    let weight = Value::Tensor { storage: Storage::Float, shape, data };
    let conv = module("torch.nn.modules.conv", "Conv2d", vec![("weight", weight)], vec![]);
    let block = module("torch.nn.modules.container", "Sequential", vec![], vec![("0", conv)]);
    let inc = module("unet.parts", "DoubleConv", vec![], vec![("double_conv", block)]);
    module("unet.model", "UNet", vec![], vec![("inc", inc)])
}

#[test]
fn what_scripts_save_beside_the_weights_is_passed_over() {
    let sandbox = Sandbox::new();
    let original = sorted(unet());
    let opcodes = |opcodes: &[u8]| Value::Opcodes(opcodes.to_vec());
    let beside = [
        ("a loss", module("torch.nn.modules.loss", "CrossEntropyLoss", vec![("weight", tensor(&[1.0]))], vec![])),
        ("the network as it began", pickled_unet()),
        (
            "a configuration",
            Value::Object("omegaconf.dictconfig", "DictConfig", Box::new(Value::dict([("a", Value::Int(1))]))),
        ),
        ("an object of a script", Value::Object("__main__", "Config", Box::new(Value::dict([("a", Value::Int(1))])))),
        ("a class", opcodes(b"ctorch.optim.adam\nAdam\n")),
        ("a function of layers", opcodes(b"ctorch.nn.functional\nrelu\n")),
        ("an empty queue", opcodes(b"ccollections\ndeque\n)R")),
        ("a time zone", opcodes(b"cdatetime\ntimezone\n(cdatetime\ntimedelta\n(K\0K\0K\0tRtR")),
        ("a range", opcodes(b"cbuiltins\nrange\n(K\0K\x05K\x01tR")),
        ("an empty dictionary with defaults", opcodes(b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R")),
        ("a range of Python 2", opcodes(b"c__builtin__\nxrange\n(K\0K\x05K\x01tR")),
        ("a slice", opcodes(b"cbuiltins\nslice\n(K\0K\x05NtR")),
        ("a complex number", opcodes(b"cbuiltins\ncomplex\n(K\x01K\x02tR")),
        ("bytes", opcodes(b"cbuiltins\nbytearray\n)R")),
    ];
    for (what, value) in beside {
        let value = Value::dict([("state_dict", plain("net.")), ("hyper_parameters", Value::dict([("it", value)]))]);
        for (name, bytes) in [("a.ckpt", zipped(&value)), ("old.ckpt", legacy(&value))] {
            let read = sandbox.read(name, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(entries(&read) == original, "{what}");
        }
    }
}

/// A `defaultdict` of these entries, as Python pickles it: class, factory, call, entries.
fn defaultdict(factory: &[u8], entries: Vec<(String, Value)>) -> Value {
    let call = [b"ccollections\ndefaultdict\n", factory, b"R"].concat();
    Value::Filled(call, entries)
}

#[test]
fn dictionaries_with_defaults_are_read_as_dictionaries() {
    let sandbox = Sandbox::new();
    let original = sorted(unet());
    let scratch = || {
        let entries = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let own = format!("kscout-{}-", std::process::id());
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count()
    };
    for factory in [&b")"[..], b"c__builtin__\nlist\n\x85", b"cbuiltins\nfloat\n\x85", b"cmodels\nDefault\n\x85"] {
        let weights = || defaultdict(factory, dict(&unet(), behind("net.")));
        let counts = defaultdict(factory, vec![("epoch".into(), Value::Int(3))]);
        for (what, value) in [
            ("the weights", weights()),
            ("weights under a key", Value::dict([("state_dict", weights()), ("counts", counts)])),
            ("all", defaultdict(factory, vec![("model".into(), weights()), ("optimizer".into(), optimizer())])),
        ] {
            for (name, bytes) in [("a.ckpt", zipped(&value)), ("old.ckpt", legacy(&value))] {
                let what = format!("{what} by {}, {name}", factory.escape_ascii());
                let read = sandbox.read(name, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(entries(&read) == original, "{what}");
            }
        }
    }
    assert_eq!(scratch(), 0, "copies are gone");
}

#[test]
fn what_cannot_be_passed_over_beside_the_weights_is_told_as_what_it_is() {
    let sandbox = Sandbox::new();
    let model = || {
        module("unet.model", "UNet", vec![], vec![("inc", module("torch.nn.modules.conv", "Conv2d", vec![], vec![]))])
    };
    let value = Value::dict([("epoch", Value::Int(1)), ("model", model())]);
    sandbox
        .import(&sandbox.file("a.pth", &zipped(&value)), &[])
        .refused(&["a whole pickled model", "`unet.model.UNet`"]);
    for (opcodes, words) in [
        (&b"ccollections\ndeque\n)R(K\x01K\x02e"[..], ["`collections.deque`", "model.state_dict()"]),
        (b"ceasydict\nEasyDict\n)\x81(K\x01K\x02u", ["`easydict.EasyDict`", "model.state_dict()"]),
        (b"cos\nsystem\n", ["`os.system`", "code and not weights"]),
        (b"csubprocess\nPopen\n", ["`subprocess.Popen`", "code and not weights"]),
        (b"cbuiltins\neval\n", ["`builtins.eval`", "code and not weights"]),
        (b"c__main__\nrun\n", ["`__main__.run`", "code and not weights"]),
    ] {
        let value = Value::dict([("state_dict", plain("net.")), ("log", Value::Opcodes(opcodes.to_vec()))]);
        for (name, bytes) in [("a.ckpt", zipped(&value)), ("old.ckpt", legacy(&value))] {
            sandbox.import(&sandbox.file(name, &bytes), &[]).refused(&[name, words[0], words[1]]);
        }
    }
}

#[test]
fn averages_of_the_parameters_alone_are_marked_and_refused_as_such() {
    let sandbox = Sandbox::new();
    let parameters: Vec<Entry> = unet().into_iter().filter(|(name, ..)| !name.contains("running_")).collect();
    let shadow = Value::Dict(dict(&parameters, behind("")));
    let file = sandbox.file("ema.pth", &zipped(&Value::dict([("model", plain("")), ("shadow", shadow)])));
    let words = ["2 networks", "`model`, `shadow` (without running averages)", "such as --key model"];
    sandbox.import(&file, &[]).refused(&words);
    let words = ["inc.double_conv.1.running_mean", "parameters without the batch norms' running averages"];
    sandbox.import(&file, &["--key", "shadow"]).refused(&words);
    sandbox.import(&file, &["--key", "model"]).succeeded();
}

#[test]
fn a_network_is_found_in_whatever_it_is_wrapped() {
    let sandbox = Sandbox::new();
    let original = sorted(unet());
    let under =
        |key: &str, value: Value| Value::dict([("epoch", Value::Int(3)), (key, value), ("optimizer", optimizer())]);
    let lightning = |prefix: &str| {
        let loss = vec![("criterion.pos_weight", tensor(&[1.0, 2.0])), ("val_metrics.total", tensor(&[0.5]))];
        let state = with(dict(&unet(), behind(prefix)), loss);
        Value::dict([
            ("state_dict", state),
            ("optimizer_states", Value::List(vec![optimizer()])),
            ("epoch", Value::Int(1)),
        ])
    };
    let averaged = |prefix: &str| with(dict(&unet(), behind(prefix)), vec![("n_averaged", number(5.0))]);
    let files = [
        ("averaged", averaged("module.")),
        ("averaged, parallel, compiled", averaged("module._orig_mod.module.")),
        ("under a key of its own", under("unet", plain(""))),
        ("state_dict in model", under("model", Value::dict([("state_dict", plain("module."))]))),
        ("averaged under a key", under("ema", averaged("module."))),
        ("a prefix of its own", plain("backbone.segmenter.")),
        ("Lightning", lightning("net.")),
        ("Lightning, the module is the network", lightning("")),
        ("Lightning, compiled", lightning("model._orig_mod.")),
        ("compiled by region", Value::Dict(dict(&unet(), wrapped_blocks("_orig_mod")))),
        ("checkpointed activations", Value::Dict(dict(&unet(), wrapped_blocks("_checkpoint_wrapped_module")))),
        (
            "FSDP",
            Value::Dict(dict(&unet(), |name| {
                format!("_fsdp_wrapped_module.{}", wrapped_blocks("_fsdp_wrapped_module")(name))
            })),
        ),
        ("blocks for several devices", Value::Dict(dict(&unet(), wrapped_blocks("module")))),
    ];
    for (what, value) in &files {
        for (name, bytes) in [("a.pth", zipped(value)), ("a.ckpt", legacy(value)), ("a.pth.tar", zipped(value))] {
            let read = sandbox.read(name, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(entries(&read) == original, "{what}");
        }
    }
    for prefix in ["", "model.", "state_dict.module._orig_mod.", "model_ema.module."] {
        let mut stored: Vec<Entry> =
            unet().into_iter().map(|(name, shape, data)| (format!("{prefix}{name}"), shape, data)).collect();
        stored.push(("criterion.pos_weight".into(), vec![1], vec![2.0]));
        let read =
            sandbox.read("a.safetensors", &safetensors(&stored)).unwrap_or_else(|error| panic!("{prefix}: {error}"));
        assert!(entries(&read) == original, "safetensors behind `{prefix}`");
        assert_eq!(read.beside(), ["criterion.pos_weight"]);
    }
}

/// The published UNeXt-S, its weights as PyTorch saved them, in the wrappings of other files: from the file to the logits that
/// PyTorch gave.
#[test]
fn weights_in_any_wrapping_give_the_logits_of_pytorch() {
    let sandbox = Sandbox::new();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/models");
    let described: serde_json::Value = serde_json::from_slice(&fs::read(models.join("models.json")).unwrap()).unwrap();
    let image = uniform(described["salt"].as_str().unwrap(), "input/unext_s", 3 * 64 * 64);
    let [input, output] = [sandbox.file("in.npy", &Npy::file(&[1, 3, 64, 64], &image)), sandbox.path("out.npy")];
    let expected = Npy::read(&models.join("unext_s_out.npy")).f32s();
    let weights = entries(&StateDict::read(&models.join("unext_s.pth")).unwrap());
    let plain = |prefix: &str| dict(&weights, behind(prefix));
    let loss = vec![("criterion.pos_weight", tensor(&[1.0, 2.0]))];
    for (what, file) in [
        ("a folder of 21 characters", zipped_in("checkpoint_best_model", &Value::Dict(plain("")))),
        ("averaged", zipped(&with(plain("module."), vec![("n_averaged", number(5.0))]))),
        ("under a key of its own", zipped(&Value::dict([("unext", Value::Dict(plain("")))]))),
        ("compiled by region", zipped(&Value::Dict(dict(&weights, wrapped_blocks("_orig_mod"))))),
        ("Lightning with a loss", zipped(&Value::dict([("state_dict", with(plain("net."), loss))]))),
        ("before PyTorch 1.6", legacy(&Value::Dict(plain("")))),
    ] {
        let file = sandbox.file("a.pth", &file);
        let files = [("--weights", &file), ("--input", &input), ("--output", &output)];
        let files = files.iter().flat_map(|(option, path)| [option.to_string(), path.display().to_string()]);
        run(EXE, ["net", "forward", "--arch", "unext-s"].map(String::from).into_iter().chain(files)).succeeded();
        let logits = Npy::read(&output).f32s();
        assert_eq!(logits.len(), expected.len(), "{what}");
        let furthest = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1e-5, "{what}: {furthest} from PyTorch's logits");
        fs::remove_file(&output).unwrap();
    }
}

#[test]
fn of_two_networks_both_are_named_and_the_key_says_which() {
    let sandbox = Sandbox::new();
    let mut other = unet();
    other.iter_mut().for_each(|(_, _, data)| data.iter_mut().for_each(|value| *value *= 0.5));
    let ema = with(dict(&other, behind("module.")), vec![("n_averaged", number(2.0))]);
    let bytes = zipped(&Value::dict([("model", plain("")), ("model_ema", ema)]));
    let file = sandbox.file("two.pth", &bytes);
    sandbox.import(&file, &[]).refused(&["two.pth", "2 networks", "`model`", "`model_ema.module`", "--key"]);
    sandbox.import(&file, &["--key", "teacher"]).refused(&["--key teacher", "`model`", "`model_ema.module`"]);
    assert!(!sandbox.path("out").exists());
    let key = |key: &str| entries(&sandbox.read_key("two.pth", &bytes, Some(key)).unwrap());
    assert_eq!(key("model"), sorted(unet()));
    assert_eq!(key("model_ema"), sorted(other));
    let said = sandbox.import(&file, &["--key", "model_ema"]).succeeded();
    assert!(said.contains("unet, width 2, 4 classes") && said.contains("left out beside the network"), "{said}");
}

#[test]
fn what_belongs_to_the_network_and_does_not_fit_is_refused_by_name() {
    let sandbox = Sandbox::new();
    for prefix in ["", "net."] {
        let more: Vec<(String, Value)> =
            ["inc.attention.weight", "head.weight"].map(|name| (format!("{prefix}{name}"), tensor(&[1.0]))).into();
        let mut weights = dict(&unet(), behind(prefix));
        weights.extend(more);
        let file = sandbox.file("more.pth", &zipped(&Value::Dict(weights)));
        sandbox.import(&file, &[]).refused(&["2 left over: head.weight, inc.attention.weight"]);
    }
    let mut fewer = unet();
    fewer.retain(|(name, ..)| name != "up2.up.bias");
    let file = sandbox.file("fewer.pth", &zipped(&Value::Dict(dict(&fewer, behind("a.b.")))));
    sandbox.import(&file, &[]).refused(&["1 missing: up2.up.bias"]);
    let mut twice = dict(&unet(), behind(""));
    twice.push(("_orig_mod.outc.conv.bias".into(), tensor(&[0.0; 4])));
    let file = sandbox.file("twice.pth", &zipped(&Value::Dict(twice)));
    sandbox.import(&file, &[]).refused(&["two entries are called `outc.conv.bias`"]);
}

#[test]
fn weights_that_give_no_numbers_are_refused_by_name() {
    let sandbox = Sandbox::new();
    for (name, value, words) in [
        ("down2.maxpool_conv.1.double_conv.4.running_var", -0.25, "holds -0.25, and a variance is never negative"),
        ("inc.double_conv.0.weight", f32::NAN, "holds NaN"),
        ("outc.conv.bias", f32::INFINITY, "holds inf"),
    ] {
        let mut bad = unet();
        bad.iter_mut().find(|(own, ..)| own == name).unwrap().2[1] = value;
        for bytes in [zipped(&Value::Dict(dict(&bad, behind("module.")))), legacy(&Value::Dict(dict(&bad, behind(""))))]
        {
            let file = sandbox.file("bad.pth", &bytes);
            sandbox.import(&file, &[]).refused(&["bad.pth", name, words]);
        }
    }
}

#[test]
fn files_of_other_kinds_are_told_apart_and_say_what_to_do() {
    let sandbox = Sandbox::new();
    let entry = |name: &str| (name.to_owned(), b"x".to_vec());
    let archive = |names: &[&str]| zip(&names.iter().map(|name| entry(name)).collect::<Vec<_>>());
    let script = archive(&["m/data.pkl", "m/code/__torch__/m.py", "m/constants.pkl", "m/version"]);
    let tar = |first: &str| {
        let mut tar = vec![0; 1024];
        tar[..first.len()].copy_from_slice(first.as_bytes());
        tar[257..263].copy_from_slice(b"ustar\0");
        tar
    };
    let whole = bare(&Value::Opcodes(
        b"c__main__\nUNet\n)\x81}X\x04\x00\x00\x00convctorch.nn.modules.conv\nConv2d\n)\x81sb".to_vec(),
    ));
    let save = "torch.save(model.state_dict()";
    for (name, bytes, found, advice) in [
        ("script.pt", script.clone(), "a TorchScript archive", "torch.jit.load"),
        ("script.zip", script, "a TorchScript archive", "torch.jit.load"),
        ("program.pt2", archive(&["m/archive_format", "m/models/model.json"]), "torch.export", save),
        ("old.pth.tar", tar("sys_info"), "a tar archive of PyTorch before 0.1.10", "torch.save(state_dict"),
        ("files.tar", tar("notes.txt"), "a tar archive", "unpack it"),
        ("whole.pth", zip(&[("m/data.pkl".into(), whole.clone())]), "a whole pickled model", "model.state_dict()"),
        ("whole-old.pth", whole, "a whole pickled model", "model.state_dict()"),
        ("net.onnx", b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80".to_vec(), "an ONNX model", save),
        ("net.pth", b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80".to_vec(), "an ONNX model", save),
        ("net.h5", b"\x89HDF\r\n\x1a\n".to_vec(), "an HDF5 file, as Keras writes it", save),
        ("net.keras", archive(&["metadata.json", "config.json", "model.weights.h5"]), "a Keras model", save),
        ("net.npy", b"\x93NUMPY\x01\x00v\x00{".to_vec(), "a NumPy array", "torch.from_numpy"),
        ("net.npz", archive(&["weight.npy"]), "NumPy arrays", "torch.from_numpy"),
        ("net.tflite", b"\x1c\0\0\0TFL3".to_vec(), "a TensorFlow Lite model", save),
        ("net.kscout", b"\x89KSCOUT\n\x01".to_vec(), "a .kscout file", "kscout inspect"),
        ("net.pth.gz", b"\x1f\x8b\x08\0".to_vec(), "a gzip archive", "unpack it"),
        ("other.zip", archive(&["notes.txt"]), "", "rename it if it is one"),
    ] {
        sandbox.import(&sandbox.file(name, &bytes), &[]).refused(&[name, found, advice]);
    }
    sandbox.import(sandbox.0.path(), &[]).refused(&["a folder", "--model"]);
    assert!(!sandbox.path("out").exists());
}

#[test]
fn headers_that_lie_about_lengths_are_refused() {
    let sandbox = Sandbox::new();
    let whole = safetensors(&unet());
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let text = String::from_utf8(whole[8..8 + header].to_vec()).unwrap();
    let with_header =
        |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &whole[8 + header..]].concat();
    let long = |length: u64| [&length.to_le_bytes()[..], &whole[8..]].concat();
    let mut lies = vec![long(whole.len() as u64), long(1 << 39), long(header as u64 + 4), long(3)];
    for (old, new) in [
        ("\"shape\":[2,1,3,3]", "\"shape\":[2,1,3,4]"),
        ("\"shape\":[2,1,3,3]", "\"shape\":[4294967296,4294967296,3,3]"),
        ("\"shape\":[2,1,3,3]", "\"shape\":[18446744073709551615,2,3,3]"),
        ("\"data_offsets\":[0,72]", "\"data_offsets\":[0,71]"),
        ("\"data_offsets\":[0,72]", "\"data_offsets\":[72,0]"),
        ("\"data_offsets\":[0,72]", "\"data_offsets\":[0,9223372036854775807]"),
    ] {
        assert!(text.contains(old), "{text}");
        lies.push(with_header(&text.replacen(old, new, 1)));
    }
    for bytes in lies {
        let error = sandbox.read("lies.safetensors", &bytes).expect_err("a lie").to_string();
        assert!(error.contains("lies.safetensors") && error.len() < 600, "{error}");
    }
    assert!(sandbox.read("lies.safetensors", &whole).is_ok());
}

#[test]
fn a_found_network_computes_what_the_plain_one_does() {
    let sandbox = Sandbox::new();
    let device = burn::tensor::Device::flex();
    let image = burn::tensor::Tensor::<4>::from_data(
        burn::tensor::TensorData::new((0..256).map(|i| (i as f32 * 0.1).sin()).collect::<Vec<_>>(), [1, 1, 16, 16]),
        &device,
    );
    let logits = |bytes: &[u8]| {
        let dict = sandbox.read("a.pth", bytes).unwrap();
        import_segmenter(Arch::Unet, &dict, &device).unwrap().0.forward(image.clone()).into_data()
    };
    let expected = logits(&zipped(&plain("")));
    assert_eq!(logits(&zipped_in("checkpoint_best_model", &plain("module._orig_mod."))), expected);
}
