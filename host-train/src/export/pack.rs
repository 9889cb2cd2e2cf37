//! Trained networks to the bytes of a blob, in one call.

use kscout_core::contract::{FEATURES, MAX_ENSEMBLE_OUTPUTS};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::{BlobError, GraphKind};

use super::blob_writer::{GraphSpec, HeaderSpec, Origin, WriteError, write_blob};
use super::calibrate::{CalibrationInput, Range, calibrate};
use super::observe::{CALIBRATION, CalibrationSample, observe};
use super::quantise::{QuantiseError, quantise};
use super::refine::layers::{Layers, joined};
use super::refine::{refine, with_headroom};
use crate::data::{CLASSES, Dataset, Split};
use crate::mri::Acquisition;
use crate::net::graph::GraphInput;
use crate::net::slice_policy::MEMBERS;
use crate::net::{FloatGraph, SlicePolicy};

/// Logarithms of gains below this are all the same: nobody measures such a line (after 24 lines a slice, the best that is left is at
/// -5), and int8 spends its steps on the others.
const LEAST_OUTPUT: f32 = -6.0;

/// How often the results of a slice policy's layers are read. Of nine policies the one that int8 changed most then chose 95.4 % of
/// its slices as in real numbers at 16 lines (94.2 with 2, 1, 4), for 77,184 multiply-accumulates a slice (46,976).
const READINGS: [usize; 3] = [2, 3, 16];
const _: () = assert!(MEMBERS * READINGS[2] <= MAX_ENSEMBLE_OUTPUTS);

