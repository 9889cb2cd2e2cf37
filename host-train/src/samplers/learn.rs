//! Learning a mask on training volumes: `kscout train mask`.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::measured::{Measured, MeasuredVolume};
use crate::data::{Dataset, Split, Volume};
use crate::io::stop;
use crate::mri::Protocol;
use crate::samplers::OrderError;
use crate::samplers::forward::Forward;
use crate::samplers::mask_file::{LearnedMask, MaskFileError, Provenance};
use crate::samplers::reorder::Reordering;
use crate::samplers::scorer::Scorer;
use crate::shard::Together;

/// Why a mask could not be learned.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Lines could not be tried.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] MaskFileError),
    /// The data set has no volumes to learn from.
    #[error("{0}: no training volumes; import with --split auto or --split train")]
    NoVolumes(PathBuf),
    /// A mask is there already.
    #[error("{0}: is there already; add --resume to learn more lines, or choose another --out")]
    Exists(PathBuf),
    /// The mask that is there was learned from something else.
    #[error("{0}: was learned from another segmenter, data, seed or options; choose another --out")]
    Other(PathBuf),
}

/// What a mask is learned from.
pub struct Learning<'a> {
    /// The data set.
    pub data: &'a Dataset,
    /// Scores every try.
    pub scorer: &'a Scorer<'a>,
    /// How slices are measured.
    pub protocol: Protocol,
    /// Seed of the choice of volumes, and of phase and noise.
    pub seed: u64,
    /// Training volumes to learn from; as many as there are where that is fewer.
    pub volumes: usize,
    /// Lines are selected among so many nearest to the centre.
    pub nearest: usize,
    /// Lines to learn.
    pub budget: usize,
    /// Whether lines are moved within the order afterwards: see [`reorder`](mod@crate::samplers::reorder).
    pub reorder: bool,
}

/// What a mask was changed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its last line joined.
    Joined,
    /// Lines were moved.
    Reordered,
}

/// What came of learning a mask.
#[derive(Debug, PartialEq)]
pub struct Learned {
    /// The mask, as it is written.
    pub mask: LearnedMask,
    /// Whether a signal has ended its learning before its time.
    pub stopped: bool,
}

/// Where a mask comes from, for people who read its file, and for a run that goes on with it.
pub struct Origin<'a> {
    /// The command line.
    pub command: String,
    /// The segmenter's checkpoint or file.
    pub segmenter: &'a Path,
    /// The CRC-32 of its blob.
    pub segmenter_crc: u32,
}

impl Learning<'_> {
    /// Learns the mask and writes it to `out` after every line and every round of moves, so that a run that was stopped goes on
    /// with `resume`; a signal ends it after the line or round before. `each` is told what changed, and the mask after it.
    ///
    /// The score is the mean over whole training volumes, which is what evaluation reports: see [`Scorer`].
    ///
    /// # Errors
    /// [`LearnError`]; `out` holds what was learned before.
    pub fn run(
        &self,
        origin: Origin<'_>,
        out: &Path,
        resume: bool,
        together: &mut Together,
        mut each: impl FnMut(Change, &LearnedMask),
    ) -> Result<Learned, LearnError> {
        let chosen = self.choose();
        if chosen.is_empty() {
            return Err(LearnError::NoVolumes(self.data.dir().to_owned()));
        }
        let provenance = Provenance {
            command: origin.command,
            segmenter: origin.segmenter.display().to_string(),
            segmenter_crc: Some(origin.segmenter_crc),
            data: self.data.dir().display().to_string(),
            data_crc: Some(self.data.manifest().crc()),
            protocol: self.protocol.to_string(),
            reconstruction: self.scorer.reconstruction().to_string(),
            seed: self.seed,
            score: self.scorer.score(),
            nearest: self.nearest,
            reordered: self.reorder,
            volumes: chosen.iter().map(Volume::name).collect(),
            slices: chosen.iter().map(|volume| volume.slices.len()).sum(),
        };
        let mut mask = begin(LearnedMask::new(self.data.width(), provenance), out, resume, together)?;
        let volumes: Vec<MeasuredVolume<'_>> =
            chosen.iter().map(|volume| MeasuredVolume::new(volume, &self.protocol, self.seed)).collect();
        let pools: Vec<_> = volumes.iter().map(|volume| volume.slices.iter().collect()).collect();
        let start = mask.lines.clone();
        let forward = Forward { scorer: self.scorer, start: &start, nearest: self.nearest, budget: self.budget };
        let mut written = Ok(());
        let leads = together.leads();
        forward.select(&pools, together, |line, score| {
            mask.lines.push(line);
            mask.scores.push(six_digits(score));
            if written.is_ok() && leads {
                written = mask.write(out);
            }
            each(Change::Joined, &mask);
        })?;
        written?;
        let is_whole = match self.reorder {
            false => mask.lines.len() == self.budget,
            true => !stop::asked() && self.move_lines(&mut mask, &pools, out, together, each)?,
        };
        // A signal that came after the last of it has ended nothing.
        Ok(Learned { stopped: !is_whole && stop::asked(), mask })
    }

    /// Moves the mask's lines, and writes it to `out` after every round; returns whether no move is left.
    fn move_lines(
        &self,
        mask: &mut LearnedMask,
        pools: &[Vec<&Measured<'_>>],
        out: &Path,
        together: &mut Together,
        mut each: impl FnMut(Change, &LearnedMask),
    ) -> Result<bool, LearnError> {
        let (mut lines, mut written, leads) = (mask.lines.clone(), Ok(()), together.leads());
        let moved = Reordering::new(self.scorer, pools, together).improve(&mut lines, |lines, scores| {
            mask.lines = lines.to_vec();
            mask.scores = scores.into_iter().map(six_digits).collect();
            if written.is_ok() && leads {
                written = mask.write(out);
            }
            each(Change::Reordered, mask);
        });
        let is_whole = match moved {
            Err(OrderError::Stopped) => false,
            moved => moved?,
        };
        written?;
        // Where no move was left the file may not say yet that moves were looked for.
        if is_whole && leads {
            mask.write(out)?;
        }
        Ok(is_whole)
    }

    /// The training volumes, drawn at random, in the data set's order.
    fn choose(&self) -> Vec<Volume<'_>> {
        let mut volumes = self.data.volumes(Split::Train);
        let mut places: Vec<usize> = (0..volumes.len()).collect();
        places.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        let drawn = &places[..self.volumes.min(places.len())];
        let mut place = 0..;
        volumes.retain(|_| place.next().is_some_and(|place| drawn.contains(&place)));
        volumes
    }
}

