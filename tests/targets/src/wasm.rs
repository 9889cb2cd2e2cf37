//! What run.mjs calls. Text goes out through the function `print` that it gives.

use std::slice;

unsafe extern "C" {
    fn print(text: *const u8, len: usize);
}

/// Memory for a file of so many bytes, kept for good.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(len: usize) -> *mut u8 {
    Box::leak(vec![0; len].into_boxed_slice()).as_mut_ptr()
}

/// [`agreement`](crate::agreement): whether all agreed.
#[unsafe(no_mangle)]
pub extern "C" fn agreement() -> bool {
    say(crate::agreement())
}

/// [`scan`](crate::scan): whether the digests are the host's.
///
/// # Safety
/// Both files lie in memory from [`allocate`], of these lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scan(blob: *const u8, blob_len: usize, capture: *const u8, capture_len: usize) -> bool {
    // SAFETY: the caller's promise; nothing writes to that memory any more.
    let files = unsafe { (slice::from_raw_parts(blob, blob_len), slice::from_raw_parts(capture, capture_len)) };
    say(crate::scan(files.0, files.1))
}

fn say(result: Result<String, String>) -> bool {
    let ok = result.is_ok();
    let text = result.unwrap_or_else(|wrong| wrong + "\n");
    // SAFETY: `print` reads these bytes and keeps nothing.
    unsafe { print(text.as_ptr(), text.len()) };
    ok
}
