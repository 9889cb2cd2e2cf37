//! Files written byte by byte, each with one thing of its own.

mod place;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// A file of 3x2x2 voxels of 1.5x2x8 mm, without a form.
#[derive(Clone)]
struct File {
    version: u8,
    big_endian: bool,
    dim: Vec<i64>,
    kind: (i16, i16),
    pixdim: [f64; 4],
    offset: f64,
    scale: [f64; 2],
    units: u8,
    qform: (i32, [f64; 6]),
    sform: (i32, [[f64; 4]; 3]),
    voxels: Vec<u8>,
}

const SFORM: [[f64; 4]; 3] = [[-1.5, 0.0, 0.0, 7.0], [0.0, -2.0, 0.0, 8.0], [0.0, 0.0, 8.0, -9.0]];

impl File {
    fn new(version: u8, big_endian: bool) -> Self {
        Self {
            version,
            big_endian,
            dim: vec![3, 2, 2],
            kind: (2, 8),
            pixdim: [1.0, 1.5, 2.0, 8.0],
            offset: if version == 1 { 352.0 } else { 544.0 },
            scale: [0.0, 0.0],
            units: 2,
            qform: (0, [0.0; 6]),
            sform: (0, [[0.0; 4]; 3]),
            voxels: (0..12).map(|voxel| voxel % 4).collect(),
        }
    }

    fn plain() -> Self {
        Self::new(1, false)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; if self.version == 1 { 352 } else { 544 }];
        let mut put = |at: usize, mut number: Vec<u8>| {
            if self.big_endian {
                number.reverse();
            }
            bytes[at..at + number.len()].copy_from_slice(&number);
        };
        let short = |n: i64| (n as i16).to_le_bytes().to_vec();
        let dim = std::iter::once(self.dim.len() as i64).chain(self.dim.iter().copied());
        let codes = [self.qform.0, self.sform.0];
        if self.version == 1 {
            let real = |value: f64| (value as f32).to_le_bytes().to_vec();
            put(0, 348i32.to_le_bytes().to_vec());
            dim.enumerate().for_each(|(i, n)| put(40 + 2 * i, short(n)));
            put(70, short(self.kind.0.into()));
            put(72, short(self.kind.1.into()));
            self.pixdim.iter().enumerate().for_each(|(i, &v)| put(76 + 4 * i, real(v)));
            put(108, real(self.offset));
            self.scale.iter().enumerate().for_each(|(i, &v)| put(112 + 4 * i, real(v)));
            put(123, vec![self.units]);
            codes.iter().enumerate().for_each(|(i, &code)| put(252 + 2 * i, short(code.into())));
            self.qform
                .1
                .iter()
                .chain(self.sform.1.iter().flatten())
                .enumerate()
                .for_each(|(i, &v)| put(256 + 4 * i, real(v)));
            bytes[344..348].copy_from_slice(b"n+1\0");
        } else {
            let real = |value: f64| value.to_le_bytes().to_vec();
            put(0, 540i32.to_le_bytes().to_vec());
            put(12, short(self.kind.0.into()));
            put(14, short(self.kind.1.into()));
            dim.enumerate().for_each(|(i, n)| put(16 + 8 * i, n.to_le_bytes().to_vec()));
            self.pixdim.iter().enumerate().for_each(|(i, &v)| put(104 + 8 * i, real(v)));
            put(168, (self.offset as i64).to_le_bytes().to_vec());
            self.scale.iter().enumerate().for_each(|(i, &v)| put(176 + 8 * i, real(v)));
            codes.iter().enumerate().for_each(|(i, &code)| put(344 + 4 * i, code.to_le_bytes().to_vec()));
            self.qform
                .1
                .iter()
                .chain(self.sform.1.iter().flatten())
                .enumerate()
                .for_each(|(i, &v)| put(352 + 8 * i, real(v)));
            put(500, i32::from(self.units).to_le_bytes().to_vec());
            bytes[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
        }
        if self.offset > bytes.len() as f64 && self.offset < 1e6 {
            bytes.resize(self.offset as usize, 0xee);
        }
        bytes.extend(&self.voxels);
        bytes
    }

