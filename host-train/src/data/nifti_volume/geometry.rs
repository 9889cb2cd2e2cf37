//! What a header says of a volume's place: voxel sizes and affine, and which of its statements counts where they differ.
//!
//! A header has up to three: `pixdim`; the sform, an affine; the qform, a rotation of `pixdim`. The sform counts where its code
//! is above 0, else the qform, else `pixdim` alone. One exception: an sform whose axes all have the length 1 beside a `pixdim`
//! that says others, as in all of ACDC, is a placeholder that tells directions alone; the lengths are `pixdim`'s.

use super::super::affine::{Affine, corners_apart, is_usable, lengths_mm, lie_apart};
use super::super::axes::Axes;
use super::header::Header;

/// By which part of itself an sform's length may differ from pixdim's for both to be the same number, rounded.
const ROUNDED: f64 = 1e-4;

/// A volume's place.
pub(super) struct Geometry {
    pub(super) spacing_mm: [f32; 3],
    pub(super) affine: Option<Affine>,
    pub(super) notes: Vec<String>,
}

impl Geometry {
    /// Reads the place of a volume of `dim` voxels; of its three axes the file has the first `rank`.
    pub(super) fn of(header: &Header, dim: [usize; 3], rank: usize) -> Result<Self, String> {
        let fields = header.fields();
        let mut notes = Vec::new();
        let mut usable = |name: &str, code: f64, affine: Affine| {
            let usable = is_usable(&affine);
            if code > 0.0 && !usable {
                notes.push(format!("its {name} (code {code}) is no affine and does not count"));
            }
            (code > 0.0 && usable).then_some(affine)
        };
        let sform = usable("sform", header.one(fields.sform_code), sform(header));
        let qform = usable("qform", header.one(fields.qform_code), qform(header));
        let lengths = Lengths { pixdim: pixdim_mm(header), sform: sform.as_ref().map(lengths_mm) };
        let (spacing_mm, differ) = lengths.resolve(header, dim, rank)?;
        notes.extend(differ);
        let own_mm = spacing_mm.map(f64::from);
        let sform = sform.map(|sform| if lengths.sform_is_unit() { with_lengths(sform, own_mm) } else { sform });
        if let (Some(sform), Some(qform)) = (&sform, &qform) {
            // Where their lengths differ is said already; directions and place are something else.
            notes.extend(displaced(sform, &with_lengths(*qform, lengths_mm(sform)), dim));
        }
        Ok(Self { spacing_mm, affine: sform.or(qform), notes })
    }
}

/// What two statements say of the voxels' sizes in mm.
struct Lengths {
    /// 0 or no number where there is none.
    pixdim: [f64; 3],
    sform: Option<[f64; 3]>,
}

impl Lengths {
    /// Whether the sform's lengths are placeholders.
    fn sform_is_unit(&self) -> bool {
        let is_one = |mm: f64| (mm - 1.0).abs() < 1e-3;
        self.sform.is_some_and(|lengths| lengths.into_iter().all(is_one))
            && self.pixdim.into_iter().all(is_length)
            && !self.pixdim.into_iter().all(is_one)
    }

