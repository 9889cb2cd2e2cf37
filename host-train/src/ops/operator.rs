//! How an operator of our own joins burn: forward on the CPU device, and a backward pass of its own in the graph.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// An operator of `N` inputs and one output on the CPU, in f32.
///
/// Inputs are handed over as they are, with any strides; [`values::contiguous`](super::values::contiguous) settles that.
pub(super) trait Operator<const N: usize>: Debug + Send + Sync + 'static {
    /// The output, and what [`Operator::backward`] needs of this pass; nobody keeps the latter where no input learns.
    fn forward(&self, inputs: [FlexTensor; N]) -> (FlexTensor, Vec<FlexTensor>);

    /// The gradients of those inputs that are `wanted`, from what forward kept and the gradient of the output.
    fn backward(&self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// An operator of one input.
pub(super) type Unary = Arc<dyn Operator<1>>;
/// An operator of two inputs.
pub(super) type Binary = Arc<dyn Operator<2>>;
/// An operator of three inputs.
pub(super) type Ternary = Arc<dyn Operator<3>>;

/// `operator` of tensors on the CPU device.
pub(super) fn unary<const D: usize, const E: usize>(operator: Unary, a: Tensor<D>) -> Tensor<E> {
    Tensor::from_dispatch(<Dispatch as Operators>::unary(operator, a.into_dispatch()))
}

/// `operator` of tensors on the CPU device.
pub(super) fn binary<const D: usize, const E: usize>(operator: Binary, a: Tensor<D>, b: Tensor<E>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Operators>::binary(operator, a.into_dispatch(), b.into_dispatch()))
}

/// `operator` of tensors on the CPU device.
pub(super) fn ternary<const D: usize, const E: usize, const F: usize>(
    operator: Ternary,
    a: Tensor<D>,
    b: Tensor<E>,
    c: Tensor<F>,
) -> Tensor<D> {
    let (a, b, c) = (a.into_dispatch(), b.into_dispatch(), c.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Operators>::ternary(operator, a, b, c))
}

/// What burn dispatches: one method for each number of inputs.
#[backend_extension(Flex, Autodiff)]
trait Operators: Backend {
    fn unary(operator: Unary, a: FloatTensor<Self>) -> FloatTensor<Self>;
    fn binary(operator: Binary, a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    fn ternary(
        operator: Ternary,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Operators for Flex {
    fn unary(operator: Unary, a: FlexTensor) -> FlexTensor {
        operator.forward([a]).0
    }

    fn binary(operator: Binary, a: FlexTensor, b: FlexTensor) -> FlexTensor {
        operator.forward([a, b]).0
    }

    fn ternary(operator: Ternary, a: FlexTensor, b: FlexTensor, c: FlexTensor) -> FlexTensor {
        operator.forward([a, b, c]).0
    }
}

impl<C: CheckpointStrategy> Operators for Autodiff<Flex, C> {
    fn unary(operator: Unary, a: FloatTensor<Self>) -> FloatTensor<Self> {
        recorded::<C, 1>(operator, [a])
    }

    fn binary(operator: Binary, a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        recorded::<C, 2>(operator, [a, b])
    }

    fn ternary(
        operator: Ternary,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        recorded::<C, 3>(operator, [a, b, c])
    }
}

/// Runs the operator forward and writes its backward step into the graph.
fn recorded<C: CheckpointStrategy, const N: usize>(
    operator: Arc<dyn Operator<N>>,
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let (output, kept) = operator.forward(inputs.map(|input| input.into_primitive()));
    match Step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((operator, kept), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

#[derive(Debug)]
struct Step;

impl<const N: usize> Backward<Flex, N> for Step {
    type State = (Arc<dyn Operator<N>>, Vec<FlexTensor>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let (operator, kept) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = operator.backward(kept, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
