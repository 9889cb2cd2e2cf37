//! Telling a tabulated GELU from any other table.

use kscout_core::model::TensorInfo;

use crate::net::graph::gelu;

/// How far past the middle between two steps a value may be rounded, in steps: a table is made in one order of operations, a
/// runtime has another.
const SLACK: f32 = 1e-3;

/// Whether `table` is the GELU from `input`'s steps to `output`'s, each entry rounded to a nearest step.
pub(super) fn is_gelu(table: &[i8; 256], input: &TensorInfo, output: &TensorInfo) -> bool {
    table.iter().zip(-128..).all(|(&entry, q): (&i8, i32)| {
        let x = (q - input.zero_point) as f32 * input.scale;
        let exact = (gelu(x) / output.scale + output.zero_point as f32).clamp(-128.0, 127.0);
        (exact - f32::from(entry)).abs() <= 0.5 + SLACK
    })
}
