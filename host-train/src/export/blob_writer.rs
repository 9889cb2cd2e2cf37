//! Graphs as an exporter describes them, and their way into a blob: places in the arena, constants, tables, checksum.
//!
//! [`write_blob`] ends by reading its own result with [`Model::new_checked`], so that what it returns is what the core
//! accepts.

use std::collections::HashMap;

use kscout_core::contract::IMAGE_LEVELS_PER_RMS;
use kscout_core::kernels::{Channel, Filters, Layout, Shape};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::blob::{self, GRAPH_BYTES, GraphRepr, HEADER_BYTES, HeaderRepr};
use kscout_core::model::graph::MAX_TENSOR_BYTES;
use kscout_core::model::record::{NODE_BYTES, TENSOR_BYTES};
use kscout_core::model::{AxisCodes, BlobError, GraphKind, Model, NodeRepr, Place, Problem, Span, TensorRepr};
pub(crate) use kscout_core::model::{ConvRepr, OperatorRepr};

use super::plan::{self, Buffer};

/// A tensor before it has a place: `real = scale * (q - zero_point)`, HWC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorSpec {
    /// Rows, columns, channels.
    pub shape: Shape,
    /// Size of one quantisation step.
    pub scale: f32,
    /// The value that stands for 0.0, in -128..=127.
    pub zero_point: i32,
}

/// A tensor's number in its graph: inputs first, then one a node, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub usize);

/// An operator with its constants as owned bytes, the tensors it reads, and the tensor it writes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// The operator; make its constants with [`i8_bytes`], [`f32_bytes`] and [`param_bytes`].
    pub op: OperatorRepr<Vec<u8>>,
    /// What it reads: two tensors for `Add` and `Concat`, else one.
    pub inputs: Vec<TensorId>,
    /// What it writes: tensor `inputs of the graph + number of the node`.
    pub output: TensorSpec,
}

/// A graph in the order it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphSpec {
    /// The caller's tensors.
    pub inputs: Vec<TensorSpec>,
    /// Nodes in the order they run; the last one writes the graph's output.
    pub nodes: Vec<NodeSpec>,
}

impl GraphSpec {
    /// Adds an input. Inputs come before nodes.
    pub fn input(&mut self, tensor: TensorSpec) -> TensorId {
        debug_assert!(self.nodes.is_empty(), "inputs come before nodes");
        self.inputs.push(tensor);
        TensorId(self.inputs.len() - 1)
    }

    /// Adds a node; returns the tensor it writes.
    pub fn push(&mut self, op: OperatorRepr<Vec<u8>>, inputs: &[TensorId], output: TensorSpec) -> TensorId {
        self.nodes.push(NodeSpec { op, inputs: inputs.to_vec(), output });
        TensorId(self.inputs.len() + self.nodes.len() - 1)
    }

    /// A tensor by its number.
    pub fn tensor(&self, id: TensorId) -> Option<&TensorSpec> {
        match id.0.checked_sub(self.inputs.len()) {
            None => self.inputs.get(id.0),
            Some(node) => self.nodes.get(node).map(|n| &n.output),
        }
    }
}

/// What a blob says besides its graphs.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderSpec {
    /// Rows of the image: a power of two in 32..=512.
    pub height: usize,
    /// Columns of the image, which is the number of lines: a power of two in 32..=512.
    pub width: usize,
    /// Classes the segmenter tells apart.
    pub classes: usize,
    /// How the weights of convolutions are to lie; graphs are described in the portable layout all the same.
    pub layout: Layout,
    /// How the image is made that the networks were trained on.
    pub reconstruction: Reconstruction,
    /// What of their origin a program can compare.
    pub origin: Origin,
    /// Name of the network, its training data, a licence note; at most 1024 bytes of UTF-8.
    pub provenance: String,
}

/// What is known of the data and the weights that a blob was made from; of one that never leaves memory, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Which way the axes of the training data ran through the body.
    pub axes: Option<AxisCodes>,
    /// Hashes of the weights of segmenter, policy and slice policy; 0 where they are not known, or there is no such graph.
    pub weights: [u32; 3],
}

/// i8 constants (weights, tables) as a blob holds them.
pub fn i8_bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&v| v as u8).collect()
}

/// f32 constants (gamma, beta) as a blob holds them.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Per-channel bias and scale of a convolution as a blob holds them.
pub fn param_bytes(channels: &[Channel]) -> Vec<u8> {
    channels.iter().flat_map(|c| c.to_bytes()).collect()
}

