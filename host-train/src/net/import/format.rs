//! What kind of file weights come in, by its first bytes and its name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::archive;
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

/// Bytes of a file that say what it is.
const HEAD: u64 = 4096;

/// A header of a tar archive, and where in it `ustar` stands.
const TAR_BLOCK: usize = 512;
const TAR: (usize, &[u8]) = (257, b"ustar");

/// What a file is that holds no weights as they are taken here, and what to do about it.
pub(super) type Otherwise = (&'static str, &'static str);

const DOWNLOAD: &str = "open it in an editor to see what the server said, and download the file itself";
const FROM_PYTORCH: &str =
    "in PyTorch, where the model came from: torch.save(model.state_dict(), 'weights.pth'); give that file";
const FROM_ELSEWHERE: &str = "only PyTorch weights are taken: put the arrays into a PyTorch network of the same layers, then \
                              torch.save(model.state_dict(), 'weights.pth')";
const FROM_ARRAYS: &str = "give the arrays the network's own names and save them as PyTorch does: \
                           torch.save({name: torch.from_numpy(array)}, 'weights.pth')";

/// The kind of the file `path`.
///
/// # Errors
/// [`ImportError`] if it cannot be read, is something else, or its name says another kind.
pub(super) fn container(path: &Path) -> Result<Container, ImportError> {
    let not =
        |(found, advice): Otherwise| ImportError::NotWeights { path: path.to_owned(), found: found.into(), advice };
    if path.is_dir() {
        let advice = "give the file of weights itself; a checkpoint of kscout's own is for --model or --segmenter";
        return Err(not(("a folder", advice)));
    }
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(|source| ImportError::Io { path: path.to_owned(), source })?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let named_safetensors = ending == "safetensors";
    let named = named_safetensors || PYTORCH_ENDINGS.contains(&ending.as_str());
    let container = match by_content(&head) {
        Ok(container) if named => container,
        // Whatever else a file with a foreign name is: the name may be all that tells it.
        Ok(Container::Zip) => Container::Zip,
        Ok(_) => return Err(ImportError::Extension(path.to_owned())),
        Err(NEITHER) if !named => return Err(ImportError::Extension(path.to_owned())),
        Err(otherwise) => return Err(not(otherwise)),
    };
    if container == Container::Zip {
        if let Some(otherwise) = another_archive(path)? {
            return Err(not(otherwise));
        }
        if !named {
            return Err(ImportError::Extension(path.to_owned()));
        }
    }
    let renamed = |named, found, rename| Err(ImportError::Renamed { path: path.to_owned(), named, found, rename });
    match (named_safetensors, container == Container::Safetensors) {
        (true, false) => renamed("safetensors", "a PyTorch file", ".pth"),
        (false, true) => renamed("a PyTorch file", "safetensors", ".safetensors"),
        _ => Ok(container),
    }
}

const NEITHER: Otherwise = ("neither a PyTorch file nor safetensors", DOWNLOAD);

/// The kind of a file that begins with `head`; else what it is, and what to do.
fn by_content(head: &[u8]) -> Result<Container, Otherwise> {
    let text = String::from_utf8_lossy(head).trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_lowercase();
    if head.is_empty() {
        return Err(("an empty file", "copy or download it again"));
    }
    // Before all else: its first bytes are a length, and may be those of any other kind.
    if head.len() > 8 && head[8] == b'{' && head[5..8] == [0; 3] {
        return Ok(Container::Safetensors);
    }
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return Err(("a web page", DOWNLOAD));
    }
    if text.starts_with("version https://git-lfs") {
        return Err(("a pointer of Git LFS", "fetch the file itself with `git lfs pull`"));
    }
    if head.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        return Err(tar(head));
    }
    if head.starts_with(b"PK") {
        return Ok(Container::Zip);
    }
    if let Some(foreign) = by_magic(head) {
        return Err(foreign);
    }
    if is_onnx(head) {
        return Err(("an ONNX model", FROM_PYTORCH));
    }
    match head[0] {
        // The opcodes that a dictionary, a call or a protocol number begins with.
        0x80 | b'c' | b'(' | b'}' | b']' | b'L' => Ok(Container::Pickle),
        _ => Err(NEITHER),
    }
}

/// Files of other projects that begin in a way of their own.
fn by_magic(head: &[u8]) -> Option<Otherwise> {
    let at_start: [(&[u8], Otherwise); 7] = [
        (b"\x89HDF", ("an HDF5 file, as Keras writes it", FROM_ELSEWHERE)),
        (b"\x93NUMPY", ("a NumPy array (.npy)", FROM_ARRAYS)),
        (b"\x1f\x8b", ("a gzip archive", "unpack it and give the file inside")),
        (b"BZh", ("a bzip2 archive", "unpack it and give the file inside")),
        (b"7z\xbc\xaf", ("a 7z archive", "unpack it and give the file inside")),
        (b"GGUF", ("a GGUF file", FROM_ELSEWHERE)),
        (b"\x89KSCOUT", ("a .kscout file", "it holds int8 networks; `kscout inspect` lists them")),
    ];
    let tflite = head.get(4..8) == Some(b"TFL3".as_slice());
    let matlab = head.starts_with(b"MATLAB 5.0 MAT-file");
    let by_start = at_start.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, otherwise)| otherwise);
    by_start
        .or(tflite.then_some(("a TensorFlow Lite model", FROM_ELSEWHERE)))
        .or(matlab.then_some(("a MATLAB file", FROM_ARRAYS)))
}

