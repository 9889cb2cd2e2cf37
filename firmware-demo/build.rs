//! Writes the linker's memory map and, for the self-test, embeds a model and a captured scan.
//!
//! * `KSCOUT_BLOB`: the exported model, `.kscout`.
//! * `KSCOUT_SCAN`: the captured slice or volume with the host's result, `.kscan`.
//! * `KSCOUT_CORE`: `m4` (the default), `m33` or `m55`, which decides on the emulated board.
//! * `KSCOUT_RAM_KIB`: RAM the linker may use. By default 512, which is the budget of the project, or all of the emulated board's
//!   for a scan that needs more. What does not fit is refused here, before anything is linked, with its size.
//!
//! Without the first two everything but the self-test still builds.

use std::path::{Path, PathBuf};
use std::{env, fs};

use kscout_core::capture::Stored;
use kscout_core::kernels::Portable;
use kscout_core::model::Model;
use kscout_core::scan::arena_bytes_with;
use kscout_core::volume::volume_arena_bytes_with;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// RAM that the project allows itself for variables, arena and stack, and flash for weights and code.
const RAM_KIB: u32 = 512;
const FLASH_LIMIT: usize = 768 * 1024;
/// RAM of the emulated boards.
const BOARD_RAM_KIB: u32 = 4096;
/// Room for the code, of which the self-test has been seen to take 160 KB.
const CODE_BYTES: usize = 256 * 1024;
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
    let board = Board::of_core()?;
    let (source, ram_kib) = embedded(&board)?;
    fs::write(out.join("memory.x"), board.memory_map(ram_kib))?;
    fs::write(out.join("embedded.rs"), source)?;
    Ok(())
}

/// RAM that was asked for.
fn asked_ram_kib() -> Result<Option<u32>> {
    let Some(text) = input("KSCOUT_RAM_KIB") else { return Ok(None) };
    let kib = text.parse().ok().filter(|kib| (1..=BOARD_RAM_KIB).contains(kib));
    kib.map(Some).ok_or_else(|| format!("KSCOUT_RAM_KIB is {text}, expected 1 to {BOARD_RAM_KIB}").into())
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

    /// Bytes for code, weights and the captured scan.
    fn room(&self) -> usize {
        let end = self.flash + (self.flash_mib << 20);
        (end - self.code.unwrap_or(self.flash)) as usize
    }

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

/// Source of the constants that `src/bin/selftest/embedded.rs` includes, and the RAM that the linker gets in KiB. Refuses what
/// does not fit.
fn embedded(board: &Board) -> Result<(String, u32)> {
    let asked = asked_ram_kib()?;
    let (Some(blob), Some(scan)) = (input("KSCOUT_BLOB"), input("KSCOUT_SCAN")) else {
        let source = "compile_error!(\"set KSCOUT_BLOB and KSCOUT_SCAN to an exported model and a captured scan, \
                      or use run.sh selftest BLOB SCAN\");\n";
        return Ok((source.into(), asked.unwrap_or(RAM_KIB)));
    };
    let (blob, scan) = (absolute("KSCOUT_BLOB", &blob)?, absolute("KSCOUT_SCAN", &scan)?);
    let Sizes { arena, width } = sizes(&blob, &scan)?;
    let needed = (arena + STACK_BYTES).div_ceil(1024);
    let ram_kib = asked.unwrap_or(if needed <= RAM_KIB as usize { RAM_KIB } else { BOARD_RAM_KIB });
    if needed > ram_kib as usize {
        return Err(format!(
            "KSCOUT_SCAN {}: the scan needs {arena} bytes of arena and {STACK_BYTES} of stack, {needed} KiB together, and there are \
             {ram_kib} KiB of RAM; take a smaller model, or a smaller budget if it is of a volume, or set KSCOUT_RAM_KIB to {needed} \
             or more (the emulated boards have {BOARD_RAM_KIB})",
            scan.display(),
        )
        .into());
    }
    let bytes = [&blob, &scan].map(|path| fs::metadata(path).map_or(0, |found| found.len() as usize));
    let (flash, room) = (bytes[0] + bytes[1] + CODE_BYTES, board.room());
    if flash > room {
        return Err(format!(
            "KSCOUT_BLOB {}: the model takes {} bytes, the stored scan {} and the code up to {CODE_BYTES}, {} KiB together, and the \
             board has {} KiB for them; take a smaller model",
            blob.display(),
            bytes[0],
            bytes[1],
            flash.div_ceil(1024),
            room / 1024,
        )
        .into());
    }
    let ram_limit = asked.unwrap_or(RAM_KIB) as usize * 1024;
    let source = format!(
        "/// Bytes that the scan asks for.\npub const ARENA_BYTES: usize = {arena};\n\
         /// Lines of the model's images.\npub const WIDTH: usize = {width};\n\
         /// RAM that there is to be for variables, arena and stack.\npub const RAM_LIMIT: usize = {ram_limit};\n\
         /// Flash that there is to be for weights and code.\npub const FLASH_LIMIT: usize = {FLASH_LIMIT};\n\
         static BLOB: &Aligned<[u8]> = &Aligned(*include_bytes!({blob:?}));\n\
         static SCAN: &Aligned<[u8]> = &Aligned(*include_bytes!({scan:?}));\n"
    );
    Ok((source, ram_kib))
}

/// What the firmware knows of its model when it is compiled.
struct Sizes {
    /// Bytes of the static arena: what the core itself says that the scan needs. Its sets for Cortex-M take the scratch of the
    /// portable one; those of the machine that builds this may take more.
    arena: usize,
    /// Lines of an image.
    width: usize,
}

fn sizes(blob: &Path, scan: &Path) -> Result<Sizes> {
    let [(blob, blob_name), (scan, scan_name)] = [read("KSCOUT_BLOB", blob)?, read("KSCOUT_SCAN", scan)?];
    let model = Model::new_checked(&blob).map_err(|e| format!("{blob_name}: {e}"))?;
    let arena = match Stored::new_checked(&scan).map_err(|e| format!("{scan_name}: {e}"))? {
        Stored::Slice(_) => arena_bytes_with(&model, &Portable),
        Stored::Volume(volume) => volume_arena_bytes_with(&model, volume.slices(), volume.budget(), &Portable),
    };
    Ok(Sizes { arena, width: model.width() })
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
