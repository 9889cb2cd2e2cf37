//! What is written, and what may happen meanwhile: files and folders that appear whole or not at all ([`whole`]), results
//! among other files ([`fill`]), files that are needed for a moment ([`scratch`]), one process at a time ([`lock`]), signals
//! ([`stop`]).

pub mod fill;
pub mod lock;
pub mod moment;
mod part;
#[cfg(feature = "train")]
pub mod scratch;
pub mod stop;
pub mod whole;
