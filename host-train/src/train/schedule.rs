//! The learning rate over a run.

/// A linear rise over `warmup` steps to `peak`, then half a cosine down to zero at `steps` (Loshchilov and Hutter,
/// "SGDR", ICLR 2017, one cycle).
pub fn cosine(step: usize, steps: usize, warmup: usize, peak: f64) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    peak * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_peaks_and_ends_at_zero() {
        assert_eq!(cosine(0, 100, 10, 1.0), 0.1);
        assert_eq!(cosine(10, 100, 10, 1.0), 1.0);
        assert!((cosine(55, 100, 10, 1.0) - 0.5).abs() < 1e-12);
        assert!(cosine(100, 100, 10, 1.0).abs() < 1e-12);
    }
}
