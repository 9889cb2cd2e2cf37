//! What pictures are drawn with: smooth lines, bands, marks, text, and the colours that they share.
//!
//! Coordinates are pixels, `x` to the right and `y` down; a pixel's centre lies at half.

use std::io::{self, Cursor};
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use crate::figures::font::{CAP_ROWS, Glyph, text_columns};
use crate::io::whole::write_atomically;

/// An sRGB colour.
pub type Colour = Rgb<u8>;

/// Colours of data that stay apart for colour-blind eyes (Okabe and Ito, 2008), strongest on white first; then a brown, for an eighth.
pub const DATA_COLOURS: [Colour; 8] = [
    Rgb([0, 114, 178]),
    Rgb([213, 94, 0]),
    Rgb([0, 158, 115]),
    Rgb([204, 121, 167]),
    Rgb([230, 159, 0]),
    Rgb([86, 180, 233]),
    Rgb([90, 90, 90]),
    Rgb([128, 70, 27]),
];

/// Why a picture could not be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// A buffer's length differs from the picture's shape.
    #[error("{what}: {found} values given, {expected} expected for {height}x{width}")]
    Length {
        /// Which buffer.
        what: String,
        /// Values given.
        found: usize,
        /// Values that the shape asks for.
        expected: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// A line outside k-space.
    #[error("{what}: line {line} lies outside a k-space of {width} lines")]
    Line {
        /// Which order of lines.
        what: String,
        /// The line.
        line: u16,
        /// Lines of k-space.
        width: usize,
    },
    /// Nothing to draw.
    #[error("{0}: nothing to draw")]
    Empty(&'static str),
}

/// Where an area ends above and below at one place.
#[derive(Clone, Copy, Debug)]
pub struct Edges {
    /// The place.
    pub x: f32,
    /// The upper edge there.
    pub upper: f32,
    /// The lower one.
    pub lower: f32,
}

/// Where a text lies relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The point is the text's left end.
    Left,
    /// Its middle.
    Centre,
    /// Its right end.
    Right,
}

/// Shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A disc.
    Disc,
    /// A square.
    Square,
    /// A triangle that points up.
    Triangle,
    /// A square on its corner.
    Diamond,
}

impl Mark {
    /// All shapes.
    pub const ALL: [Self; 4] = [Self::Disc, Self::Square, Self::Diamond, Self::Triangle];

    /// Whether a point, seen from the middle of a mark of radius 1, lies in it. All shapes look equally large.
    fn holds(self, x: f32, y: f32) -> bool {
        match self {
            Self::Disc => x * x + y * y <= 1.0,
            Self::Square => x.abs().max(y.abs()) <= 0.88,
            Self::Diamond => x.abs() + y.abs() <= 1.25,
            Self::Triangle => y <= 0.75 && 1.75 * x.abs() <= y + 1.15,
        }
    }
}

/// A picture in the making.
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: usize, height: usize, background: Colour) -> Self {
        Self { image: RgbImage::from_pixel(width as u32, height as u32, background) }
    }

    /// The finished picture.
    pub fn finish(self) -> RgbImage {
        self.image
    }

    /// Mixes a colour into a pixel; outside the picture nothing happens.
    pub fn blend(&mut self, x: i64, y: i64, colour: Colour, share: f32) {
        let inside = |at: i64| u32::try_from(at).ok();
        let pixel = inside(x).zip(inside(y)).and_then(|(x, y)| self.image.get_pixel_mut_checked(x, y));
        if let Some(pixel) = pixel {
            for (old, new) in pixel.0.iter_mut().zip(colour.0) {
                let mixed = f32::from(*old) + (f32::from(new) - f32::from(*old)) * share.clamp(0.0, 1.0);
                *old = mixed.round() as u8;
            }
        }
    }

    /// Fills whole pixels from `(x, y)` on.
    pub fn rectangle(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), colour: Colour) {
        for y in y..y + height {
            for x in x..x + width {
                self.blend(x as i64, y as i64, colour, 1.0);
            }
        }
    }

    /// A straight stroke with round ends.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32, colour: Colour) {
        let reach = width / 2.0 + 1.0;
        let along = (to.0 - from.0, to.1 - from.1);
        let squared = (along.0 * along.0 + along.1 * along.1).max(f32::MIN_POSITIVE);
        for y in pixels(from.1.min(to.1) - reach, from.1.max(to.1) + reach) {
            for x in pixels(from.0.min(to.0) - reach, from.0.max(to.0) + reach) {
                let at = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
                let share = ((at.0 * along.0 + at.1 * along.1) / squared).clamp(0.0, 1.0);
                let distance = (at.0 - share * along.0).hypot(at.1 - share * along.1);
                self.blend(x, y, colour, width / 2.0 + 0.5 - distance);
            }
        }
    }

    /// A dashed horizontal stroke.
    pub fn dashes(&mut self, from: (f32, f32), to_x: f32, width: f32, colour: Colour) {
        let (dash, gap) = (6.0 * width, 4.0 * width);
        let mut x = from.0;
        while x < to_x {
            self.line((x, from.1), ((x + dash).min(to_x), from.1), width, colour);
            x += dash + gap;
        }
    }

    /// The area between two edges that run straight from one place to the next.
    pub fn band(&mut self, edges: &[Edges], colour: Colour, share: f32) {
        for pair in edges.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            for x in pixels(from.x, to.x).filter(|&x| (from.x..to.x).contains(&(x as f32 + 0.5))) {
                let at = (x as f32 + 0.5 - from.x) / (to.x - from.x);
                let (upper, lower) =
                    (from.upper + at * (to.upper - from.upper), from.lower + at * (to.lower - from.lower));
                for y in pixels(upper, lower) {
                    let covered = lower.min(y as f32 + 1.0) - upper.max(y as f32);
                    self.blend(x, y, colour, covered.max(0.0) * share);
                }
            }
        }
    }

    /// A mark with a thin rim that sets it off from lines.
    pub fn mark(&mut self, mark: Mark, at: (f32, f32), radius: f32, colour: Colour, rim: Colour) {
        self.plain_mark(mark, at, radius * 1.3, rim);
        self.plain_mark(mark, at, radius, colour);
    }

    fn plain_mark(&mut self, mark: Mark, at: (f32, f32), radius: f32, colour: Colour) {
        let reach = 1.5 * radius;
        for y in pixels(at.1 - reach, at.1 + reach) {
            for x in pixels(at.0 - reach, at.0 + reach) {
                let offset =
                    |pixel: i64, step: usize, middle: f32| (pixel as f32 + (step as f32 + 0.5) / 4.0 - middle) / radius;
                let holds = |step: usize| mark.holds(offset(x, step % 4, at.0), offset(y, step / 4, at.1));
                let covered = (0..16).filter(|&step| holds(step)).count();
                self.blend(x, y, colour, covered as f32 / 16.0);
            }
        }
    }

    /// A line of text on the base line through `at`, `scale` pixels a pixel of the typeface.
    pub fn text(&mut self, at: (f32, f32), anchor: Anchor, scale: f32, colour: Colour, text: &str) {
        let mut x = match anchor {
            Anchor::Left => at.0,
            Anchor::Centre => at.0 - text_width(text, scale) / 2.0,
            Anchor::Right => at.0 - text_width(text, scale),
        };
        let top = (at.1 - CAP_ROWS as f32 * scale).round() as i64;
        for glyph in text.chars().map(Glyph::of) {
            let (ink, width) = glyph.coverage(scale);
            for (index, &ink) in ink.iter().enumerate() {
                self.blend(x.round() as i64 + (index % width) as i64, top + (index / width) as i64, colour, ink);
            }
            x += (glyph.columns() + 1) as f32 * scale;
        }
    }
}

