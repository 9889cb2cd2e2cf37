//! What the slice policy sees: a slice's own glimpse, those of its neighbours, and the volume as a whole.

use super::glimpse::{Glimpse, STRUCTURES, seen};
use super::scale::{octaves, share};

/// The most lines of a slice: the slice policy sees lines on this scale, and a volume's scan gives no slice more.
pub const MOST_LINES: usize = 48;

/// Values of [`write_view`] that tell of the slice itself.
const OWN: usize = 6 + 7 * STRUCTURES;
/// Values that tell of one neighbour.
const NEIGHBOUR: usize = 4 + 4 * STRUCTURES;
/// Values that tell of the volume.
const VOLUME: usize = 4 + 2 * STRUCTURES;

/// Length of what [`write_view`] writes.
pub const VIEW: usize = OWN + 2 * NEIGHBOUR + VOLUME;

/// Writes what the slice policy sees of slice `slice` of a volume: [`VIEW`] values of 0 to 127 (offsets: -128 to 127), real
/// values at scale 1/127.
///
/// * the slice: lines of [`MOST_LINES`], place from first to last, energy of the newest two lines, row and column of the
///   heart's centre relative to the mean of its neighbours'; then each count of [`Glimpse`] for each structure, eight steps an
///   octave;
/// * the slice before, then the slice after: 127 if there is one, lines, and where its centre lies; area, open and changed
///   pixels, and how its area differs from the slice's;
/// * the volume: slices, lines measured and lines left on average, open pixels; of each structure area and doubtful pixels.
///
/// `left` are the lines that the volume may still measure.
pub fn write_view(glimpses: &[Glimpse], slice: usize, left: usize, out: &mut [i8; VIEW]) {
    let mut writer = Writer { out, at: 0 };
    let Some(own) = glimpses.get(slice) else { return };
    let before = slice.checked_sub(1).and_then(|before| glimpses.get(before));
    let after = glimpses.get(slice + 1);
    let last = glimpses.len().saturating_sub(1);
    writer.put(share(usize::from(own.lines), MOST_LINES));
    writer.put(share(slice, last));
    writer.put(own.energy.min(127) as i8);
    writer.put(own.energy_before.min(127) as i8);
    let (a, b) = (before.or(after).unwrap_or(own), after.or(before).unwrap_or(own));
    for axis in 0..2 {
        let centre = |glimpse: &Glimpse| glimpse.centre.get(axis).copied().map_or(0, i32::from);
        writer.put(signed(centre(own) - (centre(a) + centre(b)) / 2));
    }
    let counts = [&own.area, &own.doubtful, &own.open, &own.hidden, &own.edge, &own.changed, &own.changed_before];
    counts.into_iter().flatten().for_each(|&count| writer.put(seen(count)));
    writer.neighbour(before, own);
    writer.neighbour(after, own);
    writer.volume(glimpses, left);
}

struct Writer<'a> {
    out: &'a mut [i8; VIEW],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, value: i8) {
        if let Some(slot) = self.out.get_mut(self.at) {
            *slot = value;
        }
        self.at += 1;
    }

    fn neighbour(&mut self, neighbour: Option<&Glimpse>, own: &Glimpse) {
        let Some(other) = neighbour else {
            (0..NEIGHBOUR).for_each(|_| self.put(0));
            return;
        };
        self.put(127);
        self.put(share(usize::from(other.lines), MOST_LINES));
        for (there, here) in other.centre.iter().zip(&own.centre) {
            self.put(signed(i32::from(*there) - i32::from(*here)));
        }
        for count in [&other.area, &other.open, &other.changed].into_iter().flatten() {
            self.put(seen(*count));
        }
        for (there, here) in other.area.iter().zip(&own.area) {
            self.put(signed(i32::from(seen(*there)) - i32::from(seen(*here))));
        }
    }

    fn volume(&mut self, glimpses: &[Glimpse], left: usize) {
        let total = |of: fn(&Glimpse, usize) -> u32, s: usize| {
            glimpses.iter().fold(0u32, |sum, glimpse| sum.saturating_add(of(glimpse, s)))
        };
        let slices = glimpses.len();
        let lines: usize = glimpses.iter().map(|glimpse| usize::from(glimpse.lines)).sum();
        self.put(slices.min(32) as i8 * 3);
        self.put(share(lines, MOST_LINES * slices));
        self.put(share(left, MOST_LINES * slices));
        let open = (0..STRUCTURES).fold(0u32, |sum, s| sum.saturating_add(total(|g, s| at(&g.open, s), s)));
        self.put(octaves(open, 6));
        (0..STRUCTURES).for_each(|s| self.put(octaves(total(|g, s| at(&g.area, s), s), 6)));
        (0..STRUCTURES).for_each(|s| self.put(octaves(total(|g, s| at(&g.doubtful, s), s), 6)));
    }
}

fn at(counts: &[u32; STRUCTURES], structure: usize) -> u32 {
    counts.get(structure).copied().unwrap_or(0)
}

fn signed(value: i32) -> i8 {
    value.clamp(-127, 127) as i8
}
