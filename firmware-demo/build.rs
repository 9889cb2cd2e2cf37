//! Writes the linker's memory map and, for the self-test, embeds a model and a captured scan.
//!
//! * `KSCOUT_BLOB`: the exported model, `.kscout`.
//! * `KSCOUT_SCAN`: the captured slice or volume with the host's result, `.kscan`.
//! * `KSCOUT_CORE`: `m4` (the default), `m33` or `m55`, which decides on the emulated board.
//! * `KSCOUT_RAM_KIB`: RAM the linker may use; 512 by default, which is the budget of the project. A scan that needs more is
//!   refused here, with its size.
//!
//! Without the first two everything but the self-test still builds.

use std::path::{Path, PathBuf};
use std::{env, fs};

use kscout_core::capture::Stored;
use kscout_core::model::Model;
use kscout_core::volume::volume_arena_bytes;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Room for the stack, of which scans have been seen to take 18,236 bytes.
const STACK_BYTES: usize = 20 * 1024;

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
    let ram_kib = ram_kib()?;
    fs::write(out.join("memory.x"), Board::of_core()?.memory_map(ram_kib))?;
    fs::write(out.join("embedded.rs"), embedded(ram_kib)?)?;
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

/// Where a board has memory for code, weights and, here, the captured scan ("flash"), and where for variables.
struct Board {
    /// Start of the vector table, where the core looks for it after a reset.
    flash: u32,
    flash_mib: u32,
    /// Start of the code, if not right after the vector table.
    code: Option<u32>,
    ram: u32,
}

impl Board {
    fn of_core() -> Result<Self> {
        match input("KSCOUT_CORE").as_deref() {
            None | Some("m4") => Ok(Self::AN386),
            Some("m33") => Ok(Self::AN505),
            Some("m55") => Ok(Self::AN547),
            Some(other) => Err(format!("KSCOUT_CORE is {other}, expected m4, m33 or m55").into()),
        }
    }

    /// MPS2 with AN386, Cortex-M4: 4 MiB at 0 and 4 MiB of RAM.
    const AN386: Self = Self { flash: 0, flash_mib: 4, code: None, ram: 0x2000_0000 };
    /// MPS2 with AN505, Cortex-M33, which starts in the secure state: 4 MiB and 4 MiB, by their secure addresses.
    const AN505: Self = Self { flash: 0x1000_0000, flash_mib: 4, code: None, ram: 0x3800_0000 };
    /// MPS3 with AN547, Cortex-M55: vectors in the 512 KiB of ITCM at 0, which are too few for a model and a slice, the rest
    /// in 2 MiB of SRAM 16 MiB higher; RAM by its secure address.
    const AN547: Self = Self { flash: 0, flash_mib: 18, code: Some(0x0100_0000), ram: 0x3100_0000 };

    /// The map for the linker; the firmware gets `ram_kib` of RAM.
    fn memory_map(&self, ram_kib: u32) -> String {
        let Self { flash, flash_mib, code, ram } = self;
        let code = code.map_or(String::new(), |code| format!("_stext = {code:#x};\n"));
        format!(
            "MEMORY\n{{\n  FLASH : ORIGIN = {flash:#x}, LENGTH = {flash_mib}M\n  RAM : ORIGIN = {ram:#x}, LENGTH = \
             {ram_kib}K\n}}\n{code}"
        )
    }
}

/// Source of the constants that `src/bin/selftest/embedded.rs` includes. Refuses a scan that needs more than `ram_kib`.
fn embedded(ram_kib: u32) -> Result<String> {
    let (Some(blob), Some(scan)) = (input("KSCOUT_BLOB"), input("KSCOUT_SCAN")) else {
        return Ok("compile_error!(\"set KSCOUT_BLOB and KSCOUT_SCAN to an exported model and a captured scan, \
                   or use run.sh selftest BLOB SCAN\");\n"
            .into());
    };
    let (blob, scan) = (absolute("KSCOUT_BLOB", &blob)?, absolute("KSCOUT_SCAN", &scan)?);
    let arena = arena_bytes(&blob, &scan)?;
    if arena + STACK_BYTES > ram_kib as usize * 1024 {
        return Err(format!(
            "KSCOUT_SCAN {}: the scan needs {arena} bytes of arena and {STACK_BYTES} of stack, and there are {ram_kib} KiB of RAM; take \
             a smaller model, or a smaller budget if it is of a volume, or set KSCOUT_RAM_KIB (the emulated boards have 4096)",
            scan.display(),
        )
        .into());
    }
    Ok(format!(
        "/// Bytes that the scan asks for.\npub const ARENA_BYTES: usize = {arena};\n\
         static BLOB: &Aligned<[u8]> = &Aligned(*include_bytes!({blob:?}));\n\
         static SCAN: &Aligned<[u8]> = &Aligned(*include_bytes!({scan:?}));\n"
    ))
}

/// Size of the static arena: what the core itself says that the scan needs.
fn arena_bytes(blob: &Path, scan: &Path) -> Result<usize> {
    let [(blob, blob_name), (scan, scan_name)] = [read("KSCOUT_BLOB", blob)?, read("KSCOUT_SCAN", scan)?];
    let model = Model::new_checked(&blob).map_err(|e| format!("{blob_name}: {e}"))?;
    Ok(match Stored::new_checked(&scan).map_err(|e| format!("{scan_name}: {e}"))? {
        Stored::Slice(_) => kscout_core::scan::arena_bytes(&model),
        Stored::Volume(volume) => volume_arena_bytes(&model, volume.slices(), volume.budget()),
    })
}

/// A file's bytes, and how messages call it.
fn read(name: &str, path: &Path) -> Result<(Vec<u8>, String)> {
    let name = format!("{name} {}", path.display());
    let bytes = fs::read(path).map_err(|e| format!("{name}: {e}"))?;
    Ok((bytes, name))
}

fn input(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn absolute(name: &str, path: &str) -> Result<PathBuf> {
    println!("cargo::rerun-if-changed={path}");
    fs::canonicalize(path).map_err(|e| format!("{name} {path}: {e}").into())
}
