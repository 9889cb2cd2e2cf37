//! The lengths of a phantom's heart, and its outline at one level of one phase.
//!
//! The left ventricle is a half ellipsoid that thickens as it contracts: at every angle the wall keeps its
//! cross-section. The right ventricle is an ellipse minus the left one. In systole the base moves towards the apex, so
//! the first slices may show the atria.

use std::f32::consts::TAU;

use super::super::Phase;
use crate::mri::random::Stream;

/// Distance of slices in mm; slices have no gap.
pub const SLICE_MM: f32 = 8.0;
/// Number of directions in which an outline is tabulated.
const ANGLES: usize = 256;
/// Distance from the left ventricle, in mm, beyond which a point is no part of its wall or fat.
const FAR_MM: f32 = 20.0;

/// The groups of ACDC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Normal.
    Nor,
    /// Dilated cardiomyopathy: a large, weak left ventricle.
    Dcm,
    /// Hypertrophic cardiomyopathy: a thick wall, most of all the septum.
    Hcm,
    /// Infarction: part of the wall is thin and does not move.
    Minf,
    /// Abnormal right ventricle: large.
    Rv,
}

impl Group {
    /// Every group.
    pub const ALL: [Group; 5] = [Group::Nor, Group::Dcm, Group::Hcm, Group::Minf, Group::Rv];

    /// The group's name in ACDC.
    pub fn name(self) -> &'static str {
        match self {
            Group::Nor => "NOR",
            Group::Dcm => "DCM",
            Group::Hcm => "HCM",
            Group::Minf => "MINF",
            Group::Rv => "RV",
        }
    }
}

/// A patient's heart. Lengths in mm, angles in radians, x to the right and y down; angle 0 points right.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// The diagnosis.
    pub group: Group,
    /// Seed of the patient's textures.
    pub seed: u64,
    /// Number of slices, base to apex.
    pub slices: usize,
    /// Centre of the left ventricle (x, y) from the centre of the field, at the base.
    pub centre: [f32; 2],
    /// Direction from the left ventricle to the right one.
    pub rv_angle: f32,
    /// How far the axis of the heart leans (x, y) from base to apex.
    lean: [f32; 2],
    /// Depth of the first slice below the base in diastole.
    first_mm: f32,
    /// Base to apex of the cavity in diastole.
    length_mm: f32,
    /// How far the base moves down in systole.
    descent_mm: f32,
    /// Radius of the cavity at the base in diastole.
    radius_mm: f32,
    /// Thickness of the wall at the base in diastole.
    wall_mm: f32,
    /// How much thicker the septum is, as a fraction.
    septum: f32,
    /// Radius of the cavity in systole over that in diastole.
    contraction: f32,
    /// Centre and half-width of the infarct, if any.
    infarct: Option<(f32, f32)>,
    /// Size of the right ventricle (outwards, sideways) at the base in diastole.
    rv_mm: [f32; 2],
    /// The right ventricle's size in systole over that in diastole.
    rv_contraction: f32,
    /// Amplitude and phase of the outline's second and third harmonic.
    ripple: [(f32, f32); 2],
    /// Angle, distance (in cavity radii) and size of the papillary muscles.
    papillary: [(f32, f32, f32); 2],
}

impl Anatomy {
    /// Draws a patient of a group.
    pub fn draw(group: Group, seed: u64) -> Self {
        let mut r = Stream::new(seed);
        let beyond = usize::from(r.chance(0.35));
        let slices = 8 + beyond + r.below(3 - beyond);
        let first_mm = r.range(1.0, 6.0);
        let last_mm = first_mm + SLICE_MM * (slices - 1 - beyond) as f32;
        let length_mm = last_mm / r.range(0.86, 0.97);
        let (radius_mm, wall_mm, septum, contraction) = match group {
            Group::Nor | Group::Rv => (r.range(22.5, 27.0), r.range(7.0, 9.5), 0.1, r.range(0.66, 0.74)),
            Group::Dcm => (r.range(33.0, 40.0), r.range(7.5, 10.0), 0.05, r.range(0.85, 0.92)),
            Group::Hcm => (r.range(23.0, 27.5), r.range(11.0, 15.0), r.range(0.2, 0.7), r.range(0.5, 0.62)),
            Group::Minf => (r.range(27.0, 33.0), r.range(7.0, 9.5), 0.1, r.range(0.72, 0.78)),
        };
        let infarct = (group == Group::Minf).then(|| (r.range(0.0, TAU), r.range(0.6, 1.0)));
        let large = if group == Group::Rv { r.range(1.25, 1.45) } else { 1.0 };
        let rv_angle = std::f32::consts::PI + r.range(-0.65, 0.35);
        let free_wall = rv_angle + std::f32::consts::PI;
        Self {
            group,
            seed,
            slices,
            centre: [r.range(-4.0, 20.0), r.range(-18.0, 14.0)],
            rv_angle,
            lean: [r.range(-2.0, 14.0), r.range(-6.0, 10.0)],
            first_mm,
            length_mm,
            descent_mm: length_mm * 0.4 * (1.0 - contraction) * r.range(0.7, 1.3),
            radius_mm,
            wall_mm,
            septum,
            contraction,
            infarct,
            rv_mm: [r.range(30.0, 38.0) * large, r.range(38.0, 46.0) * large.sqrt()],
            rv_contraction: if group == Group::Rv { r.range(0.82, 0.92) } else { r.range(0.68, 0.8) },
            ripple: [(r.range(0.0, 0.07), r.range(0.0, TAU)), (r.range(0.0, 0.025), r.range(0.0, TAU))],
            papillary: [-1.0, 1.0]
                .map(|side| (free_wall + side * r.range(0.7, 1.2), r.range(0.55, 0.72), r.range(3.0, 5.5))),
        }
    }

