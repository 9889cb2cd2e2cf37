//! Bilinear interpolation from one grid of pixels to another along the same axes.
//!
//! Pixels are squares: pixel i of a grid with spacing s covers [i s, (i+1) s] and its value belongs to the centre (i + 1/2) s.

/// How an axis of a square lies on a plane's.
pub(super) struct Placement {
    /// Pixels of the plane in one of the square's.
    pub step: f64,
    /// Pixels that the whole plane has at the square's spacing.
    pub resampled: i64,
    /// Which of those is the square's first; negative where the square begins with padding.
    pub offset: i64,
}

impl Placement {
    /// For `len` pixels of the plane `own_mm` apart and `size` pixels of the square `square_mm` apart.
    pub fn new(len: usize, own_mm: f32, square_mm: f32, size: usize) -> Self {
        let step = f64::from(square_mm) / f64::from(own_mm);
        let resampled = ((len as f64 / step).round() as i64).max(1);
        Self { step, resampled, offset: (resampled - size as i64).div_euclid(2) }
    }

    /// Where the centre of the square's pixel lies between the centres of the plane's.
    pub fn on_plane(&self, pixel: usize) -> f64 {
        ((pixel as i64 + self.offset) as f64 + 0.5) * self.step - 0.5
    }

    /// Where the centre of the plane's pixel lies between the centres of the square's.
    pub fn on_square(&self, pixel: usize) -> f64 {
        (pixel as f64 + 0.5) / self.step - 0.5 - self.offset as f64
    }
}

/// Where one axis of the output takes its values: for each pixel two of the source's and the second one's weight, or
/// `None` where the source has none.
pub(super) struct Axis(Vec<Option<(usize, usize, f32)>>);

impl Axis {
    /// `len` pixels, each at `at` between the source's; past the pixels `first` and `last` the value there holds.
    pub fn new(len: usize, first: usize, last: usize, at: impl Fn(usize) -> Option<f64>) -> Self {
        let tap = |pixel| {
            let at = at(pixel)?.clamp(first as f64, last as f64);
            let low = at.floor() as usize;
            Some((low, (low + 1).min(last), (at - low as f64) as f32))
        };
        Self((0..len).map(tap).collect())
    }
}

/// The four pixels of the source around a place: two of a row and the same two of the next.
pub(super) struct Around {
    /// Their indices in the source.
    pub pixels: [usize; 4],
    /// Weight of the second row.
    fy: f32,
    /// Weight of the second pixel of a row.
    fx: f32,
}

impl Around {
    /// The weight of each pixel; together 1.
    pub fn weights(&self) -> [f32; 4] {
        let (fy, fx) = (self.fy, self.fx);
        [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx]
    }

    /// Between the values of the pixels. A weight of 0 leaves the first pixel's value as it is.
    pub fn between(&self, value: impl Fn(usize) -> f32) -> f32 {
        let ([a, b, c, d], fx) = (self.pixels.map(value), self.fx);
        let (top, bottom) = (a * (1.0 - fx) + b * fx, c * (1.0 - fx) + d * fx);
        top * (1.0 - self.fy) + bottom * self.fy
    }
}

/// Both axes of the output on a source.
pub(super) struct Grid {
    /// Pixels in a row of the source.
    pub source_width: usize,
    /// The output's columns.
    pub x: Axis,
    /// The output's rows.
    pub y: Axis,
}

impl Grid {
    /// The output's pixels, row-major: `value` of the source's around each, and 0 where there are none.
    pub fn map<T: Copy + Default>(&self, value: impl Fn(Around) -> T) -> Vec<T> {
        let mut out = Vec::with_capacity(self.y.0.len() * self.x.0.len());
        for y in &self.y.0 {
            out.extend(self.x.0.iter().map(|x| {
                let Some(((y0, y1, fy), (x0, x1, fx))) = y.zip(*x) else { return T::default() };
                let [first, second] = [y0, y1].map(|y| y * self.source_width);
                value(Around { pixels: [first + x0, first + x1, second + x0, second + x1], fy, fx })
            }));
        }
        out
    }

    /// The source's intensities, interpolated.
    pub fn image(&self, source: &[f32]) -> Vec<f32> {
        self.map(|around| around.between(|pixel| source[pixel]))
    }
}
