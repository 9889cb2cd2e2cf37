//! The policy's training: the core's scan loop as an [`environment`], a [`reward`] model that judges, [`ppo`] that teaches an
//! [`agent`].

pub mod agent;
pub mod config;
pub mod environment;
mod kept;
mod play;
pub mod ppo;
pub mod reward;
pub mod sampler;
pub mod train;
mod trainer;
mod validate;
pub mod volume;

pub use config::{PolicyConfig, PolicyNetwork};
pub use train::{PolicyError, train_policy};
