//! The header of a NIfTI file, version 1 (348 bytes) or 2 (540 bytes), in either byte order.
//!
//! Fields are read where the standards put them (nifti.nimh.nih.gov, `nifti1.h` and `nifti2.h`), and written back into a copy
//! of the same bytes, so that what a program does not know about stays as it was.

/// How a field's numbers are stored.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }
}

/// Where a field begins, and its numbers' kind.
#[derive(Clone, Copy)]
pub(super) struct Field(usize, Kind);

/// The fields that are used, of one version.
pub(super) struct Fields {
    /// Bytes of the header; the field `sizeof_hdr` says so.
    bytes: usize,
    magic: (usize, &'static [u8]),
    pub(super) dim: Field,
    pub(super) datatype: Field,
    pub(super) bitpix: Field,
    pub(super) pixdim: Field,
    pub(super) vox_offset: Field,
    pub(super) scl_slope: Field,
    pub(super) scl_inter: Field,
    pub(super) cal_max: Field,
    pub(super) cal_min: Field,
    pub(super) qform_code: Field,
    pub(super) sform_code: Field,
    pub(super) quatern: Field,
    pub(super) qoffset: Field,
    pub(super) srow: Field,
    pub(super) xyzt_units: Field,
    pub(super) intent_code: Field,
    /// 80 bytes of text.
    descrip: usize,
    /// 16 bytes of text.
    intent_name: usize,
}

const VERSION_1: Fields = Fields {
    bytes: 348,
    magic: (344, b"n+1\0"),
    dim: Field(40, Kind::I16),
    intent_code: Field(68, Kind::I16),
    datatype: Field(70, Kind::I16),
    bitpix: Field(72, Kind::I16),
    pixdim: Field(76, Kind::F32),
    vox_offset: Field(108, Kind::F32),
    scl_slope: Field(112, Kind::F32),
    scl_inter: Field(116, Kind::F32),
    xyzt_units: Field(123, Kind::U8),
    cal_max: Field(124, Kind::F32),
    cal_min: Field(128, Kind::F32),
    descrip: 148,
    qform_code: Field(252, Kind::I16),
    sform_code: Field(254, Kind::I16),
    quatern: Field(256, Kind::F32),
    qoffset: Field(268, Kind::F32),
    srow: Field(280, Kind::F32),
    intent_name: 328,
};

const VERSION_2: Fields = Fields {
    bytes: 540,
    magic: (4, b"n+2\0\r\n\x1a\n"),
    datatype: Field(12, Kind::I16),
    bitpix: Field(14, Kind::I16),
    dim: Field(16, Kind::I64),
    pixdim: Field(104, Kind::F64),
    vox_offset: Field(168, Kind::I64),
    scl_slope: Field(176, Kind::F64),
    scl_inter: Field(184, Kind::F64),
    cal_max: Field(192, Kind::F64),
    cal_min: Field(200, Kind::F64),
    descrip: 240,
    qform_code: Field(344, Kind::I32),
    sform_code: Field(348, Kind::I32),
    quatern: Field(352, Kind::F64),
    qoffset: Field(376, Kind::F64),
    srow: Field(400, Kind::F64),
    xyzt_units: Field(500, Kind::I32),
    intent_code: Field(504, Kind::I32),
    intent_name: 508,
};

/// Bytes after the header that say whether extensions follow.
const EXTENDER: usize = 4;

/// A header's bytes, of a known version and byte order.
#[derive(Clone)]
pub(super) struct Header {
    bytes: Vec<u8>,
    version: &'static Fields,
    big_endian: bool,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Header({} bytes, {})",
            self.bytes.len(),
            if self.big_endian { "big-endian" } else { "little-endian" }
        )
    }
}

