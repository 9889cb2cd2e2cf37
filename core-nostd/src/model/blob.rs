//! The bytes of a `.kscout` file.
//!
//! All numbers are little-endian on every target. Offsets count from the blob's first byte; sections and constants lie
//! at multiples of 16. Inside a record, bytes that no field names are zero; what lies between sections has no meaning,
//! and only the checksum looks at it. Zero points, strides and lengths obey the limits that [`Model::new_checked`](super::Model::new_checked) states
//! in its errors.
//!
//! # Header, 64 bytes
//! | at | type | field |
//! |---:|---|---|
//! | 0 | 8 bytes | magic, [`MAGIC`] |
//! | 8 | u8 | version, [`VERSION`] |
//! | 9 | u8 | required features, a bit each; 0: none |
//! | 10 | u16 | number of graphs G, 1 to 3 |
//! | 12 | u32 | length of the whole blob in bytes |
//! | 16 | u32 | CRC-32 (ISO-HDLC, that of zlib and PNG) of every other byte of the blob |
//! | 20 | u16 | height H of the image: 32, 64, 128, 256 or 512 |
//! | 22 | u16 | width W of the image, the number of lines: 32, 64, 128, 256 or 512 |
//! | 24 | u16 | number of classes, 2..=16 |
//! | 26 | u16 | layout of convolution weights: the values of [`Layout`] |
//! | 28 | f32 | quantisation levels per root mean square of the image, [`IMAGE_LEVELS_PER_RMS`](crate::contract::IMAGE_LEVELS_PER_RMS) |
//! | 32 | u32, u32 | provenance: offset and length (at most 1024) of a UTF-8 text: network, training data, licence |
//! | 40 | u16 | reconstruction of the image: the values of [`Reconstruction`], 0 zero-filled |
//! | 42 | u16 | directions of the training data's axes: [`AxisCodes`], 0 not known |
//! | 44 | u32, u32 | line order: offset, length: the lines of a slice that shares its volume's budget, u16 each, no line twice; 0, 0: centre-out |
//! | 52 | 3 u32 | hashes of the weights that segmenter, policy and slice policy were made from; 0 not known, or no such graph |
//!
//! A *required feature* is something that a reader must know to understand the file. What a bit stands for is said here, once there is
//! one: so far there is none, files of format 1 have a 0 there, and a reader refuses a file with a bit that it does not know, by its
//! number ([`Problem::Features`]). What a reader finds out by itself, such as a code of an operator that it does not have, takes no
//! bit. The last bit is kept for a longer list. The version changes when the header can no longer be read.
//!
//! # Graph table, from byte 64: G records of 48 bytes, in the order of their kinds
//! | at | type | field |
//! |---:|---|---|
//! | 0 | u32 | kind: 1 segmenter, 2 policy, 3 slice policy |
//! | 4 | u32 | number of inputs I |
//! | 8 | u32 | arena bytes: activations and scratch, a multiple of 16 |
//! | 12 | u32 | scratch bytes of the node that needs most |
//! | 16 | u64 | multiply-accumulates of convolutions in one run |
//! | 24 | u32, u32 | tensor table: offset, length |
//! | 32 | u32, u32 | node table: offset, length |
//! | 40 | u32, u32 | constants: offset, length |
//!
//! # Tensor table: I + N records of 24 bytes, the graph's inputs first, then what each of the N nodes writes
//! | at | type | field |
//! |---:|---|---|
//! | 0 | u16, u16, u16 | height, width, channels |
//! | 6 | u8 | place: 0 caller's input, 1 arena |
//! | 7 | u8 | 0 |
//! | 8 | f32 | scale |
//! | 12 | i32 | zero point |
//! | 16 | u32 | number of the input, or offset in the arena (a multiple of 16) |
//! | 20 | u32 | 0 |
//!
//! # Node table: N records of 64 bytes, in the order they run; the last one writes the graph's output
//! | at | type | field |
//! |---:|---|---|
//! | 0 | u16 | operator: the values of [`OperatorKind`](super::OperatorKind) |
//! | 2 | u16 | 0 |
//! | 4 | u32 | first tensor read, less than I + the node's number |
//! | 8 | u32 | second tensor read; `0xffff_ffff` if none |
//! | 12 | u32 | offset of the scratch memory in the arena, a multiple of 16 |
//! | 16 | u32 | bytes of scratch memory |
//! | 20 | u32, u32 | first constant: weights, gamma or table; offset, length; 0, 0 if none |
//! | 28 | u32, u32 | second constant: channel parameters or beta; likewise |
//! | 36 | 28 bytes | attributes: |
//!
//! | operator | attributes from byte 36 on, then zeros |
//! |---|---|
//! | `Conv2d`, `Depthwise` | clamp i8, i8; kernel height u8, width u8; stride u8; pad u8; dilation u8 |
//! | `MaxPool` | clamp i8, i8; kernel u8; stride u8 |
//! | `Add` | clamp i8, i8; left shift u16; multiplier i32 and shift i32 of the first input, the second, the sum |
//! | `Upsample2x` | clamp i8, i8; corners u16: 0 half-pixel centres, 1 aligned; multiplier i32, shift i32 |
//! | `LayerNorm` | clamp i8, i8; u16 0; epsilon f32 |
//! | `Table` | none |
//! | `Shift` | u16 0; axis u16: 0 y, 1 x |
//! | `Concat` | clamp i8, i8; u16 0; multiplier i32 and shift i32 of the first input, the second |
//! | `ConvTranspose2x2` | clamp i8, i8 |
//!
//! # Constants
//! Weights (in the header's layout) and tables are i8, channel parameters 12 bytes a channel (bias, multiplier, shift, i32 each), gamma and beta
//! f32. They are read where they lie.