/// Width of a text in pixels.
pub fn text_width(text: &str, scale: f32) -> f32 {
    text_columns(text) as f32 * scale
}

/// The viridis colour scale (Smith and van der Walt, 2015), for values from 0 to 1.
pub fn viridis(value: f32) -> Colour {
    const STOPS: [[u8; 3]; 9] = [
        [68, 1, 84],
        [71, 45, 123],
        [59, 82, 139],
        [44, 114, 142],
        [33, 145, 140],
        [40, 174, 128],
        [94, 201, 98],
        [173, 220, 48],
        [253, 231, 37],
    ];
    let at = value.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let below = (at as usize).min(STOPS.len() - 2);
    let mix = |low: u8, high: u8| (f32::from(low) + (f32::from(high) - f32::from(low)) * (at - below as f32)) as u8;
    Rgb(std::array::from_fn(|channel| mix(STOPS[below][channel], STOPS[below + 1][channel])))
}

/// Writes a picture as PNG in one step: see [`write_atomically`].
pub fn write_png(path: &Path, picture: &RgbImage) -> io::Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(io::Error::other)?;
    write_atomically(path, bytes.get_ref())
}

/// The pixels that a span touches.
fn pixels(from: f32, to: f32) -> std::ops::Range<i64> {
    from.floor() as i64..to.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Colour = Rgb([255; 3]);
    const BLACK: Colour = Rgb([0; 3]);

    fn ink(canvas: Canvas) -> f32 {
        canvas.finish().pixels().map(|pixel| f32::from(255 - pixel.0[0]) / 255.0).sum()
    }

    #[test]
    fn stroke_covers_its_length_times_its_width() {
        let mut canvas = Canvas::new(100, 100, WHITE);
        canvas.line((10.0, 20.0), (70.0, 65.0), 3.0, BLACK);
        let (sides, ends) = (75.0 * 3.0, std::f32::consts::PI * 1.5 * 1.5);
        assert!((ink(canvas) - sides - ends).abs() < 3.0);
    }

    #[test]
    fn band_covers_the_area_between_its_edges() {
        let mut canvas = Canvas::new(50, 50, WHITE);
        let edges = |(x, upper, lower)| Edges { x, upper, lower };
        canvas.band(&[(5.0, 10.25, 20.5), (25.0, 15.0, 30.0), (45.0, 5.0, 10.0)].map(edges), BLACK, 1.0);
        assert!((ink(canvas) - 20.0 * (10.25 + 15.0) / 2.0 - 20.0 * (15.0 + 5.0) / 2.0).abs() < 2.0);
    }

    #[test]
    fn drawing_beyond_the_edge_is_cut_off() {
        let mut canvas = Canvas::new(8, 8, WHITE);
        canvas.line((-50.0, 4.0), (50.0, 4.0), 2.0, BLACK);
        canvas.text((-3.0, 2.0), Anchor::Left, 4.0, BLACK, "edge");
        canvas.rectangle((6, 6), (9, 9), BLACK);
        assert_eq!(canvas.finish().dimensions(), (8, 8));
    }

    #[test]
    fn written_picture_reads_back_the_same() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("canvas.png");
        let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, y as u8, 7]));
        write_png(&path, &picture).unwrap();
        assert_eq!(image::open(&path).unwrap().into_rgb8(), picture);
    }

    #[test]
    fn scale_runs_from_violet_to_yellow() {
        assert_eq!((viridis(0.0), viridis(1.0)), (Rgb([68, 1, 84]), Rgb([253, 231, 37])));
        assert_eq!(viridis(0.5), Rgb([33, 145, 140]));
    }
}
