//! Segmenting quantised images: in int8 on the core, or in real numbers on a burn device. Both stand behind one trait, so
//! that training and evaluation take either.

use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::kernels::Portable;
use kscout_core::model::{Graph, run};
use kscout_core::scan::classes_from_logits;
use rayon::prelude::*;

use crate::data::CLASSES;
use crate::mri::observation::levels_to_real;
use crate::net::Segmenter;

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
    pub network: Segmenter,
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

/// The classes of a batch of real-valued images (`height * width` values each).
pub fn classify(network: &Segmenter, images: Vec<f32>, size: [usize; 2], device: &Device) -> Vec<u8> {
    pixel_logits(network, images, size, device).chunks_exact(CLASSES).map(largest_class).collect()
}

/// Logits `[image][y][x][class]` of a batch of real-valued images (`height * width` values each).
pub fn pixel_logits(network: &Segmenter, images: Vec<f32>, [height, width]: [usize; 2], device: &Device) -> Vec<f32> {
    let plane = height * width;
    let batch = images.len() / plane;
    let input = Tensor::<4>::from_data(TensorData::new(images, [batch, 1, height, width]), device);
    let planes = network.forward(input).into_data().try_into_vec::<f32>().expect("logits are f32");
    let by_pixel = |image: &[f32]| -> Vec<f32> {
        (0..plane * CLASSES).map(|i| image[i % CLASSES * plane + i / CLASSES]).collect()
    };
    planes.chunks_exact(plane * CLASSES).flat_map(by_pixel).collect()
}

/// The lowest class with the largest logit.
pub fn largest_class(logits: &[f32]) -> u8 {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best }) as u8
}
