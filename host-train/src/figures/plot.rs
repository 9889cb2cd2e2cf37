//! Scores against budget: a line with a band a method, and full sampling as a dashed level.

use image::{Rgb, RgbImage};

use crate::figures::canvas::{Anchor, Canvas, Colour, DATA_COLOURS, Edges, Mark, text_width};
use crate::metrics::stats::{ENOUGH_PATIENTS, Estimate};

const WHITE: Colour = Rgb([255; 3]);
const INK: Colour = Rgb([34, 34, 38]);
const FAINT_INK: Colour = Rgb([105, 105, 112]);
const GRID: Colour = Rgb([228, 228, 232]);
const FULL: Colour = Rgb([60, 60, 66]);

const PLOT_SIZE: (f32, f32) = (1060.0, 720.0);
const LEFT: f32 = 120.0;
const TOP: f32 = 150.0;
const BOTTOM: f32 = 110.0;
const LEGEND_GAP: f32 = 40.0;
const KEY_WIDTH: f32 = 60.0;
const KEY_PITCH: f32 = 46.0;
/// From a number to the next, and to what it means.
const NUMBER_WIDTH: f32 = 40.0;
const LABEL_SCALE: f32 = 2.5;
const TITLE_SCALE: f32 = 3.5;

/// One method's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Budget in lines, and the score there.
    pub points: Vec<(f64, Estimate)>,
    /// The number that each point is marked with, from 1; empty: none is.
    pub numbers: Vec<usize>,
}

impl Series {
    /// A series whose points are not numbered.
    pub fn new(name: &str, points: Vec<(f64, Estimate)>) -> Self {
        Self { name: name.to_owned(), points, numbers: Vec::new() }
    }
}

/// What a plot shows.
#[derive(Clone, Debug, Default)]
pub struct ScorePlot<'a> {
    /// Heading.
    pub title: &'a str,
    /// What runs to the right, such as `lines measured of 128`.
    pub x_label: &'a str,
    /// What runs upwards, such as `mean 3-D Dice`.
    pub y_label: &'a str,
    /// Digits behind the point of the numbers along x.
    pub x_digits: usize,
    /// One a method.
    pub series: &'a [Series],
    /// The score of full sampling.
    pub full: Option<Estimate>,
    /// What the points' numbers mean, from 1.
    pub key: &'a [&'a str],
}

/// Draws mean 3-D Dice against lines measured of `lines`; bands are 95 % intervals over patients.
pub fn dice_plot(title: &str, lines: usize, series: &[Series], full: Option<Estimate>) -> RgbImage {
    let x_label = format!("lines measured, of {lines}");
    score_plot(&ScorePlot {
        title,
        x_label: &x_label,
        y_label: "mean 3-D Dice, 95 % interval over patients",
        series,
        full,
        ..ScorePlot::default()
    })
}

/// Draws segmentation against reconstruction: mean 3-D Dice against mean SSIM, a series a budget. Each has a point a method, in
/// the order of `methods`; a curve runs through them by their SSIM, and numbers say which is which.
pub fn trade_plot(title: &str, methods: &[&str], mut series: Vec<Series>) -> RgbImage {
    for Series { points, numbers, .. } in &mut series {
        let mut numbered: Vec<_> = points.drain(..).zip(1..).collect();
        numbered.sort_by(|(a, _), (b, _)| a.0.total_cmp(&b.0));
        (*points, *numbers) = numbered.into_iter().unzip();
    }
    score_plot(&ScorePlot {
        title,
        x_label: "mean SSIM",
        y_label: "mean 3-D Dice, 95 % interval",
        x_digits: 3,
        series: &series,
        full: None,
        key: methods,
    })
}

