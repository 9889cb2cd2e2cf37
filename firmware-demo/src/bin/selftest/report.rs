//! What the self-test prints: instructions of each stage, and memory against its limits.

use cortex_m_semihosting::{hprint, hprintln};
use kscout_core::model::{Graph, Model};
use kscout_firmware::clock::Tally;
use kscout_firmware::memory;

use crate::embedded;

/// Instructions of every stage of a scan.
#[derive(Default)]
pub struct Stages {
    /// Start of the scan.
    pub start: Tally,
    /// Turning the image into the networks' input; again after each line.
    pub quantisation: Tally,
    /// Choosing the next line: the policy network.
    pub decision: Tally,
    /// Taking a line in: its Fourier transform and its share of the image.
    pub accumulation: Tally,
    /// The segmenter, and the class of each pixel.
    pub segmentation: Tally,
}

impl Stages {
    /// Prints a line a stage, what it takes from a line's arrival to the choice of the next, and the sum.
    pub fn print(&self, model: &Model<'_>, centi_instructions_per_tick: u64) {
        let centi = centi_instructions_per_tick;
        let macs = |graph: Option<Graph<'_>>| graph.map_or(0, |graph| graph.macs());
        hprintln!("instructions, to the tick of {}.{:02}", centi / 100, centi % 100);
        print(&self.start, "start", 0);
        print(&self.quantisation, "quantisation", 0);
        print(&self.decision, "decision", macs(model.policy()));
        print(&self.accumulation, "accumulation", 0);
        print(&self.segmentation, "segmentation", macs(model.segmenter()));
        let line = self.quantisation.mean() + self.decision.mean() + self.accumulation.mean();
        hprintln!("  {:<14}{:>12}", "line to line", line);
        let stages = [&self.start, &self.quantisation, &self.decision, &self.accumulation, &self.segmentation];
        let total: u64 = stages.iter().map(|stage| stage.total()).sum();
        hprintln!("  {:<14}{:>12}", "whole scan", total);
    }
}

/// Instructions of every stage of a volume's scan. All but the first lines and the segmentations at the end are of steps that
/// the slice policy decided.
#[derive(Default)]
pub struct VolumeStages {
    /// Taking in a first line of a slice, its image begun.
    pub first: Tally,
    /// Choosing slice and line: the features of every slice, and the slice policy's output for each.
    pub decision: Tally,
    /// The features of one slice, written once more to be counted.
    pub features: Tally,
    /// Accumulating a slice's image anew from its lines, where it was not in memory, or could take no other.
    pub rebuild: Tally,
    /// Lines that were accumulated anew.
    pub rebuilt_lines: u64,
    /// Taking a line in: its share of the image, the slice's segmentation, and what is kept of it.
    pub taking: Tally,
    /// Segmenting a slice at the end, its image in memory.
    pub segmentation: Tally,
}

impl VolumeStages {
    /// Prints a line a stage, a whole step, and the sum of the scan.
    pub fn print(&self, model: &Model<'_>, slices: usize, centi_instructions_per_tick: u64) {
        let (centi, slices) = (centi_instructions_per_tick, slices as u64);
        let macs = |graph: Option<Graph<'_>>| graph.map_or(0, |graph| graph.macs());
        hprintln!("instructions, to the tick of {}.{:02}", centi / 100, centi % 100);
        print(&self.first, "first lines", 0);
        print(&self.decision, "decision", slices * macs(model.slice_policy()));
        print(&self.features, "features", 0);
        let policy = (self.decision.mean() / slices.max(1)).saturating_sub(self.features.mean());
        hprintln!("  {:<14}{:>12}", "slice policy", policy);
        print(&self.rebuild, "image rebuilt", 0);
        if let Some(line) = self.rebuild.total().checked_div(self.rebuilt_lines) {
            hprintln!("  {:<14}{:>12}, {} lines", "a line of it", line, self.rebuilt_lines);
        }
        print(&self.taking, "line taken in", macs(model.segmenter()));
        let steps = self.decision.total() + self.rebuild.total() + self.taking.total();
        hprintln!("  {:<14}{:>12}", "step", steps.checked_div(self.taking.runs()).unwrap_or(0));
        hprintln!("  {:<14}{:>12}", "all lines", self.first.total() + steps);
        print(&self.segmentation, "segmentation", macs(model.segmenter()));
    }
}

fn print(tally: &Tally, name: &str, macs: u64) {
    hprint!("  {:<14}{:>12}", name, tally.mean());
    if tally.runs() > 1 {
        hprint!(", at most {}, {} times", tally.most(), tally.runs());
    }
    if let Some(centi) = (100 * tally.mean()).checked_div(macs) {
        hprint!(", {}.{:02} a multiply-accumulate", centi / 100, centi % 100);
    }
    hprintln!();
}

/// Prints both digests; true if they are equal.
pub fn digests_agree(found: u64, expected: u64) -> bool {
    let word = if found == expected { "equal to" } else { "NOT" };
    hprintln!("digest {:#018x}, {} the host's {:#018x}", found, word, expected);
    found == expected
}

/// Prints memory in use against the limits of build.rs; false only where the stack did not suffice. What is over a limit runs on the
/// emulated board all the same, and is said.
pub fn memory_fits() -> bool {
    let (statics, stack) = (memory::statics(), memory::stack_high_water());
    let (weights, scan) = (embedded::blob().len(), embedded::scan().len());
    let flash = memory::flash().saturating_sub(scan);
    let arena = embedded::ARENA_BYTES;
    hprintln!("ram bytes");
    hprintln!("  {:<14}{:>12}", "arena", arena);
    hprintln!("  {:<14}{:>12}", "other statics", statics.saturating_sub(arena));
    hprintln!("  {:<14}{:>12} of {}", "stack, deepest", stack, memory::stack_room());
    print_total(statics + stack, embedded::RAM_LIMIT);
    hprintln!("flash bytes");
    hprintln!("  {:<14}{:>12}", "weights", weights);
    hprintln!("  {:<14}{:>12}", "code", flash.saturating_sub(weights));
    // The captured scan is test data and is not counted.
    print_total(flash, embedded::FLASH_LIMIT);
    hprintln!("  {:<14}{:>12}, test data, not counted", "stored scan", scan);
    // A stack used to its last word has probably run on into the variables.
    stack < memory::stack_room()
}

fn print_total(used: usize, limit: usize) {
    let word = if used <= limit { "within" } else { "OVER" };
    hprintln!("  {:<14}{:>12}, {} the limit of {}", "total", used, word, limit);
}
