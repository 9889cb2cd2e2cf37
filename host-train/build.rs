//! Says where the built-in configurations are: in the repository at its top, in a published crate within it.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    // A link in the repository, for `cargo package`; where the system has no links, it is not a folder.
    let own = package.join("configs");
    let folder = if own.is_dir() { own } else { package.join("../configs") };
    println!("cargo::rustc-env=KSCOUT_CONFIGS={}", folder.display());
}
