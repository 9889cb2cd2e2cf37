//! The networks, in burn, and as plain graphs for the exporter.

pub mod graph;
mod lower;
pub mod scout;
pub mod unext;

pub use graph::FloatGraph;
pub use scout::{Critic, Scout};
pub use unext::UNext;
