//! Augmentation in image space: flips, rotation, scaling, gamma.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How much a training slice is varied.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Probability of a mirror image, left-right and up-down each. Hearts lie alike in all patients, and with few lines
    /// that is worth knowing, so the default is none.
    pub flip: f32,
    /// Rotation is uniform within plus and minus this angle, in degrees.
    pub rotate_degrees: f32,
    /// Magnification is uniform in `1 - scale ..= 1 + scale`.
    pub scale: f32,
    /// Shift is uniform within plus and minus this part of the image, along each axis.
    pub shift: f32,
    /// Intensity is raised to a power, log-uniform in `1 / (1 + gamma) ..= 1 + gamma`.
    pub gamma: f32,
    /// The part of training samples that are rotated and scaled.
    pub probability: f32,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self { flip: 0.0, rotate_degrees: 20.0, scale: 0.2, shift: 0.05, gamma: 0.3, probability: 0.8 }
    }
}

/// An image (`height * width`, values 0 to 1) and its classes, varied.
pub fn augment(
    image: &[f32],
    label: &[u8],
    [height, width]: [usize; 2],
    config: &AugmentConfig,
    rng: &mut impl Rng,
) -> (Vec<f32>, Vec<u8>) {
    let matrix = random_map(config, rng);
    let shift = [0, 1].map(|_| rng.random_range(-1.0..=1.0) * config.shift);
    let gamma = (1.0 + config.gamma).powf(rng.random_range(-1.0..=1.0));
    let centre = [(height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0];
    let offset = [centre[0] + shift[0] * height as f32, centre[1] + shift[1] * width as f32];
    let mut image_out = Vec::with_capacity(image.len());
    let mut label_out = Vec::with_capacity(label.len());
    for y in 0..height {
        for x in 0..width {
            let (dy, dx) = (y as f32 - centre[0], x as f32 - centre[1]);
            let sy = matrix[0][0] * dy + matrix[0][1] * dx + offset[0];
            let sx = matrix[1][0] * dy + matrix[1][1] * dx + offset[1];
            image_out.push(bilinear(image, [height, width], sy, sx).max(0.0).powf(gamma));
            label_out.push(nearest(label, [height, width], sy, sx));
        }
    }
    (image_out, label_out)
}

/// Output to source coordinates about the centre: mirror, rotate, scale.
fn random_map(config: &AugmentConfig, rng: &mut impl Rng) -> [[f32; 2]; 2] {
    let mut mirror = || if rng.random_bool(f64::from(config.flip.clamp(0.0, 1.0))) { -1.0 } else { 1.0 };
    let (my, mx) = (mirror(), mirror());
    let (mut angle, mut scale) = (0.0f32, 1.0);
    if rng.random_bool(f64::from(config.probability.clamp(0.0, 1.0))) {
        angle = (rng.random_range(-1.0..=1.0) * config.rotate_degrees).to_radians();
        scale = 1.0 / (1.0 + rng.random_range(-1.0..=1.0) * config.scale);
    }
    let (sin, cos) = angle.sin_cos();
    [[my * cos * scale, my * sin * scale], [-mx * sin * scale, mx * cos * scale]]
}

/// Zero outside.
fn bilinear(image: &[f32], [height, width]: [usize; 2], y: f32, x: f32) -> f32 {
    let (y0, x0) = (y.floor(), x.floor());
    let (fy, fx) = (y - y0, x - x0);
    let at = |y: f32, x: f32| {
        let inside = y >= 0.0 && x >= 0.0 && (y as usize) < height && (x as usize) < width;
        if inside { image[y as usize * width + x as usize] } else { 0.0 }
    };
    let top = at(y0, x0) * (1.0 - fx) + at(y0, x0 + 1.0) * fx;
    let bottom = at(y0 + 1.0, x0) * (1.0 - fx) + at(y0 + 1.0, x0 + 1.0) * fx;
    top * (1.0 - fy) + bottom * fy
}

/// Background outside.
fn nearest(label: &[u8], [height, width]: [usize; 2], y: f32, x: f32) -> u8 {
    let (y, x) = (y.round(), x.round());
    let inside = y >= 0.0 && x >= 0.0 && (y as usize) < height && (x as usize) < width;
    if inside { label[y as usize * width + x as usize] } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const NONE: AugmentConfig =
        AugmentConfig { flip: 0.0, rotate_degrees: 0.0, scale: 0.0, shift: 0.0, gamma: 0.0, probability: 1.0 };

    fn square() -> (Vec<f32>, Vec<u8>) {
        let inside = |i: usize| (8..20).contains(&(i / 32)) && (10..25).contains(&(i % 32));
        let label: Vec<u8> = (0..1024).map(|i| u8::from(inside(i)) * 3).collect();
        (label.iter().map(|&c| f32::from(c) / 3.0).collect(), label)
    }

    #[test]
    fn nothing_asked_for_changes_nothing() {
        let (image, label) = square();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(augment(&image, &label, [32, 32], &NONE, &mut rng), (image, label));
    }

    #[test]
    fn image_and_label_move_together() {
        let (image, label) = square();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let config = AugmentConfig { flip: 0.5, gamma: 0.0, ..AugmentConfig::default() };
        for _ in 0..20 {
            let (image, label) = augment(&image, &label, [32, 32], &config, &mut rng);
            let disagree = image.iter().zip(&label).filter(|&(&i, &c)| (i > 0.5) != (c == 3)).count();
            assert!(disagree <= 8, "{disagree} pixels disagree");
            assert!(label.iter().filter(|&&c| c == 3).count() > 60);
        }
    }
}
