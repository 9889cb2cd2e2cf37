//! `kscout-costs count|time`: what every case of [`kscout_core::kernels::cost`] costs with every kernel set of this target; of
//! cases whose weights can lie in the target's own layout, in both.
//!
//! `time` prints the best of many times. `count` leaves counting to count.c, the plugin that QEMU runs this under: before and
//! after an operator it yields the processor, and at the second yield the plugin ends the line.

use std::io::{self, Write};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use kscout_core::arena::StaticArena;
use kscout_core::kernels::cost::{CASES, Case};
use kscout_core::kernels::{Kernels, Layout};
use kscout_targets::{MEMORY_BYTES, sets};

/// The layout of weights that this target's kernel sets read fastest.
const OWN_LAYOUT: Layout = if cfg!(target_arch = "x86_64") {
    Layout::X86_64
} else if cfg!(target_arch = "aarch64") {
    Layout::Aarch64
} else {
    Layout::Portable
};

/// How long a case is repeated, at least.
const TIME: Duration = Duration::from_millis(100);

fn main() -> Result<(), String> {
    let how = std::env::args().nth(1);
    let line = match how.as_deref() {
        Some("count") => count,
        Some("time") => time,
        _ => return Err("usage: kscout-costs count|time".into()),
    };
    let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
    for set in sets() {
        let own = OWN_LAYOUT != Layout::Portable && set.name() != "portable";
        for layout in [Some(Layout::Portable), own.then_some(OWN_LAYOUT)].into_iter().flatten() {
            for case in CASES.iter().filter(|case| layout == Layout::Portable || case.has_layout()) {
                line(case, &*set, layout, memory.as_mut_slice()).ok_or_else(|| format!("{case}: not run"))?;
            }
        }
    }
    Ok(())
}

/// `CASE kernels=SET layout=LAYOUT UNIT UNITS `, which the plugin ends with the instructions.
fn count(case: &Case, set: &dyn Kernels, layout: Layout, memory: &mut [u8]) -> Option<u32> {
    print!("{case} kernels={} layout={layout} {} {} ", set.name(), case.unit(), case.units());
    io::stdout().flush().ok()?;
    case.run(set, layout, memory, |work| {
        yield_now();
        work();
        yield_now();
    })
}

/// `CASE ns=N ns_per_UNIT=X kernels=SET layout=LAYOUT`.
fn time(case: &Case, set: &dyn Kernels, layout: Layout, memory: &mut [u8]) -> Option<u32> {
    let mut best = Duration::MAX;
    let sum = case.run(set, layout, memory, |work| {
        let begin = Instant::now();
        while begin.elapsed() < TIME {
            let start = Instant::now();
            work();
            best = best.min(start.elapsed());
        }
    })?;
    let (ns, unit) = (best.as_nanos(), case.unit());
    let each = ns as f64 / case.units() as f64;
    println!("{case} ns={ns} ns_per_{unit}={each:.4} kernels={} layout={layout}", set.name());
    Some(sum)
}
