//! Random operators, run by [`Reference`](super::Reference) and by another kernel set, and compared byte by byte.
//!
//! Every set has to agree with the reference *whatever the data*, on the core it is made for. So this runs anywhere: no
//! allocation, no test framework, only a seed and the caller's memory. The feature `agreement` puts it into the crate;
//! firmware without it pays nothing.
//!
//! ```
//! use kscout_core::arena::StaticArena;
//! use kscout_core::kernels::agreement::{MEMORY_BYTES, check};
//! use kscout_core::kernels::Portable;
//! let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
//! let summary = check(&Portable, 1, 100, memory.as_mut_slice()).unwrap();
//! println!("{summary}");
//! ```
//!
//! A case is drawn from its seed and number alone, so a case that fails on a microcontroller is [`repeat`]ed on a host, in a
//! debugger. What is drawn leans towards where fast kernels take turns of their own: channels in blocks of 4 to 32 and just
//! beside them, rows of up to 40 columns, bands of rows, every layout of weights, tensors at odd addresses; and towards what
//! breaks arithmetic: tensors of -128 and 127 alone, multipliers and shifts that no exporter writes, biases at the ends of 32
//! bits, floats that overflow, are subnormal, or are zero.
//!
//! Before the set runs, its output holds the complement of each expected byte, so that a byte it leaves alone shows. What lies
//! around output and scratch must stay as it was.

mod convolutions;
mod draw;
mod image;
mod neighbours;
mod pointwise;
mod stand;
#[cfg(test)]
mod tests;

use core::fmt;

use super::Kernels;
use draw::Draw;
use stand::{TestBench, Text};

pub use stand::{Fault, Value};

/// Bytes of memory that the drawn operators need, with the scratch of sets that ask for no more than the portable one.
pub const MEMORY_BYTES: usize = RECORD_BYTES + CASE_BYTES;

/// Bytes at the front that hold the words for a record.
const RECORD_BYTES: usize = 1024;
/// Bytes that one case may use.
const CASE_BYTES: usize = 200 * 1024;

/// The operators that are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(missing_docs, reason = "they are the methods of `Kernels`")]
pub enum Operator {
    Conv2d,
    Depthwise,
    ConvTranspose2x2,
    MaxPool,
    Add,
    Concat,
    Upsample2x,
    LayerNorm,
    Table,
    Shift,
    Accumulate,
    Energy,
    Homodyne,
    Quantise,
    Classify,
}

use Operator::*;

impl Operator {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Conv2d,
        Depthwise,
        ConvTranspose2x2,
        MaxPool,
        Add,
        Concat,
        Upsample2x,
        LayerNorm,
        Table,
        Shift,
        Accumulate,
        Energy,
        Homodyne,
        Quantise,
        Classify,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Conv2d => "conv2d",
            Depthwise => "depthwise",
            ConvTranspose2x2 => "conv_transpose2x2",
            MaxPool => "max_pool",
            Add => "add",
            Concat => "concat",
            Upsample2x => "upsample2x",
            LayerNorm => "layer_norm",
            Table => "table",
            Shift => "shift",
            Accumulate => "accumulate",
            Energy => "energy",
            Homodyne => "homodyne",
            Quantise => "quantise",
            Classify => "classify",
        }
    }
}

/// Which operator each case draws, over and over: the more ways through its kernels, the more often.
const TURNS: [Operator; 25] = [
    Conv2d,
    Depthwise,
    Conv2d,
    MaxPool,
    Conv2d,
    ConvTranspose2x2,
    Conv2d,
    Upsample2x,
    Conv2d,
    Add,
    Depthwise,
    Concat,
    Conv2d,
    LayerNorm,
    Conv2d,
    Accumulate,
    Depthwise,
    Energy,
    ConvTranspose2x2,
    Quantise,
    Upsample2x,
    Classify,
    Table,
    Shift,
    Homodyne,
];

/// How many cases agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Summary {
    counts: [u32; Operator::ALL.len()],
}

impl Summary {
    /// Cases of one operator.
    pub fn of(&self, operator: Operator) -> u32 {
        self.counts.get(operator as usize).copied().unwrap_or(0)
    }

