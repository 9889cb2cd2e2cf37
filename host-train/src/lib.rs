//! Trains k-space sampling policies and cardiac segmenters, and exports them for scanner-side hardware.
//!
//! The way through, bottom-up:
//!
//! * [`data`]: slices with labels, from ACDC, a PNG tree or a phantom.
//! * [`mri`]: what a scanner would measure of a slice.
//! * [`ops`]: operators that train fast on a CPU. [`net`]: the networks. [`train`]: the reward models' training.
//! * [`export`]: from burn to the int8 file that [`kscout_core`] runs.
//! * [`kernels`]: what runs those files on this machine.
//! * [`segment`] and [`diagnose`]: asking a trained reward model; [`numbers`]: whether it answers. [`play`]: playing scans. [`measure`]: what is scanned.
//! * [`orders`]: lines chosen without a policy, to compare policies with; [`grow`]: the images that they try.
//! * [`volume`]: volumes whose slices share a budget. [`worth`]: what a scan is worth.
//! * [`rl`]: the policy's training, over the core's scan loop.
//! * [`eval`]: metrics, baselines, tables and pictures.
//! * [`predict`]: segmentations of files, on the files' own grids.
//! * [`shard`]: long work dealt out to several machines.
//!
//! [`config`] and [`device`] serve the command line in [`cli`]; [`io`] is how all of them write,
//! [`shown`] how they print.

// First, so that what it prints with stands in front of the standard macros everywhere.
#[macro_use]
pub mod shown;

pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod diagnose;
pub mod eval;
pub mod export;
#[doc(hidden)]
pub mod fuzz;
pub mod grow;
pub mod io;
pub mod kernels;
pub mod measure;
pub mod memory;
pub mod mri;
pub mod net;
pub mod numbers;
pub mod ops;
pub mod orders;
pub mod play;
pub mod predict;
pub mod progress;
pub mod rl;
pub mod segment;
pub mod shard;
pub mod train;
pub mod volume;
pub mod worth;
