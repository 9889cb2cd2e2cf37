//! What is kept of a slice's segmentation: counts of pixels, small enough to remember for every slice of a volume.

use super::scale::octaves;
use crate::Complex32;

/// Structures that are counted: the classes 1, 2 and 3. Further classes count as background.
pub const STRUCTURES: usize = 3;

/// The pairs of classes whose borders are counted. A whole heart has no border of LV and background, for the myocardium is
/// closed around it.
pub const CONTACTS: [(u8, u8); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

/// A pixel is *doubtful* when its two largest logits lie closer than this: the second class has at least a third of the
/// first one's probability.
pub const DOUBTFUL: f32 = 1.1;

/// A pixel is *open* when its two largest logits lie closer than this: the second class has at least a twentieth of the
/// first one's probability.
pub const OPEN: f32 = 3.0;

/// Counts of pixels of one slice, for each structure, and how much its newest lines brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SliceStats {
    /// Lines measured.
    pub lines: u16,
    /// Pixels of the structure.
    pub area: [u32; STRUCTURES],
    /// Those of them that are [`DOUBTFUL`].
    pub doubtful: [u32; STRUCTURES],
    /// Those of them that are [`OPEN`].
    pub open: [u32; STRUCTURES],
    /// Open background pixels whose second class is the structure.
    pub hidden: [u32; STRUCTURES],
    /// Borders between pixels side by side or one below the other, by their classes: see [`CONTACTS`].
    pub contacts: [u32; CONTACTS.len()],
    /// Radius of gyration in quarters of pixels.
    pub reach: [u16; STRUCTURES],
    /// Mean level of the image.
    pub brightness: [i8; STRUCTURES],
    /// Row and column of the structure's centre; the heart's where there is nothing of it.
    pub centres: [[u16; 2]; STRUCTURES],
    /// Pixels that came to or left the structure with the newest line.
    pub changed: [u32; STRUCTURES],
    /// The same for the line before.
    pub changed_before: [u32; STRUCTURES],
    /// Rows and columns of the heart's centre, of all structures together; the image's centre without any.
    pub centre: [u16; 2],
    /// How far the newest line's energy lies below that of all lines, in eighths of octaves.
    pub energy: u8,
    /// The same for the line before.
    pub energy_before: u8,
}

/// What a [`SliceStats`] is taken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct SliceObservation<'a> {
    /// Columns of the image.
    pub width: usize,
    /// The quantised image.
    pub levels: &'a [i8],
    /// Logits `[y][x][class]`.
    pub logits: &'a [i8],
    /// Classes that logits are of.
    pub class_count: usize,
    /// Real value of a step of the logits.
    pub logit_scale: f32,
    /// The class of each pixel.
    pub classes: &'a [u8],
    /// The same at the stats before, as [`pack_classes`] leaves it; all zero at first.
    pub classes_before: &'a [u8],
}

impl SliceStats {
    /// Nothing measured, in an image of `height` rows and `width` columns.
    pub const fn blank(height: usize, width: usize) -> Self {
        let none = [0; STRUCTURES];
        Self {
            lines: 0,
            area: none,
            doubtful: none,
            open: none,
            hidden: none,
            contacts: [0; CONTACTS.len()],
            reach: [0; STRUCTURES],
            brightness: [i8::MIN; STRUCTURES],
            centres: [[(height / 2) as u16, (width / 2) as u16]; STRUCTURES],
            changed: none,
            changed_before: none,
            centre: [(height / 2) as u16, (width / 2) as u16],
            energy: 0,
            energy_before: 0,
        }
    }

    /// The stats after another line, whose share of all measured energy is `energy` (see [`line_energy`]).
    ///
    /// Where lengths do not fit together, what is doubtful, open or hidden is counted among the pixels that have logits and a
    /// class, and all else among those that have a level, a class and one before.
    pub(super) fn next(&self, observation: &SliceObservation<'_>, energy: u8) -> Self {
        let height = observation.classes.len().checked_div(observation.width).unwrap_or(0);
        let mut next = Self {
            lines: self.lines.saturating_add(1),
            changed_before: self.changed,
            energy,
            energy_before: self.energy,
            ..Self::blank(height, observation.width)
        };
        next.count_margins(observation);
        next.count_shapes(observation);
        next
    }

    fn count_margins(&mut self, observation: &SliceObservation<'_>) {
        let [doubtful, open] = [DOUBTFUL, OPEN].map(|margin| steps(margin, observation.logit_scale));
        let pixels = observation.logits.chunks_exact(observation.class_count.max(1));
        for (logits, &class) in pixels.zip(observation.classes) {
            // Nearly every pixel is background and far from anything else.
            if let (0, &[own, a, b, c]) = (class, logits)
                && i32::from(own) - i32::from(a.max(b).max(c)) >= open
            {
                continue;
            }
            let (second, margin) = runner_up(logits, class);
            if margin >= open {
                continue;
            }
            match structure(class) {
                Some(s) => {
                    add(&mut self.open, s);
                    if margin < doubtful {
                        add(&mut self.doubtful, s);
                    }
                }
                None => structure(second).into_iter().for_each(|s| add(&mut self.hidden, s)),
            }
        }
    }