    /// The heart's outline in a phase, `depth` slices below the first one.
    pub fn level(&self, phase: Phase, depth: f32) -> Level {
        let systole = phase == Phase::Es;
        let mm = self.first_mm + SLICE_MM * depth;
        let base = if systole { self.descent_mm } else { 0.0 };
        // 0 at the base, 1 at the apex of the cavity.
        let along = (mm - base) / (self.length_mm - base);
        let down = (mm / self.length_mm).clamp(0.0, 1.2);
        let (taper, outer_taper) = (taper(along / 0.99), taper(along / 1.06));
        let outline: Vec<(f32, f32)> =
            (0..ANGLES).map(|i| self.walls(i as f32 * TAU / ANGLES as f32, systole, taper, outer_taper)).collect();
        let squeeze = if systole { self.rv_contraction } else { 1.0 };
        let rv_taper = if (0.0..0.9).contains(&along) { (1.0 - (along / 0.9).powf(2.4)).sqrt() } else { 0.0 };
        let widest = outline.iter().map(|&(_, outer)| outer).fold(0.0, f32::max);
        let cavity = outline.iter().map(|&(inner, _)| inner).sum::<f32>() / ANGLES as f32;
        Level {
            along,
            down,
            centre: [self.centre[0] + self.lean[0] * down, self.centre[1] + self.lean[1] * down],
            towards_rv: [self.rv_angle.cos(), self.rv_angle.sin()],
            atrium_mm: self.radius_mm * 0.85,
            widest,
            inner: outline.iter().map(|o| o.0).collect(),
            outer: outline.iter().map(|o| o.1).collect(),
            rv: [widest * 0.8, self.rv_mm[0] * squeeze * rv_taper, self.rv_mm[1] * squeeze.sqrt() * rv_taper],
            papillary: self.papillary.map(|(angle, distance, size)| {
                // The muscles reach from the apex to the middle of the cavity.
                let grown = ((along - 0.2) / 0.25).clamp(0.0, 1.0);
                let (sin, cos) = angle.sin_cos();
                [cavity * distance * cos, cavity * distance * sin, size * grown]
            }),
        }
    }