/// A blob could not be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// There is nothing to write.
    #[error("a blob needs a segmenter or a policy; neither was given")]
    NoGraph,
    /// A graph has no node, and so no output.
    #[error("{graph}: no nodes; a graph needs at least one")]
    NoNodes {
        /// The graph.
        graph: GraphKind,
    },
    /// A node reads a tensor that does not exist yet.
    #[error("{graph}, node {node}: reads tensor {tensor}, but only tensors 0..{written} are written before it runs")]
    NotWritten {
        /// The graph.
        graph: GraphKind,
        /// The node.
        node: usize,
        /// The tensor it asks for.
        tensor: usize,
        /// Tensors that exist when it runs.
        written: usize,
    },
    /// A node reads too few or too many tensors.
    #[error("{graph}, node {node}: reads {got} tensors, its operator takes {expected}")]
    Arity {
        /// The graph.
        graph: GraphKind,
        /// The node.
        node: usize,
        /// Tensors it reads.
        got: usize,
        /// Tensors its operator takes.
        expected: usize,
    },
    /// A tensor or a scratch memory is larger than the core takes.
    #[error("{graph}, node {node}: {what} of {got} bytes; at most {max}")]
    NodeTooLarge {
        /// The graph.
        graph: GraphKind,
        /// The node.
        node: usize,
        /// `output` or `scratch`.
        what: &'static str,
        /// Bytes it needs.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A value does not fit its field.
    #[error("{place}: {problem}")]
    Field {
        /// The record.
        place: String,
        /// What is wrong.
        problem: Problem,
    },
    /// The blob would need offsets of more than 32 bits.
    #[error("the blob would be larger than 4 GiB")]
    TooLarge,
    /// The core refuses what was written: the graph is not sound.
    #[error(transparent)]
    Refused(#[from] BlobError),
}

/// [`write_graphs`] for a segmenter, a policy, or both.
///
/// # Errors
/// Those of [`write_graphs`].
pub fn write_blob(
    header: &HeaderSpec,
    segmenter: Option<&GraphSpec>,
    policy: Option<&GraphSpec>,
) -> Result<Vec<u8>, WriteError> {
    let graphs = [(GraphKind::Segmenter, segmenter), (GraphKind::Policy, policy)];
    let graphs: Vec<_> = graphs.into_iter().filter_map(|(kind, graph)| graph.map(|graph| (kind, graph))).collect();
    write_graphs(header, &graphs, &[])
}

/// Writes a blob of graphs, in the order of their kinds: plans each arena, lays tables and constants out, and lets the core
/// check it. `line_order` is the order in which the lines of a slice are measured that shares its volume's budget; of no lines:
/// centre-out.
///
/// # Errors
/// What is wrong with a graph, and where; among it all that [`Model::new_checked`] refuses.
pub fn write_graphs(
    header: &HeaderSpec,
    graphs: &[(GraphKind, &GraphSpec)],
    line_order: &[u16],
) -> Result<Vec<u8>, WriteError> {
    if graphs.is_empty() {
        return Err(WriteError::NoGraph);
    }
    let mut bytes = vec![0; HEADER_BYTES + GRAPH_BYTES * graphs.len()];
    let provenance = append(&mut bytes, header.provenance.as_bytes())?;
    let lines: Vec<u8> = line_order.iter().flat_map(|line| line.to_le_bytes()).collect();
    let line_order = if lines.is_empty() { Span::default() } else { append(&mut bytes, &lines)? };
    for (index, &(kind, graph)) in graphs.iter().enumerate() {
        let record = write_graph(&mut bytes, kind, graph, header.layout)?;
        let at = HEADER_BYTES + GRAPH_BYTES * index;
        record.emit(&mut bytes[at..at + GRAPH_BYTES]).map_err(field(format!("{kind}")))?;
    }
    let padded = bytes.len().next_multiple_of(blob::ALIGN as usize);
    bytes.resize(padded, 0);
    let mut record = HeaderRepr {
        features: 0,
        graphs: graphs.len(),
        length: bytes.len(),
        checksum: 0,
        height: header.height,
        width: header.width,
        classes: header.classes,
        layout: header.layout,
        image_levels_per_rms: IMAGE_LEVELS_PER_RMS,
        provenance,
        reconstruction: header.reconstruction,
        axes: header.origin.axes,
        line_order,
        weights: header.origin.weights,
    };
    record.emit(&mut bytes[..HEADER_BYTES]).map_err(field("header".into()))?;
    record.checksum = blob::checksum(&bytes);
    record.emit(&mut bytes[..HEADER_BYTES]).map_err(field("header".into()))?;
    Model::new_checked(&bytes)?;
    Ok(bytes)
}

/// Where a graph's tensors and scratch memories lie in its arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Offset of what each node writes.
    pub tensors: Vec<usize>,
    /// Offset of each node's scratch memory.
    pub scratch: Vec<usize>,
    /// Bytes of the arena.
    pub bytes: usize,
    /// The most bytes that live at one step: no arena can be smaller.
    pub lower_bound: usize,
}

