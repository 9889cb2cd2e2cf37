//! The whole run path with nothing known about its inputs: for `run.sh nopanic`, which shows that no panic can be reached
//! from it, and `run.sh size`. It is linked and looked at, not run.
#![no_std]
#![no_main]

use core::slice;

use cortex_m_rt::entry;
use kscout_core::Complex32;
use kscout_core::arena::StaticArena;
use kscout_core::capture::{Capture, MAX_SIDE, VolumeCapture};
use kscout_core::model::Model;
use kscout_core::scan::Scan;
use kscout_core::volume::VolumeScan;
// For the panic handler.
use kscout_firmware as _;

/// Address and length of bytes that something else has put into memory.
struct Region(*const u8, usize);

static mut BLOB: Region = Region(core::ptr::null(), 0);
static mut SCAN: Region = Region(core::ptr::null(), 0);
static mut DIGEST: u64 = 0;

/// The bytes of a region. Volatile, so that the compiler cannot know any of them.
fn bytes(region: *const Region) -> &'static [u8] {
    // SAFETY: never run; a loader would have filled the region in.
    unsafe {
        let Region(start, len) = region.read_volatile();
        slice::from_raw_parts(start, len)
    }
}

#[entry]
fn main() -> ! {
    static mut ARENA: StaticArena<{ 384 * 1024 }> = StaticArena::new();
    let (blob, capture) = (bytes(&raw const BLOB), bytes(&raw const SCAN));
    let digests = [scan(blob, capture, ARENA.as_mut_slice()), volume(blob, capture, ARENA.as_mut_slice())];
    for digest in digests.into_iter().flatten() {
        // SAFETY: nothing else runs.
        unsafe { (&raw mut DIGEST).write_volatile(digest) }
    }
    #[cfg(feature = "panic-probe")]
    probe();
    loop {
        cortex_m::asm::wfi();
    }
}

fn scan(blob: &[u8], scan: &[u8], arena: &mut [u8]) -> Option<u64> {
    let capture = Capture::new_checked(scan).ok()?;
    let model = Model::new_checked(blob).ok()?;
    let mut samples = [Complex32::default(); MAX_SIDE];
    let mut scan = Scan::new(&model, arena).ok()?;
    scan.start(capture.budget()).ok()?;
    while let Some(line) = scan.propose().ok()? {
        let samples = samples.get_mut(..capture.height())?;
        capture.copy_line(line, samples).ok()?;
        scan.push_line(line, samples).ok()?;
    }
    scan.digest().ok()
}

fn volume(blob: &[u8], scan: &[u8], arena: &mut [u8]) -> Option<u64> {
    let capture = VolumeCapture::new_checked(scan).ok()?;
    let model = Model::new_checked(blob).ok()?;
    let mut samples = [Complex32::default(); MAX_SIDE];
    let mut scan = VolumeScan::new(&model, arena, capture.slices(), capture.budget()).ok()?;
    while let Some(place) = scan.propose_gaining(capture.least_gain()).ok()? {
        let samples = samples.get_mut(..capture.height())?;
        capture.copy_line(place, samples).ok()?;
        scan.push_line(place, samples).ok()?;
    }
    scan.digest().ok()
}

/// An index that nothing bounds: has to be seen by the check.
#[cfg(feature = "panic-probe")]
fn probe() {
    let bytes = bytes(&raw const BLOB);
    // SAFETY: as in `main`.
    unsafe { (&raw mut DIGEST).write_volatile(u64::from(bytes[bytes.len() / 2])) }
}
