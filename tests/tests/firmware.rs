//! The firmware on emulated Cortex-M cores gives what the host gives, and no panic can be reached in it.
//!
//! Everything goes through `firmware-demo/run.sh`. Where the machine has no toolchain or QEMU (status 2) the test says so and
//! passes; with `KSCOUT_FIRMWARE=required` in the environment it fails instead.

use std::path::{Path, PathBuf};
use std::process::Output;

use burn::tensor::Device;
use kscout::export::blob_writer::write_blob;
use kscout::export::{CalibrationSample, HeaderSpec, quantised};
use kscout::net::{Arch, Segmenter, SegmenterSpec};
use kscout_core::kernels::{Layout, Native};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::GraphKind;
use kscout_tests::run_script_with;
use kscout_tests::small_model::{HostScan, Random, SIDE, header, policy, random_blob};
use kscout_tests::small_volume::{EARLY, HostVolumeScan, random_volume_blob};

/// The cores that `run.sh` knows, and how many instructions a tick of their boards' clocks takes.
const CORES: [(&str, &str); 3] = [("m4", "40.00"), ("m33", "50.00"), ("m55", "31.25")];

#[test]
fn a_scan_on_every_emulated_microcontroller_has_the_hosts_digest() {
    let blob = random_blob(Layout::Portable);
    for core in CORES {
        agrees_with_the_host("same", &blob, core);
    }
}

#[test]
fn a_pruned_unetpp_on_the_emulated_microcontroller_has_the_hosts_digest() {
    let blob = pruned_unetpp_blob();
    agrees_with_the_host("pruned", &blob, CORES[0]);
    agrees_with_the_host("pruned", &blob, CORES[2]);
}

#[test]
fn a_scan_of_a_volume_on_every_emulated_microcontroller_has_the_hosts_digest() {
    for reconstruction in [Reconstruction::ZeroFilled, Reconstruction::HalfHomodyne] {
        repeats_a_volume(reconstruction);
    }
}

/// Every core repeats the scan of a volume with images made so.
fn repeats_a_volume(reconstruction: Reconstruction) {
    let blob = random_volume_blob(Layout::Portable, reconstruction);
    let host = HostVolumeScan::new(&blob, Native::default(), 0.0);
    let [model, volume] = host.write(&temporary(), reconstruction.name(), &blob);
    let chosen: Vec<String> = host.places.iter().map(|place| format!("{}:{}", place.slice, place.line)).collect();
    let chosen = format!("slices:lines {}\n", chosen.join(" "));
    let stages = ["first lines", "decision", "features", "slice policy", "image rebuilt", "line taken in", "step"];
    for core in CORES {
        let Some(text) = passes(core, &model, &volume, host.digest) else {
            return;
        };
        for expected in [chosen.as_str()].into_iter().chain(stages) {
            assert!(text.contains(expected), "{}: expected {expected:?} in\n{text}", core.0);
        }
    }
}

#[test]
fn a_scan_of_a_volume_stops_where_the_hosts_did() {
    let blob = random_volume_blob(Layout::Portable, Reconstruction::HalfHomodyne);
    let host = HostVolumeScan::new(&blob, Native::default(), EARLY);
    let [model, volume] = host.write(&temporary(), "early", &blob);
    passes(CORES[0], &model, &volume, host.digest);
}

#[test]
fn a_scan_that_measures_other_lines_than_the_hosts_fails() {
    let blob = random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled);
    let mut host = HostVolumeScan::new(&blob, Native::default(), 0.0);
    // Another line of the slice that was measured last.
    host.places.last_mut().unwrap().line = 0;
    let [model, volume] = host.write(&temporary(), "other-volume", &blob);
    let Some(output) = run(&["selftest", &model, &volume]) else {
        return;
    };

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("(!)") && text.contains("was not measured by the host"), "{text}");
}

