//! What the firmware's binaries share: counting instructions, measuring the stack, and stopping the emulator.
#![no_std]

pub mod clock;
pub mod memory;
mod panic;
pub mod status;
