//! `--baselines` and what belongs to it: what a policy is compared with.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use kscout_core::kspace::{Pattern, Reconstruction};
use kscout_core::model::Model;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Failure, number};
use crate::data::measured::{Measured, MeasuredVolume};
use crate::data::{Dataset, Split};
use crate::metrics::dice::Occurring;
use crate::mri::Measuring;
use crate::progress;
use crate::samplers::forward::Forward;
use crate::samplers::{
    AllocationOracle, Fixed, LearnedMask, LineOrder, Neighbours, Oracle, Planned, PositionOrder, Score, Scorer, Search,
};
use crate::shard::Together;
use crate::volume::position::Plans;

/// Lines that the nearest neighbour is found by: fewer tell slices apart less well, more leave less to choose.
const NEIGHBOUR_CENTRE: usize = 4;

/// Centre lines before the one-step oracle chooses: with none it does worse by .06 of Dice at 8 lines, with more it has less
/// to choose.
const ORACLE_CENTRE: usize = 2;

/// Options about baselines.
#[derive(Args)]
pub struct BaselineArgs {
    /// What to compare with, separated by commas: `patterns` (centre-out, equispaced, variable-density, partial-fourier,
    /// random-low-bias, random, or one of them by its name), `learned-mask` (of --mask), `nearest-neighbour` (the best mask of
    /// the training slice with the most similar centre lines), and two oracles of lines, which know the truth:
    /// `one-step-oracle` (the best next line for each slice), `mask-oracle` (the mask learned on the evaluated volumes
    /// themselves). Neighbour and oracles of lines take minutes. Two share a budget among the slices of a volume, the number of
    /// lines being that of a slice on average: `by-position` (of --positions), and `allocation-oracle`, which knows the truth
    /// too. Or `all`
    #[arg(long, value_name = "LIST", default_value = PATTERNS)]
    pub baselines: BaselineList,
    /// The mask of `learned-mask`, from `kscout train mask`
    #[arg(long, value_name = "FILE.json")]
    pub mask: Option<PathBuf>,
    /// The plan of `by-position`, how many lines slices get by their position: `positions.json` in the folder of a slice
    /// policy's training
    #[arg(long, value_name = "FILE.json")]
    pub positions: Option<PathBuf>,
    /// Oracles and neighbours select among the N lines nearest to the centre, for speed; by default among all
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>(1..=number::MAX_IMAGE_LINES))]
    pub candidates: Option<usize>,
    /// Centre lines that are measured before the nearest neighbour and the one-step oracle choose; by default 4 and 2
    #[arg(long, value_name = "N", value_parser = number::whole::<usize>(0..=number::MAX_IMAGE_LINES))]
    pub centre_first: Option<usize>,
    /// Training slices among which the nearest neighbour is searched, drawn at random
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = number::whole::<usize>(1..=number::MANY))]
    pub neighbours: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// A pattern.
    Pattern(Pattern),
    /// A mask from a file.
    LearnedMask,
    /// See [`Neighbours`].
    NearestNeighbour,
    /// See [`Oracle`].
    OneStepOracle,
    /// A mask learned on what is evaluated.
    MaskOracle,
    /// See [`PositionOrder`].
    ByPosition,
    /// See [`AllocationOracle`].
    AllocationOracle,
}

impl Baseline {
    /// Those that are no patterns.
    const LEARNED: [Self; 6] = [
        Self::LearnedMask,
        Self::NearestNeighbour,
        Self::OneStepOracle,
        Self::MaskOracle,
        Self::ByPosition,
        Self::AllocationOracle,
    ];

    /// The name in tables and lists.
    fn name(self) -> &'static str {
        match self {
            Self::Pattern(pattern) => pattern.name(),
            Self::LearnedMask => LearnedMask::NAME,
            Self::NearestNeighbour => Neighbours::NAME,
            Self::OneStepOracle => Oracle::NAME,
            Self::MaskOracle => "mask-oracle",
            Self::ByPosition => PositionOrder::NAME,
            Self::AllocationOracle => AllocationOracle::NAME,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        Pattern::ALL.into_iter().map(Self::Pattern).chain(Self::LEARNED)
    }
}

/// The name of all baselines in a list.
const ALL: &str = "all";
/// That of all patterns.
const PATTERNS: &str = "patterns";

impl Default for BaselineList {
    /// The patterns.
    fn default() -> Self {
        PATTERNS.parse().expect("a name that is known")
    }
}

