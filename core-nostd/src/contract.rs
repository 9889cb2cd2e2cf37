//! Numbers that the core, the blob and whoever trains and exports networks agree on.
//!
//! A network is trained on inputs that are scaled and ordered as these say, so another number asks for other networks. They stand
//! below everything else that names them: the kernels know none of it, the blob's checker holds files to it, a scan and the
//! trainer both follow it.

/// Quantisation levels per root mean square of the image: the networks read it at scale one over this and zero point
/// [`IMAGE_ZERO_POINT`], so 255 levels reach 5.3 times the RMS. The blob's header repeats it.
pub const IMAGE_LEVELS_PER_RMS: f32 = 48.0;

/// The quantised value of no signal.
pub const IMAGE_ZERO_POINT: i8 = -128;

/// Levels of the whole: entries of the state vector and features are shares of this, read at scale one over it and zero point 0.
pub const SHARE_LEVELS: f32 = 127.0;

/// Entries of the state vector beyond one a line: remaining, measured, budget (see [`write_state`](crate::scan::write_state)).
pub const STATE_EXTRAS: usize = 3;

/// Values that the slice policy reads of a slice: the length of what [`write_features`](crate::volume::write_features) writes.
pub const FEATURES: usize = 89;

/// The most outputs of a slice policy: an ensemble's members answer side by side and are added up, so that many answers in int8
/// tell more apart than one.
pub const MAX_ENSEMBLE_OUTPUTS: usize = 64;

/// Unit of the gains that the slice policy's outputs are logarithms of: this part of the Dice of an average slice.
pub const GAIN_UNIT: f32 = 0.01;

/// Lines that every slice of a volume is given before the slice policy chooses.
pub const FIRST_LINES: usize = 2;

/// The most lines of a slice that shares its volume's budget: the slice policy sees lines on this scale, and a volume's scan gives
/// no slice more.
pub const MAX_SLICE_LINES: usize = 48;
