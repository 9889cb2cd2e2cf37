//! The bytes of a `.kscout` file, and the checked view of them.
//!
//! All numbers are little-endian on every target. Offsets count from the blob's first byte; sections and constants lie
//! at multiples of 16. Inside a record, bytes that no field names are zero; what lies between sections has no meaning,
//! and only the checksum looks at it. Zero points, strides and lengths obey the limits that [`Model::new_checked`] states
//! in its errors.
//!
//! # Header, 64 bytes
//! | at | type | field |
//! |---:|---|---|
//! | 0 | 8 bytes | magic, [`MAGIC`] |
//! | 8 | u16 | version, [`VERSION`] |
//! | 10 | u16 | number of graphs G, 1 to 3 |
//! | 12 | u32 | length of the whole blob in bytes |
//! | 16 | u32 | CRC-32 (ISO-HDLC, that of zlib and PNG) of every other byte of the blob |
//! | 20 | u16 | height H of the image: 32, 64, 128, 256 or 512 |
//! | 22 | u16 | width W of the image, the number of lines: 32, 64, 128, 256 or 512 |
//! | 24 | u16 | number of classes, 2..=16 |
//! | 26 | u16 | layout of convolution weights: the values of [`Layout`] |
//! | 28 | f32 | quantisation levels per root mean square of the image, [`IMAGE_LEVELS_PER_RMS`] |
//! | 32 | u32, u32 | provenance: offset and length (at most 1024) of a UTF-8 text: network, training data, licence |
//! | 40 | u16 | reconstruction of the image: the values of [`Reconstruction`], 0 zero-filled |
//! | 42 | u16 | directions of the training data's axes: [`AxisCodes`], 0 not known |
//! | 44 | u32, u32 | line order: offset, length: the lines of a slice that shares its volume's budget, u16 each, no line twice; 0, 0: centre-out |
//! | 52 | 3 u32 | hashes of the weights that segmenter, policy and slice policy were made from; 0 not known, or no such graph |
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

use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;

use super::axes::AxisCodes;
use super::bytes::{Reader, Span, Writer};
use super::check::{equal, extent, float, section, within};
use super::error::{BlobError, Location, Problem};
use super::graph::{Graph, GraphKind};
use super::reconstruction::Reconstruction;
use crate::crc32::crc32;
use crate::kernels::Layout;
use crate::kspace::{LineSet, MAX_LINES};

