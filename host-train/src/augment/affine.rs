//! Flip, rotation, scale and shift: one affine map from a varied pixel to where it comes from.

use serde::{Deserialize, Serialize};

use crate::augment::{AugmentConfig, stream};
use crate::config::key::{Key, real, share};

/// Mirror images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`")]
pub struct Flip {
    /// Probability of a mirror image, left-right and up-down each. Hearts lie alike in all patients, and with few lines
    /// that is worth knowing, so the default is none.
    pub probability: f32,
}

impl Default for Flip {
    fn default() -> Self {
        Self { probability: 0.0 }
    }
}

/// Rotation about the image's centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `degrees`")]
pub struct Rotate {
    /// The part of samples that are rotated.
    pub probability: f32,
    /// Rotation is uniform within plus and minus this angle, in degrees.
    pub degrees: f32,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { probability: 0.8, degrees: 20.0 }
    }
}

/// Magnification about the image's centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amount`")]
pub struct Scale {
    /// The part of samples that are scaled.
    pub probability: f32,
    /// Magnification is uniform in `1 - amount ..= 1 + amount`.
    pub amount: f32,
}

impl Default for Scale {
    fn default() -> Self {
        Self { probability: 0.8, amount: 0.2 }
    }
}

/// Displacement as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `probability`, `amount`")]
pub struct Shift {
    /// The part of samples that are shifted.
    pub probability: f32,
    /// Shift is uniform within plus and minus this part of the image, along each axis.
    pub amount: f32,
}

impl Default for Shift {
    fn default() -> Self {
        Self { probability: 1.0, amount: 0.05 }
    }
}

impl Flip {
    pub(super) const KEYS: &[Key] = &[share("augment.flip.probability")];
}

impl Rotate {
    pub(super) const KEYS: &[Key] = &[share("augment.rotate.probability"), real("augment.rotate.degrees", 0.0, 180.0)];
}

impl Scale {
    pub(super) const KEYS: &[Key] = &[share("augment.scale.probability"), real("augment.scale.amount", 0.0, 0.9)];
}

impl Shift {
    pub(super) const KEYS: &[Key] = &[share("augment.shift.probability"), share("augment.shift.amount")];
}

/// From a varied pixel to its source: `matrix * (position - centre) + offset`, in pixels, (y, x).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Map {
    matrix: [[f32; 2]; 2],
    centre: [f32; 2],
    offset: [f32; 2],
}

impl Map {
    /// Draws a map; `None` where nothing moves.
    pub(super) fn draw(config: &AugmentConfig, [height, width]: [usize; 2], seed: u64) -> Option<Self> {
        let mut flip = stream(seed, "flip");
        let [my, mx] = [0, 1].map(|_| if flip.chance(config.flip.probability) { -1.0f32 } else { 1.0 });
        let mut rotate = stream(seed, "rotate");
        let turned = rotate.chance(config.rotate.probability);
        let angle = if turned { rotate.range(-1.0, 1.0) * config.rotate.degrees.to_radians() } else { 0.0 };
        let mut scale = stream(seed, "scale");
        let scaled = scale.chance(config.scale.probability);
        let shrink = if scaled { 1.0 / (1.0 + scale.range(-1.0, 1.0) * config.scale.amount) } else { 1.0 };
        let mut shift = stream(seed, "shift");
        let shifted = shift.chance(config.shift.probability);
        let shift = [height, width].map(|len| {
            let part = if shifted { shift.range(-1.0, 1.0) * config.shift.amount } else { 0.0 };
            part * len as f32
        });
        let centre = [(height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0];
        let (sin, cos) = angle.sin_cos();
        let matrix = [[my * cos * shrink, my * sin * shrink], [-mx * sin * shrink, mx * cos * shrink]];
        let still = matrix == [[1.0, 0.0], [0.0, 1.0]] && shift == [0.0, 0.0];
        let offset = [centre[0] + shift[0], centre[1] + shift[1]];
        (!still).then_some(Self { matrix, centre, offset })
    }

    /// Where the varied pixel at (y, x) comes from.
    pub(super) fn source(&self, y: f32, x: f32) -> [f32; 2] {
        let (dy, dx) = (y - self.centre[0], x - self.centre[1]);
        let along = |row: [f32; 2], offset: f32| row[0] * dy + row[1] * dx + offset;
        [along(self.matrix[0], self.offset[0]), along(self.matrix[1], self.offset[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off() -> AugmentConfig {
        AugmentConfig::default().with_probability(0.0)
    }

    fn drawn(config: &AugmentConfig) -> Vec<Map> {
        (0..500).map(|seed| Map::draw(config, [32, 64], seed).expect("something moves")).collect()
    }

    fn scaling(map: &Map) -> f32 {
        map.matrix[0][0].hypot(map.matrix[0][1])
    }

    #[test]
    fn without_any_of_them_nothing_moves() {
        assert!((0..50).all(|seed| Map::draw(&off(), [32, 64], seed).is_none()));
    }

    #[test]
    fn a_flip_along_both_axes_turns_the_corners_over() {
        let config = AugmentConfig { flip: Flip { probability: 1.0 }, ..off() };
        let map = Map::draw(&config, [32, 64], 1).unwrap();
        assert_eq!(map.source(0.0, 0.0), [31.0, 63.0]);
        assert_eq!(map.source(31.0, 63.0), [0.0, 0.0]);
    }

    #[test]
    fn rotation_stays_within_its_degrees_and_keeps_lengths() {
        let config = AugmentConfig { rotate: Rotate { probability: 1.0, degrees: 30.0 }, ..off() };
        let maps = drawn(&config);
        let angles: Vec<f32> = maps.iter().map(|m| m.matrix[0][1].atan2(m.matrix[0][0]).to_degrees()).collect();
        assert!(angles.iter().all(|angle| angle.abs() <= 30.001));
        assert!(angles.iter().any(|&angle| angle > 27.0) && angles.iter().any(|&angle| angle < -27.0));
        assert!(maps.iter().all(|map| (scaling(map) - 1.0).abs() < 1e-6));
        assert!(maps.iter().all(|map| map.source(15.5, 31.5) == [15.5, 31.5]), "about the centre");
    }

    #[test]
    fn magnification_stays_within_its_amount() {
        let config = AugmentConfig { scale: Scale { probability: 1.0, amount: 0.25 }, ..off() };
        let by: Vec<f32> = drawn(&config).iter().map(|map| 1.0 / scaling(map)).collect();
        assert!(by.iter().all(|by| (0.75..=1.25).contains(by)));
        assert!(by.iter().any(|&by| by < 0.78) && by.iter().any(|&by| by > 1.22));
    }

    #[test]
    fn a_shift_is_a_part_of_each_side() {
        let config = AugmentConfig { shift: Shift { probability: 1.0, amount: 0.25 }, ..off() };
        let by: Vec<[f32; 2]> = drawn(&config).iter().map(|map| map.source(0.0, 0.0)).collect();
        assert!(by.iter().all(|[y, x]| y.abs() <= 8.0 && x.abs() <= 16.0));
        assert!(by.iter().any(|[y, _]| *y > 7.0) && by.iter().any(|[_, x]| *x > 14.0));
    }
}