use core::ops::Range;

use super::axes::AxisCodes;
use super::bytes::{Reader, Span, Writer};
use super::error::Problem;
use super::fields::equal;
use super::kinds::GraphKind;
use crate::crc32::crc32;
use crate::kernels::Layout;
use crate::kspace::Reconstruction;

pub use super::bytes::ALIGN;

/// The first eight bytes of a blob. The bytes around the name show at once when a transfer changed line ends or
/// dropped the eighth bit.
pub const MAGIC: [u8; 8] = *b"\x89KSCOUT\n";
/// The format's version; a reader takes this one only.
pub const VERSION: u8 = 1;
/// The required features that this reader knows, a bit each.
pub const KNOWN_FEATURES: u8 = 0;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a record of the graph table.
pub const GRAPH_BYTES: usize = 48;
/// The header's bytes that hold the checksum, the only ones it does not cover.
pub const CHECKSUM_FIELD: Range<usize> = 16..20;
/// Longest provenance text in bytes.
pub const MAX_PROVENANCE: usize = 1024;

/// CRC-32 (ISO-HDLC) of all of `blob` but [`CHECKSUM_FIELD`], as the header holds it there.
pub fn checksum(blob: &[u8]) -> u32 {
    let before = blob.get(..CHECKSUM_FIELD.start).unwrap_or(blob);
    let after = blob.get(CHECKSUM_FIELD.end..).unwrap_or_default();
    crc32([before, after])
}

/// The header as plain values, without magic and version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeaderRepr {
    /// What a reader has to know, a bit each; some of [`KNOWN_FEATURES`].
    pub features: u8,
    /// Number of graphs.
    pub graphs: usize,
    /// Length of the whole blob in bytes.
    pub length: usize,
    /// What [`checksum`] gives for the blob.
    pub checksum: u32,
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Number of classes.
    pub classes: usize,
    /// How the weights of convolutions lie.
    pub layout: Layout,
    /// Quantisation levels per root mean square of the image.
    pub image_levels_per_rms: f32,
    /// Where the provenance text lies.
    pub provenance: Span,
    /// How the image is made that the networks see.
    pub reconstruction: Reconstruction,
    /// Which way the axes of the training data ran through the body; none if not known.
    pub axes: Option<AxisCodes>,
    /// Where the line order lies, nowhere if its length is 0.
    pub line_order: Span,
    /// Hashes of the weights that segmenter, policy and slice policy were made from; 0 if not known. The exporter says of what
    /// they are a hash; the core only hands them on.
    pub weights: [u32; 3],
}