/// Draws a plot. Points that are not finite are left out; a plot without any says so.
pub fn score_plot(plot: &ScorePlot<'_>) -> RgbImage {
    let numbered = plot.key.iter().map(|name| NUMBER_WIDTH + text_width(name, LABEL_SCALE));
    let legend = plot.series.iter().map(|series| series.name.as_str()).chain(["fully sampled"]);
    let legend =
        legend.map(|name| KEY_WIDTH + 16.0 + text_width(name, LABEL_SCALE)).chain(numbered).fold(0.0, f32::max);
    let width = LEFT + PLOT_SIZE.0 + LEGEND_GAP + legend + 40.0;
    let width = width.max(LEFT + text_width(plot.title, TITLE_SCALE) + 40.0);
    let entries = plot.series.len() + plot.key.len() + 2;
    let height = (TOP + PLOT_SIZE.1 + BOTTOM).max(TOP + entries as f32 * KEY_PITCH);
    let mut canvas = Canvas::new(width as usize, height as usize, WHITE);
    canvas.text((LEFT, 56.0), Anchor::Left, TITLE_SCALE, INK, plot.title);
    let fewest = plot.series.iter().flat_map(finite_points).map(|(_, score)| score.patients).min();
    let few = fewest.filter(|&patients| patients < ENOUGH_PATIENTS);
    let few = few.map_or(String::new(), |patients| format!(" of {patients} patients: too few to say much"));
    let y_label = plot.y_label.to_owned() + &few;
    canvas.text((LEFT, TOP - 34.0), Anchor::Left, LABEL_SCALE, FAINT_INK, &y_label);
    match Axes::around(plot) {
        Some(axes) => {
            axes.draw(&mut canvas, plot.x_label, plot.x_digits);
            draw_data(&mut canvas, &axes, plot);
        }
        None => canvas.text((LEFT, TOP + 60.0), Anchor::Left, LABEL_SCALE, INK, "no data"),
    }
    canvas.finish()
}

fn draw_data(canvas: &mut Canvas, axes: &Axes, plot: &ScorePlot<'_>) {
    let level = plot.full.filter(|full| full.mean.is_finite());
    if let Some(full) = level {
        canvas.dashes((LEFT, axes.y(full.mean)), LEFT + PLOT_SIZE.0, 3.0, FULL);
    }
    // Bands first, so that none hides a line.
    for (series, style) in plot.series.iter().zip(styles()) {
        let edge = |&(budget, ref score): &(f64, Estimate)| Edges {
            x: axes.x(budget),
            upper: axes.y(score.high),
            lower: axes.y(score.low),
        };
        let edges: Vec<_> = finite_points(series).map(edge).collect();
        canvas.band(&edges, style.colour, 0.14);
    }
    for (series, style) in plot.series.iter().zip(styles()) {
        draw_numbers(canvas, axes, series, style.colour);
    }
    // The first series, which is what the others are compared with, comes last and so on top.
    for (series, style) in plot.series.iter().zip(styles()).collect::<Vec<_>>().into_iter().rev() {
        let at = |&(budget, ref score): &(f64, Estimate)| (axes.x(budget), axes.y(score.mean));
        let points: Vec<_> = finite_points(series).map(at).collect();
        for pair in points.windows(2) {
            canvas.line(pair[0], pair[1], 4.0, style.colour);
        }
        if points.len() == 1 {
            draw_whisker(canvas, axes, series, style.colour);
        }
        for point in points {
            canvas.mark(style.mark, point, 9.0, style.colour, WHITE);
        }
    }
    draw_legend(canvas, plot, level.is_some());
}

/// The numbers of a series' points in a row above its band. Points may lie closer than numbers are wide, so a thin line leads
/// from each number to its point.
fn draw_numbers(canvas: &mut Canvas, axes: &Axes, series: &Series, colour: Colour) {
    let points = series.points.iter().zip(&series.numbers).filter(|(point, _)| is_finite(point));
    let points: Vec<(&(f64, Estimate), &usize)> = points.collect();
    let count = points.len() as f32;
    let middle = points.iter().map(|((x, _), _)| axes.x(*x)).sum::<f32>() / count.max(1.0);
    let reach = NUMBER_WIDTH * (count - 1.0) / 2.0;
    let start = middle.min(LEFT + PLOT_SIZE.0 - reach).max(LEFT + reach) - reach;
    let top = points.iter().map(|((_, score), _)| axes.y(score.high)).fold(f32::INFINITY, f32::min);
    let baseline = (top - 16.0).max(TOP);
    for (place, &((x, score), number)) in points.iter().enumerate() {
        let above = start + NUMBER_WIDTH * place as f32;
        canvas.line((above, baseline + 6.0), (axes.x(*x), axes.y(score.mean)), 1.5, colour);
        canvas.text((above, baseline), Anchor::Centre, LABEL_SCALE, INK, &number.to_string());
    }
}

/// The interval of a single point, which has no band.
fn draw_whisker(canvas: &mut Canvas, axes: &Axes, series: &Series, colour: Colour) {
    for (budget, score) in finite_points(series) {
        let x = axes.x(*budget);
        canvas.line((x, axes.y(score.low)), (x, axes.y(score.high)), 3.0, colour);
    }
}

