//! What is known of each slice of a volume, line by line.

use heapless::Vec;

use super::MOST_SLICES;
use super::error::{SliceError, VolumeSetupError};
use super::slice_stats::{SliceObservation, SliceStats, energy_of, line_energy, pack_classes};
use crate::Complex32;
use crate::length::expect_length;
use crate::model::Model;
use crate::scan::Segmentation;

/// Watches the slices of a volume: after each line of a slice it takes in the line's samples and the slice's new segmentation,
/// and says what the slice policy sees of it.
///
/// The scan of a volume has one, and so has everything that imitates such a scan.
#[derive(Debug)]
pub struct SliceTracker<'a> {
    width: usize,
    class_count: usize,
    logit_scale: f32,
    stats: Vec<SliceStats, MOST_SLICES>,
    /// Energy of all lines of each slice.
    energies: Vec<f32, MOST_SLICES>,
    /// The classes of each slice, packed.
    maps: &'a mut [u8],
    map_bytes: usize,
}

impl<'a> SliceTracker<'a> {
    /// Bytes of memory that the slices take: the classes of each, 2 bits a pixel.
    pub fn bytes(model: &Model<'_>, slices: usize) -> usize {
        slices.saturating_mul(map_bytes(model))
    }

    /// A tracker of `slices` slices of which nothing is known, with [`bytes`](Self::bytes) bytes of memory.
    ///
    /// # Errors
    /// [`VolumeSetupError::Slices`] unless there are 1 to [`MOST_SLICES`] slices, [`VolumeSetupError::NoSegmenter`] if the model has
    /// none, [`VolumeSetupError::Length`] if the memory is of another length.
    pub fn new(model: &Model<'_>, slices: usize, memory: &'a mut [u8]) -> Result<Self, VolumeSetupError> {
        if slices == 0 || slices > MOST_SLICES {
            return Err(VolumeSetupError::Slices { slices });
        }
        let segmenter = model.segmenter().ok_or(VolumeSetupError::NoSegmenter)?;
        expect_length("the memory of the slices", memory.len(), Self::bytes(model, slices))?;
        memory.fill(0);
        Ok(Self {
            width: model.width(),
            class_count: model.classes(),
            logit_scale: segmenter.output().scale,
            stats: filled(slices, SliceStats::blank(model.height(), model.width())),
            energies: filled(slices, 0.0),
            maps: memory,
            map_bytes: map_bytes(model),
        })
    }

    /// Takes in a line of a slice and what the slice is segmented into with it.
    ///
    /// # Errors
    /// [`SliceError::Slice`] where there is no such slice; nothing has changed then.
    pub fn observe(
        &mut self,
        slice: usize,
        samples: &[Complex32],
        segmentation: &Segmentation<'_>,
    ) -> Result<(), SliceError> {
        let Self { width, class_count, logit_scale, map_bytes, .. } = *self;
        let map = self.maps.get_mut(slice * map_bytes..(slice + 1) * map_bytes);
        let (Some(stats), Some(all), Some(map)) = (self.stats.get_mut(slice), self.energies.get_mut(slice), map) else {
            return Err(SliceError::Slice { slice, slices: self.stats.len() });
        };
        let energy = energy_of(samples);
        *all += energy;
        let &Segmentation { classes, logits, image: levels } = segmentation;
        let observation =
            SliceObservation { width, levels, logits, class_count, logit_scale, classes, classes_before: map };
        *stats = stats.next(&observation, line_energy(energy, *all));
        pack_classes(classes, map);
        Ok(())
    }

    /// What is known of each slice.
    pub fn stats(&self) -> &[SliceStats] {
        &self.stats
    }

    /// Whether a line of the slice has come that can be told from nothing.
    pub(super) fn has_signal(&self, slice: usize) -> bool {
        self.energies.get(slice).is_some_and(|&energy| energy > 0.0)
    }
}

/// Bytes of a slice's classes.
fn map_bytes(model: &Model<'_>) -> usize {
    model.height().saturating_mul(model.width()).div_ceil(4)
}

/// `count` values, as many as fit.
pub(super) fn filled<T: Clone, const N: usize>(count: usize, value: T) -> Vec<T, N> {
    let mut values = Vec::new();
    let _ = values.resize(count.min(N), value);
    values
}
