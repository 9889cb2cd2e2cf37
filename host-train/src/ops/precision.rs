//! How the products of convolutions read their factors, set for a stretch of work.

use std::cell::Cell;

pub use super::kernels::Precision;

thread_local! {
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// What products are taken with on this thread.
pub(super) fn precision() -> Precision {
    PRECISION.get()
}

/// Runs `work` with products in `precision`: those of its forward passes, and of the backward passes that belong to them.
pub fn with_precision<T>(precision: Precision, work: impl FnOnce() -> T) -> T {
    /// Puts back what was before, also where `work` ends by a panic.
    struct Before(Precision);
    impl Drop for Before {
        fn drop(&mut self) {
            PRECISION.set(self.0);
        }
    }
    let _before = Before(PRECISION.replace(precision));
    work()
}
