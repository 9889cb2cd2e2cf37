//! The logits of quantised images, in int8 on the core or in real numbers on a device: what [`Segment`] takes the largest
//! of.
//!
//! [`Segment`]: crate::segment::Segment

use kscout_core::kernels::Portable;
use kscout_core::model::run;
use rayon::prelude::*;

use crate::mri::observation::levels_to_real;
use crate::segment::{CoreSegmenter, DeviceSegmenter, HeapArena, pixel_logits};

/// Images that the device evaluates at once.
const BATCH: usize = 16;

/// Turns quantised images (`height * width` levels each) into logits `[y][x][class]`.
pub trait Logits: Sync {
    /// The logits of each image. Their unit is the network's own: only which is larger counts.
    fn logits(&self, images: &[&[i8]]) -> Vec<Vec<f32>>;
}

impl Logits for CoreSegmenter<'_> {
    fn logits(&self, images: &[&[i8]]) -> Vec<Vec<f32>> {
        let arena = || HeapArena::new(self.graph.arena_bytes());
        let one = |arena: &mut HeapArena, image: &&[i8]| {
            let logits = run(&self.graph, &Portable, &[image], arena.bytes()).expect("a checked graph and its sizes");
            logits.iter().map(|&logit| f32::from(logit)).collect()
        };
        images.par_iter().map_init(arena, one).collect()
    }
}

impl Logits for DeviceSegmenter {
    fn logits(&self, images: &[&[i8]]) -> Vec<Vec<f32>> {
        let batch = |batch: &[&[i8]]| -> Vec<Vec<f32>> {
            let input = batch.iter().flat_map(|levels| levels_to_real(levels)).collect();
            let logits = pixel_logits(&self.network, input, self.size, &self.device);
            logits.chunks_exact(logits.len() / batch.len()).map(<[f32]>::to_vec).collect()
        };
        images.chunks(BATCH).flat_map(batch).collect()
    }
}
