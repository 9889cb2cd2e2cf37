//! Single instructions of the DSP extension that stable Rust has no name for.
//!
//! Each is one instruction (a few where flags pass between them), touches no memory and takes registers of the
//! compiler's choice, so that LLVM schedules and allocates around it.
//!
//! A *pair* is two signed 16-bit lanes in a word, the low one first; a *quad* is four bytes, the lowest first.

// Without an FPU layer normalisation is the portable one.
#![cfg_attr(not(target_abi = "eabihf"), allow(dead_code))]

use core::arch::asm;

/// A function of registers alone that is one instruction.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $result:ty, $text:literal $(, $option:ident)*) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($arg: $type),*) -> $result {
            let result: $result;
            // SAFETY: an instruction from registers to a register; it touches neither memory nor the stack.
            unsafe {
                asm!($text, $($arg = in(reg) $arg,)* out = lateout(reg) result, options(pure, nomem, nostack $(, $option)*));
            }
            result
        }
    };
}

instruction! {
    /// Bytes 0 and 2 of a quad as a pair, sign-extended.
    sxtb16(quad: u32) -> u32, "sxtb16 {out}, {quad}", preserves_flags
}
instruction! {
    /// Bytes 1 and 3 of a quad as a pair, sign-extended.
    sxtb16_odd(quad: u32) -> u32, "sxtb16 {out}, {quad}, ror #8", preserves_flags
}
instruction! {
    /// `pair` and bytes 0 and 2 of a quad, added by lanes.
    sxtab16(pair: u32, quad: u32) -> u32, "sxtab16 {out}, {pair}, {quad}", preserves_flags
}
instruction! {
    /// `pair` and bytes 1 and 3 of a quad, added by lanes.
    sxtab16_odd(pair: u32, quad: u32) -> u32, "sxtab16 {out}, {pair}, {quad}, ror #8", preserves_flags
}
instruction! {
    /// Two pairs added by lanes.
    sadd16(a: u32, b: u32) -> u32, "sadd16 {out}, {a}, {b}"
}
instruction! {
    /// `sum` and the two products of lanes.
    smlad(a: u32, b: u32, sum: i32) -> i32, "smlad {out}, {a}, {b}, {sum}"
}
instruction! {
    /// `(factor * low lane) >> 16`, exactly, and `sum`.
    smlawb(factor: i32, pair: u32, sum: i32) -> i32, "smlawb {out}, {factor}, {pair}, {sum}"
}
instruction! {
    /// `(factor * high lane) >> 16`, exactly, and `sum`.
    smlawt(factor: i32, pair: u32, sum: i32) -> i32, "smlawt {out}, {factor}, {pair}, {sum}"
}
instruction! {
    /// `(a * b + 2^31) >> 32`, exactly, and `sum`.
    smmlar(a: i32, b: i32, sum: i32) -> i32, "smmlar {out}, {a}, {b}, {sum}", preserves_flags
}
instruction! {
    /// `value` limited to 0 ..= 255.
    usat8(value: i32) -> u32, "usat {out}, #8, {value}"
}
instruction! {
    /// Bytes added, each limited to 255.
    uqadd8(a: u32, b: u32) -> u32, "uqadd8 {out}, {a}, {b}", preserves_flags
}
instruction! {
    /// Bytes subtracted, each modulo 256.
    usub8(a: u32, b: u32) -> u32, "usub8 {out}, {a}, {b}"
}

instruction! {
    /// The low halves of both words.
    low_halves(low: u32, high: u32) -> u32, "pkhbt {out}, {low}, {high}, lsl #16", preserves_flags
}
instruction! {
    /// The high halves of both words.
    high_halves(low: u32, high: u32) -> u32, "pkhtb {out}, {high}, {low}, asr #16", preserves_flags
}

/// `value >> SHIFT`, limited to 0 ..= 255.
#[inline(always)]
pub(super) fn usat8_asr<const SHIFT: u32>(value: i32) -> u32 {
    let result;
    // SAFETY: an instruction from a register to a register.
    unsafe {
        asm!("usat {out}, #8, {value}, asr #{shift}", value = in(reg) value, out = lateout(reg) result, shift = const SHIFT,
            options(pure, nomem, nostack));
    }
    result
}

/// The larger one of each signed byte.
#[inline(always)]
pub(super) fn max_bytes(a: u32, b: u32) -> u32 {
    let result;
    // SAFETY: the first instruction sets the flags that the second one selects by; both stay within registers.
    unsafe {
        asm!("ssub8 {out}, {a}, {b}", "sel {out}, {a}, {b}", a = in(reg) a, b = in(reg) b, out = out(reg) result,
            options(pure, nomem, nostack));
    }
    result
}

/// The larger one of each signed byte, and the byte of `x` where that is `a`'s (also where both are equal), of `y` where
/// it is `b`'s.
#[inline(always)]
pub(super) fn max_bytes_with(a: u32, b: u32, x: u32, y: u32) -> (u32, u32) {
    let (max, chosen);
    // SAFETY: as in `max_bytes`.
    unsafe {
        asm!("ssub8 {max}, {a}, {b}", "sel {max}, {a}, {b}", "sel {chosen}, {x}, {y}", a = in(reg) a, b = in(reg) b,
            x = in(reg) x, y = in(reg) y, max = out(reg) max, chosen = lateout(reg) chosen,
            options(pure, nomem, nostack));
    }
    (max, chosen)
}

/// Of two quads bytes 0 and 2, and bytes 1 and 3, alternating: `a0 b0 a2 b2` and `a1 b1 a3 b3`.
#[inline(always)]
pub(super) fn weave(a: u32, b: u32) -> (u32, u32) {
    let (even, odd);
    // SAFETY: sets the flags that it selects by; stays within registers.
    unsafe {
        asm!("msr APSR_g, {mask}", "lsl {even}, {b}, #8", "sel {even}, {a}, {even}", "lsr {odd}, {a}, #8",
            "sel {odd}, {odd}, {b}", mask = in(reg) 0x0005_0000, a = in(reg) a, b = in(reg) b,
            even = out(reg) even, odd = out(reg) odd, options(pure, nomem, nostack));
    }
    (even, odd)
}

/// The value's four bytes, lowest first.
#[inline(always)]
pub(super) const fn bytes(value: i8) -> u32 {
    u32::from_le_bytes([value as u8; 4])
}

/// Two equal lanes.
#[inline(always)]
pub(super) const fn pair(value: i32) -> u32 {
    (value as u32 & 0xffff) | (value as u32) << 16
}

/// Limits of four outputs at once. The caller hands over `output - low`, limited to 0 ..= 255.
#[derive(Clone, Copy)]
pub(super) struct Clamp {
    /// What lifts the largest output to 255.
    pub(super) lift: u32,
    /// What takes that and the lowest output away again.
    pub(super) lower: u32,
}

impl Clamp {
    pub(super) const fn new((low, high): (i8, i8)) -> Self {
        let lift = 255 - (high as i32 - low as i32);
        Self { lift: bytes(lift as i8), lower: bytes((lift - low as i32) as i8) }
    }

    /// Four outputs as a quad from four words.
    #[inline(always)]
    pub(super) fn quad(self, a: u32, b: u32, c: u32, d: u32) -> u32 {
        self.limit(a | b << 8 | (c | d << 8) << 16)
    }

    #[inline(always)]
    fn limit(self, quad: u32) -> u32 {
        usub8(uqadd8(quad, self.lift), self.lower)
    }
}
