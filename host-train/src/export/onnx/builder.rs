//! Putting an ONNX graph together: constants, nodes, and the pair of `QuantizeLinear` and `DequantizeLinear` behind every operator.

use std::collections::HashSet;

use kscout_core::model::TensorInfo;

use super::proto::{Attribute, Graph, Node, Tensor, attribute_type, data_type};

/// A graph under construction.
#[derive(Default)]
pub(super) struct Builder {
    pub graph: Graph,
    constants: HashSet<String>,
}

impl Builder {
    /// Adds a node that writes one tensor, `output`, and takes its name from it; returns that name.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> String {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{output}/{op}"),
            op_type: op.to_owned(),
            attribute,
        });
        output.to_owned()
    }

    fn constant(&mut self, name: &str, kind: i32, dims: &[usize], raw_data: Vec<u8>) -> String {
        // A name stands for one value: scales of a tensor that several nodes read are stored once.
        if self.constants.insert(name.to_owned()) {
            let dims = dims.iter().map(|&extent| extent as i64).collect();
            let (data_type, raw_data) = (Some(kind), Some(raw_data));
            self.graph.initializer.push(Tensor { dims, data_type, name: name.to_owned(), raw_data });
        }
        name.to_owned()
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, data_type::FLOAT, dims, bytes)
    }

    /// A constant of bytes.
    pub fn int8s(&mut self, name: &str, dims: &[usize], values: &[i8]) -> String {
        self.constant(name, data_type::INT8, dims, values.iter().map(|&value| value as u8).collect())
    }

    /// A constant of 32-bit integers.
    pub fn int32s(&mut self, name: &str, dims: &[usize], values: &[i32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, data_type::INT32, dims, bytes)
    }

    /// A list of 64-bit integers, as operators take shapes and places.
    pub fn int64s(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, data_type::INT64, &[values.len()], bytes)
    }

    /// The real-valued tensor `real` in int8, as `{name}.int8`.
    pub fn quantise(&mut self, name: &str, real: &str, tensor: &TensorInfo) -> String {
        let (scale, zero) = self.steps(name, tensor);
        self.node("QuantizeLinear", &[real, &scale, &zero], &format!("{name}.int8"), Vec::new())
    }

    /// The int8 tensor `int8` in real numbers, as `{output}`; scale and zero point are called after `name`.
    pub fn dequantise(&mut self, name: &str, int8: &str, tensor: &TensorInfo, output: &str) -> String {
        let (scale, zero) = self.steps(name, tensor);
        self.node("DequantizeLinear", &[int8, &scale, &zero], output, Vec::new())
    }

    fn steps(&mut self, name: &str, tensor: &TensorInfo) -> (String, String) {
        let scale = self.floats(&format!("{name}.scale"), &[], &[tensor.scale]);
        let zero = self.int8s(&format!("{name}.zero_point"), &[], &[tensor.zero_point as i8]);
        (scale, zero)
    }
}

impl Attribute {
    /// A number.
    pub(super) fn float(name: &str, value: f32) -> Self {
        Self { name: name.into(), f: Some(value), kind: Some(attribute_type::FLOAT), ..Self::default() }
    }

    /// A whole number.
    pub(super) fn int(name: &str, value: i64) -> Self {
        Self { name: name.into(), i: Some(value), kind: Some(attribute_type::INT), ..Self::default() }
    }

    /// Whole numbers.
    pub(super) fn ints(name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|&value| value as i64).collect();
        Self { name: name.into(), ints, kind: Some(attribute_type::INTS), ..Self::default() }
    }

    /// Text.
    pub(super) fn text(name: &str, value: &str) -> Self {
        Self { name: name.into(), s: Some(value.into()), kind: Some(attribute_type::STRING), ..Self::default() }
    }
}
