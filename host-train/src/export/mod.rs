//! From trained networks to the int8 file that [`kscout_core`] runs, and a close look at such a file.
//!
//! * [`observe`](mod@observe): what the networks see at every stage of a scan, to calibrate on.
//! * [`calibrate`](mod@calibrate): the range of each tensor. [`quantise`](mod@quantise): int8 operators.
//! * [`plan`](mod@plan) and [`blob_writer`]: places in the arena, and the bytes. [`pack`](mod@pack): all of it in one call.
//! * [`refine`](mod@refine): closer to the real numbers, for a network whose values lie close to each other.
//! * [`cost`](mod@cost): layers, parameters and memory of a network that need not be trained.
//! * [`file`](mod@file): reading a blob from disk. [`onnx`](mod@onnx): its segmenter as an ONNX file.
//! * [`inspect`](mod@inspect): what a blob holds. [`verify`](mod@verify): what int8 costs against the real numbers.
//!   [`bench`](mod@bench): how long it takes.

pub mod bench;
pub mod blob_writer;
pub mod calibrate;
pub mod cost;
pub mod file;
pub mod inspect;
pub mod observe;
pub mod onnx;
pub mod pack;
pub mod plan;
pub mod quantise;
pub mod refine;
pub mod verify;

pub use blob_writer::{HeaderSpec, Origin};
pub use file::{BlobFile, BlobFileError};
pub use observe::{CalibrationSample, observe};
pub use onnx::{OnnxError, Rounding, onnx};
pub use pack::{ExportError, header, pack, quantised, quantised_slice_policy, segmenter_in_memory};