/// Why networks could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing to calibrate on.
    #[error("{0}: nothing to calibrate on; the data set needs training slices, and --calibration more of them")]
    NoCalibration(GraphKind),
    /// An observation is not of the network's size.
    #[error(
        "{graph}: input {input} takes {expected} values, a calibration input has {got}; network and data differ in size"
    )]
    CalibrationSample {
        /// The graph.
        graph: GraphKind,
        /// The input's number.
        input: usize,
        /// Values the graph takes.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A network could not be quantised.
    #[error("{graph}: {source}")]
    Quantise {
        /// The graph.
        graph: GraphKind,
        /// What is wrong.
        source: QuantiseError,
    },
    /// The blob could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The core refuses the blob.
    #[error(transparent)]
    Refused(#[from] BlobError),
}

/// The header of a blob that stays in memory.
pub fn header(data: &Dataset, reconstruction: Reconstruction) -> HeaderSpec {
    HeaderSpec {
        height: data.height(),
        width: data.width(),
        classes: CLASSES,
        layout: crate::runtime::LAYOUT,
        reconstruction,
        origin: Origin::default(),
        provenance: "in memory".into(),
    }
}

/// A blob of a segmenter alone, in int8, to be asked on this machine; its images are measured and reconstructed as `acquisition` says.
///
/// # Errors
/// Those of [`pack`].
pub fn segmenter_in_memory(
    data: &Dataset,
    graph: &FloatGraph,
    acquisition: Acquisition,
    seed: u64,
) -> Result<Vec<u8>, ExportError> {
    let observations = observe(&data.slices(Split::Train), CALIBRATION, acquisition, seed);
    pack(Some(graph), None, &observations, &header(data, acquisition.reconstruction))
}

/// The blob of a segmenter, a policy, or both, calibrated on `observations`.
///
/// # Errors
/// [`ExportError`] says which network cannot be exported, and why.
pub fn pack(
    segmenter: Option<&FloatGraph>,
    policy: Option<&FloatGraph>,
    observations: &[CalibrationSample],
    header: &HeaderSpec,
) -> Result<Vec<u8>, ExportError> {
    let int8 = |kind, graph: Option<&FloatGraph>| graph.map(|g| quantised(kind, g, observations)).transpose();
    let segmenter = int8(GraphKind::Segmenter, segmenter)?;
    let policy = int8(GraphKind::Policy, policy)?;
    Ok(write_blob(header, segmenter.as_ref(), policy.as_ref())?)
}

/// A slice policy in int8, calibrated on features of slices ([`write_features`](kscout_core::volume::write_features)). Its members' outputs
/// stand side by side, each several times, in one scale.
///
/// # Errors
/// Those of [`quantised`].
pub fn quantised_slice_policy(policy: &SlicePolicy, features: &[[i8; FEATURES]]) -> Result<GraphSpec, ExportError> {
    let kind = GraphKind::SlicePolicy;
    if features.is_empty() {
        return Err(ExportError::NoCalibration(kind));
    }
    let samples: Vec<f32> = features.iter().flatten().map(|&q| f32::from(q) / 127.0).collect();
    let in_a_row = |graph| Layers::of(&graph).expect("a member of a slice policy is layers in a row");
    let mut members: Vec<Layers> = policy.graphs().into_iter().map(in_a_row).collect();
    let outputs = members.iter().filter_map(|member| member.run(&samples).pop());
    let range = outputs.map(|outputs| Range::of(&outputs)).reduce(Range::union).unwrap_or_default();
    let range = with_headroom(Range { low: range.low.max(LEAST_OUTPUT).min(range.high), ..range });
    let mut ranges: Vec<Range> =
        members.iter_mut().flat_map(|member| refine(member, &samples, range, &READINGS)).collect();
    ranges.resize(ranges.len() + members.len() - 1, range);
    quantise(&joined(&members), &ranges).map_err(|source| ExportError::Quantise { graph: kind, source })
}

/// One network in int8: what [`pack`] does before it writes. Training exports a new policy again and again, and keeps the
/// segmenter, so it calls this and [`write_blob`] itself.
pub fn quantised(
    kind: GraphKind,
    graph: &FloatGraph,
    observations: &[CalibrationSample],
) -> Result<GraphSpec, ExportError> {
    // A policy is only asked while there are lines left; a full mask would widen its ranges for nothing.
    let wanted = |o: &&CalibrationSample| kind == GraphKind::Segmenter || o.goes_on();
    let inputs: Vec<CalibrationInput> =
        observations.iter().filter(wanted).map(|o| real_inputs(kind, graph, o)).collect::<Result<_, _>>()?;
    in_int8(kind, graph, &inputs)
}

fn in_int8(kind: GraphKind, graph: &FloatGraph, inputs: &[CalibrationInput]) -> Result<GraphSpec, ExportError> {
    if inputs.is_empty() {
        return Err(ExportError::NoCalibration(kind));
    }
    quantise(graph, &calibrate(graph, inputs)).map_err(|source| ExportError::Quantise { graph: kind, source })
}

/// The real values that an observation gives the inputs of `graph`.
fn real_inputs(kind: GraphKind, graph: &FloatGraph, o: &CalibrationSample) -> Result<CalibrationInput, ExportError> {
    let given = [&o.levels, &o.state];
    let real = |(number, (input, values)): (usize, (&GraphInput, &Vec<i8>))| {
        let (expected, got) = (input.shape.len(), values.len());
        if expected != got {
            return Err(ExportError::CalibrationSample { graph: kind, input: number, expected, got });
        }
        Ok(values.iter().map(|&q| input.scale * (i32::from(q) - input.zero_point) as f32).collect())
    };
    graph.inputs.iter().zip(given).enumerate().map(real).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kscout_core::contract::STATE_EXTRAS;
    use kscout_core::kernels::{Corners, Portable};
    use kscout_core::model::{Model, run};

    use super::*;
    use crate::export::blob_writer::write_graphs;
    use crate::mri::random::Stream;
    use crate::net::graph::{FloatConv, FloatOp};
    use crate::net::{Arch, Segmenter, SegmenterSpec};
    use crate::runtime::HeapArena;

    const SIDE: usize = 32;

    fn header() -> HeaderSpec {
        HeaderSpec {
            height: SIDE,
            width: SIDE,
            classes: 4,
            layout: kscout_core::kernels::Layout::Portable,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin::default(),
            provenance: "a test".into(),
        }
    }

    fn weights(random: &mut Stream, kernel: usize, input: usize, out: usize) -> FloatConv {
        let taps = kernel * kernel * input;
        let reach = (1.0 / taps as f32).sqrt();
        FloatConv {
            weights: (0..out * taps).map(|_| random.range(-reach, reach)).collect(),
            bias: (0..out).map(|_| random.range(-0.5, 0.5)).collect(),
            kernel: (kernel, kernel),
            stride: 1,
            pad: kernel / 2,
        }
    }

    fn conv(random: &mut Stream, kernel: usize, input: usize, out: usize) -> FloatOp {
        FloatOp::Conv(weights(random, kernel, input, out))
    }

    /// Two convolutions, pooling, interpolation, a skip connection.
    fn segmenter(random: &mut Stream) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput::image(SIDE, SIDE));
        let wide = graph.push(conv(random, 3, 1, 8), true, &[image]);
        let down = graph.push(FloatOp::MaxPool2, false, &[wide]);
        let deep = graph.push(conv(random, 3, 8, 8), false, &[down]);
        let up = graph.push(FloatOp::Upsample2x(Corners::HalfPixel), true, &[deep]);
        let sum = graph.push(FloatOp::Add, false, &[up, wide]);
        graph.push(conv(random, 1, 8, 4), false, &[sum]);
        graph
    }

    /// Down, up in both ways, and all joined to what was on the way down.
    fn decoder(random: &mut Stream) -> FloatGraph {
        let mut graph = FloatGraph::default();
        let image = graph.input(GraphInput::image(SIDE, SIDE));
        let wide = graph.push(conv(random, 3, 1, 8), true, &[image]);
        let down = graph.push(FloatOp::MaxPool2, false, &[wide]);
        let deep = graph.push(conv(random, 3, 8, 8), true, &[down]);
        let paint = FloatConv { stride: 2, pad: 0, ..weights(random, 2, 8, 6) };
        let painted = graph.push(FloatOp::ConvTranspose2x2(paint), false, &[deep]);
        let smooth = graph.push(FloatOp::Upsample2x(Corners::Aligned), false, &[deep]);
        let joined = graph.push(FloatOp::Concat, false, &[wide, painted]);
        let joined = graph.push(FloatOp::Concat, false, &[joined, smooth]);
        graph.push(conv(random, 3, 22, 4), false, &[joined]);
        graph
    }

    fn observations(random: &mut Stream, side: usize) -> Vec<CalibrationSample> {
        let mut one = || CalibrationSample {
            levels: (0..side * side).map(|_| random.below(256) as u8 as i8).collect(),
            state: vec![127; side + STATE_EXTRAS],
        };
        (0..12).map(|_| one()).collect()
    }

    #[test]
    fn int8_logits_are_near_the_real_ones() {
        for make in [segmenter, decoder] {
            let mut random = Stream::new(5);
            let graph = make(&mut random);
            int8_is_near(&graph, &observations(&mut random, SIDE));
        }
    }

    fn int8_is_near(graph: &FloatGraph, observations: &[CalibrationSample]) {
        let blob = pack(Some(graph), None, observations, &header()).unwrap();
        let int8 = Model::new_checked(&blob).unwrap().segmenter().unwrap();
        let output = int8.output();
        let mut arena = HeapArena::new(int8.arena_bytes());
        for seen in observations {
            let real = real_inputs(GraphKind::Segmenter, graph, seen).unwrap();
            let expected = graph.run(&[&real[0]]).pop().unwrap();
            let got = run(&int8, &Portable, &[&seen.levels], arena.bytes()).unwrap();
            for (&q, expected) in got.iter().zip(&expected) {
                let got = output.scale * (i32::from(q) - output.zero_point) as f32;
                assert!(
                    (got - expected).abs() < 4.0 * output.scale,
                    "{got} for {expected}, a step is {}",
                    output.scale
                );
            }
        }
    }

    #[test]
    fn published_networks_fit_the_core_at_256_by_256() {
        let size = HeaderSpec { height: 256, width: 256, ..header() };
        let networks = [(Arch::Unet, 48, 16), (Arch::UnetBilinear, 39, 16), (Arch::UnetPp, 29, 23)];
        for (arch, billion_macs, arena_mib) in networks {
            let network = Segmenter::new(&SegmenterSpec::published(arch, 4), &Device::flex());
            let graph = network.graph(256, 256);
            let int8 = quantise(&graph, &vec![Range { low: -3.0, high: 4.0 }; graph.nodes.len()]).unwrap();
            let blob = write_blob(&size, Some(&int8), None).unwrap();
            let written = Model::new_checked(&blob).unwrap().segmenter().unwrap();
            assert_eq!(written.macs(), graph.macs(), "{arch}");
            assert_eq!(
                (written.macs() / 1_000_000_000, written.arena_bytes() >> 20),
                (billion_macs, arena_mib),
                "{arch}"
            );
        }
    }

    fn features(random: &mut Stream, count: usize) -> Vec<[i8; FEATURES]> {
        let mut features = || {
            let causes: [f32; 3] = std::array::from_fn(|_| random.unit());
            std::array::from_fn(|i| (60.0 * (causes[i % 3] + causes[i / 3 % 3]) + random.range(-4.0, 4.0)) as i8)
        };
        (0..count).map(|_| features()).collect()
    }

    #[test]
    fn a_slice_policy_in_int8_costs_little_and_is_near_the_real_one() {
        let device = Device::flex();
        device.seed(6);
        let policy = SlicePolicy::new(&device);
        let features = features(&mut Stream::new(6), 300);
        let (known, unseen) = features.split_at(200);
        let int8 = quantised_slice_policy(&policy, known).unwrap();
        let blob = write_graphs(&header(), &[(GraphKind::SlicePolicy, &int8)], &[]).unwrap();
        let graph = Model::new_checked(&blob).unwrap().slice_policy().unwrap();
        // A decision looks at every slice; ACDC's largest hearts have 18.
        assert!(18 * graph.macs() <= 1_500_000, "{} multiply-accumulates a slice", graph.macs());
        let (output, mut arena) = (graph.output(), HeapArena::new(graph.arena_bytes()));
        let members = policy.graphs();
        for features in unseen {
            let real: Vec<f32> = features.iter().map(|&q| f32::from(q) / 127.0).collect();
            let expected = members.iter().map(|member| member.run(&[&real])[2][0]).sum::<f32>() / members.len() as f32;
            let outputs = run(&graph, &Portable, &[features], arena.bytes()).unwrap();
            let steps: i32 = outputs.iter().map(|&q| i32::from(q) - output.zero_point).sum();
            let got = output.scale * steps as f32 / outputs.len() as f32;
            assert!((got - expected).abs() < 2.0 * output.scale, "{got} for {expected}, a step is {}", output.scale);
        }
    }

    #[test]
    fn a_slice_policy_without_views_is_an_error() {
        let error = quantised_slice_policy(&SlicePolicy::new(&Device::flex()), &[]).unwrap_err();
        assert!(matches!(error, ExportError::NoCalibration(GraphKind::SlicePolicy)), "{error}");
    }

    #[test]
    fn nothing_to_calibrate_on_is_an_error() {
        let graph = segmenter(&mut Stream::new(5));
        let error = pack(Some(&graph), None, &[], &header()).unwrap_err();
        assert!(matches!(error, ExportError::NoCalibration(GraphKind::Segmenter)), "{error}");
    }

    #[test]
    fn an_observation_of_another_size_is_an_error() {
        let mut random = Stream::new(5);
        let graph = segmenter(&mut random);
        let error = pack(Some(&graph), None, &observations(&mut random, 2 * SIDE), &header()).unwrap_err();
        assert!(matches!(error, ExportError::CalibrationSample { input: 0, expected: 1024, got: 4096, .. }), "{error}");
    }

    #[test]
    fn a_weight_that_is_no_number_is_an_error_that_names_the_node() {
        let mut random = Stream::new(5);
        let mut graph = segmenter(&mut random);
        let FloatOp::Conv(conv) = &mut graph.nodes[2].op else { panic!("node 2 is a convolution") };
        conv.weights[0] = f32::NAN;
        let error = pack(Some(&graph), None, &observations(&mut random, SIDE), &header()).unwrap_err();
        assert!(error.to_string().starts_with("segmenter: node 2 (convolution)"), "{error}");
    }
}
