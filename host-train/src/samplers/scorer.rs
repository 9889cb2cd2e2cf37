//! What a segmentation of some lines is worth, the truth known.
//!
//! Evaluation reports the mean over volumes of the 3-D Dice of RV, MYO and LV. Its mean over *slices* is something else: there a
//! small apical slice counts as much as one from the middle, and in a slice where a structure is not, one false pixel costs a
//! whole Dice. So what is counted is pooled over a volume before it becomes a score; a [`Tally`] is what can be added up.
//!
//! Where slices choose for themselves, what one of them adds must be known without the others. Around the volume's tally so
//! far, with `TP`, `P`, `T` the pixels of both, of the prediction and of the truth, and `d = 2 TP / (P + T)` the Dice so
//! far, a change of one slice changes the Dice by `(2 dTP - d (dP + dT)) / (P + T)` to first order: [`Score::share`] is that
//! term, and shares add up to the volume's Dice.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::str::FromStr;

use kscout_core::kspace::Reconstruction;
use kscout_core::model::Model;
use kscout_core::volume::STRUCTURES;
use serde::{Deserialize, Serialize};

use crate::data::CLASSES;
use crate::inference::segment::CoreSegmenter;
use crate::metrics::dice::{Occurring, overlaps};
use crate::runtime::{HeapArena, fastest};

/// What is made as large as can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// The 3-D Dice, mean over structures.
    #[default]
    Dice,
    /// The same of the segmenter's probabilities instead of its classes.
    SoftDice,
    /// The mean log-probability of the true class of a pixel: cross-entropy, negated.
    CrossEntropy,
}

