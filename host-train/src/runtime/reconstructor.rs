//! Images on the host's heap.

use std::fmt;

use kscout_core::Complex32;
use kscout_core::kspace::{LineError, Plan, ReconError, Reconstructor, SetupError};
use self_cell::{MutBorrow, self_cell};

use super::{HeapArena, HostKernels, fastest};

/// A reconstructor with the host's kernels.
pub type HostReconstructor<'a> = Reconstructor<'a, HostKernels>;

self_cell!(
    struct InArena {
        owner: MutBorrow<HeapArena>,
        #[covariant]
        dependent: HostReconstructor,
    }
);

/// A [`Reconstructor`] with memory of its own.
pub struct HeapReconstructor(InArena);

impl HeapReconstructor {
    /// An image without lines.
    ///
    /// # Errors
    /// [`SetupError::Size`] where the core cannot reconstruct images of that size.
    pub fn new(plan: Plan) -> Result<Self, SetupError> {
        let memory = MutBorrow::new(HeapArena::new(plan.bytes()));
        Ok(Self(InArena::try_new(memory, |memory| {
            Reconstructor::with_kernels(plan, memory.borrow_mut().bytes(), fastest())
        })?))
    }

    /// What can be read of it.
    pub fn view(&self) -> &HostReconstructor<'_> {
        self.0.borrow_dependent()
    }

    /// Adds a line: see [`Reconstructor::push_line`].
    ///
    /// # Errors
    /// Those of [`Reconstructor::push_line`].
    pub fn push_line(&mut self, line: usize, samples: &[Complex32]) -> Result<(), LineError> {
        self.0.with_dependent_mut(|_, image| image.push_line(line, samples))
    }

    /// The quantised image: see [`Reconstructor::quantised`].
    pub fn quantised(&mut self) -> &[i8] {
        self.0.with_dependent_mut(|_, image| image.quantised())
    }

    /// Takes over the lines of `other`: see [`Reconstructor::copy_from`].
    ///
    /// # Errors
    /// Those of [`Reconstructor::copy_from`].
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ReconError> {
        self.0.with_dependent_mut(|_, image| image.copy_from(other.view()))
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.0.with_dependent_mut(|_, image| image.clear());
    }
}

impl fmt::Debug for HeapReconstructor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}
