//! One network of a blob: its tensors and nodes, read from their records whenever they are needed.

use core::fmt;
use core::ops::Range;

use super::blob::GraphRepr;
use super::bytes::Span;
use super::error::Problem;
use super::fields::{equal, section, within};
use super::kinds::{GraphKind, OperatorKind};
use super::record::{NODE_BYTES, TENSOR_BYTES};
use super::repr::{ConvRepr, NodeRepr, OperatorRepr, Place, TensorRepr};
use crate::arena::ARENA_ALIGN;
use crate::kernels::{
    self, ChannelParams, Concat, ConcatInput, Conv2d, ConvTranspose2x2, Int8Kernels, LayerNorm, Layout, MaxPool, Shape,
    Shift, Upsample2x,
};

/// Most nodes a graph may have.
pub const MAX_NODES: usize = 1024;
/// Most inputs a graph may have.
pub const MAX_INPUTS: usize = 2;
/// Most bytes of one tensor.
pub const MAX_TENSOR_BYTES: usize = 1 << 24;
/// Most bytes of an arena.
pub const MAX_ARENA_BYTES: usize = 1 << 28;

/// A tensor as those outside a graph see it: `real = scale * (q - zero_point)`, i8, HWC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorInfo {
    /// Rows, columns, channels.
    pub shape: Shape,
    /// Size of one quantisation step.
    pub scale: f32,
    /// The value that stands for 0.0, in -128..=127.
    pub zero_point: i32,
}

impl From<TensorRepr> for TensorInfo {
    fn from(t: TensorRepr) -> Self {
        Self { shape: t.shape, scale: t.scale, zero_point: t.zero_point }
    }
}

impl TensorRepr {
    /// The arena bytes it occupies; `None` for a caller's input.
    pub fn range(&self) -> Option<Range<usize>> {
        match self.place {
            Place::Input(_) => None,
            Place::Arena(start) => Some(start..start.saturating_add(self.shape.len())),
        }
    }
}

/// One network of a checked blob.
#[derive(Clone, Copy)]
pub struct Graph<'a> {
    blob: &'a [u8],
    repr: GraphRepr,
    tensors: &'a [[u8; TENSOR_BYTES]],
    nodes: &'a [[u8; NODE_BYTES]],
    output: TensorInfo,
    layout: Layout,
}

impl<'a> Graph<'a> {
    /// Finds the tables of a graph; what they say is not checked yet.
    pub(super) fn with_tables(blob: &'a [u8], repr: GraphRepr, layout: Layout) -> Result<Self, Problem> {
        section("constants", blob, repr.constants)?;
        let tensors = records("tensor table", section("tensor table", blob, repr.tensors)?)?;
        let nodes = records("node table", section("node table", blob, repr.nodes)?)?;
        within("inputs", repr.inputs, 1, MAX_INPUTS)?;
        within("nodes", nodes.len(), 1, MAX_NODES)?;
        equal("tensors", tensors.len() as i64, (repr.inputs + nodes.len()) as i64)?;
        // The last tensor's record is not checked yet; this stands in for it until it is.
        let output = TensorInfo { shape: Shape::new(0, 0, 0), scale: 1.0, zero_point: 0 };
        Ok(Self { blob, repr, tensors, nodes, output, layout })
    }

    /// Once all of it has been checked: with what the last node writes.
    pub(super) fn with_output(self) -> Result<Self, Problem> {
        let last = self.tensors.len().saturating_sub(1);
        Ok(Self { output: self.tensor(last)?.into(), ..self })
    }

    /// What the graph is for.
    pub fn kind(&self) -> GraphKind {
        self.repr.kind
    }

    /// Its record in the graph table.
    pub fn repr(&self) -> &GraphRepr {
        &self.repr
    }

    /// Bytes of arena a run needs, activations and scratch; a multiple of 16.
    pub fn arena_bytes(&self) -> usize {
        self.repr.arena_bytes
    }

