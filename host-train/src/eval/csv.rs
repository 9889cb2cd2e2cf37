//! CSV files of results, as RFC 4180 quotes them, with `\n` line ends and `.` as the decimal point.

use std::io;
use std::path::Path;

use crate::io::whole::write_atomically;
use crate::metrics::dice::Structure;
use crate::metrics::scores::VolumeScores;

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text, quoted where needed.
    Text(String),
    /// A number, with as many digits as it takes to read the same number back.
    Number(f64),
    /// A count.
    Count(u64),
    /// No value: an empty cell.
    Missing,
}

impl Cell {
    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) if number.is_nan() => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Count(count) => count.to_string(),
            Self::Missing => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// A row that does not fit the columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} has columns {found:?}, expected {expected:?}; give every row the columns of the first")]
pub struct ColumnsDiffer {
    /// Which row, from 1.
    pub row: usize,
    /// Columns of the first row.
    pub expected: Vec<String>,
    /// Columns of this row.
    pub found: Vec<String>,
}

/// A file of rows that all have the same named columns.
#[derive(Clone, Debug, Default)]
pub struct Csv {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Csv {
    /// No columns and no rows yet: the first row names the columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of named values.
    pub fn push<'a>(&mut self, row: impl IntoIterator<Item = (&'a str, Cell)>) -> Result<(), ColumnsDiffer> {
        let (names, cells): (Vec<&str>, Vec<Cell>) = row.into_iter().unzip();
        if self.rows.is_empty() {
            self.columns = names.iter().map(|&name| name.to_owned()).collect();
        }
        if self.columns != names {
            let found = names.into_iter().map(str::to_owned).collect();
            return Err(ColumnsDiffer { row: self.rows.len() + 1, expected: self.columns.clone(), found });
        }
        self.rows.push(cells);
        Ok(())
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        // Without rows there are no columns either; of a record without cells the writer would make a quoted empty one.
        if self.columns.is_empty() {
            return "\n".to_owned();
        }
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        let header = writer.write_record(&self.columns);
        let rows = |()| self.rows.iter().try_for_each(|row| writer.write_record(row.iter().map(Cell::to_text)));
        header.and_then(rows).expect("rows of one length, in memory");
        String::from_utf8(writer.into_inner().expect("memory does not fail")).expect("text in, text out")
    }

    /// Writes the file in one step: see [`write_atomically`].
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_atomically(path, self.to_text().as_bytes())
    }
}

/// The layout of the ACDC challenge's own evaluation script (`metrics_acdc.py`): a volume a row; for LV, RV and MYO the 3-D
/// Dice, the predicted volume in ml, and the predicted minus the true volume in ml. The challenge names a row after the
/// ground truth's file, up to its first dot. A structure that both segmentations lack has an empty Dice, where the script
/// writes 0.
pub fn acdc_csv<'a>(volumes: impl IntoIterator<Item = (&'a str, &'a VolumeScores)>) -> Csv {
    const ORDER: [(Structure, [&str; 3]); 3] = [
        (Structure::Lv, ["Dice LV", "Volume LV", "Err LV(ml)"]),
        (Structure::Rv, ["Dice RV", "Volume RV", "Err RV(ml)"]),
        (Structure::Myo, ["Dice MYO", "Volume MYO", "Err MYO(ml)"]),
    ];
    let columns = ORDER.iter().flat_map(|(_, names)| names.iter());
    let columns = std::iter::once(&"Name").chain(columns).map(|&name| name.to_owned()).collect();
    let row = |(name, scores): (&str, &VolumeScores)| {
        let values = ORDER.iter().flat_map(|&(structure, _)| {
            let scores = scores.of(structure);
            [scores.dice.into(), scores.volume_pred_ml.into(), scores.volume_error_ml().into()]
        });
        std::iter::once(Cell::from(name)).chain(values).collect()
    };
    Csv { columns, rows: volumes.into_iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::scores::StructureScores;

    #[test]
    fn first_row_names_the_columns() {
        let mut csv = Csv::new();
        csv.push([("method", "policy".into()), ("dice", 0.1.into()), ("lines", 8usize.into())]).unwrap();
        csv.push([("method", "full".into()), ("dice", None::<f64>.into()), ("lines", 128usize.into())]).unwrap();
        assert_eq!(csv.to_text(), "method,dice,lines\npolicy,0.1,8\nfull,,128\n");
    }

    #[test]
    fn without_rows_it_is_an_empty_line() {
        assert_eq!(Csv::new().to_text(), "\n");
    }

    #[test]
    fn commas_quotes_and_line_ends_are_quoted() {
        let mut csv = Csv::new();
        csv.push([("a,b", "say \"x\"\n".into())]).unwrap();
        assert_eq!(csv.to_text(), "\"a,b\"\n\"say \"\"x\"\"\n\"\n");
    }

    #[test]
    fn row_with_other_columns_is_refused() {
        let mut csv = Csv::new();
        csv.push([("a", 1.0.into())]).unwrap();
        let error = csv.push([("b", 1.0.into())]).unwrap_err();
        assert_eq!((error.row, error.expected, error.found), (2, vec!["a".to_owned()], vec!["b".to_owned()]));
        assert_eq!(csv.to_text(), "a\n1\n");
    }

    #[test]
    fn acdc_layout_is_that_of_the_challenge() {
        let scores = |dice, pred, truth| StructureScores {
            dice,
            iou: None,
            hd_mm: None,
            hd95_mm: None,
            assd_mm: None,
            volume_pred_ml: pred,
            volume_true_ml: truth,
        };
        let volume = VolumeScores([scores(Some(0.5), 1.5, 1.0), scores(None, 0.0, 0.0), scores(Some(0.75), 3.0, 4.0)]);
        let expected = "Name,Dice LV,Volume LV,Err LV(ml),Dice RV,Volume RV,Err RV(ml),Dice MYO,Volume MYO,Err MYO(ml)\n\
                        patient005_ED,0.75,3,-1,0.5,1.5,0.5,,0,0\n";
        assert_eq!(acdc_csv([("patient005_ED", &volume)]).to_text(), expected);
    }
}
