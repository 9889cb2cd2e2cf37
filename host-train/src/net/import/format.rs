//! What kind of file weights come in, by its first bytes and its name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ImportError;

/// A container of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// The zip archive of PyTorch 1.6 and later.
    Zip,
    /// Pickles one behind the other, as before PyTorch 1.6, or a single one.
    Pickle,
    /// Safetensors.
    Safetensors,
}

/// How names of PyTorch files end; `.tar` because of the custom of `checkpoint.pth.tar`.
const PYTORCH_ENDINGS: [&str; 5] = ["pth", "pt", "ckpt", "bin", "tar"];

/// A tar archive has this at byte 257.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// The kind of the file `path`.
///
/// # Errors
/// [`ImportError`] if it cannot be read, is something else, or its name says another kind.
pub(super) fn container(path: &Path) -> Result<Container, ImportError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let named_safetensors = ending == "safetensors";
    if !named_safetensors && !PYTORCH_ENDINGS.contains(&ending.as_str()) {
        return Err(ImportError::Extension(path.to_owned()));
    }
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let container = by_content(&head).map_err(|(found, advice)| ImportError::NotWeights {
        path: path.to_owned(),
        found: found.into(),
        advice,
    })?;
    let renamed = |named, found, rename| Err(ImportError::Renamed { path: path.to_owned(), named, found, rename });
    match (named_safetensors, container == Container::Safetensors) {
        (true, false) => renamed("safetensors", "a PyTorch file", ".pth"),
        (false, true) => renamed("a PyTorch file", "safetensors", ".safetensors"),
        _ => Ok(container),
    }
}

/// The kind of a file that begins with `head`; else what it is, and what to do.
fn by_content(head: &[u8]) -> Result<Container, (&'static str, &'static str)> {
    const DOWNLOAD: &str = "open it in an editor to see what the server said, and download the file itself";
    let text = String::from_utf8_lossy(head).trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_lowercase();
    if head.is_empty() {
        return Err(("an empty file", "copy or download it again"));
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return Err(("a web page", DOWNLOAD));
    }
    if text.starts_with("version https://git-lfs") {
        return Err(("a pointer of Git LFS", "fetch the file itself with `git lfs pull`"));
    }
    if head.starts_with(b"\x89HDF") {
        return Err(("an HDF5 file, as Keras writes it", "convert it to a PyTorch state_dict first"));
    }
    if head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Err((
            "a tar archive",
            "unpack it and give the file inside; if it is PyTorch's own of before 2017, save it again with a newer one",
        ));
    }
    if head.starts_with(b"PK") {
        return Ok(Container::Zip);
    }
    if head.len() > 8 && head[8] == b'{' && head[5..8] == [0; 3] {
        return Ok(Container::Safetensors);
    }
    match head[0] {
        // The opcodes that a dictionary, a call or a protocol number begins with.
        0x80 | b'c' | b'(' | b'}' | b']' | b'L' => Ok(Container::Pickle),
        _ => Err(("neither a PyTorch file nor safetensors", DOWNLOAD)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_told_by_their_first_bytes() {
        assert_eq!(by_content(b"PK\x03\x04rest"), Ok(Container::Zip));
        assert_eq!(by_content(b"\x80\x02}q\x00."), Ok(Container::Pickle));
        assert_eq!(by_content(b"\x80\x00\x00\x00\x00\x00\x00\x00{\"a\""), Ok(Container::Safetensors));
    }

    #[test]
    fn what_is_something_else_is_named() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let named: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"\n <!DOCTYPE html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"\x89HDF\r\n", "HDF5"),
            (&tar, "tar archive"),
            (b"Not found", "neither"),
        ];
        for (head, word) in named {
            assert!(by_content(head).unwrap_err().0.contains(word), "{word}");
        }
    }
}
