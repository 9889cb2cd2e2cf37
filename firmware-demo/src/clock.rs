//! Counts instructions with the SysTick timer.
//!
//! Under `qemu-system-arm -icount shift=0` virtual time advances one nanosecond an instruction and SysTick ticks with the
//! board's clock (25 MHz on mps2-an386, so 40 instructions a tick). How many instructions a tick is worth is measured
//! with a loop of known length rather than assumed.
//!
//! Only there are the numbers instructions. On hardware an instruction takes one cycle or several, and the numbers are
//! times, in units of half a turn of that loop.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;

const PERIOD: u32 = 1 << 24;
/// Turns of the calibration loop, two instructions each.
const TURNS: u32 = 4_000_000;

static WRAPS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    WRAPS.fetch_add(1, Ordering::Relaxed);
}

/// A running instruction counter.
pub struct Clock {
    ticks: u64,
}

impl Clock {
    /// Starts SysTick and finds out how many instructions make a tick.
    pub fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(PERIOD - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        // It stands at 0 until its first tick, which loads the period.
        while SYST::get_current() == 0 {}
        let start = now();
        count_down(TURNS);
        Self { ticks: now() - start }
    }

    /// Runs `work`, adds the instructions it took (to the tick) to `tally`, and returns its result.
    pub fn count<T>(&self, tally: &mut Tally, work: impl FnOnce() -> T) -> T {
        let start = now();
        let result = work();
        tally.add(self.instructions(now() - start));
        result
    }

    /// Hundredths of an instruction per tick.
    pub fn centi_instructions_per_tick(&self) -> u64 {
        self.instructions(100)
    }

    fn instructions(&self, ticks: u64) -> u64 {
        ticks * 2 * u64::from(TURNS) / self.ticks.max(1)
    }
}

/// Instructions of something that is done once or many times.
#[derive(Default)]
pub struct Tally {
    runs: u64,
    total: u64,
    most: u64,
}

impl Tally {
    fn add(&mut self, instructions: u64) {
        self.runs += 1;
        self.total += instructions;
        self.most = self.most.max(instructions);
    }

    /// How many times it was done.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Instructions of all of them.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Instructions of one of them, on average.
    pub fn mean(&self) -> u64 {
        self.total / self.runs.max(1)
    }

    /// Instructions of the longest of them.
    pub fn most(&self) -> u64 {
        self.most
    }
}

/// Ticks since the timer was started.
fn now() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::Relaxed);
        let elapsed = PERIOD - 1 - SYST::get_current();
        // A wrap between the two reads, or one not yet counted, would be 671 million instructions off: read again.
        if wraps == WRAPS.load(Ordering::Relaxed) && !SCB::is_pendst_pending() {
            return u64::from(wraps) * u64::from(PERIOD) + u64::from(elapsed);
        }
    }
}

/// Executes `2 * turns` instructions.
fn count_down(turns: u32) {
    // SAFETY: counts a register down; touches neither memory nor the stack.
    unsafe {
        asm!("2: subs {0}, {0}, #1", "bne 2b", inout(reg) turns => _, options(nomem, nostack));
    }
}
