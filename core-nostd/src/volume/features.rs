//! What the slice policy sees: a slice's own stats, those of its neighbours, and the volume as a whole.

use super::error::SliceError;
use super::scale::octaves;
use super::slice_stats::{CONTACTS, STRUCTURES, SliceStats, seen};
use crate::contract::{FEATURES, MAX_SLICE_LINES};
use crate::scan::share;

/// Values of [`write_features`] that tell of the slice itself.
const OWN: usize = 6 + CONTACTS.len() + 9 * STRUCTURES;
/// Values that tell of one neighbour.
const NEIGHBOUR: usize = 2 + 6 * STRUCTURES;
/// Values that tell of the volume.
const VOLUME: usize = 4 + 2 * STRUCTURES;

const _: () = assert!(FEATURES == OWN + 2 * NEIGHBOUR + VOLUME, "the contract counts the values written here");

/// Writes what the slice policy sees of slice `slice` of a volume: [`FEATURES`] values of 0 to 127 (offsets: -128 to 127), real
/// values at scale 1/127.
///
/// * the slice: lines of [`MAX_SLICE_LINES`], place from first to last, energy of the newest two lines, row and column of the
///   heart's centre relative to the mean of its neighbours'; each count of [`SliceStats`] for each structure and the borders,
///   eight steps an octave; of each structure reach, half its brightness from the lowest level, and how its reach compares
///   with that of a disc of its area;
/// * the slice before, then the slice after: 127 if there is one, and lines; of each structure area, open and changed pixels,
///   how its area differs from the slice's, and how far its centre lies from the slice's along rows and columns;
/// * the volume: slices, lines measured and lines left on average, open pixels; of each structure area and doubtful pixels.
///
/// `left` are the lines that the volume may still measure.
///
/// # Errors
/// [`SliceError::Slice`] where `stats` have no such slice; `out` is then left as it was.
pub fn write_features(
    stats: &[SliceStats],
    slice: usize,
    left: usize,
    out: &mut [i8; FEATURES],
) -> Result<(), SliceError> {
    let own = stats.get(slice).ok_or(SliceError::Slice { slice, slices: stats.len() })?;
    write_features_of(own, stats, slice, left, out);
    Ok(())
}

/// [`write_features`] of a slice that is there: `own`, at place `slice` of `stats`.
pub(super) fn write_features_of(
    own: &SliceStats,
    stats: &[SliceStats],
    slice: usize,
    left: usize,
    out: &mut [i8; FEATURES],
) {
    let mut writer = Writer { out, at: 0 };
    let before = slice.checked_sub(1).and_then(|before| stats.get(before));
    let after = stats.get(slice + 1);
    let last = stats.len().saturating_sub(1);
    writer.put(share(usize::from(own.lines), MAX_SLICE_LINES));
    writer.put(share(slice, last));
    writer.put(own.energy.min(127) as i8);
    writer.put(own.energy_before.min(127) as i8);
    let (a, b) = (before.or(after).unwrap_or(own), after.or(before).unwrap_or(own));
    for axis in 0..2 {
        let centre = |stats: &SliceStats| stats.centre.get(axis).copied().map_or(0, i32::from);
        writer.put(signed(centre(own) - (centre(a) + centre(b)) / 2));
    }
    let counts = [&own.area, &own.doubtful, &own.open, &own.hidden, &own.changed, &own.changed_before];
    counts.into_iter().flatten().chain(&own.contacts).for_each(|&count| writer.put(seen(count)));
    for ((&reach, &brightness), &area) in own.reach.iter().zip(&own.brightness).zip(&own.area) {
        writer.put(reach.min(127) as i8);
        writer.put(((i32::from(brightness) + 128) / 2) as i8);
        writer.put(signed(4 * (i32::from(reach) - disc_reach(area))));
    }
    writer.neighbour(before, own);
    writer.neighbour(after, own);
    writer.volume(stats, left);
}