/// Series in the order given, full sampling on top, as on the plot; what the numbers mean below.
fn draw_legend(canvas: &mut Canvas, plot: &ScorePlot<'_>, full: bool) {
    let x = LEFT + PLOT_SIZE.0 + LEGEND_GAP;
    let mut middles = (0..).map(|entry| TOP + 20.0 + entry as f32 * KEY_PITCH);
    let mut entry = |canvas: &mut Canvas, indent: f32, name: &str| {
        let middle = middles.next().unwrap_or_default();
        canvas.text((x + indent, middle + LABEL_SCALE * 3.5), Anchor::Left, LABEL_SCALE, INK, name);
        middle
    };
    if full {
        let middle = entry(canvas, KEY_WIDTH + 16.0, "fully sampled");
        canvas.dashes((x, middle), x + KEY_WIDTH, 3.0, FULL);
    }
    for (series, style) in plot.series.iter().zip(styles()) {
        let middle = entry(canvas, KEY_WIDTH + 16.0, &series.name);
        canvas.band(
            &[x, x + KEY_WIDTH].map(|x| Edges { x, upper: middle - 14.0, lower: middle + 14.0 }),
            style.colour,
            0.14,
        );
        canvas.line((x, middle), (x + KEY_WIDTH, middle), 4.0, style.colour);
        canvas.mark(style.mark, (x + KEY_WIDTH / 2.0, middle), 9.0, style.colour, WHITE);
    }
    for (name, number) in plot.key.iter().zip(1..) {
        let middle = entry(canvas, NUMBER_WIDTH, name);
        canvas.text((x, middle + LABEL_SCALE * 3.5), Anchor::Left, LABEL_SCALE, INK, &format!("{number}"));
    }
}

#[derive(Clone, Copy)]
struct Style {
    colour: Colour,
    mark: Mark,
}

/// A colour and a mark for each series; no pair comes twice in the first 28.
fn styles() -> impl Iterator<Item = Style> {
    let colours = DATA_COLOURS.into_iter().cycle();
    colours.zip(Mark::ALL.into_iter().cycle()).map(|(colour, mark)| Style { colour, mark })
}

fn is_finite((budget, score): &(f64, Estimate)) -> bool {
    [*budget, score.mean, score.low, score.high].iter().all(|value| value.is_finite())
}

fn finite_points(series: &Series) -> impl Iterator<Item = &(f64, Estimate)> {
    series.points.iter().filter(|point| is_finite(point))
}

struct Axes {
    /// Budgets that occur, upwards.
    budgets: Vec<f64>,
    /// Few lines matter most, so that a wide span of whole numbers is drawn by ratio.
    logarithmic: bool,
    low: f64,
    high: f64,
    step: f64,
}

impl Axes {
    fn around(plot: &ScorePlot<'_>) -> Option<Self> {
        let points = || plot.series.iter().flat_map(finite_points);
        let mut budgets: Vec<f64> = points().map(|point| point.0).collect();
        budgets.sort_by(f64::total_cmp);
        budgets.dedup();
        let (&first, &last) = (budgets.first()?, budgets.last()?);
        let levels = points().flat_map(|(_, score)| [score.low, score.mean, score.high]);
        let full = plot.full.map(|full| full.mean).filter(|mean| mean.is_finite());
        let levels: Vec<f64> = levels.chain(full).collect();
        let low = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let high = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let step = tick_step((high - low).max(1e-3) / 8.0);
        Some(Self {
            logarithmic: plot.x_digits == 0 && first > 0.0 && last >= 3.0 * first,
            budgets,
            low: (low / step).floor() * step,
            high: ((high / step).floor() + 1.0) * step,
            step,
        })
    }

    fn x(&self, budget: f64) -> f32 {
        let scaled = |budget: f64| {
            if self.logarithmic { budget.ln() } else { budget }
        };
        let (first, last) = (scaled(self.budgets[0]), scaled(self.budgets[self.budgets.len() - 1]));
        let share = if last > first { (scaled(budget) - first) / (last - first) } else { 0.5 };
        LEFT + PLOT_SIZE.0 * (0.04 + 0.92 * share as f32)
    }

    fn y(&self, score: f64) -> f32 {
        TOP + PLOT_SIZE.1 * (1.0 - (score - self.low) / (self.high - self.low)) as f32
    }

