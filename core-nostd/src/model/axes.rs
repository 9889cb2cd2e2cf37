//! Which way the axes of the training data ran through the body.

use core::fmt;
use core::str::FromStr;

/// The directions in which the axes of a volume run: columns x, rows y, slices z. Each letter names the side of the body towards
/// which the index grows: left or right, posterior or anterior, inferior or superior. `LPS` is DICOM's usual order, `RAS` that of
/// NIfTI's coordinates; nibabel's `aff2axcodes` gives the same letters. Each of the three pairs comes once.
///
/// In a blob it is a u16 of three bits an axis, x lowest: 1 L, 2 R, 3 P, 4 A, 5 I, 6 S. 0 as a whole: not known.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AxisCodes([u8; 3]);

/// The letter with code n at n - 1, so that halves of a pair stand side by side.
const LETTERS: [u8; 6] = *b"LRPAIS";
const BITS: u32 = 3;
const MASK: u16 = 7;

impl AxisCodes {
    /// The axes of these letters, in the order x, y, z; `None` if one is no such letter, or two are of one pair.
    pub fn new(letters: [u8; 3]) -> Option<Self> {
        let mut pairs = [false; 3];
        for letter in letters {
            let place = LETTERS.iter().position(|&known| known == letter)?;
            let pair = pairs.get_mut(place / 2)?;
            if core::mem::replace(pair, true) {
                return None;
            }
        }
        Some(Self(letters))
    }

    /// The letters, in the order x, y, z.
    pub const fn letters(self) -> [u8; 3] {
        self.0
    }

    /// Its number in a blob.
    pub fn code(self) -> u16 {
        let digit = |letter: u8| LETTERS.iter().zip(1u16..).find(|(known, _)| **known == letter).map_or(0, |(_, n)| n);
        self.0.iter().rev().fold(0, |code, &letter| code << BITS | digit(letter))
    }

    /// The axes with this number in a blob; `None` if it is none.
    pub fn from_code(code: u16) -> Option<Self> {
        if code >> (3 * BITS) != 0 {
            return None;
        }
        let letter = |axis: u32| {
            let digit = usize::from(code >> (axis * BITS) & MASK);
            LETTERS.get(digit.checked_sub(1)?).copied()
        };
        Self::new([letter(0)?, letter(1)?, letter(2)?])
    }
}

impl fmt::Display for AxisCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The letters are ASCII.
        f.pad(core::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for AxisCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text does not name three axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadAxisCodes;

impl fmt::Display for BadAxisCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected three letters, one each of L or R, P or A, I or S, such as LPS")
    }
}

impl core::error::Error for BadAxisCodes {}

impl FromStr for AxisCodes {
    type Err = BadAxisCodes;

    fn from_str(text: &str) -> Result<Self, BadAxisCodes> {
        let letters = text.as_bytes().try_into().map_err(|_| BadAxisCodes)?;
        Self::new(letters).ok_or(BadAxisCodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn all_48_axes_are_written_and_read_back_and_no_other_number_is_one() {
        let known: Vec<AxisCodes> = (0..=u16::MAX).filter_map(AxisCodes::from_code).collect();
        assert_eq!(known.len(), 48);
        for axes in known {
            assert_eq!(AxisCodes::from_code(axes.code()), Some(axes));
            assert_eq!(axes.to_string().parse(), Ok(axes));
        }
        // Bits by hand: L 1, P 3, S 6; A 4, R 2, I 5.
        assert_eq!("LPS".parse::<AxisCodes>().unwrap().code(), 0b110_011_001);
        assert_eq!("ARI".parse::<AxisCodes>().unwrap().code(), 0b101_010_100);
    }

    #[test]
    fn numbers_and_texts_that_name_an_axis_twice_or_none_are_refused() {
        let (twice, both_ways, missing, seventh, beyond) =
            (0b110_001_001, 0b010_011_001, 0b000_011_001, 0b111_011_001, 0b1_110_011_001);
        for code in [0, twice, both_ways, missing, seventh, beyond, u16::MAX] {
            assert_eq!(AxisCodes::from_code(code), None, "{code:#b}");
        }
        for text in ["", "LP", "LPSI", "lps", "LLS", "LRS", "LPX", "L\u{e9}", "???"] {
            assert_eq!(text.parse::<AxisCodes>(), Err(BadAxisCodes), "{text}");
        }
    }
}
