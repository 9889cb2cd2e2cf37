//! Which levels the machine has.
#![allow(unsafe_code)]

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

use super::Level;

/// No [`Features::bits`]: the CPU has not been asked yet.
const UNKNOWN: u8 = u8::MAX;

/// What the CPU offers and the operating system keeps registers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    avx2: bool,
    avx_vnni: bool,
    avx512: bool,
    /// Permutations of bytes over whole registers (AVX-512 VBMI).
    pub(super) vbmi: bool,
}

impl Features {
    /// Those of this machine. The CPU is asked once: under a hypervisor that takes longer than a small operator.
    pub(super) fn detect() -> Self {
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        match KNOWN.load(Ordering::Relaxed) {
            UNKNOWN => {
                let features = Self::ask();
                KNOWN.store(features.bits(), Ordering::Relaxed);
                features
            }
            bits => Self::from_bits(bits),
        }
    }

    const fn bits(self) -> u8 {
        self.avx2 as u8 | (self.avx_vnni as u8) << 1 | (self.avx512 as u8) << 2 | (self.vbmi as u8) << 3
    }

    fn from_bits(bits: u8) -> Self {
        let has = |place: u8| bits >> place & 1 == 1;
        Self { avx2: has(0), avx_vnni: has(1), avx512: has(2), vbmi: has(3) }
    }

    fn ask() -> Self {
        if cfg!(miri) {
            // Miri has no CPUID: it runs what the build enables.
            let avx2 = cfg!(target_feature = "avx2");
            return Self {
                avx2,
                avx_vnni: avx2 && cfg!(target_feature = "avxvnni"),
                avx512: avx2 && cfg!(target_feature = "avx512vnni") && cfg!(target_feature = "avx512bw"),
                vbmi: cfg!(target_feature = "avx512vbmi"),
            };
        }
        let none = Self { avx2: false, avx_vnni: false, avx512: false, vbmi: false };
        let bit = |register: u32, index: u32| register >> index & 1 == 1;
        if __cpuid(0).eax < 7 {
            return none;
        }
        let basic = __cpuid(1).ecx;
        let (osxsave, avx, ssse3, sse41) = (bit(basic, 27), bit(basic, 28), bit(basic, 9), bit(basic, 19));
        if !(osxsave && avx && ssse3 && sse41) {
            return none;
        }
        // SAFETY: OSXSAVE says that the operating system has enabled the instruction.
        let saved = unsafe { saved_state() };
        let extended = __cpuid_count(7, 0);
        let more = if extended.eax >= 1 { __cpuid_count(7, 1).eax } else { 0 };
        // Registers' lower halves (bits 1, 2), and AVX-512's masks, upper halves and upper registers (5 to 7).
        let (ymm, zmm) = (saved & 0b110 == 0b110, saved & 0b1110_0110 == 0b1110_0110);
        let avx2 = ymm && bit(extended.ebx, 5);
        // F, DQ, BW, VL; VNNI.
        let foundation = [16, 17, 30, 31].into_iter().all(|index| bit(extended.ebx, index));
        let avx512 = avx2 && zmm && foundation && bit(extended.ecx, 11);
        Self { avx2, avx_vnni: avx2 && bit(more, 4), avx512, vbmi: avx512 && bit(extended.ecx, 1) }
    }

    /// Whether kernels of this level can run.
    pub(super) const fn has(self, level: Level) -> bool {
        match level {
            Level::Avx2 => self.avx2,
            Level::AvxVnni => self.avx_vnni,
            Level::Avx512Vnni => self.avx512,
        }
    }
}

#[target_feature(enable = "xsave")]
fn saved_state() -> u64 {
    // SAFETY: register 0 exists wherever the instruction does.
    unsafe { _xgetbv(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_the_cpu_said() {
        assert_eq!(Features::detect(), Features::ask());
        assert_eq!(Features::detect(), Features::ask(), "from memory");
        for bits in 0..16 {
            assert_eq!(Features::from_bits(bits).bits(), bits);
        }
    }
}
