//! Which lines are measured when, over many scans.

use image::{Rgb, RgbImage};

use crate::figures::canvas::{Anchor, Canvas, Colour, DATA_COLOURS, PictureError, viridis};

const WHITE: Colour = Rgb([255; 3]);
const INK: Colour = Rgb([34, 34, 38]);
const FAINT_INK: Colour = Rgb([105, 105, 112]);
const LABEL_SCALE: f32 = 2.5;
const LEFT: usize = 120;
const BARS_TOP: usize = 120;
const BARS_HEIGHT: usize = 150;
const MAP_TOP: usize = BARS_TOP + BARS_HEIGHT + 60;
const KEY_WIDTH: usize = 30;

/// Draws how often each line (to the right) is measured at each step (downwards), with the share of scans that measure
/// it at all above. `orders` holds each scan's lines in the order measured, of a k-space of `width` lines.
///
/// Colours follow the square root of the share, so that rare choices show beside sure ones.
pub fn line_heatmap(title: &str, orders: &[Vec<u16>], width: usize) -> Result<RgbImage, PictureError> {
    let shares = Shares::count(orders, width)?;
    let cell = (1024 / width).max(2);
    let row = (640 / shares.steps).clamp(4, 48);
    let (map_width, map_height) = (cell * width, row * shares.steps);
    let mut canvas = Canvas::new(LEFT + map_width + 230, MAP_TOP + map_height.max(200) + 120, WHITE);
    canvas.text((LEFT as f32, 50.0), Anchor::Left, 3.5, INK, title);

    let caption = |canvas: &mut Canvas, y: usize, text: &str| {
        canvas.text((LEFT as f32, y as f32), Anchor::Left, LABEL_SCALE, FAINT_INK, text);
    };
    caption(&mut canvas, BARS_TOP - 20, "share of scans that measure a line");
    for (line, &share) in shares.at_all.iter().enumerate() {
        let height = (share * BARS_HEIGHT as f32).round() as usize;
        let at = (LEFT + line * cell, BARS_TOP + BARS_HEIGHT - height);
        canvas.rectangle(at, ((cell - 1).max(1), height), DATA_COLOURS[0]);
    }
    for (y, text) in [(BARS_TOP, "1"), (BARS_TOP + BARS_HEIGHT, "0")] {
        canvas.text((LEFT as f32 - 14.0, y as f32 + 9.0), Anchor::Right, LABEL_SCALE, INK, text);
    }
    canvas.rectangle((LEFT, BARS_TOP + BARS_HEIGHT), (map_width, 2), INK);

    caption(&mut canvas, MAP_TOP - 20, "step at which it is measured");
    for (index, &share) in shares.by_step.iter().enumerate() {
        let at = (LEFT + index % width * cell, MAP_TOP + index / width * row);
        canvas.rectangle(at, (cell, row), viridis((share / shares.largest).sqrt()));
    }
    draw_axes(&mut canvas, width, cell, shares.steps, row);
    draw_key(&mut canvas, LEFT + map_width + 50, map_height.max(200), shares.largest);
    Ok(canvas.finish())
}

fn draw_axes(canvas: &mut Canvas, width: usize, cell: usize, steps: usize, row: usize) {
    let bottom = MAP_TOP + row * steps;
    for line in [0, width / 4, width / 2, 3 * width / 4, width - 1] {
        let x = LEFT + line * cell + cell / 2;
        canvas.rectangle((x - 1, bottom), (3, 10), INK);
        let text = if line == width / 2 { format!("{line} (DC)") } else { line.to_string() };
        canvas.text((x as f32, bottom as f32 + 36.0), Anchor::Centre, LABEL_SCALE, INK, &text);
    }
    let middle = (LEFT + width * cell / 2) as f32;
    canvas.text((middle, bottom as f32 + 80.0), Anchor::Centre, LABEL_SCALE, FAINT_INK, "line of k-space");
    let every = (steps * 30 / (steps * row)).max(1).next_power_of_two();
    for step in (0..steps).filter(|step| step % every == 0) {
        let y = (MAP_TOP + step * row + row / 2) as f32 + 9.0;
        canvas.text((LEFT as f32 - 14.0, y), Anchor::Right, LABEL_SCALE, INK, &(step + 1).to_string());
    }
}

/// The colour scale, with the shares that its quarters stand for.
fn draw_key(canvas: &mut Canvas, left: usize, height: usize, largest: f32) {
    for y in 0..height {
        let value = 1.0 - y as f32 / (height - 1) as f32;
        canvas.rectangle((left, MAP_TOP + y), (KEY_WIDTH, 1), viridis(value));
    }
    for quarter in 0..=4 {
        let value = quarter as f32 / 4.0;
        let y = MAP_TOP as f32 + (1.0 - value) * (height - 1) as f32;
        let share = 100.0 * value * value * largest;
        let text = if share < 10.0 { format!("{share:.1} %") } else { format!("{share:.0} %") };
        canvas.text(((left + KEY_WIDTH + 12) as f32, y + 9.0), Anchor::Left, LABEL_SCALE, INK, &text);
    }
    canvas.text((left as f32, MAP_TOP as f32 - 20.0), Anchor::Left, LABEL_SCALE, FAINT_INK, "of scans");
}

struct Shares {
    steps: usize,
    /// `[step][line]`.
    by_step: Vec<f32>,
    at_all: Vec<f32>,
    largest: f32,
}

impl Shares {
    fn count(orders: &[Vec<u16>], width: usize) -> Result<Self, PictureError> {
        let steps = orders.iter().map(Vec::len).max().unwrap_or(0);
        if steps == 0 || width == 0 {
            return Err(PictureError::Empty("line heat map"));
        }
        let (mut by_step, mut at_all) = (vec![0.0; steps * width], vec![0.0; width]);
        let one = 1.0 / orders.len() as f32;
        for (scan, order) in orders.iter().enumerate() {
            for (step, &line) in order.iter().enumerate() {
                let at = usize::from(line);
                if at >= width {
                    return Err(PictureError::Line { what: format!("scan {scan}"), line, width });
                }
                by_step[step * width + at] += one;
                at_all[at] += one;
            }
        }
        let largest = by_step.iter().copied().fold(0.0, f32::max);
        Ok(Self { steps, by_step, at_all, largest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_scans() {
        let shares = Shares::count(&[vec![4, 1], vec![4], vec![4, 2], vec![4, 1]], 8).unwrap();
        assert_eq!((shares.steps, shares.largest), (2, 1.0));
        assert_eq!((shares.by_step[4], shares.by_step[8 + 1], shares.by_step[8 + 2]), (1.0, 0.5, 0.25));
        assert_eq!((shares.at_all[4], shares.at_all[1], shares.at_all[7]), (1.0, 0.5, 0.0));
    }

    #[test]
    fn sure_choice_is_drawn_in_the_brightest_colour() {
        let picture = line_heatmap("", &[vec![4, 1], vec![4, 2]], 8).unwrap();
        assert!(picture.pixels().filter(|&&pixel| pixel == viridis(1.0)).count() >= 128 * 48);
    }

    #[test]
    fn bad_inputs_are_named() {
        assert_eq!(line_heatmap("", &[], 8), Err(PictureError::Empty("line heat map")));
        let error = line_heatmap("", &[vec![1], vec![8]], 8).unwrap_err();
        assert_eq!(error.to_string(), "scan 1: line 8 lies outside a k-space of 8 lines");
    }
}
