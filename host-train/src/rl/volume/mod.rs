//! Learning which slice of a volume the next line goes to.
//!
//! Inside a slice the lines come in one order, so what a slice looks like after n lines does not depend on the other
//! slices: a [`trajectory`] holds it for every n, and a [`heart`] those of a volume. A [`sharing`] of a budget then only looks
//! things up, and a thousand decisions cost what one segmentation does.
//!
//! * [`allocate`]: who gets the next line: uniform, by an oracle; [`position`]: by a slice's place; [`learner`]: by the policy.
//! * [`warm`], [`train`]: how the policy learns.

pub mod allocate;
pub mod config;
pub mod heart;
pub mod learner;
pub mod position;
pub mod sharing;
pub mod train;
pub mod trajectory;
pub mod warm;
