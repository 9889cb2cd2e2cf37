//! Memory that tensors give back is kept for those of the next step.
//!
//! A step of a training takes and gives back the same large pieces again and again. The C library of Linux hands pieces of that size
//! back to the kernel at once, and every page of the next ones has to be cleared and mapped anew: a seventh of the time of a step
//! of UNeXt-S.
//!
//! It also gives each thread that comes late an arena of its own, made of heaps of 64 MB that come and go with what is in them. A
//! training runs on such a thread, and whether its tensors filled a heap just so, or a little more, made steps of UNeXt-S on two
//! threads take 44 or 60 ms, with 47,000 or 200,000 new pages in 40 steps. With one arena for all there are 26,000, always.

/// Makes the allocator keep what is given back, up to a gigabyte at the end of its memory, in one arena for all threads. Does nothing
/// where the allocator is another one.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    {
        const GIGABYTE: i32 = 1 << 30;
        // SAFETY: mallopt takes any numbers; what it does not know it leaves as it is.
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_TRIM_THRESHOLD, GIGABYTE);
        }
    }
}
