//! Weights from PyTorch.
//!
//! A [`StateDict`] holds a network's weights by their PyTorch names, read from a file or made in memory; a module takes them
//! over with [`load_state_dict`], given a rule that turns the paths of its fields into those names. Files are untrusted:
//! nothing in a pickle is ever run, and what asks to be is refused by name.
//!
//! * `format`: what kind of file it is. `archive`, `pickle`, `globals`: a look into it for code. `plain`: dictionaries of another
//!   class. `names`: prefixes and wrappings.
//! * `state_dict`: tensors of any floating-point type, as f32. `apply`: into the module.
//! * `segmenters`: published weights of the segmenters. `asmr`: those of ASMR's policy and classifier.

mod apply;
mod archive;
mod asmr;
mod error;
mod format;
mod globals;
mod names;
mod pickle;
mod plain;
mod segmenters;
mod state_dict;

pub use apply::load_state_dict;
pub use asmr::{import_asmr, import_classifier, wanted_asmr, wanted_classifier};
pub use error::{ImportError, Mismatch, WrongShape};
pub use names::Wanted;
pub use segmenters::{import_segmenter, infer_spec, recognise, wanted_segmenter};
pub use state_dict::{StateDict, Weights};
