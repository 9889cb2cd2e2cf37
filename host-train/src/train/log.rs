//! The log of a training, a CSV file that grows by a row at every validation.
//!
//! The checkpoint `last` is written first and holds the row, then the row is appended. So a run that was killed at any moment
//! goes on with a log that agrees with its checkpoint: see [`Log::mend`].

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use super::error::TrainError;
use crate::io::moment::moment;
use crate::io::whole::write_atomically;

/// The log of a run.
pub struct Log {
    path: PathBuf,
    header: String,
}

impl Log {
    /// The log in the file `path`, which need not be there yet, with the columns `header`, of which the first counts steps.
    ///
    /// # Errors
    /// [`TrainError::OtherColumns`] if the file has others: before a run makes rows that would not fit.
    pub fn open(path: PathBuf, header: String) -> Result<Self, TrainError> {
        let log = Self { path, header };
        let text = log.read()?;
        let found = text.split_inclusive('\n').next().unwrap_or_default();
        // The first write may have been cut off.
        let is_begun = !found.ends_with('\n') && log.header.starts_with(found);
        if is_begun || found.trim_end() == log.header {
            return Ok(log);
        }
        Err(TrainError::OtherColumns { path: log.path, found: found.trim_end().to_owned(), expected: log.header })
    }

    /// Makes the log agree with a checkpoint of step `step` whose last row is `row`: rows of later steps and half rows go, and the
    /// row is there. A checkpoint of an older version knows no row.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn mend(&self, step: usize, row: &str) -> Result<(), TrainError> {
        let text = self.read()?;
        let mended = mended(&text, &self.header, step, row);
        if mended == text {
            return Ok(());
        }
        let rows = |text: &str| text.lines().skip(1).count();
        if rows(&text) > rows(&mended) {
            let (path, cut) = (self.path.display(), rows(&text) - rows(&mended));
            eprintln!("note: {path}: the run goes on from step {step}; rows beyond it that were cut: {cut}");
        }
        write_atomically(&self.path, mended.as_bytes()).map_err(|source| self.failed(source))
    }

    /// Appends a row, with the header first where the file is new.
    pub fn append(&self, row: &str) -> Result<(), TrainError> {
        moment();
        let mut file =
            OpenOptions::new().create(true).append(true).open(&self.path).map_err(|source| self.failed(source))?;
        let new = file.metadata().map_err(|source| self.failed(source))?.len() == 0;
        let text = if new { format!("{}\n{row}\n", self.header) } else { format!("{row}\n") };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(|source| self.failed(source))?;
        moment();
        Ok(())
    }

    /// Everything in the file, which people may have opened with programs that save other encodings.
    fn read(&self) -> Result<String, TrainError> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => Ok(String::from_utf8_lossy(&read.map_err(|source| self.failed(source))?).into_owned()),
        }
    }

    fn failed(&self, source: io::Error) -> TrainError {
        TrainError::Io { path: self.path.clone(), source }
    }
}

/// See [`Log::mend`].
fn mended(text: &str, header: &str, step: usize, row: &str) -> String {
    let number = |row: &str| row.split(',').next().and_then(|step| step.parse::<usize>().ok());
    let columns = header.split(',').count();
    let mut rows: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n').skip(1).filter(|line| line.ends_with('\n')).map(str::trim_end) {
        let fits = line.split(',').count() == columns && number(line).is_some_and(|number| number <= step);
        if fits && rows.last().is_none_or(|last| number(last) < number(line)) {
            rows.push(line);
        }
    }
    if let Some(last) = number(row) {
        rows.retain(|line| number(line).is_some_and(|number| number < last));
        rows.push(row);
    }
    if rows.is_empty() {
        return String::new();
    }
    std::iter::once(&header).chain(&rows).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_with_the_same_columns_and_refuses_others() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path();
        let path = folder.join("log.csv");
        let open = |header: &str| Log::open(path.clone(), header.into());
        open("step,loss").unwrap().append("1,0.5").unwrap();
        open("step,loss").unwrap().append("2,0.4").unwrap();
        let error = open("step,loss,dice_8").err().unwrap().to_string();
        assert!(error.contains("log.csv") && error.contains("dice_8") && error.contains("move the file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss\n1,0.5\n2,0.4\n");
        open("step,loss").unwrap().mend(1, "1,0.5").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss\n1,0.5\n");
        fs::write(&path, "step,lo").unwrap();
        open("step,loss").unwrap().mend(3, "3,0.1").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss\n3,0.1\n");
    }

    #[test]
    fn rows_agree_with_the_checkpoint() {
        let whole = "step,loss,dice\n2,0.5,0.1\n4,0.4,0.2\n6,0.3,0.3\n";
        let of = |text: &str, step, row| mended(text, "step,loss,dice", step, row);
        assert_eq!(of(whole, 6, "6,0.3,0.3"), whole);
        assert_eq!(of(whole, 7, "6,0.3,0.3"), whole, "saved between two rows");
        assert_eq!(of(whole, 4, "4,0.4,0.2"), &whole[..35], "rows beyond");
        assert_eq!(of(&whole[..35], 6, "6,0.3,0.3"), whole, "a row that was not appended");
        for end in 36..whole.len() {
            assert_eq!(of(&whole[..end], 6, "6,0.3,0.3"), whole, "half a row");
            assert_eq!(of(&whole[..end], 4, "4,0.4,0.2"), &whole[..35], "half a row beyond");
        }
        assert_eq!(of(&whole.replace("0.3,0.3", "0.9,0.9"), 6, "6,0.3,0.3"), whole, "the checkpoint's row counts");
        assert_eq!(of(whole, 5, ""), &whole[..35], "of a checkpoint that knows no row");
        assert_eq!(of(whole, 0, ""), "", "nothing is a log of nothing");
        assert_eq!(of(&format!("{whole}note\n6,1\n"), 9, "6,0.3,0.3"), whole, "what are no rows");
        assert_eq!(of("", 6, "6,0.3,0.3"), "step,loss,dice\n6,0.3,0.3\n");
        assert_eq!(of(&whole.replace('\n', "\r\n"), 6, "6,0.3,0.3"), whole);
    }
}
