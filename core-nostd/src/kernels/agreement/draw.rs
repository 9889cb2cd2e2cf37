//! Random numbers, tensors and scales.

use crate::Complex32;
use crate::kernels::{Channel, Layout, Shape};
use crate::quant::Requant;
use crate::rng::SplitMix64;

/// How the bytes of a tensor are drawn.
#[derive(Clone, Copy)]
pub(super) enum Values {
    Any,
    /// A few steps around 0: sums stay small.
    Small,
    /// Only the ends of the range, where products and sums are largest.
    Ends,
    Lowest,
    Highest,
}

/// What a case is drawn from.
pub(super) struct Draw {
    source: SplitMix64,
}

impl Draw {
    /// The numbers of one case: any two cases have other ones.
    pub fn new(seed: u64, case: u32) -> Self {
        Self { source: SplitMix64::new(seed ^ u64::from(case).wrapping_mul(0xd1b5_4a32_d192_ed03)) }
    }

    pub fn bits(&mut self) -> u64 {
        self.source.next_u64()
    }

    /// From `low` up to and with `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.source.below((high - low) as u64 + 1) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.source.below(n) == 0
    }

    pub fn one_of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        const { assert!(N > 0) };
        values[self.source.below(N as u64) as usize]
    }

    fn signed(&mut self, low: i32, high: i32) -> i32 {
        low + self.source.below((high - low) as u64 + 1) as i32
    }

    pub fn byte(&mut self) -> i8 {
        (self.bits() >> 32) as i8
    }

    /// A zero point.
    pub fn zero(&mut self) -> i32 {
        match self.source.below(8) {
            0 => -128,
            1 => 127,
            2 => 0,
            _ => i32::from(self.byte()),
        }
    }

    /// The ends that outputs are limited to.
    pub fn clamp(&mut self) -> (i8, i8) {
        let (a, b) = (self.byte(), self.byte());
        match self.source.below(6) {
            0 => (a.min(b), a.max(b)),
            1 => (a, 127),
            2 => (a, a),
            _ => (-128, 127),
        }
    }

    pub fn layout(&mut self) -> Layout {
        self.one_of(Layout::ALL)
    }

    /// Channels, 1 to `most`: often what fills blocks of a vector, or one off that.
    pub fn channels(&mut self, most: usize) -> usize {
        let block = self.one_of([4, 8, 16, 32]);
        let whole = block * self.between(1, (most / block).clamp(1, 4));
        let count = match self.source.below(8) {
            0..4 => whole,
            4 => whole - 1,
            5 => whole + 1,
            6 => self.between(1, 4),
            _ => self.between(1, most),
        };
        count.clamp(1, most)
    }

    /// Rows and columns up to `rows` and `columns`.
    pub fn shape(&mut self, rows: usize, columns: usize, channels: usize) -> Shape {
        Shape::new(self.between(1, rows), self.between(1, columns), self.channels(channels))
    }

    fn values(&mut self) -> Values {
        match self.source.below(8) {
            0 => Values::Ends,
            1 => Values::Lowest,
            2 => Values::Highest,
            3 => Values::Small,
            _ => Values::Any,
        }
    }

    /// Fills a tensor or weights.
    pub fn fill(&mut self, tensor: &mut [i8]) {
        let values = self.values();
        for value in tensor {
            *value = match (values, self.byte()) {
                (Values::Any, byte) => byte,
                (Values::Small, byte) => byte >> 5,
                (Values::Ends, byte) if byte < 0 => i8::MIN,
                (Values::Ends | Values::Highest, _) => i8::MAX,
                (Values::Lowest, _) => i8::MIN,
            };
        }
    }

    /// A scale that brings sums of `terms` products near the range of a byte, or one that saturates or vanishes.
    pub fn requant(&mut self, terms: usize) -> Requant {
        let usual = -6 - terms.max(1).ilog2() as i32 / 2;
        let shift = match self.source.below(12) {
            0 => usual + 6,
            1 => self.signed(-2, 3),
            2 => -31,
            _ => usual,
        };
        let multiplier = match self.source.below(8) {
            0 => i32::MAX,
            1 => 1 << 30,
            _ => (1 << 30) | (self.bits() >> 34) as i32,
        };
        Requant { multiplier, shift }
    }

    /// A scale as no exporter writes it, but an operator must take: any multiplier, shifts beyond their limits.
    pub fn wild_requant(&mut self) -> Requant {
        let bits = self.bits() as i32;
        Requant { multiplier: self.one_of([bits, bits, i32::MIN, 0, -1]), shift: self.signed(-40, 40) }
    }

    /// Mostly [`requant`](Self::requant), now and then a [wild](Self::wild_requant) one.
    pub fn any_requant(&mut self, terms: usize) -> Requant {
        if self.one_in(12) { self.wild_requant() } else { self.requant(terms) }
    }

    /// Fills records of channels that each sum `terms` products. In most operators all of them are usual; in half, as an
    /// exporter's, so that paths which ask for that of every channel are taken.
    pub fn params(&mut self, params: &mut [u8], terms: usize) {
        let (tame, wild, negative) = (self.one_in(2), self.one_in(8), self.one_in(8));
        for record in params.as_chunks_mut::<{ Channel::BYTES }>().0 {
            let bits = (self.bits() >> 32) as i32;
            let usual = bits >> self.between(8, 24);
            let channel = if wild && self.one_in(3) {
                Channel { bias: self.one_of([bits, i32::MIN, i32::MAX]), requant: self.wild_requant() }
            } else {
                let mut requant = self.requant(terms);
                if tame && negative {
                    requant.multiplier = -requant.multiplier;
                }
                let shift = if tame { requant.shift.clamp(-22, -1) } else { requant.shift };
                Channel { bias: usual, requant: Requant { shift, ..requant } }
            };
            *record = channel.to_bytes();
        }
    }

    /// Uniform in -1 to 1.
    pub fn unit(&mut self) -> f32 {
        2.0 * self.source.unit_f32() - 1.0
    }

    /// A power of two that numbers of an image are scaled with: mostly harmless, now and then one whose square overflows or
    /// vanishes.
    pub fn magnitude(&mut self) -> f32 {
        let exponent = match self.source.below(8) {
            0 => self.signed(-149, -100),
            1 => self.signed(50, 126),
            _ => self.signed(-10, 10),
        };
        libm::exp2f(exponent as f32)
    }

    /// Fills an image or a line with numbers up to `magnitude`, a few of them zero.
    pub fn complex(&mut self, values: &mut [Complex32], magnitude: f32) {
        for value in values {
            *value = Complex32::new(self.unit() * magnitude, self.unit() * magnitude);
            if self.one_in(16) {
                value.re = 0.0;
            }
        }
    }
}
