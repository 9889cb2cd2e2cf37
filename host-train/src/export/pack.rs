//! Trained networks to the bytes of a blob, in one call.

use kscout_core::model::{BlobError, GraphKind};

use super::blob_writer::{GraphSpec, HeaderSpec, WriteError, write_blob};
use super::calibrate::{CalibrationInput, calibrate};
use super::observe::Observation;
use super::quantise::{QuantiseError, quantise};
use crate::net::graph::GraphInput;
use crate::net::scout::image_input;
use crate::net::{FloatGraph, UNext};

/// Why networks could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing to calibrate on.
    #[error("{0}: nothing to calibrate on; the data set needs training slices, and --calibration at least 8")]
    NoCalibration(GraphKind),
    /// An observation is not of the network's size.
    #[error("{graph}: input {input} takes {expected} values, a calibration input has {got}; network and data differ in size")]
    Observation {
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

/// The segmenter as a graph for images of `height` by `width`.
pub fn segmenter_graph(network: &UNext, height: usize, width: usize) -> FloatGraph {
    let mut graph = FloatGraph::default();
    let image = graph.input(image_input(height, width));
    network.lower(&mut graph, image);
    graph
}

/// The blob of a segmenter, a policy, or both, calibrated on `observations`.
///
/// # Errors
/// [`ExportError`] says which network cannot be exported, and why.
pub fn pack(
    segmenter: Option<&FloatGraph>,
    policy: Option<&FloatGraph>,
    observations: &[Observation],
    header: &HeaderSpec,
) -> Result<Vec<u8>, ExportError> {
    let int8 = |kind, graph: Option<&FloatGraph>| graph.map(|g| quantised(kind, g, observations)).transpose();
    let segmenter = int8(GraphKind::Segmenter, segmenter)?;
    let policy = int8(GraphKind::Policy, policy)?;
    Ok(write_blob(header, segmenter.as_ref(), policy.as_ref())?)
}

/// One network in int8: what [`pack`] does before it writes. Training exports a new policy again and again, and keeps the
/// segmenter, so it calls this and [`write_blob`] itself.
pub fn quantised(
    kind: GraphKind,
    graph: &FloatGraph,
    observations: &[Observation],
) -> Result<GraphSpec, ExportError> {
    // A policy is only asked while there are lines left; a full mask would widen its ranges for nothing.
    let wanted = |o: &&Observation| kind == GraphKind::Segmenter || o.goes_on();
    let inputs: Vec<CalibrationInput> =
        observations.iter().filter(wanted).map(|o| real_inputs(kind, graph, o)).collect::<Result<_, _>>()?;
    if inputs.is_empty() {
        return Err(ExportError::NoCalibration(kind));
    }
    quantise(graph, &calibrate(graph, &inputs)).map_err(|source| ExportError::Quantise { graph: kind, source })
}

/// The real values that an observation gives the inputs of `graph`.
fn real_inputs(kind: GraphKind, graph: &FloatGraph, o: &Observation) -> Result<CalibrationInput, ExportError> {
    let given = [&o.levels, &o.state];
    let real = |(number, (input, values)): (usize, (&GraphInput, &Vec<i8>))| {
        let (expected, got) = (input.shape.len(), values.len());
        if expected != got {
            return Err(ExportError::Observation { graph: kind, input: number, expected, got });
        }
        Ok(values.iter().map(|&q| input.scale * (i32::from(q) - input.zero_point) as f32).collect())
    };
    graph.inputs.iter().zip(given).enumerate().map(real).collect()
}
