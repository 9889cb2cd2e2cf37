//! The loop that every training runs in: steps, validations and checkpoints, and how a session of it ends.
//!
//! A session ends with the last step, with the one that was asked for (`stop_at`), when the run's time is up, when early stopping says
//! so, or by a signal; always after a step that was saved, so that nothing that was learned is lost.

use std::time::Instant;

use indicatif::ProgressBar;

use super::Trained;
use super::checkpoint::Meta;
use super::error::TrainError;
use super::schedule::Clock;
use crate::io::moment::moment;
use crate::io::stop::{self, Graceful};
use crate::progress;

/// A training, to be driven from step to step.
pub(crate) trait Training {
    /// What it can fail with.
    type Error: From<TrainError>;

    /// What its checkpoints say of it.
    fn meta(&self) -> &Meta;

    /// The same, to count the time in.
    fn meta_mut(&mut self) -> &mut Meta;

    /// What comes before the first step of a session, and may save already: signals only ask from here on.
    fn begin(&mut self, _bar: &ProgressBar) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Makes a step, counts it, and takes what the log is to tell of it into the means; returns what the bar says.
    fn step(&mut self, clock: &Clock) -> Result<String, Self::Error>;

    /// Scores, writes checkpoints and log, and says how it stands, in this order: who reads along may hold up what is said.
    fn validate_and_save(&mut self, bar: &ProgressBar) -> Result<(), Self::Error>;

    /// Saves between validations.
    fn save(&mut self) -> Result<(), Self::Error>;

    /// Why early stopping has ended the run, if it has.
    fn ended(&self) -> Option<String> {
        None
    }
}

/// How long a run is, and how often it validates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// What its bar is called.
    pub name: &'static str,
    /// Steps of the run.
    pub steps: usize,
    /// The last step of this session; 0: the run's.
    pub stop_at: usize,
    /// Steps between validations.
    pub validate_every: usize,
    /// Minutes of the run, over all its sessions; 0: no limit.
    pub max_minutes: f64,
}

impl Span {
    fn end(&self) -> usize {
        if self.stop_at > 0 { self.stop_at.min(self.steps) } else { self.steps }
    }
}

/// Runs a session of `training`.
///
/// # Errors
/// Those of its steps; what was saved last is whole.
pub(crate) fn drive<T: Training>(training: &mut T, span: Span) -> Result<Trained, T::Error> {
    let end = span.end();
    let clock = Clock::new(training.meta().seconds, span.max_minutes);
    let bar = progress::bar(span.steps as u64, training.meta().step as u64, span.name);
    let graceful = Graceful::begin();
    training.begin(&bar)?;
    let goes_on = |training: &T, over: bool| training.meta().step < end && !over && training.ended().is_none();
    let (mut stopped, mut over) = (false, clock.is_over());
    let mut times = Vec::new();
    while !stopped && goes_on(training, over) {
        let begun = Instant::now();
        let message = training.step(&clock)?;
        times.push(begun.elapsed().as_secs_f64());
        moment();
        let step = training.meta().step;
        bar.set_position(step as u64);
        bar.set_message(message);
        training.meta_mut().seconds = clock.seconds();
        // Only a step that was saved ends the run, and time is read once a step, so that nothing goes between two looks.
        over = clock.is_over();
        let validates = step.is_multiple_of(span.validate_every) || step == end || over;
        let saves = validates || stop::asked();
        if validates {
            training.validate_and_save(&bar)?;
        } else if saves {
            training.save()?;
        }
        stopped = saves && stop::asked() && goes_on(training, over);
    }
    if stopped {
        drop(graceful);
    } else {
        graceful.finish();
    }
    moment();
    bar.finish_and_clear();
    if let Some(median) = median(&mut times) {
        println!("{} steps, {median:.3} s each (median)", times.len());
    }
    let step = training.meta().step;
    let cut_short = Some(&clock).filter(|_| over).and_then(|clock| clock.cut_short(step, end));
    cut_short.into_iter().chain(training.ended()).for_each(|end| println!("{end}"));
    Ok(Trained { meta: training.meta().clone(), stopped })
}

