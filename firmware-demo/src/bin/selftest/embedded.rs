//! The model and the captured scan, in flash, and the arena, in RAM: build.rs says which files and how large.

use kscout_core::arena::StaticArena;
use kscout_core::kspace::LineMask;

/// Keeps what it holds at an address that kernels can read words from.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The arena, as large as the scan asks for.
pub type Arena = StaticArena<ARENA_BYTES>;

/// The lines that the scanner has measured of a slice. Firmware is built for one model, so their number is part of the type.
pub type Measured = LineMask<WIDTH>;

/// The exported model.
pub fn blob() -> &'static [u8] {
    &BLOB.0
}

/// The captured slice or volume.
pub fn scan() -> &'static [u8] {
    &SCAN.0
}
