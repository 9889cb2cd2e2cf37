//! Memory that tensors give back is kept for those of the next step.
//!
//! A step of a training takes and gives back the same large pieces again and again. The C library of Linux hands pieces of that size
//! back to the kernel at once, and every page of the next ones has to be cleared and mapped anew: a seventh of the time of a step
//! of UNeXt-S.

/// Makes the allocator keep what is given back, up to a gigabyte at the end of its memory. Does nothing where the allocator is
/// another one.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    {
        const GIGABYTE: i32 = 1 << 30;
        // SAFETY: mallopt takes any numbers; what it does not know it leaves as it is.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, GIGABYTE);
        }
    }
}
