//! The log of a training, a CSV file that grows by a row at every validation.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::error::TrainError;

/// Appends a row to a CSV file, with its header first where the file is new.
pub fn append(path: &Path, header: &str, row: &str) -> Result<(), TrainError> {
    let io = |source| TrainError::Io { path: path.to_owned(), source };
    let new = !path.exists();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    let text = if new { format!("{header}\n{row}\n") } else { format!("{row}\n") };
    file.write_all(text.as_bytes()).map_err(io)
}
