//! From trained networks to the int8 file that [`kscout_core`] runs, and a close look at such a file.
//!
//! * `observe`: what the networks see at every stage of a scan, to calibrate on.
//! * `calibrate`: the range of each tensor. `quantise`: int8 operators.
//! * `plan` and [`blob_writer`]: places in the arena, and the bytes. [`pack`](mod@pack): all of it in one call.
//! * `refine`: closer to the real numbers, for a network whose values lie close to each other.
//! * [`cost`](mod@cost): layers, parameters and memory of a network that need not be trained.
//! * `file`: reading a blob from disk. `onnx`: its segmenter as an ONNX file.
//! * `inspect`: what a blob holds. [`verify`](mod@verify): what int8 costs against the real numbers.
//!   `bench`: how long it takes.

pub(crate) mod bench;
pub mod blob_writer;
pub(crate) mod calibrate;
pub mod cost;
pub(crate) mod file;
pub(crate) mod inspect;
pub(crate) mod observe;
pub(crate) mod onnx;
pub mod pack;
pub(crate) mod plan;
pub(crate) mod quantise;
pub(crate) mod refine;
pub mod verify;

pub use blob_writer::{HeaderSpec, Origin};
pub use file::{BlobFile, BlobFileError};
pub use observe::{CalibrationSample, observe};
pub use onnx::{OnnxError, Rounding, onnx};
pub use pack::{ExportError, header, pack, quantised, quantised_slice_policy, segmenter_in_memory};
