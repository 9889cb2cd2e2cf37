//! What a scan costs, before it is begun.

use crate::model::{Graph, Model};

/// Multiply-accumulates of a scan of `lines` lines with `model`: its policy's for each line, and its segmenter's once at the end;
/// `u64::MAX` where they are more.
///
/// A checked model is safe to run, but may take any time: a small file can ask for very much work. Who takes files from
/// elsewhere asks here and in [`other_operations`] first, and refuses what is too long to wait for. The image's own arithmetic, about
/// H times W complex multiply-adds a line, is not counted.
pub fn multiply_accumulates(model: &Model<'_>, lines: usize) -> u64 {
    of_scan(model, lines, Graph::macs)
}

/// What the same scan computes besides multiply-accumulates, see [`Graph::other_operations`]; `u64::MAX` where it is more. Of the
/// networks known here it is a small part of the work; a file may ask for nothing else.
pub fn other_operations(model: &Model<'_>, lines: usize) -> u64 {
    of_scan(model, lines, Graph::other_operations)
}

fn of_scan<'m>(model: &Model<'m>, lines: usize, cost: fn(&Graph<'m>) -> u64) -> u64 {
    let of = |graph: Option<Graph<'m>>| graph.map_or(0, |graph| cost(&graph));
    of(model.policy()).saturating_mul(lines as u64).saturating_add(of(model.segmenter()))
}
