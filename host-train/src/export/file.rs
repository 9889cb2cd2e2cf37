//! A blob on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kscout_core::model::{BlobError, Model};

/// The bytes of a `.kscout` file, and the path they came from for messages.
#[derive(Clone, Debug)]
pub struct BlobFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Why a blob could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BlobFileError {
    /// The file could not be read.
    #[error("{}: cannot be read: {source}; `kscout export` writes such files", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The core refuses the bytes.
    #[error("{}: not a usable .kscout file: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        problem: BlobError,
    },
}

impl BlobFile {
    /// Reads the file and lets the core check it once, so that [`BlobFile::model`] cannot surprise later.
    pub fn read(path: &Path) -> Result<Self, BlobFileError> {
        let bytes = fs::read(path).map_err(|source| BlobFileError::Io { path: path.to_owned(), source })?;
        let file = Self { path: path.to_owned(), bytes };
        file.model()?;
        Ok(file)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole file, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The checked view of the bytes.
    pub fn model(&self) -> Result<Model<'_>, BlobFileError> {
        Model::new_checked(&self.bytes).map_err(|problem| BlobFileError::Refused { path: self.path.clone(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_blob_is_refused_by_name() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("no-blob.kscout");
        let missing = BlobFile::read(&path).unwrap_err().to_string();
        assert!(missing.contains("no-blob.kscout"), "{missing}");
        fs::write(&path, b"hello").unwrap();
        let refused = BlobFile::read(&path).unwrap_err().to_string();
        assert!(refused.contains("no-blob.kscout") && refused.contains("not a usable"), "{refused}");
    }
}