/// A list of baselines, each at most once.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineList(pub Vec<Baseline>);

impl FromStr for BaselineList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut list = Vec::new();
        for name in text.split(',').map(str::trim) {
            let named = |baseline: &Baseline| match name {
                ALL => true,
                PATTERNS => matches!(baseline, Baseline::Pattern(_)),
                _ => baseline.name() == name,
            };
            let mut found = Baseline::all().filter(named).peekable();
            if found.peek().is_none() {
                let names: Vec<&str> = Baseline::all().map(Baseline::name).collect();
                return Err(format!("`{name}` is none of {PATTERNS}, {ALL}, {}", names.join(", ")));
            }
            let new: Vec<Baseline> = found.filter(|baseline| !list.contains(baseline)).collect();
            list.extend(new);
        }
        Ok(Self(list))
    }
}

/// Where baselines take what they need from.
pub struct Ground<'a> {
    /// The data set, for its training slices.
    pub data: &'a Dataset,
    /// The segmenter's file, for those that ask it.
    pub model: Option<&'a Model<'a>>,
    /// How images are made.
    pub reconstruction: Reconstruction,
    /// What is scanned here: all, or the part of this process.
    pub volumes: &'a [MeasuredVolume<'a>],
    /// Which structures occur in the truth of all.
    pub occurring: Occurring,
    /// Largest budget.
    pub most: usize,
    /// How slices are measured; the seed is that of the choice of training slices too.
    pub measuring: Measuring,
}

impl BaselineArgs {
    /// Refuses options that cannot work with `width` lines, of which up to `most` are asked for, before anything costly is done.
    pub fn check(&self, width: usize, most: usize) -> Result<(), Failure> {
        if let Some(nearest) = self.candidates.filter(|&n| n < most || n > width) {
            return Err(format!("--candidates {nearest}: expected {most} (the largest budget) to {width} lines").into());
        }
        let fewest = usize::from(self.baselines.0.contains(&Baseline::NearestNeighbour));
        let nearest = self.candidates.unwrap_or(width);
        if let Some(first) = self.centre_first.filter(|first| !(fewest..=nearest).contains(first)) {
            return Err(format!("--centre-first {first}: expected {fewest} to {nearest} lines").into());
        }
        self.learned_mask(width, most)?;
        self.plans(width).map(|_| ())
    }