/// Plans the arena of a graph whose nodes read only what is written before.
pub fn plan_memory(graph: &GraphSpec) -> Memory {
    let inputs = graph.inputs.len();
    let last_read = last_reads(graph);
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut buffer_of = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let bytes = node.output.shape.len();
        let dying = node.inputs.iter().filter_map(|id| id.0.checked_sub(inputs)).find(|&writer| {
            let same_size = graph.nodes[writer].output.shape.len() == bytes;
            node.op.kind().in_place() && last_read[writer] == index && same_size
        });
        // An operator that may work in place takes over the buffer of an input nobody needs afterwards.
        let buffer = match dying {
            Some(writer) => buffer_of[writer],
            None => {
                buffers.push(Buffer { bytes, first: index, last: index });
                buffers.len() - 1
            }
        };
        buffers[buffer].last = last_read[index];
        buffer_of.push(buffer);
    }
    let scratch_from = buffers.len();
    for (index, node) in graph.nodes.iter().enumerate() {
        let input = node.inputs.first().and_then(|&id| graph.tensor(id));
        let bytes = input.map_or(0, |t| node.op.scratch_bytes(t.shape));
        buffers.push(Buffer { bytes, first: index, last: index });
    }
    let plan = plan::plan(&buffers);
    Memory {
        tensors: buffer_of.iter().map(|&b| plan.offsets[b]).collect(),
        scratch: plan.offsets[scratch_from..].to_vec(),
        bytes: plan.bytes,
        lower_bound: plan::lower_bound(&buffers),
    }
}

/// For each node the last node that reads what it writes, or itself.
fn last_reads(graph: &GraphSpec) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        for writer in node.inputs.iter().filter_map(|id| id.0.checked_sub(graph.inputs.len())) {
            last[writer] = last[writer].max(index);
        }
    }
    last
}

fn write_graph(
    bytes: &mut Vec<u8>,
    kind: GraphKind,
    graph: &GraphSpec,
    layout: Layout,
) -> Result<GraphRepr, WriteError> {
    check_order(kind, graph)?;
    let memory = plan_memory(graph);
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    let start = append(bytes, &[])?.offset;
    let mut seen: HashMap<Vec<u8>, Span> = HashMap::new();
    let (mut macs, mut scratch_bytes) = (0u64, 0);
    for (index, node) in graph.nodes.iter().enumerate() {
        // Equal constants, such as the table of an activation used twice at one scale, are stored once.
        let input = graph.tensor(node.inputs[0]).map_or(EMPTY, |t| t.shape);
        let packed = packed(&node.op, input, node.output.shape, layout);
        let op = packed.try_map(|constant| match seen.get(constant) {
            Some(&span) => Ok(span),
            None => {
                let span = append(bytes, constant)?;
                seen.insert(constant.clone(), span);
                Ok::<Span, WriteError>(span)
            }
        })?;
        let scratch = op.scratch_bytes(input);
        macs = macs.saturating_add(op.macs(input, node.output.shape));
        scratch_bytes = scratch_bytes.max(scratch);
        nodes.push(NodeRepr {
            op,
            inputs: (node.inputs[0].0, node.inputs.get(1).map(|id| id.0)),
            scratch_offset: memory.scratch[index],
            scratch_bytes: scratch,
        });
    }
    let length = offset(bytes.len())? - start;
    Ok(GraphRepr {
        kind,
        inputs: graph.inputs.len(),
        arena_bytes: memory.bytes,
        scratch_bytes,
        macs,
        tensors: write_tensors(bytes, kind, graph, &memory)?,
        nodes: write_nodes(bytes, kind, &nodes)?,
        constants: Span { offset: start, length },
    })
}

