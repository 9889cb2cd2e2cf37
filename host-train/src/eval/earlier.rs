//! What an evaluation before has left in a folder, whole or in part: it is not mixed with another's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files of one name each.
const FILES: [&str; 6] = ["results.csv", "results.json", "report.md", "ejection.csv", "dice.png", "diagnosis.csv"];
/// Those of them by which a reader knows whole results: they are taken away first, and written last.
pub const MARKS: [&str; 3] = ["results.csv", "diagnosis.csv", "results.json"];
/// How the names of pictures begin, of which there are several.
const PICTURES: [&str; 2] = ["lines_policy_", "panel_"];
/// The folder of the challenge's tables.
const TABLES: &str = "acdc";
/// So many names are listed, then counted.
const SHOWN: usize = 4;

/// An evaluation's folder holds results already.
#[derive(Debug, thiserror::Error)]
pub enum EarlierError {
    /// There are results of another evaluation, or parts of them.
    #[error(
        "{}: holds results already, or parts of them: {}; choose another --out, or give --force to replace them",
        dir.display(), listed(found)
    )]
    Results {
        /// The folder.
        dir: PathBuf,
        /// What is there, below the folder.
        found: Vec<String>,
    },
    /// Something else than a folder has the name.
    #[error("{}: is there and is no folder; choose another --out", .0.display())]
    NoFolder(PathBuf),
    /// The folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn listed(found: &[String]) -> String {
    let shown = found.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = found.len().saturating_sub(SHOWN);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Refuses `dir` if an evaluation has left anything there, be it finished or not. What else is there does not matter.
///
/// # Errors
/// [`EarlierError`] names the folder and what is in it.
pub fn expect_none(dir: &Path) -> Result<(), EarlierError> {
    if dir.exists() && !dir.is_dir() {
        return Err(EarlierError::NoFolder(dir.to_owned()));
    }
    let found = results(dir)?;
    if found.is_empty() { Ok(()) } else { Err(EarlierError::Results { dir: dir.to_owned(), found }) }
}

/// The files below `dir` that an evaluation writes, by name.
///
/// # Errors
/// A folder that cannot be read.
pub fn results(dir: &Path) -> Result<Vec<String>, EarlierError> {
    let there = files(dir)?;
    let is_picture = |name: &&String| PICTURES.iter().any(|start| name.starts_with(start)) && name.ends_with(".png");
    // What tells most comes first.
    let known = FILES.into_iter().map(str::to_owned).filter(|name| there.contains(name));
    let mut found: Vec<String> = known.chain(there.iter().filter(is_picture).cloned()).collect();
    let tables = files(&dir.join(TABLES))?.into_iter().filter(|name| is_table(name));
    found.extend(tables.map(|name| format!("{TABLES}/{name}")));
    Ok(found)
}

/// `METHOD_LINES.csv`.
fn is_table(name: &str) -> bool {
    let lines = name.strip_suffix(".csv").and_then(|stem| stem.rsplit_once('_')).map(|(_, lines)| lines);
    lines.is_some_and(|lines| !lines.is_empty() && lines.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Names of the files in a folder, sorted; none where there is no folder.
fn files(dir: &Path) -> Result<Vec<String>, EarlierError> {
    let failed = |source| EarlierError::Io { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_parts_of_them_are_found_and_nothing_else_is() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let dir = tmp.join("eval");
        assert!(expect_none(&dir).is_ok(), "no folder, no results");
        fs::create_dir_all(dir.join("acdc")).unwrap();
        let others = ["notes.txt", "scan.png", "acdc/patients.csv", "acdc/readme_8.txt"];
        others.iter().for_each(|name| fs::write(dir.join(name), "mine").unwrap());
        assert!(expect_none(&dir).is_ok(), "files of somebody else");
        // As a kill after the first table leaves it.
        fs::write(dir.join("acdc/centre-out_16.csv"), "half").unwrap();
        let refused = expect_none(&dir).unwrap_err().to_string();
        assert!(refused.contains("eval: ") && refused.contains(": acdc/centre-out_16.csv;"), "{refused}");
        let names = ["results.csv", "report.md", "dice.png", "panel_a_1.png", "lines_policy_8.png"];
        names.iter().for_each(|name| fs::write(dir.join(name), "old").unwrap());
        let refused = expect_none(&dir).unwrap_err().to_string();
        assert!(
            refused.contains(": results.csv, report.md, dice.png, ")
                && refused.contains(" and 2 more; ")
                && refused.contains("--force"),
            "{refused}"
        );
        let mut all: Vec<&str> = names.into_iter().chain(["acdc/centre-out_16.csv"]).collect();
        let mut found = results(&dir).unwrap();
        all.sort_unstable();
        found.sort();
        assert_eq!(found, all);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        let file = tmp.join("eval");
        fs::write(&file, "mine").unwrap();
        let refused = expect_none(&file).unwrap_err().to_string();
        assert!(refused.contains("is no folder"), "{refused}");
    }
}
