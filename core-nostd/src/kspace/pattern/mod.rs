//! Sampling patterns: orders of lines chosen without looking at the data.
//!
//! A pattern writes `budget` distinct lines, in the order in which a scanner would measure them, into the caller's
//! slice. Draws are in integers, so a seed gives the same lines on every target.
//!
//! A new pattern is a file here with a function `order`, and its entry in the table below.

mod centre_out;
mod equispaced;
mod error;
mod list;
mod order;
mod partial_fourier;
mod random;
mod random_low_bias;
mod registry;
#[cfg(test)]
mod tests;
mod variable_density;

use core::fmt;
use core::str::FromStr;

use super::mask::MAX_LINES;
pub use error::{PatternError, UnknownPattern};
pub use list::LineList;
use order::Order;
pub(crate) use order::centre_out;
use registry::patterns;

/// The largest exponent a variable density may have.
pub const MAX_POWER: u8 = 6;

patterns! {
    /// Outward from DC: `W/2, W/2 - 1, W/2 + 1, W/2 - 2, ...`
    CentreOut = "centre-out" in centre_out;

    /// A block of lines around DC, and the rest of the budget spread evenly over the other lines. The block comes
    /// first, then the others outward from DC.
    Equispaced {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, at least one unless 0.
        centre_fraction: f32 = 0.25,
    } = "equispaced" in equispaced;

    /// A block of lines around DC, as fastMRI's masks have it, and the rest drawn without replacement with a density of
    /// `(1 - r)^power`, `r = |k - W/2| / (W/2 + 1)`: the polynomial density of Lustig, Donoho and Pauly, *Sparse
    /// MRI*, 2007, who use powers of 1 to 6. The block comes first, then the others in the order drawn, so that any
    /// beginning of the order is itself of variable density.
    VariableDensity {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, at least one unless 0.
        centre_fraction: f32 = 0.25,
        /// How fast the density falls away from DC: 0 (uniform) to [`MAX_POWER`].
        power: u8 = 4,
    } = "variable-density" in variable_density;

    /// Partial Fourier: a block of lines around DC, as many on either side, then the lower side outward, and the upper side
    /// only once that is measured. The block gives the phase that [`homodyne`](super::homodyne) needs to put the upper side's
    /// mirror images in place of it.
    PartialFourier {
        /// The share of the budget that the block takes, 0 to 1; rounded to lines, and up to an odd number of them.
        centre_fraction: f32 = 0.5,
    } = "partial-fourier" in partial_fourier;

    /// Lines drawn without replacement, near ones more often: a normal density of deviation W/10 around DC, which is 1
    /// there, and half the budget's share of all lines on top, `exp(-(10 (k - W/2) / W)^2 / 2) + budget / (2 W)`. The
    /// "random with low bias" of Pineda, Basu, Romero, Calandra and Drozdzal, *Active MR k-space sampling with reinforcement
    /// learning*, 2020; no block comes first.
    RandomLowBias = "random-low-bias" in random_low_bias;

    /// Lines drawn uniformly without replacement, in the order drawn.
    Random = "random" in random;
}

impl Pattern {
    /// Writes `budget` distinct lines of `0..width` into the front of `out`, in the order of acquisition, and gives
    /// back `budget`.
    ///
    /// ```
    /// use kscout_core::kspace::Pattern;
    /// let mut order = [0_u16; 5];
    /// assert_eq!(Pattern::CentreOut.order(128, 5, 0, &mut order), Ok(5));
    /// assert_eq!(order, [64, 63, 65, 62, 66]);
    /// ```
    ///
    /// # Errors
    /// [`PatternError`] if the width, the budget, the length of `out` or a parameter is outside its range; `out` stays
    /// as it was.
    pub fn order(&self, width: usize, budget: usize, seed: u64, out: &mut [u16]) -> Result<usize, PatternError> {
        if width == 0 || width > MAX_LINES {
            return Err(PatternError::Width { width });
        }
        if budget == 0 || budget > width {
            return Err(PatternError::Budget { budget, width });
        }
        let got = out.len();
        let out = out.get_mut(..budget).ok_or(PatternError::Output { needed: budget, got })?;
        self.write(&mut Order::new(width, seed, out)?)?;
        Ok(budget)
    }

    /// [`order`](Self::order), into a list of its own: 1 KiB, wherever the caller keeps it.
    ///
    /// ```
    /// use kscout_core::kspace::Pattern;
    /// assert_eq!(*Pattern::CentreOut.lines(128, 5, 0).unwrap(), [64, 63, 65, 62, 66]);
    /// ```
    ///
    /// # Errors
    /// [`PatternError`] if the width, the budget or a parameter is outside its range.
    pub fn lines(&self, width: usize, budget: usize, seed: u64) -> Result<LineList, PatternError> {
        let mut lines = [0; MAX_LINES];
        // A larger budget is larger than any width, and `order` refuses it.
        let len = self.order(width, budget, seed, lines.get_mut(..budget).unwrap_or_default())?;
        Ok(LineList { lines, len })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Pattern {
    type Err = UnknownPattern;

    /// A pattern by its name, with the parameters it has in [`Pattern::ALL`].
    fn from_str(text: &str) -> Result<Self, UnknownPattern> {
        Self::ALL.into_iter().find(|pattern| pattern.name() == text).ok_or(UnknownPattern)
    }
}
