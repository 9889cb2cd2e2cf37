//! Voxels of any real type as `f32`.

use std::io::{self, Read};

/// What a stored value is multiplied by, and what is added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub slope: f64,
    pub intercept: f64,
}

/// A voxel's type: NIfTI's codes of real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VoxelType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// The code of [`VoxelType::U8`].
pub(super) const U8_CODE: f64 = 2.0;

impl VoxelType {
    /// The type with this code in the field `datatype`.
    pub(super) fn of_code(code: f64) -> Result<Self, String> {
        let other = |name: &str| Err(format!("voxel type {name}; expected real numbers"));
        match code as i64 {
            2 => Ok(Self::U8),
            4 => Ok(Self::I16),
            8 => Ok(Self::I32),
            16 => Ok(Self::F32),
            64 => Ok(Self::F64),
            256 => Ok(Self::I8),
            512 => Ok(Self::U16),
            768 => Ok(Self::U32),
            1024 => Ok(Self::I64),
            1280 => Ok(Self::U64),
            1 => other("of one bit"),
            32 | 1792 | 2048 => other("complex"),
            128 | 2304 => other("RGB, a colour"),
            1536 => other("of 128-bit floats"),
            code => other(&format!("{code}, which NIfTI does not know")),
        }
    }

    /// Bytes of a voxel.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Reads `count` voxels, scaled, or without a scale as they are.
    pub(super) fn read(
        self,
        from: &mut impl Read,
        count: usize,
        big_endian: bool,
        scale: Option<Scale>,
    ) -> io::Result<Vec<f32>> {
        let mut voxels = Vec::new();
        voxels.try_reserve_exact(count).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut chunk = vec![0; 1 << 16];
        while voxels.len() < count {
            let here = (count - voxels.len()).min(chunk.len() / self.bytes() as usize);
            let bytes = &mut chunk[..here * self.bytes() as usize];
            from.read_exact(bytes)?;
            self.decode(bytes, big_endian, scale, &mut voxels);
        }
        Ok(voxels)
    }

    fn decode(self, bytes: &mut [u8], big_endian: bool, scale: Option<Scale>, voxels: &mut Vec<f32>) {
        /// Each number of a type, as it is where there is no scale: then no 32-bit number is rounded twice.
        macro_rules! numbers {
            ($type:ty) => {{
                let all = bytes.chunks_exact_mut(size_of::<$type>()).map(|number| {
                    if big_endian {
                        number.reverse();
                    }
                    let mut own = [0; size_of::<$type>()];
                    own.copy_from_slice(number);
                    <$type>::from_le_bytes(own)
                });
                match scale {
                    Some(Scale { slope, intercept }) => {
                        voxels.extend(all.map(|v| (v as f64 * slope + intercept) as f32))
                    }
                    None => voxels.extend(all.map(|v| v as f32)),
                }
            }};
        }
        match self {
            Self::U8 => numbers!(u8),
            Self::I8 => numbers!(i8),
            Self::U16 => numbers!(u16),
            Self::I16 => numbers!(i16),
            Self::U32 => numbers!(u32),
            Self::I32 => numbers!(i32),
            Self::U64 => numbers!(u64),
            Self::I64 => numbers!(i64),
            Self::F32 => numbers!(f32),
            Self::F64 => numbers!(f64),
        }
    }
}