impl Header {
    /// How many bytes the header has whose first four are these, or what the file is instead.
    pub(super) fn length(first: [u8; 4]) -> Result<usize, String> {
        let [little, big] =
            [i32::from_le_bytes(first), i32::from_be_bytes(first)].map(|n| usize::try_from(n).unwrap_or(0));
        let sizes = [VERSION_1.bytes, VERSION_2.bytes];
        let known = sizes.into_iter().find(|&size| size == little || size == big);
        known.ok_or_else(|| match &first {
            [0x1f, 0x8b, ..] => "compressed twice; unpack it once (gunzip)".into(),
            [b'B', b'Z', b'h', _] => "compressed with bzip2; unpack it (bunzip2)".into(),
            [0xfd, b'7', b'z', b'X'] => "compressed with xz; unpack it (unxz)".into(),
            [0x28, 0xb5, 0x2f, 0xfd] => "compressed with Zstandard; unpack it (unzstd)".into(),
            [b'P', b'K', 3, 4] => "a zip archive; unpack it".into(),
            [0x89, b'P', b'N', b'G'] => "a PNG picture; name it .png".into(),
            _ => format!(
                "it begins with the bytes {first:02x?}, a NIfTI header with its length: {} or {}",
                VERSION_1.bytes, VERSION_2.bytes
            ),
        })
    }

    /// Takes the bytes of a header, as many as [`Header::length`] says.
    pub(super) fn new_checked(bytes: Vec<u8>) -> Result<Self, String> {
        let version = if bytes.len() == VERSION_1.bytes { &VERSION_1 } else { &VERSION_2 };
        if bytes.len() != version.bytes {
            return Err(format!("a header of {} bytes", bytes.len()));
        }
        let big_endian = bytes[..2] == [0, 0];
        let (at, magic) = version.magic;
        match &bytes[at..at + magic.len()] {
            found if found == magic => Ok(Self { bytes, version, big_endian }),
            [b'n', b'i', b'1' | b'2', 0, ..] => {
                Err("the header of a .hdr/.img pair; expected one file of both, .nii or \
                .nii.gz: convert it, such as with `fslchfiletype NIFTI_GZ` or NiBabel's `nib-convert`"
                    .into())
            }
            [0, 0, 0, 0] => Err("an ANALYZE 7.5 header, which does not say where it lies; convert it to NIfTI".into()),
            _ => Err(format!("no NIfTI header: {} was expected at byte {at}", magic.escape_ascii())),
        }
    }

    /// The places of fields.
    pub(super) fn fields(&self) -> &'static Fields {
        self.version
    }

    /// The header's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first byte that voxels may have.
    pub(super) fn first_voxel(&self) -> usize {
        self.version.bytes + EXTENDER
    }

    /// Whether numbers, also the voxels', begin with their highest byte.
    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// The number `index` of a field, which holds that many.
    pub(super) fn number(&self, Field(at, kind): Field, index: usize) -> f64 {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..kind.bytes()];
        bytes.copy_from_slice(&self.bytes[at + index * bytes.len()..][..bytes.len()]);
        if self.big_endian {
            bytes.reverse();
        }
        match (kind, &*bytes) {
            (Kind::U8, &[a]) => f64::from(a),
            (Kind::I16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (Kind::I32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (Kind::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Kind::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
            (Kind::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("a kind has as many bytes as it says"),
        }
    }

    /// Three numbers of a field from `index` on.
    pub(super) fn three(&self, field: Field, index: usize) -> [f64; 3] {
        [0, 1, 2].map(|i| self.number(field, index + i))
    }

    /// A field's only number.
    pub(super) fn one(&self, field: Field) -> f64 {
        self.number(field, 0)
    }

    /// Sets a field's first number.
    pub(super) fn put(&mut self, Field(at, kind): Field, value: f64) {
        let mut bytes = match kind {
            Kind::U8 => vec![value as u8],
            Kind::I16 => (value as i16).to_le_bytes().to_vec(),
            Kind::I32 => (value as i32).to_le_bytes().to_vec(),
            Kind::F32 => (value as f32).to_le_bytes().to_vec(),
            Kind::I64 => (value as i64).to_le_bytes().to_vec(),
            Kind::F64 => value.to_le_bytes().to_vec(),
        };
        if self.big_endian {
            bytes.reverse();
        }
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// Sets the description, at most 79 bytes, and empties the intent's name.
    pub(super) fn describe(&mut self, text: &str) {
        let Fields { descrip, intent_name, .. } = *self.version;
        self.bytes[descrip..descrip + 80].fill(0);
        self.bytes[intent_name..intent_name + 16].fill(0);
        let text = &text.as_bytes()[..text.len().min(79)];
        self.bytes[descrip..descrip + text.len()].copy_from_slice(text);
    }
}
