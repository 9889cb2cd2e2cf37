//! Trains k-space sampling policies and cardiac segmenters, and exports them for scanner-side hardware.
//!
//! The program `kscout` is a thin layer over this library:
//!
//! | to | there is |
//! |---|---|
//! | make a data set of your own files, or of none | [`data::formats`], [`data::phantom`] |
//! | read one | [`Dataset`], its slices and volumes by [`Split`] |
//! | measure its slices as a scanner would | [`mri::acquire`](fn@mri::acquire), [`data::measured`] |
//! | train a segmenter | [`train_segmenter`], [`load_segmenter`]; weights from PyTorch: [`net::import`](mod@net::import) |
//! | train a line policy | [`train_line_policy`]; with an [`Agent`] or a [`RewardModel`] of your own [`train_agent`] |
//! | train a slice policy | [`train_slice_policy`] |
//! | scan data sets and score the scans | [`eval::run`], [`samplers`] for what to compare with, [`metrics`], [`figures`] |
//! | make files for devices | [`export::pack`](fn@export::pack), [`export::verify`] |
//! | run such files here | [`runtime`], with [`kscout_core::scan::Scan`] |
//!
//! Three examples go the whole way on small synthetic hearts, in seconds: `train_segmenter` (also on a folder of your own, at the
//! same toy size), `own_reward` and `own_policy`; `cargo run --release --example NAME`, in `examples/`. The first one in short:
//!
//! ```no_run
//! # #[cfg(feature = "train")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use burn::tensor::Device;
//! use kscout::data::formats::Format;
//! use kscout::data::import::ImportOptions;
//! use kscout::train::RecordedMasks;
//! use kscout::{Dataset, RunOptions, SegmenterConfig, SegmenterInputs, train_segmenter};
//!
//! let format = Format::named("nnunet").expect("a layout of this name");
//! (format.import)("my/hearts".as_ref(), "my/dataset".as_ref(), &ImportOptions::default(), &())?;
//! let data = Dataset::open("my/dataset")?;
//!
//! let inputs = SegmenterInputs { init: None, masks: &RecordedMasks::default() };
//! let config = SegmenterConfig { steps: 2000, ..SegmenterConfig::default() };
//! let run = RunOptions { out: "my/run".as_ref(), resume: false, device: &Device::flex() };
//! let trained = train_segmenter(&data, inputs, &config, run)?;
//! println!("Dice {:?}, in my/run/best", trained.meta.best);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "train"))]
//! # fn main() {}
//! ```
//!
//! The modules in the root have an order, in which none uses one that is listed after it: `CONTRIBUTING.md` shows it, and how a
//! network, a reward, a policy, a reader, a pattern or a reconstruction is added. The feature `train`, on by default, brings burn
//! and all that needs it. Without it there are [`data`], [`mri`], [`config`], [`runtime`], [`metrics`], [`figures`], [`augment`],
//! [`objective`] and [`volume`], also for WebAssembly.

// First, so that what it prints with stands in front of the standard macros everywhere.
#[macro_use]
#[doc(hidden)]
pub mod shown;

pub mod augment;
#[cfg(feature = "train")]
mod cli;
pub mod config;
pub mod data;
#[cfg(feature = "train")]
pub mod device;
#[cfg(feature = "train")]
pub mod eval;
#[cfg(feature = "train")]
pub mod export;
pub mod figures;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "train")]
pub mod inference;
#[doc(hidden)]
pub mod io;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod memory;
pub mod metrics;
pub mod mri;
#[cfg(feature = "train")]
pub mod net;
pub mod objective;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod ops;
#[cfg(feature = "train")]
pub mod predict;
#[cfg(feature = "train")]
mod progress;
#[cfg(feature = "train")]
pub mod rl;
pub mod runtime;
#[cfg(feature = "train")]
pub mod samplers;
#[cfg(feature = "train")]
mod shard;
#[cfg(feature = "train")]
pub mod train;
pub mod volume;

#[cfg(feature = "train")]
pub use cli::{command_line, program};
pub use data::{Dataset, Labels, Split};
#[cfg(feature = "train")]
pub use rl::agent::{Agent, Policy, load_agent, load_any_policy};
#[cfg(feature = "train")]
pub use rl::reward::RewardModel;
#[cfg(feature = "train")]
pub use rl::volume::{SlicePolicyInputs, VolumeConfig, load_slice_policy, train_slice_policy};
#[cfg(feature = "train")]
pub use rl::{LinePolicyInputs, PolicyConfig, train_agent, train_line_policy};
#[cfg(feature = "train")]
pub use train::segmenter::load_segmenter;
#[cfg(feature = "train")]
pub use train::{
    ClassifierConfig, RunOptions, SegmenterConfig, SegmenterInputs, Trained, train_classifier, train_segmenter,
};