    fn read(&self) -> Result<NiftiVolume, String> {
        NiftiVolume::from_bytes(&self.bytes(), DEFAULT_MAX_BYTES)
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let error = self.read().map(|volume| volume.dim).unwrap_err();
        for word in words {
            assert!(error.contains(word), "`{error}` does not say `{word}`");
        }
    }
}

fn all_kinds() -> impl Iterator<Item = File> {
    [1, 2].into_iter().flat_map(|version| [false, true].map(|big_endian| File::new(version, big_endian)))
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn both_versions_in_both_byte_orders_say_the_same() {
    for file in all_kinds() {
        let file = File { sform: (1, SFORM), scale: [0.5, -1.0], ..file };
        let volume = file.read().unwrap();
        assert_eq!((volume.dim, volume.spacing_mm), ([3, 2, 2], [1.5, 2.0, 8.0]));
        assert_eq!(volume.voxels[..5], [-1.0, -0.5, 0.0, 0.5, -1.0]);
        assert_eq!((volume.affine(), volume.axes().unwrap().to_string()), (Some(SFORM), "LPS".into()));
        assert_eq!(volume.notes, [""; 0]);
    }
}

#[test]
fn every_type_of_real_numbers_is_read_in_both_byte_orders() {
    macro_rules! holds {
        ($code:literal, $type:ty, $values:expr) => {
            for mut file in all_kinds() {
                let values: [$type; 12] = $values;
                file.kind = ($code, 8 * size_of::<$type>() as i16);
                let bytes = |v: &$type| if file.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
                file.voxels = values.iter().flat_map(bytes).collect();
                let expected: Vec<f32> = values.iter().map(|&v| v as f32).collect();
                assert_eq!(file.read().unwrap().voxels, expected, stringify!($type));
                file.scale = [0.1, 3.0];
                let expected: Vec<f32> = values.iter().map(|&v| (v as f64 * f64::from(0.1f32) + 3.0) as f32).collect();
                let found = file.read().unwrap().voxels;
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs();
                assert!(found.iter().zip(&expected).all(close), "{}: {found:?} {expected:?}", stringify!($type));
            }
        };
    }
    holds!(2, u8, [0, 1, 2, 127, 128, 254, 255, 3, 4, 5, 6, 7]);
    holds!(256, i8, [0, 1, -1, 127, -128, 5, 6, 7, 8, 9, 10, 11]);
    holds!(4, i16, [0, 1, -1, i16::MAX, i16::MIN, 258, 6, 7, 8, 9, 10, 11]);
    holds!(512, u16, [0, 1, 2, u16::MAX, 40000, 258, 6, 7, 8, 9, 10, 11]);
    holds!(8, i32, [0, 1, -1, i32::MAX, i32::MIN, 66051, 6, 7, 8, 9, 10, 11]);
    holds!(768, u32, [0, 1, 2, u32::MAX, 66051, 5, 6, 7, 8, 9, 10, 11]);
    holds!(1024, i64, [0, 1, -1, i64::MAX, i64::MIN, 66051, 6, 7, 8, 9, 10, 11]);
    holds!(1280, u64, [0, 1, 2, u64::MAX, 66051, 5, 6, 7, 8, 9, 10, 11]);
    holds!(16, f32, [0.0, 1.5, -1.5, f32::MAX, 1e-30, 0.1, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    holds!(64, f64, [0.0, 1.5, -1.5, 1e30, 1e-30, 0.1, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
}

#[test]
fn types_without_one_real_number_are_named() {
    for (code, name) in
        [(1, "one bit"), (32, "complex"), (128, "RGB"), (2304, "RGB"), (1536, "128-bit"), (7, "7"), (-3, "-3")]
    {
        File { kind: (code, 8), ..File::plain() }.refused(&["voxel type", name]);
    }
}

#[test]
fn voxels_begin_where_vox_offset_says() {
    for file in all_kinds() {
        for more in [0.0, 16.0, 1024.0, 70000.0] {
            let file = File { offset: file.offset + more, ..file.clone() };
            let volume = file.read().unwrap();
            assert_eq!(volume.voxels[..5], [0.0, 1.0, 2.0, 3.0, 0.0], "version {}, {more} bytes on", file.version);
            let packed = NiftiVolume::from_bytes(&packed(&file.bytes()), DEFAULT_MAX_BYTES).unwrap();
            assert_eq!(packed.voxels, volume.voxels);
        }
    }
}

#[test]
fn offsets_that_are_no_place_for_voxels() {
    for file in all_kinds() {
        let at = |offset: f64| File { offset, ..file.clone() };
        at(-1.0).refused(&["vox_offset is -1"]);
        for inside in [0.0, 100.0, file.offset - 1.0] {
            at(inside).refused(&["vox_offset", "inside the header", &file.offset.to_string()]);
        }
        at(1e9).refused(&["limit"]);
        at(1e7).refused(&["vox_offset 10000000 is past the end"]);
        at(2e18).refused(&["vox_offset is"]);
    }
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 352.5, 1e30] {
        File { offset: nonsense, ..File::plain() }.refused(&["vox_offset is"]);
    }
    let mut deep = File { offset: 1e6 - 8.0, ..File::plain() }.bytes();
    deep.truncate(5000);
    for bytes in [deep.clone(), packed(&deep)] {
        let error = NiftiVolume::from_bytes(&bytes, DEFAULT_MAX_BYTES).unwrap_err();
        assert!(error.contains("vox_offset 999992 is past the end"), "{error}");
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_and_bytes_after_the_voxels_of_a_plain_one_are_not() {
    for file in all_kinds() {
        let bytes = file.bytes();
        let gzip = packed(&bytes);
        for whole in [&bytes, &gzip] {
            for length in 0..whole.len() {
                assert!(NiftiVolume::from_bytes(&whole[..length], DEFAULT_MAX_BYTES).is_err(), "{length} bytes");
            }
        }
        assert!(NiftiVolume::from_bytes(&bytes[..bytes.len() - 1], DEFAULT_MAX_BYTES).unwrap_err().contains("cut off"));
        NiftiVolume::from_bytes(&[&bytes[..], b"more"].concat(), DEFAULT_MAX_BYTES).unwrap();
        NiftiVolume::from_bytes(&[&gzip[..], &[0; 4000]].concat(), DEFAULT_MAX_BYTES).unwrap();
        let error = NiftiVolume::from_bytes(&[&gzip[..], b"more"].concat(), DEFAULT_MAX_BYTES).unwrap_err();
        assert!(error.contains("damaged") && error.contains("neither zeros nor gzip"), "{error}");
    }
}

#[test]
fn a_checksum_counts_also_where_it_comes_after_the_voxels() {
    let bytes = [&File::plain().bytes()[..], &[7; 5000]].concat();
    let mut gzip = packed(&bytes);
    NiftiVolume::from_bytes(&gzip, DEFAULT_MAX_BYTES).unwrap();
    let checksum = gzip.len() - 8;
    gzip[checksum] ^= 4;
    let error = NiftiVolume::from_bytes(&gzip, DEFAULT_MAX_BYTES).unwrap_err();
    assert!(error.contains("damaged") && error.contains("checksum"), "{error}");
}

#[test]
fn what_is_no_single_nifti_file_is_named() {
    let refused = |bytes: &[u8], word: &str| {
        let error = NiftiVolume::from_bytes(bytes, DEFAULT_MAX_BYTES).unwrap_err();
        assert!(error.contains(word), "{error}");
    };
    let plain = File::plain().bytes();
    refused(&packed(&packed(&plain)), "compressed twice");
    refused(b"BZh91AY&SY", "bunzip2");
    refused(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0], "unzstd");
    refused(b"\x89PNG\r\n", "PNG picture");
    refused(b"some text", "its length: 348 or 540");
    for (version, at, pair) in [(1, 344, &b"ni1\0"[..]), (2, 4, b"ni2\0\r\n\x1a\n")] {
        let mut bytes = File::new(version, false).bytes();
        bytes[at..at + pair.len()].copy_from_slice(pair);
        refused(&bytes, ".hdr/.img pair");
        bytes[at..at + pair.len()].fill(0);
        // Only NIfTI-1 has the length of ANALYZE's header.
        refused(&bytes, if version == 1 { "ANALYZE" } else { "at byte 4" });
        bytes[at] = b'x';
        refused(&bytes, &format!("at byte {at}"));
    }
}

#[test]
fn dimensions_make_one_volume() {
    let shaped = |dim: &[i64]| File { dim: dim.to_vec(), ..File::plain() };
    let dim = |sizes: &[i64]| shaped(sizes).read().unwrap().dim;
    assert_eq!(
        [dim(&[3, 4]), dim(&[3, 2, 2, 1, 1]), dim(&[3, 2, 2, 0]), dim(&[3, 4, 0])],
        [[3, 4, 1], [3, 2, 2], [3, 2, 2], [3, 4, 1]]
    );
    shaped(&[3, 2, 1, 2]).refused(&["3x2x1x2", "a series", "take a frame out"]);
    shaped(&[12]).refused(&["dimensions 12", "three axes"]);
    for wrong in [&[-3, 2, 2][..], &[3, 0, 2], &[3, 2, -2], &[3, 2, 2, -1]] {
        shaped(wrong).refused(&["dimensions", "three axes"]);
    }
    shaped(&[]).refused(&["dim[0] is 0"]);
    shaped(&[1; 8]).refused(&["dim[0] is 8"]);
}

#[test]
fn files_above_the_limit_are_refused_before_their_voxels_are_read() {
    for version in [1, 2] {
        let shaped = |dim: [i64; 3], kind| File { dim: dim.to_vec(), kind, ..File::new(version, false) };
        shaped([2000, 2000, 400], (2, 8)).refused(&["2000x2000x400 voxels (5.960464 GiB in memory)", "0.5 GiB"]);
        shaped([32767, 32767, 32767], (64, 64)).refused(&["32767x32767x32767", "--max-gib"]);
        // Few enough voxels, and bytes in the file too many.
        shaped([512, 512, 300], (64, 64)).refused(&["512x512x300 voxels (0.585938 GiB unpacked)", "--max-gib"]);
        // Within the limit, but there are no bytes for it.
        shaped([512, 512, 300], (2, 8)).refused(&["cut off"]);
    }
    File { dim: vec![i64::MAX; 3], ..File::new(2, false) }.refused(&["--max-gib"]);
    // 0.3 GiB in whole bytes is a little less.
    let error =
        NiftiVolume::from_bytes(&File { dim: vec![512, 512, 512], ..File::plain() }.bytes(), 322_122_547).unwrap_err();
    assert!(error.contains("above the limit of 0.3 GiB;"), "{error}");
    let small = File::plain().bytes();
    let error = NiftiVolume::from_bytes(&small, 47).unwrap_err();
    assert!(error.contains("3x2x2 voxels"), "{error}");
    assert!(NiftiVolume::from_bytes(&small, 363).unwrap_err().contains("from byte 352 on"));
    NiftiVolume::from_bytes(&small, 364).unwrap();
    // A stream that goes on behind its voxels.
    let long = packed(&[&small[..], &vec![0; 1 << 20]].concat());
    assert!(NiftiVolume::from_bytes(&long, 1 << 20).unwrap_err().contains("unpacked"));
    NiftiVolume::from_bytes(&long, 1 << 21).unwrap();
}

#[test]
fn many_tiny_slices_count_as_what_they_become() {
    let within = |slices, max_bytes| NiftiVolume::expect_slices_within(Path::new("thin.nii"), slices, 128, max_bytes);
    within(8192, 1 << 29).unwrap();
    let error = within(32767, 1 << 29).unwrap_err().to_string();
    for word in ["thin.nii", "32767 slices", "128x128 pixels", "1.999939 GiB", "the limit of 0.5 GiB", "--max-gib"] {
        assert!(error.contains(word), "{error}");
    }
    within(32767, 1 << 31).unwrap();
    assert!(within(usize::MAX, u64::MAX - 1).is_err());
}

#[test]
fn a_file_of_nothing_is_said_to_be_empty() {
    for nothing in [vec![], packed(&[])] {
        let error = NiftiVolume::from_bytes(&nothing, DEFAULT_MAX_BYTES).unwrap_err();
        assert!(error.contains("an empty file"), "{error}");
    }
    for cut in [vec![92], packed(&[92, 1, 0])] {
        assert!(NiftiVolume::from_bytes(&cut, DEFAULT_MAX_BYTES).unwrap_err().contains("cut off"));
    }
}

#[test]
fn slopes_that_do_not_scale_and_intercepts_that_are_no_numbers() {
    for slope in [0.0, f64::NAN, f64::INFINITY] {
        let file = File { scale: [slope, 5.0], ..File::plain() };
        assert_eq!(file.read().unwrap().voxels[..4], [0.0, 1.0, 2.0, 3.0], "{slope}");
    }
    File { scale: [2.0, f64::NAN], ..File::plain() }.refused(&["scl_inter is NaN", "slope of 2"]);
}

#[test]
fn labels_are_whole_numbers_that_rounding_moved() {
    let path = Path::new("labels.nii");
    let classes = |slope: f64| File { scale: [slope, 0.0], ..File::plain() }.read().unwrap().classes(path);
    for slope in [1.0, 0.9967, 1.0033] {
        assert_eq!(classes(slope).unwrap()[..5], [0, 1, 2, 3, 0], "{slope}");
    }
    assert!(classes(0.996).unwrap_err().to_string().contains("label value 2.98"), "0.012 from 3");
    assert!(classes(1.02).unwrap_err().to_string().contains("label value 1.02 at x=1, y=0, z=0"));
    for value in [-1.0, 4.0, 0.5, f64::NAN, f64::INFINITY] {
        let voxels = (value as f32).to_le_bytes().repeat(12);
        let volume = File { kind: (16, 32), voxels, ..File::plain() }.read().unwrap();
        assert!(volume.classes(path).is_err(), "{value}");
    }
    let voxels = (-0.0099f32).to_le_bytes().repeat(12);
    assert_eq!(File { kind: (16, 32), voxels, ..File::plain() }.read().unwrap().classes(path).unwrap(), [0; 12]);
}

#[test]
fn labels_are_written_with_the_image_s_version_byte_order_and_place() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path();
    let labels: Vec<u8> = (0..12).map(|voxel| voxel / 3).collect();
    for file in all_kinds() {
        let file = File {
            kind: (4, 16),
            voxels: vec![1; 24],
            scale: [2.0, 1.0],
            qform: (1, [0.1, 0.2, 0.3, 1.0, 2.0, 3.0]),
            sform: (2, SFORM),
            offset: file.offset + 32.0,
            ..file
        };
        let image = file.read().unwrap();
        for name in ["labels.nii", "labels.nii.gz"] {
            let path = folder.join(name);
            image.write_classes(&path, &labels).unwrap();
            let found = NiftiVolume::read(&path).unwrap();
            assert_eq!(found.classes(&path).unwrap(), labels);
            assert_eq!((found.dim, found.spacing_mm, found.affine()), (image.dim, image.spacing_mm, image.affine()));
            assert_eq!(found.header.is_big_endian(), file.big_endian);
        }
        let (written, own) = (std::fs::read(folder.join("labels.nii")).unwrap(), file.bytes());
        let kept = if file.version == 1 { [40..56, 76..108, 252..328] } else { [16..80, 104..168, 344..496] };
        for range in kept {
            assert_eq!(written[range.clone()], own[range.clone()], "bytes {range:?} of version {}", file.version);
        }
        assert_eq!(written.len(), if file.version == 1 { 352 } else { 544 } + 12);
    }
}
