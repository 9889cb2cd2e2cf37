//! Which way the axes of a volume run in the patient, and how to bring voxels from one order into another.
//!
//! A direction has the letter that NiBabel's `aff2axcodes` gives it: the side of the patient towards which the axis counts.
//! ACDC's volumes are `LPS`: x counts towards the left, y to the back, z upwards. Blobs and checkpoints hold them as the core's
//! [`AxisCodes`], which this module writes into files as three letters, or as nothing where they are not known.

use std::fmt;
use std::str::FromStr;

use kscout_core::model::AxisCodes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::affine::{Affine, lengths_mm};

/// The letters of an axis that counts up, or down, along the rows of an [`Affine`].
const LETTERS: [[char; 2]; 3] = [['R', 'L'], ['A', 'P'], ['S', 'I']];

/// Towards which side of the patient an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Direction {
    /// The row of an [`Affine`] that it runs along: right, anterior, superior.
    row: usize,
    /// Whether it counts the other way: left, posterior, inferior.
    down: bool,
}

impl Direction {
    fn letter(self) -> char {
        LETTERS[self.row][usize::from(self.down)]
    }

    fn of_letter(letter: char) -> Option<Self> {
        let letter = letter.to_ascii_uppercase();
        let row = LETTERS.iter().position(|pair| pair.contains(&letter))?;
        Some(Self { row, down: LETTERS[row][1] == letter })
    }
}

/// Towards which side of the patient each axis of a volume (x, y, z) counts, such as `LPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Axes([Direction; 3]);

impl Axes {
    /// Left, posterior, superior: DICOM's directions, and those of ACDC's files.
    pub const LPS: Self =
        Self([Direction { row: 0, down: true }, Direction { row: 1, down: true }, Direction { row: 2, down: false }]);

    /// The directions nearest to those of an affine's axes, in NiBabel's way: x takes the patient's direction that it runs
    /// along most, then y of those left, then z.
    pub fn of(affine: &Affine) -> Self {
        let lengths = lengths_mm(affine);
        let mut free = vec![0, 1, 2];
        Self([0, 1, 2].map(|axis| {
            let along = |row: usize| affine[row][axis] / lengths[axis];
            let nearest = (1..free.len()).fold(0, |best, i| match along(free[i]).abs() > along(free[best]).abs() {
                true => i,
                false => best,
            });
            let row = free.remove(nearest);
            Direction { row, down: along(row) < 0.0 }
        }))
    }

    /// How voxels in this order are brought into that of `target`.
    pub fn to(self, target: Self) -> Reorder {
        let from = target.0.map(|wanted| self.0.iter().position(|own| own.row == wanted.row).unwrap_or_default());
        let flip = [0, 1, 2].map(|axis| self.0[from[axis]].down != target.0[axis].down);
        Reorder { from, flip }
    }

    /// The directions of a volume in this order once it is reordered.
    pub fn reordered(self, reorder: &Reorder) -> Self {
        Self([0, 1, 2].map(|axis| {
            let Direction { row, down } = self.0[reorder.from[axis]];
            Direction { row, down: down != reorder.flip[axis] }
        }))
    }

    /// The letter of one axis.
    pub fn letter(self, axis: usize) -> char {
        self.0[axis].letter()
    }
}

impl fmt::Display for Axes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|direction| write!(f, "{}", direction.letter()))
    }
}

impl FromStr for Axes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let directions: Option<Vec<Direction>> = text.chars().take(4).map(Direction::of_letter).collect();
        let known = directions.and_then(|directions| <[Direction; 3]>::try_from(directions).ok());
        let known = known.filter(|all| (0..3).all(|row| all.iter().any(|direction| direction.row == row)));
        let wrong =
            "expected the directions of x, y and z, such as LPS: one of L and R, one of A and P, one of I and S";
        known.map(Self).ok_or_else(|| wrong.to_string())
    }
}

impl TryFrom<String> for Axes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Axes> for String {
    fn from(axes: Axes) -> Self {
        axes.to_string()
    }
}

impl From<Axes> for AxisCodes {
    fn from(axes: Axes) -> Self {
        AxisCodes::new(axes.0.map(|direction| direction.letter() as u8)).expect("each direction comes once")
    }
}

