//! Says which instructions a Cortex-M build may use, because rustc offers no `cfg` for them:
//!
//! * `kscout_dsp`: the DSP extension, from the target (thumbv7em) or the flags (`-C target-cpu=cortex-m33`, `+dsp`).
//! * `kscout_helium`: the vector extension of Armv8.1-M, from the flags (`-C target-feature=+mve`).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(kscout_dsp, kscout_helium)");
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let flags: Vec<&str> = flags.split(['\x1f', '=', ',', ' ']).collect();
    let has = |names: &[&str]| names.iter().any(|name| flags.contains(name));
    let mainline = target.starts_with("thumbv8m.main");
    let helium = mainline && has(&["+mve", "+mve.fp", "cortex-m55", "cortex-m85"]);
    if helium {
        println!("cargo::rustc-cfg=kscout_helium");
    }
    let dsp = helium || (mainline && has(&["+dsp", "cortex-m33", "cortex-m35p"]));
    if target.starts_with("thumbv7em") || dsp {
        println!("cargo::rustc-cfg=kscout_dsp");
    }
}
