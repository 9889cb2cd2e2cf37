//! Masks that a policy or a pattern makes of the training slices, for a segmenter to be tuned to.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use kscout_core::kspace::LineSet;

use super::checkpoint::Input;
use crate::data::{Dataset, SliceId, Split};
use crate::io::whole::write_atomically;

/// The file's first line.
const HEADER: &str = "slice,lines";

/// Why a file of masks could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}; `kscout masks` writes such files", path.display())]
pub struct RecordedMasksError {
    path: PathBuf,
    message: String,
}

/// Masks of slices, any number of each.
#[derive(Clone, Debug, Default)]
pub struct RecordedMasks {
    /// The files.
    files: Vec<Input>,
    masks: BySlice,
}

impl RecordedMasks {
    /// Writes a file: a row a mask, the slice's name and the lines in the order in which they were measured.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(path: &Path, rows: &[(SliceId, Vec<u16>)]) -> Result<(), RecordedMasksError> {
        let row = |(slice, lines): &(SliceId, Vec<u16>)| {
            let lines: Vec<String> = lines.iter().map(u16::to_string).collect();
            format!("{slice},{}\n", lines.join(" "))
        };
        let text = format!("{HEADER}\n") + &rows.iter().map(row).collect::<String>();
        write_atomically(path, text.as_bytes()).map_err(|error| refused(path, error.to_string()))
    }

    /// Reads files of which each has masks of every training slice of `data`; the masks of all of them together.
    ///
    /// # Errors
    /// What is wrong, in which file, and in which row.
    pub fn read<'a>(paths: impl IntoIterator<Item = &'a Path>, data: &Dataset) -> Result<Self, RecordedMasksError> {
        let mut all = Self::default();
        for path in paths {
            let (file, masks) = of_file(path, data)?;
            all.files.push(file);
            for (slice, masks) in masks {
                all.masks.entry(slice).or_default().extend(masks);
            }
        }
        Ok(all)
    }

    /// The files that they are from, in order.
    pub fn files(&self) -> &[Input] {
        &self.files
    }

    /// The masks of a slice, at least one of each training slice.
    pub fn of(&self, slice: &SliceId) -> &[LineSet] {
        self.masks.get(&slice.to_string()).map_or(&[], Vec::as_slice)
    }
}

/// Masks by the slice's name.
type BySlice = HashMap<String, Vec<LineSet>>;

/// A file and the masks in it, some of every training slice of `data`.
fn of_file(path: &Path, data: &Dataset) -> Result<(Input, BySlice), RecordedMasksError> {
    let text = fs::read_to_string(path).map_err(|error| refused(path, error.to_string()))?;
    let masks = masks_of_text(&text, data.width()).map_err(|message| refused(path, message))?;
    match data.slices(Split::Train).iter().find(|slice| !masks.contains_key(&slice.id.to_string())) {
        Some(slice) => Err(refused(path, format!("no mask of training slice {}", slice.id))),
        None => Ok((Input::masks(path, text.as_bytes()), masks)),
    }
}

/// The masks in a file's text, for images of `width` columns, by the slice's name.
///
/// # Errors
/// What is wrong, and in which row.
pub(crate) fn masks_of_text(text: &str, width: usize) -> Result<BySlice, String> {
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(format!("the first line is not `{HEADER}`"));
    }
    let mut masks = BySlice::new();
    for (number, line) in lines.enumerate() {
        let (slice, mask) = row(line, width).map_err(|message| format!("row {}: {message}", number + 2))?;
        masks.entry(slice.to_owned()).or_default().push(mask);
    }
    Ok(masks)
}

fn row(line: &str, width: usize) -> Result<(&str, LineSet), String> {
    let (slice, lines) = line.split_once(',').ok_or("no comma; expected `patient001/3,64 63 65`")?;
    let mut mask = LineSet::new(width).map_err(|error| error.to_string())?;
    for line in lines.split_whitespace() {
        let number: usize = line.parse().map_err(|_| format!("`{line}` is no line"))?;
        if mask.insert(number).map_err(|error| error.to_string())? {
            continue;
        }
        return Err(format!("line {number} comes twice"));
    }
    if mask.is_empty() { Err("no lines".into()) } else { Ok((slice, mask)) }
}

fn refused(path: &Path, message: String) -> RecordedMasksError {
    RecordedMasksError { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_slice_and_its_lines() {
        let (slice, mask) = row("patient001/3,16 15 17", 32).unwrap();
        assert_eq!(slice, "patient001/3");
        assert_eq!((0..32).filter(|&line| mask.contains(line)).collect::<Vec<_>>(), [15, 16, 17]);
    }

    #[test]
    fn rows_that_are_none_are_refused_in_words() {
        let message = |line| row(line, 32).unwrap_err();
        assert!(message("patient001/3").contains("no comma"));
        assert!(message("patient001/3,1 x").contains("`x` is no line"));
        assert!(message("patient001/3,1 1").contains("line 1 comes twice"));
        assert!(message("patient001/3,32").contains("32"));
        assert_eq!(message("patient001/3,"), "no lines");
    }
}
