//! Runs a graph in memory the caller lends.
//!
//! Records are parsed again on every run: a node costs a few hundred instructions, and no list of nodes has to live
//! anywhere.

use core::fmt;

use super::graph::{Graph, Node, Operator};
use super::repr::{Place, TensorRepr};
use crate::arena::ARENA_ALIGN;
use crate::kernels::Int8Kernels;

/// A run was refused or broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RunError {
    /// The number of inputs is not the graph's.
    Inputs {
        /// Inputs given.
        got: usize,
        /// Inputs the graph takes.
        expected: usize,
    },
    /// An input has another length than its tensor.
    Input {
        /// The input's number.
        index: usize,
        /// Values given.
        got: usize,
        /// Values the tensor has.
        expected: usize,
    },
    /// The arena is too small: lend at least [`Graph::arena_bytes`].
    ArenaTooSmall {
        /// Bytes lent.
        got: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// The arena does not start at a multiple of [`ARENA_ALIGN`].
    ArenaMisaligned,
    /// A node's record is not what was checked: the blob's memory has changed since.
    Node {
        /// The node's number.
        index: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs { got, expected } => write!(f, "{got} inputs given, the graph takes {expected}"),
            Self::Input { index, got, expected } => {
                write!(f, "input {index} has {got} values, its tensor has {expected}")
            }
            Self::ArenaTooSmall { got, expected } => write!(f, "arena of {got} bytes, the graph needs {expected}"),
            Self::ArenaMisaligned => write!(f, "the arena must start at a multiple of {ARENA_ALIGN} bytes"),
            Self::Node { index } => write!(f, "node {index} is not what was checked: the blob has changed"),
        }
    }
}

impl core::error::Error for RunError {}

/// Runs `graph` once. `inputs` are i8 HWC, as [`Graph::input`] describes them; the result lies in `arena`, as
/// [`Graph::output`] describes it. What the arena held before does not matter. It holds [`Graph::arena_bytes`] at least, and
/// best [`Graph::arena_bytes_with`] these kernels.
///
/// # Errors
/// Inputs or arena that do not fit; then nothing has been written. [`RunError::Node`] where the blob's memory has changed
/// since it was checked; nodes before that one have then written to the arena, and it holds no result.
pub fn run<'a, K: Int8Kernels + ?Sized>(
    graph: &Graph<'_>,
    kernels: &K,
    inputs: &[&[i8]],
    arena: &'a mut [u8],
) -> Result<&'a [i8], RunError> {
    run_with(graph, kernels, inputs, arena, |_, _| ())
}

/// As [`run`], and shows `observe` what each node has written: its number and the values of its output tensor.
///
/// # Errors
/// Those of [`run`].
pub fn run_with<'a, K: Int8Kernels + ?Sized>(
    graph: &Graph<'_>,
    kernels: &K,
    inputs: &[&[i8]],
    arena: &'a mut [u8],
    mut observe: impl FnMut(usize, &[i8]),
) -> Result<&'a [i8], RunError> {
    check_inputs(graph, inputs)?;
    let (got, expected) = (arena.len(), graph.arena_bytes());
    if !arena.as_ptr().addr().is_multiple_of(ARENA_ALIGN) {
        return Err(RunError::ArenaMisaligned);
    }
    let split = arena.split_at_mut_checked(expected);
    let (arena, tail) = split.ok_or(RunError::ArenaTooSmall { got, expected })?;
    let mut last = 0..0;
    for index in 0..graph.len() {
        let broken = RunError::Node { index };
        let node = graph.node(index).map_err(|_| broken)?;
        step(&node, kernels, inputs, arena, tail).ok_or(broken)?;
        last = node.output.range().ok_or(broken)?;
        observe(index, as_i8(arena.get(last.clone()).ok_or(broken)?));
    }
    let arena: &'a [u8] = arena;
    arena.get(last).map(as_i8).ok_or(RunError::Node { index: graph.len().saturating_sub(1) })
}

