//! Which way a volume is taken apart into slices.
//!
//! A network has seen slices in which x and y count towards certain sides of the patient. A volume whose header says where it
//! lies is brought into the order of the training data first, and its classes back. Where a network does not say what it was
//! trained on, [`Axes::LPS`] is assumed: ACDC's order, and that in which pictures of the heart are usually shown.
//!
//! Slices stay what they are: where one axis is evidently that of the slices, because its voxels are longer by half or more
//! or it has far fewer of them, it becomes the third one, whatever the patient's direction; if that differs from the
//! training data's, as in a short axis beside axial slices, x and y are taken as they are stored.

use crate::data::nifti_volume::NiftiVolume;
use crate::data::{Axes, Reorder};

/// How much longer voxels are along the axis of the slices.
const THICKER: f32 = 1.5;
/// How many times fewer voxels there are along it, where lengths do not tell.
const FEWER: usize = 3;

/// The order of axes that a network has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// As its training data, or the user, say.
    On(Axes),
    /// Not known: [`Axes::LPS`] is assumed.
    Unknown,
    /// Every file is taken as it is stored.
    AsStored,
}

/// How a volume is reordered, and what to say about it.
pub fn orient(volume: &NiftiVolume, trained: Trained) -> (Reorder, Option<String>) {
    let slices = slice_axis(volume.dim, volume.spacing_mm);
    let by_slices = slices.map_or(Reorder::NONE, Reorder::last);
    let (target, whose) = match trained {
        Trained::AsStored => return (Reorder::NONE, None),
        Trained::On(axes) => (axes, "the network's"),
        Trained::Unknown => (Axes::LPS, "assumed of a network that does not say its own"),
    };
    let Some(own) = volume.axes() else {
        let moved = by_slices != Reorder::NONE;
        let slices =
            moved.then(|| format!("its {} axis is taken as that of the slices", name(by_slices.source_axes()[2])));
        let unknown = matches!(trained, Trained::On(_))
            .then(|| format!("neither sform nor qform says how it lies; taken to lie as {target}, {whose}"));
        let said: Vec<String> = slices.into_iter().chain(unknown).collect();
        return (by_slices, (!said.is_empty()).then(|| said.join("; ")));
    };
    let reorder = own.to(target);
    if let Some(axis) = slices
        && reorder.source_axes()[2] != axis
    {
        let (own, trained) = (own.letter(axis), target.letter(2));
        let note = format!(
            "its slices follow each other towards {own}, the training data's towards {trained}: x and y are taken as stored"
        );
        return (by_slices, Some(note));
    }
    let note = || format!("stored as {own}; segmented as {target}, {whose}, and written back as stored");
    (reorder, (reorder != Reorder::NONE).then(note))
}

/// The axis of the slices, where it is evident.
fn slice_axis(dim: [usize; 3], spacing_mm: [f32; 3]) -> Option<usize> {
    let only = |tells: &dyn Fn(usize, usize) -> bool| {
        (0..3).find(|&axis| (0..3).filter(|&other| other != axis).all(|other| tells(axis, other)))
    };
    let single = only(&|axis, other| dim[axis] == 1 && dim[other] > 1);
    let thicker = || only(&|axis, other| spacing_mm[axis] >= THICKER * spacing_mm[other]);
    let fewer = || only(&|axis, other| FEWER * dim[axis] <= dim[other]);
    single.or_else(thicker).or_else(fewer)
}

fn name(axis: usize) -> &'static str {
    ["first", "second", "third"][axis]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_the_slices_is_the_one_that_differs() {
        for (dim, spacing_mm, expected) in [
            ([216, 256, 10], [1.4, 1.4, 10.0], Some(2)),
            ([10, 216, 256], [8.0, 1.4, 1.4], Some(0)),
            ([216, 10, 256], [1.4, 8.0, 1.3], Some(1)),
            // More slices than pixels, and thick ones.
            ([64, 64, 80], [1.4, 1.4, 5.0], Some(2)),
            ([1, 216, 256], [1.0, 1.4, 1.4], Some(0)),
            ([216, 256, 1], [1.4, 1.4, 1.0], Some(2)),
            ([10, 216, 256], [1.0; 3], Some(0)),
            ([160, 216, 256], [1.0; 3], None),
            ([160, 216, 256], [1.4, 1.4, 1.2], None),
            ([216, 1, 1], [1.0; 3], None),
        ] {
            assert_eq!(slice_axis(dim, spacing_mm), expected, "{dim:?} {spacing_mm:?}");
        }
    }
}