impl From<AxisCodes> for Axes {
    fn from(codes: AxisCodes) -> Self {
        let direction = |letter: u8| Direction::of_letter(letter.into()).expect("the core knows the same letters");
        Self(codes.letters().map(direction))
    }
}

/// Writes the letters.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer>(axes: &Option<AxisCodes>, serializer: S) -> Result<S::Ok, S::Error> {
    match axes {
        Some(axes) => serializer.collect_str(axes),
        None => serializer.serialize_none(),
    }
}

/// Reads the letters.
///
/// # Errors
/// What does not name three axes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AxisCodes>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse = |text: String| text.parse().map_err(|error| de::Error::custom(format!("axes `{text}`: {error}")));
    text.map(parse).transpose()
}

/// Another order of a volume's axes, some of them turned around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reorder {
    /// For each axis of the result, the axis that it is made from.
    from: [usize; 3],
    /// Whether it counts the other way.
    flip: [bool; 3],
}

impl Reorder {
    /// Everything stays as it is.
    pub const NONE: Self = Self { from: [0, 1, 2], flip: [false; 3] };

    /// `axis` becomes the third one; the others keep their order.
    pub fn last(axis: usize) -> Self {
        let from = match axis {
            0 => [1, 2, 0],
            1 => [0, 2, 1],
            _ => [0, 1, 2],
        };
        Self { from, ..Self::NONE }
    }

    /// For each axis of the result, the axis that it is made from.
    pub fn source_axes(&self) -> [usize; 3] {
        self.from
    }

    /// What belongs to the axes, such as dimensions, in the new order.
    pub fn axes<T: Copy>(&self, of_axes: [T; 3]) -> [T; 3] {
        self.from.map(|axis| of_axes[axis])
    }

    /// This order, and then `next`.
    pub fn then(&self, next: Self) -> Self {
        Self {
            from: next.from.map(|axis| self.from[axis]),
            flip: [0, 1, 2].map(|axis| next.flip[axis] != self.flip[next.from[axis]]),
        }
    }

    /// What undoes it.
    pub fn inverse(&self) -> Self {
        let at = [0, 1, 2].map(|axis| self.from.iter().position(|&from| from == axis).unwrap_or_default());
        Self { from: at, flip: at.map(|axis| self.flip[axis]) }
    }

    /// Voxels of a volume of `dim` voxels (x, y, z), x fastest, in the new order.
    ///
    /// # Panics
    /// If there are not as many voxels as `dim` says.
    pub fn apply<T: Copy>(&self, voxels: &[T], dim: [usize; 3]) -> Vec<T> {
        assert_eq!(voxels.len(), dim.iter().product::<usize>());
        let strides = self.axes([1, dim[0], dim[0] * dim[1]]);
        let dim = self.axes(dim);
        let at = |axis: usize, index: usize| {
            let index = if self.flip[axis] { dim[axis] - 1 - index } else { index };
            index * strides[axis]
        };
        let mut reordered = Vec::with_capacity(voxels.len());
        for z in 0..dim[2] {
            for y in 0..dim[1] {
                let row = at(2, z) + at(1, y);
                reordered.extend((0..dim[0]).map(|x| voxels[row + at(0, x)]));
            }
        }
        reordered
    }

