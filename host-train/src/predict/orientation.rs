//! Which way a volume is taken apart into slices.
//!
//! A network has seen slices in which x and y count towards certain sides of the patient. A volume whose header says where it
//! lies is brought into the order of the training data first, and its classes back. Where a network does not say what it was
//! trained on, [`Axes::LPS`] is assumed: ACDC's order, and that in which pictures of the heart are usually shown.
//!
//! Slices stay what they are: where one axis is evidently that of the slices, because its voxels are longer by half or more
//! or it has far fewer of them, it becomes the third one, whatever the patient's direction; if that differs from the
//! training data's, as in a short axis beside axial slices, x and y are taken as they are stored. So they are where the axes
//! run between the patient's directions, as in the making of data sets ([`orientation`](crate::data::orientation)).

use crate::data::nifti_volume::NiftiVolume;
use crate::data::orientation::{is_clear, slice_axis};
use crate::data::{Axes, Reorder};

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
    if !volume.affine().as_ref().is_some_and(is_clear) {
        let note = "its axes run between the patient's directions: x and y are taken as stored";
        return (by_slices, Some(note.to_string()));
    }
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

fn name(axis: usize) -> &'static str {
    ["first", "second", "third"][axis]
}