/// What is read back as it is written.
fn six_digits(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

/// The mask to go on with: `new`, or what lies at `out`.
fn begin(new: LearnedMask, out: &Path, resume: bool, together: &Together) -> Result<LearnedMask, LearnError> {
    if !out.exists() {
        if resume && !together.is_dealt_out() {
            eprintln!("note: {}: no mask to go on with yet; a new one begins", out.display());
        }
        return Ok(new);
    }
    if !resume && !together.is_dealt_out() {
        return Err(LearnError::Exists(out.to_owned()));
    }
    let mut mask = LearnedMask::read(out)?;
    if mask.width != new.width || !new.provenance.continues(&mask.provenance) {
        return Err(LearnError::Other(out.to_owned()));
    }
    // Those who work together find every line again, in what each has left for the others.
    if together.is_dealt_out() {
        return Ok(new);
    }
    mask.provenance.reordered = new.provenance.reordered;
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::Score;
    use crate::samplers::threshold::{Threshold, phantoms};

    #[test]
    fn a_mask_that_was_stopped_goes_on_as_if_it_had_not() {
        let (segmenter, data) = (Threshold::new(64), phantoms(4));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let learn = |out: &str, (budget, reorder), (seed, segmenter_crc), resume| {
            let protocol = Protocol::scanner();
            let learning =
                Learning { data: &data, scorer: &scorer, protocol, seed, volumes: 3, nearest: 16, budget, reorder };
            let path = format!("threshold {budget}");
            let origin = Origin { command: format!("learn {budget}"), segmenter: Path::new(&path), segmenter_crc };
            let learned = learning.run(origin, &folder.join(out), resume, &mut Together::alone(), |_, _| ());
            learned.map(|learned| learned.mask)
        };
        let whole = learn("whole", (5, false), (1, 7), false).unwrap();
        assert_eq!(whole.provenance.volumes.len(), 3);
        learn("parts", (2, false), (1, 7), false).unwrap();
        let parts = learn("parts", (5, false), (1, 7), true).unwrap();
        assert_eq!((&parts.lines, &parts.scores), (&whole.lines, &whole.scores));
        assert_eq!(LearnedMask::read(&folder.join("parts")).unwrap(), parts);
        assert!(matches!(learn("parts", (6, false), (1, 7), false), Err(LearnError::Exists(_))));
        assert!(matches!(learn("parts", (6, false), (2, 7), true), Err(LearnError::Other(_))), "another seed");
        assert!(matches!(learn("parts", (6, false), (1, 8), true), Err(LearnError::Other(_))), "another segmenter");
        let moved = learn("parts", (6, true), (1, 7), true).unwrap();
        assert!(moved.provenance.reordered && moved.lines.len() == 6, "lines in a better order from now on");
        assert!(matches!(learn("parts", (7, false), (1, 7), true), Err(LearnError::Other(_))), "and not in none");
        assert_eq!(learn("other", (1, false), (2, 7), true).unwrap().lines.len(), 1, "--resume without a file begins");
    }

    #[test]
    fn a_mask_that_was_stopped_among_its_moves_ends_in_the_same_order() {
        let (segmenter, data) = (Threshold::new(64), phantoms(2));
        let model = segmenter.model();
        let scorer = Scorer::new(&model, Score::Dice).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let learn = |out: &str, reorder| {
            let (protocol, out) = (Protocol::scanner(), folder.join(out));
            let learning = Learning {
                data: &data,
                scorer: &scorer,
                protocol,
                seed: 1,
                volumes: 2,
                nearest: 16,
                budget: 6,
                reorder,
            };
            let origin = Origin { command: "learn".into(), segmenter: Path::new("threshold"), segmenter_crc: 7 };
            let mut told = Vec::new();
            let each = |change, mask: &LearnedMask| told.push((change, mask.clone()));
            let learned = learning.run(origin, &out, true, &mut Together::alone(), each).unwrap();
            let mask = learned.mask;
            assert_eq!(LearnedMask::read(&out).unwrap(), mask);
            (mask, told)
        };
        let (forward, told) = learn("forward", false);
        assert!(told.len() == 6 && told.iter().all(|(change, _)| *change == Change::Joined), "{told:?}");
        // An order that moves can better.
        let mut poor = forward;
        poor.lines.reverse();
        poor.provenance.reordered = true;
        poor.write(&folder.join("whole")).unwrap();
        let (whole, told) = learn("whole", true);
        assert!(told.len() > 1 && told.iter().all(|(change, _)| *change == Change::Reordered), "{told:?}");
        assert_ne!(whole.lines, poor.lines);
        told[0].1.write(&folder.join("parts")).unwrap();
        assert_eq!(learn("parts", true).0, whole);
        assert_eq!(learn("parts", true), (whole, vec![]), "what is done is left alone");
    }
}
