//! A small typeface of the project's own, so that pictures need no font file.
//!
//! Glyphs are bitmaps of five columns by nine rows, the last two below the base line. Drawn larger, their edges are
//! rounded by the Scale2x rule (Mazzoleni, 2001) and averaged down, which gives smooth strokes at any size.

/// Rows of a glyph above the base line.
pub const CAP_ROWS: usize = 7;
/// Rows of a glyph.
pub const ROWS: usize = 9;
const COLUMNS: usize = 5;
/// Columns of a space.
const SPACE: usize = 3;
/// How much finer than the bitmap the rounded glyph is: three rounds of Scale2x.
const FINE: usize = 8;

/// Width of a text in bitmap columns.
pub fn text_columns(text: &str) -> usize {
    let columns: usize = text.chars().map(|c| Glyph::of(c).columns() + 1).sum();
    columns.saturating_sub(1)
}

/// A character's bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph([u8; ROWS]);

impl Glyph {
    /// The glyph of a character; of a question mark for one that the typeface lacks.
    pub fn of(character: char) -> Self {
        let find = |wanted| GLYPHS.iter().find(|glyph| glyph.0 == wanted);
        match character {
            ' ' => Self([0; ROWS]),
            _ => Self(find(character).or(find('?')).map_or([0b11111; ROWS], |glyph| glyph.1)),
        }
    }

    /// Columns it takes, without the gap to the next one.
    pub fn columns(self) -> usize {
        let used = self.used();
        if used == 0 { SPACE } else { COLUMNS - self.left() - used.trailing_zeros() as usize }
    }

    /// Ink at each pixel of the glyph drawn at `scale` pixels a bitmap pixel, 0 to 1, row by row, with its width.
    pub fn coverage(self, scale: f32) -> (Vec<f32>, usize) {
        let fine = self.rounded();
        let (width, height) = (self.columns() as f32 * scale, ROWS as f32 * scale);
        let (width, height) = (width.ceil() as usize, height.ceil() as usize);
        // Eight by eight samples a pixel.
        let sample = |pixel: usize, step: usize| (((pixel * FINE + step) as f32 + 0.5) / scale) as usize;
        let ink = |x: usize, y: usize| {
            let steps = (0..FINE * FINE).map(|step| (step / FINE, step % FINE));
            steps.filter(|&(down, right)| fine.get(sample(x, right), sample(y, down))).count()
        };
        let pixels = (0..width * height).map(|index| ink(index % width, index / width));
        (pixels.map(|ink| ink as f32 / (FINE * FINE) as f32).collect(), width)
    }

    fn used(self) -> u8 {
        self.0.iter().fold(0, |used, row| used | row)
    }

    fn left(self) -> usize {
        self.used().leading_zeros() as usize - (8 - COLUMNS)
    }

    fn rounded(self) -> Bitmap {
        let (left, width) = (self.left_or_zero(), self.columns());
        let bit = |x: usize, y: usize| self.0[y] >> (COLUMNS - 1).saturating_sub(left + x) & 1 == 1;
        let pixels = (0..width * ROWS).map(|index| bit(index % width, index / width)).collect();
        Bitmap { pixels, width }.doubled(true).doubled(false).doubled(false)
    }

    fn left_or_zero(self) -> usize {
        if self.used() == 0 { 0 } else { self.left() }
    }
}

struct Bitmap {
    pixels: Vec<bool>,
    width: usize,
}

impl Bitmap {
    fn get(&self, x: usize, y: usize) -> bool {
        // Beside the edges the callers' coordinates wrap, and no pixel is there.
        let index = y.saturating_mul(self.width).saturating_add(x);
        x < self.width && self.pixels.get(index).is_some_and(|&on| on)
    }

    /// Scale2x: a quarter pixel takes the colour of the two neighbours next to it where these agree and the opposite
    /// ones differ. With `keep_ink`, ink stays ink: a right angle then stays one, so that a D is no O.
    fn doubled(&self, keep_ink: bool) -> Self {
        let quarter = |index: usize| {
            let (x, y) = (index % (2 * self.width), index / (2 * self.width));
            let (right, down) = (x % 2 == 1, y % 2 == 1);
            let (x, y) = (x / 2, y / 2);
            let beside = |forward| self.get(if forward { x + 1 } else { x.wrapping_sub(1) }, y);
            let along = |forward| self.get(x, if forward { y + 1 } else { y.wrapping_sub(1) });
            let corner = beside(right) == along(down) && beside(right) != beside(!right) && along(down) != along(!down);
            let ink = self.get(x, y);
            if corner && !(keep_ink && ink) { beside(right) } else { ink }
        };
        Self { pixels: (0..4 * self.pixels.len()).map(quarter).collect(), width: 2 * self.width }
    }
}

