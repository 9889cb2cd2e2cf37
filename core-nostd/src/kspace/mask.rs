//! Which lines of k-space have been measured.
//!
//! [`LineSet`] is a bitset whose width is known when the program runs; [`LineMask`] carries the width in its type and
//! is a [`LineSet`] for everything else, so that ten widths do not make ten copies of the code.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// The most lines a k-space can have here.
pub const MAX_LINES: usize = 512;

const WORDS: usize = MAX_LINES / 32;

/// Why a mask refused a width or a line. The refused value is in the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MaskError {
    /// A mask has 1 to [`MAX_LINES`] lines.
    Width {
        /// The width asked for.
        width: usize,
    },
    /// The line does not exist in a mask of this width.
    Line {
        /// The line that was given.
        line: usize,
        /// The mask's width: lines are `0..width`.
        width: usize,
    },
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { width } => {
                write!(f, "a mask of {width} lines: expected 1 to {MAX_LINES}")
            }
            Self::Line { line, width } => write!(f, "line {line} does not exist: lines are 0 to {} here", width - 1),
        }
    }
}

impl core::error::Error for MaskError {}

/// A set of lines out of `0..width`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LineSet {
    words: [u32; WORDS],
    width: u16,
    len: u16,
}

impl LineSet {
    /// The empty set of `width` lines.
    ///
    /// # Errors
    /// [`MaskError::Width`] unless `1 <= width <= MAX_LINES`.
    pub const fn new(width: usize) -> Result<Self, MaskError> {
        if width == 0 || width > MAX_LINES {
            return Err(MaskError::Width { width });
        }
        Ok(Self { words: [0; WORDS], width: width as u16, len: 0 })
    }

    /// Adds a line; `false` if it was there already.
    ///
    /// # Errors
    /// [`MaskError::Line`] if `line >= width`; the set stays as it was.
    pub fn insert(&mut self, line: usize) -> Result<bool, MaskError> {
        let width = self.width();
        let refused = MaskError::Line { line, width };
        if line >= width {
            return Err(refused);
        }
        let word = self.words.get_mut(line / 32).ok_or(refused)?;
        let bit = 1 << (line % 32);
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += u16::from(is_new);
        Ok(is_new)
    }

    /// Whether the line is in the set; a line that does not exist is not.
    pub fn contains(&self, line: usize) -> bool {
        self.words.get(line / 32).is_some_and(|word| word & (1 << (line % 32)) != 0)
    }

    /// How many lines are in the set.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no line is in the set.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many lines there are, in the set or not.
    pub const fn width(&self) -> usize {
        self.width as usize
    }

    /// The lines of the set, in rising order.
    pub fn iter(&self) -> Lines<'_> {
        Lines { set: self, next: 0 }
    }

    /// The lines that are not in the set, in rising order.
    pub fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.width()).filter(|&line| !self.contains(line))
    }

    /// Takes every line out.
    pub fn clear(&mut self) {
        self.words = [0; WORDS];
        self.len = 0;
    }
}

impl fmt::Debug for LineSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineSet(of {})", self.width)?;
        f.debug_set().entries(self.iter()).finish()
    }
}

/// As [`Debug`](fmt::Debug) prints it: the width, and the lines.
#[cfg(feature = "defmt")]
impl defmt::Format for LineSet {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(to, "LineSet(of {=u16}){{", self.width);
        for (place, line) in self.iter().enumerate() {
            defmt::write!(to, "{=str}{=usize}", if place == 0 { "" } else { ", " }, line);
        }
        defmt::write!(to, "}}");
    }
}

impl<'a> IntoIterator for &'a LineSet {
    type Item = usize;
    type IntoIter = Lines<'a>;

    fn into_iter(self) -> Lines<'a> {
        self.iter()
    }
}

/// The lines of a [`LineSet`], in rising order: see [`LineSet::iter`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    set: &'a LineSet,
    next: usize,
}

impl Iterator for Lines<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let word = self.set.words.get(self.next / 32)?;
            let left = word >> (self.next % 32);
            if left != 0 {
                let line = self.next + left.trailing_zeros() as usize;
                self.next = line + 1;
                return Some(line);
            }
            self.next = (self.next / 32 + 1) * 32;
        }
    }
}

/// A [`LineSet`] whose width is part of its type, for firmware that knows its scanner.
///
/// ```
/// use kscout_core::kspace::LineMask;
/// let mut mask = LineMask::<128>::new();
/// assert_eq!(mask.insert(64), Ok(true));
/// assert!(mask.insert(128).is_err());
/// assert_eq!(mask.iter().collect::<Vec<_>>(), [64]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LineMask<const W: usize> {
    body: LineSet,
}

impl<const W: usize> LineMask<W> {
    /// The empty mask of `W` lines. `1 <= W <= MAX_LINES` is checked while compiling.
    pub const fn new() -> Self {
        const { assert!(W >= 1 && W <= MAX_LINES, "a mask has 1 to 512 lines") };
        Self { body: LineSet { words: [0; WORDS], width: W as u16, len: 0 } }
    }
}

impl<const W: usize> Default for LineMask<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const W: usize> Deref for LineMask<W> {
    type Target = LineSet;

    fn deref(&self) -> &LineSet {
        &self.body
    }
}

impl<const W: usize> DerefMut for LineMask<W> {
    fn deref_mut(&mut self) -> &mut LineSet {
        &mut self.body
    }
}

impl<const W: usize> TryFrom<LineSet> for LineMask<W> {
    type Error = LineSet;

    /// Takes over a set of the same width; a set of another width comes back as the error.
    fn try_from(set: LineSet) -> Result<Self, LineSet> {
        if set.width() == W { Ok(Self { body: set }) } else { Err(set) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn a_width_outside_1_to_512_is_refused() {
        assert_eq!(LineSet::new(0), Err(MaskError::Width { width: 0 }));
        assert_eq!(LineSet::new(513), Err(MaskError::Width { width: 513 }));
        assert!(LineSet::new(1).is_ok() && LineSet::new(512).is_ok());
    }

    #[test]
    fn a_line_outside_the_width_is_refused_and_named() {
        let mut set = LineSet::new(100).unwrap();
        let error = set.insert(100).unwrap_err();
        assert_eq!(error, MaskError::Line { line: 100, width: 100 });
        assert_eq!(error.to_string(), "line 100 does not exist: lines are 0 to 99 here");
        assert!(set.is_empty());
    }

    #[test]
    fn a_mask_takes_a_set_of_its_width_and_hands_back_any_other() {
        let mut set = LineSet::new(64).unwrap();
        set.insert(3).unwrap();
        let back = LineMask::<128>::try_from(set.clone()).unwrap_err();
        assert_eq!(back, set);
        assert!(LineMask::<64>::try_from(set).unwrap().contains(3));
    }

    proptest! {
        #![proptest_config(crate::kspace::fixed_cases(256))]

        #[test]
        fn behaves_as_a_set(width in 1_usize..=512, lines in prop::collection::vec(0_usize..600, 0..300)) {
            let mut set = LineSet::new(width).unwrap();
            let mut model = BTreeSet::new();
            for line in lines {
                let inserted = set.insert(line);
                prop_assert_eq!(inserted.ok(), (line < width).then(|| model.insert(line)));
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            let rest: Vec<usize> = (0..width).filter(|line| !model.contains(line)).collect();
            prop_assert!(set.missing().eq(rest));
            prop_assert!((0..700).all(|line| set.contains(line) == model.contains(&line)));
            set.clear();
            prop_assert_eq!(set.iter().next(), None);
        }
    }
}
