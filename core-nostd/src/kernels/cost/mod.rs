//! Operators of fixed shapes, to find out what they cost: the same ones on every core, counted or timed by the caller.
//!
//! The tables in the kernel sets' files come from here, by way of `firmware-demo/run.sh bench` and `tests/targets/run.sh
//! bench`. As [`agreement`](super::agreement), this needs no allocation, only the caller's memory, and the feature of that name.
//!
//! ```
//! use kscout_core::arena::StaticArena;
//! use kscout_core::kernels::cost::{CASES, MEMORY_BYTES};
//! use kscout_core::kernels::{Layout, Portable};
//! let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
//! let case = CASES[0];
//! case.run(&Portable, Layout::Portable, memory.as_mut_slice(), |work| {
//!     let start = std::time::Instant::now();
//!     work();
//!     println!("{case}: {:?} for {} {}s", start.elapsed(), case.units(), case.unit());
//! })
//! .unwrap();
//! ```

mod stand;

use core::fmt;

use super::{Axis, Corners, Kernels, Layout, MaxPool, Shape, Shift, Table};
use stand::{TestBench, WHOLE};

/// Bytes of memory that every case fits in, with the scratch of sets that ask for no more than the portable one.
pub const MEMORY_BYTES: usize = 192 * 1024;

/// An operator on a square image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Rows and columns.
    side: usize,
    work: Work,
}

/// What is done with the image; numbers are channels where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// Padded to keep its extent at stride 1.
    Conv {
        from: usize,
        to: usize,
        kernel: usize,
        stride: usize,
    },
    /// 3x3, stride 1, padded to keep its extent.
    Depthwise(usize),
    ConvTranspose2x2 {
        from: usize,
        to: usize,
    },
    /// Windows of 2x2, stride 2.
    MaxPool(usize),
    /// With a ReLU, or all of the output's range.
    Upsample2x {
        channels: usize,
        corners: Corners,
        relu: bool,
    },
    Add(usize),
    Concat(usize, usize),
    LayerNorm(usize),
    Table(usize),
    Shift(usize, Axis),
    Accumulate,
    Energy,
    Homodyne,
    Quantise,
    Classify(usize),
}

const fn case(side: usize, work: Work) -> Case {
    Case { side, work }
}

const fn conv(kernel: usize, side: usize, from: usize, to: usize, stride: usize) -> Case {
    case(side, Work::Conv { from, to, kernel, stride })
}

const fn upsample2x(corners: Corners, relu: bool) -> Case {
    case(32, Work::Upsample2x { channels: 16, corners, relu })
}

/// All operators, most of them as the networks have them.
pub const CASES: [Case; 29] = [
    conv(3, 64, 16, 16, 1),
    conv(3, 64, 8, 8, 1),
    conv(3, 32, 32, 32, 1),
    conv(3, 16, 64, 64, 1),
    conv(3, 64, 1, 16, 1),
    conv(1, 32, 32, 64, 1),
    conv(3, 32, 32, 32, 2),
    case(32, Work::Depthwise(32)),
    case(16, Work::Depthwise(64)),
    conv(3, 128, 1, 8, 2),
    conv(3, 128, 4, 4, 1),
    conv(1, 128, 4, 4, 1),
    conv(1, 1, 131, 128, 1),
    case(16, Work::ConvTranspose2x2 { from: 64, to: 32 }),
    case(64, Work::MaxPool(16)),
    upsample2x(Corners::HalfPixel, true),
    upsample2x(Corners::HalfPixel, false),
    upsample2x(Corners::Aligned, false),
    case(32, Work::Add(32)),
    case(32, Work::Concat(32, 32)),
    case(16, Work::LayerNorm(128)),
    case(32, Work::Table(32)),
    case(16, Work::Shift(128, Axis::Y)),
    case(16, Work::Shift(128, Axis::X)),
    case(128, Work::Accumulate),
    case(128, Work::Energy),
    case(64, Work::Homodyne),
    case(128, Work::Quantise),
    case(128, Work::Classify(4)),
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {side}x{side}", self.name(), side = self.side)?;
        match self.work {
            Work::Conv { from, to, kernel, stride } => write!(f, " {from}->{to} k{kernel} s{stride}"),
            Work::Depthwise(channels) => write!(f, " {channels}->{channels} k3 s1"),
            Work::ConvTranspose2x2 { from, to } => write!(f, " {from}->{to} k2 s2"),
            Work::MaxPool(channels) => write!(f, " {channels} k2 s2"),
            Work::Upsample2x { channels, corners, relu } => {
                let corners = if corners == Corners::Aligned { " aligned" } else { "" };
                write!(f, " {channels}{corners}{}", if relu { " relu" } else { "" })
            }
            Work::Concat(a, b) => write!(f, " {a}+{b}"),
            Work::Shift(channels, axis) => write!(f, " {channels} {}", if axis == Axis::Y { "y" } else { "x" }),
            Work::Add(n) | Work::LayerNorm(n) | Work::Table(n) | Work::Classify(n) => write!(f, " {n}"),
            Work::Accumulate | Work::Energy | Work::Homodyne | Work::Quantise => Ok(()),
        }
    }
}

