//! Checks of configuration keys that several trainings have.

use super::augment::{AugmentConfig, Refusal};
use super::error::TrainError;
use super::sample::MaskConfig;
use crate::mri::Protocol;

/// Refuses the keys where `allowed` does not hold.
pub fn expect(allowed: bool, key: &'static str, expected: &str) -> Result<(), Refusal> {
    if allowed { Ok(()) } else { Err((key, format!("must be {expected}"))) }
}

/// Whether `value` can weigh something: finite, and not below 0.
pub fn is_weight(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// The learning rate and the weight decay.
pub fn rates(learning_rate: f64, weight_decay: f64) -> Result<(), Refusal> {
    expect(learning_rate.is_finite() && learning_rate > 0.0, "learning_rate", "above 0")?;
    expect(is_weight(weight_decay), "weight_decay", "0 or more")
}

/// The random masks.
pub fn masks(config: &MaskConfig) -> Result<(), Refusal> {
    let fits = config.min_fraction > 0.0 && config.min_fraction <= 1.0;
    expect(fits, "masks.min_fraction", "above 0 and at most 1")?;
    expect((0.0..=1.0).contains(&config.given), "masks.given", "within 0 to 1")
}

/// What every training's configuration has.
pub struct Shared<'a> {
    /// Numbers that must not be 0, under the names of their keys.
    pub counts: (&'static str, &'a [usize]),
    /// Numbers of lines at which validation scores.
    pub validate_lines: &'a [usize],
    /// Augmentation.
    pub augment: &'a AugmentConfig,
    /// The protocol's name.
    pub protocol: &'a str,
}

impl Shared<'_> {
    /// Refuses values that cannot work with images of `width` lines; gives the protocol.
    pub fn check(&self, width: usize) -> Result<Protocol, TrainError> {
        let (keys, counts) = self.counts;
        expect(!counts.contains(&0), keys, "at least 1")?;
        if let Some(lines) = self.validate_lines.iter().find(|&&lines| lines == 0 || lines > width) {
            let message = format!("{lines} is not within 1 to {width} lines");
            return Err(TrainError::Config { key: "validate_lines", message });
        }
        self.augment.check()?;
        self.protocol.parse().map_err(|message| TrainError::Config { key: "protocol", message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_training_can_use_is_refused_by_its_key() {
        let augment = AugmentConfig::default();
        let fine = Shared { counts: ("steps", &[1]), validate_lines: &[1, 32], augment: &augment, protocol: "igs" };
        fine.check(32).unwrap();
        let refused = |shared: Shared<'_>, key: &str| {
            let message = shared.check(32).unwrap_err().to_string();
            assert!(message.starts_with(&format!("config key `{key}`: ")), "{key}: {message}");
        };
        refused(Shared { counts: ("steps, batch", &[1, 0]), ..fine }, "steps, batch");
        refused(Shared { validate_lines: &[0], ..fine }, "validate_lines");
        refused(Shared { validate_lines: &[33], ..fine }, "validate_lines");
        refused(Shared { protocol: "mri", ..fine }, "protocol");
    }

    #[test]
    fn rates_and_masks_have_their_ranges() {
        rates(1e-3, 0.0).unwrap();
        for (rate, decay, key) in
            [(0.0, 0.0, "learning_rate"), (f64::INFINITY, 0.0, "learning_rate"), (1.0, -0.1, "weight_decay")]
        {
            assert_eq!(rates(rate, decay).unwrap_err().0, key);
        }
        for min_fraction in [0.0, 1.1, f32::NAN] {
            assert!(masks(&MaskConfig { min_fraction, ..MaskConfig::default() }).is_err(), "{min_fraction}");
        }
    }
}
