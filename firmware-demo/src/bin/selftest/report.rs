//! What the self-test prints: instructions of each stage, and memory against its limits.

use cortex_m_semihosting::{hprint, hprintln};
use kscout_core::model::{Graph, Model};
use kscout_firmware::clock::Tally;
use kscout_firmware::memory;

use crate::embedded;

/// RAM for everything: variables, arena and stack.
const RAM_LIMIT: usize = 512 * 1024;
/// Flash for weights and code. The captured slice is test data and is not counted.
const FLASH_LIMIT: usize = 768 * 1024;

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
    pub growth: Tally,
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
        print(&self.growth, "image growth", 0);
        print(&self.segmentation, "segmentation", macs(model.segmenter()));
        let line = self.quantisation.mean() + self.decision.mean() + self.growth.mean();
        hprintln!("  {:<14}{:>12}", "line to line", line);
        let stages = [&self.start, &self.quantisation, &self.decision, &self.growth, &self.segmentation];
        let total: u64 = stages.iter().map(|stage| stage.total()).sum();
        hprintln!("  {:<14}{:>12}", "whole scan", total);
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

/// Prints memory in use; true if it is within its limits.
pub fn memory_fits() -> bool {
    let (statics, stack) = (memory::statics(), memory::stack_high_water());
    let (weights, slice) = (embedded::blob().len(), embedded::scan().len());
    let flash = memory::flash().saturating_sub(slice);
    let arena = embedded::ARENA_BYTES;
    hprintln!("ram bytes");
    hprintln!("  {:<14}{:>12}", "arena", arena);
    hprintln!("  {:<14}{:>12}", "other statics", statics.saturating_sub(arena));
    hprintln!("  {:<14}{:>12} of {}", "stack, deepest", stack, memory::stack_room());
    let ram_fits = print_total(statics + stack, RAM_LIMIT);
    hprintln!("flash bytes");
    hprintln!("  {:<14}{:>12}", "weights", weights);
    hprintln!("  {:<14}{:>12}", "code", flash.saturating_sub(weights));
    let flash_fits = print_total(flash, FLASH_LIMIT);
    hprintln!("  {:<14}{:>12}, test data, not counted", "stored slice", slice);
    // A stack used to its last word has probably run on into the variables.
    ram_fits && flash_fits && stack < memory::stack_room()
}

fn print_total(used: usize, limit: usize) -> bool {
    let word = if used <= limit { "within" } else { "OVER" };
    hprintln!("  {:<14}{:>12}, {} the limit of {}", "total", used, word, limit);
    used <= limit
}
