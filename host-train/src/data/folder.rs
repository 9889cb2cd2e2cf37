//! Listing folders of data as people's systems leave them.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;

/// What lies in a folder, with its name, in order of names. Hidden entries are left out: `.DS_Store`, and the `._NAME` that
/// macOS puts beside files on foreign disks and into archives.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Name`] for a name that is not valid text.
pub fn visible(folder: &Path) -> Result<Vec<(PathBuf, String)>, DataError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io(folder, "list"))? {
        let path = entry.map_err(DataError::io(folder, "list"))?.path();
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        match name.to_str() {
            Some(name) if !name.contains(char::is_control) => found.push((path.clone(), name.to_string())),
            _ => return Err(DataError::Name { path }),
        }
    }
    found.sort();
    Ok(found)
}

/// A name without its extension, in whatever letters the extension is written; `None` for another extension.
pub fn stem<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(extension.len() + 1)?;
    let (stem, end) = (name.get(..at)?, name.get(at..)?);
    (end.starts_with('.') && end[1..].eq_ignore_ascii_case(extension)).then_some(stem)
}

/// The patients' folders of `src`, in order, each with its name: those called `patient...`, and those that have what
/// `is_patient` looks for.
///
/// # Errors
/// [`DataError::MissingFolder`]; [`DataError::NoSlices`] with the `layout` that was expected; as of [`visible`].
pub fn patient_folders(
    src: &Path,
    layout: &'static str,
    is_patient: impl Fn(&Path) -> bool,
) -> Result<Vec<(PathBuf, String)>, DataError> {
    if !src.is_dir() {
        return Err(DataError::MissingFolder {
            path: src.to_path_buf(),
            hint: "name the folder that holds the patients",
        });
    }
    let mut folders = visible(src)?;
    let called = |name: &str| name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("patient"));
    folders.retain(|(path, name)| path.is_dir() && (called(name) || is_patient(path)));
    if folders.is_empty() {
        return Err(DataError::NoSlices { path: src.to_path_buf(), expected: layout });
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_counts_in_any_letters_and_only_at_the_end() {
        assert_eq!(stem("7.PNG", "png"), Some("7"));
        assert_eq!(stem("a.b.Nii.Gz", "nii.gz"), Some("a.b"));
        for other in ["png", "7png", "7.png.bak", "7.gz", "é.x", ""] {
            assert_eq!(stem(other, "png"), None, "{other}");
        }
    }
}
