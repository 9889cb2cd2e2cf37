//! Files that somebody changed: a checkpoint's numbers, weights whose answers are no numbers, models that ask for too much work,
//! and names that would steer a terminal.

use std::fs;
use std::path::Path;

use kscout::export::blob_writer::{HeaderSpec, write_blob};
use kscout_core::kernels::Layout;
use kscout_tests::Ran;
use kscout_tests::format1::as_format1;
use kscout_tests::job::Job;
use kscout_tests::pytorch_file::{Storage, Value, bare, safetensors, zip, zipped};
use kscout_tests::small_model::{header, policy, random_blob};
use kscout_tests::small_unet::{Entry, unet};
use serde_json::{Value as Json, json};

const EXE: &str = env!("CARGO_BIN_EXE_kscout-under-test");

/// A job with the checkpoint `model`: the small U-Net for images of 32x32, its entries changed by `change`.
fn job_with(change: impl Fn(&mut Entry)) -> Job {
    let job = Job::new(EXE, 6, 3, 32);
    let mut entries = unet();
    entries.iter_mut().for_each(change);
    fs::write(job.path("w.safetensors"), safetensors(&entries)).unwrap();
    let [weights, model] = ["w.safetensors", "model"].map(|name| job.path(name));
    job.run(&["import", "--arch", "unet", "--weights", &weights, "--out", &model, "--size", "32"]).succeeded();
    job
}

fn images(job: &Job) -> String {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 32, 32), }\n";
    let values: Vec<u8> = (0..1024).flat_map(|i| (i as f32 * 0.37).sin().to_le_bytes()).collect();
    let bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &values].concat();
    fs::write(job.path("in.npy"), bytes).unwrap();
    job.path("in.npy")
}

/// A picture to segment.
fn picture(job: &Job) -> String {
    let folder = Path::new(&job.path("data")).join("patient001/image");
    let found = walk(&folder).or_else(|| walk(Path::new(&job.path("data")))).expect("a picture");
    fs::copy(found, job.path("slice.png")).unwrap();
    job.path("slice.png")
}

fn walk(folder: &Path) -> Option<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.iter().find(|path| path.extension().is_some_and(|ending| ending == "png")).cloned();
    files.or_else(|| paths.iter().filter(|path| path.is_dir()).find_map(|path| walk(path)))
}

/// Runs every command that takes the segmenter `model`, and calls `check` on what it said.
fn every_command(job: &Job, check: impl Fn(&str, Ran)) {
    let [model, data, out, blob] = ["model", "data", "out", "out.kscout"].map(|name| job.path(name));
    let (images, picture) = (images(job), picture(job));
    for arguments in [
        vec!["net", "forward", "--segmenter", &model, "--input", &images, "--output", &out],
        vec!["predict", "--model", &model, "--out", &out, &picture],
        vec!["eval", "--reward-model", &model, "--data", &data, "--out", &out, "--budgets", "6"],
        vec!["export", "--segmenter", &model, "--data", &data, "--out", &blob],
        vec!["train", "mask", "--segmenter", &model, "--data", &data, "--out", &out, "--budget", "3"],
        vec!["train", "line-policy", "--reward-model", &model, "--data", &data, "--out", &out, "--set", "updates=1"],
    ] {
        check(&arguments[..2].join(" "), job.run(&arguments));
        assert!(!Path::new(&blob).exists(), "a file was exported all the same");
    }
}

#[test]
fn numbers_that_no_checkpoint_has_are_refused_by_name() {
    let job = job_with(|_| {});
    let file = job.path("model/checkpoint.json");
    let whole: Json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (pointer, key) in [
        ("/segmenter/width", "segmenter.width"),
        ("/segmenter/classes", "segmenter.classes"),
        ("/segmenter/channels", "segmenter.channels"),
        ("/height", "height"),
        ("/width", "width"),
        ("/step", "step"),
    ] {
        for value in [json!(0), json!(1u64 << 31), json!(1u64 << 63), json!(-1), json!(1e300), json!("8")] {
            if key == "step" && [json!(0), json!(1u64 << 31)].contains(&value) {
                continue;
            }
            let mut changed = whole.clone();
            *changed.pointer_mut(pointer).unwrap() = value.clone();
            fs::write(&file, changed.to_string()).unwrap();
            let [model, out] = ["model", "out.npy"].map(|name| job.path(name));
            let ran = job.run(&["net", "forward", "--model", &model, "--input", &images(&job), "--output", &out]);
            ran.refused(&["checkpoint.json", &format!("`{key}` is {value}")]);
        }
    }
    let mut changed = whole.clone();
    changed["segmenter"]["width"] = json!(0);
    fs::write(&file, changed.to_string()).unwrap();
    every_command(&job, |_, ran| ran.refused(&["checkpoint.json", "`segmenter.width` is 0", "1 to 512"]));
}

