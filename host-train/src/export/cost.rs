//! What a network costs before it is trained or exported: layers, parameters, multiply-accumulates, memory.
//!
//! A lowered graph has shapes and no names, a module has names and no shapes. To bring them together, every layer of a copy
//! of the network gets its own number for all its weights (and every batch norm for all its offsets), the copy is lowered,
//! and the numbers are read off the graph's operators.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use kscout_core::kernels::Shape;
use serde::Serialize;

use super::blob_writer::plan_memory;
use super::calibrate::Range;
use super::plan::{self, Buffer};
use super::quantise::{QuantiseError, quantise};
use crate::net::graph::{FloatConv, FloatGraph, FloatNode, FloatOp};
use crate::net::{Arch, Segmenter, SegmenterSpec};

/// The costs of a segmenter for images of one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Its operators in the order they run, then what only training runs.
    pub layers: Vec<Layer>,
    /// Parameters, running statistics of batch norms not among them.
    pub parameters: usize,
    /// Multiply-accumulates for one image of one channel.
    pub macs: u64,
    /// The most bytes of activations that are alive at once in f32, the image not counted.
    pub peak_f32_bytes: usize,
    /// Bytes of the arena in int8, kernels' scratch memory in it, the image not counted.
    pub arena_int8_bytes: usize,
}

/// An operator, the batch norm and ReLU behind it in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The layer's PyTorch name, or empty where it has no parameters.
    pub name: String,
    /// What it computes.
    pub operator: String,
    /// Rows, columns, channels of the result.
    pub output: [usize; 3],
    /// Parameters, the batch norm's in it.
    pub parameters: usize,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of the result in f32.
    pub activation_bytes: usize,
}

/// The costs of the segmenter `spec`, pruned to head `prune` of a U-Net++, for images of `height` by `width`.
///
/// # Errors
/// `QuantiseError` if the network has no int8 form at this size.
pub fn cost(spec: &SegmenterSpec, prune: Option<usize>, height: usize, width: usize) -> Result<Cost, QuantiseError> {
    let device = Device::flex();
    let network = |spec: &SegmenterSpec| match prune {
        Some(level) => Segmenter::new(spec, &device).pruned(level),
        None => Segmenter::new(spec, &device),
    };
    let mut owners = layers_of(&network(spec));
    let parameters = owners.iter().map(|owner| owner.parameters).sum();
    let graph = network(&SegmenterSpec { channels: 1, ..*spec }).map(&mut Number::default()).graph(height, width);
    let mut layers = Vec::new();
    for node in &graph.nodes {
        let (layer, norm) = numbers(node);
        let mut claim = |number: Option<usize>| {
            let owner = number.and_then(|n| owners.get_mut(n));
            owner.map(|owner| (owner.path.clone(), std::mem::take(&mut owner.parameters)))
        };
        let (path, own) = claim(layer).unwrap_or_default();
        let (_, norms) = claim(norm).unwrap_or_default();
        layers.push(Layer {
            name: if path.is_empty() { path } else { layer_name(spec.arch, &path) },
            operator: operator(node, norm.is_some()),
            output: [node.shape.h, node.shape.w, node.shape.c],
            parameters: own + norms,
            macs: node.macs(),
            activation_bytes: node.shape.len() * size_of::<f32>(),
        });
    }
    layers.extend(owners.iter().filter(|owner| owner.parameters > 0).map(|owner| Layer {
        name: layer_name(spec.arch, &owner.path),
        operator: "in training only".into(),
        output: [0; 3],
        parameters: owner.parameters,
        macs: 0,
        activation_bytes: 0,
    }));
    // Where tensors lie does not depend on their values, so any ranges will do.
    let int8 = quantise(&graph, &vec![Range { low: -1.0, high: 1.0 }; graph.nodes.len()])?;
    Ok(Cost {
        layers,
        parameters,
        macs: graph.macs(),
        peak_f32_bytes: peak_f32(&graph),
        arena_int8_bytes: plan_memory(&int8).bytes,
    })
}

/// What PyTorch calls the layer at `path`: a parameter's name without the parameter.
fn layer_name(arch: Arch, path: &str) -> String {
    let name = (arch.description().weights.name)(&format!("{path}.weight"));
    name.strip_suffix(".weight").unwrap_or(&name).to_owned()
}

/// Parameters of `network`, running statistics of batch norms not among them.
pub fn parameters<M: Module>(network: &M) -> usize {
    layers_of(network).iter().map(|owner| owner.parameters).sum()
}

/// A layer of a module, and its parameters.
struct Owner {
    path: String,
    parameters: usize,
}

/// A layer's number is its place here.
fn layers_of<M: Module>(network: &M) -> Vec<Owner> {
    let mut layers = Layers::default();
    network.visit(&mut layers);
    layers.found
}

/// The way down to a parameter, and the layers seen so far. burn visits a module's fields one after the other, so a layer's
/// parameters come without another layer's between them.
#[derive(Default)]
struct Layers {
    place: Vec<(String, String)>,
    found: Vec<Owner>,
}

impl Layers {
    fn enter(&mut self, name: &str, container: &str) {
        self.place.push((name.strip_prefix("r#").unwrap_or(name).to_owned(), container.to_owned()));
    }

    /// The number of the layer that the current parameter belongs to.
    fn layer(&mut self) -> usize {
        let above = &self.place[..self.place.len().saturating_sub(1)];
        let fields = above.iter().filter(|(_, container)| !container.starts_with("Enum:"));
        let path = fields.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".");
        if self.found.last().is_none_or(|owner| owner.path != path) {
            self.found.push(Owner { path, parameters: 0 });
        }
        self.found.len() - 1
    }

    fn is_statistic(&self) -> bool {
        self.place.last().is_some_and(|(name, _)| name.starts_with("running_"))
    }
}