struct Writer<'a> {
    out: &'a mut [i8; FEATURES],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, value: i8) {
        if let Some(slot) = self.out.get_mut(self.at) {
            *slot = value;
        }
        self.at += 1;
    }

    fn neighbour(&mut self, neighbour: Option<&SliceStats>, own: &SliceStats) {
        let Some(other) = neighbour else {
            (0..NEIGHBOUR).for_each(|_| self.put(0));
            return;
        };
        self.put(127);
        self.put(share(usize::from(other.lines), MAX_SLICE_LINES));
        for count in [&other.area, &other.open, &other.changed].into_iter().flatten() {
            self.put(seen(*count));
        }
        for (there, here) in other.area.iter().zip(&own.area) {
            self.put(signed(i32::from(seen(*there)) - i32::from(seen(*here))));
        }
        for (there, here) in other.centres.iter().flatten().zip(own.centres.iter().flatten()) {
            self.put(signed(2 * (i32::from(*there) - i32::from(*here))));
        }
    }

    fn volume(&mut self, stats: &[SliceStats], left: usize) {
        let total = |of: fn(&SliceStats) -> &[u32; STRUCTURES], s: usize| {
            stats.iter().fold(0u32, |sum, stats| sum.saturating_add(at(of(stats), s)))
        };
        let slices = stats.len();
        let lines: usize = stats.iter().map(|stats| usize::from(stats.lines)).sum();
        self.put(slices.min(32) as i8 * 3);
        self.put(share(lines, MAX_SLICE_LINES * slices));
        self.put(share(left, MAX_SLICE_LINES * slices));
        let open = (0..STRUCTURES).fold(0u32, |sum, s| sum.saturating_add(total(|g| &g.open, s)));
        self.put(octaves(open, 6));
        (0..STRUCTURES).for_each(|s| self.put(octaves(total(|g| &g.area, s), 6)));
        (0..STRUCTURES).for_each(|s| self.put(octaves(total(|g| &g.doubtful, s), 6)));
    }
}

fn at(counts: &[u32; STRUCTURES], structure: usize) -> u32 {
    counts.get(structure).copied().unwrap_or(0)
}

/// Radius of gyration of a disc of `area` pixels in quarters of pixels: `4 sqrt(area / (2 pi))`.
fn disc_reach(area: u32) -> i32 {
    // 16 / (2 pi) is 2.546.
    (u64::from(area) * 2546 / 1000).isqrt() as i32
}

fn signed(value: i32) -> i8 {
    value.clamp(-127, 127) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Views of a volume of `slices` slices whose stats differ in area alone.
    fn features(slices: usize, slice: usize) -> [i8; FEATURES] {
        let mut stats = std::vec![SliceStats::blank(64, 64); slices];
        for (place, stats) in stats.iter_mut().enumerate() {
            stats.area = [(1 << place) - 1; STRUCTURES];
        }
        let mut features = [-1; FEATURES];
        write_features(&stats, slice, 3, &mut features).unwrap();
        features
    }

    #[test]
    fn every_value_is_written() {
        for slice in 0..3 {
            let [a, b] = [-1i8, 1].map(|fill| {
                let mut features = [fill; FEATURES];
                write_features(&[SliceStats::blank(64, 64); 3], slice, 3, &mut features).unwrap();
                features
            });
            assert_eq!(a, b, "slice {slice}");
        }
    }

    #[test]
    fn a_slice_that_does_not_exist_is_refused_and_nothing_is_written() {
        let mut features = [5; FEATURES];
        let found = write_features(&[SliceStats::blank(64, 64); 3], 3, 1, &mut features);
        assert_eq!(found, Err(SliceError::Slice { slice: 3, slices: 3 }));
        assert_eq!(features, [5; FEATURES]);
    }

    #[test]
    fn a_slice_at_the_end_has_one_neighbour() {
        let [before, after] = [OWN, OWN + NEIGHBOUR];
        assert_eq!((features(3, 0)[before], features(3, 0)[after]), (0, 127));
        assert_eq!((features(3, 1)[before], features(3, 1)[after]), (127, 127));
        assert_eq!((features(3, 2)[before], features(3, 2)[after]), (127, 0));
        assert_eq!(features(1, 0)[before..before + 2 * NEIGHBOUR], [0; 2 * NEIGHBOUR]);
    }

    #[test]
    fn areas_are_seen_in_octaves_and_compared_with_the_neighbours() {
        let features = features(4, 2);
        assert_eq!(features[6..9], [16; 3], "three pixels: two octaves of eight steps");
        let areas = |neighbour: usize| (features[neighbour + 2], features[neighbour + 11]);
        assert_eq!(areas(OWN), (8, -8));
        assert_eq!(areas(OWN + NEIGHBOUR), (24, 8));
    }

    #[test]
    fn a_disc_reaches_as_far_as_its_area_says() {
        let disc = |radius: i32| {
            let inside =
                (-40..=40).flat_map(|y| (-40..=40).map(move |x| x * x + y * y)).filter(|&r| r <= radius * radius);
            let (count, sum) = inside.fold((0u32, 0i64), |(count, sum), r| (count + 1, sum + i64::from(r)));
            (count, (16 * sum / i64::from(count)).isqrt() as i32)
        };
        for radius in [5, 12, 30] {
            let (area, reach) = disc(radius);
            assert!((disc_reach(area) - reach).abs() <= 1, "radius {radius}");
        }
    }
}
