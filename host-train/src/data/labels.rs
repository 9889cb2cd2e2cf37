//! Binary labels of patients or slices, from a CSV file: what a classifier learns.
//!
//! ```text
//! patient,DCM,HCM          or          patient,slice,tear
//! patient001,1,0                       patient001,0,1
//! patient002,0,                        patient001,1,0
//! ```
//!
//! 1 is yes, 0 is no, an empty cell is not known and teaches nothing.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Dataset, Manifest, SliceId, Split};

/// The most labels of a file, and names of labels in a checkpoint.
pub const MOST_LABELS: usize = 256;

/// One slice's labels, in the order of the names; `None` is not known.
pub type Diagnosis = Vec<Option<bool>>;

/// Why labels could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what was expected.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A label was asked for that the file does not have.
    #[error("{}: no column `{wanted}`; it has {}", path.display(), columns.join(", "))]
    NoSuchLabel {
        /// The file.
        path: PathBuf,
        /// The label.
        wanted: String,
        /// The labels it has.
        columns: Vec<String>,
    },
    /// A label was asked for twice, or one without a name.
    #[error("{}: the labels {} are asked for; each must have a name and be named once", path.display(), wanted.join(", "))]
    Wanted {
        /// The file.
        path: PathBuf,
        /// The labels.
        wanted: Vec<String>,
    },
    /// Nothing is known of the patients of a split.
    #[error("{}: says nothing of the {split} patients of {}; are the patients named as in the data set?", path.display(), data.display())]
    NothingKnown {
        /// The file.
        path: PathBuf,
        /// The split.
        split: Split,
        /// The data set.
        data: PathBuf,
    },
    /// The data set says nothing about its patients.
    #[error("{}: no patient has a group (diagnosis); import data that has them, such as ACDC with its Info.cfg files", .0.display())]
    NoGroups(PathBuf),
}

/// Binary labels by patient, or by slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    path: PathBuf,
    names: Vec<String>,
    rows: HashMap<(String, Option<u32>), Diagnosis>,
}

