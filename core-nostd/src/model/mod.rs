//! The `.kscout` file (a *blob*): networks as bytes, checked once, then run where they lie.
//!
//! [`Model::new_checked`] reads any bytes and refuses, with place and reason, all that could make a later step panic,
//! read out of bounds or overwrite a tensor that is still needed. [`run`] then runs a [`Graph`] in the caller's arena:
//! weights stay in the blob, activations lie where the exporter planned them.
//!
//! * [`blob`]: the bytes, table by table.
//! * [`Model`]: the checked view of them.
//! * [`repr`]: tensors, nodes and operators as plain values; [`record`]: their bytes. An exporter writes these.
//! * [`graph`]: a network's tensors and nodes.
//! * [`session`]: running it.
//! * [`axes`]: which way the axes of the training data ran.
//! * [`error`]: what can be wrong with a blob.
//!
//! Each names only those before it: kinds, error, bytes, fields, axes, repr, record, blob, graph, check, view; session after graph.

pub mod axes;
pub mod blob;
mod bytes;
mod check;
pub mod error;
mod fields;
pub mod graph;
mod kinds;
pub mod record;
pub mod repr;
pub mod session;
#[cfg(test)]
mod tests;
mod view;

pub use axes::{AxisCodes, BadAxisCodes};
pub use bytes::Span;
pub use error::{BlobError, Location, Problem};
pub use graph::{Graph, Node, Operator, TensorInfo};
pub use kinds::{GraphKind, OperatorKind};
pub use repr::{ConvRepr, NodeRepr, OperatorRepr, Place, TensorRepr};
pub use session::{RunError, run, run_with};
pub use view::Model;