impl Case {
    /// Whether its weights lie in one [`Layout`] or another.
    pub const fn has_layout(&self) -> bool {
        matches!(self.work, Work::Conv { .. } | Work::ConvTranspose2x2 { .. })
    }

    /// What its cost is divided by: `mac`, a multiply-accumulate, padding included, or `element`, one of the output, or a pixel.
    pub const fn unit(&self) -> &'static str {
        match self.work {
            Work::Conv { .. } | Work::Depthwise(_) | Work::ConvTranspose2x2 { .. } => "mac",
            _ => "element",
        }
    }

    /// How many of those.
    pub const fn units(&self) -> usize {
        let pixels = self.side * self.side;
        match self.work {
            Work::Conv { from, to, kernel, stride } => pixels.div_ceil(stride * stride) * kernel * kernel * from * to,
            Work::Depthwise(channels) => pixels * 9 * channels,
            Work::ConvTranspose2x2 { from, to } => pixels * 4 * from * to,
            Work::MaxPool(channels) => pixels / 4 * channels,
            Work::Upsample2x { channels, .. } => pixels * 4 * channels,
            Work::Concat(a, b) => pixels * (a + b),
            Work::Add(n) | Work::LayerNorm(n) | Work::Table(n) | Work::Shift(n, _) => pixels * n,
            Work::Accumulate | Work::Energy | Work::Homodyne | Work::Quantise | Work::Classify(_) => pixels,
        }
    }

    const fn name(&self) -> &'static str {
        match self.work {
            Work::Conv { .. } => "conv",
            Work::Depthwise(_) => "depthwise",
            Work::ConvTranspose2x2 { .. } => "conv_transpose2x2",
            Work::MaxPool(_) => "max_pool",
            Work::Upsample2x { .. } => "upsample2x",
            Work::Add(_) => "add",
            Work::Concat(..) => "concat",
            Work::LayerNorm(_) => "layer_norm",
            Work::Table(_) => "table",
            Work::Shift(..) => "shift",
            Work::Accumulate => "accumulate",
            Work::Energy => "energy",
            Work::Homodyne => "homodyne",
            Work::Quantise => "quantise",
            Work::Classify(_) => "classify",
        }
    }

    /// Prepares arbitrary data, the same every time, in `memory`, and gives `measure` the work to do: the operator, once a call.
    /// Returns a checksum of the output, on which all kernel sets agree; `None`, with nothing run, where the memory does not do.
    ///
    /// `memory` is aligned to [`ARENA_ALIGN`](crate::arena::ARENA_ALIGN) and holds [`MEMORY_BYTES`], more if the set needs more
    /// scratch than the portable one. `layout` matters to cases that [have one](Self::has_layout).
    pub fn run(
        &self,
        kernels: &dyn Kernels,
        layout: Layout,
        memory: &mut [u8],
        mut measure: impl FnMut(&mut dyn FnMut()),
    ) -> Option<u32> {
        let mut stand = TestBench::new(kernels, layout, memory, &mut measure)?;
        let (side, len) = (self.side, self.units());
        let square = |channels| Shape::new(side, side, channels);
        match self.work {
            Work::Conv { from, to, kernel, stride } => stand.conv(square(from), to, kernel, stride),
            Work::Depthwise(channels) => stand.depthwise(square(channels)),
            Work::ConvTranspose2x2 { from, to } => stand.conv_transpose2x2(square(from), to),
            Work::MaxPool(channels) => {
                let op = MaxPool { input: square(channels), kernel: 2, stride: 2, clamp: WHOLE };
                stand.map(op.input.len(), len, |input, out| kernels.max_pool(&op, input, out))
            }
            Work::Upsample2x { channels, corners, relu } => stand.upsample2x(square(channels), corners, relu),
            Work::Add(_) => stand.add(len),
            Work::Concat(a, b) => stand.concat(square(a), square(b)),
            Work::LayerNorm(channels) => stand.layer_norm(square(channels)),
            Work::Table(_) => {
                let table = stand.values(256)?.first_chunk()?;
                stand.map(len, len, |input, out| kernels.table(&Table { table }, input, out))
            }
            Work::Shift(channels, axis) => {
                let op = Shift { shape: square(channels), axis, zero: -3 };
                stand.map(len, len, |input, out| kernels.shift(&op, input, out))
            }
            Work::Accumulate => stand.accumulate(side),
            Work::Energy => stand.energy(side),
            Work::Homodyne => stand.homodyne(len),
            Work::Quantise => {
                let image = stand.image(len)?;
                stand.map(0, len, |_, out| kernels.quantise(image, 1.0, out))
            }
            Work::Classify(classes) => stand.map(len * classes, len, |logits, out| {
                kernels.classify(logits, classes, bytemuck::cast_slice_mut(out));
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Portable, Reference};
    use super::*;
    use crate::arena::StaticArena;
    use std::boxed::Box;

    /// A case of the reference, and the checksum of what it wrote.
    fn checksum(case: &Case, kernels: &dyn Kernels, layout: Layout, memory: &mut [u8]) -> Option<u32> {
        case.run(kernels, layout, memory, |work| work())
    }

    #[test]
    fn every_case_fits_the_memory_and_writes_what_the_reference_does() {
        let mut memory = Box::new(StaticArena::<MEMORY_BYTES>::new());
        for case in CASES {
            // Portable first: its scratch is the one that is counted on.
            let portable = checksum(&case, &Portable, Layout::Portable, memory.as_mut_slice());
            assert!(portable.is_some(), "{case}");
            let idle = case.run(&Portable, Layout::Portable, memory.as_mut_slice(), |_| ());
            assert_ne!(portable, idle, "{case} does nothing");
            for layout in [Layout::Portable, Layout::CortexM55] {
                let reference = checksum(&case, &Reference, layout, memory.as_mut_slice());
                assert_eq!(portable, reference, "{case}, {layout}");
            }
        }
    }

    #[test]
    fn a_case_says_what_it_is_and_what_its_cost_is_divided_by() {
        let said = |case: Case| std::format!("{case}: {} {}s", case.units(), case.unit());
        assert_eq!(said(conv(3, 64, 16, 16, 1)), "conv 64x64 16->16 k3 s1: 9437184 macs");
        assert_eq!(said(conv(3, 128, 1, 8, 2)), "conv 128x128 1->8 k3 s2: 294912 macs");
        assert_eq!(said(case(32, Work::Depthwise(32))), "depthwise 32x32 32->32 k3 s1: 294912 macs");
        assert_eq!(said(upsample2x(Corners::HalfPixel, true)), "upsample2x 32x32 16 relu: 65536 elements");
        assert_eq!(said(case(128, Work::Classify(4))), "classify 128x128 4: 16384 elements");
    }

    #[test]
    fn memory_that_is_too_small_is_refused() {
        let mut memory = StaticArena::<1024>::new();
        let mut ran = false;
        assert_eq!(CASES[0].run(&Portable, Layout::Portable, memory.as_mut_slice(), |_| ran = true), None);
        assert!(!ran);
    }
}
