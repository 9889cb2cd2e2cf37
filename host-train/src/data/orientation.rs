//! Into which order a volume's axes are brought: in a data set's making, and before a network sees a file.
//!
//! Where one axis is evidently that of the slices, it comes last, and slices stay slices. The others are ordered by the
//! patient's directions, so that hearts lie alike in all slices; but only where a file says clearly how it lies. Between two
//! directions, as short-axis planes of a scanner often are, the nearer one is an accident of the patient's, and turning by
//! it would turn hearts that lie alike.

use super::affine::{Affine, lengths_mm};
use super::axes::{Axes, Reorder};
use super::nifti_volume::Place;
use super::notes::Remark;

/// How many times longer voxels are along the axis of the slices.
const THICKER: f32 = 1.5;
/// How many times fewer voxels there are along it, where lengths do not tell.
const FEWER: usize = 3;
/// The cosine of the largest angle, 25 degrees, between an axis and a patient's direction that it clearly runs along.
const CLEAR: f64 = 0.906;

/// How a volume lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// The order in which the slices' axis is the last.
    slices_last: Reorder,
    /// Whether it is evident which axis that is.
    slices_known: bool,
    /// The directions of the axes in that order, where they are clear.
    pub axes: Option<Axes>,
}

impl Orientation {
    /// Of a volume's place.
    pub fn of(place: &Place) -> Self {
        let slices = slice_axis(place.dim, place.spacing_mm);
        let slices_last = Reorder::last(slices.unwrap_or(2));
        let affine = place.affine.map(|affine| slices_last.affine(&affine, place.dim));
        let axes = affine.filter(is_clear).as_ref().map(Axes::of);
        Self { slices_last, slices_known: slices.is_some(), axes }
    }

    /// Whether the volume can be brought into the order `target`, its slices staying slices.
    pub fn can_become(&self, target: Axes) -> bool {
        self.axes.is_some_and(|own| !self.slices_known || own.to(target).source_axes()[2] == 2)
    }

    /// The order of a data set whose axes are `target`, and what there is to say about it.
    pub fn into_order(self, target: Option<Axes>) -> (Reorder, Option<Remark>) {
        let moved = self.slices_last != Reorder::NONE;
        match (self.axes, target) {
            (Some(own), Some(target)) if self.can_become(target) => {
                let order = self.slices_last.then(own.to(target));
                let from = own.reordered(&self.slices_last.inverse()).to_string();
                let remark = Remark::Reordered { from, to: target.to_string() };
                (order, (order != Reorder::NONE).then_some(remark))
            }
            (Some(own), Some(target)) => {
                let (own, target) = (own.to_string(), target.to_string());
                (self.slices_last, Some(Remark::OtherView { own, target, moved }))
            }
            (None, Some(target)) => (self.slices_last, Some(Remark::Unclear { target: target.to_string(), moved })),
            (_, None) => (self.slices_last, moved.then_some(Remark::SlicesLast)),
        }
    }
}

/// The axis of the slices, where it is evident: of one voxel, or of longer ones, or of far fewer.
pub fn slice_axis(dim: [usize; 3], spacing_mm: [f32; 3]) -> Option<usize> {
    let only = |tells: &dyn Fn(usize, usize) -> bool| {
        (0..3).find(|&axis| (0..3).filter(|&other| other != axis).all(|other| tells(axis, other)))
    };
    let single = only(&|axis, other| dim[axis] == 1 && dim[other] > 1);
    let thicker = || only(&|axis, other| spacing_mm[axis] >= THICKER * spacing_mm[other]);
    let fewer = || only(&|axis, other| FEWER * dim[axis] <= dim[other]);
    single.or_else(thicker).or_else(fewer)
}

