//! A whole heart at a glance: how many lines each slice got, and what came of them.
//!
//! A column a slice, from the first to the last; from the top down: the lines measured (bright first, dark last), the image
//! that they give, the segmentation and the truth over the fully sampled image, and the pixels where the two differ.

use image::{Rgb, RgbImage};

use crate::figures::canvas::{Anchor, Canvas, Colour, PictureError, text_width};
use crate::figures::panel::{BACKGROUND, FAINT, LinesTile, TEXT, Tile, grey_levels, legend};

/// Most slices side by side; more go below.
const ACROSS: usize = 10;
const GAP: usize = 6;
const MARGIN: usize = 20;
const LINE_HEIGHT: usize = 32;
const TITLE_SCALE: f32 = 2.5;
const TEXT_SCALE: f32 = 2.0;
/// A bar above the tiles is this high where a slice got the most lines.
const BAR_HEIGHT: usize = 48;
const BAR: Colour = Rgb([120, 160, 200]);
const WRONG: Colour = Rgb([204, 121, 167]);

/// What the picture shows of a slice.
#[derive(Clone, Debug)]
pub struct VolumePanelSlice<'a> {
    /// Lines in the order in which they were measured.
    pub lines: &'a [u16],
    /// Magnitude of the fully sampled image, row-major.
    pub reference: &'a [f32],
    /// Magnitude of the image of the measured lines.
    pub image: &'a [f32],
    /// Classes found.
    pub labels: &'a [u8],
    /// True classes; empty where they are not known.
    pub truth: &'a [u8],
}

/// What the picture shows.
#[derive(Clone, Debug)]
pub struct VolumePanelInput<'a> {
    /// Heading: which heart, how many lines.
    pub title: &'a str,
    /// What came of it, in a sentence.
    pub subtitle: &'a str,
    /// Columns of the images, and lines of k-space.
    pub width: usize,
    /// Picture pixels an image pixel.
    pub scale: usize,
    /// From the first slice to the last.
    pub slices: &'a [VolumePanelSlice<'a>],
}

/// The rows of tiles, those that need the truth last.
const ROWS: [&str; 5] = ["lines", "image", "found", "truth", "wrong"];
/// Rows that do without the truth.
const WITHOUT_TRUTH: usize = 3;

/// Draws the heart.
///
/// # Errors
/// [`PictureError`] where there is nothing to draw, or what is drawn is not of one size.
pub fn volume_panel(input: &VolumePanelInput<'_>) -> Result<RgbImage, PictureError> {
    let [tile_width, tile_height] = tile_size(input)?;
    let rows = if input.slices.iter().all(|slice| slice.truth.is_empty()) { WITHOUT_TRUTH } else { ROWS.len() };
    let left = MARGIN + ROWS.iter().map(|name| text_width(name, TEXT_SCALE) as usize).max().unwrap_or(0) + GAP;
    let across = input.slices.len().min(ACROSS);
    let blocks = input.slices.len().div_ceil(ACROSS);
    let block_height = LINE_HEIGHT + BAR_HEIGHT + GAP + rows * (tile_height + GAP) + GAP;
    let top = MARGIN + 2 * LINE_HEIGHT + GAP;
    let foot = top + blocks * block_height;
    let tiles = left + across * (tile_width + GAP);
    let titles = [(input.title, TITLE_SCALE), (input.subtitle, TEXT_SCALE)];
    let widest = titles.iter().map(|(text, scale)| text_width(text, *scale) as usize).max().unwrap_or(0);
    let width = tiles.max(MARGIN + widest).max(MARGIN + LEGEND_WIDTH) + MARGIN;
    let mut canvas = Canvas::new(width, foot + LINE_HEIGHT + MARGIN, BACKGROUND);
    for (line, (text, scale)) in titles.into_iter().enumerate() {
        let colour = if line == 0 { TEXT } else { FAINT };
        canvas.text((MARGIN as f32, (MARGIN + 22 + line * LINE_HEIGHT) as f32), Anchor::Left, scale, colour, text);
    }
    let most = input.slices.iter().map(|slice| slice.lines.len()).max().unwrap_or(0).max(1);
    for (number, slice) in input.slices.iter().enumerate() {
        let block = top + number / ACROSS * block_height;
        let x = left + number % ACROSS * (tile_width + GAP);
        let first_tile = block + LINE_HEIGHT + BAR_HEIGHT + GAP;
        if number % ACROSS == 0 {
            for (row, name) in ROWS.into_iter().take(rows).enumerate() {
                let middle = first_tile + row * (tile_height + GAP) + tile_height / 2 + 7;
                canvas.text((MARGIN as f32, middle as f32), Anchor::Left, TEXT_SCALE, FAINT, name);
            }
        }
        let middle = (x + tile_width / 2) as f32;
        let bar = BAR_HEIGHT * slice.lines.len() / most;
        let base = block + LINE_HEIGHT + BAR_HEIGHT;
        canvas.rectangle((x + tile_width / 4, base - bar), (tile_width / 2, bar), BAR);
        let count = slice.lines.len().to_string();
        canvas.text((middle, (base - bar - 6) as f32), Anchor::Centre, TEXT_SCALE, TEXT, &count);
        draw_slice(&mut canvas, input, slice, (x, first_tile), tile_height + GAP, rows);
    }
    let end = legend(&mut canvas, (foot + MARGIN) as f32);
    let shown = lines_shown(input);
    let end = if shown < input.width {
        let note = format!("(the middle {shown} of {})", input.width);
        canvas.text((end + 16.0, (foot + MARGIN) as f32), Anchor::Left, TEXT_SCALE, FAINT, &note);
        end + 16.0 + text_width(&note, TEXT_SCALE)
    } else {
        end
    };
    if rows == ROWS.len() {
        canvas.rectangle((end as usize + 24, foot + 5), (16, 16), WRONG);
        canvas.text((end + 48.0, (foot + MARGIN) as f32), Anchor::Left, TEXT_SCALE, TEXT, "wrong class");
    }
    Ok(canvas.finish())
}