/// ONNX's protocol buffer begins with its version, a small number in field 1, mostly followed by the producer's name in field 2,
/// and has the graph, field 7, or the operator set, field 8, behind.
fn is_onnx(head: &[u8]) -> bool {
    let version = matches!(head, [0x08, 1..=30, ..]);
    let next = head.get(2).copied().unwrap_or_default();
    version && matches!(next, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42)
}

/// A tar archive: PyTorch's own, by the names of its first entries, or somebody's.
fn tar(head: &[u8]) -> Otherwise {
    let names = head.chunks(TAR_BLOCK).map(|block| block.split(|&byte| byte == 0).next().unwrap_or_default());
    let own: [&[u8]; 4] = [b"sys_info", b"pickle", b"tensors", b"storages"];
    if names.map(|name| name.strip_prefix(b"./").unwrap_or(name)).any(|name| own.contains(&name)) {
        return (
            "a tar archive of PyTorch before 0.1.10",
            "load it with PyTorch (torch.load reads it still) and save it again: torch.save(state_dict, 'weights.pth')",
        );
    }
    ("a tar archive", "unpack it and give the file inside")
}

/// Whether an archive of these entries is TorchScript's: beside its outermost pickle it has code, or constants. The folder of that
/// pickle is called as the file was, whatever that is.
fn is_script(names: &[String]) -> bool {
    let folders = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
    let folder = folders.filter(|folder| folder.is_empty() || folder.ends_with('/')).min_by_key(|folder| folder.len());
    let Some(folder) = folder else {
        return names.iter().any(|name| name == "constants.pkl" || name.ends_with("/constants.pkl"));
    };
    let inside = |name: &String| {
        let name = name.strip_prefix(folder);
        name.is_some_and(|name| name == "constants.pkl" || name.starts_with("code/"))
    };
    names.iter().any(inside)
}

/// What a zip archive is by its entries, if it is not one of `torch.save`.
fn another_archive(path: &Path) -> Result<Option<Otherwise>, ImportError> {
    let entries = File::open(path).and_then(|mut file| archive::names(&mut file));
    let names = match entries {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(source) => return Err(ImportError::Io { path: path.to_owned(), source }),
    };
    let has = |end: &str| names.iter().any(|name| name == end || name.ends_with(&format!("/{end}")));
    if is_script(&names) {
        let advice = "in PyTorch: torch.save(torch.jit.load('FILE').state_dict(), 'weights.pth'); give that file";
        return Ok(Some(("a TorchScript archive, as torch.jit.save writes it", advice)));
    }
    if has("archive_format") || has("serialized_exported_program.json") {
        return Ok(Some(("a program of torch.export (.pt2)", FROM_PYTORCH)));
    }
    if has("model.weights.h5") || (has("config.json") && has("metadata.json")) {
        return Ok(Some(("a Keras model (.keras)", FROM_ELSEWHERE)));
    }
    if names.iter().any(|name| name.ends_with(".npy")) {
        return Ok(Some(("NumPy arrays (.npz)", FROM_ARRAYS)));
    }
    if has("MAR-INF/MANIFEST.json") {
        return Ok(Some(("a TorchServe archive (.mar)", "unpack it and give the .pt or .pth file inside")));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_told_by_their_first_bytes() {
        assert_eq!(by_content(b"PK\x03\x04rest"), Ok(Container::Zip));
        assert_eq!(by_content(b"\x80\x02}q\x00."), Ok(Container::Pickle));
        for length in [[0x80, 0], *b"PK", [0x1f, 0x8b], [0x08, 0x08]] {
            let head = [&length[..], &[0; 6], b"{\"a\""].concat();
            assert_eq!(by_content(&head), Ok(Container::Safetensors), "{length:?}");
        }
    }

    #[test]
    fn what_is_something_else_is_named() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let mut old = tar.clone();
        old[..9].copy_from_slice(b"sys_info\0");
        let named: [(&[u8], &str); 13] = [
            (b"", "empty"),
            (b"\n <!DOCTYPE html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (b"\x89HDF\r\n", "HDF5"),
            (&tar, "tar archive"),
            (&old, "PyTorch before 0.1.10"),
            (b"\x93NUMPY\x01\x00", ".npy"),
            (b"\x08\x08\x12\x07pytorch\x1a", "ONNX"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
            (b"MATLAB 5.0 MAT-file, Platform", "MATLAB"),
            (b"\x89KSCOUT\n", ".kscout"),
            (b"Not found", "neither"),
        ];
        for (head, word) in named {
            assert!(by_content(head).unwrap_err().0.contains(word), "{word}");
        }
    }
}
