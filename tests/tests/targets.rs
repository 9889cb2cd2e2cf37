//! Every target that a machine can run or emulate gives the same bytes: random operators agree with the reference, and a scan
//! of a slice or of a volume has one digest.
//!
//! Each target prints a line, which the test harness does not keep to itself. Where the machine cannot run one, the line says why
//! and the test passes; with `KSCOUT_FIRMWARE=required` in the environment it fails instead. The scans on Cortex-M are in
//! firmware.rs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

use kscout_core::kernels::{Layout, Portable};
use kscout_core::kspace::Reconstruction;
use kscout_tests::run_script;
use kscout_tests::small_model::{HostScan, random_blob};
use kscout_tests::small_volume::{EARLY, HostVolumeScan, random_volume_blob};

/// Images and least gains of the volumes that every target scans.
const VOLUMES: [(Reconstruction, f32); 2] = [(Reconstruction::ZeroFilled, 0.0), (Reconstruction::HalfHomodyne, EARLY)];

/// Prints a line past the test harness, which would show it only with `--nocapture`.
macro_rules! say {
    ($($text:tt)*) => { writeln!(io::stdout(), $($text)*).expect("standard output takes a line") };
}

#[test]
fn kernels_of_every_emulated_microcontroller_agree_with_the_reference() {
    for core in ["m4", "m33", "m55"] {
        let target = format!("Cortex-{} (qemu-system-arm)", core.to_uppercase());
        match run_script("firmware-demo/run.sh", &["agreement", core], &temporary("firmware/target")) {
            Ok(output) => say!("target {target}: {}", succeeded(&output).trim_end()),
            Err(reason) => say!("target {target}: left out, {}", reason.trim_end()),
        }
    }
}

#[test]
fn arm_64_agrees_and_has_the_hosts_digest() {
    agrees_with_the_host("aarch64", "qemu-user", Layout::Aarch64, &["portable", "neon", "neon-dotprod"]);
}

#[test]
fn web_assembly_agrees_and_has_the_hosts_digest() {
    agrees_with_the_host("wasm32", "node", Layout::X86_64, &["portable"]);
}

/// The target runs these kernel sets, on weights in the portable layout and in another one: a slice, a volume, and a volume of
/// half-homodyne images whose scan stops early.
fn agrees_with_the_host(target: &str, emulator: &str, other: Layout, sets: &[&str]) {
    let scans = scan_files(target, [Layout::Portable, other]);
    let files = scans.iter().flat_map(|(files, _)| files).map(String::as_str);
    let arguments: Vec<&str> = [target].into_iter().chain(files).collect();
    let output = match run_script("tests/targets/run.sh", &arguments, &temporary("targets/target")) {
        Ok(output) => output,
        Err(reason) => return say!("target {target} ({emulator}): left out, {}", reason.trim_end()),
    };
    let text = succeeded(&output);
    let lines: Vec<&str> = text.lines().collect();
    let agreed = sets.iter().map(|set| format!("{set}: 2400 cases agree"));
    let repeated = |digest: u64| sets.iter().map(move |set| format!("{set}: digest {digest:#018x}"));
    let expected: Vec<String> = agreed.chain(scans.iter().flat_map(|&(_, digest)| repeated(digest))).collect();
    assert_eq!(lines, expected);
    let [slice, volume] = [scans[0].1, scans[2].1];
    for set in sets {
        say!(
            "target {target} ({emulator}), {set}: 2400 cases agree, digest {slice:#018x}, of a volume {volume:#018x} (weights \
             portable and for {})",
            other.name()
        );
    }
}

#[test]
fn what_operators_cost_on_arm_64_is_counted() {
    let output = match run_script("tests/targets/run.sh", &["bench", "aarch64"], &temporary("targets/target")) {
        Ok(output) => output,
        Err(reason) => return say!("cost on aarch64 (qemu-user): left out, {}", reason.trim_end()),
    };
    let text = succeeded(&output);
    // Thousandths of an instruction, at most.
    for (case, most) in [
        ("conv 64x64 16->16 k3 s1", [1600, 400, 140]),
        ("conv 16x16 64->64 k3 s1", [1100, 400, 140]),
        ("depthwise 32x32 32->32 k3 s1", [9000, 1700, 1700]),
    ] {
        for (set, most) in ["portable", "neon", "neon-dotprod"].into_iter().zip(most) {
            let ending = format!("kernels={set} layout=portable");
            let line = text.lines().find(|line| line.starts_with(case) && line.ends_with(&ending));
            let cost =
                line.and_then(|line| line.split("instr_per_mac=").nth(1)?.split(' ').next()?.parse::<f64>().ok());
            assert!(cost.is_some_and(|cost| cost * 1000.0 <= f64::from(most)), "{case}, {set}: {line:?}");
        }
    }
    let packed = "kernels=neon-dotprod layout=aarch64";
    assert!(text.lines().any(|line| line.starts_with("conv 1x1 131->128") && line.ends_with(packed)), "{text}");
}