/// One bit a pixel, the leftmost column the highest of five bits.
#[rustfmt::skip]
const GLYPHS: [(char, [u8; ROWS]); 100] = [
    ('!', [0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00000, 0b00100, 0b00000, 0b00000]),
    ('"', [0b01010, 0b01010, 0b01010, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('#', [0b01010, 0b01010, 0b11111, 0b01010, 0b11111, 0b01010, 0b01010, 0b00000, 0b00000]),
    ('$', [0b00100, 0b01111, 0b10100, 0b01110, 0b00101, 0b11110, 0b00100, 0b00000, 0b00000]),
    ('%', [0b11001, 0b11001, 0b00010, 0b00100, 0b01000, 0b10011, 0b10011, 0b00000, 0b00000]),
    ('&', [0b01100, 0b10010, 0b10010, 0b01100, 0b10101, 0b10010, 0b01101, 0b00000, 0b00000]),
    ('\'', [0b00100, 0b00100, 0b00100, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('(', [0b00010, 0b00100, 0b01000, 0b01000, 0b01000, 0b00100, 0b00010, 0b00000, 0b00000]),
    (')', [0b01000, 0b00100, 0b00010, 0b00010, 0b00010, 0b00100, 0b01000, 0b00000, 0b00000]),
    ('*', [0b00000, 0b00100, 0b10101, 0b01110, 0b10101, 0b00100, 0b00000, 0b00000, 0b00000]),
    ('+', [0b00000, 0b00100, 0b00100, 0b11111, 0b00100, 0b00100, 0b00000, 0b00000, 0b00000]),
    (',', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100, 0b00100, 0b01000]),
    ('-', [0b00000, 0b00000, 0b00000, 0b01110, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b01100, 0b01100, 0b00000, 0b00000]),
    ('/', [0b00001, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b10000, 0b00000, 0b00000]),
    ('0', [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110, 0b00000, 0b00000]),
    ('2', [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111, 0b00000, 0b00000]),
    ('3', [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('4', [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010, 0b00000, 0b00000]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('6', [0b01110, 0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00010, 0b00100, 0b00100, 0b00100, 0b00000, 0b00000]),
    ('8', [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('9', [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001, 0b01110, 0b00000, 0b00000]),
    (':', [0b00000, 0b01100, 0b01100, 0b00000, 0b00000, 0b01100, 0b01100, 0b00000, 0b00000]),
    (';', [0b00000, 0b01100, 0b01100, 0b00000, 0b00000, 0b01100, 0b01100, 0b00100, 0b01000]),
    ('<', [0b00010, 0b00100, 0b01000, 0b10000, 0b01000, 0b00100, 0b00010, 0b00000, 0b00000]),
    ('=', [0b00000, 0b00000, 0b11111, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('>', [0b01000, 0b00100, 0b00010, 0b00001, 0b00010, 0b00100, 0b01000, 0b00000, 0b00000]),
    ('?', [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b00000, 0b00100, 0b00000, 0b00000]),
    ('@', [0b01110, 0b10001, 0b10111, 0b10101, 0b10111, 0b10000, 0b01110, 0b00000, 0b00000]),
    ('A', [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('B', [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110, 0b00000, 0b00000]),
    ('C', [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110, 0b00000, 0b00000]),
    ('E', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111, 0b00000, 0b00000]),
    ('F', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000, 0b00000, 0b00000]),
    ('G', [0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01111, 0b00000, 0b00000]),
    ('H', [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('I', [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110, 0b00000, 0b00000]),
    ('J', [0b00111, 0b00010, 0b00010, 0b00010, 0b00010, 0b10010, 0b01100, 0b00000, 0b00000]),
    ('K', [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001, 0b00000, 0b00000]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111, 0b00000, 0b00000]),
    ('M', [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('N', [0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001, 0b00000, 0b00000]),
    ('O', [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('P', [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000, 0b00000, 0b00000]),
    ('Q', [0b01110, 0b10001, 0b10001, 0b10001, 0b10101, 0b10010, 0b01101, 0b00000, 0b00000]),
    ('R', [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001, 0b00000, 0b00000]),
    ('S', [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110, 0b00000, 0b00000]),
    ('T', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00000, 0b00000]),
    ('U', [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('V', [0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b01010, 0b00100, 0b00000, 0b00000]),
    ('W', [0b10001, 0b10001, 0b10001, 0b10101, 0b10101, 0b11011, 0b10001, 0b00000, 0b00000]),
    ('X', [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('Y', [0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100, 0b00000, 0b00000]),
    ('Z', [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111, 0b00000, 0b00000]),
    ('[', [0b01110, 0b01000, 0b01000, 0b01000, 0b01000, 0b01000, 0b01110, 0b00000, 0b00000]),
    ('\\', [0b10000, 0b10000, 0b01000, 0b00100, 0b00010, 0b00001, 0b00001, 0b00000, 0b00000]),
    (']', [0b01110, 0b00010, 0b00010, 0b00010, 0b00010, 0b00010, 0b01110, 0b00000, 0b00000]),
    ('^', [0b00100, 0b01010, 0b10001, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('_', [0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b11111, 0b00000]),
    ('`', [0b01000, 0b00100, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('a', [0b00000, 0b00000, 0b01110, 0b00001, 0b01111, 0b10001, 0b01111, 0b00000, 0b00000]),
    ('b', [0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b10001, 0b11110, 0b00000, 0b00000]),
    ('c', [0b00000, 0b00000, 0b01110, 0b10001, 0b10000, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('d', [0b00001, 0b00001, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00000, 0b00000]),
    ('e', [0b00000, 0b00000, 0b01110, 0b10001, 0b11111, 0b10000, 0b01110, 0b00000, 0b00000]),
    ('f', [0b00110, 0b01000, 0b11110, 0b01000, 0b01000, 0b01000, 0b01000, 0b00000, 0b00000]),
    ('g', [0b00000, 0b00000, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('h', [0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('i', [0b00100, 0b00000, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00000, 0b00000]),
    ('j', [0b00010, 0b00000, 0b00010, 0b00010, 0b00010, 0b00010, 0b00010, 0b00010, 0b01100]),
    ('k', [0b10000, 0b10000, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b00000, 0b00000]),
    ('l', [0b01000, 0b01000, 0b01000, 0b01000, 0b01000, 0b01000, 0b00100, 0b00000, 0b00000]),
    ('m', [0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10101, 0b10101, 0b00000, 0b00000]),
    ('n', [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b00000, 0b00000]),
    ('o', [0b00000, 0b00000, 0b01110, 0b10001, 0b10001, 0b10001, 0b01110, 0b00000, 0b00000]),
    ('p', [0b00000, 0b00000, 0b11110, 0b10001, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('q', [0b00000, 0b00000, 0b01111, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001]),
    ('r', [0b00000, 0b00000, 0b10110, 0b11000, 0b10000, 0b10000, 0b10000, 0b00000, 0b00000]),
    ('s', [0b00000, 0b00000, 0b01111, 0b10000, 0b01110, 0b00001, 0b11110, 0b00000, 0b00000]),
    ('t', [0b01000, 0b01000, 0b11110, 0b01000, 0b01000, 0b01000, 0b00110, 0b00000, 0b00000]),
    ('u', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b10001, 0b01111, 0b00000, 0b00000]),
    ('v', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100, 0b00000, 0b00000]),
    ('w', [0b00000, 0b00000, 0b10001, 0b10001, 0b10101, 0b10101, 0b01010, 0b00000, 0b00000]),
    ('x', [0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b00000, 0b00000]),
    ('y', [0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('z', [0b00000, 0b00000, 0b11111, 0b00010, 0b00100, 0b01000, 0b11111, 0b00000, 0b00000]),
    ('{', [0b00010, 0b00100, 0b00100, 0b01000, 0b00100, 0b00100, 0b00010, 0b00000, 0b00000]),
    ('|', [0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00000, 0b00000]),
    ('}', [0b01000, 0b00100, 0b00100, 0b00010, 0b00100, 0b00100, 0b01000, 0b00000, 0b00000]),
    ('~', [0b00000, 0b00000, 0b01000, 0b10101, 0b00010, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('°', [0b01100, 0b10010, 0b01100, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('±', [0b00000, 0b00100, 0b11111, 0b00100, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000]),
    ('×', [0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b00000, 0b00000]),
    ('·', [0b00000, 0b00000, 0b00000, 0b01100, 0b01100, 0b00000, 0b00000, 0b00000, 0b00000]),
    ('→', [0b00000, 0b00100, 0b00010, 0b11111, 0b00010, 0b00100, 0b00000, 0b00000, 0b00000]),
    ('–', [0b00000, 0b00000, 0b00000, 0b11111, 0b00000, 0b00000, 0b00000, 0b00000, 0b00000]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_ascii_character_has_a_glyph_of_its_own() {
        for (index, (character, bitmap)) in GLYPHS.iter().enumerate() {
            assert!(GLYPHS[..index].iter().all(|(other, _)| other != character), "{character} twice");
            assert!(bitmap.iter().any(|&row| row != 0) && bitmap.iter().all(|&row| row < 32));
        }
        for character in '!'..='~' {
            assert!(character == '?' || Glyph::of(character) != Glyph::of('?'), "{character}");
        }
    }

    #[test]
    fn text_is_as_wide_as_its_glyphs_and_the_gaps_between() {
        assert_eq!(text_columns(""), 0);
        assert_eq!(text_columns("H"), 5);
        assert_eq!(text_columns("HiH"), 5 + 1 + 1 + 1 + 5);
        assert_eq!(text_columns("H H"), 5 + 1 + 3 + 1 + 5);
    }

    #[test]
    fn ink_of_a_bar_is_solid_inside_and_its_area_is_kept() {
        let (ink, width) = Glyph::of('|').coverage(2.0);
        assert_eq!((width, ink.len()), (2, 2 * 2 * ROWS));
        assert!((ink.iter().sum::<f32>() - 4.0 * 7.0).abs() < 1.5);
    }
}