    fn count_shapes(&mut self, observation: &SliceObservation<'_>) {
        let (classes, width) = (observation.classes, observation.width.max(1));
        let mut bodies = [Body::default(); STRUCTURES];
        for (quad, (four, &before)) in classes.chunks(4).zip(observation.classes_before).enumerate() {
            let first = 4 * quad;
            if before == 0 && is_background(four) && is_far_from_all(classes, first, width) {
                continue;
            }
            let befores = [0, 2, 4, 6].map(|bits| before >> bits & 3);
            let levels = observation.levels.get(first..).unwrap_or_default();
            for (pixel, ((&class, before), &level)) in (first..).zip(four.iter().zip(befores).zip(levels)) {
                let class = kept(class);
                if class != before {
                    structure(class).into_iter().for_each(|s| add(&mut self.changed, s));
                    structure(before).into_iter().for_each(|s| add(&mut self.changed, s));
                }
                let (row, column) = (pixel / width, pixel % width);
                if column + 1 < width {
                    self.count_contact(class, classes.get(pixel + 1));
                }
                self.count_contact(class, classes.get(pixel + width));
                if let Some(body) = structure(class).and_then(|s| bodies.get_mut(s)) {
                    body.add(row as u64, column as u64, level);
                }
            }
        }
        self.measure(&bodies);
    }

    fn count_contact(&mut self, class: u8, neighbour: Option<&u8>) {
        let Some(other) = neighbour.map(|&other| kept(other)).filter(|&other| other != class) else { return };
        let pair = (class.min(other), class.max(other));
        if let Some(place) = CONTACTS.iter().position(|&contact| contact == pair) {
            add(&mut self.contacts, place);
        }
    }

    fn measure(&mut self, bodies: &[Body; STRUCTURES]) {
        let heart = bodies.iter().fold(Body::default(), |heart, body| heart.with(body));
        self.centre = heart.centre().unwrap_or(self.centre);
        for (s, body) in bodies.iter().enumerate() {
            let (Some(area), Some(reach), Some(brightness), Some(centre)) =
                (self.area.get_mut(s), self.reach.get_mut(s), self.brightness.get_mut(s), self.centres.get_mut(s))
            else {
                return;
            };
            *area = body.pixels as u32;
            *reach = body.reach();
            *brightness = body.brightness();
            *centre = body.centre().unwrap_or(self.centre);
        }
    }
}

/// Sums over the pixels of a structure.
#[derive(Debug, Clone, Copy, Default)]
struct Body {
    pixels: u64,
    rows: u64,
    columns: u64,
    squares: u64,
    levels: i64,
}

impl Body {
    fn add(&mut self, row: u64, column: u64, level: i8) {
        let pixel =
            Self { pixels: 1, rows: row, columns: column, squares: row * row + column * column, levels: level.into() };
        *self = self.with(&pixel);
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            pixels: self.pixels + other.pixels,
            rows: self.rows + other.rows,
            columns: self.columns + other.columns,
            squares: self.squares + other.squares,
            levels: self.levels + other.levels,
        }
    }

    /// Row and column, rounded down.
    fn centre(&self) -> Option<[u16; 2]> {
        Some([self.rows.checked_div(self.pixels)? as u16, self.columns.checked_div(self.pixels)? as u16])
    }

    /// Four times the square root of the variance of place, rounded down.
    fn reach(&self) -> u16 {
        let moments = self.pixels * self.squares - (self.rows * self.rows + self.columns * self.columns);
        let variance = (16 * moments).checked_div(self.pixels * self.pixels).unwrap_or(0);
        variance.isqrt() as u16
    }

    fn brightness(&self) -> i8 {
        self.levels.checked_div(self.pixels as i64).map_or(i8::MIN, |level| level as i8)
    }
}

/// Keeps the classes of an image in a quarter of the memory: four pixels a byte, the first in the lowest bits; classes beyond
/// the structures as background. Pixels that one of the slices lacks are left out.
pub(super) fn pack_classes(classes: &[u8], out: &mut [u8]) {
    for (four, byte) in classes.chunks(4).zip(out) {
        *byte = four.iter().rev().fold(0, |bits, &class| bits << 2 | kept(class));
    }
}

/// Whether all of these pixels are background.
fn is_background(classes: &[u8]) -> bool {
    match *classes {
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) == 0,
        _ => classes.iter().all(|&class| class == 0),
    }
}