    /// Bytes of arena with which `kernels` run as fast as they can: [`Graph::arena_bytes`], and behind them the scratch of the
    /// operator for which the set would have most, if that is more than what the blob plans. A multiple of 16.
    pub fn arena_bytes_with<K: Int8Kernels + ?Sized>(&self, kernels: &K) -> usize {
        let more = |node: Node<'_>| {
            let wanted = node.operator().map_or(0, |operator| operator.scratch_bytes_with(kernels));
            if wanted > node.scratch.len() { wanted } else { 0 }
        };
        let tail = self.nodes().map(more).max().unwrap_or(0);
        self.arena_bytes().saturating_add(tail.saturating_add(ARENA_ALIGN - 1) & !(ARENA_ALIGN - 1))
    }

    /// Scratch bytes of the node that needs most; part of [`Graph::arena_bytes`].
    pub fn scratch_bytes(&self) -> usize {
        self.repr.scratch_bytes
    }

    /// Multiply-accumulates of convolutions in one run.
    pub fn macs(&self) -> u64 {
        self.repr.macs
    }

    /// What one run computes besides multiply-accumulates: values compared by poolings, and values written by the operators
    /// that are no convolutions. Takes time in proportion to the number of nodes.
    pub fn other_operations(&self) -> u64 {
        self.nodes().fold(0u64, |sum, node| sum.saturating_add(node.op.other_operations(node.output.shape)))
    }

    /// Number of tensors the caller gives.
    pub fn inputs(&self) -> usize {
        self.repr.inputs
    }

    /// What the caller gives as input `index`.
    pub fn input(&self, index: usize) -> Option<TensorInfo> {
        if index >= self.repr.inputs {
            return None;
        }
        self.tensor(index).ok().map(TensorInfo::from)
    }

    /// What a run returns.
    pub fn output(&self) -> TensorInfo {
        self.output
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node; a checked graph has at least one.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Tensor `id`: the inputs first, then what each node writes.
    ///
    /// # Errors
    /// No such tensor; in a graph under construction also a record that cannot be read.
    pub fn tensor(&self, id: usize) -> Result<TensorRepr, Problem> {
        let record = self.tensors.get(id).ok_or_else(|| no_such("tensor", id, self.tensors.len()))?;
        TensorRepr::parse(record)
    }

    /// The record of node `index`.
    pub(super) fn node_repr(&self, index: usize) -> Result<NodeRepr<Span>, Problem> {
        let record = self.nodes.get(index).ok_or_else(|| no_such("node", index, self.nodes.len()))?;
        NodeRepr::parse(record)
    }

    /// Node `index` with its constants and tensors.
    ///
    /// # Errors
    /// No such node; in a graph under construction also a record that cannot be read.
    pub fn node(&self, index: usize) -> Result<Node<'a>, Problem> {
        let NodeRepr { op, inputs, scratch_offset, scratch_bytes } = self.node_repr(index)?;
        let second = match inputs.1 {
            Some(id) => Some(self.tensor(id)?),
            None => None,
        };
        Ok(Node {
            index,
            op: op.try_map(|&span| self.constant(span))?,
            inputs,
            input: self.tensor(inputs.0)?,
            second,
            output: self.tensor(self.repr.inputs.saturating_add(index))?,
            scratch: scratch_offset..scratch_offset.saturating_add(scratch_bytes),
            layout: self.layout,
        })
    }

    /// The nodes in the order they run.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        let graph = *self;
        (0..self.nodes.len()).filter_map(move |index| graph.node(index).ok())
    }

    fn constant(&self, span: Span) -> Result<&'a [u8], Problem> {
        let area = self.repr.constants;
        let first = u64::from(area.offset);
        let start = u64::from(span.offset);
        let end = start + u64::from(span.length);
        if start < first || end > first + u64::from(area.length) {
            let (min, max) = (first as i64, (first + u64::from(area.length)) as i64);
            let got = if start < first { start } else { end } as i64;
            return Err(Problem::OutOfRange { field: "constants", got, min, max });
        }
        section("constants", self.blob, span)
    }
}

impl fmt::Debug for Graph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("repr", &self.repr).field("output", &self.output).finish()
    }
}

fn records<'a, const N: usize>(field: &'static str, bytes: &'a [u8]) -> Result<&'a [[u8; N]], Problem> {
    match bytes.as_chunks() {
        (records, []) => Ok(records),
        _ => Err(Problem::Misaligned { field, got: bytes.len() as u32, align: N as u32 }),
    }
}

#[cold]
fn no_such(field: &'static str, id: usize, count: usize) -> Problem {
    Problem::OutOfRange { field, got: id as i64, min: 0, max: count as i64 - 1 }
}

/// A node with its constants and tensors at hand.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its number in the order nodes run.
    pub index: usize,
    /// The operator, with its constants where they lie in the blob.
    pub op: OperatorRepr<&'a [u8]>,
    /// The tensors it reads, by number.
    pub inputs: (usize, Option<usize>),
    /// The first tensor it reads.
    pub input: TensorRepr,
    /// The second tensor it reads.
    pub second: Option<TensorRepr>,
    /// The tensor it writes.
    pub output: TensorRepr,
    /// The arena bytes it scribbles on.
    pub scratch: Range<usize>,
    /// How the weights of convolutions lie in the blob.
    pub layout: Layout,
}

