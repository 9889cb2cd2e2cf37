//! Random operators through the kernels of this core, compared with the reference: the same cases as on every other target.
#![no_std]
#![no_main]

use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::hprintln;
use kscout_core::arena::StaticArena;
use kscout_core::kernels::Native;
use kscout_core::kernels::agreement::{MEMORY_BYTES, check};
use kscout_firmware::status;

/// Every target takes the first cases of this seed.
const SEED: u64 = 0x6b73_636f_7574;
const CASES: u32 = 2400;

#[entry]
fn main() -> ! {
    static mut MEMORY: StaticArena<MEMORY_BYTES> = StaticArena::new();
    match check(&Native::default(), SEED, CASES, MEMORY.as_mut_slice()) {
        Ok(summary) => {
            hprintln!("{}", summary);
            status::exit(true)
        }
        Err(disagreement) => {
            hprintln!("{}", disagreement);
            status::exit(false)
        }
    }
}

/// A fault ends the run rather than hanging it.
// SAFETY: cortex-m-rt asks for `unsafe` here; the handler only prints and ends the run.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    hprintln!("hard fault: {:?}", frame);
    status::exit(false)
}
