//! One scan at a glance: what was there, what was measured, what came of it.
//!
//! A row a method; columns are the fully sampled image, the lines measured (bright first, dark last), the reconstructed
//! image, the segmentation and the truth, the latter two over the fully sampled image.

use image::{Rgb, RgbImage};
use kscout_core::kspace::Reconstruction;

use crate::figures::canvas::{Anchor, Canvas, Colour, PictureError, text_width, viridis};
use crate::metrics::dice::Structure;

pub(super) const BACKGROUND: Colour = Rgb([20, 21, 24]);
pub(super) const TEXT: Colour = Rgb([232, 232, 232]);
pub(super) const FAINT: Colour = Rgb([160, 163, 168]);
pub(super) const TILE: Colour = Rgb([4, 4, 6]);
/// The third column is called as the reconstruction is.
const COLUMNS: [&str; 5] = ["fully sampled", "lines measured", "", "segmentation", "truth"];
const GAP: usize = 8;
const MARGIN: usize = 20;
const TEXT_SCALE: f32 = 2.0;
const TITLE_SCALE: f32 = 2.5;
const LINE_HEIGHT: usize = 32;

/// What a panel shows of one slice.
#[derive(Clone, Debug)]
pub struct PanelInput<'a> {
    /// Heading, such as patient, phase and slice.
    pub title: &'a str,
    /// Rows of the images.
    pub height: usize,
    /// Columns of the images, and lines of k-space.
    pub width: usize,
    /// Picture pixels an image pixel; [`panel_scale`] suits most.
    pub scale: usize,
    /// How the images are made of the lines.
    pub reconstruction: Reconstruction,
    /// Magnitude of the fully sampled image.
    pub reference: &'a [f32],
    /// True labels.
    pub truth: &'a [u8],
    /// One row a method.
    pub rows: &'a [PanelRow<'a>],
}

/// One method's scan of the slice.
#[derive(Clone, Debug)]
pub struct PanelRow<'a> {
    /// Method and its scores, such as `policy, 8 lines: Dice 0.81`.
    pub label: &'a str,
    /// Lines in the order they were measured.
    pub lines: &'a [u16],
    /// Magnitude of the reconstructed image.
    pub image: &'a [f32],
    /// Predicted labels.
    pub labels: &'a [u8],
}

/// The scale at which an image of `width` columns is about 256 pixels wide.
pub fn panel_scale(width: usize) -> usize {
    (256 / width.max(1)).max(1)
}

/// Draws a panel.
pub fn scan_panel(input: &PanelInput<'_>) -> Result<RgbImage, PictureError> {
    check(input)?;
    let scale = input.scale.max(1);
    let (tile_width, tile_height) = (input.width * scale, input.height * scale);
    let row_height = LINE_HEIGHT + tile_height + GAP;
    let left = |column: usize| MARGIN + column * (tile_width + GAP);
    let width = left(COLUMNS.len()) - GAP + MARGIN;
    let top = 2 * MARGIN + 2 * LINE_HEIGHT;
    let mut canvas = Canvas::new(width, top + input.rows.len() * row_height + LINE_HEIGHT + MARGIN, BACKGROUND);

    canvas.text((MARGIN as f32, (MARGIN + 22) as f32), Anchor::Left, TITLE_SCALE, TEXT, input.title);
    for (column, name) in COLUMNS.into_iter().enumerate() {
        let name = if name.is_empty() { input.reconstruction.name() } else { name };
        let middle = (left(column) + tile_width / 2) as f32;
        let scale = TEXT_SCALE.min(TEXT_SCALE * tile_width as f32 / text_width(name, TEXT_SCALE));
        canvas.text((middle, (top - 14) as f32), Anchor::Centre, scale, FAINT, name);
    }
    let reference = Tile { scale, width: input.width, grey: &grey_levels(input.reference) };
    for (index, row) in input.rows.iter().enumerate() {
        let label_y = top + index * row_height;
        let y = label_y + LINE_HEIGHT;
        canvas.text((MARGIN as f32, (y - 9) as f32), Anchor::Left, TEXT_SCALE, TEXT, row.label);
        reference.draw(&mut canvas, (left(0), y));
        let lines = LinesTile { scale, first: 0, width: input.width, height: tile_height, lines: row.lines };
        lines.draw(&mut canvas, (left(1), y));
        Tile { grey: &grey_levels(row.image), ..reference }.draw(&mut canvas, (left(2), y));
        reference.draw_with_labels(&mut canvas, (left(3), y), row.labels);
        reference.draw_with_labels(&mut canvas, (left(4), y), input.truth);
    }
    let foot = (top + input.rows.len() * row_height + MARGIN) as f32;
    legend(&mut canvas, foot);
    Ok(canvas.finish())
}

