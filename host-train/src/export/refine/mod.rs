//! Small networks closer to their real numbers, in the int8 that every core runs.
//!
//! A slice policy compares slices whose expected gains often differ by less than a hundredth of a logit, while a step of its int8
//! output alone is three hundredths. Nothing here changes the format: the same layers, but other weights in them.
//!
//! * [`layers`](mod@layers): what can be refined, and on what samples.
//! * [`equalise`](mod@equalise): hidden units use all of their layer's range.
//! * [`rounding`]: weights are rounded so that their errors cancel.
//! * [`readings`]: values are read several times, each time shifted by a fraction of their step.

pub mod equalise;
pub mod layers;
pub mod readings;
pub mod rounding;

use self::layers::{Layer, Layers};
use self::rounding::Covariance;
use super::calibrate::Range;
use super::quantise::{in_steps, scale_of};

/// How far ranges reach beyond the largest value of calibration. What lies outside of a range is cut off, which costs more than
/// somewhat larger steps.
const HEADROOM: f32 = 1.1;

/// Refines layers for int8; returns the ranges to quantise them with, `output` being that of the last one.
///
/// `samples` are what the first layer reads, one after another, to calibrate on. Each layer's results are read as often as
/// `times` says: an output then comes out several times, and its mean is what it was.
pub fn refine(layers: &mut Layers, samples: &[f32], output: Range, times: &[usize]) -> Vec<Range> {
    equalise::equalise(layers, samples);
    let results = layers.run(samples);
    let mut ranges: Vec<Range> = results.iter().map(|values| with_headroom(Range::of(values))).collect();
    if let Some(last) = ranges.last_mut() {
        *last = output;
    }
    let (mut real, mut int8) = (samples.to_vec(), samples.to_vec());
    for (number, (range, &times)) in ranges.iter().zip(times).enumerate() {
        let [layer, rest @ ..] = &mut layers.layers[number..] else { break };
        let wanted = layer.sums(&real);
        round(layer, &wanted, &int8);
        real = layer.results(wanted);
        if let Ok((step, _)) = scale_of(*range) {
            real = readings::repeated(&real, layer.bias.len(), times);
            readings::read(layer, rest.first_mut(), times, step);
        }
        int8 = in_steps(layer.results(layer.sums(&int8)), *range);
    }
    ranges
}

/// A range that reaches somewhat further up.
pub fn with_headroom(range: Range) -> Range {
    Range { high: range.high * HEADROOM, ..range }
}

/// Rounds the weights of a layer that is to come to the sums `wanted` from what it reads, `read`; biases make up for what the sums
/// lose on average.
fn round(layer: &mut Layer, wanted: &[f32], read: &[f32]) {
    rounding::round(layer, &Covariance::of(read, layer.width));
    let lost = mean_difference(wanted, &layer.sums(read), layer.bias.len());
    layer.bias.iter_mut().zip(lost).for_each(|(bias, lost)| *bias += lost);
}

/// By how much `a` exceeds `b` on average, for each of `outputs` values a sample.
fn mean_difference(a: &[f32], b: &[f32], outputs: usize) -> Vec<f32> {
    let mut sums = vec![0f64; outputs];
    for (a, b) in a.chunks_exact(outputs).zip(b.chunks_exact(outputs)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += f64::from(a - b));
    }
    let count = (a.len() / outputs) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Layers and samples that tests refine.
#[cfg(test)]
pub(super) mod fixture {
    use kscout_core::contract::FEATURES;
    use kscout_core::kernels::Shape;

    use super::layers::{Layer, Layers};
    use crate::mri::random::Stream;
    use crate::net::graph::GraphInput;

    /// As many as a slice policy has, so that the core runs the layers.
    pub const INPUTS: usize = FEATURES;

    /// Two hidden layers, whose units are of unlike size and one of which never speaks, and an output.
    pub fn layers() -> Layers {
        let mut random = Stream::new(4);
        let mut layer = |width: usize, outputs: usize, relu| {
            let mut row = |output: usize| {
                let reach = (1 + output % 4) as f32 / (width as f32).sqrt();
                (0..width).map(|_| random.range(-reach, reach)).collect::<Vec<f32>>()
            };
            let weights = (0..outputs).flat_map(&mut row).collect();
            let bias = (0..outputs).map(|output| if relu && output == 5 { -90.0 } else { 0.1 }).collect();
            Layer { width, weights, bias, relu }
        };
        let layers = vec![layer(INPUTS, 16, true), layer(16, 12, true), layer(12, 1, false)];
        Layers { input: GraphInput { shape: Shape::new(1, 1, INPUTS), scale: 1.0 / 127.0, zero_point: 0 }, layers }
    }

