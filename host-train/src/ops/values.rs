//! Between burn's tensors of the CPU device and slices of numbers.

use burn::backend::DispatchDevice;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use rayon::prelude::*;

/// Whether `device` is the CPU device, with gradients or without.
pub fn is_cpu(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // other devices exist with other features only
        _ => false,
    }
}

/// Whether the operators here run on `tensor`: f32 on the CPU device.
pub fn runs_here<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_cpu(&tensor.device())
}

/// `tensor` with its values in the order of its shape, one after another.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a contiguous tensor of f32.
pub(super) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("a contiguous tensor of f32")
}

/// The sizes of a tensor.
pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// A tensor of `values` in the order of `dims`.
pub(super) fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    debug_assert_eq!(values.len(), dims.iter().product::<usize>());
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(dims)), DType::F32)
}

/// `f` of the channels of each pixel of `x`, `[B, C, H, W]`, handed over as `[B, H W, C]`: for devices that have no operator here.
pub(super) fn per_pixel(x: Tensor<4>, f: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    if h * w == 1 {
        // Burn 0.22 gives wrong gradients of a norm behind exchanged axes of which one is of length 1 on GPUs.
        let y = f(x.reshape([b, 1, c]));
        let [_, _, to] = y.dims();
        return y.reshape([b, to, h, w]);
    }
    let y = f(x.reshape([b, c, h * w]).swap_dims(1, 2));
    let [_, _, to] = y.dims();
    y.swap_dims(1, 2).reshape([b, to, h, w])
}

/// Values that are cleared together.
const CLEARED: usize = 1 << 15;

/// `count` zeros, cleared by all threads: what the kernels write is as large as what they read, and one thread that cleared it while the
/// others waited was a seventh of the processor time of UNeXt-S on two threads.
pub(super) fn zeros(count: usize) -> Vec<f32> {
    if count < 2 * CLEARED {
        return vec![0.0; count];
    }
    rayon::iter::repeat_n(0.0, count).with_min_len(CLEARED).collect()
}
