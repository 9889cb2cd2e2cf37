//! When a training by steps validates and ends, as configurations give it.

use serde::{Deserialize, Serialize};

use crate::config::Key;
use crate::config::key::{MANY, minutes, whole};

/// The keys of when a training validates and ends, which stand among a task's own (`#[serde(flatten)]`). A step of a policy's training
/// is an update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// End the run after this many minutes over all its sessions, with the schedule squeezed to fit; 0: no limit.
    pub max_minutes: f64,
    /// End the session at this step, to go on later with `--resume`; 0: at the last one.
    pub stop_at: usize,
    /// Steps between validations (and checkpoints).
    pub validate_every: usize,
}

impl Pace {
    /// What its numbers may be.
    pub const KEYS: &[Key] = &[minutes("max_minutes"), whole("stop_at", 0, MANY), whole("validate_every", 1, MANY)];

    /// A validation every so many steps, and all the time that the steps take.
    pub fn validating_every(steps: usize) -> Self {
        Self { max_minutes: 0.0, stop_at: 0, validate_every: steps }
    }
}