    /// Where the reordered grid lies, of one of `dim` voxels at `affine`: each voxel at the place where it was.
    pub fn affine(&self, affine: &Affine, dim: [usize; 3]) -> Affine {
        affine.map(|row| {
            let turned = |axis: usize| row[self.from[axis]] * (dim[self.from[axis]].saturating_sub(1) as f64);
            let shift = (0..3).filter(|&axis| self.flip[axis]).map(turned).sum::<f64>();
            let step = |axis: usize| if self.flip[axis] { -row[self.from[axis]] } else { row[self.from[axis]] };
            [step(0), step(1), step(2), row[3] + shift]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str) -> Axes {
        text.parse().unwrap()
    }

    /// All 48 orders of axes.
    fn all() -> Vec<Axes> {
        let mut found = Vec::new();
        for text in ["RAS", "RSA", "ARS", "ASR", "SRA", "SAR"] {
            for bits in 0..8 {
                let mut all = axes(text).0;
                (0..3).for_each(|axis| all[axis].down = bits >> axis & 1 == 1);
                found.push(Axes(all));
            }
        }
        found
    }

    #[test]
    fn letters_are_read_and_written() {
        assert_eq!(axes("LPS"), Axes::LPS);
        assert_eq!(axes("ras").to_string(), "RAS");
        assert_eq!(serde_json::to_string(&Axes::LPS).unwrap(), "\"LPS\"");
        assert_eq!(serde_json::from_str::<Axes>("\"SLP\"").unwrap().to_string(), "SLP");
        for wrong in ["", "LP", "LPSS", "LLS", "LRS", "xyz", "LPS "] {
            assert!(wrong.parse::<Axes>().unwrap_err().contains("LPS"), "{wrong}");
        }
    }

    #[test]
    fn an_affine_has_the_letters_that_nibabel_gives() {
        let of = |affine: Affine| Axes::of(&affine).to_string();
        assert_eq!(of([[-1.5, 0.0, 0.0, 70.0], [0.0, -1.5, 0.0, 60.0], [0.0, 0.0, 10.0, 0.0]]), "LPS");
        assert_eq!(of([[0.0, -1.5, 0.0, 70.0], [0.0, 0.0, -1.5, 60.0], [10.0, 0.0, 0.0, 0.0]]), "SLP");
        // A short axis: x most along the left, y down, z to the front; z takes what is left.
        assert_eq!(of([[-0.9, 0.3, 3.0, 0.0], [-0.2, -0.6, 7.0, 0.0], [0.3, -0.9, -6.0, 0.0]]), "LIA");
    }

    #[test]
    fn every_order_comes_back_and_leaves_each_voxel_in_its_place() {
        let dim = [2, 3, 4];
        let voxels: Vec<u8> = (0..24).collect();
        let place = |affine: &Affine, dim: [usize; 3], index: usize| {
            let at = [index % dim[0], index / dim[0] % dim[1], index / dim[0] / dim[1]].map(|i| i as f64);
            affine.map(|row| row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3])
        };
        let ras = [[2.0, 0.0, 0.0, -7.0], [0.0, 3.0, 0.0, 5.0], [0.0, 0.0, 9.0, 1.0]];
        for target in all() {
            let reorder = axes("RAS").to(target);
            let (new_dim, affine) = (reorder.axes(dim), reorder.affine(&ras, dim));
            assert_eq!((Axes::of(&affine), axes("RAS").reordered(&reorder)), (target, target));
            let moved = reorder.apply(&voxels, dim);
            for (index, &voxel) in moved.iter().enumerate() {
                let own = place(&ras, dim, usize::from(voxel));
                assert_eq!(place(&affine, new_dim, index), own, "{target}, voxel {voxel}");
            }
            assert_eq!(reorder.inverse().apply(&moved, new_dim), voxels, "{target}");
            assert_eq!(reorder.inverse(), target.to(axes("RAS")), "{target}");
            assert_eq!(Axes::from(AxisCodes::from(target)), target);
            assert_eq!(AxisCodes::from(target).to_string(), target.to_string());
        }
        assert_eq!(Axes::LPS.to(Axes::LPS), Reorder::NONE);
    }

    #[test]
    fn two_orders_are_one() {
        let voxels: Vec<u8> = (0..24).collect();
        for first in all() {
            let one = Axes::LPS.to(first);
            let moved = one.apply(&voxels, [2, 3, 4]);
            for second in all() {
                let other = first.to(second);
                assert_eq!(one.then(other), Axes::LPS.to(second));
                assert_eq!(one.then(other).apply(&voxels, [2, 3, 4]), other.apply(&moved, one.axes([2, 3, 4])));
            }
        }
    }

    #[test]
    fn an_axis_becomes_the_last_and_the_others_keep_their_order() {
        assert_eq!(
            [0, 1, 2].map(|axis| Reorder::last(axis).axes([10, 11, 12])),
            [[11, 12, 10], [10, 12, 11], [10, 11, 12]]
        );
        assert_eq!(Reorder::last(0).apply(&[1, 2, 3, 4, 5, 6], [3, 2, 1]), [1, 4, 2, 5, 3, 6]);
    }
}