/// The operator with its weights as `layout` has them. Weights of a wrong length stay as they are, for the core to refuse.
fn packed(op: &OperatorRepr<Vec<u8>>, input: Shape, output: Shape, layout: Layout) -> OperatorRepr<Vec<u8>> {
    let pack = |weights: &mut Vec<u8>, filters: Filters| {
        let packing = layout.packing();
        let mut to = vec![0; if weights.len() == filters.weights() { packing.bytes(filters) } else { 0 }];
        if packing.pack(bytemuck::cast_slice(weights), filters, &mut to).is_some() {
            *weights = to;
        }
    };
    let mut op = op.clone();
    match &mut op {
        OperatorRepr::Conv2d(c) => {
            let filters = Filters { count: output.c, rows: c.kernel.0, row_len: c.kernel.1 * input.c };
            pack(&mut c.weights, filters);
        }
        OperatorRepr::ConvTranspose2x2 { weights, .. } => {
            pack(weights, Filters { count: 4 * output.c, rows: 1, row_len: input.c });
        }
        _ => {}
    }
    op
}

/// What stands in for a tensor that is not there; [`check_order`] has made sure that it is.
const EMPTY: Shape = Shape::new(0, 0, 0);

fn check_order(graph: GraphKind, spec: &GraphSpec) -> Result<(), WriteError> {
    if spec.nodes.is_empty() {
        return Err(WriteError::NoNodes { graph });
    }
    for (node, n) in spec.nodes.iter().enumerate() {
        let (got, expected) = (n.inputs.len(), n.op.kind().arity());
        if got != expected {
            return Err(WriteError::Arity { graph, node, got, expected });
        }
        let written = spec.inputs.len() + node;
        if let Some(&TensorId(tensor)) = n.inputs.iter().find(|id| id.0 >= written) {
            return Err(WriteError::NotWritten { graph, node, tensor, written });
        }
        let input = spec.tensor(n.inputs[0]).map_or(EMPTY, |t| t.shape);
        for (what, got) in [("output", n.output.shape.len()), ("scratch", n.op.scratch_bytes(input))] {
            if got > MAX_TENSOR_BYTES {
                return Err(WriteError::NodeTooLarge { graph, node, what, got, max: MAX_TENSOR_BYTES });
            }
        }
    }
    Ok(())
}

fn write_tensors(bytes: &mut Vec<u8>, kind: GraphKind, graph: &GraphSpec, memory: &Memory) -> Result<Span, WriteError> {
    let inputs = graph.inputs.iter().enumerate().map(|(i, t)| (t, Place::Input(i)));
    let outputs = graph.nodes.iter().zip(&memory.tensors).map(|(n, &at)| (&n.output, Place::Arena(at)));
    let mut table = Vec::new();
    for (id, (tensor, place)) in inputs.chain(outputs).enumerate() {
        let mut record = [0; TENSOR_BYTES];
        let &TensorSpec { shape, scale, zero_point } = tensor;
        let repr = TensorRepr { shape, scale, zero_point, place };
        repr.emit(&mut record).map_err(field(format!("{kind}, tensor {id}")))?;
        table.extend_from_slice(&record);
    }
    append(bytes, &table)
}

fn write_nodes(bytes: &mut Vec<u8>, kind: GraphKind, nodes: &[NodeRepr<Span>]) -> Result<Span, WriteError> {
    let mut table = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let mut record = [0; NODE_BYTES];
        node.emit(&mut record).map_err(field(format!("{kind}, node {index}")))?;
        table.extend_from_slice(&record);
    }
    append(bytes, &table)
}

/// Appends `part` at the next aligned offset.
fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Result<Span, WriteError> {
    bytes.resize(bytes.len().next_multiple_of(blob::ALIGN as usize), 0);
    let span = Span { offset: offset(bytes.len())?, length: offset(part.len())? };
    bytes.extend_from_slice(part);
    offset(bytes.len())?;
    Ok(span)
}

fn offset(value: usize) -> Result<u32, WriteError> {
    u32::try_from(value).map_err(|_| WriteError::TooLarge)
}

fn field(place: String) -> impl FnOnce(Problem) -> WriteError {
    |problem| WriteError::Field { place, problem }
}

#[cfg(test)]
mod tests;
