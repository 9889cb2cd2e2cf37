//! Painting a phantom's slice: the heart in a chest, sampled, shaded and noisy.
//!
//! Intensities imitate a balanced steady-state cine sequence: blood and fat bright, muscle dark grey, liver grey, lung
//! and air nearly black.

use super::super::Phase;
use super::anatomy::{Anatomy, Level, Part, length};
use crate::mri::random::{Stream, mix, sin_cos_turns};

/// Points a pixel, along each side; the rows also differ in depth, over the slice's thickness.
const SAMPLES: usize = 3;

/// The intensities and classes of one slice, row-major, `size` by `size` pixels of `spacing_mm`.
pub fn render(anatomy: &Anatomy, phase: Phase, z: usize, size: usize, spacing_mm: f32) -> (Vec<f32>, Vec<u8>) {
    let chest = Chest::draw(anatomy);
    let middle = (SAMPLES / 2) as f32;
    let depth = |row: usize| z as f32 + 0.9 * (row as f32 - middle) / SAMPLES as f32;
    let levels: Vec<Level> = (0..SAMPLES).map(|row| anatomy.level(phase, depth(row))).collect();
    let paint = Paint { chest: &chest, patient: mix(anatomy.seed), texture: mix(anatomy.seed ^ mix(z as u64)) };
    let half = size as f32 / 2.0;
    let at = |pixel: usize, sub: f32| (pixel as f32 + sub - half) * spacing_mm;
    let mut image = Vec::with_capacity(size * size);
    let mut label = Vec::with_capacity(size * size);
    for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
        let (mut sum, (bend_x, bend_y)) = (0.0, paint.bend(at(x, 0.5), at(y, 0.5)));
        for (j, level) in levels.iter().enumerate() {
            for i in 0..SAMPLES {
                // Sub-rows go with depth; a column's offset keeps them from lining up.
                let sub = |n: usize| (n as f32 + 0.5) / SAMPLES as f32;
                sum += paint.sample(level, at(x, sub(i)) + bend_x, at(y, sub((j + i) % SAMPLES)) + bend_y);
            }
        }
        let (px, py) = (at(x, 0.5), at(y, 0.5));
        image.push(sum / (SAMPLES * SAMPLES) as f32 * chest.shading(px, py));
        label.push(class(levels[SAMPLES / 2].part(px + bend_x, py + bend_y)));
    }
    let mut image = soften(&soften(&image, size), size);
    add_noise(&mut image, chest.noise, mix(paint.texture ^ phase as u64));
    (image, label)
}

/// The width of a scanner's point spread along rows, and the transpose: twice is both directions.
fn soften(image: &[f32], size: usize) -> Vec<f32> {
    let mut out = vec![0.0; image.len()];
    for (y, row) in image.chunks_exact(size).enumerate() {
        for x in 0..size {
            let (before, after) = (row[x.saturating_sub(1)], row[(x + 1).min(size - 1)]);
            out[x * size + y] = 0.7 * row[x] + 0.15 * (before + after);
        }
    }
    out
}

/// The magnitude of the image with complex noise (Rician).
fn add_noise(image: &mut [f32], sigma: f32, seed: u64) {
    let mut stream = Stream::new(seed);
    for value in image {
        let (re, im) = stream.normal_pair();
        *value = length(*value + sigma * re, sigma * im);
    }
}

fn class(part: Part) -> u8 {
    match part {
        Part::Rv(_) => 1,
        Part::Wall => 2,
        Part::Lv | Part::Papillary => 3,
        Part::ThinWall | Part::Vessel | Part::Outside(_) => 0,
    }
}

/// A patient's chest around the heart: lengths in mm from the centre of the field, intensities relative to white.
struct Chest {
    torso: [f32; 2],
    torso_axes: [f32; 2],
    tilt: (f32, f32),
    fat_mm: f32,
    muscle_mm: f32,
    heart_fat_mm: f32,
    diaphragm: [f32; 3],
    spine: [f32; 3],
    aorta: [f32; 3],
    blood: f32,
    rv_blood: f32,
    muscle: f32,
    fat: f32,
    liver: f32,
    lung: f32,
    coil: [f32; 2],
    coil_reach: f32,
    noise: f32,
}

impl Chest {
    fn draw(anatomy: &Anatomy) -> Self {
        let mut r = Stream::new(mix(anatomy.seed) ^ 0xc4e5);
        let [hx, hy] = anatomy.centre;
        let blood = r.range(0.62, 0.95);
        Self {
            torso: [r.range(18.0, 42.0), r.range(14.0, 36.0)],
            torso_axes: [r.range(112.0, 142.0), r.range(92.0, 118.0)],
            tilt: r.range(-0.35, 0.15).sin_cos(),
            fat_mm: r.range(5.0, 22.0),
            muscle_mm: r.range(7.0, 13.0),
            heart_fat_mm: r.range(1.0, 9.0),
            diaphragm: [hy + r.range(30.0, 52.0), r.range(-0.35, 0.25), r.range(0.0, 6.0)],
            spine: [hx + r.range(42.0, 62.0), hy + r.range(52.0, 70.0), r.range(15.0, 19.0)],
            aorta: [hx + r.range(38.0, 56.0), hy + r.range(26.0, 38.0), r.range(9.0, 12.0)],
            blood,
            rv_blood: blood * r.range(0.82, 1.02),
            muscle: r.range(0.18, 0.3),
            fat: r.range(0.6, 0.95),
            liver: r.range(0.22, 0.45),
            lung: r.range(0.03, 0.08),
            coil: [r.range(-110.0, -10.0), r.range(-120.0, -60.0)],
            coil_reach: r.range(110.0, 230.0),
            noise: r.range(0.006, 0.016),
        }
    }