/// The first eight bytes of a blob. The bytes around the name show at once when a transfer changed line ends or
/// dropped the eighth bit.
pub const MAGIC: [u8; 8] = *b"\x89KSCOUT\n";
/// The format's version; a reader takes this one only.
pub const VERSION: u16 = 1;
/// Quantisation levels per root mean square of the image: the networks read it at scale one over this and zero point
/// -128, so 255 levels reach 5.3 times the RMS.
pub const IMAGE_LEVELS_PER_RMS: f32 = 48.0;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a record of the graph table.
pub const GRAPH_BYTES: usize = 48;
/// The header's bytes that hold the checksum, the only ones it does not cover.
pub const CHECKSUM_FIELD: Range<usize> = 16..20;
/// Sections and constants lie at multiples of this.
pub const ALIGN: u32 = 16;
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
    /// Too few bytes, another magic or version, or reserved bytes that are not zero.
    pub fn parse(blob: &[u8]) -> Result<Self, Problem> {
        let Some((record, _)) = blob.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Problem::Truncated { need: HEADER_BYTES, got: blob.len() });
        };
        let mut r = Reader::new(record);
        let magic = r.bytes::<8>()?;
        if magic != MAGIC {
            return Err(Problem::Magic { got: magic });
        }
        equal("version", r.u16()?.into(), VERSION.into())?;
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
        w.put(VERSION.to_le_bytes())?;
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

    fn check(&self, blob: &[u8]) -> Result<(), Problem> {
        equal("length", blob.len() as i64, self.length as i64)?;
        let got = checksum(blob);
        if got != self.checksum {
            return Err(Problem::Checksum { got, expected: self.checksum });
        }
        within("number of graphs", self.graphs, 1, 3)?;
        extent("height", self.height)?;
        extent("width", self.width)?;
        within("classes", self.classes, 2, 16)?;
        // Another constant would ask for other image bytes than the core makes.
        float("image levels per rms", self.image_levels_per_rms, IMAGE_LEVELS_PER_RMS, "48")
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
        Ok(Self {
            kind: GraphKind::from_code(r.u32()?)?,
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

/// A checked blob: the networks of one scanner protocol, read where they lie.
///
/// Copying it copies a few words, not the blob.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    bytes: &'a [u8],
    header: HeaderRepr,
    provenance: &'a str,
    line_order: &'a [u8],
    segmenter: Option<Graph<'a>>,
    policy: Option<Graph<'a>>,
    slice_policy: Option<Graph<'a>>,
}

impl<'a> Model<'a> {
    /// Checks a blob from beginning to end, once. Any bytes may be given. Afterwards nothing that reads the model can
    /// panic, read out of bounds, or overwrite a tensor that is still needed.
    ///
    /// Takes time in proportion to the blob's length, and to the square of the number of nodes.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, BlobError> {
        let header = HeaderRepr::parse(bytes).map_err(|p| p.at(Location::Header))?;
        header.check(bytes).map_err(|p| p.at(Location::Header))?;
        let provenance = provenance(bytes, header.provenance).map_err(|p| p.at(Location::Provenance))?;
        let line_order = line_order(bytes, &header).map_err(|p| p.at(Location::LineOrder))?;
        let mut model =
            Self { bytes, header, provenance, line_order, segmenter: None, policy: None, slice_policy: None };
        let mut previous = 0;
        for index in 0..header.graphs {
            let here = Location::GraphRecord(index);
            let at = HEADER_BYTES.saturating_add(index.saturating_mul(GRAPH_BYTES));
            let record = bytes.get(at..).and_then(|rest| rest.get(..GRAPH_BYTES));
            let need = at.saturating_add(GRAPH_BYTES);
            let record = record.ok_or(Problem::Truncated { need, got: bytes.len() }.at(here))?;
            let repr = GraphRepr::parse(record).map_err(|p| p.at(here))?;
            let code = repr.kind as i64;
            if code <= previous {
                let problem = Problem::OutOfRange { field: "kind", got: code, min: previous + 1, max: 3 };
                return Err(problem.at(here));
            }
            previous = code;
            let graph = Graph::new_checked(bytes, &header, repr)?;
            match repr.kind {
                GraphKind::Segmenter => model.segmenter = Some(graph),
                GraphKind::Policy => model.policy = Some(graph),
                GraphKind::SlicePolicy => model.slice_policy = Some(graph),
            }
        }
        model.check_hashes().map_err(|p| p.at(Location::Header))?;
        Ok(model)
    }

    /// A network that is not there was made from nothing.
    fn check_hashes(&self) -> Result<(), Problem> {
        let there = [self.segmenter.is_some(), self.policy.is_some(), self.slice_policy.is_some()];
        let mut hashes = self.header.weights.iter().zip(there).filter(|(_, there)| !there);
        hashes.try_for_each(|(&hash, _)| equal("hash of the weights of a graph that is not there", hash.into(), 0))
    }

    /// Rows of the image, samples of a line.
    pub fn height(&self) -> usize {
        self.header.height
    }

    /// Columns of the image, number of lines.
    pub fn width(&self) -> usize {
        self.header.width
    }

    /// Number of classes, background among them.
    pub fn classes(&self) -> usize {
        self.header.classes
    }

    /// Name of the network, what it was trained on, a licence note.
    pub fn provenance(&self) -> &'a str {
        self.provenance
    }

    /// The network that segments, if there is one. At least one of the three is there.
    pub fn segmenter(&self) -> Option<Graph<'a>> {
        self.segmenter
    }

    /// The network that picks the next line, if there is one.
    pub fn policy(&self) -> Option<Graph<'a>> {
        self.policy
    }

    /// The network that says what another line of a slice gains, if there is one.
    pub fn slice_policy(&self) -> Option<Graph<'a>> {
        self.slice_policy
    }

    /// The graphs there are, the segmenter first.
    pub fn graphs(&self) -> impl Iterator<Item = Graph<'a>> {
        self.segmenter.into_iter().chain(self.policy).chain(self.slice_policy)
    }

    /// How the weights of convolutions lie: for which target the blob was exported.
    pub fn layout(&self) -> Layout {
        self.header.layout
    }

    /// How the image is made that the networks see.
    pub fn reconstruction(&self) -> Reconstruction {
        self.header.reconstruction
    }

    /// Which way the axes of the training data ran through the body, where that is known: images of other axes are to be
    /// turned before they are segmented.
    pub fn axes(&self) -> Option<AxisCodes> {
        self.header.axes
    }

    /// Hash of the weights that the graph of this kind was made from, where it is known.
    pub fn weights_hash(&self, kind: GraphKind) -> Option<NonZeroU32> {
        let [segmenter, policy, slice_policy] = self.header.weights;
        NonZeroU32::new(match kind {
            GraphKind::Segmenter => segmenter,
            GraphKind::Policy => policy,
            GraphKind::SlicePolicy => slice_policy,
        })
    }

    /// The order in which lines of a slice are measured that shares its volume's budget; of no lines: centre-out.
    pub fn line_order(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.line_order.iter().zip(self.line_order.iter().skip(1)).step_by(2).map(|(&a, &b)| u16::from_le_bytes([a, b]))
    }

    /// The blob itself.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("header", &self.header)
            .field("provenance", &self.provenance)
            .field("segmenter", &self.segmenter)
            .field("policy", &self.policy)
            .field("slice_policy", &self.slice_policy)
            .finish()
    }
}

fn provenance(blob: &[u8], span: Span) -> Result<&str, Problem> {
    let text = section("provenance", blob, span)?;
    within("provenance length", text.len(), 0, MAX_PROVENANCE)?;
    core::str::from_utf8(text).map_err(|e| Problem::NotUtf8 { valid: e.valid_up_to() })
}

/// The bytes of the line order: pairs, each a line of the image, none twice.
fn line_order<'a>(blob: &'a [u8], header: &HeaderRepr) -> Result<&'a [u8], Problem> {
    if header.line_order.length == 0 {
        return Ok(&[]);
    }
    let bytes = section("line order", blob, header.line_order)?;
    let count = bytes.len() / 2;
    equal("length of the line order", bytes.len() as i64, 2 * count as i64)?;
    within("lines in order", count, 1, header.width)?;
    let unfit = |_| Problem::OutOfRange { field: "width", got: header.width as i64, min: 1, max: MAX_LINES as i64 };
    let mut seen = LineSet::new(header.width).map_err(unfit)?;
    for pair in bytes.chunks_exact(2) {
        let line = pair.iter().rev().fold(0, |line, &byte| line << 8 | usize::from(byte));
        within("line", line, 0, header.width.saturating_sub(1))?;
        if seen.insert(line) != Ok(true) {
            return Err(Problem::Repeated { field: "line", got: line as i64 });
        }
    }
    Ok(bytes)
}
