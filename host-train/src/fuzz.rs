//! What fuzzers call: every reader of files from elsewhere, by name. Not for programs; it may change at any time.
//!
//! A reader takes any bytes and says whether they were accepted. None may panic, read out of bounds, run for long or take more
//! memory than its bound, whatever the bytes.

use std::fs;
use std::ops::Range;
use std::path::Path;

use burn::tensor::Device;
use kscout_core::Complex32;
use kscout_core::capture::{MAX_SIDE, Stored};
use kscout_core::model::Model;
use kscout_core::model::blob::{CHECKSUM_FIELD, checksum};
use kscout_core::scan::{multiply_accumulates, other_operations};
use kscout_core::volume::Place;

use crate::cli::{read_npy, read_results};
use crate::config;
use crate::data::info_cfg::InfoCfg;
use crate::data::nifti_volume::NiftiVolume;
use crate::data::png_file::Grey;
use crate::data::{Labels, Manifest};
use crate::export::inspect::inspect;
use crate::net::import::{StateDict, import_segmenter, infer_spec, recognise};
use crate::rl::PolicyConfig;
use crate::rl::volume::VolumeConfig;
use crate::runtime::{scan, scan_arena};
use crate::samplers::LearnedMask;
use crate::train::checkpoint::read_meta;
use crate::train::recorded::masks_of_text;
use crate::train::{ClassifierConfig, SegmenterConfig};
use crate::volume::position::Plans;

/// Takes a file's bytes; whether they were accepted.
pub type Reader = fn(&[u8]) -> bool;

/// The readers, by the names of their corpora.
pub const READERS: [(&str, Reader); 11] = [
    ("blob", blob),
    ("capture", capture),
    ("nifti", nifti),
    ("png", png),
    ("weights", weights),
    ("checkpoint", checkpoint),
    ("config", config_file),
    ("csv", csv),
    ("json", json),
    ("npy", npy),
    ("info", info),
];

/// The reader of this name.
pub fn reader(name: &str) -> Option<Reader> {
    READERS.iter().find(|(known, _)| *known == name).map(|(_, reader)| *reader)
}

/// Multiply-accumulates, and other operations, of a scan that a fuzzer still runs.
const MOST_OPERATIONS: u64 = 20_000_000;
/// Bytes that a volume may be unpacked to.
const MOST_BYTES: u64 = 1 << 24;
/// Where both forms of captures have their checksum.
const CAPTURE_CRC: Range<usize> = 28..32;

/// A model as it is, and with the checksum of what it holds: no changed byte would get past the other.
fn blob(bytes: &[u8]) -> bool {
    model(bytes) || {
        if let Some(mended) = with_number_at(bytes, CHECKSUM_FIELD, checksum(bytes)) {
            model(&mended);
        }
        false
    }
}

/// A model: checked, listed, and a short scan by it.
fn model(bytes: &[u8]) -> bool {
    let Ok(model) = Model::new_checked(bytes) else { return false };
    inspect(&model);
    let lines = 3.min(model.width());
    if multiply_accumulates(&model, lines).max(other_operations(&model, lines)) > MOST_OPERATIONS {
        return true;
    }
    let mut arena = scan_arena(&model);
    let Ok(mut scan) = scan(&model, &mut arena) else { return true };
    if scan.start(lines).is_err() {
        return true;
    }
    for k in 0..lines {
        let line = (model.width() / 2 + k) % model.width();
        let samples: Vec<Complex32> =
            (0..model.height()).map(|y| Complex32::new((y * 7 + k) as f32 % 5.0 - 2.0, (y + k) as f32 % 3.0)).collect();
        let _ = scan.propose();
        if scan.push_line(line, &samples).is_err() {
            return true;
        }
    }
    let _ = scan.digest();
    true
}

/// A captured slice or volume as it is, and with the checksum of what it holds.
fn capture(bytes: &[u8]) -> bool {
    stored(bytes) || {
        let [before, after] =
            [bytes.get(..CAPTURE_CRC.start), bytes.get(CAPTURE_CRC.end..)].map(Option::unwrap_or_default);
        let mut crc = crc32fast::Hasher::new();
        [before, after].into_iter().for_each(|part| crc.update(part));
        if let Some(mended) = with_number_at(bytes, CAPTURE_CRC, crc.finalize()) {
            stored(&mended);
        }
        false
    }
}

