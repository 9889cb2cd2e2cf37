//! Segmenting files: slices go the way of training, and their classes come back on the file's own grid.
//!
//! slice -> the network's spacing and crop (`Resampler`) -> 16-bit intensities of the volume, as a data set stores them ->
//! k-space of the protocol -> the measured lines' quantised image -> logits -> the slice's own grid (`Restorer`). At another
//! spacing than the slices' own the logits are interpolated, not the classes.
//!
//! At the slices' own spacing, under the protocol `igs` and with no pattern that draws its lines, the classes are those that
//! `kscout eval` scores, pixel for pixel. Phase, noise and random lines are seeded by a slice's place, which is a file and
//! its plane here and a patient and a number in a data set: they differ, and some classes with them.
//!
//! `folders`: which files a folder's images are. [`input`]: reading a file; [`orientation`]: which way it is sliced.
//! `output`: writing the classes.

pub(crate) mod folders;
pub mod input;
pub mod orientation;
pub(crate) mod output;

use std::fmt;
use std::str::FromStr;

use kscout_core::kspace::{LineSet, Pattern, Reconstruction};
use rayon::prelude::*;

use crate::data::intensity::{from_level, to_levels};
use crate::data::resample::Resampler;
use crate::data::restore::Restorer;
use crate::inference::numbers::NoNumbers;
use crate::inference::segment::Segment;
use crate::mri::observation::{levels_to_real, observed_levels, pattern_mask};
use crate::mri::{Protocol, acquire, seed_for};
use input::{Input, Intensities};

/// A pattern and how many of its lines are measured: `centre-out:16`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Undersampling {
    /// The order of lines.
    pub pattern: Pattern,
    /// How many.
    pub lines: usize,
}

impl fmt::Display for Undersampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pattern.name(), self.lines)
    }
}

impl FromStr for Undersampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, lines) =
            text.split_once(':').ok_or("expected PATTERN:LINES, such as centre-out:16".to_string())?;
        let pattern = pattern.parse().map_err(|error| format!("{pattern}: {error}"))?;
        let lines = lines.parse().ok().filter(|lines| (1..=512).contains(lines));
        let lines = lines.ok_or(format!("{text}: expected a number of lines from 1 to 512 after the colon"))?;
        Ok(Self { pattern, lines })
    }
}

/// How files are segmented.
pub struct Predictor<'a> {
    /// The network.
    pub network: &'a (dyn Segment + Sync),
    /// Rows, and columns, of its images.
    pub side: usize,
    /// Spacing of its images in mm; `None` takes slices as they are. Pictures without a spacing are taken so anyway.
    pub spacing_mm: Option<f32>,
    /// The lines that are measured; `None`: all.
    pub undersampling: Option<Undersampling>,
    /// How the network's images are made.
    pub reconstruction: Reconstruction,
    /// Phase and noise of the measurement.
    pub protocol: Protocol,
    /// Their seed, and that of random patterns.
    pub seed: u64,
}

/// Slices whose logits are kept at a time; a network takes them in smaller batches.
const AT_ONCE: usize = 64;

/// A file's segmentation, on the grid of its slices.
pub struct Prediction {
    /// Classes of each slice, row-major.
    pub classes: Vec<Vec<u8>>,
    /// What the network saw of each slice, magnitudes on the file's grid; 0 outside its crop. Empty where nobody wants it.
    pub seen: Vec<Vec<f32>>,
}

impl Predictor<'_> {
    /// Segments every slice of a file, and keeps `seen` of them; `None` where no intensity inside the crop is above zero.
    ///
    /// # Errors
    /// [`NoNumbers`] where the network does not give any.
    ///
    /// # Panics
    /// If more lines are to be measured than the network's images have columns.
    pub fn predict(&self, input: &Input, keep_seen: bool) -> Result<Option<Prediction>, NoNumbers> {
        let (dim, side) = (input.dim, self.side);
        let (spacing_mm, target) = match input.spacing_mm {
            Some(spacing_mm) => (spacing_mm, self.spacing_mm),
            None => ([1.0; 2], None),
        };
        let resampler = Resampler::new(dim, spacing_mm, target, side);
        let restorer = Restorer::new(dim, spacing_mm, target, side);
        let planes: Vec<&[f32]> = input.planes().collect();
        let squares: Vec<Vec<f32>> = planes.par_iter().map(|plane| resampler.image(plane)).collect();
        let Some(images) = as_in_a_data_set(&squares, input.intensities) else { return Ok(None) };
        drop(squares);
        let observed: Vec<Vec<i8>> = (images.par_iter().enumerate())
            .map(|(z, image)| self.observe(image, seed_for(&input.name, z as u32, self.seed)))
            .collect();
        drop(images);
        let mut classes = Vec::with_capacity(observed.len());
        // Logits take sixteen times the memory of classes.
        for some in observed.chunks(AT_ONCE) {
            let levels: Vec<&[i8]> = some.iter().map(Vec::as_slice).collect();
            let logits = self.network.logits(&levels)?;
            classes.par_extend(logits.par_iter().map(|logits| restorer.classes(logits)));
        }
        let seen = |levels: &Vec<i8>| restorer.image(&levels_to_real(levels).collect::<Vec<f32>>());
        let seen = if keep_seen { observed.par_iter().map(seen).collect() } else { Vec::new() };
        Ok(Some(Prediction { classes, seen }))
    }

    /// What a scan makes of an image.
    fn observe(&self, image: &[f32], seed: u64) -> Vec<i8> {
        let kspace = acquire(image, self.side, self.side, &self.protocol, seed);
        observed_levels(&kspace, &self.mask(seed), self.reconstruction)
    }

    fn mask(&self, seed: u64) -> LineSet {
        let all = Undersampling { pattern: Pattern::CentreOut, lines: self.side };
        let Undersampling { pattern, lines } = self.undersampling.unwrap_or(all);
        pattern_mask(pattern, self.side, lines, seed)
    }
}

/// Intensities as a data set gives them: in 16 bits, the volume's maximum at 1.
fn as_in_a_data_set(squares: &[Vec<f32>], intensities: Intensities) -> Option<Vec<Vec<f32>>> {
    let levels: Vec<Vec<u16>> = match intensities {
        Intensities::Any => to_levels(squares)?.0,
        Intensities::Levels => squares.iter().map(|square| square.iter().map(|&v| v as u16).collect()).collect(),
    };
    let some = levels.iter().flatten().any(|&level| level > 0);
    some.then(|| levels.into_iter().map(|image| image.into_iter().map(from_level).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undersampling_is_a_pattern_and_a_number_of_lines() {
        let parsed: Undersampling = "centre-out:16".parse().unwrap();
        assert_eq!(parsed, Undersampling { pattern: Pattern::CentreOut, lines: 16 });
        assert_eq!(parsed.to_string(), "centre-out:16");
        let refused = |text: &str| text.parse::<Undersampling>().unwrap_err();
        assert!(refused("centre-out").contains("PATTERN:LINES"));
        assert!(refused("spiral:16").contains("spiral"));
        assert!(refused("random:0").contains("number of lines"));
        assert!(refused("random:many").contains("random:many"));
        assert!(refused("random:513").contains("1 to 512"));
    }
}
