//! A slice after each of its lines: what the slice policy sees of it, and what segmentation and image are worth.

use kscout_core::Complex32;
use kscout_core::model::Model;
use kscout_core::scan::ScanError;
use kscout_core::volume::glimpse::{Sight, energy_of, line_energy, pack_classes};
use kscout_core::volume::{Glimpse, STRUCTURES};

use crate::eval::reference::Reference;
use crate::kernels::scan as host_scan;
use crate::mri::KSpace;
use crate::play::reconstructed;
use crate::segment::HeapArena;

/// A slice after n lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// What is seen.
    pub glimpse: Glimpse,
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
    /// Measures the lines of `course` one by one, segmenting after each.
    ///
    /// # Errors
    /// Those of [`kscout_core::scan::Scan`]; the model has a segmenter.
    pub fn measure(
        model: &Model<'_>,
        arena: &mut HeapArena,
        (kspace, label): (&KSpace, &[u8]),
        course: Course<'_>,
    ) -> Result<Self, ScanError> {
        let logit_scale = model.segmenter().ok_or(ScanError::NoSegmenter)?.output().scale;
        let mut scan = host_scan(model, arena)?;
        scan.start(course.order.len())?;
        let reference = course.with_ssim.then(|| Reference::new(kspace));
        let blank = Glimpse::blank(model.height(), model.width());
        let mut stages = vec![Stage { glimpse: blank, hits: [0; STRUCTURES], ssim: 0.0 }];
        let mut before = vec![0; label.len().div_ceil(4)];
        let mut all = 0.0;
        for &line in course.order {
            let samples = kspace.line(usize::from(line));
            scan.push_line(usize::from(line), samples)?;
            scan.segment()?;
            let energy = energy_of(samples);
            all += energy;
            let sight = Sight {
                width: model.width(),
                levels: scan.segmented_image(),
                logits: scan.logits(),
                class_count: model.classes(),
                logit_scale,
                classes: scan.classes(),
                classes_before: &before,
            };
            let last = stages[stages.len() - 1].glimpse;
            let glimpse = last.next(&sight, line_energy(energy, all));
            let ssim = reference.as_ref().map_or(0.0, |reference| ssim(reference, &reconstructed(&scan)));
            stages.push(Stage { glimpse, hits: hits(scan.classes(), label), ssim });
            pack_classes(scan.classes(), &mut before);
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