impl ModuleVisitor for Layers {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let layer = self.layer();
        if !self.is_statistic() {
            self.found[layer].parameters += param.lazy_shape().num_elements();
        }
    }
}

/// Gives every layer its number, counted from 1.
#[derive(Default)]
struct Number(Layers);

impl ModuleMapper for Number {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.0.place.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let number = (self.0.layer() + 1) as f32;
        let (leaf, container) = self.0.place.last().map_or(("", ""), |(name, container)| (name, container));
        // A folded batch norm then leaves the convolution's weights as they are, but for its epsilon.
        let value = match (leaf, container) {
            ("gamma" | "running_var", "Struct:BatchNorm") => 1.0,
            ("bias" | "running_mean", _) => 0.0,
            _ => number,
        };
        let (shape, device, id) = (param.lazy_shape(), param.lazy_device(), param.id);
        param.transform_for_load(Tensor::full(shape, value, &device), id)
    }
}

/// The numbers of an operator's layer and of its batch norm, as places in the list of layers.
fn numbers(node: &FloatNode) -> (Option<usize>, Option<usize>) {
    let place = |value: &f32| (value.round() as usize).checked_sub(1);
    match &node.op {
        FloatOp::Conv(conv) | FloatOp::Depthwise(conv) | FloatOp::ConvTranspose2x2(conv) => {
            (conv.weights.first().and_then(place), conv.bias.first().and_then(place))
        }
        FloatOp::LayerNorm { gamma, .. } => (gamma.first().and_then(place), None),
        _ => (None, None),
    }
}

fn operator(node: &FloatNode, norm: bool) -> String {
    let size = |conv: &FloatConv| {
        let ((h, w), stride) = (conv.kernel, conv.stride);
        if stride > 1 { format!("{h}x{w}, stride {stride}") } else { format!("{h}x{w}") }
    };
    let mut text = match &node.op {
        FloatOp::Conv(conv) => format!("convolution {}", size(conv)),
        FloatOp::Depthwise(conv) => format!("depthwise {}", size(conv)),
        FloatOp::ConvTranspose2x2(conv) => format!("transposed {}", size(conv)),
        other => super::quantise::name(other).to_owned(),
    };
    if norm {
        text += " + batch norm";
    }
    if node.relu {
        text += " + ReLU";
    }
    text
}

/// The most bytes that are alive at once, every result by itself.
fn peak_f32(graph: &FloatGraph) -> usize {
    let bytes = |shape: Shape| shape.len() * size_of::<f32>();
    let nodes = graph.nodes.iter().enumerate();
    let mut buffers: Vec<Buffer> =
        nodes.map(|(step, node)| Buffer { bytes: bytes(node.shape), first: step, last: step }).collect();
    for (step, node) in graph.nodes.iter().enumerate() {
        for writer in node.inputs.iter().filter_map(|tensor| tensor.checked_sub(graph.inputs.len())) {
            buffers[writer].last = step;
        }
    }
    plan::lower_bound(&buffers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_at_a_layer_of_its_name() {
        for arch in Arch::ALL {
            let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(arch, 3) };
            let cost = cost(&spec, None, 64, 32).unwrap();
            assert_eq!(cost.layers.iter().map(|layer| layer.parameters).sum::<usize>(), cost.parameters, "{arch}");
            assert_eq!(cost.layers.iter().map(|layer| layer.macs).sum::<u64>(), cost.macs, "{arch}");
            let last = cost.layers.iter().rfind(|layer| layer.macs > 0).unwrap();
            assert_eq!((last.output, last.parameters), ([64, 32, 3], 3 * 4 + 3), "{arch}: {last:?}");
            let hidden = cost.layers.iter().filter(|layer| layer.parameters > 0 && layer.operator.contains("only"));
            assert_eq!(hidden.count(), arch.levels() - 1, "{arch}: heads but the last");
        }
    }

    #[test]
    fn a_layer_has_its_pytorch_name_and_its_batch_norm() {
        let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(Arch::Unet, 2) };
        let cost = cost(&spec, None, 32, 32).unwrap();
        let layer = cost.layers.iter().find(|layer| layer.name == "down1.maxpool_conv.1.double_conv.3").unwrap();
        assert_eq!(layer.operator, "convolution 3x3 + batch norm + ReLU");
        assert_eq!((layer.output, layer.parameters), ([16, 16, 8], 8 * 8 * 9 + 2 * 8));
        assert_eq!((layer.macs, layer.activation_bytes), (16 * 16 * 8 * 8 * 9, 4 * 16 * 16 * 8));
        let unext = SegmenterSpec { width: 5, ..SegmenterSpec::published(Arch::UnextS, 2) };
        let cost = super::cost(&unext, None, 32, 32).unwrap();
        assert_eq!(cost.layers[0].name, "encoder1");
        assert_eq!(cost.layers[0].parameters, 5 * 3 * 9 + 5 + 2 * 5, "three input channels, whatever the graph reads");
        assert_eq!(cost.layers[0].macs, 32 * 32 * 5 * 9, "of which a scan uses one");
    }

    #[test]
    fn pruning_costs_less() {
        let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(Arch::UnetPp, 4) };
        let costs: Vec<Cost> = (1..=4).map(|level| cost(&spec, Some(level), 32, 32).unwrap()).collect();
        for pair in costs.windows(2) {
            assert!(pair[0].parameters < pair[1].parameters && pair[0].macs < pair[1].macs);
            assert!(pair[0].arena_int8_bytes <= pair[1].arena_int8_bytes);
        }
        assert_eq!(costs[3], cost(&spec, None, 32, 32).unwrap());
    }
}
