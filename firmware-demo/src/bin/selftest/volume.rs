//! The scan of a volume, repeated.

use core::hint::black_box;

use cortex_m_semihosting::{hprint, hprintln};
use kscout_core::Complex32;
use kscout_core::capture::{MAX_SIDE, VolumeCapture};
use kscout_core::contract::{FEATURES, FIRST_LINES};
use kscout_core::model::Model;
use kscout_core::volume::{Place, SliceError, VolumeScan, write_features};
use kscout_firmware::clock::{Clock, Tally};

use crate::failure::Failure;
use crate::report::{self, VolumeStages};

/// Runs the whole scan, counting instructions; true if its digest is the host's.
pub fn scan_as_host(
    model: &Model<'_>,
    capture: &VolumeCapture<'_>,
    arena: &mut [u8],
    clock: &Clock,
) -> Result<bool, Failure> {
    let (height, width, slices) = (capture.height(), capture.width(), capture.slices());
    hprintln!("scan of {} slices of {} samples x {} lines, budget {}", slices, height, width, capture.budget());
    let mut samples = [Complex32::default(); MAX_SIDE];
    let samples = samples.get_mut(..height).unwrap_or_default();
    let mut scan = VolumeScan::new(model, arena, slices, capture.budget())?;
    let mut stages = VolumeStages::default();
    let mut expected = capture.places();
    let mut visited = None;

    hprint!("slices:lines");
    loop {
        let first = (0..slices).any(|slice| scan.lines(slice) < FIRST_LINES);
        let mut unasked = Tally::default();
        let tally = if first || scan.remaining() == 0 { &mut unasked } else { &mut stages.decision };
        let next = clock.count(tally, || scan.propose_gaining(capture.least_gain()))?;
        let Some(place @ Place { slice, line }) = next else { break };
        let mark = if expected.next() == Some(place) { "" } else { "(!)" };
        hprint!(" {}:{}{}", slice, line, mark);
        capture.copy_line(place, samples)?;
        if first {
            clock.count(&mut stages.first, || scan.push_line(place, samples))?;
        } else {
            clock.count(&mut stages.features, || features(&scan, slice))?;
            if !scan.is_ready(slice) {
                stages.rebuilt_lines += scan.lines(slice) as u64;
                clock.count(&mut stages.rebuild, || scan.visit(slice))?;
            }
            clock.count(&mut stages.taking, || scan.push_line(place, samples))?;
        }
        visited = Some(slice);
    }
    hprintln!();
    // From the slice after the last one visited, whose segmentation is still there.
    let start = visited.map_or(0, |slice| slice + 1);
    for slice in (start..slices).chain(0..start) {
        scan.visit(slice)?;
        clock.count(&mut stages.segmentation, || scan.segment(slice).map(|_| ()))?;
    }

    stages.print(model, slices, clock.centi_instructions_per_tick());
    Ok(report::digests_agree(scan.digest()?, capture.digest()))
}

/// Writes the slice policy's features of a slice, to be counted.
fn features(scan: &VolumeScan<'_, '_>, slice: usize) -> Result<(), SliceError> {
    let mut features = [0; FEATURES];
    write_features(scan.stats(), slice, scan.remaining(), &mut features)?;
    black_box(&features);
    Ok(())
}
