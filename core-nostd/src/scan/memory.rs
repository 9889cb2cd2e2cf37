//! The caller's arena, cut up: the image, its lines, and the networks' memory.
//!
//! Conjugate symmetry needs a second image, that of the paired lines. A scan of one slice has memory for it. A scan of a volume
//! keeps the lines that it has measured, and can grow an image again; there the networks' memory *lends* the second image,
//! which is used up when the image is quantised for them.

use core::ops::Range;

use super::error::ScanError;
use super::rules::STATE_EXTRAS;
use crate::Complex32;
use crate::arena::{ArenaError, Carver, carved_bytes};
use crate::kernels::Kernels;
use crate::kspace::recon::ReconError;
use crate::kspace::{
    Homodyne, LineSet, Reconstruction, Twiddles, grow_image_with, ifft_centred, quantise_magnitude_with,
};
use crate::model::Model;

const ZERO: Complex32 = Complex32::new(0.0, 0.0);

/// Where the image of paired lines lies, which conjugate symmetry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairedImage {
    /// In memory of its own.
    Own,
    /// In that of the networks.
    Lent,
}

/// Bytes of arena that a scan with `model` needs.
pub fn arena_bytes(model: &Model<'_>) -> usize {
    arena_bytes_of(model, PairedImage::Own)
}

/// Bytes of arena that a scan with `model` would have with these kernels: at least [`arena_bytes`]. With less the scan runs
/// too, but some sets then leave convolutions to slower kernels.
pub fn arena_bytes_with<K: Kernels + ?Sized>(model: &Model<'_>, kernels: &K) -> usize {
    arena_bytes_of_with(model, PairedImage::Own, kernels)
}

/// Bytes of arena that a scan of H rows and W columns needs, `graph_bytes` being the larger arena of its two graphs.
/// Homodyne reconstruction takes an image more, and borrows one from the graphs.
///
/// Constant, so that firmware can size a [`StaticArena`](crate::arena::StaticArena) for a protocol.
pub const fn arena_bytes_for(height: usize, width: usize, reconstruction: Reconstruction, graph_bytes: usize) -> usize {
    bytes_for(height, width, (reconstruction, PairedImage::Own), graph_bytes)
}

pub(crate) fn arena_bytes_of(model: &Model<'_>, paired: PairedImage) -> usize {
    let graph_bytes = model.graphs().map(|graph| graph.arena_bytes()).max().unwrap_or(0);
    bytes_for(model.height(), model.width(), (model.reconstruction(), paired), graph_bytes)
}

pub(crate) fn arena_bytes_of_with<K: Kernels + ?Sized>(model: &Model<'_>, paired: PairedImage, kernels: &K) -> usize {
    let graph_bytes = model.graphs().map(|graph| graph.arena_bytes_with(kernels)).max().unwrap_or(0);
    bytes_for(model.height(), model.width(), (model.reconstruction(), paired), graph_bytes)
}

pub(super) const fn bytes_for(
    height: usize,
    width: usize,
    (reconstruction, paired): (Reconstruction, PairedImage),
    graph_bytes: usize,
) -> usize {
    let pixels = height.saturating_mul(width);
    let image = carved_bytes::<Complex32>(pixels);
    // The image of paired lines and a line; and one that the networks lend while nothing of them is held.
    let (own, mirror, lent) = match (reconstruction.is_symmetric(), paired) {
        (false, _) => (0, 0, 0),
        (true, PairedImage::Own) => (image, carved_bytes::<Complex32>(height), image),
        (true, PairedImage::Lent) => (0, carved_bytes::<Complex32>(height), image),
    };
    let graph_bytes = if graph_bytes < lent { lent } else { graph_bytes };
    image
        .saturating_add(carved_bytes::<Complex32>(height))
        .saturating_add(carved_bytes::<Complex32>(width).saturating_mul(2))
        .saturating_add(carved_bytes::<u8>(pixels).saturating_mul(2))
        .saturating_add(carved_bytes::<u8>(width.saturating_add(STATE_EXTRAS)))
        .saturating_add(carved_bytes::<u16>(width))
        .saturating_add(own)
        .saturating_add(mirror)
        .saturating_add(carved_bytes::<u8>(graph_bytes))
}

/// What conjugate symmetry needs beside the image of all lines.
struct Symmetry<'a> {
    reconstruction: Reconstruction,
    /// A line's mirror image.
    mirror: &'a mut [Complex32],
    /// The image of paired lines; `None` where the networks lend it.
    paired: Option<&'a mut [Complex32]>,
}

/// The caller's arena, cut up.
pub(super) struct Memory<'a> {
    pub image: &'a mut [Complex32],
    pub profile: &'a mut [Complex32],
    twiddles: Twiddles<'a>,
    ramp: &'a mut [Complex32],
    symmetry: Option<Symmetry<'a>>,
    pub quantised: &'a mut [i8],
    pub classes: &'a mut [u8],
    pub state: &'a mut [i8],
    pub lines: &'a mut [u16],
    pub graph: &'a mut [u8],
}