#[test]
fn a_segmenter_that_gives_no_numbers_is_an_error_everywhere() {
    // Finite weights, so that nothing is wrong with them until they are added up.
    let job = job_with(|(name, _, values)| {
        if name.starts_with("outc") {
            values.iter_mut().for_each(|value| *value = 3e38);
        }
    });
    every_command(&job, |command, ran| {
        assert!(!ran.ok, "{command} succeeded: {}", ran.stdout);
        let said = ["gives no numbers", "not finite", "data are broken"].iter().any(|words| ran.stderr.contains(words));
        assert!(said && !ran.stderr.contains("panicked"), "{command}: {}", ran.stderr);
    });
}

#[test]
fn a_checkpoint_with_damaged_weights_is_refused() {
    let job = job_with(|_| {});
    let file = job.path("model/weights.bpk");
    let whole = fs::read(&file).unwrap();
    let [model, out] = ["model", "out.npy"].map(|name| job.path(name));
    let images = images(&job);
    let forward = || job.run(&["net", "forward", "--model", &model, "--input", &images, "--output", &out]);
    forward().succeeded();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    forward().refused(&["weights.bpk", "is damaged"]);
    // One of format 1 may have no checksums.
    let description = job.path("model/checkpoint.json");
    let mut said: Json = serde_json::from_slice(&fs::read(&description).unwrap()).unwrap();
    as_format1(&mut said).remove("files").unwrap();
    fs::write(&description, said.to_string()).unwrap();
    // Magic, version, length of the description, and its first names and offsets.
    for at in (0..24).chain((24..400).step_by(13)) {
        let mut changed = whole.clone();
        changed[at] = !changed[at];
        fs::write(&file, &changed).unwrap();
        let ran = forward();
        assert!(
            !ran.stderr.contains("panicked") && (ran.ok || ran.stderr.contains("weights.bpk")),
            "byte {at}: {}",
            ran.stderr
        );
    }
    for length in [0, 3, 12, 40, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        forward().refused(&["weights.bpk", "cannot be used"]);
    }
    let mut changed = whole.clone();
    let last = changed.len() - 4;
    changed[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&file, &changed).unwrap();
    forward().refused(&["weights.bpk", "holds NaN"]);
}

#[test]
fn a_model_says_what_it_costs_and_more_than_allowed_is_refused() {
    let job = Job::new(EXE, 6, 3, 64);
    let (blob, data, out) = (job.path("small.kscout"), job.path("data"), job.path("out"));
    fs::write(&blob, random_blob(Layout::Portable)).unwrap();
    let cost = "a scan of a slice takes ";
    for (arguments, works) in [
        (vec!["inspect", &blob], false),
        (vec!["bench", &blob, "--runs", "1"], true),
        (vec!["scan", &blob, "--data", &data, "--slice", "patient001/1", "--budget", "4"], true),
        (vec!["eval", "--model", &blob, "--data", &data, "--out", &out, "--budgets", "6", "--panels", "0"], true),
        (vec!["predict", "--blob", &blob, "--out", &out, &picture(&job)], true),
    ] {
        if works {
            let most = [&arguments[..], &["--max-macs", "1000"]].concat();
            job.run(&most).refused(&["small.kscout", cost, "more than 1000", "--max-macs"]);
        }
        let said = job.run(&arguments).succeeded();
        assert!(said.contains(cost) && said.contains("million multiply-accumulates"), "{said}");
    }
    // Poolings of large windows: 35 billion comparisons, and hardly a multiply-accumulate.
    let pooling = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/blob/good_pooling.kscout");
    let refusal = ["good_pooling.kscout", "34.6 billion comparisons", "more than 17.2 billion", "--max-macs"];
    job.run(&["bench", pooling, "--runs", "1"]).refused(&refusal);
    assert!(job.run(&["inspect", pooling]).succeeded().contains("34.6 billion comparisons and other operations"));
}