/// What the legend takes, in picture pixels.
const LEGEND_WIDTH: usize = 960;

/// Lines of k-space that are shown: an eighth, a quarter or half of them around the centre where all that were measured lie
/// within, so that a few lines can be told apart.
fn lines_shown(input: &VolumePanelInput<'_>) -> usize {
    let width = input.width;
    let all = || input.slices.iter().flat_map(|slice| slice.lines).map(|&line| usize::from(line));
    let fits = |part: &usize| {
        let shown = width / part;
        let first = (width - shown) / 2;
        width.is_multiple_of(2 * part) && all().all(|line| (first..first + shown).contains(&line))
    };
    width / [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// The first `rows` tiles of one slice, from `(x, y)` down, `step` picture pixels from one to the next.
fn draw_slice(
    canvas: &mut Canvas,
    input: &VolumePanelInput<'_>,
    slice: &VolumePanelSlice<'_>,
    (x, y): (usize, usize),
    step: usize,
    rows: usize,
) {
    let (scale, width) = (input.scale, input.width);
    let grey = grey_levels(slice.reference);
    let reference = Tile { scale, width, grey: &grey };
    let (shown, height) = (lines_shown(input), slice.reference.len() / width);
    let first = (width - shown) / 2;
    let (lines, scale_of_lines) = (slice.lines, scale * width / shown);
    LinesTile { scale: scale_of_lines, first, width: shown, height: height * scale, lines }.draw(canvas, (x, y));
    Tile { grey: &grey_levels(slice.image), ..reference }.draw(canvas, (x, y + step));
    reference.draw_with_labels(canvas, (x, y + 2 * step), slice.labels);
    if rows == ROWS.len() {
        reference.draw_with_labels(canvas, (x, y + 3 * step), slice.truth);
        let dim: Vec<u8> = grey.iter().map(|&level| level / 3).collect();
        Tile { grey: &dim, ..reference }.draw(canvas, (x, y + 4 * step));
        let wrong = (0..slice.labels.len()).filter(|&i| slice.labels[i] != slice.truth[i]);
        for pixel in wrong {
            let at = (x + pixel % width * scale, y + 4 * step + pixel / width * scale);
            canvas.rectangle(at, (scale, scale), WRONG);
        }
    }
}

/// Width and height of a tile, if all slices are of one size.
fn tile_size(input: &VolumePanelInput<'_>) -> Result<[usize; 2], PictureError> {
    let width = input.width;
    let pixels = input.slices.first().map_or(0, |slice| slice.reference.len());
    if width == 0 || pixels < width || input.scale == 0 {
        return Err(PictureError::Empty("volume panel"));
    }
    let height = pixels / width;
    for (number, slice) in input.slices.iter().enumerate() {
        let lengths = [slice.reference.len(), slice.image.len(), slice.labels.len()];
        let truth = if slice.truth.is_empty() && input.slices[0].truth.is_empty() { pixels } else { slice.truth.len() };
        if let Some(found) = lengths.into_iter().chain([truth]).find(|&found| found != height * width) {
            let what = format!("slice {number}");
            return Err(PictureError::Length { what, found, expected: height * width, height, width });
        }
        if let Some(&line) = slice.lines.iter().find(|&&line| usize::from(line) >= width) {
            return Err(PictureError::Line { what: format!("slice {number}"), line, width });
        }
    }
    Ok([width, height].map(|side| side * input.scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 32;

    fn picture(lines: &[&[u16]], labels: &[u8], truth: &[u8]) -> Result<RgbImage, PictureError> {
        let image = vec![1.0; SIDE * SIDE];
        let slice = |lines| VolumePanelSlice { lines, reference: &image, image: &image, labels, truth };
        let slices: Vec<VolumePanelSlice<'_>> = lines.iter().map(|lines| slice(lines)).collect();
        let (title, subtitle) = ("patient001/ED", "12 lines");
        volume_panel(&VolumePanelInput { title, subtitle, width: SIDE, scale: 2, slices: &slices })
    }

    #[test]
    fn wrong_pixels_are_marked_and_nothing_else() {
        let mut labels = vec![0; SIDE * SIDE];
        let truth = labels.clone();
        labels[40] = 3;
        labels[41] = 3;
        let marked = |labels: &[u8]| {
            let picture = picture(&[&[16, 15]], labels, &truth).unwrap();
            picture.pixels().filter(|&&pixel| pixel == WRONG).count()
        };
        // Four picture pixels each, beside the legend's swatch.
        assert_eq!(marked(&labels) - marked(&truth), 8);
        assert_eq!(marked(&truth), 256);
    }

    #[test]
    fn bars_are_as_long_as_the_lines_are_many() {
        let none = vec![0; SIDE * SIDE];
        let picture = picture(&[&[16, 15, 17, 14], &[16]], &none, &none).unwrap();
        let bars = picture.pixels().filter(|&&pixel| pixel == BAR).count();
        assert_eq!(bars, SIDE * (BAR_HEIGHT + BAR_HEIGHT / 4));
    }

    #[test]
    fn few_lines_are_drawn_wide() {
        let none = vec![0; SIDE * SIDE];
        // A line is a column of two picture pixels, or of 8 where the middle 8 of 32 are shown.
        let first = |lines: &[u16]| {
            let picture = picture(&[lines], &none, &none).unwrap();
            let colours: Vec<_> = (0..picture.width()).map(|x| *picture.get_pixel(x, 180)).collect();
            let bright =
                colours.iter().copied().max_by_key(|colour| colour.0.iter().map(|&c| u32::from(c)).sum::<u32>());
            colours.iter().filter(|&&colour| Some(colour) == bright).count()
        };
        assert_eq!(first(&[16, 18]), 8);
        assert_eq!(first(&[16, 2]), 2);
    }

    #[test]
    fn without_the_truth_two_rows_fewer_are_drawn() {
        let none = vec![0; SIDE * SIDE];
        let height = |truth: &[u8]| picture(&[&[16]], &none, truth).unwrap().height() as usize;
        assert_eq!(height(&none) - height(&[]), 2 * (2 * SIDE + GAP));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let none = vec![0; SIDE * SIDE];
        let error = picture(&[&[16]], &none[1..], &none).unwrap_err().to_string();
        assert!(error.contains("slice 0"), "{error}");
        let error = picture(&[&[16], &[32]], &none, &none).unwrap_err();
        assert!(matches!(error, PictureError::Line { line: 32, width: 32, .. }), "{error}");
        assert!(matches!(picture(&[], &none, &none), Err(PictureError::Empty(_))));
    }
}