/// One image with its labels over it, as a panel shows a segmentation; [`panel_scale`] suits most.
pub fn overlay(magnitude: &[f32], labels: &[u8], width: usize, scale: usize) -> Result<RgbImage, PictureError> {
    let (height, scale) = (magnitude.len() / width.max(1), scale.max(1));
    if height == 0 {
        return Err(PictureError::Empty("overlay"));
    }
    if labels.len() != height * width {
        let (found, expected) = (labels.len(), height * width);
        return Err(PictureError::Length { what: "labels".to_owned(), found, expected, height, width });
    }
    let mut canvas = Canvas::new(width * scale, height * scale, BACKGROUND);
    Tile { scale, width, grey: &grey_levels(magnitude) }.draw_with_labels(&mut canvas, (0, 0), labels);
    Ok(canvas.finish())
}

fn check(input: &PanelInput<'_>) -> Result<(), PictureError> {
    let (height, width) = (input.height, input.width);
    if height * width == 0 || input.rows.is_empty() {
        return Err(PictureError::Empty("scan panel"));
    }
    let check = |what: &str, found: usize| {
        let expected = height * width;
        if found == expected {
            return Ok(());
        }
        Err(PictureError::Length { what: what.to_owned(), found, expected, height, width })
    };
    check("fully sampled image", input.reference.len())?;
    check("true labels", input.truth.len())?;
    for row in input.rows {
        check(&format!("image of '{}'", row.label), row.image.len())?;
        check(&format!("labels of '{}'", row.label), row.labels.len())?;
        if let Some(&line) = row.lines.iter().find(|&&line| usize::from(line) >= width) {
            return Err(PictureError::Line { what: row.label.to_owned(), line, width });
        }
    }
    Ok(())
}

/// Grey levels from 0 to the 99.5th percentile: a few bright vessels do not darken the rest.
pub(super) fn grey_levels(magnitude: &[f32]) -> Vec<u8> {
    let mut sorted = magnitude.to_vec();
    sorted.sort_by(f32::total_cmp);
    let white = sorted.get(sorted.len() * 995 / 1000).map_or(0.0, |&white| white);
    let white = if white > 0.0 { white } else { 1.0 };
    magnitude.iter().map(|&value| (255.0 * value / white).clamp(0.0, 255.0) as u8).collect()
}

/// Bright for the first line, dark for the last, never as dark as a line that was not measured.
fn order_colour(step: usize, steps: usize) -> Colour {
    viridis(1.0 - 0.72 * step as f32 / (steps.max(2) - 1) as f32)
}

/// The measured lines of a part of k-space.
#[derive(Clone, Copy)]
pub(super) struct LinesTile<'a> {
    /// Picture pixels a line.
    pub scale: usize,
    /// The first line that is shown.
    pub first: usize,
    /// Lines that are shown.
    pub width: usize,
    /// Picture pixels from top to bottom.
    pub height: usize,
    /// Those measured, in order; all are shown.
    pub lines: &'a [u16],
}

impl LinesTile<'_> {
    pub fn draw(&self, canvas: &mut Canvas, (left, top): (usize, usize)) {
        let &Self { scale, first, width, height, lines } = self;
        canvas.rectangle((left, top), (width * scale, height), TILE);
        for (step, &line) in lines.iter().enumerate() {
            let at = (left + (usize::from(line) - first) * scale, top);
            canvas.rectangle(at, (scale, height), order_colour(step, lines.len()));
        }
    }
}

/// Okabe and Ito's colours which stay apart on grey.
fn structure_colour(structure: Structure) -> Colour {
    match structure {
        Structure::Rv => Rgb([86, 180, 233]),
        Structure::Myo => Rgb([240, 228, 66]),
        Structure::Lv => Rgb([230, 97, 20]),
    }
}

/// One image on the canvas.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Picture pixels an image pixel.
    pub scale: usize,
    /// Columns of the image.
    pub width: usize,
    /// Levels, row-major.
    pub grey: &'a [u8],
}

impl Tile<'_> {
    /// The image alone.
    pub fn draw(&self, canvas: &mut Canvas, (left, top): (usize, usize)) {
        for (index, &grey) in self.grey.iter().enumerate() {
            let at = (left + index % self.width * self.scale, top + index / self.width * self.scale);
            canvas.rectangle(at, (self.scale, self.scale), Rgb([grey; 3]));
        }
    }

    /// Structures as tinted areas with full-coloured outlines one picture pixel wide.
    pub fn draw_with_labels(&self, canvas: &mut Canvas, (left, top): (usize, usize), labels: &[u8]) {
        const TINT: f32 = 0.34;
        self.draw(canvas, (left, top));
        let (width, height) = (self.width * self.scale, labels.len() / self.width * self.scale);
        let label = |x: usize, y: usize| {
            let inside = x < width && y < height;
            if inside { labels[y / self.scale * self.width + x / self.scale] } else { 0 }
        };
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let here = label(x, y);
            let Some(structure) = Structure::ALL.into_iter().find(|structure| structure.label() == here) else {
                continue;
            };
            let beside = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            let edge = beside.into_iter().any(|(x, y)| label(x, y) != here);
            let share = if edge { 0.95 } else { TINT };
            canvas.blend((left + x) as i64, (top + y) as i64, structure_colour(structure), share);
        }
    }
}

