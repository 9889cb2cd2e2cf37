//! How images come to be: measured, then reconstructed.

use kscout_core::kspace::Reconstruction;

use super::Protocol;

/// How a slice becomes what a network sees: what the scanner measures of it, and the image that is made of the lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Acquisition {
    /// What is measured.
    pub protocol: Protocol,
    /// How the image is made of it.
    pub reconstruction: Reconstruction,
}