/// Refused or not, nothing that a terminal would obey comes out, and not much at all.
#[track_caller]
fn harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(text.len() < 40_000, "{} bytes", text.len());
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn names_from_files_do_not_steer_the_terminal() {
    let job = Job::new(EXE, 6, 3, 32);
    let steer = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
    let long = format!("{steer}{}", "x".repeat(1 << 20));
    let tensor = || Value::Tensor { storage: Storage::Float, shape: vec![1], data: vec![1.0] };
    let [out, data, picture] = [job.path("out"), job.path("data"), picture(&job)];
    let import = |name: &str, bytes: Vec<u8>| {
        fs::write(job.path(name), bytes).unwrap();
        job.run(&["import", "--arch", "unet", "--weights", &job.path(name), "--out", &out])
    };
    for name in [steer, &long] {
        let entries = [(name.to_owned(), vec![1], vec![1.0])];
        let layers = [unet(), entries.to_vec()].concat();
        let twice = |key: &str| {
            let dict = unet()
                .into_iter()
                .map(|(name, shape, data)| (name, Value::Tensor { storage: Storage::Float, shape, data }));
            (format!("{name}{key}"), Value::dict(dict))
        };
        let global = Value::Opcodes(format!("c{}\nsystem\n)R", name.replace('\n', "")).into_bytes());
        for ran in [
            import("a.safetensors", safetensors(&entries)),
            import("b.safetensors", safetensors(&layers)),
            import("a.pth", zipped(&Value::dict([(name, tensor())]))),
            import("two.pth", zipped(&Value::Dict(vec![twice("a"), twice("b")]))),
            import("code.pth", zipped(&Value::dict([("a", global)]))),
            import("bare.pth", bare(&Value::dict([(name, tensor())]))),
        ] {
            assert!(!ran.ok, "{}", ran.stdout);
            harmless(&ran);
        }
    }
    harmless(&import("names.pth", zip(&[(format!("{steer}/notes"), b"x".to_vec())])));

    let model = job.path("model");
    fs::create_dir_all(&model).unwrap();
    fs::write(job.path("model/weights.bpk"), b"x").unwrap();
    let checkpoint = |value: Json| fs::write(job.path("model/checkpoint.json"), value.to_string()).unwrap();
    let record = json!({ "network": long, "height": 32, "width": 32, "step": 0, "score": null, "best": null, "data": long, "config": {} });
    for value in [record.clone(), json!({ &long: 1 }), json!({ "height": long }), json!(long)] {
        checkpoint(value);
        harmless(&job.run(&["predict", "--model", &model, "--out", &out, &picture]));
    }
    for key in [format!("'{steer}'"), "\"\\u001b[2J\\u009b31m\"".to_owned()] {
        let config = job.write("a.toml", &format!("{key} = 1\n"));
        harmless(&job.run(&["train", "segmenter", "--data", &data, "--out", &out, "--config", &config]));
    }
    let config = job.write("b.toml", &format!("network = '{}'\n", "x".repeat(1 << 20)));
    harmless(&job.run(&["train", "segmenter", "--data", &data, "--out", &out, "--config", &config]));
    let masks = job.write("masks.csv", &format!("patient,slice,lines\n{long},{steer},1\n"));
    harmless(&job.run(&["train", "segmenter", "--data", &data, "--out", &out, "--masks", &masks]));
    let labels = job.write("labels.csv", &format!("patient,{steer}\n{long},1\n"));
    harmless(&job.run(&["train", "segmenter", "--data", &data, "--out", &out, "--labels", &labels]));
    fs::copy(&picture, job.path(&format!("{steer}.png"))).unwrap();
    harmless(&job.run(&["predict", "--model", &model, "--out", &out, &job.path(&format!("{steer}.png"))]));
}

#[test]
fn what_data_sets_and_models_say_of_themselves_is_escaped() {
    let job = Job::new(EXE, 6, 3, 32);
    let steer = "\u{1b}[2J\u{9b}31m\u{202e}";
    let (data, blob) = (job.path("data"), job.path("a.kscout"));
    let header = HeaderSpec { provenance: format!("{steer}provenance"), ..header(Layout::Portable) };
    let random = &mut kscout_tests::small_model::Random(1);
    fs::write(&blob, write_blob(&header, None, Some(&policy(random))).unwrap()).unwrap();
    let said = job.run(&["inspect", &blob]);
    harmless(&said);
    assert!(said.succeeded().contains("\\u001b[2J\\u009b31m\\u202eprovenance"));
    let said = job.run(&["inspect", &blob, "--json"]);
    harmless(&said);
    let json: Json = serde_json::from_str(&said.succeeded()).unwrap();
    assert_eq!(json["provenance"], header.provenance);

    let manifest = format!("{data}/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("patient002"));
    let name = json!(format!("{steer}{}", "x".repeat(1 << 20))).to_string();
    fs::write(&manifest, text.replace("\"patient002\"", &name)).unwrap();
    harmless(&job.run(&["data", "info", &data]));
}