impl HeaderRepr {
    /// Reads a header.
    ///
    /// # Errors
    /// Too few bytes, another magic or version, a required feature that is not known, or a code that names nothing.
    pub fn parse(blob: &[u8]) -> Result<Self, Problem> {
        let Some((record, _)) = blob.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Problem::Truncated { need: HEADER_BYTES, got: blob.len() });
        };
        let mut r = Reader::new(record);
        let magic = r.bytes::<8>()?;
        if magic != MAGIC {
            return Err(Problem::Magic { got: magic });
        }
        equal("version", r.u8()?.into(), VERSION.into())?;
        let features = r.u8()?;
        let unknown = features & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(Problem::Features { unknown });
        }
        let graphs = r.u16()?.into();
        let (length, checksum) = (r.size()?, r.u32()?);
        let (height, width, classes) = (r.u16()?.into(), r.u16()?.into(), r.u16()?.into());
        let code = r.u16()?;
        let unknown = Problem::UnknownCode { field: "layout", got: code.into() };
        let layout = Layout::from_code(code).ok_or(unknown)?;
        let (image_levels_per_rms, provenance) = (r.f32()?, r.span()?);
        let code = r.u16()?;
        let unknown = Problem::UnknownCode { field: "reconstruction", got: code.into() };
        let reconstruction = Reconstruction::from_code(code).ok_or(unknown)?;
        let axes = match r.u16()? {
            0 => None,
            code => {
                let unknown = Problem::UnknownCode { field: "axis directions", got: code.into() };
                Some(AxisCodes::from_code(code).ok_or(unknown)?)
            }
        };
        let line_order = r.span()?;
        let weights = [r.u32()?, r.u32()?, r.u32()?];
        Ok(Self {
            features,
            graphs,
            length,
            checksum,
            height,
            width,
            classes,
            layout,
            image_levels_per_rms,
            provenance,
            reconstruction,
            axes,
            line_order,
            weights,
        })
    }

    /// Writes a header of [`HEADER_BYTES`].
    ///
    /// # Errors
    /// A field too large for its place.
    pub fn emit(&self, record: &mut [u8]) -> Result<(), Problem> {
        let mut w = Writer::new(record);
        w.put(MAGIC)?;
        w.put([VERSION, self.features])?;
        w.size16("number of graphs", self.graphs)?;
        w.size32("length", self.length)?;
        w.put(self.checksum.to_le_bytes())?;
        w.size16("height", self.height)?;
        w.size16("width", self.width)?;
        w.size16("classes", self.classes)?;
        w.put((self.layout as u16).to_le_bytes())?;
        w.put(self.image_levels_per_rms.to_le_bytes())?;
        w.span(self.provenance)?;
        w.put((self.reconstruction as u16).to_le_bytes())?;
        w.put(self.axes.map_or(0, AxisCodes::code).to_le_bytes())?;
        w.span(self.line_order)?;
        self.weights.into_iter().try_for_each(|hash| w.put(hash.to_le_bytes()))
    }
}

/// A record of the graph table as plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphRepr {
    /// What the graph is for.
    pub kind: GraphKind,
    /// Number of tensors the caller gives.
    pub inputs: usize,
    /// Bytes of arena a run needs, activations and scratch.
    pub arena_bytes: usize,
    /// Scratch bytes of the node that needs most.
    pub scratch_bytes: usize,
    /// Multiply-accumulates of convolutions in one run.
    pub macs: u64,
    /// The tensor table.
    pub tensors: Span,
    /// The node table.
    pub nodes: Span,
    /// Weights and other constants.
    pub constants: Span,
}

impl GraphRepr {
    /// Reads a record of the graph table.
    ///
    /// # Errors
    /// Too few bytes or an unknown kind.
    pub fn parse(record: &[u8]) -> Result<Self, Problem> {
        let mut r = Reader::new(record);
        let code = r.u32()?;
        let kind = GraphKind::from_code(code).ok_or(Problem::UnknownCode { field: "kind", got: code })?;
        Ok(Self {
            kind,
            inputs: r.size()?,
            arena_bytes: r.size()?,
            scratch_bytes: r.size()?,
            macs: r.u64()?,
            tensors: r.span()?,
            nodes: r.span()?,
            constants: r.span()?,
        })
    }

    /// Writes a record of [`GRAPH_BYTES`].
    ///
    /// # Errors
    /// A field too large for its place.
    pub fn emit(&self, record: &mut [u8]) -> Result<(), Problem> {
        let mut w = Writer::new(record);
        w.put((self.kind as u32).to_le_bytes())?;
        w.size32("inputs", self.inputs)?;
        w.size32("arena bytes", self.arena_bytes)?;
        w.size32("scratch bytes", self.scratch_bytes)?;
        w.put(self.macs.to_le_bytes())?;
        w.span(self.tensors)?;
        w.span(self.nodes)?;
        w.span(self.constants)
    }
}
