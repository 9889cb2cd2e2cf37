//! The set that this machine is found to run, for those who do not choose one.

use super::X86;
use crate::forward_kernels;
use crate::kernels::{ImageKernels, Int8Kernels, Kernels, Portable};

/// The best set of an x86-64 machine: [`X86`] at its highest level, or [`Portable`] on a machine without AVX2. Its default is the
/// machine's own.
#[derive(Clone, Copy, Debug)]
pub enum Detected {
    /// The machine has AVX2 or more.
    X86(X86),
    /// It has less.
    Portable,
}

impl Default for Detected {
    /// Asks the CPU (CPUID), once a process.
    fn default() -> Self {
        X86::detect().map_or(Self::Portable, Self::X86)
    }
}

impl Detected {
    fn set(&self) -> &dyn Kernels {
        match self {
            Self::X86(set) => set,
            Self::Portable => &Portable,
        }
    }
}

impl Int8Kernels for Detected {
    forward_kernels!(self => *self.set(); name operators convolutions);
}

impl ImageKernels for Detected {
    forward_kernels!(self => *self.set(); image);
}
