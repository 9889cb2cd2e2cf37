//! Writes the linker's memory map and, for the self-test, embeds a model and a captured slice.
//!
//! * `KSCOUT_BLOB`: the exported model, `.kscout`.
//! * `KSCOUT_SCAN`: the captured slice with the host's result, `.kscan`.
//! * `KSCOUT_RAM_KIB`: RAM the linker may use; 512 by default, which is the budget of the project. A model that needs
//!   more fails to link.
//!
//! Without the first two everything but the self-test still builds.

use std::path::{Path, PathBuf};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() {
    if let Err(error) = build() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-search={}", out.display());
    fs::write(out.join("memory.x"), memory_map(ram_kib()?))?;
    fs::write(out.join("embedded.rs"), embedded()?)?;
    Ok(())
}

fn ram_kib() -> Result<u32> {
    match input("KSCOUT_RAM_KIB") {
        None => Ok(512),
        Some(text) => text
            .parse()
            .ok()
            .filter(|kib| (1..=4096).contains(kib))
            .ok_or_else(|| format!("KSCOUT_RAM_KIB is {text}, expected 1 to 4096").into()),
    }
}

/// The board's map, MPS2 with AN386: 4 MiB of flash at 0 (code, weights and, here, the captured slice) and 4 MiB of RAM,
/// of which the firmware gets `ram_kib`.
fn memory_map(ram_kib: u32) -> String {
    format!(
        "MEMORY\n{{\n  FLASH : ORIGIN = 0x00000000, LENGTH = 4M\n  RAM : ORIGIN = 0x20000000, LENGTH = {ram_kib}K\n}}\n"
    )
}

/// Source of the constants that `src/bin/selftest/embedded.rs` includes.
fn embedded() -> Result<String> {
    let (Some(blob), Some(scan)) = (input("KSCOUT_BLOB"), input("KSCOUT_SCAN")) else {
        return Ok("compile_error!(\"set KSCOUT_BLOB and KSCOUT_SCAN to an exported model and a captured slice, \
                   or use run.sh selftest BLOB SCAN\");\n"
            .into());
    };
    let (blob, scan) = (absolute("KSCOUT_BLOB", &blob)?, absolute("KSCOUT_SCAN", &scan)?);
    let arena = arena_bytes(&blob)?;
    Ok(format!(
        "/// Bytes that the model asks for.\npub const ARENA_BYTES: usize = {arena};\n\
         static BLOB: &Aligned<[u8]> = &Aligned(*include_bytes!({blob:?}));\n\
         static SCAN: &Aligned<[u8]> = &Aligned(*include_bytes!({scan:?}));\n"
    ))
}

/// Size of the static arena: what the core itself says this model needs.
fn arena_bytes(blob: &Path) -> Result<usize> {
    let bytes = fs::read(blob).map_err(|e| format!("KSCOUT_BLOB {}: {e}", blob.display()))?;
    let model =
        kscout_core::model::Model::new_checked(&bytes).map_err(|e| format!("KSCOUT_BLOB {}: {e}", blob.display()))?;
    Ok(kscout_core::scan::arena_bytes(&model))
}

fn input(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn absolute(name: &str, path: &str) -> Result<PathBuf> {
    println!("cargo::rerun-if-changed={path}");
    fs::canonicalize(path).map_err(|e| format!("{name} {path}: {e}").into())
}
