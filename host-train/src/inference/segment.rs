//! Segmenting quantised images: in int8 on the core, or in real numbers on a burn device. Both stand behind one trait, so
//! that training and evaluation take either.

use burn::tensor::{Device, Tensor, TensorData};
use kscout_core::model::{Graph, run};
use rayon::prelude::*;

use crate::data::{CLASSES, largest_class};
use crate::inference::numbers::{NoNumbers, numbers};
use crate::mri::observation::levels_to_real;
use crate::net::Segmenter;
use crate::runtime::{HeapArena, fastest};

/// Images that the device evaluates at once.
const BATCH: usize = 16;

/// Turns quantised images (`height * width` levels each) into logits and classes.
pub trait Segment {
    /// The logits `[y][x][class]` of each image. Their unit is the network's own: only which is larger counts.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    fn logits(&self, images: &[&[i8]]) -> Result<Vec<Vec<f32>>, NoNumbers>;

    /// Where it computes.
    fn device(&self) -> Device {
        Device::flex()
    }

    /// The classes of each image, row-major: those with the largest logit, ties to the lowest.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    fn segment(&self, images: &[&[i8]]) -> Result<Vec<Vec<u8>>, NoNumbers> {
        let classes = |logits: Vec<f32>| logits.chunks_exact(CLASSES).map(largest_class).collect();
        let mut all = Vec::with_capacity(images.len());
        // Logits take sixteen times the memory of classes, so only a batch's are kept at a time.
        for batch in images.chunks(BATCH) {
            all.extend(self.logits(batch)?.into_iter().map(classes));
        }
        Ok(all)
    }
}

/// The exported segmenter, in int8, on all cores.
pub struct CoreSegmenter<'m> {
    /// The segmenter's graph.
    pub graph: Graph<'m>,
}

impl CoreSegmenter<'_> {
    /// What `of` makes of each image's quantised logits.
    fn each<T: Send>(&self, images: &[&[i8]], of: impl Fn(&[i8]) -> T + Sync) -> Vec<T> {
        let one = |arena: &mut HeapArena, image: &&[i8]| of(self.run(arena, image));
        images.par_iter().map_init(|| self.arena(), one).collect()
    }

    /// Memory for [`run`](Self::run).
    pub fn arena(&self) -> HeapArena {
        HeapArena::new(self.graph.arena_bytes_with(&fastest()))
    }

    /// The quantised logits `[y][x][class]` of one image, on this thread.
    pub fn run<'a>(&self, arena: &'a mut HeapArena, image: &[i8]) -> &'a [i8] {
        run(&self.graph, &fastest(), &[image], arena.bytes()).expect("a checked graph and its sizes")
    }
}

impl Segment for CoreSegmenter<'_> {
    fn logits(&self, images: &[&[i8]]) -> Result<Vec<Vec<f32>>, NoNumbers> {
        Ok(self.each(images, |logits| logits.iter().map(|&logit| f32::from(logit)).collect()))
    }

    /// As the device does it, from the quantised logits.
    fn segment(&self, images: &[&[i8]]) -> Result<Vec<Vec<u8>>, NoNumbers> {
        let shape = self.graph.output().shape;
        Ok(self.each(images, |logits| {
            let mut classes = vec![0; shape.h * shape.w];
            fastest().classify(logits, shape.c, &mut classes);
            classes
        }))
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
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn logits(&self, images: &[&[i8]]) -> Result<Vec<Vec<f32>>, NoNumbers> {
        let mut all = Vec::with_capacity(images.len());
        for batch in images.chunks(BATCH) {
            let input = batch.iter().flat_map(|levels| levels_to_real(levels)).collect();
            let logits = pixel_logits(&self.network, input, self.size, &self.device)?;
            all.extend(logits.chunks_exact(logits.len() / batch.len()).map(<[f32]>::to_vec));
        }
        Ok(all)
    }
}

/// The classes of a batch of real-valued images (`height * width` values each).
///
/// # Errors
/// [`NoNumbers`] where the network does not give any.
pub fn classify(
    network: &Segmenter,
    images: Vec<f32>,
    size: [usize; 2],
    device: &Device,
) -> Result<Vec<u8>, NoNumbers> {
    let logits = pixel_logits(network, images, size, device)?;
    Ok(logits.chunks_exact(CLASSES).map(largest_class).collect())
}

/// Logits `[image][y][x][class]` of a batch of real-valued images (`height * width` values each).
///
/// # Errors
/// [`NoNumbers`] where the network does not give any.
pub fn pixel_logits(
    network: &Segmenter,
    images: Vec<f32>,
    [height, width]: [usize; 2],
    device: &Device,
) -> Result<Vec<f32>, NoNumbers> {
    let plane = height * width;
    let batch = images.len() / plane;
    let input = Tensor::<4>::from_data(TensorData::new(images, [batch, 1, height, width]), device);
    let planes = numbers(network.forward(input), "segmenter")?;
    let by_pixel = |image: &[f32]| -> Vec<f32> {
        (0..plane * CLASSES).map(|i| image[i % CLASSES * plane + i / CLASSES]).collect()
    };
    Ok(planes.chunks_exact(plane * CLASSES).flat_map(by_pixel).collect())
}
