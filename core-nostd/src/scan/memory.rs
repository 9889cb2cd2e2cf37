//! The caller's arena: how much a scan takes, and how it is cut up.

use crate::arena::{ArenaError, Carver, carved_bytes};
use crate::contract::STATE_EXTRAS;
use crate::kernels::{Int8Kernels, Native};
use crate::kspace::{Plan, Reconstruction, SetupError};
use crate::model::Model;

/// Bytes of arena that a scan with `model` needs on this machine: [`arena_bytes_with`] its best kernels ([`Native`]).
pub fn arena_bytes(model: &Model<'_>) -> usize {
    arena_bytes_with(model, &Native::default())
}

/// Bytes of arena that a scan with `model` would have with these kernels. With those of [`Portable`](crate::kernels::Portable),
/// which the blob plans, every set runs too, but some then leave convolutions to slower kernels.
pub fn arena_bytes_with<K: Int8Kernels + ?Sized>(model: &Model<'_>, kernels: &K) -> usize {
    arena_bytes_of_with(model, model.plan(), kernels)
}

/// Bytes of arena that a scan of H rows and W columns needs, `graph_bytes` being the larger arena of its two graphs.
/// Homodyne reconstruction takes an image more, and borrows one from the graphs.
///
/// Constant, so that firmware can size a [`StaticArena`](crate::arena::StaticArena) for a protocol.
pub const fn arena_bytes_for(height: usize, width: usize, reconstruction: Reconstruction, graph_bytes: usize) -> usize {
    bytes_for([height, width], Plan::new(reconstruction, height, width), graph_bytes)
}

/// What the blob plans: the least that a scan takes, with any kernels.
pub(crate) fn arena_bytes_of(model: &Model<'_>, plan: Plan) -> usize {
    let graph_bytes = model.graphs().map(|graph| graph.arena_bytes()).max().unwrap_or(0);
    bytes_for([model.height(), model.width()], plan, graph_bytes)
}

pub(crate) fn arena_bytes_of_with<K: Int8Kernels + ?Sized>(model: &Model<'_>, plan: Plan, kernels: &K) -> usize {
    let graph_bytes = model.graphs().map(|graph| graph.arena_bytes_with(kernels)).max().unwrap_or(0);
    bytes_for([model.height(), model.width()], plan, graph_bytes)
}

/// The networks run in the scratch memory of the images.
pub(super) const fn bytes_for([height, width]: [usize; 2], plan: Plan, graph_bytes: usize) -> usize {
    plan.bytes_with(graph_bytes)
        .saturating_add(carved_bytes::<u8>(height.saturating_mul(width)))
        .saturating_add(carved_bytes::<u8>(width.saturating_add(STATE_EXTRAS)))
        .saturating_add(carved_bytes::<u16>(width))
}

/// The caller's arena, cut up.
pub(super) struct Memory<'a> {
    pub classes: &'a mut [u8],
    pub state: &'a mut [i8],
    pub lines: &'a mut [u16],
    /// For the images and the networks.
    pub rest: &'a mut [u8],
}

impl<'a> Memory<'a> {
    pub fn carve(arena: &'a mut [u8], model: &Model<'_>, plan: Plan) -> Result<Self, SetupError> {
        let (needed, got) = (arena_bytes_of(model, plan), arena.len());
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        let (height, width) = (model.height(), model.width());
        let mut carver = Carver::new(arena)?;
        Ok(Self {
            classes: carver.take(height * width)?,
            state: carver.take(width + STATE_EXTRAS)?,
            lines: carver.take(width)?,
            rest: carver.rest(),
        })
    }
}
