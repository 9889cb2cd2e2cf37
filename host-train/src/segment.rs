//! Segmenting quantised images: in int8 on the core, or in real numbers on a burn device. Both stand behind one trait, so
//! that training and evaluation take either.

use burn::tensor::Device;
use kscout_core::kernels::Portable;
use kscout_core::model::{Graph, run};
use kscout_core::scan::classes_from_logits;
use rayon::prelude::*;

use crate::mri::observation::levels_to_real;
use crate::net::UNext;
use crate::train::validate::classify;

/// Images that the device evaluates at once.
const BATCH: usize = 16;

/// Turns quantised images (`height * width` levels each) into classes.
pub trait Segment {
    /// The classes of each image, row-major.
    fn segment(&self, images: &[&[i8]]) -> Vec<Vec<u8>>;
}

/// Memory for the core on the host's heap, aligned as the core needs it.
pub struct HeapArena(Vec<u128>);

impl HeapArena {
    /// At least `bytes` zero bytes.
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(16)])
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// The exported segmenter, in int8, on all cores.
pub struct CoreSegmenter<'m> {
    /// The segmenter's graph.
    pub graph: Graph<'m>,
}

impl Segment for CoreSegmenter<'_> {
    fn segment(&self, images: &[&[i8]]) -> Vec<Vec<u8>> {
        let arena = || HeapArena::new(self.graph.arena_bytes());
        let one = |arena: &mut HeapArena, image: &&[i8]| {
            let shape = self.graph.output().shape;
            let logits = run(&self.graph, &Portable, &[image], arena.bytes()).expect("a checked graph and its sizes");
            let mut classes = vec![0; shape.h * shape.w];
            classes_from_logits(logits, shape.c, &mut classes);
            classes
        };
        images.par_iter().map_init(arena, one).collect()
    }
}

/// The trained segmenter, in real numbers, on a burn device.
pub struct DeviceSegmenter {
    /// The network, without gradients.
    pub network: UNext,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Where it runs.
    pub device: Device,
}

impl Segment for DeviceSegmenter {
    fn segment(&self, images: &[&[i8]]) -> Vec<Vec<u8>> {
        let plane = self.size[0] * self.size[1];
        images
            .chunks(BATCH)
            .flat_map(|batch| {
                let input = batch.iter().flat_map(|levels| levels_to_real(levels)).collect();
                let classes = classify(&self.network, input, self.size, &self.device);
                classes.chunks_exact(plane).map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }
}