    /// The sizes that count, and what to say where the two differ by over half a voxel over the volume. Below that they are
    /// taken from the same form without a word, so that sizes and affine agree.
    fn resolve(&self, header: &Header, dim: [usize; 3], rank: usize) -> Result<([f32; 3], Option<String>), String> {
        let axes = || 0..rank.min(3);
        let differ = self.sform.is_some_and(|sform| {
            let apart = |axis: usize| (sform[axis] - self.pixdim[axis]).abs() * dim[axis] as f64 > sform[axis] / 2.0;
            axes().any(|axis| is_length(self.pixdim[axis]) && apart(axis))
        });
        let mut spacing_mm = [1.0f32; 3];
        for (axis, taken) in spacing_mm.iter_mut().enumerate().take(axes().len()) {
            let own = self.pixdim[axis];
            // As pixdim says it where an affine's cosines alone round it.
            let rounded = |sform: f64| (sform - own).abs() <= ROUNDED * sform;
            let mm = match self.sform.map(|sform| sform[axis]) {
                Some(sform) if !is_length(own) || !(self.sform_is_unit() || rounded(sform)) => sform,
                _ => own,
            };
            if !is_length(mm) {
                let (field, stored) = (axis + 1, header.number(header.fields().pixdim, axis + 1));
                return Err(format!("pixdim[{field}] is {stored}, not a length, and no sform says another"));
            }
            *taken = mm as f32;
        }
        let note = || {
            let [pixdim, sform] = [self.pixdim, self.sform.unwrap_or_default()].map(sizes);
            match self.sform_is_unit() {
                // The same words for all files of a data set, which are said once.
                true => {
                    "all lengths of its sform are 1 mm: it tells directions alone, and pixdim the voxels' sizes".into()
                }
                false => format!("its pixdim says voxels of {pixdim} mm, its sform {sform} mm; the sform counts"),
            }
        };
        Ok((spacing_mm, differ.then(note)))
    }
}

fn is_length(mm: f64) -> bool {
    (mm as f32).is_finite() && mm as f32 > 0.0
}

/// An affine with other lengths of its axes.
fn with_lengths(affine: Affine, mm: [f64; 3]) -> Affine {
    let own = lengths_mm(&affine);
    affine.map(|row| [0, 1, 2, 3].map(|i| if i < 3 { row[i] / own[i] * mm[i] } else { row[i] }))
}

/// What to say where two forms place a corner over half a voxel apart along an axis.
fn displaced(sform: &Affine, qform: &Affine, dim: [usize; 3]) -> Option<String> {
    let apart = corners_apart(sform, qform, dim);
    let place = |form: &Affine| {
        let [x, y, z] = form.map(|row| number(row[3]));
        format!("{}, first voxel at ({x}, {y}, {z}) mm", Axes::of(form))
    };
    lie_apart(qform, sform, dim).then(|| {
        let (sform, qform) = (place(sform), place(qform));
        format!("its sform ({sform}) and its qform ({qform}) lie up to {} mm apart; the sform counts", number(apart))
    })
}

/// The unit of the file's lengths in mm; files without one, as most are, are taken to be in mm.
fn unit_mm(header: &Header) -> f64 {
    match header.one(header.fields().xyzt_units) as i64 & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    }
}

fn pixdim_mm(header: &Header) -> [f64; 3] {
    header.three(header.fields().pixdim, 1).map(|stored| stored.abs() * unit_mm(header))
}

fn sform(header: &Header) -> Affine {
    let row = |row: usize| [0, 1, 2, 3].map(|i| header.number(header.fields().srow, 4 * row + i) * unit_mm(header));
    [row(0), row(1), row(2)]
}

/// The affine of a header's quaternion (NIfTI-1, method 2).
fn qform(header: &Header) -> Affine {
    let fields = header.fields();
    let [b, c, d] = header.three(fields.quatern, 0);
    // Rounded quaternions may be a little longer than 1; then it is half a turn.
    let length = (b * b + c * c + d * d).sqrt().max(1.0);
    let [b, c, d] = [b, c, d].map(|v| v / length);
    let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let handed = if header.number(fields.pixdim, 0) < 0.0 { -1.0 } else { 1.0 };
    let unit = unit_mm(header);
    // An axis of no length still has a direction.
    let step = header.three(fields.pixdim, 1).map(|step| if step == 0.0 { 1.0 } else { step.abs() } * unit);
    let shift = header.three(fields.qoffset, 0).map(|shift| shift * unit);
    std::array::from_fn(|row| {
        let [x, y, z] = rotation[row];
        [x * step[0], y * step[1], z * step[2] * handed, shift[row]]
    })
}

/// Voxel sizes in words.
fn sizes(mm: [f64; 3]) -> String {
    mm.map(number).join("x")
}

/// A number in words, rounded to four digits after the point.
fn number(value: f64) -> String {
    ((value * 10_000.0).round() / 10_000.0).to_string()
}