impl Labels {
    /// Reads a CSV file whose first line is `patient,LABEL,...` or `patient,slice,LABEL,...`.
    ///
    /// # Errors
    /// [`LabelsError`] names the line: a missing or repeated column, a row of another length, a value that is not 0, 1 or
    /// empty, a patient (or slice) that comes twice.
    pub fn read(path: &Path) -> Result<Self, LabelsError> {
        let text = fs::read_to_string(path).map_err(|source| LabelsError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, LabelsError> {
        let wrong = |line: u64, reason: String| LabelsError::Line { path: path.to_owned(), line, reason };
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
        let columns: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        if columns.first() != Some(&"patient") {
            let reason = "the first column must be `patient`, then come `slice` (if labels differ by slice) and labels";
            return Err(wrong(1, reason.into()));
        }
        let by_slice = columns.get(1) == Some(&"slice");
        let names: Vec<String> = columns.iter().skip(1 + usize::from(by_slice)).map(|&name| name.to_owned()).collect();
        if names.is_empty() {
            return Err(wrong(1, "no label column after `patient`".into()));
        }
        if names.len() > MOST_LABELS {
            return Err(wrong(1, format!("{} label columns; at most {MOST_LABELS} are read", names.len())));
        }
        if let Some(at) = (0..names.len()).find(|&i| names[i].is_empty() || names[..i].contains(&names[i])) {
            return Err(wrong(1, format!("label column {} (`{}`) has no name of its own", at + 1, names[at])));
        }
        let mut rows = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error_line(&error), error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != columns.len() {
                let reason = format!("{} cells, the first line has {}", record.len(), columns.len());
                return Err(wrong(line, reason));
            }
            let key = row_key(&record, by_slice).map_err(|reason| wrong(line, reason))?;
            let cells = record.iter().skip(columns.len() - names.len());
            let diagnosis = names.iter().zip(cells).map(|(name, cell)| known(name, cell)).collect::<Result<_, _>>();
            let diagnosis: Diagnosis = diagnosis.map_err(|reason| wrong(line, reason))?;
            let what = key.1.map_or(key.0.clone(), |slice| format!("{}/{slice}", key.0));
            if rows.insert(key, diagnosis).is_some() {
                return Err(wrong(line, format!("{what} has a line already")));
            }
        }
        if rows.is_empty() {
            return Err(wrong(2, "no patient; a line like `patient001,0,1` was expected".into()));
        }
        Ok(Self { path: path.to_owned(), names, rows })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The labels, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The CRC-32 of what is known of whom, by which label, in whatever order the file says it.
    pub fn crc(&self) -> u32 {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(whom, _)| *whom);
        crc32fast::hash(&serde_json::to_vec(&(&self.names, rows)).expect("labels serialise"))
    }

    /// The labels `wanted` alone, in that order; none wanted: all of them.
    ///
    /// # Errors
    /// [`LabelsError::NoSuchLabel`], [`LabelsError::Wanted`].
    pub fn only(&self, wanted: &[String]) -> Result<Self, LabelsError> {
        if wanted.is_empty() {
            return Ok(self.clone());
        }
        if (0..wanted.len()).any(|i| wanted[i].is_empty() || wanted[..i].contains(&wanted[i])) {
            return Err(LabelsError::Wanted { path: self.path.clone(), wanted: wanted.to_vec() });
        }
        let place = |name: &String| {
            self.names.iter().position(|other| other == name).ok_or_else(|| LabelsError::NoSuchLabel {
                path: self.path.clone(),
                wanted: name.clone(),
                columns: self.names.clone(),
            })
        };
        let places = wanted.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let chosen = |diagnosis: &Diagnosis| places.iter().map(|&at| diagnosis[at]).collect();
        let rows = self.rows.iter().map(|(key, diagnosis)| (key.clone(), chosen(diagnosis))).collect();
        Ok(Self { path: self.path.clone(), names: wanted.to_vec(), rows })
    }

    /// Whom the labels of a slice are about: the patient, or the slice itself where it has a line of its own.
    pub fn case<'a>(&self, id: &'a SliceId) -> (&'a str, Option<u32>) {
        let own = self.rows.contains_key(&(id.patient.clone(), Some(id.n)));
        (&id.patient, own.then_some(id.n))
    }

    /// Whether any label of a slice is known.
    pub fn know(&self, id: &SliceId) -> bool {
        self.of(id).iter().any(Option::is_some)
    }

    /// Refuses labels that know nothing of any slice of a split.
    ///
    /// # Errors
    /// [`LabelsError::NothingKnown`].
    pub fn expect_some(&self, data: &Dataset, split: Split) -> Result<(), LabelsError> {
        if data.slices(split).iter().any(|slice| self.know(&slice.id)) {
            return Ok(());
        }
        Err(LabelsError::NothingKnown { path: self.path.clone(), split, data: data.dir().to_owned() })
    }

    /// What is known of a slice: its own line, or its patient's.
    pub fn of(&self, id: &SliceId) -> Diagnosis {
        let row = [Some(id.n), None].into_iter().find_map(|slice| self.rows.get(&(id.patient.clone(), slice)));
        row.cloned().unwrap_or_else(|| vec![None; self.names.len()])
    }
}

fn row_key(record: &csv::StringRecord, by_slice: bool) -> Result<(String, Option<u32>), String> {
    let patient = &record[0];
    if patient.is_empty() {
        return Err("the patient's name is missing".into());
    }
    let slice = match by_slice {
        true => Some(record[1].parse().map_err(|_| format!("slice `{}` is no number", &record[1]))?),
        false => None,
    };
    Ok((patient.to_owned(), slice))
}

fn known(name: &str, cell: &str) -> Result<Option<bool>, String> {
    match cell {
        "0" => Ok(Some(false)),
        "1" => Ok(Some(true)),
        "" => Ok(None),
        _ => Err(format!("`{name}` is `{cell}`; expected 0, 1 or nothing")),
    }
}

fn error_line(error: &csv::Error) -> u64 {
    error.position().map_or(0, csv::Position::line)
}