/// Whether four pixels of background, from `first` on, have no neighbour to the right and below that is anything else.
fn is_far_from_all(classes: &[u8], first: usize, width: usize) -> bool {
    let below = classes.get(first + width..).unwrap_or_default();
    classes.get(first + 4).is_none_or(|&right| right == 0) && is_background(below.get(..4).unwrap_or(below))
}

/// A class, or background if it is none of the structures.
fn kept(class: u8) -> u8 {
    if usize::from(class) <= STRUCTURES { class } else { 0 }
}

/// How far the energy of `line` lies below `all`, that of all measured lines, in eighths of octaves, at most 255.
pub(super) fn line_energy(line: f32, all: f32) -> u8 {
    if line <= 0.0 || all <= 0.0 {
        return u8::MAX;
    }
    let below = libm::log2f(all / line) * 8.0;
    // A cast saturates.
    libm::roundf(below) as u8
}

/// Energy of a line's samples: their squared magnitudes, added in order.
pub(super) fn energy_of(samples: &[Complex32]) -> f32 {
    samples.iter().fold(0.0, |sum, sample| sum + (sample.re * sample.re + sample.im * sample.im))
}

/// The largest class but `class`, the lowest of equal ones, and how far its logit lies below.
fn runner_up(logits: &[i8], class: u8) -> (u8, i32) {
    let own = logits.get(usize::from(class)).copied().unwrap_or(i8::MAX);
    let mut best = (0, i8::MIN);
    for (other, &logit) in logits.iter().enumerate() {
        if other != usize::from(class) && logit > best.1 {
            best = (other as u8, logit);
        }
    }
    (best.0, i32::from(own) - i32::from(best.1))
}

/// The place of a class among the structures.
fn structure(class: u8) -> Option<usize> {
    let place = usize::from(class).checked_sub(1)?;
    (place < STRUCTURES).then_some(place)
}

fn add(counts: &mut [u32], place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count = count.saturating_add(1);
    }
}

/// Steps of logits in a margin.
fn steps(margin: f32, scale: f32) -> i32 {
    if scale > 0.0 { libm::roundf(margin / scale) as i32 } else { 0 }
}

