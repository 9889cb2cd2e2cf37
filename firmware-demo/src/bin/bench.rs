//! Instructions per multiply-accumulate of convolutions of many shapes, with the kernels of this core.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use kscout_core::arena::{Carver, StaticArena};
use kscout_core::kernels::{
    Channel, ChannelParams, Conv2d, Kernels, Layout, Native, Shape, conv_extent, conv_scratch_bytes,
    depthwise_scratch_bytes,
};
use kscout_core::quant::Requant;
use kscout_firmware::clock::{Clock, Tally};
use kscout_firmware::status;

/// A layer of square images and kernels, padded to keep its extent at stride 1.
struct Layer {
    depthwise: bool,
    side: usize,
    channels: (usize, usize),
    kernel: usize,
    stride: usize,
}

const fn conv(kernel: usize, side: usize, from: usize, to: usize, stride: usize) -> Layer {
    Layer { depthwise: false, side, channels: (from, to), kernel, stride }
}

const fn depthwise(side: usize, channels: usize) -> Layer {
    Layer { depthwise: true, side, channels: (channels, channels), kernel: 3, stride: 1 }
}

const LAYERS: [Layer; 13] = [
    conv(3, 64, 16, 16, 1),
    conv(3, 64, 8, 8, 1),
    conv(3, 32, 32, 32, 1),
    conv(3, 16, 64, 64, 1),
    conv(3, 64, 1, 16, 1),
    conv(1, 32, 32, 64, 1),
    conv(3, 32, 32, 32, 2),
    depthwise(32, 32),
    depthwise(16, 64),
    conv(3, 128, 1, 8, 2),
    conv(3, 128, 4, 4, 1),
    conv(1, 128, 4, 4, 1),
    conv(1, 1, 131, 128, 1),
];

const ARENA_BYTES: usize = 320 * 1024;
/// All channels alike: a scale that keeps outputs within eight bits.
const CHANNEL: [u8; Channel::BYTES] =
    Channel { bias: 100, requant: Requant { multiplier: 1_500_000_000, shift: -10 } }.to_bytes();
/// Aligned as a blob's constants are.
#[repr(align(16))]
struct Params([[u8; Channel::BYTES]; 128]);
static PARAMS: Params = Params([CHANNEL; 128]);

#[entry]
fn main() -> ! {
    static mut ARENA: StaticArena<ARENA_BYTES> = StaticArena::new();
    let Some(peripherals) = cortex_m::Peripherals::take() else { status::exit(false) };
    let clock = Clock::start(peripherals.SYST);
    hprintln!("instructions a multiply-accumulate, padding included");
    let all = LAYERS.iter().map(|layer| bench(layer, ARENA.as_mut_slice(), &clock));
    status::exit(all.filter(Option::is_none).count() == 0)
}

/// Runs a layer once on arbitrary data and prints what it took.
fn bench(layer: &Layer, arena: &mut [u8], clock: &Clock) -> Option<()> {
    let &Layer { depthwise, side, channels: (from, to), kernel, stride } = layer;
    let pad = kernel / 2;
    let extent = conv_extent(side, kernel, stride, pad, 1)?;
    let (input, output) = (Shape::new(side, side, from), Shape::new(extent, extent, to));
    let taps = kernel * kernel * if depthwise { 1 } else { from };
    let scratch = match depthwise {
        true => depthwise_scratch_bytes((kernel, kernel), from),
        false => conv_scratch_bytes((kernel, kernel), from),
    };
    let mut arena = Carver::new(arena).ok()?;
    let weights = filled(arena.take(taps * to).ok()?);
    let image = filled(arena.take(input.len()).ok()?);
    let result: &mut [i8] = arena.take(output.len()).ok()?;
    let scratch: &mut [u8] = arena.take(scratch).ok()?;
    let op = Conv2d {
        input,
        output,
        kernel: (kernel, kernel),
        stride,
        pad,
        dilation: 1,
        in_zero: -3,
        out_zero: 5,
        clamp: (-128, 127),
        weights,
        layout: Layout::Portable,
        rows: (0, output.h),
        params: ChannelParams::new(PARAMS.0.as_flattened().get(..to * Channel::BYTES)?)?,
    };
    let mut tally = Tally::default();
    clock.count(&mut tally, || match depthwise {
        true => Native::default().depthwise(&op, image, result, scratch),
        false => Native::default().conv2d(&op, image, result, scratch),
    });
    let macs = (taps * output.len()) as u64;
    let milli = 1000 * tally.total() / macs.max(1);
    let kind = if depthwise { "depthwise" } else { "conv" };
    hprintln!(
        "{} {}x{} {}->{} k{} s{} instr={} instr_per_mac={}.{:03}",
        kind,
        side,
        side,
        from,
        to,
        kernel,
        stride,
        tally.total(),
        milli / 1000,
        milli % 1000
    );
    Some(())
}

/// Arbitrary values, the same in every run.
fn filled(values: &mut [i8]) -> &[i8] {
    let mut state = 1_u32;
    for value in values.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as i8;
    }
    values
}