    /// Cases of all operators.
    pub fn cases(&self) -> u32 {
        self.counts.iter().sum()
    }

    fn count(&mut self, operator: Operator) {
        if let Some(count) = self.counts.get_mut(operator as usize) {
            *count += 1;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases agree:", self.cases())?;
        for (index, operator) in Operator::ALL.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {} {}", operator.name(), self.of(operator))?;
        }
        Ok(())
    }
}

/// The first case that did not agree.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Disagreement<'m> {
    /// The kernel set's [name](super::Int8Kernels::name).
    pub kernels: &'static str,
    /// The operator.
    pub operator: Operator,
    /// Seed and number of the case: what [`repeat`] takes.
    pub seed: u64,
    /// As above.
    pub case: u32,
    /// The operator's record, without weights and channel records.
    pub record: &'m str,
    /// What went wrong.
    pub fault: Fault,
}

impl fmt::Display for Disagreement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernels, operator, seed, case, record, fault } = self;
        write!(
            f,
            "{kernels} and reference disagree on {}, seed {seed}, case {case}: {fault}\n  {record}",
            operator.name()
        )
    }
}

impl core::error::Error for Disagreement<'_> {}

/// Draws `cases` operators from `seed` and compares what `kernels` makes of each with the reference.
///
/// `memory` is aligned to [`ARENA_ALIGN`](crate::arena::ARENA_ALIGN) and holds at least [`MEMORY_BYTES`], more if the set needs
/// more scratch than the portable one.
///
/// # Errors
/// The first [`Disagreement`]. Also where the memory does not do, as [`Fault::Memory`].
pub fn check<'m>(
    kernels: &dyn Kernels,
    seed: u64,
    cases: u32,
    memory: &'m mut [u8],
) -> Result<Summary, Disagreement<'m>> {
    let mut summary = Summary::default();
    let (words, rest) = memory.split_at_mut(RECORD_BYTES.min(memory.len()));
    let mut text = Text::new(words);
    for case in 0..cases {
        let operator = operator_of(case);
        if let Err(fault) = run(kernels, operator, seed, case, rest, &mut text) {
            return Err(Disagreement { kernels: kernels.name(), operator, seed, case, record: text.written(), fault });
        }
        summary.count(operator);
    }
    Ok(summary)
}

/// One case of [`check`] alone.
///
/// # Errors
/// As [`check`].
pub fn repeat<'m>(kernels: &dyn Kernels, seed: u64, case: u32, memory: &'m mut [u8]) -> Result<(), Disagreement<'m>> {
    let (words, rest) = memory.split_at_mut(RECORD_BYTES.min(memory.len()));
    let mut text = Text::new(words);
    let operator = operator_of(case);
    run(kernels, operator, seed, case, rest, &mut text).map_err(|fault| Disagreement {
        kernels: kernels.name(),
        operator,
        seed,
        case,
        record: text.written(),
        fault,
    })
}

fn operator_of(case: u32) -> Operator {
    TURNS.get(case as usize % TURNS.len()).copied().unwrap_or(Conv2d)
}

fn run(
    kernels: &dyn Kernels,
    operator: Operator,
    seed: u64,
    case: u32,
    memory: &mut [u8],
    text: &mut Text<'_>,
) -> Result<(), Fault> {
    let draw = &mut Draw::new(seed, case);
    let stand = TestBench::new(kernels, memory, text)?;
    match operator {
        Conv2d => convolutions::conv2d(stand, draw),
        Depthwise => convolutions::depthwise(stand, draw),
        ConvTranspose2x2 => convolutions::conv_transpose2x2(stand, draw),
        MaxPool => neighbours::max_pool(stand, draw),
        Upsample2x => neighbours::upsample2x(stand, draw),
        Shift => neighbours::shift(stand, draw),
        Add => pointwise::add(stand, draw),
        Concat => pointwise::concat(stand, draw),
        LayerNorm => pointwise::layer_norm(stand, draw),
        Table => pointwise::table(stand, draw),
        Accumulate => image::accumulate(stand, draw),
        Energy => image::energy(stand, draw),
        Homodyne => image::homodyne(stand, draw),
        Quantise => image::quantise(stand, draw),
        Classify => image::classify(stand, draw),
    }
}
