//! Random weights to begin with.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use crate::ops::is_cpu;

/// A network whose random weights depend on `seed`, and on no GPU: for those they are drawn on the CPU, in the order of the network's
/// description. On the CPU burn draws them where they are first looked at, which is another order. What is drawn on `device` later
/// depends on `seed` too.
pub fn drawn<M: Module>(seed: u64, device: &Device, new: impl FnOnce(&Device) -> M) -> M {
    device.seed(seed);
    if is_cpu(device) {
        return new(device);
    }
    let cpu = if device.is_autodiff() { Device::flex().autodiff() } else { Device::flex() };
    cpu.seed(seed);
    let network = new(&cpu);
    // A weight is drawn where it is first looked at.
    network.visit(&mut Look);
    network.fork(device)
}

struct Look;

impl ModuleVisitor for Look {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let _ = param.val();
    }
}
