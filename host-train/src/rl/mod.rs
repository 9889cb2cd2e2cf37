//! The policy's training: the core's scan loop as an environment, rewards, PPO.

pub mod agent;
pub mod config;
pub mod environment;
pub mod ppo;
pub mod sampler;
pub mod train;

pub use config::PolicyConfig;
pub use train::{PolicyError, train_policy};
