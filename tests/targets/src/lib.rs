//! What is checked on every target that this crate is built for: each kernel set agrees with the reference over random
//! operators, and a captured scan of a slice or a volume gives the digest that the host had.

use std::error::Error;

use kscout_core::Complex32;
use kscout_core::arena::{ARENA_ALIGN, StaticArena};
use kscout_core::capture::{Capture, Stored, VolumeCapture, blob_crc};
use kscout_core::kernels::agreement::check;
use kscout_core::kernels::{Kernels, Portable};
use kscout_core::model::Model;
use kscout_core::scan::{Scan, arena_bytes_with};
use kscout_core::volume::{VolumeScan, volume_arena_bytes_with};

#[cfg(target_arch = "wasm32")]
mod wasm;

/// Every target takes the first cases of this seed, as the firmware does.
const SEED: u64 = 0x6b73_636f_7574;
const CASES: u32 = 2400;
/// Memory for [`check`], with room for the scratch of sets that want more than the portable one.
pub const MEMORY_BYTES: usize = 4 << 20;

/// The kernel sets that run on this core.
pub fn sets() -> Vec<Box<dyn Kernels>> {
    #[allow(unused_mut, reason = "on other targets there is one set")]
    let mut sets: Vec<Box<dyn Kernels>> = vec![Box::new(Portable)];
    #[cfg(target_arch = "x86_64")]
    for set in kscout_core::kernels::Level::ALL.into_iter().filter_map(kscout_core::kernels::X86::with_level) {
        sets.push(Box::new(set));
    }
    #[cfg(target_arch = "aarch64")]
    {
        use kscout_core::kernels::Neon;
        sets.push(Box::new(Neon::without_dotprod()));
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the core was just asked whether it has the feature.
            sets.push(Box::new(unsafe { Neon::with_dotprod() }));
        }
    }
    sets
}

/// Compares every set with the reference over random operators; a line for each set, `Err` with the first that does not
/// agree.
///
/// # Errors
/// The operator that did not agree, in words.
pub fn agreement() -> Result<String, String> {
    let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
    let mut report = String::new();
    for set in sets() {
        let summary = check(&*set, SEED, CASES, memory.as_mut_slice()).map_err(|wrong| wrong.to_string())?;
        report += &format!("{}: {} cases agree\n", set.name(), summary.cases());
    }
    Ok(report)
}

/// Repeats a captured scan of a slice or a volume with every set; a line for each set, `Err` with the first that has not the
/// host's digest.
///
/// # Errors
/// That set and its digest, or what is wrong with the files, in words.
pub fn scan(blob: &[u8], stored: &[u8]) -> Result<String, String> {
    let model = Model::new_checked(blob).map_err(|error| error.to_string())?;
    let stored = Stored::new_checked(stored).map_err(|error| error.to_string())?;
    if stored.blob_crc() != blob_crc(blob) {
        return Err("the scan was captured with another model".into());
    }
    let mut report = String::new();
    for set in sets() {
        let (name, expected) = (set.name(), stored.digest());
        let found = match &stored {
            Stored::Slice(capture) => replay(&model, capture, &*set),
            Stored::Volume(capture) => replay_volume(&model, capture, &*set),
        };
        let found = found.map_err(|error| format!("{name}: {error}"))?;
        if found != expected {
            return Err(format!("{name}: digest {found:#018x}, NOT the host's {expected:#018x}"));
        }
        report += &format!("{name}: digest {found:#018x}\n");
    }
    Ok(report)
}

/// The digest of the scan: the policy chooses the lines, unless they were given, and the capture answers.
fn replay(model: &Model<'_>, capture: &Capture<'_>, kernels: &dyn Kernels) -> Result<u64, Box<dyn Error>> {
    let mut arena = Arena::new(arena_bytes_with(model, kernels));
    let mut scan = Scan::with_kernels(model, arena.bytes(), kernels)?;
    let mut samples = vec![Complex32::default(); capture.height()];
    scan.start(capture.budget())?;
    let given = capture.given() || model.policy().is_none();
    let mut lines = capture.lines();
    while let Some(line) = if given { lines.next() } else { scan.propose()? } {
        capture.copy_line(line, &mut samples)?;
        scan.push_line(line, &samples)?;
    }
    Ok(scan.digest()?)
}

/// The same of a volume: the slice policy chooses the slices.
fn replay_volume(model: &Model<'_>, capture: &VolumeCapture<'_>, kernels: &dyn Kernels) -> Result<u64, Box<dyn Error>> {
    let (slices, budget) = (capture.slices(), capture.budget());
    let mut arena = Arena::new(volume_arena_bytes_with(model, slices, budget, kernels));
    let mut scan = VolumeScan::with_kernels(model, arena.bytes(), slices, budget, kernels)?;
    let mut samples = vec![Complex32::default(); capture.height()];
    while let Some(place) = scan.propose_gaining(capture.least_gain())? {
        capture.copy_line(place, &mut samples)?;
        scan.push_line(place, &samples)?;
    }
    Ok(scan.digest()?)
}

/// Aligned memory of a size that is known when the program runs.
struct Arena(Vec<u8>);

impl Arena {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes + ARENA_ALIGN])
    }

    fn bytes(&mut self) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(ARENA_ALIGN);
        &mut self.0[start..]
    }
}