fn check_inputs(graph: &Graph<'_>, inputs: &[&[i8]]) -> Result<(), RunError> {
    let expected = graph.inputs();
    if inputs.len() != expected {
        return Err(RunError::Inputs { got: inputs.len(), expected });
    }
    for (index, input) in inputs.iter().enumerate() {
        let expected = graph.input(index).map_or(0, |t| t.shape.len());
        if input.len() != expected {
            return Err(RunError::Input { index, got: input.len(), expected });
        }
    }
    Ok(())
}

/// Runs one node; `None` where its record does not fit the arena, which [`super::check`] rules out. `tail` is scratch for a
/// kernel set that would have more than the blob plans.
fn step<K: Int8Kernels + ?Sized>(
    node: &Node<'_>,
    kernels: &K,
    inputs: &[&[i8]],
    arena: &mut [u8],
    tail: &mut [u8],
) -> Option<()> {
    let operator = node.operator()?;
    let output = node.output.range()?;
    // Tensors that are not in the arena, or that another slot already stands for, take no part in the split.
    let shared = |t: &TensorRepr| t.range().filter(|r| *r != output).unwrap_or(0..0);
    let first = shared(&node.input);
    let second = node.second.as_ref().map_or(0..0, shared);
    let same = first == second;
    let scratch = if node.scratch.is_empty() { 0..0 } else { node.scratch.clone() };
    let ranges = [output, first, if same { 0..0 } else { second }, scratch];
    let [output, first, second, scratch] = arena.get_disjoint_mut(ranges).ok()?;
    let wanted = operator.scratch_bytes_with(kernels);
    let scratch = if wanted > scratch.len() && wanted <= tail.len() { tail } else { scratch };
    let output = as_i8_mut(output);
    let second = as_i8(if same { &*first } else { &*second });
    let a = source(&node.input, &node.output, inputs, as_i8(first))?;
    match operator {
        Operator::Conv2d(op) => kernels.conv2d(&op, a?, output, scratch),
        Operator::Depthwise(op) => kernels.depthwise(&op, a?, output, scratch),
        Operator::MaxPool(op) => kernels.max_pool(&op, a?, output),
        Operator::Upsample2x(op) => kernels.upsample2x(&op, a?, output),
        Operator::LayerNorm(op) => kernels.layer_norm(&op, a?, output),
        Operator::Shift(op) => kernels.shift(&op, a?, output),
        Operator::ConvTranspose2x2(op) => kernels.conv_transpose2x2(&op, a?, output, scratch),
        Operator::Concat(op) => {
            let b = source(node.second.as_ref()?, &node.output, inputs, second)?;
            kernels.concat(&op, a?, b?, output);
        }
        Operator::Table(op) => match a {
            Some(a) => kernels.table(&op, a, output),
            None => kernels.table_in_place(&op, output),
        },
        Operator::Add(op) => {
            let b = source(node.second.as_ref()?, &node.output, inputs, second)?;
            match (a, b) {
                (Some(a), Some(b)) => kernels.add(&op, a, b, output),
                _ => kernels.add_in_place(&op, a, b, output),
            }
        }
    }
    Some(())
}

/// The values of a tensor: the caller's, those in the arena, or `Some(None)` where the output lies in their place.
fn source<'s>(
    tensor: &TensorRepr,
    output: &TensorRepr,
    inputs: &[&'s [i8]],
    arena: &'s [i8],
) -> Option<Option<&'s [i8]>> {
    match tensor.place {
        Place::Input(index) => inputs.get(index).map(|values| Some(*values)),
        Place::Arena(_) if tensor.place == output.place => Some(None),
        Place::Arena(_) => Some(Some(arena)),
    }
}

fn as_i8(bytes: &[u8]) -> &[i8] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

fn as_i8_mut(bytes: &mut [u8]) -> &mut [i8] {
    bytemuck::try_cast_slice_mut(bytes).unwrap_or_default()
}
