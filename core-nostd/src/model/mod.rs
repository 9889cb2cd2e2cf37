//! The `.kscout` file (a *blob*): networks as bytes, checked once, then run where they lie.
//!
//! [`Model::new_checked`] reads any bytes and refuses, with place and reason, all that could make a later step panic,
//! read out of bounds or overwrite a tensor that is still needed. [`run`] then runs a [`Graph`] in the caller's arena:
//! weights stay in the blob, activations lie where the exporter planned them.
//!
//! * [`blob`]: the bytes, table by table, and [`Model`].
//! * [`repr`]: tensors, nodes and operators as plain values; [`record`]: their bytes. An exporter writes these.
//! * [`graph`]: a network's tensors and nodes.
//! * [`session`]: running it.
//! * [`reconstruction`]: which image the networks were trained on.
//! * [`axes`]: which way the axes of the training data ran.
//! * [`error`]: what can be wrong with a blob.

pub mod axes;
pub mod blob;
mod bytes;
mod check;
pub mod error;
pub mod graph;
pub mod reconstruction;
pub mod record;
pub mod repr;
pub mod session;
#[cfg(test)]
mod tests;

pub use axes::{AxisCodes, BadAxisCodes};
pub use blob::{IMAGE_LEVELS_PER_RMS, Model};
pub use bytes::Span;
pub use error::{BlobError, Location, Problem};
pub use graph::{Graph, GraphKind, Node, Operator, TensorInfo};
pub use reconstruction::{Reconstruction, UnknownReconstruction};
pub use repr::{ConvRepr, NodeRepr, OperatorKind, OperatorRepr, Place, TensorRepr};
pub use session::{RunError, run, run_with};