#[test]
fn another_digest_is_seen_on_every_target() {
    let blob = random_blob(Layout::Portable);
    let mut host = HostScan::new(&blob, Portable);
    host.digest ^= 1;
    let slice = host.write(&temporary("targets"), "other", &blob);
    let blob = random_volume_blob(Layout::Portable, Reconstruction::ZeroFilled);
    let mut host = HostVolumeScan::new(&blob, Portable, 0.0);
    host.digest ^= 1;
    let volume = host.write(&temporary("targets"), "other-volume", &blob);
    for (target, [model, scan]) in
        ["aarch64", "wasm32"].into_iter().flat_map(|target| [(target, &slice), (target, &volume)])
    {
        match run_script("tests/targets/run.sh", &[target, model, scan], &temporary("targets/target")) {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(output.status.code(), Some(1), "{text}");
                assert!(text.contains("NOT the host's"), "{text}");
            }
            Err(reason) => say!("target {target}: left out, {}", reason.trim_end()),
        }
    }
}

#[test]
fn what_does_not_exist_is_not_taken_for_a_machine_that_lacks_something() {
    for (arguments, reason) in [
        (&["riscv"][..], "unknown target riscv"),
        (&["bench", "wasm32"], "bench knows aarch64 and x86-64"),
        (&["wasm32", "no.kscout"], "a model without a scan"),
        (&["aarch64", "no.kscout", "no.kscan"], "no file no.kscout"),
    ] {
        let output =
            run_script("tests/targets/run.sh", arguments, &temporary("targets/target")).expect("status 1, not 2");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(reason), "{errors}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_kernel_set_of_x86_64_has_one_digest() {
    use kscout_core::kernels::{Int8Kernels, Kernels, Level, X86};

    let digests = |layout, set: &dyn Kernels| {
        let of_volume = VOLUMES.map(|(reconstruction, least_gain)| {
            HostVolumeScan::new(&random_volume_blob(layout, reconstruction), set, least_gain).digest
        });
        (HostScan::new(&random_blob(layout), set).digest, of_volume)
    };
    let expected = digests(Layout::Portable, &Portable);
    let (slice, [volume, _]) = expected;
    say!("target x86_64, portable: digest {slice:#018x}, of a volume {volume:#018x}");
    for level in Level::ALL {
        let Some(set) = X86::with_level(level) else {
            say!("target x86_64, {}: left out, this processor does not have it", level.name());
            continue;
        };
        for layout in [Layout::Portable, Layout::X86_64] {
            assert_eq!(digests(layout, &set), expected, "{}, {}", set.name(), layout.name());
        }
        say!(
            "target x86_64, {}: digest {slice:#018x}, of a volume {volume:#018x} (weights portable and for {})",
            set.name(),
            Layout::X86_64.name()
        );
    }
}

/// Writes the small models in these layouts, each with its scans on the host: a slice in each layout, then a volume in each, then
/// one of half-homodyne images whose scan stops early. Paths in the order of run.sh, and the digest.
fn scan_files(name: &str, layouts: [Layout; 2]) -> Vec<([String; 2], u64)> {
    let folder = temporary("targets");
    let slices = layouts.map(|layout| {
        let blob = random_blob(layout);
        let host = HostScan::new(&blob, Portable);
        (host.write(&folder, &format!("{name}-{}", layout.name()), &blob), host.digest)
    });
    let [all, early] = VOLUMES.map(|(reconstruction, least_gain)| {
        layouts.map(|layout| {
            let blob = random_volume_blob(layout, reconstruction);
            let host = HostVolumeScan::new(&blob, Portable, least_gain);
            (host.write(&folder, &format!("{name}-{reconstruction}-{}", layout.name()), &blob), host.digest)
        })
    });
    for [(_, a), (_, b)] in [&slices, &all, &early] {
        assert_eq!(a, b, "the layout of weights changes the scan");
    }
    [slices, all, early].into_iter().flatten().collect()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder for builds or files. The firmware's is the one that firmware.rs builds in.
fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