/// The CSV text of the patients' groups: one binary column a group. A patient without a group gets empty cells.
///
/// # Errors
/// [`LabelsError::NoGroups`].
pub fn from_groups(manifest: &Manifest, dir: &Path) -> Result<String, LabelsError> {
    let patients: BTreeSet<(&str, &str)> =
        manifest.slices.iter().map(|record| (record.patient.as_str(), record.group.as_str())).collect();
    let groups: BTreeSet<&str> = patients.iter().map(|&(_, group)| group).filter(|group| !group.is_empty()).collect();
    if groups.is_empty() {
        return Err(LabelsError::NoGroups(dir.to_owned()));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = std::iter::once("patient").chain(groups.iter().copied());
    let mut written = writer.write_record(header);
    for (patient, group) in patients {
        let cell = |other: &&str| match () {
            () if group.is_empty() => "",
            () if *other == group => "1",
            () => "0",
        };
        written = written.and_then(|()| writer.write_record(std::iter::once(patient).chain(groups.iter().map(cell))));
    }
    written.expect("rows of one length, in memory");
    let bytes = writer.into_inner().expect("memory does not fail");
    Ok(String::from_utf8(bytes).expect("text in, text out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Labels, LabelsError> {
        Labels::parse(text, Path::new("labels.csv"))
    }

    fn id(patient: &str, n: u32) -> SliceId {
        SliceId { patient: patient.into(), n }
    }

    #[test]
    fn a_patients_line_holds_for_all_its_slices() {
        let labels = parse("patient,a,b\np1,1,0\np2,,1\n").unwrap();
        assert_eq!(labels.of(&id("p1", 7)), [Some(true), Some(false)]);
        assert_eq!(labels.of(&id("p2", 0)), [None, Some(true)]);
        assert_eq!(labels.of(&id("p3", 0)), [None, None]);
    }

    #[test]
    fn more_labels_than_a_checkpoint_names_are_refused() {
        let file = |count: usize| {
            let [names, cells] =
                [|i: usize| format!(",l{i}"), |_| ",1".to_owned()].map(|cell| (0..count).map(cell).collect::<String>());
            parse(&format!("patient{names}\np1{cells}\n"))
        };
        assert_eq!(file(256).unwrap().names().len(), 256);
        assert!(file(257).unwrap_err().to_string().contains("257 label columns; at most 256"));
    }

    #[test]
    fn slices_can_have_lines_of_their_own() {
        let labels = parse("patient,slice,tear\np1,0,1\np1,1,0\n").unwrap();
        assert_eq!(labels.of(&id("p1", 0)), [Some(true)]);
        assert_eq!(labels.of(&id("p1", 1)), [Some(false)]);
        assert_eq!(labels.of(&id("p1", 2)), [None]);
    }

    #[test]
    fn labels_can_be_chosen_by_name() {
        let labels = parse("patient,a,b\np1,1,0\n").unwrap();
        let chosen = labels.only(&["b".into()]).unwrap();
        assert_eq!((chosen.names(), chosen.of(&id("p1", 0))), (&["b".to_string()][..], vec![Some(false)]));
        let error = labels.only(&["c".into()]).unwrap_err().to_string();
        assert_eq!(error, "labels.csv: no column `c`; it has a, b");
        for wanted in [["a", "a"], ["a", ""]] {
            let error = labels.only(&wanted.map(String::from)).unwrap_err().to_string();
            assert!(error.contains("named once"), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            ("name,a\np1,1\n", "line 1: the first column must be `patient`"),
            ("patient\np1\n", "line 1: no label column"),
            ("patient,a,a\np1,1,0\n", "line 1: label column 2 (`a`)"),
            ("patient,a\np1,1\np2,maybe\n", "line 3: `a` is `maybe`; expected 0, 1 or nothing"),
            ("patient,a\np1,1,0\n", "line 2: 3 cells, the first line has 2"),
            ("patient,a\np1,1\np1,0\n", "line 3: p1 has a line already"),
            ("patient,slice,a\np1,top,1\n", "line 2: slice `top` is no number"),
            ("patient,a\n,1\n", "line 2: the patient's name is missing"),
            ("patient,a\n", "line 2: no patient"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("labels.csv, ") && error.contains(expected), "{text:?}: {error}");
        }
    }
}
