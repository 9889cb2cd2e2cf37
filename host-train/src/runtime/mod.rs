//! The kernels that run exported networks on this machine: the one place where the host chooses them.

use std::borrow::Cow;
use std::sync::OnceLock;

use kscout_core::Complex32;
use kscout_core::kernels::{Kernels, Layout, Native};
use kscout_core::kspace::{Reconstructor, SetupError};
use kscout_core::model::Model;
use kscout_core::scan::{Scan, arena_bytes_with};

pub use arena::HeapArena;
pub use reconstructor::{HeapReconstructor, HostReconstructor};
pub use threaded::Threaded;

mod arena;
mod reconstructor;
mod threaded;

/// A kernel set that was chosen at run time.
pub type HostKernels = &'static (dyn Kernels + Send + Sync);

/// A scan with the host's kernels.
pub type HostScan<'m, 'a> = Scan<'m, 'a, HostKernels>;

/// The fastest set that this machine runs; every set gives the same bytes.
pub fn fastest() -> HostKernels {
    static FASTEST: OnceLock<Box<dyn Kernels + Send + Sync>> = OnceLock::new();
    &**FASTEST.get_or_init(detect)
}

/// The layout of weights that the fastest set reads best, for networks that stay in memory.
pub const LAYOUT: Layout = if cfg!(target_arch = "x86_64") {
    Layout::X86_64
} else if cfg!(target_arch = "aarch64") {
    Layout::Aarch64
} else {
    Layout::Portable
};

#[cfg(target_arch = "x86_64")]
fn detect() -> Box<dyn Kernels + Send + Sync> {
    match kscout_core::kernels::X86::detect() {
        Some(set) => Box::new(set),
        None => Box::new(Native::default()),
    }
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Box<dyn Kernels + Send + Sync> {
    if !std::arch::is_aarch64_feature_detected!("dotprod") {
        return Box::new(Native::default());
    }
    // SAFETY: this core has just been found to have the dot product.
    Box::new(unsafe { kscout_core::kernels::Neon::with_dotprod() })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Box<dyn Kernels + Send + Sync> {
    Box::new(Native::default())
}

/// Memory for a scan with the host's kernels.
pub fn scan_arena(model: &Model<'_>) -> HeapArena {
    HeapArena::new(arena_bytes_with(model, &fastest()))
}

/// A scan with the host's kernels, in memory from [`scan_arena`].
///
/// # Errors
/// Those of [`Scan::with_kernels`].
pub fn scan<'m, 'a>(model: &Model<'m>, arena: &'a mut HeapArena) -> Result<HostScan<'m, 'a>, SetupError> {
    Scan::with_kernels(model, arena.bytes(), fastest())
}

/// The reconstructed image of the lines measured so far, row-major, before its magnitude is taken: what the networks see of a
/// scan, neither quantised nor made equal in brightness.
pub fn reconstructed<'s, K: Kernels>(image: &'s Reconstructor<'_, K>) -> Cow<'s, [Complex32]> {
    if !image.plan().reconstruction().has_second_image() {
        return Cow::Borrowed(image.zero_filled());
    }
    let mut whole = vec![Complex32::ZERO; image.zero_filled().len()];
    image.reconstruct(&mut whole).expect("an image of its own size, not aliased");
    Cow::Owned(whole)
}