    /// Brightness of the surface coils and of the body coil, about 1 in the middle.
    fn shading(&self, x: f32, y: f32) -> f32 {
        let near = |x: f32, y: f32| (-((x - self.coil[0]).hypot(y - self.coil[1]) / self.coil_reach).powi(2)).exp();
        (0.55 + near(x, y)) / (0.55 + near(0.0, 0.0))
    }
}

struct Paint<'a> {
    chest: &'a Chest,
    /// Seed of what all slices share.
    patient: u64,
    /// Seed of the slice's textures.
    texture: u64,
}

impl Paint<'_> {
    /// How far the ideal outlines are bent at a point, alike in all slices of a patient.
    fn bend(&self, x: f32, y: f32) -> (f32, f32) {
        let noise = |layer, scale| gradient_noise(mix(self.patient ^ layer), x, y, scale);
        (4.0 * noise(1, 34.0) + 0.6 * noise(2, 11.0), 4.0 * noise(3, 34.0) + 0.6 * noise(4, 11.0))
    }

    fn sample(&self, level: &Level, x: f32, y: f32) -> f32 {
        let chest = self.chest;
        match level.part(x, y) {
            // Inflow and through-plane motion make blood uneven, most of all at the base.
            Part::Lv => {
                let flow = 0.05 + 0.08 * (1.0 - level.along).clamp(0.0, 1.0);
                chest.blood * (1.0 + flow * self.grain(1, x, y, 9.0) + 0.04 * self.grain(2, x, y, 3.5))
            }
            Part::Papillary => 0.35 * chest.blood + 0.65 * chest.muscle,
            Part::Wall => chest.muscle * (1.0 + 0.1 * self.grain(3, x, y, 6.0) + 0.08 * self.grain(4, x, y, 2.5)),
            Part::Rv(depth) => {
                let strands = self.grain(5, x, y, 4.0) - 0.1 - 0.06 * depth + 0.5 * level.along;
                let blood = chest.rv_blood * (1.0 + 0.08 * self.grain(6, x, y, 8.0));
                if strands > 0.3 { 0.55 * blood + 0.45 * chest.muscle } else { blood }
            }
            Part::ThinWall => chest.muscle * 1.15,
            Part::Vessel => chest.blood * (0.9 + 0.12 * self.grain(7, x, y, 7.0)),
            Part::Outside(gap) => self.around(level, x, y, gap),
        }
    }

    /// Fat at the heart, the chest's wall, and what lies between.
    fn around(&self, level: &Level, x: f32, y: f32, gap: f32) -> f32 {
        let chest = self.chest;
        let heart_fat = chest.heart_fat_mm * (0.7 + 0.9 * self.grain(8, x, y, 26.0));
        if gap < heart_fat {
            // A dark line of pericardium and chemical shift around the bright fat.
            return if gap + 1.2 > heart_fat { 0.15 } else { chest.fat * (0.75 + 0.15 * self.grain(9, x, y, 5.0)) };
        }
        let down = level.down;
        let (dx, dy) = (x - chest.torso[0] - 16.0 * down, y - chest.torso[1] - 12.0 * down);
        let (sin, cos) = chest.tilt;
        let radius = length((dx * cos + dy * sin) / chest.torso_axes[0], (dy * cos - dx * sin) / chest.torso_axes[1]);
        let depth = (1.0 - radius) * 0.5 * (chest.torso_axes[0] + chest.torso_axes[1]);
        let fat_mm = chest.fat_mm * (1.0 + 0.35 * self.grain(10, x, y, 45.0));
        match depth {
            _ if depth < 0.0 => 0.005,
            _ if depth < 2.0 => 0.3,
            _ if depth < fat_mm => chest.fat * (1.0 + 0.1 * self.grain(11, x, y, 6.0)),
            _ if depth < fat_mm + chest.muscle_mm => self.chest_wall(x, y, dx, dy),
            _ => self.inside(level, x, y),
        }
    }

    /// Muscle between ribs whose marrow is bright and whose bone is dark.
    fn chest_wall(&self, x: f32, y: f32, dx: f32, dy: f32) -> f32 {
        let rib = (dy.atan2(dx) * 8.0 + 2.5 * self.grain(12, x, y, 40.0)).sin() + 0.2 * self.grain(27, x, y, 9.0);
        let muscle = self.chest.muscle * (1.1 + 0.4 * self.grain(13, x, y, 6.0)) + self.spots(14, x, y, 8.0, 0.3);
        match rib {
            _ if rib > 0.8 => 0.33,
            _ if rib > 0.6 => 0.12,
            _ if rib < -0.7 => 0.5 * muscle + 0.4 * self.chest.fat,
            _ => muscle,
        }
    }

    /// Lung, liver and stomach below the diaphragm, spine and aorta.
    fn inside(&self, level: &Level, x: f32, y: f32) -> f32 {
        let chest = self.chest;
        let behind = 1.0 - level.down;
        let [ax, ay, aorta] = chest.aorta;
        let wall = aorta * (0.6 + 0.4 * behind) - length(x - ax, y - ay);
        if wall > 0.0 {
            return if wall < 1.5 { 0.25 } else { chest.blood * (0.92 + 0.08 * self.grain(15, x, y, 6.0)) };
        }
        let [sx, sy, spine] = chest.spine;
        let bone = spine - length(x - sx, (y - sy) * 1.15);
        if bone > 0.0 {
            return if bone < 2.0 { 0.1 } else { 0.42 * (1.0 + 0.15 * self.grain(16, x, y, 4.0)) };
        }
        let [at, slope, wave] = chest.diaphragm;
        let diaphragm = at + slope * x + wave * (x / 30.0).sin() - 14.0 * level.down;
        if y > diaphragm + 3.0 * self.grain(17, x, y, 30.0) {
            let stomach = self.grain(18, x, y, 55.0) + 0.012 * x - 0.25;
            let vessels = self.spots(19, x, y, 13.0, 0.35);
            if stomach > 0.25 {
                let folds = self.grain(20, x, y, 13.0) + 0.5 * self.grain(26, x, y, 5.0);
                return 0.35 * chest.fat + 0.25 * folds.abs() + vessels;
            }
            return chest.liver * (1.0 + 0.12 * self.grain(21, x, y, 10.0) + 0.08 * self.grain(22, x, y, 3.0))
                + vessels;
        }
        let haze = 0.02 * (1.0 + self.grain(23, x, y, 22.0));
        chest.lung + haze + self.spots(24, x, y, 11.0, 0.6) + self.spots(25, x, y, 6.0, 0.2)
    }

    /// Smooth noise, mostly in -1..1, with features of about `scale` mm.
    fn grain(&self, layer: u64, x: f32, y: f32, scale: f32) -> f32 {
        gradient_noise(self.texture ^ mix(layer), x, y, scale)
    }

    /// Bright spots, vessels cut across: at most one a cell of `cell_mm`, up to `brightness`.
    fn spots(&self, layer: u64, x: f32, y: f32, cell_mm: f32, brightness: f32) -> f32 {
        let (sin, cos) = sin_cos_turns(0.13 * layer as f32);
        let (u, v) = ((x * cos + y * sin) / cell_mm, (y * cos - x * sin) / cell_mm);
        let (row, v) = split(v);
        let (column, u) = split(u + 0.5 * (row & 1) as f32);
        let bits = cell(self.texture ^ mix(layer), column, row);
        let part = |shift: u32| ((bits >> shift) & 0xff) as f32 / 255.0;
        if part(0) > 0.4 {
            return 0.0;
        }
        let (du, dv) = (u - 0.25 - 0.5 * part(8), v - 0.25 - 0.5 * part(16));
        // Cut at a slant, a vessel is an ellipse.
        let away = length(du + (2.0 * part(48) - 1.0) * dv, dv * (0.6 + 0.8 * part(40)));
        let radius = 0.05 + 0.22 * part(24) * part(32) * part(32);
        brightness * (0.35 + 0.65 * part(32)) * ((radius - away) / 0.06 + 0.5).clamp(0.0, 1.0)
    }
}

