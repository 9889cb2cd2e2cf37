//! Instructions that operators of many shapes take with the kernels of this core, a line each; then convolutions once more with
//! weights in the core's own layout, where it has one, and everything with the portable kernels.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use kscout_core::arena::StaticArena;
use kscout_core::kernels::cost::{CASES, Case, MEMORY_BYTES};
use kscout_core::kernels::{Int8Kernels, Kernels, Layout, Native, Portable};
use kscout_firmware::clock::{Clock, Tally};
use kscout_firmware::status;

#[entry]
fn main() -> ! {
    static mut MEMORY: StaticArena<MEMORY_BYTES> = StaticArena::new();
    let Some(peripherals) = cortex_m::Peripherals::take() else { status::exit(false) };
    let mut bench = Bench { clock: Clock::start(peripherals.SYST), memory: MEMORY.as_mut_slice() };
    hprintln!("instructions a multiply-accumulate, padding included, or an element of the output");
    let mut measured = CASES.iter().all(|case| bench.line(case, &Native::default(), Layout::Portable, ""));
    // The Cortex-M4's is the portable one.
    if Native::default().name() == "cortex-m55" {
        let mut packed = CASES.iter().filter(|case| case.has_layout());
        measured &= packed.all(|case| bench.line(case, &Native::default(), Layout::CortexM55, " layout=cortex-m55"));
    }
    measured &= CASES.iter().all(|case| bench.line(case, &Portable, Layout::Portable, " kernels=portable"));
    status::exit(measured)
}

struct Bench {
    clock: Clock,
    memory: &'static mut [u8],
}

impl Bench {
    /// Runs a case once and prints what it took; `false` if it could not be run.
    fn line(&mut self, case: &Case, kernels: &dyn Kernels, layout: Layout, which: &str) -> bool {
        let mut tally = Tally::default();
        let ran = case.run(kernels, layout, self.memory, |work| self.clock.count(&mut tally, work));
        let milli = 1000 * tally.total() / (case.units() as u64).max(1);
        let (instructions, unit) = (tally.total(), case.unit());
        hprintln!("{case} instr={instructions} instr_per_{unit}={}.{:03}{which}", milli / 1000, milli % 1000);
        ran.is_some()
    }
}