    /// Samples in steps of an input, whose values have three causes and a little of their own.
    pub fn samples(count: usize) -> Vec<f32> {
        let mut random = Stream::new(9);
        let mut sample = || {
            let causes: [f32; 3] = std::array::from_fn(|_| random.unit());
            let value = |i: usize| (causes[i % 3] + causes[i / 3 % 3]) / 2.2 + random.range(-0.04, 0.04);
            (0..INPUTS).map(value).map(|x| (127.0 * x.clamp(-1.0, 1.0)).round() / 127.0).collect::<Vec<f32>>()
        };
        (0..count).flat_map(|_| sample()).collect()
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::kernels::{Layout, Portable};
    use kscout_core::kspace::Reconstruction;
    use kscout_core::model::{GraphKind, Model, run};

    use super::layers::joined;
    use super::*;
    use crate::export::blob_writer::{HeaderSpec, Origin, write_graphs};
    use crate::export::quantise::quantise;
    use crate::runtime::HeapArena;

    /// What the core makes of `samples` in int8: the mean of the outputs.
    fn in_int8(layers: &Layers, ranges: &[Range], samples: &[f32]) -> Vec<f32> {
        let header = HeaderSpec {
            height: 32,
            width: 32,
            classes: 4,
            layout: Layout::Portable,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin::default(),
            provenance: "a test".into(),
        };
        let int8 = quantise(&joined(std::slice::from_ref(layers)), ranges).unwrap();
        let blob = write_graphs(&header, &[(GraphKind::SlicePolicy, &int8)], &[]).unwrap();
        let graph = Model::new_checked(&blob).unwrap().slice_policy().unwrap();
        let (output, mut arena) = (graph.output(), HeapArena::new(graph.arena_bytes()));
        let mut mean = |sample: &[f32]| {
            let sample: Vec<i8> = sample.iter().map(|x| (127.0 * x).round() as i8).collect();
            let values = run(&graph, &Portable, &[&sample], arena.bytes()).unwrap();
            let sum: i32 = values.iter().map(|&q| i32::from(q) - output.zero_point).sum();
            output.scale * sum as f32 / values.len() as f32
        };
        samples.chunks_exact(fixture::INPUTS).map(&mut mean).collect()
    }

    fn rms(a: &[f32], b: &[f32]) -> f32 {
        (a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / a.len() as f32).sqrt()
    }

    #[test]
    fn refined_layers_come_closer_in_int8() {
        let (layers, samples) = (fixture::layers(), fixture::samples(800));
        // The second half is not calibrated on.
        let (known, unseen) = samples.split_at(samples.len() / 2);
        let wanted = layers.run(unseen).pop().unwrap();
        let ranges: Vec<Range> = layers.run(known).iter().map(|values| Range::of(values)).collect();
        let plain = rms(&wanted, &in_int8(&layers, &ranges, unseen));
        let error = |times: [usize; 3]| {
            let mut refined = layers.clone();
            let ranges = refine(&mut refined, known, with_headroom(ranges[2]), &times);
            rms(&wanted, &in_int8(&refined, &ranges, unseen))
        };
        let (once, often) = (error([1, 1, 1]), error([2, 1, 16]));
        assert!(once < plain / 2.0 && often < 0.75 * once, "{often} {once} {plain}");
    }

    #[test]
    fn a_weight_that_is_no_number_is_left_for_quantisation_to_find() {
        let (mut layers, samples) = (fixture::layers(), fixture::samples(20));
        layers.layers[1].weights[3] = f32::NAN;
        let ranges = refine(&mut layers, &samples, Range { low: -1.0, high: 1.0 }, &[1, 1, 4]);
        let error = quantise(&joined(&[layers]), &ranges).unwrap_err();
        assert_eq!(error.node, 1, "{error}");
    }
}