    /// Inner and outer radius of the left ventricle in a direction.
    fn walls(&self, angle: f32, systole: bool, taper: f32, outer_taper: f32) -> (f32, f32) {
        let [(second, second_at), (third, third_at)] = self.ripple;
        let shape = 1.0 + second * (2.0 * (angle - second_at)).cos() + third * (3.0 * (angle - third_at)).cos();
        let infarct = self.infarct.map_or(0.0, |(at, half_width)| {
            let off = (angle - at + TAU + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
            smooth_step((half_width + 0.3 - off.abs()) / 0.5)
        });
        let septum = 0.5 + 0.5 * (angle - self.rv_angle).cos();
        let wall = self.wall_mm * (1.0 + self.septum * septum * septum) * (1.0 - 0.4 * infarct);
        let inner = self.radius_mm * shape * taper;
        let outer = (self.radius_mm * shape + wall) * outer_taper;
        if !systole || outer <= 0.0 {
            return (inner, outer);
        }
        let contraction = self.contraction + (1.0 - self.contraction) * 0.85 * infarct;
        let squeezed = inner * contraction;
        // The wall's cross-section stays, and grows as the heart gets shorter.
        let stretch = self.length_mm / (self.length_mm - self.descent_mm);
        let section = (outer * outer - inner * inner).max(0.0) * stretch.min(1.15);
        (squeezed, (squeezed * squeezed + section).sqrt())
    }
}

/// The heart's outline at one level of one phase.
#[derive(Clone, Debug)]
pub struct Level {
    /// 0 at the base, 1 at the apex of the cavity; negative above the base.
    pub along: f32,
    /// Depth in the body: 0 at the base in diastole, 1 at the apex.
    pub down: f32,
    /// Centre of the left ventricle (x, y) from the centre of the field, mm.
    pub centre: [f32; 2],
    /// Cosine and sine of the direction of the right ventricle.
    towards_rv: [f32; 2],
    /// Radius of the left atrium, mm.
    atrium_mm: f32,
    /// Largest outer radius of the left ventricle, mm.
    widest: f32,
    inner: Vec<f32>,
    outer: Vec<f32>,
    /// The right ventricle: distance of its centre, size outwards, size sideways, mm.
    rv: [f32; 3],
    /// Position from the centre and size of the papillary muscles, mm.
    papillary: [[f32; 3]; 2],
}

/// What a point of the heart is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// Blood of the left ventricle.
    Lv,
    /// Papillary muscle, which counts as cavity.
    Papillary,
    /// Wall of the left ventricle.
    Wall,
    /// Blood of the right ventricle; the depth below its wall in mm.
    Rv(f32),
    /// Wall of the right ventricle or of an atrium.
    ThinWall,
    /// Blood of an atrium or a great vessel.
    Vessel,
    /// Outside; the distance from the heart in mm, about.
    Outside(f32),
}

impl Level {
    /// The part of the heart at a point (x, y) in mm from the centre of the field.
    pub fn part(&self, x: f32, y: f32) -> Part {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let distance = length(dx, dy);
        if self.along < 0.0 {
            return self.above_base(dx, dy, distance);
        }
        let mut gap = distance - self.widest;
        // Farther out the direction does not matter.
        if gap < FAR_MM {
            let turn = dy.atan2(dx) / TAU;
            let index = ((turn * ANGLES as f32 + ANGLES as f32 + 0.5) as usize) % ANGLES;
            if distance < self.inner[index] {
                let muscle = |&[px, py, size]: &[f32; 3]| length(dx - px, dy - py) < size;
                return if self.papillary.iter().any(muscle) { Part::Papillary } else { Part::Lv };
            }
            if distance < self.outer[index] {
                return Part::Wall;
            }
            gap = distance - self.outer[index];
        }
        let [cos, sin] = self.towards_rv;
        let (out, side) = (dx * cos + dy * sin, dy * cos - dx * sin);
        let [at, long, wide] = self.rv;
        if long > 1.0 && wide > 1.0 {
            // Pulled towards its lower end, which makes a crescent of the ellipse.
            let radius = length((out - at) / long, (side + 0.1 * (out - at)) / wide);
            let depth = (1.0 - radius) * long.min(wide);
            if depth > 0.0 {
                return Part::Rv(depth);
            }
            if depth > -2.5 {
                return Part::ThinWall;
            }
            gap = gap.min(-2.5 - depth);
        }
        Part::Outside(gap)
    }

    /// The atria and the root of the aorta.
    fn above_base(&self, dx: f32, dy: f32, distance: f32) -> Part {
        let [cos, sin] = self.towards_rv;
        let (out, side) = (dx * cos + dy * sin, dy * cos - dx * sin);
        let size = self.atrium_mm;
        let left = size - distance * (1.0 + 0.1 * (dx / (distance + 1.0)));
        let aorta = 0.5 * size - length(out - 1.25 * size, side - 0.35 * size);
        let right = (1.0 - length((out - 1.9 * size) / (0.95 * size), (side + 0.5 * size) / (1.2 * size))) * size;
        let inside = left.max(aorta).max(right);
        match inside {
            _ if inside > 2.0 => Part::Vessel,
            _ if inside > 0.0 => Part::ThinWall,
            _ => Part::Outside(-inside),
        }
    }
}

/// The length of a vector; `f32::hypot` guards against overflow, which takes most of its time.
pub fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Radius of a half ellipsoid, fuller than a sphere, along its axis; 0 beyond its end.
fn taper(along: f32) -> f32 {
    (1.0 - along.max(0.0).powf(2.6)).max(0.0).sqrt()
}

fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