impl<'a> Memory<'a> {
    pub fn carve(arena: &'a mut [u8], model: &Model<'_>, paired: PairedImage) -> Result<Self, ScanError> {
        let (height, width, reconstruction) = (model.height(), model.width(), model.reconstruction());
        let (needed, got) = (arena_bytes_of(model, paired), arena.len());
        if got < needed {
            return Err(ArenaError::TooSmall { needed, got }.into());
        }
        let mut carver = Carver::new(arena)?;
        Ok(Self {
            image: carver.take(height * width)?,
            profile: carver.take(height)?,
            twiddles: Twiddles::fill(carver.take(width)?).map_err(|_| ScanError::Size { height, width })?,
            ramp: carver.take(width)?,
            symmetry: if reconstruction.is_symmetric() {
                let mirror = carver.take(height)?;
                let paired = if paired == PairedImage::Own { Some(carver.take(height * width)?) } else { None };
                Some(Symmetry { reconstruction, mirror, paired })
            } else {
                None
            },
            quantised: carver.take(height * width)?,
            classes: carver.take(height * width)?,
            state: carver.take(width + STATE_EXTRAS)?,
            lines: carver.take(width)?,
            graph: carver.rest(),
        })
    }

    /// Whether the networks lend the image of paired lines: once they have run or the image has been quantised, no line can be added.
    pub fn lends(&self) -> bool {
        self.symmetry.as_ref().is_some_and(|symmetry| symmetry.paired.is_none())
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.image.fill(ZERO);
        if let Some(symmetry) = &mut self.symmetry {
            paired_image(&mut symmetry.paired, self.graph, self.image.len()).fill(ZERO);
        }
    }

    /// Adds a line, H samples along ky, to the image of the lines in `measured`.
    pub fn grow<K: Kernels>(
        &mut self,
        kernels: &K,
        measured: &LineSet,
        (line, samples): (usize, &[Complex32]),
    ) -> Result<(), ScanError> {
        // The sizes were checked when the arena was cut up, so none of these can fail.
        let size = ScanError::Size { height: self.profile.len(), width: self.twiddles.width() };
        for (value, sample) in self.profile.iter_mut().zip(samples) {
            *value = *sample;
        }
        ifft_centred(self.profile).map_err(|_| size)?;
        let (profile, twiddles) = (&*self.profile, &self.twiddles);
        if let Some(Symmetry { reconstruction, mirror, paired }) = &mut self.symmetry {
            let paired = paired_image(paired, self.graph, self.image.len());
            let mut homodyne = Homodyne::new(*reconstruction, paired, mirror);
            homodyne
                .push_line(kernels, self.image, measured, (line, profile), twiddles, self.ramp)
                .map_err(|_| size)?;
        }
        grow_image_with(kernels, self.image, profile, line, twiddles, self.ramp).map_err(|_| size)
    }

    /// Writes the quantised image. Nothing of the networks is held meanwhile; a lent image of paired lines is used up.
    pub fn quantise<K: Kernels>(&mut self, kernels: &K) -> Result<(), ReconError> {
        let (image, width) = (&*self.image, self.twiddles.width());
        let Some(Symmetry { reconstruction, mirror, paired }) = &mut self.symmetry else {
            return quantise_magnitude_with(kernels, image, width, self.quantised);
        };
        let room = lent(self.graph, image.len());
        match paired {
            Some(paired) => {
                Homodyne::new(*reconstruction, paired, mirror).quantise(kernels, (image, width), room, self.quantised)
            }
            None => Homodyne::new(*reconstruction, room, mirror).quantise_in_place(
                kernels,
                image,
                self.ramp,
                self.quantised,
            ),
        }
    }

    /// Writes the reconstructed image, as many pixels as `out` holds; nothing where the image of paired lines is lent.
    pub fn reconstruct<K: Kernels>(&self, kernels: &K, out: &mut [Complex32]) {
        match &self.symmetry {
            Some(Symmetry { reconstruction, paired, .. }) => {
                let paired = paired.as_deref().unwrap_or_default();
                kernels.homodyne(self.image, paired, reconstruction.weight(), out);
            }
            None => out.iter_mut().zip(&*self.image).for_each(|(out, pixel)| *out = *pixel),
        }
    }
}

/// The image of paired lines, in memory of its `own` or in the networks'.
fn paired_image<'s>(own: &'s mut Option<&mut [Complex32]>, graph: &'s mut [u8], pixels: usize) -> &'s mut [Complex32] {
    match own {
        Some(paired) => paired,
        None => lent(graph, pixels),
    }
}

/// An image in the networks' memory.
fn lent(graph: &mut [u8], pixels: usize) -> &mut [Complex32] {
    let room = graph.get_mut(..pixels.saturating_mul(size_of::<Complex32>())).unwrap_or_default();
    bytemuck::try_cast_slice_mut(room).unwrap_or_default()
}

/// The values at `range` of the networks' memory.
pub(super) fn signed<'b>(bytes: &'b [u8], range: &Range<usize>) -> &'b [i8] {
    bytemuck::try_cast_slice(bytes.get(range.clone()).unwrap_or_default()).unwrap_or_default()
}