/// A file as `kscout export` makes it for hearts of 256x256 pixels: the published UNeXt-S, half-homodyne images, no policy.
fn large_blob() -> Vec<u8> {
    const SIDE: usize = 256;
    let network = Segmenter::new(&SegmenterSpec::published(Arch::UnextS, 4), &Device::flex());
    let random = &mut Random(5);
    let levels = (0..SIDE * SIDE).map(|_| random.i8()).collect();
    let seen = CalibrationSample { levels, state: Vec::new() };
    let segmenter = quantised(GraphKind::Segmenter, &network.graph(SIDE, SIDE), &[seen]).unwrap();
    let reconstruction = Reconstruction::HalfHomodyne;
    let header = HeaderSpec { height: SIDE, width: SIDE, reconstruction, ..header(Layout::Portable) };
    write_blob(&header, Some(&segmenter), None).unwrap()
}

#[test]
fn a_slice_of_given_lines_and_more_memory_than_the_projects_passes_and_says_so() {
    let blob = large_blob();
    let host = HostScan::of_lines(&blob, Native::default(), &[128, 129, 127, 130, 126, 125]);
    let [model, slice] = host.write(&temporary(), "given", &blob);
    let Some(output) = run(&["selftest", &model, &slice]) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let digest = format!("{:#018x}, equal to", host.digest);
    let lines = "lines 128 129 127 130 126 125\n";
    for expected in [lines, "given, not chosen by a policy", &digest, "OVER the limit of 524288", "self-test passed"] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
    // Where there is no more, it says how much it would need, before anything is linked.
    let Some(output) = run_with(&["selftest", &model, &slice], &[("KSCOUT_RAM_KIB", "512")]) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    for expected in ["bytes of arena", "KiB together", "512 KiB of RAM", "set KSCOUT_RAM_KIB to "] {
        assert!(errors.contains(expected), "expected {expected:?} in\n{errors}");
    }
}

#[test]
fn lines_that_were_given_are_repeated_though_the_model_has_a_policy() {
    let blob = random_blob(Layout::Portable);
    let host = HostScan::of_lines(&blob, Native::default(), &[1, 33, 60, 5]);
    let [model, slice] = host.write(&temporary(), "given-beside-policy", &blob);
    let Some(text) = passes(CORES[0], &model, &slice, host.digest) else {
        return;
    };
    assert!(text.contains("lines 1 33 60 5\n") && !text.contains("(!)"), "{text}");
}

/// The self-test of `blob` passes on a core, with the lines and the digest of the scan on the host.
fn agrees_with_the_host(name: &str, blob: &[u8], core: (&str, &str)) {
    let host = HostScan::new(blob, Native::default());
    let [model, slice] = host.write(&temporary(), name, blob);
    let Some(text) = passes(core, &model, &slice, host.digest) else {
        return;
    };
    let chosen: Vec<String> = host.lines.iter().map(u16::to_string).collect();
    assert!(text.contains(&format!("lines {}\n", chosen.join(" "))), "{text}");
}

/// The self-test of these files passes on a core, with this digest: what it printed.
fn passes((core, tick): (&str, &str), model: &str, scan: &str, digest: u64) -> Option<String> {
    let output = run(&["selftest", "--core", core, model, scan])?;
    println!("ran on {core}");

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("{digest:#018x}")), "{text}");
    let tick = format!("tick of {tick}");
    for expected in [tick.as_str(), "within the limit of 524288", "within the limit of 786432", "self-test passed"] {
        assert!(text.contains(expected), "{core}: expected {expected:?} in\n{text}");
    }
    Some(text)
}

