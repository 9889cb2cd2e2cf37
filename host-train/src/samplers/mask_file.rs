//! A learned mask on disk: JSON that people can read, and other programs too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kscout_core::kspace::{LineSet, MAX_LINES};
use serde::{Deserialize, Serialize};

use crate::io::whole::write_atomically;
use crate::samplers::scorer::Score;

/// What the key `format` says in files of this kind.
const FORMAT: &str = "kscout learned mask 1";

/// Why a learned mask could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MaskFileError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}; `kscout train mask` makes such files", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not hold a learned mask.
    #[error("{}: no learned mask: {problem}; `kscout train mask` makes such files", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The mask is for images of another size.
    #[error("{}: a mask of {of} lines of k-space, expected {expected}", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// Lines of k-space that it is for.
        of: usize,
        /// Lines of k-space that there are.
        expected: usize,
    },
    /// The mask does not have as many lines as are to be measured.
    #[error(
        "{}: orders {has} lines, {asked} are asked for; `kscout train mask --budget {asked} --resume` learns more",
        path.display()
    )]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Lines that it orders.
        has: usize,
        /// Lines asked for.
        asked: usize,
    },
}

/// Lines in the order in which they were learned, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedMask {
    format: String,
    /// Lines of k-space.
    pub width: usize,
    /// The lines, most useful first.
    pub lines: Vec<u16>,
    /// The training score with each of them and those before.
    pub scores: Vec<f64>,
    /// What they were learned from.
    pub provenance: Provenance,
}

/// What a mask was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The command line.
    pub command: String,
    /// The segmenter's checkpoint or file.
    pub segmenter: String,
    /// Its CRC-32 as a blob; files of before lack it.
    #[serde(default)]
    pub segmenter_crc: Option<u32>,
    /// The data set.
    pub data: String,
    /// The CRC-32 of its manifest; files of before lack it.
    #[serde(default)]
    pub data_crc: Option<u32>,
    /// How slices were measured.
    pub protocol: String,
    /// How images were made of the lines.
    pub reconstruction: String,
    /// Seed of the choice of volumes, and of phase and noise.
    pub seed: u64,
    /// What was made as large as can be.
    pub score: Score,
    /// Lines were selected among so many nearest to the centre.
    pub nearest: usize,
    /// Whether lines are moved within the order, once all are there.
    #[serde(default)]
    pub reordered: bool,
    /// The training volumes, such as `patient001/ED`.
    pub volumes: Vec<String>,
    /// Their slices.
    pub slices: usize,
}

impl Provenance {
    /// Whether lines learned from one can be followed by lines learned from the other: where checksums are known, the files
    /// may have moved. Lines that were not to be moved may be moved from now on.
    pub fn continues(&self, other: &Self) -> bool {
        let same = |paths: [&String; 2], crcs: [Option<u32>; 2]| match crcs {
            [Some(own), Some(other)] => own == other,
            _ => paths[0] == paths[1],
        };
        let places = Self {
            command: other.command.clone(),
            segmenter: other.segmenter.clone(),
            segmenter_crc: other.segmenter_crc,
            data: other.data.clone(),
            data_crc: other.data_crc,
            reordered: self.reordered && other.reordered,
            ..self.clone()
        };
        same([&self.segmenter, &other.segmenter], [self.segmenter_crc, other.segmenter_crc])
            && same([&self.data, &other.data], [self.data_crc, other.data_crc])
            && places == *other
    }
}

impl LearnedMask {
    /// What lines of such a file are called in tables and lists.
    pub const NAME: &'static str = "learned-mask";

    /// A mask without lines yet.
    pub fn new(width: usize, provenance: Provenance) -> Self {
        Self { format: FORMAT.into(), width, lines: Vec::new(), scores: Vec::new(), provenance }
    }

