//! Every kernel set of this machine against the reference, to the bit: over the drawn operators, over proptest's, on cases worked
//! out by hand; and what each set does with records and slices that do not fit. A new set joins by a line in [`sets`].

mod by_hand;
mod drawn;
mod random;
mod refusals;

use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::Complex32;
use crate::kernels::{
    Add, Axis, Channel, ChannelParams, Concat, ConcatInput, Conv2d, ConvTranspose2x2, Corners, ImageKernels,
    Int8Kernels, Kernels, LayerNorm, Layout, MaxPool, Portable, Reference, Shape, Shift, Table, Upsample2x,
    conv_extent, conv_scratch_bytes, conv_transpose_scratch_bytes, depthwise_scratch_bytes,
};
use crate::quant::Requant;

/// What an output holds before a kernel runs: a kernel that writes nothing shows.
const UNTOUCHED: i8 = 0x55;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6b73_636f_7574),
        ..ProptestConfig::default()
    }
}

/// Runs every set on an output of `len` elements and compares.
fn against_reference(len: usize, run: impl Fn(&dyn Kernels, &mut [i8])) {
    let mut expected = vec![UNTOUCHED; len];
    run(&Reference, &mut expected);
    against(&expected, run);
}

/// Runs every set but the reference and compares.
fn against(expected: &[i8], run: impl Fn(&dyn Kernels, &mut [i8])) {
    for (name, kernels) in sets() {
        let mut ours = vec![UNTOUCHED; expected.len()];
        run(&*kernels, &mut ours);
        assert_eq!(ours, expected, "{name}");
    }
}

/// Every set that this machine has, but the reference.
fn sets() -> Vec<(&'static str, Box<dyn Kernels>)> {
    #[allow(unused_mut, reason = "some targets have no other")]
    let mut sets: Vec<(_, Box<dyn Kernels>)> = vec![("portable", Box::new(Portable))];
    #[cfg(target_arch = "x86_64")]
    for set in crate::kernels::Level::ALL.into_iter().filter_map(crate::kernels::X86::with_level) {
        sets.push((set.level().name(), Box::new(set)));
    }
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    {
        use crate::kernels::Neon;
        sets.push(("NEON", Box::new(Neon::without_dotprod())));
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            // SAFETY: the core has it.
            #[allow(unsafe_code, reason = "no_std kernels cannot ask the system themselves")]
            let neon = unsafe { Neon::with_dotprod() };
            sets.push(("NEON with dot product", Box::new(neon)));
        }
    }
    sets
}

/// How tensors and weights are drawn.
#[derive(Clone, Copy, Debug)]
enum Values {
    Any,
    /// Only the ends of the range, where products and sums are largest.
    Ends,
    Lowest,
    Highest,
}

fn values() -> impl Strategy<Value = Values> {
    prop_oneof![
        4 => Just(Values::Any),
        1 => Just(Values::Ends),
        1 => Just(Values::Lowest),
        1 => Just(Values::Highest),
    ]
}

/// Numbers for a test's data (splitmix64).
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn tensor(&mut self, len: usize, values: Values) -> Vec<i8> {
        let draw = |bits: u64| match values {
            Values::Any => bits as i8,
            Values::Ends if bits & 1 == 0 => i8::MIN,
            Values::Ends | Values::Highest => i8::MAX,
            Values::Lowest => i8::MIN,
        };
        (0..len).map(|_| draw(self.next() >> 32)).collect()
    }

    /// A scale that brings sums of `terms` products near the range of i8, or one that saturates.
    fn requant(&mut self, terms: usize) -> Requant {
        let multiplier = (1 << 30) + (self.next() >> 34) as i32;
        let usual = -6 - (terms.max(1).ilog2() as i32) / 2;
        let shift = match self.next() % 8 {
            0 => usual + 6,
            1 => 3,
            2 => -31,
            _ => usual,
        };
        let multiplier = if self.next().is_multiple_of(8) { i32::MAX } else { multiplier };
        Requant { multiplier, shift }
    }

    fn params(&mut self, channels: usize, terms: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..channels {
            let bias = (self.next() >> 32) as i32 >> (8 + self.next() % 16);
            bytes.extend(Channel { bias, requant: self.requant(terms) }.to_bytes());
        }
        bytes
    }
}

fn zero_point() -> impl Strategy<Value = i32> {
    prop_oneof![3 => -128..=127i32, 1 => Just(-128), 1 => Just(127), 1 => Just(0)]
}

fn clamp() -> impl Strategy<Value = (i8, i8)> {
    let any = (any::<i8>(), any::<i8>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![2 => Just((-128, 127)), 1 => any]
}

fn corners() -> impl Strategy<Value = Corners> {
    prop_oneof![Just(Corners::HalfPixel), Just(Corners::Aligned)]
}

prop_compose! {
    fn requant()(multiplier in (1i32 << 30)..=i32::MAX, shift in -31..=6i32) -> Requant {
        Requant { multiplier, shift }
    }
}

/// A shape whose channels often fill blocks of 8 and 16, and often do not.
fn shape(extent: usize, channels: usize) -> impl Strategy<Value = Shape> {
    let channels = prop_oneof![1..=channels, (1..=channels.div_ceil(8)).prop_map(|n| 8 * n)];
    (1..=extent, 1..=extent, channels).prop_map(|(h, w, c)| Shape::new(h, w, c))
}

/// Geometry of a convolution: input, output channels, kernel, stride, pad, dilation.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    input: Shape,
    out_channels: usize,
    kernel: (usize, usize),
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Geometry {
    fn output(&self, channels: usize) -> Option<Shape> {
        let extent = |input, kernel| conv_extent(input, kernel, self.stride, self.pad, self.dilation);
        let (h, w) = (extent(self.input.h, self.kernel.0)?, extent(self.input.w, self.kernel.1)?);
        Some(Shape::new(h, w, channels))
    }
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let kernel = (1..=5usize, 1..=5usize);
    (shape(9, 24), 1..=19usize, kernel, 1..=3usize, 0..=4usize, 1..=3usize)
        .prop_map(|(input, out_channels, kernel, stride, pad, dilation)| Geometry {
            input,
            out_channels,
            kernel,
            stride,
            pad,
            dilation,
        })
        .prop_filter("the window is larger than the input", |g| g.output(1).is_some())
}

/// Scratch that begins at an address which is a multiple of 16, as in an arena.
fn scratch(bytes: usize) -> Vec<u128> {
    vec![u128::MAX / 3; bytes.div_ceil(16)]
}
