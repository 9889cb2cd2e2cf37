//! An image and its classes, read at other places: the image between pixels, the classes at the nearest.

/// The image and the classes whose pixel (y, x), number `i`, comes from `source(y, x, i)`; zero and background from
/// outside.
pub(super) fn warp(
    image: &[f32],
    label: &[u8],
    size: [usize; 2],
    source: impl Fn(f32, f32, usize) -> [f32; 2],
) -> (Vec<f32>, Vec<u8>) {
    let [height, width] = size;
    let mut image_out = Vec::with_capacity(image.len());
    let mut label_out = Vec::with_capacity(label.len());
    for y in 0..height {
        for x in 0..width {
            let [sy, sx] = source(y as f32, x as f32, y * width + x);
            image_out.push(bilinear(image, size, sy, sx));
            label_out.push(nearest(label, size, sy, sx));
        }
    }
    (image_out, label_out)
}

/// Zero outside.
fn bilinear(image: &[f32], [height, width]: [usize; 2], y: f32, x: f32) -> f32 {
    let ((y0, fy), (x0, fx)) = (split(y), split(x));
    let at = |y: i32, x: i32| {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < height && x < width).then(|| image[y * width + x])
    };
    let mix = |y: i32| at(y, x0).unwrap_or(0.0) * (1.0 - fx) + at(y, x0.saturating_add(1)).unwrap_or(0.0) * fx;
    mix(y0) * (1.0 - fy) + mix(y0.saturating_add(1)) * fy
}

/// Background outside.
fn nearest(label: &[u8], [height, width]: [usize; 2], y: f32, x: f32) -> u8 {
    let inside = |at: i32, len: usize| usize::try_from(at).ok().filter(|&at| at < len);
    match (inside(split(y + 0.5).0, height), inside(split(x + 0.5).0, width)) {
        (Some(y), Some(x)) => label[y * width + x],
        _ => 0,
    }
}

/// The whole number below and what is left; `floor` would be a call a pixel on baseline x86-64.
fn split(at: f32) -> (i32, f32) {
    let towards_zero = at as i32;
    let below = towards_zero - i32::from(towards_zero as f32 > at);
    (below, at - below as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    const LABEL: [u8; 6] = [0, 1, 2, 3, 0, 1];

    fn read_at(y: f32, x: f32) -> (f32, u8) {
        let (image, label) = warp(&IMAGE, &LABEL, [2, 3], |_, _, _| [y, x]);
        (image[0], label[0])
    }

    #[test]
    fn every_pixel_from_its_own_place_is_the_same_image() {
        let same = warp(&IMAGE, &LABEL, [2, 3], |y, x, _| [y, x]);
        assert_eq!(same, (IMAGE.to_vec(), LABEL.to_vec()));
    }

    #[test]
    fn between_pixels_the_image_is_the_mean_and_the_class_the_nearest() {
        let (value, class) = read_at(0.5, 1.25);
        assert!((value - 0.55).abs() < 1e-6, "{value}");
        assert_eq!(class, 0);
        assert_eq!(read_at(0.4, 1.25).1, 1);
    }

    #[test]
    fn outside_lies_background() {
        for (y, x) in [(-1.0, 1.0), (2.0, 1.0), (0.0, -1.0), (0.0, 3.0), (-50.0, 80.0)] {
            assert_eq!(read_at(y, x), (0.0, 0), "({y}, {x})");
        }
    }
}
