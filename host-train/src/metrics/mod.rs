//! Scores of segmentations, images and labels, and the statistics over patients.
//!
//! * [`dice`]: overlap and volume; [`surface`]: distances between surfaces; [`scores`]: all of a volume together.
//! * [`quality`]: SSIM, PSNR, NMSE; [`reference`](mod@reference): the image that they are taken against.
//! * [`auc`]: how well labels are told; [`agreement`]: how well measured values agree with true ones.
//! * [`stats`]: means with intervals over patients, and comparisons paired by patient.
//! * [`pairing`], [`compare`], [`cohort`]: label files on disk, which belong together, one pair of them, and many.

pub mod agreement;
pub mod auc;
pub mod cohort;
pub mod compare;
pub mod dice;
pub mod pairing;
pub mod quality;
pub mod reference;
pub mod scores;
pub mod stats;
pub mod surface;