/// A capture: checked, and its lines read, also some that it does not have.
fn stored(bytes: &[u8]) -> bool {
    let Ok(stored) = Stored::new_checked(bytes) else { return false };
    let mut line = [Complex32::new(0.0, 0.0); MAX_SIDE];
    match stored {
        Stored::Slice(capture) => {
            for at in capture.lines().chain([0, capture.width(), usize::MAX]) {
                let _ = capture.copy_line(at, &mut line[..capture.height()]);
            }
        }
        Stored::Volume(capture) => {
            let others = [(0, 0), (capture.slices(), capture.width()), (0, usize::MAX)];
            for place in capture.places().chain(others.map(|(slice, line)| Place { slice, line })) {
                let _ = capture.copy_line(place, &mut line[..capture.height()]);
            }
        }
    }
    let _ = (stored.blob_crc(), stored.digest());
    true
}

/// The bytes with `number`, little-endian, at `place`; nothing where they are too few.
fn with_number_at(bytes: &[u8], place: Range<usize>, number: u32) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    bytes.get_mut(place)?.copy_from_slice(&number.to_le_bytes());
    Some(bytes)
}

fn nifti(bytes: &[u8]) -> bool {
    let Ok(volume) = NiftiVolume::from_bytes(bytes, MOST_BYTES) else { return false };
    let _ = volume.classes(Path::new("fuzzed.nii"));
    volume.affine();
    true
}

fn png(bytes: &[u8]) -> bool {
    in_file("0.png", bytes, |path| Grey::read(path).is_ok() | Grey::read_label(path).is_ok())
}

/// PyTorch's files and safetensors, up to a network that holds them.
fn weights(bytes: &[u8]) -> bool {
    // A name of the other kind would be refused before the bytes are looked at. Behind the length of the header comes its JSON.
    let name = if bytes.get(8) == Some(&b'{') { "weights.safetensors" } else { "weights.pth" };
    in_file(name, bytes, |path| {
        let Ok(weights) = StateDict::read(path) else { return false };
        if let Some(arch) = recognise(&weights)
            && infer_spec(arch, &weights).is_ok_and(|spec| spec.width <= 16 && spec.classes <= 16)
        {
            let _ = import_segmenter(arch, &weights, &Device::flex());
        }
        true
    })
}

/// A checkpoint's description, beside weights that are none.
fn checkpoint(bytes: &[u8]) -> bool {
    in_file("checkpoint.json", bytes, |path| {
        let dir = path.parent().unwrap_or(path);
        let _ = fs::write(dir.join("weights.bpk"), b"none");
        let Ok((dir, meta)) = read_meta(dir) else { return false };
        let _ = meta.segmenter(&dir);
        true
    })
}

fn config_file(bytes: &[u8]) -> bool {
    in_file("config.toml", bytes, |path| {
        let path = Some(path);
        let reward = config::load::<SegmenterConfig>(path, &[]).is_ok_and(|config| config.check_values().is_ok());
        reward
            | config::load::<ClassifierConfig>(path, &[]).is_ok()
            | config::load::<PolicyConfig>(path, &[]).is_ok()
            | config::load::<VolumeConfig>(path, &[]).is_ok()
    })
}

/// Labels of a classifier, masks of slices, and scores of an evaluation.
fn csv(bytes: &[u8]) -> bool {
    let masks = std::str::from_utf8(bytes).is_ok_and(|text| masks_of_text(text, 32).is_ok());
    masks
        | in_file("results.csv", bytes, |path| {
            Labels::read(path).is_ok() | path.parent().is_some_and(|dir| read_results(dir, "policy").is_ok())
        })
}

/// Learned masks, lines by position, and manifests.
fn json(bytes: &[u8]) -> bool {
    in_file("manifest.json", bytes, |path| {
        let dir = path.parent().unwrap_or(path);
        LearnedMask::read_for(path, 32, 4).is_ok() | Plans::read_for(path, 32).is_ok() | Manifest::read(dir).is_ok()
    })
}

fn npy(bytes: &[u8]) -> bool {
    in_file("array.npy", bytes, |path| read_npy(path).is_ok())
}

/// ACDC's `Info.cfg`.
fn info(bytes: &[u8]) -> bool {
    InfoCfg::parse(bytes, Path::new("Info.cfg")).is_ok()
}

/// Calls `read` with a file of `bytes` in a folder of its own, which goes afterwards.
fn in_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> bool) -> bool {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("the file is written");
    read(&path)
}