impl Score {
    /// Every score.
    pub const ALL: [Self; 3] = [Self::Dice, Self::SoftDice, Self::CrossEntropy];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dice => "dice",
            Self::SoftDice => "soft-dice",
            Self::CrossEntropy => "cross-entropy",
        }
    }

    /// The score of a volume's tally; `None` if it holds no structure, so that a Dice is not defined.
    pub fn of(self, tally: &Tally) -> Option<f64> {
        match self {
            Self::Dice | Self::SoftDice => {
                let dice: Vec<f64> = (0..STRUCTURES).filter_map(|structure| tally.dice(structure)).collect();
                (!dice.is_empty()).then(|| dice.iter().sum::<f64>() / dice.len() as f64)
            }
            Self::CrossEntropy => (tally.pixels > 0.0).then(|| tally.log_probability / tally.pixels),
        }
    }

    /// What a slice with the tally `slice` contributes to the score of a volume whose tally is `volume`, to first order and but
    /// for a term that is the same for all tallies of that slice: of two ways to measure a slice, the one with more is better
    /// for the volume.
    pub fn share(self, slice: &Tally, volume: &Tally) -> f64 {
        match self {
            Self::Dice | Self::SoftDice => (0..STRUCTURES)
                .filter_map(|c| {
                    let sum = volume.predicted[c] + volume.truth[c];
                    let gain = 2.0 * slice.both[c] - volume.dice(c)? * (slice.predicted[c] + slice.truth[c]);
                    Some(gain / sum)
                })
                .sum(),
            Self::CrossEntropy => slice.log_probability,
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Score {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|score| score.name() == text);
        found.ok_or_else(|| format!("`{text}` is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What was counted in slices; tallies add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Pixels of RV, MYO and LV in the prediction, or the sum of their probabilities.
    pub predicted: [f64; STRUCTURES],
    /// Pixels of each in the truth.
    pub truth: [f64; STRUCTURES],
    /// Of those, the pixels in the prediction, or the sum of their probabilities.
    pub both: [f64; STRUCTURES],
    /// Sum of the log-probabilities of the true classes; 0 where the score does not ask for it.
    pub log_probability: f64,
    /// Pixels.
    pub pixels: f64,
}

impl Tally {
    /// The Dice of a structure; `None` if prediction and truth lack it.
    pub fn dice(&self, structure: usize) -> Option<f64> {
        let sum = self.predicted[structure] + self.truth[structure];
        (sum > 0.0).then(|| 2.0 * self.both[structure] / sum)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for structure in 0..STRUCTURES {
            self.predicted[structure] += other.predicted[structure];
            self.truth[structure] += other.truth[structure];
            self.both[structure] += other.both[structure];
        }
        self.log_probability += other.log_probability;
        self.pixels += other.pixels;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

/// The exported segmenter, in int8, and what counts of what it says.
pub struct Scorer<'m> {
    segmenter: CoreSegmenter<'m>,
    score: Score,
    occurring: Occurring,
    reconstruction: Reconstruction,
    /// `exp(-n * scale)` for differences of n levels between logits.
    exponentials: Vec<f64>,
}

/// The memory that a thread scores in.
pub struct Bench {
    arena: HeapArena,
    classes: Vec<u8>,
}

impl<'m> Scorer<'m> {
    /// FoldSegmenters by the model's segmenter, if it has one.
    pub fn new(model: &Model<'m>, score: Score) -> Option<Self> {
        let graph = model.segmenter()?;
        let scale = f64::from(graph.output().scale);
        let exponentials = (0..256).map(|n| (-f64::from(n) * scale).exp()).collect();
        let reconstruction = model.reconstruction();
        let (segmenter, occurring) = (CoreSegmenter { graph }, Occurring::ALL);
        Some(Self { segmenter, score, occurring, reconstruction, exponentials })
    }

    /// For data in which only these structures occur: the others are no part of a Dice.
    #[must_use]
    pub fn among(self, occurring: Occurring) -> Self {
        Self { occurring, ..self }
    }

    /// How the images are made that it scorers.
    pub fn reconstruction(&self) -> Reconstruction {
        self.reconstruction
    }

    /// What counts.
    pub fn score(&self) -> Score {
        self.score
    }

    /// Memory for [`tally`](Self::tally).
    pub fn bench(&self) -> Bench {
        let shape = self.segmenter.graph.output().shape;
        Bench { arena: self.segmenter.arena(), classes: vec![0; shape.h * shape.w] }
    }

    /// Segments a quantised image and counts, against the true classes `label`, both row-major.
    ///
    /// # Panics
    /// If one of them is not of the segmenter's size.
    pub fn tally(&self, bench: &mut Bench, levels: &[i8], label: &[u8]) -> Tally {
        let logits = self.segmenter.run(&mut bench.arena, levels);
        let tally = match self.score {
            Score::Dice => {
                fastest().classify(logits, CLASSES, &mut bench.classes);
                hard(&bench.classes, label)
            }
            Score::SoftDice | Score::CrossEntropy => self.soft(logits, label),
        };
        let predicted = self.occurring.only(tally.predicted.map(Some)).map(Option::unwrap_or_default);
        Tally { predicted, ..tally }
    }

    /// A tally of probabilities: the softmax of the logits.
    fn soft(&self, logits: &[i8], label: &[u8]) -> Tally {
        let mut tally = Tally { pixels: label.len() as f64, ..Tally::default() };
        for (logits, &truth) in logits.chunks_exact(CLASSES).zip(label) {
            let largest = logits.iter().copied().max().unwrap_or_default();
            let mut p = [0.0; CLASSES];
            for (p, &logit) in p.iter_mut().zip(logits) {
                *p = self.exponentials[usize::from(largest.abs_diff(logit))];
            }
            let sum: f64 = p.iter().sum();
            let truth = usize::from(truth);
            for (structure, p) in p[1..].iter().enumerate() {
                tally.predicted[structure] += p / sum;
            }
            if truth > 0 {
                tally.truth[truth - 1] += 1.0;
                tally.both[truth - 1] += p[truth] / sum;
            }
            tally.log_probability += (p[truth] / sum).ln();
        }
        tally
    }
}

fn hard(classes: &[u8], label: &[u8]) -> Tally {
    let overlaps = overlaps(classes, label).expect("labels of the segmenter's size");
    Tally {
        predicted: overlaps.map(|overlap| overlap.pred as f64),
        truth: overlaps.map(|overlap| overlap.truth as f64),
        both: overlaps.map(|overlap| overlap.both as f64),
        log_probability: 0.0,
        pixels: label.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::threshold::Threshold;

    fn tally(predicted: f64, truth: f64, both: f64) -> Tally {
        let of = |value| [0.0, value, 0.0];
        Tally { predicted: of(predicted), truth: of(truth), both: of(both), log_probability: 0.0, pixels: 100.0 }
    }

    #[test]
    fn a_volumes_dice_is_that_of_all_its_pixels() {
        let volume: Tally = [tally(40.0, 50.0, 30.0), tally(1.0, 0.0, 0.0)].into_iter().sum();
        assert_eq!(Score::Dice.of(&volume), Some(60.0 / 91.0));
        assert_eq!(Score::Dice.of(&tally(0.0, 0.0, 0.0)), None);
    }

    #[test]
    fn shares_tell_what_a_small_change_of_a_slice_is_worth_to_the_volume() {
        let (rest, before) = (tally(4000.0, 5000.0, 3000.0), tally(10.0, 12.0, 5.0));
        let volume: Tally = [rest, before].into_iter().sum();
        let score = |slice| Score::Dice.of(&[rest, slice].into_iter().sum()).unwrap();
        for after in [tally(12.0, 12.0, 6.0), tally(20.0, 12.0, 6.0), tally(9.0, 12.0, 5.0), tally(0.0, 12.0, 0.0)] {
            let gain = score(after) - score(before);
            let linear = Score::Dice.share(&after, &volume) - Score::Dice.share(&before, &volume);
            assert!((gain - linear).abs() < 0.01 * gain.abs(), "{after:?}: {gain}, {linear}");
        }
    }

    #[test]
    fn a_threshold_counts_pixels_and_probabilities_that_agree_with_it() {
        let segmenter = Threshold::new(64);
        let model = segmenter.model();
        // Dark, middling and bright: background, MYO and LV.
        let levels: Vec<i8> = (0..64 * 64).map(|i| [-128, -65, 60, 60][i % 4]).collect();
        let label: Vec<u8> = (0..64 * 64).map(|i| [0, 2, 3, 2][i % 4]).collect();
        let scored = |score| {
            let scorer = Scorer::new(&model, score).unwrap();
            scorer.tally(&mut scorer.bench(), &levels, &label)
        };
        let hard = scored(Score::Dice);
        assert_eq!(
            (hard.predicted, hard.truth, hard.both),
            ([0.0, 1024.0, 2048.0], [0.0, 2048.0, 1024.0], [0.0, 1024.0, 1024.0])
        );
        let soft = scored(Score::SoftDice);
        assert_eq!(soft.truth, hard.truth);
        for c in 0..STRUCTURES {
            assert!((soft.predicted[c] - hard.predicted[c]).abs() < 0.25 * 4096.0, "{soft:?}");
            assert!(soft.both[c] <= soft.predicted[c] && soft.both[c] <= soft.truth[c]);
        }
        let wrong = scored(Score::CrossEntropy);
        assert!(wrong.log_probability < 0.0 && Score::CrossEntropy.of(&wrong).unwrap() > -20.0, "{wrong:?}");
    }

    #[test]
    fn a_structure_that_does_not_occur_in_the_data_is_no_part_of_a_dice() {
        let segmenter = Threshold::new(64);
        let model = segmenter.model();
        // LV is found in a quarter, where there is none.
        let levels: Vec<i8> = (0..64 * 64).map(|i| [-128, -65, -65, 60][i % 4]).collect();
        let label: Vec<u8> = (0..64 * 64).map(|i| [0, 2, 2, 2][i % 4]).collect();
        for score in [Score::Dice, Score::SoftDice] {
            let all = Scorer::new(&model, score).unwrap();
            let dice = |scorer: &Scorer<'_>| {
                let tally = scorer.tally(&mut scorer.bench(), &levels, &label);
                (score.of(&tally).unwrap(), tally.dice(1).unwrap())
            };
            let (mean, myo) = dice(&all);
            assert!(mean < myo, "{score}");
            assert_eq!(dice(&all.among(Occurring::in_labels(&label))), (myo, myo), "{score}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for score in Score::ALL {
            assert_eq!(score.to_string().parse(), Ok(score));
        }
        assert_eq!("loss".parse::<Score>(), Err("`loss` is none of dice, soft-dice, cross-entropy".into()));
    }
}
