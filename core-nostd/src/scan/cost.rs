//! What a scan costs, before it is begun.

use crate::model::{Graph, Model};

/// Multiply-accumulates of a scan of `lines` lines with `model`: its policy's for each line, and its segmenter's once at the end;
/// `u64::MAX` where they are more.
///
/// A checked model is safe to run, but may take any time: a small file can ask for very much work. Who takes files from
/// elsewhere asks here first, and refuses what is too long to wait for. The image's own arithmetic, about H times W complex
/// multiply-adds a line, is not counted.
pub fn multiply_accumulates(model: &Model<'_>, lines: usize) -> u64 {
    let of = |graph: Option<Graph<'_>>| graph.map_or(0, |graph| graph.macs());
    of(model.policy()).saturating_mul(lines as u64).saturating_add(of(model.segmenter()))
}
