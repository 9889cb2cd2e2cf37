//! A slice after each of its lines: what the slice policy sees of it, and the scores of segmentation and image.

use kscout_core::Complex32;
use kscout_core::model::Model;
use kscout_core::scan::{NetworkError, ScanError};
use kscout_core::volume::{STRUCTURES, SliceStats, SliceTracker};

use crate::metrics::reference::Reference;
use crate::mri::KSpace;
use crate::runtime::{HeapArena, reconstructed, scan as host_scan};

/// A slice after n lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// What is seen.
    pub stats: SliceStats,
    /// Pixels of each structure that the segmentation has right.
    pub hits: [u32; STRUCTURES],
    /// SSIM of the image against that of all lines; 0 where it was not asked for.
    pub ssim: f32,
}

/// How a slice is followed.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// The lines, in order.
    pub order: &'a [u16],
    /// Whether the images are compared with the fully sampled one, which takes longer than the segmentations.
    pub with_ssim: bool,
}

impl<'a> Course<'a> {
    /// Lines in `order`, for their segmentations alone.
    pub const fn dice(order: &'a [u16]) -> Self {
        Self { order, with_ssim: false }
    }
}

/// A slice after none, one, two ... lines.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// Stage n is that after n lines.
    pub stages: Vec<Stage>,
    /// Pixels of each structure.
    pub truth: [u32; STRUCTURES],
}

impl Trajectory {
    /// Measures the lines of `course` one by one, segmenting after each; `label` is the truth, a class a pixel.
    ///
    /// # Errors
    /// Those of [`kscout_core::scan::Scan`]; the model has a segmenter.
    pub fn measure(
        model: &Model<'_>,
        arena: &mut HeapArena,
        kspace: &KSpace,
        label: &[u8],
        course: Course<'_>,
    ) -> Result<Self, ScanError> {
        model.segmenter().ok_or(NetworkError::NoSegmenter)?;
        let mut map = vec![0; SliceTracker::bytes(model, 1)];
        let mut tracker = SliceTracker::new(model, 1, &mut map).expect("one slice, and a segmenter");
        let mut scan = host_scan(model, arena)?;
        scan.start(course.order.len())?;
        let reference = course.with_ssim.then(|| Reference::new(kspace));
        let mut stages = vec![Stage { stats: tracker.stats()[0], hits: [0; STRUCTURES], ssim: 0.0 }];
        for line in course.order.iter().map(|&line| usize::from(line)) {
            let samples = kspace.line(line);
            scan.push_line(line, samples)?;
            let segmentation = scan.segment()?;
            tracker.observe(0, samples, &segmentation).expect("the one slice");
            let hits = hits(segmentation.classes, label);
            let ssim =
                reference.as_ref().map_or(0.0, |reference| ssim(reference, &reconstructed(scan.reconstructor())));
            stages.push(Stage { stats: tracker.stats()[0], hits, ssim });
        }
        Ok(Self { stages, truth: hits(label, label) })
    }
}

fn ssim(reference: &Reference, image: &[Complex32]) -> f32 {
    reference.ssim(image).expect("images of one size, larger than SSIM's window") as f32
}

/// Pixels of each structure that both have.
fn hits(classes: &[u8], label: &[u8]) -> [u32; STRUCTURES] {
    let mut hits = [0; STRUCTURES];
    for (&class, &truth) in classes.iter().zip(label) {
        if class == truth && (1..=STRUCTURES).contains(&usize::from(class)) {
            hits[usize::from(class) - 1] += 1;
        }
    }
    hits
}
