//! Intensities of a data set: 16 bits a pixel, linear over a volume.

const TOP: f32 = 65535.0;

/// A volume's intensities in 16 bits, and the intensity of one level: negative values are 0, the volume's maximum is 65535.
/// `None` where no intensity is above zero.
pub fn to_levels(images: &[Vec<f32>]) -> Option<(Vec<Vec<u16>>, f32)> {
    let max = images.iter().flatten().fold(0.0f32, |a, &b| a.max(b));
    let level = max / TOP;
    let rounded = |image: &Vec<f32>| image.iter().map(|v| (v / level).round().clamp(0.0, TOP) as u16).collect();
    (max > 0.0).then(|| (images.iter().map(rounded).collect(), level))
}

/// The intensity that a level stands for, the largest level being 1.
pub fn from_level(level: u16) -> f32 {
    f32::from(level) / TOP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_of_the_volume_is_the_largest_level() {
        let (levels, level) = to_levels(&[vec![-3.0, 0.0, 20.0], vec![10.0, 40.0, 0.2]]).unwrap();
        assert_eq!(levels, [vec![0, 0, 32768], vec![16384, 65535, 328]]);
        assert_eq!(level, 40.0 / 65535.0);
        assert_eq!(from_level(65535), 1.0);
    }

    #[test]
    fn a_volume_without_intensity_has_no_levels() {
        assert_eq!(to_levels(&[vec![0.0, -1.0]]), None);
    }
}