#[test]
fn operators_take_no_more_instructions_than_their_bars() {
    // Instructions a multiply-accumulate at most, on an M4 and on an M55, where CMSIS-NN's are the bar.
    let bars = [
        ("conv 64x64 16->16 k3 s1", 1.2, 0.388),
        ("conv 64x64 8->8 k3 s1", 2.0, 0.86),
        ("conv 32x32 32->32 k3 s1", 1.2, 0.253),
        ("conv 16x16 64->64 k3 s1", 1.2, 0.206),
        ("conv 64x64 1->16 k3 s1", 4.0, 3.76),
        ("conv 32x32 32->64 k1 s1", 1.4, 0.61),
        ("conv 32x32 32->32 k3 s2", 1.2, 0.253),
        ("depthwise 32x32 32->32 k3 s1", 4.0, 2.69),
        ("depthwise 16x16 64->64 k3 s1", 4.0, 2.30),
    ];
    for (core, on_m55) in [("m4", false), ("m33", false), ("m55", true)] {
        let Some(output) = run(&["bench", core, "no.kscout", "no.kscan"]) else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{core}: {text}");
        for (case, m4, m55) in bars {
            let line = text.lines().find(|line| line.starts_with(case) && !line.contains("kernels=portable"));
            let cost =
                line.and_then(|line| line.split("instr_per_mac=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
            let bar = if on_m55 { m55 } else { m4 };
            assert!(cost.is_some_and(|cost| 0.0 < cost && cost <= bar), "{core}, {case}: {line:?}");
        }
        for operator in ["add", "concat", "layer_norm", "max_pool", "upsample2x", "table", "shift", "quantise"] {
            let lines = text.lines().filter(|line| line.starts_with(operator) && line.contains("instr_per_element="));
            assert!(
                lines.count() >= 2,
                "{core}: {operator} with its own kernels and with the portable ones in\n{text}"
            );
        }
    }
}

#[test]
fn a_scan_with_another_digest_fails() {
    let blob = random_blob(Layout::Portable);
    let mut host = HostScan::new(&blob, Native::default());
    host.digest ^= 1;
    let [model, slice] = host.write(&temporary(), "other", &blob);
    let Some(output) = run(&["selftest", &model, &slice]) else {
        return;
    };

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("NOT the host's"), "{text}");
}

#[test]
fn a_scan_that_needs_more_memory_than_there_is_says_how_much() {
    let blob = random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled);
    let [model, volume] = HostVolumeScan::new(&blob, Native::default(), 0.0).write(&temporary(), "large", &blob);
    let Some(output) = run_with(&["selftest", &model, &volume], &[("KSCOUT_RAM_KIB", "16")]) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    for expected in [&volume, "bytes of arena", "16 KiB of RAM", "KSCOUT_RAM_KIB"] {
        assert!(errors.contains(expected), "expected {expected:?} in\n{errors}");
    }
}

#[test]
fn what_does_not_exist_is_not_taken_for_a_machine_that_lacks_something() {
    for (arguments, reason) in [
        (&["selftest", "no.kscout", "no.kscan"][..], "no model at no.kscout"),
        (&["self-test"], "unknown command self-test"),
        (&["bench", "m7"], "unknown core m7"),
    ] {
        let output = run(arguments).expect("status 1, not 2");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(reason), "{errors}");
    }
}

#[test]
fn no_panic_can_be_reached_from_the_scan_loop() {
    for (core, _) in CORES {
        let Some(output) = run(&["nopanic", core]) else {
            return;
        };
        assert!(output.status.success(), "{core}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Runs `run.sh`; `None` if this machine lacks what it needs.
fn run(arguments: &[&str]) -> Option<Output> {
    run_with(arguments, &[])
}

/// [`run`] with these variables in the environment.
fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Option<Output> {
    match run_script_with("firmware-demo/run.sh", arguments, &temporary().join("target"), variables) {
        Ok(output) => Some(output),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

fn temporary() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware")
}

/// A narrow U-Net++ of random weights, cut down to its second head, beside the same policy.
fn pruned_unetpp_blob() -> Vec<u8> {
    let spec = SegmenterSpec { arch: Arch::UnetPp, width: 4, classes: 4, channels: 1 };
    let network = Segmenter::new(&spec, &Device::flex()).pruned(2);
    let random = &mut Random(3);
    let levels = (0..SIDE * SIDE).map(|_| random.i8()).collect();
    let seen = CalibrationSample { levels, state: Vec::new() };
    let segmenter = quantised(GraphKind::Segmenter, &network.graph(SIDE, SIDE), &[seen]).unwrap();
    write_blob(&header(Layout::Portable), Some(&segmenter), Some(&policy(random))).unwrap()
}