    /// Reads a file, and checks it.
    ///
    /// # Errors
    /// `MaskFileError` says which file, and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, MaskFileError> {
        let bytes = fs::read(path).map_err(|source| MaskFileError::Read { path: path.to_owned(), source })?;
        let mask = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        let checked = mask.and_then(|mask: Self| mask.check().map(|()| mask));
        checked.map_err(|problem| MaskFileError::Content { path: path.to_owned(), problem })
    }

    /// [`read`](Self::read), for measuring `budget` of `width` lines.
    ///
    /// # Errors
    /// `MaskFileError`, also where the mask has fewer lines, or is for another width.
    pub fn read_for(path: &Path, width: usize, budget: usize) -> Result<Self, MaskFileError> {
        let mask = Self::read(path)?;
        if mask.width != width {
            return Err(MaskFileError::Width { path: path.to_owned(), of: mask.width, expected: width });
        }
        if mask.lines.len() < budget {
            return Err(MaskFileError::TooShort { path: path.to_owned(), has: mask.lines.len(), asked: budget });
        }
        Ok(mask)
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// `MaskFileError::Write`; a file that was there is as it was.
    pub fn write(&self, path: &Path) -> Result<(), MaskFileError> {
        let mut text = serde_json::to_string_pretty(self).expect("a mask serialises");
        text.push('\n');
        write_atomically(path, text.as_bytes()).map_err(|source| MaskFileError::Write { path: path.to_owned(), source })
    }

    /// Says on standard error that the mask was learned under another protocol or reconstruction, if it was.
    pub fn note_conditions(&self, protocol: &str, reconstruction: &str) {
        let learned = [&self.provenance.protocol, &self.provenance.reconstruction];
        if learned != [protocol, reconstruction] {
            let [from, with] = learned;
            eprintln!(
                "note: the mask was learned under `{from}`, `{with}`; this uses `{protocol}`, `{reconstruction}`"
            );
        }
    }

    fn check(&self) -> Result<(), String> {
        let Self { format, width, lines, scores, .. } = self;
        if format != FORMAT {
            return Err(format!("`format` is \"{format}\", expected \"{FORMAT}\""));
        }
        let mut seen = LineSet::new(*width).map_err(|_| format!("`width` is {width}, expected 1 to {MAX_LINES}"))?;
        for &line in lines {
            match seen.insert(usize::from(line)) {
                Ok(true) => {}
                Ok(false) => return Err(format!("`lines` has line {line} twice")),
                Err(error) => return Err(format!("`lines`: {error}")),
            }
        }
        if scores.len() != lines.len() {
            return Err(format!("`scores` has {} entries, `lines` {}", scores.len(), lines.len()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> LearnedMask {
        let provenance = Provenance {
            command: "kscout train mask".into(),
            segmenter: "runs/segmenter".into(),
            segmenter_crc: Some(7),
            data: "data/phantom".into(),
            data_crc: Some(9),
            protocol: "scanner".into(),
            reconstruction: "zero-filled".into(),
            seed: 7,
            score: Score::SoftDice,
            nearest: 48,
            reordered: false,
            volumes: vec!["patient001/ED".into()],
            slices: 9,
        };
        let mask = LearnedMask::new(64, provenance);
        LearnedMask { lines: vec![32, 31, 35], scores: vec![0.1, 0.25, 1.0 / 3.0], ..mask }
    }

    #[test]
    fn a_mask_is_read_back_as_it_was_written() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("round-trip.json");
        mask().write(&path).unwrap();
        assert_eq!(LearnedMask::read(&path).unwrap(), mask());
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let error = LearnedMask::read(Path::new("no/missing.json")).unwrap_err().to_string();
        assert!(error.contains("missing.json: cannot be read") && error.contains("`kscout train mask`"), "{error}");
    }

    #[test]
    fn what_is_no_mask_is_refused_by_name_and_reason() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("broken.json");
        let text = serde_json::to_string(&mask()).unwrap();
        let cases = [
            ("32,31,35", "32,31,32", "`lines` has line 32 twice"),
            ("32,31,35", "32,31,64", "line 64 does not exist"),
            ("32,31,35", "32,31", "`scores` has 3 entries, `lines` 2"),
            ("\"width\":64", "\"width\":0", "`width` is 0, expected 1 to 512"),
            ("\"width\":64", "\"breadth\":64", "unknown field `breadth`"),
            ("learned mask 1", "learned mask 2", "\"kscout learned mask 2\", expected \"kscout learned mask 1\""),
            ("soft-dice", "accuracy", "unknown variant `accuracy`"),
            ("}}", "}", "EOF"),
        ];
        for (from, to, expected) in cases {
            assert!(text.contains(from), "{from}");
            fs::write(&path, text.replace(from, to)).unwrap();
            let error = LearnedMask::read(&path).unwrap_err().to_string();
            assert!(error.contains("broken.json: no learned mask") && error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn a_mask_that_does_not_suffice_is_refused_by_name() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("short.json");
        mask().write(&path).unwrap();
        assert_eq!(LearnedMask::read_for(&path, 64, 3).unwrap(), mask());
        let refused = |width, budget| LearnedMask::read_for(&path, width, budget).unwrap_err().to_string();
        assert!(refused(128, 3).ends_with("short.json: a mask of 64 lines of k-space, expected 128"));
        assert!(refused(64, 4).contains("short.json: orders 3 lines, 4 are asked for; `kscout train mask --budget 4 "));
    }

    #[test]
    fn lines_go_on_wherever_segmenter_and_data_lie_but_not_from_others() {
        let goes_on = |change: &dyn Fn(&mut Provenance)| {
            let mut other = mask().provenance;
            change(&mut other);
            other.continues(&mask().provenance)
        };
        assert!(goes_on(&|other| other.command = "again".into()));
        assert!(goes_on(&|other| other.segmenter = "moved/reward".into()));
        assert!(goes_on(&|other| other.data = "moved/phantom".into()));
        assert!(!goes_on(&|other| other.segmenter_crc = Some(8)));
        assert!(!goes_on(&|other| other.data_crc = Some(8)));
        assert!(!goes_on(&|other| other.seed = 8));
        assert!(goes_on(&|later| later.reordered = true));
        let mut moved = mask().provenance;
        moved.reordered = true;
        assert!(!mask().provenance.continues(&moved), "moved lines would be followed by lines in no better order");
    }

    #[test]
    fn without_checksums_paths_count() {
        let text = serde_json::to_string(&mask()).unwrap();
        let before = text.replace("\"segmenter_crc\":7,", "").replace("\"data_crc\":9,", "");
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("before.json");
        fs::write(&path, before).unwrap();
        let old = LearnedMask::read(&path).unwrap().provenance;
        let new = mask().provenance;
        assert!(new.continues(&old));
        assert!(!Provenance { segmenter: "moved/reward".into(), ..new.clone() }.continues(&old));
        assert!(!Provenance { data: "moved/phantom".into(), ..new }.continues(&old));
    }
}