/// Structures and the colours of lines, on the base line `base`; returns where it ends.
pub(super) fn legend(canvas: &mut Canvas, base: f32) -> f32 {
    const SWATCH: usize = 16;
    let mut x = MARGIN as f32;
    let top = base as usize - SWATCH + 1;
    for structure in Structure::ALL {
        canvas.rectangle((x as usize, top), (SWATCH, SWATCH), structure_colour(structure));
        x += SWATCH as f32 + 8.0;
        canvas.text((x, base), Anchor::Left, TEXT_SCALE, TEXT, structure.name());
        x += text_width(structure.name(), TEXT_SCALE) + 24.0;
    }
    x += 24.0;
    canvas.text((x, base), Anchor::Left, TEXT_SCALE, FAINT, "lines: first");
    x += text_width("lines: first", TEXT_SCALE) + 10.0;
    const STEPS: usize = 24;
    for step in 0..STEPS {
        canvas.rectangle((x as usize + step * 4, top), (4, SWATCH), order_colour(step, STEPS));
    }
    x += (STEPS * 4) as f32 + 10.0;
    canvas.text((x, base), Anchor::Left, TEXT_SCALE, FAINT, "last");
    x + text_width("last", TEXT_SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    fn panel(lines: &[u16], labels: &[u8]) -> Result<RgbImage, PictureError> {
        let image = vec![1.0; SIDE * SIDE];
        let row = PanelRow { label: "policy", lines, image: &image, labels };
        let truth = vec![0; SIDE * SIDE];
        let (reference, rows) = (image.as_slice(), [row]);
        scan_panel(&PanelInput {
            title: "t",
            height: SIDE,
            width: SIDE,
            scale: 2,
            reconstruction: Reconstruction::HalfHomodyne,
            reference,
            truth: &truth,
            rows: &rows,
        })
    }

    #[test]
    fn panel_shows_lines_in_order_and_structures_in_their_colours() {
        let mut labels = vec![0; SIDE * SIDE];
        labels[5 * SIDE + 5] = 3;
        let picture = panel(&[16, 3], &labels).unwrap();
        let count = |colour: Colour| picture.pixels().filter(|&&pixel| pixel == colour).count();
        let middle = (2 * MARGIN + 3 * LINE_HEIGHT + SIDE) as u32;
        let across: Vec<_> = (0..picture.width()).map(|x| *picture.get_pixel(x, middle)).collect();
        let left = MARGIN + 2 * SIDE + GAP;
        assert_eq!(across[left + 2 * 16..][..2], [order_colour(0, 2); 2]);
        assert_eq!(across[left + 2 * 3..][..2], [order_colour(1, 2); 2]);
        assert_eq!(across[left], TILE);
        // The swatch, and nothing else in the pure colour: outlines let a little of the image through.
        assert_eq!(count(structure_colour(Structure::Lv)), 16 * 16);
    }

    #[test]
    fn overlay_tints_what_is_labelled_and_nothing_else() {
        let mut labels = vec![0; 64];
        labels[8 * 2 + 3] = 1;
        let picture = overlay(&[1.0; 64], &labels, 8, 2).unwrap();
        assert_eq!(picture.dimensions(), (16, 16));
        let tinted: Vec<_> = picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] != pixel.0[2]).collect();
        assert!(tinted.iter().all(|(x, y, _)| (6..8).contains(x) && (4..6).contains(y)));
        assert_eq!(tinted.len(), 4);
        assert!(overlay(&[1.0; 64], &labels[..8], 8, 2).is_err());
    }

    #[test]
    fn same_scan_gives_the_same_picture() {
        let labels = vec![1; SIDE * SIDE];
        assert_eq!(panel(&[1, 2], &labels), panel(&[1, 2], &labels));
    }

    #[test]
    fn bad_inputs_are_named() {
        let error = panel(&[1], &[0; 7]).unwrap_err();
        assert!(error.to_string().contains("labels of 'policy'"), "{error}");
        let error = panel(&[32], &[0; SIDE * SIDE]).unwrap_err();
        assert!(matches!(error, PictureError::Line { line: 32, width: 32, .. }));
    }
}
