//! The image beside the networks: adding a line, energy, conjugate symmetry, quantisation, and the class of each pixel.

use core::fmt;

use super::draw::Draw;
use super::stand::{Fault, Output, TestBench};

/// What is said of an image.
#[derive(Clone, Copy)]
struct Image {
    rows: usize,
    width: usize,
    magnitude: f32,
}

impl Image {
    fn draw(draw: &mut Draw) -> Self {
        let rows = draw.between(1, 12);
        let width = if draw.one_in(2) { 8 * draw.between(1, 16) } else { draw.between(1, 70) };
        Self { rows, width, magnitude: draw.magnitude() }
    }

    fn len(&self) -> usize {
        self.rows * self.width
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {}, numbers up to {:e}", self.rows, self.width, self.magnitude)
    }
}

pub(super) fn accumulate(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let image = Image::draw(draw);
    let start = stand.complex(draw, image.len(), image.magnitude)?;
    let loudness = if draw.one_in(2) { image.magnitude } else { draw.magnitude() };
    let profile = stand.complex(draw, image.rows, loudness)?;
    let ramp = stand.complex(draw, image.width, 1.0)?;
    let parts: &[f32] = bytemuck::cast_slice(start);
    let out = Output { len: parts.len(), start: Some(parts) };
    stand.compare_with(
        draw,
        &(image, loudness),
        out,
        |_| 0,
        |kernels, out, _| {
            kernels.accumulate(bytemuck::cast_slice_mut(out), profile, ramp);
        },
    )
}

pub(super) fn energy(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let image = Image::draw(draw);
    let values = stand.complex(draw, image.len(), image.magnitude)?;
    stand.compare(draw, &image, 1, |kernels, out| {
        out.fill(kernels.energy(values, image.width));
    })
}

pub(super) fn homodyne(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let image = Image::draw(draw);
    let values = stand.complex(draw, image.len(), image.magnitude)?;
    let loudness = if draw.one_in(2) { image.magnitude } else { draw.magnitude() };
    let paired = stand.complex(draw, image.len(), loudness)?;
    let weight = if draw.one_in(2) { 0.5 } else { 1.0 };
    stand.compare(draw, &(image, loudness, "weight", weight), 2 * image.len(), |kernels, out: &mut [f32]| {
        kernels.homodyne(values, paired, weight, bytemuck::cast_slice_mut(out));
    })
}

pub(super) fn quantise(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let image = Image::draw(draw);
    let values = stand.complex(draw, image.len(), image.magnitude)?;
    let level = 48.0 * (1.0 + draw.unit());
    // The scan refuses a gain that is not finite.
    let gain = if draw.one_in(4) { draw.magnitude() } else { (level / image.magnitude).min(f32::MAX) };
    stand.compare(draw, &(image, "gain", gain), image.len(), |kernels, out| kernels.quantise(values, gain, out))
}

pub(super) fn classify(mut stand: TestBench<'_, '_>, draw: &mut Draw) -> Result<(), Fault> {
    let classes = if draw.one_in(2) { 4 } else { draw.between(1, 20) };
    let pixels = draw.between(0, 700);
    let logits = stand.tensor(draw, pixels * classes)?;
    let record = ("classes", classes, "pixels", pixels);
    stand.compare(draw, &record, pixels, |kernels, out: &mut [u8]| kernels.classify(logits, classes, out))
}