    fn draw(&self, canvas: &mut Canvas, x_label: &str, x_digits: usize) {
        let (right, bottom) = (LEFT + PLOT_SIZE.0, TOP + PLOT_SIZE.1);
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        for tick in 0..=((self.high - self.low) / self.step).round() as usize {
            let score = self.low + tick as f64 * self.step;
            let y = self.y(score);
            canvas.line((LEFT, y), (right, y), 2.0, GRID);
            let baseline = y + LABEL_SCALE * 3.5;
            canvas.text((LEFT - 18.0, baseline), Anchor::Right, LABEL_SCALE, INK, &format!("{score:.digits$}"));
        }
        canvas.line((LEFT, bottom), (right, bottom), 3.0, INK);
        let mut free_from = 0.0;
        for &budget in &self.budgets {
            let (x, text) = (self.x(budget), format!("{budget:.x_digits$}"));
            canvas.line((x, bottom), (x, bottom + 10.0), 3.0, INK);
            let half = text_width(&text, LABEL_SCALE) / 2.0;
            if x - half >= free_from {
                canvas.text((x, bottom + 36.0), Anchor::Centre, LABEL_SCALE, INK, &text);
                free_from = x + half + 10.0;
            }
        }
        let scale = if self.logarithmic { " (by ratio)" } else { "" };
        let label = format!("{x_label}{scale}");
        canvas.text((LEFT + PLOT_SIZE.0 / 2.0, bottom + 82.0), Anchor::Centre, LABEL_SCALE, FAINT_INK, &label);
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn tick_step(at_least: f64) -> f64 {
    let power = 10f64.powf(at_least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    steps.into_iter().find(|&step| step >= at_least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(mean: f64) -> Estimate {
        Estimate { mean, low: mean - 0.02, high: mean + 0.02, patients: 19, values: 38 }
    }

    fn series(points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|&(budget, mean)| (budget, estimate(mean))).collect();
        Series::new("policy", points)
    }

    fn pixels_of(picture: &RgbImage, colour: Colour) -> usize {
        picture.pixels().filter(|&&pixel| pixel == colour).count()
    }

    #[test]
    fn plot_shows_each_method_in_its_colour_and_full_sampling_dashed() {
        let both = [series(&[(8.0, 0.76), (16.0, 0.83)]), series(&[(8.0, 0.41), (16.0, 0.68)])];
        let picture = dice_plot("title", 128, &both, Some(estimate(0.86)));
        assert!(pixels_of(&picture, DATA_COLOURS[0]) > 1000);
        assert!(pixels_of(&picture, DATA_COLOURS[1]) > 1000);
        assert!(pixels_of(&picture, FULL) > 1000);
        assert_eq!(pixels_of(&dice_plot("title", 128, &both, None), FULL), 0);
    }

    #[test]
    fn dice_against_ssim_is_drawn_at_its_numbers() {
        let drawn = |points: &[(f64, f64)]| trade_plot("trade", &["a", "b"], vec![series(points)]);
        let picture = drawn(&[(0.512, 0.79), (0.55, 0.78)]);
        assert!(pixels_of(&picture, DATA_COLOURS[0]) > 1000);
        assert_ne!(picture, drawn(&[(0.514, 0.79), (0.55, 0.78)]), "three digits");
    }

    #[test]
    fn numbers_say_which_method_a_point_is_of() {
        let (near, far) = ((0.512, 0.79), (0.55, 0.78));
        let drawn = |names: &[&str], points: &[(f64, f64)]| trade_plot("trade", names, vec![series(points)]);
        let picture = drawn(&["a", "b"], &[near, far]);
        assert_ne!(picture, drawn(&["a", "b"], &[far, near]), "the same points, but of the other methods");
        assert_ne!(picture, drawn(&["a", "c"], &[near, far]), "another name");
        let many = vec!["method"; 30];
        assert!(drawn(&many, &[near]).height() > picture.height(), "every name has its line");
    }

    #[test]
    fn missing_points_are_left_out() {
        let whole = [series(&[(8.0, 0.76), (16.0, 0.83)])];
        let holed = [series(&[(8.0, 0.76), (12.0, f64::NAN), (16.0, 0.83)])];
        assert_eq!(dice_plot("", 128, &whole, None), dice_plot("", 128, &holed, None));
    }

    #[test]
    fn plot_of_nothing_or_of_one_point_is_drawn() {
        assert!(pixels_of(&dice_plot("empty", 128, &[], None), INK) > 0);
        let one = dice_plot("one", 128, &[series(&[(8.0, 0.5)])], None);
        assert!(pixels_of(&one, DATA_COLOURS[0]) > 100);
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (least, step) in [(0.083, 0.1), (0.1, 0.1), (0.011, 0.02), (0.3, 0.5), (0.6, 1.0)] {
            assert!((tick_step(least) - step).abs() < 1e-12);
        }
    }
}
