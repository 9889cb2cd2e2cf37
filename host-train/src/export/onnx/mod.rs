//! A blob's segmenter as an ONNX file, for people who deploy elsewhere: the same int8 network in QDQ form, in which every tensor
//! goes through `QuantizeLinear` and `DequantizeLinear` and every operator between is one of ONNX's own, on real numbers.
//!
//! It is made from the checked blob, so that weights, scales and zero points are the blob's. Where values differ, a runtime has
//! rounded differently; [`Rounding`] says how far the file goes against that.
//!
//! | the core | ONNX |
//! |---|---|
//! | `Conv2d`, `Depthwise`, `ConvTranspose2x2` | `Conv`, with `group`, `ConvTranspose`; int8 weights with a scale a channel, int32 bias at `s_in * s_weight` |
//! | a clamp at the zero point | `Relu`; at other ends `Clip` |
//! | `MaxPool`, `Add`, `Concat` | the same |
//! | `Upsample2x` | `Resize`, linear, `half_pixel` or `align_corners` |
//! | `LayerNorm` | `Transpose`, `LayerNormalization`, `Transpose` |
//! | `Table` | GELU through `Erf` where it is one, else `Gather` |
//! | `Shift` | `Pad`, `Slice`, `Concat` |
//!
//! Operator set 17, IR version 8, no dynamic axes. Input `image`, float32 `[1, 1, H, W]`: magnitudes over their root mean square;
//! output `logits`, float32 `[1, classes, H, W]`. Scale and zero point of both are in the file's metadata, with the provenance.
//!
//! [`proto`]: the format's messages. `builder`: constants, nodes, quantisation. `operators`: the table above. `weights`: order
//! and scales of a convolution's constants. `gelu`: which tables are one. `rounding`: the core's, in a runtime's terms.

mod builder;
mod gelu;
mod operators;
pub mod proto;
mod rounding;
#[cfg(test)]
mod tests;
mod weights;

use kscout_core::model::{Model, OperatorKind, TensorInfo};
use prost::Message;

use builder::Builder;
use operators::{Translation, Value, Written};
use proto::{Dimension, Entry, OperatorSet, TensorShape, TensorType, Type, ValueInfo, data_type};
pub use rounding::Rounding;

/// Version of ONNX's operators; the first with `LayerNormalization`.
pub const OPERATOR_SET: i64 = 17;
/// Version of the file format, that of ONNX 1.12.
const IR_VERSION: i64 = 8;

/// Why a blob has no ONNX form.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// The blob holds only a policy.
    #[error("the blob has no segmenter, which is what --onnx writes; export one with --segmenter")]
    NoSegmenter,
    /// An operator multiplies by something else than the scales of its tensors say.
    #[error(
        "node {node} ({op}): its factor for input {read} is {factor:e}, the scales of its tensors make {ratio:e}; QDQ form has only the scales"
    )]
    Factor {
        /// The node.
        node: usize,
        /// Its operator.
        op: OperatorKind,
        /// Which of its inputs.
        read: usize,
        /// The factor in the blob.
        factor: f64,
        /// Scale of the input over that of the output.
        ratio: f64,
    },
}

/// The ONNX file of the segmenter in `model`.
///
/// # Errors
/// [`OnnxError`]: there is no segmenter, or it is none that `kscout export` writes.
pub fn onnx(model: &Model<'_>, rounding: Rounding) -> Result<Vec<u8>, OnnxError> {
    let graph = model.segmenter().ok_or(OnnxError::NoSegmenter)?;
    let input = graph.input(0).expect("a segmenter reads an image");
    let mut builder = Builder::default();
    let int8 = builder.quantise("input", "image", &input);
    let real = builder.dequantise("input", &int8, &input, "input");
    let mut values = vec![Value { real, int8, tensor: input }];
    for node in graph.nodes() {
        let name = format!("node{}", node.index);
        // What the last node writes is the graph's output.
        let real = if node.index + 1 == graph.len() { "logits" } else { &name };
        let reads = std::iter::once(node.inputs.0).chain(node.inputs.1).map(|id| values[id].clone()).collect();
        let tensor = TensorInfo::from(node.output);
        let translation =
            Translation { builder: &mut builder, name: name.clone(), node, reads, output: tensor, rounding };
        let int8 = match translation.write()? {
            Written::Real(unquantised) => builder.quantise(&name, &unquantised, &tensor),
            Written::Int8(int8) => int8,
        };
        let real = builder.dequantise(&name, &int8, &tensor, real);
        values.push(Value { real, int8, tensor });
    }
    let output = graph.output();
    let mut graph = builder.graph;
    graph.name = "segmenter".into();
    graph.input = vec![described("image", &input, "magnitudes of the image, divided by their root mean square")];
    graph.output = vec![described("logits", &output, "the class of a pixel is the one with the largest logit")];
    Ok(file(model, graph, [&input, &output]).encode_to_vec())
}

fn described(name: &str, tensor: &TensorInfo, words: &str) -> ValueInfo {
    let TensorInfo { shape, scale, zero_point } = *tensor;
    let dims = [1, shape.c, shape.h, shape.w];
    let dim = dims.iter().map(|&extent| Dimension { dim_value: Some(extent as i64) }).collect();
    let tensor_type = TensorType { elem_type: Some(data_type::FLOAT), shape: Some(TensorShape { dim }) };
    ValueInfo {
        name: name.into(),
        r#type: Some(Type { tensor_type: Some(tensor_type) }),
        doc_string: format!("{words}; inside in int8, real = {scale} * (q - {zero_point}), NCHW"),
    }
}

fn file(model: &Model<'_>, graph: proto::Graph, [input, output]: [&TensorInfo; 2]) -> proto::Model {
    let entry = |key: &str, value: String| Entry { key: key.into(), value };
    proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: "Segmenter of zero-filled MR images of the heart, int8 in QDQ form".into(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: Some(OPERATOR_SET) }],
        metadata_props: vec![
            entry("provenance", model.provenance().to_owned()),
            entry("input_scale", input.scale.to_string()),
            entry("input_zero_point", input.zero_point.to_string()),
            entry("output_scale", output.scale.to_string()),
            entry("output_zero_point", output.zero_point.to_string()),
        ],
    }
}
