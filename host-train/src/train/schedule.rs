//! The learning rate over a run, and the run's clock.

use std::time::Instant;

/// A linear rise over `warmup` steps to `peak`, then half a cosine down to zero at `steps` (Loshchilov and Hutter,
/// "SGDR", ICLR 2017, one cycle).
pub fn cosine(step: usize, steps: usize, warmup: usize, peak: f64) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    peak * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
}

/// The time of a run, over all its sessions.
pub struct Clock {
    started: Instant,
    before: f64,
    limit: f64,
}

impl Clock {
    /// The clock of a run that has trained for `before` seconds and may take `max_minutes`; 0: no limit.
    pub fn new(before: f64, max_minutes: f64) -> Self {
        let limit = if max_minutes > 0.0 { max_minutes * 60.0 } else { f64::INFINITY };
        Self { started: Instant::now(), before, limit }
    }

    /// Seconds of training so far.
    pub fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    /// Whether the run's time is up.
    pub fn is_over(&self) -> bool {
        self.seconds() >= self.limit
    }

    /// Where the schedule stands: at `step`, or further where the time runs out before the steps do.
    pub fn position(&self, step: usize, steps: usize) -> usize {
        step.max((self.seconds() / self.limit * steps as f64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_used_half_its_time_is_at_half_its_schedule() {
        let clock = Clock::new(1800.0, 60.0);
        assert_eq!(clock.position(10, 1000), 500);
        assert_eq!(clock.position(700, 1000), 700);
        assert!(!clock.is_over() && Clock::new(3600.0, 60.0).is_over());
        assert_eq!(Clock::new(1e9, 0.0).position(3, 1000), 3);
    }

    #[test]
    fn rises_peaks_and_ends_at_zero() {
        assert_eq!(cosine(0, 100, 10, 1.0), 0.1);
        assert_eq!(cosine(10, 100, 10, 1.0), 1.0);
        assert!((cosine(55, 100, 10, 1.0) - 0.5).abs() < 1e-12);
        assert!(cosine(100, 100, 10, 1.0).abs() < 1e-12);
    }
}