/// The middle of `times`, or the mean of the two in the middle.
fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    let (low, high) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::{Kind, SlicePolicyRecord};
    use super::*;

    #[test]
    fn the_median_of_none_is_none() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    /// Counts what is asked of it, and ends early at step `patience`.
    struct Counting {
        meta: Meta,
        patience: usize,
        did: Vec<String>,
    }

    impl Training for Counting {
        type Error = TrainError;

        fn meta(&self) -> &Meta {
            &self.meta
        }

        fn meta_mut(&mut self) -> &mut Meta {
            &mut self.meta
        }

        fn begin(&mut self, _: &ProgressBar) -> Result<(), TrainError> {
            self.did.push("begin".into());
            Ok(())
        }

        fn step(&mut self, _: &Clock) -> Result<String, TrainError> {
            self.meta.step += 1;
            if self.meta.step == 100 { Err(TrainError::Diverged { step: 100 }) } else { Ok(String::new()) }
        }

        fn validate_and_save(&mut self, _: &ProgressBar) -> Result<(), TrainError> {
            self.did.push(format!("validate {}", self.meta.step));
            Ok(())
        }

        fn save(&mut self) -> Result<(), TrainError> {
            self.did.push(format!("save {}", self.meta.step));
            Ok(())
        }

        fn ended(&self) -> Option<String> {
            (self.meta.step >= self.patience).then(|| "ended".into())
        }
    }

    fn slice_policy() -> Meta {
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        Meta::imported(Kind::SlicePolicy(record), [8, 8], "phantom".into())
    }

    const SPAN: Span = Span { name: "counting", steps: 5, stop_at: 0, validate_every: 2, max_minutes: 0.0 };

    /// What a run does that has made `step` steps in `seconds` and ends early at step `patience`.
    fn did(span: Span, (step, seconds): (usize, f64), patience: usize) -> Vec<String> {
        let meta = Meta { step, seconds, ..slice_policy() };
        let mut training = Counting { meta, patience, did: Vec::new() };
        let trained = drive(&mut training, span).unwrap();
        assert!(!trained.stopped && trained.meta.step == training.meta.step && trained.meta.seconds >= seconds);
        training.did
    }

    #[test]
    fn a_session_validates_in_between_and_at_its_end_whatever_ends_it() {
        assert_eq!(did(SPAN, (0, 0.0), 9), ["begin", "validate 2", "validate 4", "validate 5"]);
        assert_eq!(did(Span { stop_at: 3, ..SPAN }, (0, 0.0), 9), ["begin", "validate 2", "validate 3"]);
        assert_eq!(did(Span { stop_at: 9, ..SPAN }, (3, 0.0), 9), ["begin", "validate 4", "validate 5"]);
        assert_eq!(did(SPAN, (0, 0.0), 2), ["begin", "validate 2"], "early stopping");
        let minute = Span { max_minutes: 1.0, ..SPAN };
        assert_eq!(did(minute, (0, 0.0), 9), ["begin", "validate 2", "validate 4", "validate 5"]);
        assert_eq!(did(Span { max_minutes: 1e-9, ..SPAN }, (0, 0.0), 9), ["begin"], "no time");
    }

    #[test]
    fn a_run_that_has_ended_makes_no_step_more() {
        assert_eq!(did(SPAN, (5, 0.0), 9), ["begin"]);
        assert_eq!(did(SPAN, (3, 0.0), 3), ["begin"]);
        assert_eq!(did(Span { max_minutes: 1.0, ..SPAN }, (3, 60.0), 9), ["begin"]);
    }

    #[test]
    fn a_step_that_fails_ends_the_session() {
        let meta = Meta { step: 98, ..slice_policy() };
        let mut training = Counting { meta, patience: 1000, did: Vec::new() };
        let failed = drive(&mut training, Span { steps: 200, validate_every: 1, ..SPAN });
        assert!(matches!(failed, Err(TrainError::Diverged { step: 100 })));
        assert_eq!(training.did, ["begin", "validate 99"]);
    }
}
