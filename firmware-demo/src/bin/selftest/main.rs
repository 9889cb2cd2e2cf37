//! Repeats a scan of a slice or a volume that a host has made, from the budget to the segmentation, and exits with status 0 only if the digest
//! is the host's and the stack sufficed.
#![no_std]
#![no_main]

mod embedded;
mod failure;
mod report;
mod volume;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::{hprint, hprintln};
use kscout_core::Complex32;
use kscout_core::capture::{Capture, MAX_SIDE, Stored, blob_crc};
use kscout_core::model::Model;
use kscout_core::scan::Scan;
use kscout_firmware::clock::Clock;
use kscout_firmware::status;

use embedded::{Arena, Measured};
use failure::Failure;
use report::Stages;

#[entry]
fn main() -> ! {
    // `entry` makes this a `&'static mut`, in .bss: never on the stack.
    static mut ARENA: Arena = Arena::new();
    let result = self_test(ARENA.as_mut_slice());
    match &result {
        Ok(()) => hprintln!("self-test passed"),
        Err(failure) => hprintln!("self-test FAILED: {}", failure),
    }
    status::exit(result.is_ok())
}

fn self_test(arena: &mut [u8]) -> Result<(), Failure> {
    let peripherals = cortex_m::Peripherals::take().ok_or(Failure::Taken)?;
    let clock = Clock::start(peripherals.SYST);

    let stored = Stored::new_checked(embedded::scan())?;
    let found = blob_crc(embedded::blob());
    if stored.blob_crc() != found {
        return Err(Failure::OtherModel { expected: stored.blob_crc(), found });
    }
    let model = Model::new_checked(embedded::blob())?;
    let same = match stored {
        Stored::Slice(capture) => scan_as_host(&model, &capture, arena, &clock)?,
        Stored::Volume(capture) => volume::scan_as_host(&model, &capture, arena, &clock)?,
    };
    let fits = report::memory_fits();
    match (same, fits) {
        (false, _) => Err(Failure::Digest),
        (true, false) => Err(Failure::Memory),
        (true, true) => Ok(()),
    }
}

/// Runs the whole scan of a slice, counting instructions; true if its digest is the host's.
fn scan_as_host(model: &Model<'_>, capture: &Capture<'_>, arena: &mut [u8], clock: &Clock) -> Result<bool, Failure> {
    hprintln!("scan of {} samples x {} lines, budget {}", capture.height(), capture.width(), capture.budget());
    let mut samples = [Complex32::default(); MAX_SIDE];
    let samples = samples.get_mut(..capture.height()).unwrap_or_default();
    let mut expected = capture.lines();
    let mut stages = Stages::default();
    // The scanner's own account of what it has measured, beside the core's.
    let mut measured = Measured::new();
    let mut scan = Scan::new(model, arena)?;
    // By a fixed order or a mask: then the policy, if there is one, was not asked on the host either.
    let given = capture.given() || model.policy().is_none();

    clock.count(&mut stages.start, || scan.start(capture.budget()))?;
    hprint!("lines");
    while scan.remaining() > 0 {
        clock.count(&mut stages.quantisation, || scan.image().len());
        let hosts = expected.next();
        let chosen = if given { hosts } else { clock.count(&mut stages.decision, || scan.propose())? };
        let Some(line) = chosen else {
            break;
        };
        let mark = if hosts == Some(line) { "" } else { "(!)" };
        hprint!(" {}{}", line, mark);
        capture.copy_line(line, samples)?;
        measured.insert(line)?;
        clock.count(&mut stages.accumulation, || scan.push_line(line, samples))?;
    }
    hprintln!();
    if given {
        hprintln!("these lines were given, not chosen by a policy");
    }
    clock.count(&mut stages.quantisation, || scan.image().len());
    clock.count(&mut stages.segmentation, || scan.segment().map(|_| ()))?;

    stages.print(model, clock.centi_instructions_per_tick());
    if *measured != *scan.mask() {
        return Err(Failure::Lines);
    }
    Ok(report::digests_agree(scan.digest()?, capture.digest()))
}

/// A fault ends the run rather than hanging it.
// SAFETY: cortex-m-rt asks for `unsafe` here; the handler only prints and ends the run.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    hprintln!("hard fault: {:?}", frame);
    status::exit(false)
}
