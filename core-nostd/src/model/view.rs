//! The checked view of a blob.

use core::fmt;
use core::num::NonZeroU32;

use super::axes::AxisCodes;
use super::blob::{GRAPH_BYTES, GraphRepr, HEADER_BYTES, HeaderRepr, MAX_PROVENANCE};
use super::bytes::Span;
use super::check;
use super::error::{BlobError, Location, Problem};
use super::fields::{equal, section, within};
use super::graph::Graph;
use super::kinds::GraphKind;
use crate::kernels::Layout;
use crate::kspace::{LineSet, MAX_LINES, Plan, Reconstruction};

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
        check::header(&header, bytes).map_err(|p| p.at(Location::Header))?;
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
            let graph = graph(bytes, &header, repr)?;
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

    /// The images that its networks see.
    pub fn plan(&self) -> Plan {
        Plan::new(self.reconstruction(), self.height(), self.width())
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

/// A graph, found and checked.
fn graph<'a>(blob: &'a [u8], header: &HeaderRepr, repr: GraphRepr) -> Result<Graph<'a>, BlobError> {
    let here = Location::Graph(repr.kind);
    let graph = Graph::with_tables(blob, repr, header.layout).map_err(|p| p.at(here))?;
    check::graph(&graph, header)?;
    graph.with_output().map_err(|p| p.at(here))
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
