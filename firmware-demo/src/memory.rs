//! Where memory went: flash, static RAM, and how deep the stack has been.

use cortex_m_rt::STACK_PAINT_VALUE;

// Ends of the sections, from cortex-m-rt's linker script. Only their addresses mean anything.
unsafe extern "C" {
    static __vector_table: u8;
    static __stext: u8;
    static __erodata: u8;
    static __sdata: u8;
    static __edata: u8;
    static __suninit: u8;
    static __euninit: u8;
    static __sbss: u8;
    static __ebss: u8;
    static _stack_end: u32;
    static _stack_start: u32;
}

fn bytes(start: *const u8, end: *const u8) -> usize {
    end.addr().saturating_sub(start.addr())
}

/// Bytes of flash in use, from the vector table to the initial values of variables.
pub fn flash() -> usize {
    // 496 vectors at most; code need not follow them.
    bytes(&raw const __vector_table, &raw const __stext).min(496 * 4)
        + bytes(&raw const __stext, &raw const __erodata)
        + bytes(&raw const __sdata, &raw const __edata)
}

/// Bytes of RAM given to variables, arena included.
pub fn statics() -> usize {
    bytes(&raw const __sdata, &raw const __edata)
        + bytes(&raw const __sbss, &raw const __ebss)
        + bytes(&raw const __suninit, &raw const __euninit)
}

/// Bytes of RAM left over for the stack.
pub fn stack_room() -> usize {
    bytes((&raw const _stack_end).cast(), (&raw const _stack_start).cast())
}

/// The most stack ever in use, in bytes: start-up code painted all of it, and what is no longer paint has been used.
pub fn stack_high_water() -> usize {
    let end = &raw const _stack_start;
    let mut word = &raw const _stack_end;
    // SAFETY: both symbols bound one aligned region of RAM that belongs to the stack; volatile, since the part in use is
    // changing under the compiler's eyes.
    while word < end && unsafe { word.read_volatile() } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    end.addr() - word.addr()
}