/// An operator as a kernel takes it.
#[derive(Clone, Copy, Debug)]
pub enum Operator<'a> {
    /// See [`OperatorRepr::Conv2d`].
    Conv2d(Conv2d<'a>),
    /// See [`OperatorRepr::Depthwise`].
    Depthwise(Conv2d<'a>),
    /// See [`OperatorRepr::MaxPool`].
    MaxPool(MaxPool),
    /// See [`OperatorRepr::Add`].
    Add(kernels::Add),
    /// See [`OperatorRepr::Upsample2x`].
    Upsample2x(Upsample2x),
    /// See [`OperatorRepr::LayerNorm`].
    LayerNorm(LayerNorm<'a>),
    /// See [`OperatorRepr::Table`].
    Table(kernels::Table<'a>),
    /// See [`OperatorRepr::Shift`].
    Shift(Shift),
    /// See [`OperatorRepr::Concat`].
    Concat(Concat),
    /// See [`OperatorRepr::ConvTranspose2x2`].
    ConvTranspose2x2(ConvTranspose2x2<'a>),
}

impl Operator<'_> {
    /// Whether any kernel set can run it: the `is_valid` of its record.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Conv2d(op) => op.is_valid(),
            Self::Depthwise(op) => op.is_valid_depthwise(),
            Self::MaxPool(op) => op.is_valid(),
            Self::Add(op) => op.is_valid(),
            Self::Upsample2x(op) => op.is_valid(),
            Self::LayerNorm(op) => op.is_valid(),
            Self::Shift(op) => op.is_valid(),
            Self::Concat(op) => op.is_valid(),
            Self::ConvTranspose2x2(op) => op.is_valid(),
            // Any 256 values will do.
            Self::Table(_) => true,
        }
    }

    /// Scratch bytes that a kernel set would have for it.
    pub(super) fn scratch_bytes_with<K: Int8Kernels + ?Sized>(&self, kernels: &K) -> usize {
        match self {
            Self::Conv2d(op) => kernels.conv_scratch_bytes(op),
            Self::Depthwise(op) => kernels.depthwise_scratch_bytes(op),
            Self::ConvTranspose2x2(op) => kernels.conv_transpose_scratch_bytes(op),
            _ => 0,
        }
    }
}

impl<'a> Node<'a> {
    /// Which operator it is.
    pub fn kind(&self) -> OperatorKind {
        self.op.kind()
    }

    /// Multiply-accumulates of a convolution; 0 for other operators.
    pub fn macs(&self) -> u64 {
        self.op.macs(self.input.shape, self.output.shape)
    }

    /// Bytes of its constants in the blob, padding apart.
    pub fn constant_bytes(&self) -> usize {
        let mut total = 0usize;
        let counted = self.op.try_map(|bytes| {
            total = total.saturating_add(bytes.len());
            Ok::<(), core::convert::Infallible>(())
        });
        match counted {
            Ok(_) => total,
        }
    }

    /// The operator as a kernel takes it, or `None` where constants have a length no kernel takes, which in a checked
    /// graph does not happen.
    pub fn operator(&self) -> Option<Operator<'a>> {
        let (input, output) = (&self.input, &self.output);
        let (in_zero, out_zero) = (input.zero_point, output.zero_point);
        Some(match self.op {
            OperatorRepr::Conv2d(ref c) => Operator::Conv2d(self.convolution(c)?),
            OperatorRepr::Depthwise(ref c) => Operator::Depthwise(self.convolution(c)?),
            OperatorRepr::MaxPool { kernel, stride, clamp } => {
                Operator::MaxPool(MaxPool { input: input.shape, kernel, stride, clamp })
            }
            OperatorRepr::Add { a, b, left_shift, out, clamp } => Operator::Add(kernels::Add {
                len: output.shape.len(),
                a_zero: in_zero,
                a,
                b_zero: self.second?.zero_point,
                b,
                left_shift,
                out,
                out_zero,
                clamp,
            }),
            OperatorRepr::Upsample2x { corners, requant, clamp } => {
                Operator::Upsample2x(Upsample2x { input: input.shape, corners, in_zero, requant, out_zero, clamp })
            }
            OperatorRepr::LayerNorm { eps_q, clamp, gamma, beta } => {
                Operator::LayerNorm(LayerNorm { shape: input.shape, eps_q, gamma, beta, out_zero, clamp })
            }
            OperatorRepr::Table { table } => Operator::Table(kernels::Table { table: as_i8(table)?.first_chunk()? }),
            OperatorRepr::Shift { axis } => {
                Operator::Shift(Shift { shape: input.shape, axis, zero: i8::try_from(in_zero).ok()? })
            }
            OperatorRepr::Concat { a, b, clamp } => {
                let join = |t: &TensorRepr, requant| ConcatInput { shape: t.shape, zero: t.zero_point, requant };
                Operator::Concat(Concat { a: join(input, a), b: join(self.second.as_ref()?, b), out_zero, clamp })
            }
            OperatorRepr::ConvTranspose2x2 { clamp, weights, params } => Operator::ConvTranspose2x2(ConvTranspose2x2 {
                input: input.shape,
                in_zero,
                out_zero,
                clamp,
                weights: as_i8(weights)?,
                layout: self.layout,
                params: ChannelParams::new(params)?,
            }),
        })
    }

    fn convolution(&self, c: &ConvRepr<&'a [u8]>) -> Option<Conv2d<'a>> {
        Some(Conv2d {
            input: self.input.shape,
            output: self.output.shape,
            kernel: c.kernel,
            stride: c.stride,
            pad: c.pad,
            dilation: c.dilation,
            in_zero: self.input.zero_point,
            out_zero: self.output.zero_point,
            clamp: c.clamp,
            weights: as_i8(c.weights)?,
            layout: self.layout,
            rows: (0, self.output.shape.h),
            params: ChannelParams::new(c.params)?,
        })
    }
}

fn as_i8(bytes: &[u8]) -> Option<&[i8]> {
    bytemuck::try_cast_slice(bytes).ok()
}