/// Whether every axis runs along one of the patient's directions, give or take 25 degrees.
pub fn is_clear(affine: &Affine) -> bool {
    let lengths = lengths_mm(affine);
    (0..3).all(|axis| affine.iter().any(|row| row[axis].abs() >= CLEAR * lengths[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dim: [usize; 3], affine: Affine) -> Place {
        Place { dim, spacing_mm: lengths_mm(&affine).map(|mm| mm as f32), affine: Some(affine) }
    }

    const LPS: Affine = [[-1.5, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], [0.0, 0.0, 10.0, -20.0]];
    const RAS: Affine = [[1.5, 0.0, 0.0, -70.0], [0.0, 1.5, 0.0, -60.0], [0.0, 0.0, 10.0, -20.0]];
    const SLICE_FIRST: Affine = [[0.0, -1.5, 0.0, 70.0], [0.0, 0.0, -1.5, 60.0], [10.0, 0.0, 0.0, -20.0]];

    #[test]
    fn volumes_of_other_directions_are_brought_into_the_data_set_s() {
        let target = Some(Axes::LPS);
        for (affine, dim, from) in [(RAS, [3, 2, 2], "RAS"), (SLICE_FIRST, [2, 3, 2], "SLP")] {
            let orientation = Orientation::of(&place(dim, affine));
            assert!(orientation.can_become(Axes::LPS));
            let (order, remark) = orientation.into_order(target);
            assert_eq!(order, from.parse::<Axes>().unwrap().to(Axes::LPS));
            assert_eq!(remark, Some(Remark::Reordered { from: from.to_string(), to: "LPS".to_string() }));
        }
        let own = Orientation::of(&place([5, 5, 2], LPS));
        assert_eq!((own.axes, own.into_order(target)), (Some(Axes::LPS), (Reorder::NONE, None)));
    }

    #[test]
    fn slices_come_last_also_where_every_volume_has_them_first() {
        let orientation = Orientation::of(&place([5, 96, 80], SLICE_FIRST));
        assert_eq!(orientation.axes, Some(Axes::LPS));
        assert_eq!(orientation.into_order(None), (Reorder::last(0), Some(Remark::SlicesLast)));
        // Voxels as long as wide, and as many along every axis, do not tell where slices are.
        let cubes = SLICE_FIRST.map(|row| [row[0] / 10.0, row[1] / 1.5, row[2] / 1.5, row[3]]);
        let cubes = Orientation::of(&place([60, 96, 80], cubes));
        assert_eq!((cubes.axes, cubes.can_become(Axes::LPS)), ("SLP".parse().ok(), true));
        // One slice is one, however thick.
        let one = Orientation::of(&place([96, 1, 80], LPS));
        assert_eq!(one.axes, "LSP".parse().ok());
    }

    #[test]
    fn oblique_planes_are_not_turned() {
        let (sin, cos) = 0.6f64.sin_cos();
        let oblique = [[1.5 * cos, -1.5 * sin, 0.0, 0.0], [1.5 * sin, 1.5 * cos, 0.0, 0.0], RAS[2]];
        let orientation = Orientation::of(&place([96, 80, 5], oblique));
        assert_eq!(orientation.axes, None);
        assert!(!orientation.can_become(Axes::LPS));
        let unclear = |moved| Remark::Unclear { target: "LPS".to_string(), moved };
        assert_eq!(orientation.into_order(Some(Axes::LPS)), (Reorder::NONE, Some(unclear(false))));
        // Its slices come last all the same.
        let first = Orientation::of(&place([5, 96, 80], oblique.map(|[x, y, z, shift]| [z, x, y, shift])));
        assert_eq!(first.into_order(Some(Axes::LPS)), (Reorder::last(0), Some(unclear(true))));
        assert_eq!(orientation.into_order(None), (Reorder::NONE, None));
    }

    #[test]
    fn slices_of_another_view_stay_slices() {
        // Thick along the patient's left: slices from side to side.
        let sagittal = [[0.0, 0.0, -10.0, 0.0], [1.5, 0.0, 0.0, 0.0], [0.0, 1.5, 0.0, 0.0]];
        let orientation = Orientation::of(&place([96, 80, 5], sagittal));
        assert!(!orientation.can_become(Axes::LPS));
        let (order, remark) = orientation.into_order(Some(Axes::LPS));
        assert_eq!(order, Reorder::NONE);
        assert_eq!(remark, Some(Remark::OtherView { own: "ASL".to_string(), target: "LPS".to_string(), moved: false }));
    }

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
