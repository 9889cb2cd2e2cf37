//! The policy's training: the core's scan loop as an [`environment`] ([`batch_env`]), a [`reward`] model that scores, [`ppo`] that
//! teaches an [`agent`].

pub mod agent;
pub mod batch_env;
pub mod comparison;
mod config;
pub mod environment;
mod error;
mod kept;
pub mod ppo;
pub mod reward;
mod rollout;
pub mod sampler;
pub mod train;
mod trainer;
mod validate;
pub mod volume;

pub use agent::PolicyNetwork;
pub use config::PolicyConfig;
pub use error::PolicyError;
pub use train::{LinePolicyInputs, train_agent, train_line_policy};