    /// Whether one of them asks a segmenter for its lines, by name.
    pub fn asks_segmenter(&self) -> Option<&'static str> {
        let asks = |baseline: &Baseline| {
            !matches!(baseline, Baseline::Pattern(_) | Baseline::LearnedMask | Baseline::ByPosition)
        };
        self.baselines.0.iter().copied().find(asks).map(Baseline::name)
    }

    /// Refuses what looks at all volumes together, where they are dealt out.
    pub fn expect_separable(&self) -> Result<(), Failure> {
        if self.baselines.0.contains(&Baseline::MaskOracle) {
            let name = Baseline::MaskOracle.name();
            return Err(format!("--shard: {name} learns from all volumes together; leave it out of --baselines").into());
        }
        Ok(())
    }

    /// The orders of lines, ready to be used.
    pub fn orders<'a>(&self, ground: &Ground<'a>) -> Result<Vec<Box<dyn LineOrder + 'a>>, Failure> {
        self.baselines.0.iter().map(|&baseline| self.order(baseline, ground)).collect()
    }

    fn order<'a>(&self, baseline: Baseline, ground: &Ground<'a>) -> Result<Box<dyn LineOrder + 'a>, Failure> {
        let Ground { data, volumes, most, .. } = *ground;
        let nearest = self.candidates.unwrap_or(data.width());
        let occurring = ground.occurring;
        let no_segmenter = || Failure::from(format!("{} asks a segmenter", baseline.name()));
        let scorer = || {
            let scorer = ground.model.and_then(|model| Scorer::new(model, Score::Dice));
            scorer.map(|scorer| scorer.among(occurring)).ok_or_else(no_segmenter)
        };
        let name = baseline.name();
        Ok(match baseline {
            Baseline::Pattern(pattern) => Box::new(pattern),
            Baseline::LearnedMask => {
                let mask = self.learned_mask(data.width(), most)?;
                if let Some(mask) = &mask {
                    mask.note_conditions(&ground.measuring.protocol.to_string(), ground.reconstruction.name());
                }
                Box::new(Fixed { name, lines: mask.map(|mask| mask.lines).unwrap_or_default() })
            }
            Baseline::NearestNeighbour => Box::new(self.neighbours(&scorer()?, nearest, ground)?),
            Baseline::OneStepOracle => {
                let bar = progress::bar(volumes.len() as u64, 0, "oracle");
                let oracle = Oracle { scorer: &scorer()?, centre: self.centre_first.unwrap_or(ORACLE_CENTRE), nearest };
                let planned = Planned::new(&oracle, volumes, most, &bar)?;
                bar.finish_and_clear();
                Box::new(planned)
            }
            Baseline::MaskOracle => {
                let pools: Vec<_> = volumes.iter().map(|volume| volume.slices.iter().collect()).collect();
                let bar = progress::bar(most as u64, 0, "mask oracle");
                let forward = Forward { scorer: &scorer()?, start: &[], nearest, budget: most };
                let lines = forward.select(&pools, &mut Together::alone(), |_, _| bar.inc(1))?;
                bar.finish_and_clear();
                Box::new(Fixed { name, lines })
            }
            Baseline::ByPosition => {
                let plans = self.plans(data.width())?.ok_or("by-position was not asked for")?;
                Box::new(PositionOrder { plans })
            }
            Baseline::AllocationOracle => {
                Box::new(AllocationOracle { model: ground.model.ok_or_else(no_segmenter)?, occurring })
            }
        })
    }

    fn neighbours(&self, scorer: &Scorer<'_>, nearest: usize, ground: &Ground<'_>) -> Result<Neighbours, Failure> {
        let Ground { data, most, measuring: Measuring { protocol, seed }, .. } = *ground;
        let mut slices = data.slices(Split::Train);
        if slices.is_empty() {
            return Err(format!("{}: nearest-neighbour needs training slices", data.dir().display()).into());
        }
        slices.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        slices.truncate(self.neighbours);
        let slices: Vec<Measured<'_>> =
            slices.into_par_iter().map(|slice| Measured::new(slice, &protocol, seed)).collect();
        let bar = progress::bar(slices.len() as u64, 0, "neighbours");
        let centre = self.centre_first.unwrap_or(NEIGHBOUR_CENTRE).min(nearest);
        let neighbours =
            Neighbours::learn(scorer, &slices, Search { centre, nearest, budget: most.max(centre) }, &bar)?;
        bar.finish_and_clear();
        Ok(neighbours)
    }

    /// The mask of the file, if it is asked for.
    fn learned_mask(&self, width: usize, most: usize) -> Result<Option<LearnedMask>, Failure> {
        if !self.baselines.0.contains(&Baseline::LearnedMask) {
            return match &self.mask {
                Some(path) => Err(format!("--mask {}: --baselines does not have learned-mask", path.display()).into()),
                None => Ok(None),
            };
        }
        let path = self.mask.as_deref();
        let path = path.ok_or("learned-mask: give its file with --mask FILE.json; `kscout train mask` makes one")?;
        Ok(Some(LearnedMask::read_for(path, width, most)?))
    }

    /// The lines by position of the file, if they are asked for.
    fn plans(&self, width: usize) -> Result<Option<Plans>, Failure> {
        if !self.baselines.0.contains(&Baseline::ByPosition) {
            return match &self.positions {
                Some(path) => {
                    Err(format!("--positions {}: --baselines does not have by-position", path.display()).into())
                }
                None => Ok(None),
            };
        }
        let path = self.positions.as_deref();
        let path = path.ok_or(
            "by-position: give its file with --positions FILE.json; `kscout train slice-policy` leaves \
             positions.json in its folder",
        )?;
        Ok(Some(Plans::read_for(path, width)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_each_once_and_groups_stand_for_their_members() {
        let list = |text: &str| text.parse::<BaselineList>().map(|list| list.0);
        assert_eq!(list("all").unwrap().len(), Pattern::ALL.len() + 6);
        assert_eq!(list("patterns").unwrap(), Pattern::ALL.map(Baseline::Pattern));
        let some = list("mask-oracle, centre-out,mask-oracle").unwrap();
        assert_eq!(some, [Baseline::MaskOracle, Baseline::Pattern(Pattern::CentreOut)]);
        assert_eq!(list("centre-out,patterns").unwrap().len(), Pattern::ALL.len());
        let error = list("centre-out,oracle").unwrap_err();
        assert!(error.starts_with("`oracle` is none of patterns, all, centre-out, "), "{error}");
        assert!(error.ends_with("mask-oracle, by-position, allocation-oracle"), "{error}");
    }
}
