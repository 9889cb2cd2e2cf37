//! Moving bytes, 16 at a time: three instructions each, where the compiler's own functions take words.
#![allow(unsafe_code)]

use core::arch::asm;

/// Fills `to` with the start of `from`. `None`, with nothing done, if that is shorter.
#[inline]
pub(super) fn copy(from: &[i8], to: &mut [i8]) -> Option<()> {
    let from = from.get(..to.len())?;
    // SAFETY: reads and writes as many bytes as both slices hold: lanes beyond are masked out by the loop.
    unsafe {
        asm!(
            "wlstp.8 lr, {len}, 3f",
            "2:",
            "vldrb.u8 q0, [{from}], #16",
            "vstrb.8 q0, [{to}], #16",
            "letp lr, 2b",
            "3:",
            len = in(reg) to.len(),
            from = inout(reg) from.as_ptr() => _,
            to = inout(reg) to.as_mut_ptr() => _,
            out("lr") _, out("d0") _, out("d1") _,
            options(nostack, preserves_flags)
        );
    }
    Some(())
}

/// Fills `to` with one value.
#[inline]
pub(super) fn fill(to: &mut [i8], value: i8) {
    // SAFETY: writes as many bytes as `to` holds: lanes beyond are masked out by the loop.
    unsafe {
        asm!(
            "vdup.8 q0, {value}",
            "wlstp.8 lr, {len}, 3f",
            "2:",
            "vstrb.8 q0, [{to}], #16",
            "letp lr, 2b",
            "3:",
            len = in(reg) to.len(),
            value = in(reg) i32::from(value),
            to = inout(reg) to.as_mut_ptr() => _,
            out("lr") _, out("d0") _, out("d1") _,
            options(nostack, preserves_flags)
        );
    }
}
