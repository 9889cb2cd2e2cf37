//! Which way a volume is taken apart into slices.
//!
//! A network has seen slices in which x and y count towards certain sides of the patient. A volume whose header says where it
//! lies is brought into the order of the training data first, and its classes back. Where a network does not say what it was
//! trained on, [`Axes::LPS`] is assumed: ACDC's order, and that in which pictures of the heart are usually shown.
//!
//! Slices stay what they are: where one axis is evidently that of the slices, because its voxels are longer by half or more
//! or it has far fewer of them, it becomes the third one, whatever the patient's direction; if that differs from the
//! training data's, as in a short axis beside axial slices, x and y are taken as they are stored. So they are where the axes
//! run between the patient's directions, as in the making of data sets (`orientation`).

use crate::data::nifti_volume::NiftiVolume;
use crate::data::notes::Remark;
use crate::data::orientation::Orientation;
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
    let (target, whose) = match trained {
        Trained::AsStored => return (Reorder::NONE, None),
        Trained::On(axes) => (axes, "the network's"),
        Trained::Unknown => (Axes::LPS, "assumed of a network that does not say its own (--axes names others)"),
    };
    let (reorder, remark) = Orientation::of(&volume.place()).into_order(Some(target));
    let slices = reorder.source_axes()[2];
    let note = match (volume.axes(), remark) {
        (None, _) => {
            let moved = reorder != Reorder::NONE;
            let slices = moved.then(|| format!("its {} axis is taken as that of the slices", name(slices)));
            let unknown = matches!(trained, Trained::On(_))
                .then(|| format!("neither sform nor qform says how it lies; taken to lie as {target}, {whose}"));
            let said: Vec<String> = slices.into_iter().chain(unknown).collect();
            (!said.is_empty()).then(|| said.join("; "))
        }
        (Some(_), None) => None,
        (Some(_), Some(Remark::Unclear { .. })) => {
            Some("its axes run between the patient's directions: x and y are taken as stored".to_string())
        }
        (Some(own), Some(Remark::OtherView { .. })) => {
            let (own, trained) = (own.letter(slices), target.letter(2));
            Some(format!(
                "its slices follow each other towards {own}, the training data's towards {trained}: x and y are taken as stored \
                 (--axes names others)"
            ))
        }
        (Some(own), Some(_)) => {
            Some(format!("stored as {own}; segmented as {target}, {whose}, and written back as stored"))
        }
    };
    (reorder, note)
}

fn name(axis: usize) -> &'static str {
    ["first", "second", "third"][axis]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume of 4x4x2 voxels of 1.5 x 1.5 x 10 mm whose sform has these rows.
    fn volume(sform: [[f32; 4]; 3]) -> NiftiVolume {
        let mut bytes = vec![0; 352 + 32];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &348i32.to_le_bytes());
        [3i16, 4, 4, 2, 1, 1, 1, 1].into_iter().enumerate().for_each(|(i, n)| put(40 + 2 * i, &n.to_le_bytes()));
        put(70, &[2, 0, 8, 0]);
        [1f32, 1.5, 1.5, 10.0].into_iter().enumerate().for_each(|(i, mm)| put(76 + 4 * i, &mm.to_le_bytes()));
        put(108, &352f32.to_le_bytes());
        put(254, &[1, 0]);
        sform.into_iter().flatten().enumerate().for_each(|(i, mm)| put(280 + 4 * i, &mm.to_le_bytes()));
        put(344, b"n+1\0");
        NiftiVolume::from_bytes(&bytes, 1 << 20).unwrap()
    }

    #[test]
    fn planes_that_run_clearly_are_turned_and_oblique_ones_stay_as_stored() {
        let turned = |degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let rows = [[1.5 * cos, -1.5 * sin, 0.0, 0.0], [1.5 * sin, 1.5 * cos, 0.0, 0.0], [0.0, 0.0, 10.0, 0.0]];
            orient(&volume(rows), Trained::On(Axes::LPS))
        };
        let ras: Axes = "RAS".parse().unwrap();
        for degrees in [-20.0, 0.0, 20.0] {
            let (reorder, note) = turned(degrees);
            assert_eq!(reorder, ras.to(Axes::LPS), "{degrees}");
            assert!(note.unwrap().contains("stored as RAS; segmented as LPS"));
        }
        for degrees in [30.0, 45.0, -45.0, 60.0] {
            let (reorder, note) = turned(degrees);
            assert_eq!(reorder, Reorder::NONE, "{degrees}");
            assert!(note.unwrap().contains("between the patient's directions"));
        }
    }
}