/// A count on a scale of octaves, as the networks see it: 0 to 127.
pub(super) fn seen(count: u32) -> i8 {
    octaves(count, 8)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::rng::SplitMix64;

    const SIZE: usize = 4;

    /// A stats of `classes`, each pixel's class `margin` steps above the class `second` and 100 above the others.
    fn stats(classes: [u8; 16], before: [u8; 16], second: u8, margin: i8) -> SliceStats {
        let mut logits = [-100i8; 16 * 4];
        for (pixel, &class) in classes.iter().enumerate() {
            logits[pixel * 4 + usize::from(second)] = -margin;
            logits[pixel * 4 + usize::from(class)] = 0;
        }
        let mut packed = [0; 4];
        pack_classes(&before, &mut packed);
        let observation = SliceObservation {
            width: SIZE,
            levels: &[7; 16],
            logits: &logits,
            class_count: 4,
            logit_scale: 0.1,
            classes: &classes,
            classes_before: &packed,
        };
        SliceStats::blank(SIZE, SIZE).next(&observation, 24)
    }

    #[rustfmt::skip]
    const HEART: [u8; 16] = [
        0, 0, 0, 0,
        0, 1, 3, 3,
        0, 1, 3, 3,
        0, 0, 0, 2,
    ];

    #[test]
    fn areas_borders_and_places_are_counted() {
        let seen = stats(HEART, HEART, 0, 50);
        assert_eq!((seen.lines, seen.energy), (1, 24));
        assert_eq!(seen.area, [2, 1, 4]);
        // Background with RV (6 sides), MYO (1), LV (4 sides); RV with LV twice; MYO with LV once.
        assert_eq!(seen.contacts, [4, 1, 3, 0, 2, 1]);
        assert_eq!(seen.brightness, [7; 3]);
        assert_eq!(seen.centre, [1, 2], "rows 1.57, columns 2.29, rounded down");
        assert_eq!(seen.centres, [[1, 1], [3, 3], [1, 2]]);
        // Variance 1/4 along one axis; none; 1/4 along both.
        assert_eq!(seen.reach, [2, 0, 2]);
        assert_eq!(seen.changed, [0, 0, 0]);
    }

    #[test]
    fn of_nothing_there_is_a_centre_all_the_same() {
        let seen = stats([0; 16], [0; 16], 1, 50);
        assert_eq!((seen.centre, seen.centres, seen.reach), ([2, 2], [[2, 2]; 3], [0; 3]));
        assert_eq!(seen.brightness, [i8::MIN; 3]);
    }

    #[test]
    fn close_logits_count_by_how_close_they_are() {
        let counts = |margin| {
            let seen = stats(HEART, HEART, 0, margin);
            (seen.doubtful, seen.open)
        };
        // Ten steps are a margin of 1, 11 of 1.1 (no longer doubtful), 30 of 3 (no longer open).
        assert_eq!(counts(10), ([2, 1, 4], [2, 1, 4]));
        assert_eq!(counts(11), ([0, 0, 0], [2, 1, 4]));
        assert_eq!(counts(30), ([0, 0, 0], [0, 0, 0]));
        assert_eq!(stats(HEART, HEART, 3, 12).hidden, [0, 0, 9], "background that might be LV");
    }

    #[test]
    fn a_change_counts_for_what_a_pixel_was_and_for_what_it_is() {
        let mut before = HEART;
        (before[5], before[15]) = (2, 0);
        assert_eq!(stats(HEART, before, 0, 50).changed, [1, 2, 0]);
    }

    /// The counts, pixel by pixel, as their definitions say.
    fn by_definition(observation: &SliceObservation<'_>) -> SliceStats {
        let (classes, width) = (observation.classes, observation.width);
        let mut seen = SliceStats { lines: 1, ..SliceStats::blank(classes.len() / width, width) };
        let before = |pixel: usize| observation.classes_before[pixel / 4] >> (2 * (pixel % 4)) & 3;
        let mut bodies = [Body::default(); STRUCTURES];
        let [doubtful, open] = [DOUBTFUL, OPEN].map(|margin| steps(margin, observation.logit_scale));
        for pixel in 0..classes.len().min(observation.levels.len()).min(4 * observation.classes_before.len()) {
            let (row, column) = (pixel / width, pixel % width);
            let class = kept(classes[pixel]);
            let neighbours = [(column + 1 < width).then_some(pixel + 1), Some(pixel + width)];
            for other in neighbours.into_iter().flatten().filter(|&other| other < classes.len()) {
                seen.count_contact(class, Some(&classes[other]));
            }
            for (s, body) in bodies.iter_mut().enumerate() {
                let is = usize::from(class) == s + 1;
                seen.changed[s] += u32::from(is != (usize::from(before(pixel)) == s + 1));
                if is {
                    body.add(row as u64, column as u64, observation.levels[pixel]);
                }
            }
        }
        for (logits, &class) in observation.logits.chunks_exact(observation.class_count).zip(classes) {
            let (second, margin) = runner_up(logits, class);
            for s in 0..STRUCTURES {
                let is = usize::from(class) == s + 1;
                seen.open[s] += u32::from(is && margin < open);
                seen.doubtful[s] += u32::from(is && margin < doubtful);
                seen.hidden[s] += u32::from(kept(class) == 0 && margin < open && usize::from(second) == s + 1);
            }
        }
        seen.measure(&bodies);
        seen
    }

    #[test]
    fn what_is_skipped_counts_nothing() {
        let mut random = SplitMix64::new(5);
        for case in 0..300 {
            let class_count = [5, 4, 4][case % 3];
            // Few pixels of a few classes, so that most are far from all others.
            let rarity = [50, 10, 2][case % 3];
            let (width, height) = (1 + random.below(24) as usize, 1 + random.below(24) as usize);
            let mut drawn = || -> Vec<u8> {
                let mut class = || if random.below(rarity) == 0 { random.below(class_count as u64) as u8 } else { 0 };
                (0..width * height).map(|_| class()).collect()
            };
            let (classes, before) = (drawn(), drawn());
            let mut packed = std::vec![0; before.len().div_ceil(4)];
            pack_classes(&before, &mut packed);
            let levels: Vec<i8> = classes.iter().map(|_| random.next_u64() as i8).collect();
            let logits: Vec<i8> = (0..classes.len() * class_count).map(|_| random.below(120) as i8 - 60).collect();
            // Every fourth observation has lengths that do not fit together.
            let mut kept = |whole: usize| if case % 4 == 3 { random.below(1 + whole as u64) as usize } else { whole };
            let lengths = [levels.len(), logits.len(), classes.len(), packed.len()].map(&mut kept);
            let observation = SliceObservation {
                width,
                levels: &levels[..lengths[0]],
                logits: &logits[..lengths[1]],
                class_count,
                logit_scale: 0.1,
                classes: &classes[..lengths[2]],
                classes_before: &packed[..lengths[3]],
            };
            let seen = SliceStats::blank(height, width).next(&observation, 0);
            assert_eq!(seen, by_definition(&observation), "case {case}: {width} by {height}");
        }
    }

    #[test]
    fn a_line_with_a_quarter_of_the_energy_lies_two_octaves_below() {
        assert_eq!(line_energy(1.0, 4.0), 16);
        assert_eq!(line_energy(4.0, 4.0), 0);
        assert_eq!([line_energy(0.0, 1.0), line_energy(1e-30, 1.0), line_energy(0.0, 0.0)], [u8::MAX; 3]);
    }
}
