//! The log of a training, a CSV file that grows by a row at every validation.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use super::error::TrainError;

/// The log of a run.
pub struct Log {
    path: PathBuf,
    header: String,
}

impl Log {
    /// The log in the file `path`, which need not be there yet, with the columns `header`.
    ///
    /// # Errors
    /// [`TrainError::OtherColumns`] if the file has others: before a run makes rows that would not fit.
    pub fn open(path: PathBuf, header: String) -> Result<Self, TrainError> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| TrainError::Io { path: path.clone(), source })?,
        };
        match text.lines().next() {
            Some(found) if found != header => {
                Err(TrainError::OtherColumns { path, found: found.to_owned(), expected: header })
            }
            _ => Ok(Self { path, header }),
        }
    }

    /// Appends a row, with the header first where the file is new.
    pub fn append(&self, row: &str) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { path: self.path.clone(), source };
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(io)?;
        let new = file.metadata().map_err(io)?.len() == 0;
        let text = if new { format!("{}\n{row}\n", self.header) } else { format!("{row}\n") };
        file.write_all(text.as_bytes()).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_with_the_same_columns_and_refuses_others() {
        let folder = std::env::temp_dir().join(format!("kscout-train-log-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log.csv");
        let open = |header: &str| Log::open(path.clone(), header.into());
        open("step,loss").unwrap().append("1,0.5").unwrap();
        open("step,loss").unwrap().append("2,0.4").unwrap();
        let error = open("step,loss,dice_8").err().unwrap().to_string();
        assert!(error.contains("log.csv") && error.contains("dice_8") && error.contains("move the file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss\n1,0.5\n2,0.4\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
