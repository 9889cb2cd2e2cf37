//! The learning rate over a run, and the run's clock.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::patience::Patience;

/// A schedule by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The peak, after the warm-up.
    Constant,
    /// Half a cosine from the peak down to the floor.
    Cosine,
    /// Times a factor every so many steps.
    Step,
    /// Times a factor when validation gets no better.
    Plateau,
}

/// A schedule with its numbers. All of them begin with a linear rise over `warmup` steps, and none falls below `floor`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Which one.
    pub name: ScheduleName,
    /// The highest learning rate.
    pub peak: f64,
    /// The lowest learning rate after the warm-up.
    pub floor: f64,
    /// Steps of the run.
    pub steps: usize,
    /// Steps of warm-up.
    pub warmup: usize,
    /// `step`: steps between two falls, counted from the end of the warm-up.
    pub every: usize,
    /// `step` and `plateau`: the factor of a fall.
    pub factor: f64,
    /// `plateau`: validations in a row without a better score that bring a fall.
    pub patience: usize,
    /// `plateau`: how much a better score is better.
    pub min_delta: f64,
}

/// What `plateau` has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Validations since the score was better, or since the last fall.
    pub patience: Patience,
    /// Falls so far.
    pub falls: usize,
}

impl Schedule {
    /// The learning rate at `step`.
    pub fn rate(&self, step: usize, plateau: &Plateau) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let fallen = |falls: usize| self.peak * self.factor.powi(falls as i32);
        let rate = match self.name {
            ScheduleName::Constant => self.peak,
            ScheduleName::Cosine => {
                return self.floor + cosine(step, self.steps, self.warmup, self.peak - self.floor);
            }
            ScheduleName::Step => fallen((step - self.warmup) / self.every),
            ScheduleName::Plateau => fallen(plateau.falls),
        };
        rate.max(self.floor)
    }

    /// Takes a validation's score; `plateau` changes under the schedule of that name alone.
    pub fn observe(&self, plateau: &mut Plateau, score: f64) {
        if self.name != ScheduleName::Plateau {
            return;
        }
        plateau.patience.observe(score, self.min_delta);
        if plateau.patience.is_over(self.patience) {
            plateau.falls += 1;
            plateau.patience.waited = 0;
        }
    }
}

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

    /// What a user should know of a run that was to have `steps` steps and has had `step`: that its time was up before.
    pub fn cut_short(&self, step: usize, steps: usize) -> Option<String> {
        let minutes = self.limit / 60.0;
        (step < steps && self.is_over()).then(|| {
            format!(
                "cut short at step {step} of {steps} by max_minutes = {minutes:.1}: the schedule was squeezed into that time, and with \
                 more the network would have learned more"
            )
        })
    }

    /// Where the schedule stands: at `step`, or further where the time runs out before the steps do.
    pub fn position(&self, step: usize, steps: usize) -> usize {
        step.max((self.seconds() / self.limit * steps as f64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSINE: Schedule = Schedule {
        name: ScheduleName::Cosine,
        peak: 1.0,
        floor: 0.0,
        steps: 100,
        warmup: 10,
        every: 20,
        factor: 0.1,
        patience: 2,
        min_delta: 0.0,
    };

    fn rate(schedule: Schedule, step: usize) -> f64 {
        schedule.rate(step, &Plateau::default())
    }

    #[test]
    fn a_run_that_has_used_half_its_time_is_at_half_its_schedule() {
        let clock = Clock::new(1800.0, 60.0);
        assert_eq!(clock.position(10, 1000), 500);
        assert_eq!(clock.position(700, 1000), 700);
        assert!(!clock.is_over() && Clock::new(3600.0, 60.0).is_over());
        assert_eq!(Clock::new(1e9, 0.0).position(3, 1000), 3);
        assert_eq!(clock.cut_short(3, 1000), None, "there is time left");
        assert_eq!(Clock::new(3600.0, 60.0).cut_short(1000, 1000), None, "all steps were made");
        let words = Clock::new(3600.0, 60.0).cut_short(3, 1000).unwrap();
        assert!(words.starts_with("cut short at step 3 of 1000 by max_minutes = 60.0"), "{words}");
    }

    #[test]
    fn rises_peaks_and_ends_at_zero() {
        assert_eq!(rate(COSINE, 0), 0.1);
        assert_eq!(rate(COSINE, 10), 1.0);
        assert!((rate(COSINE, 55) - 0.5).abs() < 1e-12);
        assert!(rate(COSINE, 100).abs() < 1e-12);
    }

    #[test]
    fn the_cosine_ends_at_the_floor() {
        let schedule = Schedule { floor: 0.2, ..COSINE };
        assert_eq!(rate(schedule, 10), 1.0);
        assert!((rate(schedule, 55) - 0.6).abs() < 1e-12);
        assert!((rate(schedule, 100) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn every_schedule_warms_up_alike() {
        for name in [ScheduleName::Constant, ScheduleName::Cosine, ScheduleName::Step, ScheduleName::Plateau] {
            let rates = [0, 4, 9, 10].map(|step| rate(Schedule { name, ..COSINE }, step));
            assert_eq!(rates, [0.1, 0.5, 1.0, 1.0], "{name:?}");
        }
    }

    #[test]
    fn steps_fall_at_their_time_and_not_below_the_floor() {
        let schedule = Schedule { name: ScheduleName::Step, floor: 0.05, ..COSINE };
        let rates = [29, 30, 49, 50, 99].map(|step| rate(schedule, step));
        assert_eq!(rates, [1.0, 0.1, 0.1, 0.05, 0.05]);
        assert_eq!(rate(Schedule { name: ScheduleName::Constant, ..COSINE }, 99), 1.0);
    }

    #[test]
    fn a_plateau_falls_after_its_patience_and_then_waits_again() {
        let schedule = Schedule { name: ScheduleName::Plateau, factor: 0.5, ..COSINE };
        let mut plateau = Plateau::default();
        let rates = [0.5, 0.4, 0.5, 0.5, 0.5, 0.6, 0.5, 0.5].map(|score| {
            schedule.observe(&mut plateau, score);
            schedule.rate(50, &plateau)
        });
        assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]);
        COSINE.observe(&mut plateau, 0.0);
        assert_eq!((plateau.falls, plateau.patience.waited), (3, 0), "the others have none");
    }
}