/// The whole number below, and what is left; `f32::floor` is a function call on plain x86-64.
fn split(value: f32) -> (i32, f32) {
    let towards_zero = value as i32;
    let whole = towards_zero - i32::from(value < towards_zero as f32);
    (whole, value - whole as f32)
}

fn cell(seed: u64, u: i32, v: i32) -> u64 {
    mix(seed ^ (u64::from(u as u32) << 32 | u64::from(v as u32)).wrapping_mul(0x2545_f491_4f6c_dd1d))
}

/// Gradient noise (K. Perlin, SIGGRAPH 1985), scaled to about -1..1.
fn gradient_noise(seed: u64, x: f32, y: f32, scale: f32) -> f32 {
    let ((cu, fu), (cv, fv)) = (split(x / scale), split(y / scale));
    let corner = |du: i32, dv: i32| {
        let bits = cell(seed, cu + du, cv + dv);
        let slope = |shift: u32| ((bits >> shift) & 0xffff) as f32 * (2.0 / 65535.0) - 1.0;
        slope(0) * (fu - du as f32) + slope(16) * (fv - dv as f32)
    };
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (su, sv) = (smooth(fu), smooth(fv));
    let top = corner(0, 0) * (1.0 - su) + corner(1, 0) * su;
    let bottom = corner(0, 1) * (1.0 - su) + corner(1, 1) * su;
    1.8 * (top * (1.0 - sv) + bottom * sv)
}
