//! The loop that every training runs in: steps, validations and checkpoints, and how a session of it ends.
//!
//! A training is a [`Task`]. It finds its run ([`Opening`](super::start::Opening)), builds its networks as the run begins or goes on
//! ([`Start`](super::start::Start)), opens the run's folder, which makes a [`Session`], and has that [driven](Session::drive).
//!
//! A session ends with the last step, with the one that was asked for (`stop_at`), when the run's time is up, when early stopping says
//! so, or by a signal; always after a step that was saved, so that nothing that was learned is lost.

use std::borrow::Cow;
use std::time::Instant;

use burn::module::Module;
use indicatif::ProgressBar;

use super::Trained;
use super::checkpoint::Meta;
use super::columns::Columns;
use super::error::TrainError;
use super::folder::{Best, RunFolder, State};
use super::pace::Pace;
use super::schedule::Clock;
use crate::io::moment::moment;
use crate::io::stop::{self, Graceful};
use crate::progress;

/// What one training does that others do not. Its steps report `N` numbers, in the order of the log's [`Columns`].
pub(crate) trait Task<const N: usize>: Send {
    /// What it trains.
    type Network: Module;
    /// What a validation finds, of which the log's columns are made.
    type Findings;
    /// What it can fail with.
    type Error: From<TrainError> + Send;

    /// Which steps a row of the log tells of.
    const TELLS: Tells = Tells::Mean;

    /// What comes before the first step of a session, and may validate and save already: signals only ask from here on.
    fn begin(&mut self, _session: &mut Session<N, Self::Findings>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Makes the step after those that `meta` counts.
    fn step(&mut self, meta: &mut Meta, clock: &Clock) -> Result<[f64; N], Self::Error>;

    /// What the bar says of a step.
    fn brief(reported: [f64; N]) -> String;

    /// Scores the networks, of whose steps since the last validation `reported` tells.
    fn validate(&mut self, meta: &mut Meta, reported: [f64; N]) -> Result<Validated<Self::Findings>, Self::Error>;

    /// What checkpoints hold.
    fn state(&self) -> State<'_, Self::Network>;

    /// What a checkpoint between validations says.
    fn unvalidated<'m>(&self, meta: &'m Meta) -> Cow<'m, Meta> {
        Cow::Borrowed(meta)
    }

    /// What comes after a validation that was saved.
    fn saved(&mut self, _meta: &Meta) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Why early stopping has ended the run, if it has.
    fn ended(&self, _meta: &Meta) -> Option<String> {
        None
    }
}

/// Which steps a row of the log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// All since the row before: their mean.
    Mean,
    /// The last one of the session; before it zeros.
    Last,
}

/// What came of a validation.
pub(crate) struct Validated<F> {
    /// What the log's columns are made of.
    pub found: F,
    /// What is said of it, such as `loss 0.1234, Dice at 8 lines 0.8123`.
    pub said: String,
    /// The score of the checkpoint, more being better; `None` where nothing could be scored.
    pub score: Option<f64>,
    /// Which checkpoint is the best one now.
    pub best: Best,
}

/// How long a run is, and how often it validates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// What its bar is called.
    pub name: &'static str,
    /// What a step is called.
    pub unit: &'static str,
    /// Steps of the run.
    pub steps: usize,
    /// When it validates and ends.
    pub pace: Pace,
}

impl Span {
    /// The last step of a session.
    fn end(&self) -> usize {
        let Pace { stop_at, .. } = self.pace;
        if stop_at > 0 { stop_at.min(self.steps) } else { self.steps }
    }
}

/// A session of a run, whose folder is open.
pub(crate) struct Session<const N: usize, F> {
    /// What checkpoints say of the run.
    pub meta: Meta,
    folder: RunFolder,
    span: Span,
    columns: Columns<N, F>,
    bar: ProgressBar,
    /// What the last step reported.
    last: [f64; N],
}

impl<const N: usize, F> Session<N, F> {
    /// A session of the run that is described by `meta` and lies in `folder`.
    pub fn new(meta: Meta, folder: RunFolder, span: Span, columns: Columns<N, F>) -> Self {
        Self { meta, folder, span, columns, bar: ProgressBar::hidden(), last: [0.0; N] }
    }

    /// Trains until the session ends.
    ///
    /// # Errors
    /// Those of the task; what was saved last is whole.
    pub fn drive<T: Task<N, Findings = F>>(mut self, mut task: T) -> Result<Trained, T::Error> {
        // From first to last on one thread of those that compute: burn keeps the running statistics of each thread apart.
        rayon::scope(|_| self.run(&mut task))
    }

    fn run<T: Task<N, Findings = F>>(&mut self, task: &mut T) -> Result<Trained, T::Error> {
        let end = self.span.end();
        let clock = Clock::new(self.meta.seconds, self.span.pace.max_minutes);
        self.bar = progress::bar(self.span.steps as u64, self.meta.step as u64, self.span.name);
        let graceful = Graceful::begin();
        task.begin(self)?;
        let goes_on = |session: &Self, task: &T, over: bool| {
            session.meta.step < end && !over && task.ended(&session.meta).is_none()
        };
        let (mut stopped, mut over) = (false, clock.is_over());
        let mut times = Vec::new();
        while !stopped && goes_on(self, task, over) {
            let begun = Instant::now();
            self.step(task, &clock)?;
            times.push(begun.elapsed().as_secs_f64());
            moment();
            self.meta.seconds = clock.seconds();
            // Only a step that was saved ends the run, and time is read once a step, so that nothing goes between two looks.
            over = clock.is_over();
            let step = self.meta.step;
            let validates = step.is_multiple_of(self.span.pace.validate_every) || step == end || over;
            let saves = validates || stop::asked();
            if validates {
                self.validate(task)?;
            } else if saves {
                self.save(task)?;
            }
            stopped = saves && stop::asked() && goes_on(self, task, over);
        }
        if stopped {
            drop(graceful);
        } else {
            graceful.finish();
        }
        moment();
        self.bar.finish_and_clear();
        if let Some(median) = median(&mut times) {
            println!("{} {}s, {median:.3} s each (median)", times.len(), self.span.unit);
        }
        let cut_short = Some(&clock).filter(|_| over).and_then(|clock| clock.cut_short(self.meta.step, end));
        cut_short.into_iter().chain(task.ended(&self.meta)).for_each(|end| println!("{end}"));
        Ok(Trained { meta: self.meta.clone(), stopped })
    }

    fn step<T: Task<N, Findings = F>>(&mut self, task: &mut T, clock: &Clock) -> Result<(), T::Error> {
        let reported = task.step(&mut self.meta, clock)?;
        self.meta.step += 1;
        if !reported.iter().all(|value| value.is_finite()) {
            return Err(TrainError::Diverged { step: self.meta.step }.into());
        }
        self.last = reported;
        if T::TELLS == Tells::Mean {
            self.meta.since.add(reported);
        }
        self.bar.set_position(self.meta.step as u64);
        self.bar.set_message(T::brief(reported));
        Ok(())
    }

    /// Scores, writes checkpoints and log, and says how the run stands, in this order: who reads along may hold up what is said.
    pub fn validate<T: Task<N, Findings = F>>(&mut self, task: &mut T) -> Result<(), T::Error> {
        let reported = match T::TELLS {
            Tells::Mean => self.meta.since.take(),
            Tells::Last => self.last,
        };
        let Validated { found, said, score, best } = task.validate(&mut self.meta, reported)?;
        self.meta.score = score;
        let row = self.columns.row(&self.meta, reported, &found);
        self.folder.validated(&task.state(), &mut self.meta, row, best)?;
        task.saved(&self.meta)?;
        let Meta { step, seconds, .. } = self.meta;
        self.say(&format!("{} {step}: {said} ({seconds:.0} s)", self.span.unit));
        Ok(())
    }

    /// Saves between validations.
    pub fn save<T: Task<N, Findings = F>>(&mut self, task: &T) -> Result<(), T::Error> {
        Ok(self.folder.save(&task.state(), &task.unvalidated(&self.meta))?)
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    /// Prints a note on standard error, above the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

/// The middle of `times`, or the mean of the two in the middle.
fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    let (low, high) = (times.get(times.len().checked_sub(1)? / 2)?, times.get(times.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::optim::{AdamWConfig, ModuleOptimizer};
    use burn::tensor::Device;

    use super::*;
    use crate::mri::Measuring;
    use crate::net::SlicePolicy;
    use crate::train::RunOptions;
    use crate::train::checkpoint::{self, Kind, Scoring, SlicePolicyRecord};
    use crate::train::columns::{Column, Quantity};
    use crate::train::start::Opening;

    /// Counts what is asked of it, and ends early at step `patience`. Its step 100 reports `lost`.
    struct Counting<'a> {
        network: SlicePolicy,
        optimizer: ModuleOptimizer,
        patience: usize,
        lost: [f64; 2],
        did: &'a mut Vec<String>,
    }

    impl<'a> Counting<'a> {
        fn new(patience: usize, did: &'a mut Vec<String>) -> Self {
            let (network, optimizer) = (SlicePolicy::new(&Device::flex()), AdamWConfig::new().init());
            Self { network, optimizer, patience, lost: [f64::NAN; 2], did }
        }
    }

    impl Task<2> for Counting<'_> {
        type Network = SlicePolicy;
        type Findings = Option<f64>;
        type Error = TrainError;

        fn begin(&mut self, _: &mut Session<2, Option<f64>>) -> Result<(), TrainError> {
            self.did.push("begin".into());
            Ok(())
        }

        fn step(&mut self, meta: &mut Meta, _: &Clock) -> Result<[f64; 2], TrainError> {
            Ok(if meta.step == 99 { self.lost } else { [meta.step as f64, 0.5] })
        }

        fn brief(_: [f64; 2]) -> String {
            String::new()
        }

        fn validate(&mut self, meta: &mut Meta, _: [f64; 2]) -> Result<Validated<Option<f64>>, TrainError> {
            self.did.push(format!("validate {}", meta.step));
            // Step 2 scores 0.5, later ones less.
            let score = Some(1.0 / meta.step as f64).filter(|_| meta.step > 1);
            Ok(Validated { found: score, said: "as expected".into(), score, best: Best::ByScore })
        }

        fn state(&self) -> State<'_, SlicePolicy> {
            State { network: &self.network, training: None, optimizer: &self.optimizer }
        }

        fn saved(&mut self, meta: &Meta) -> Result<(), TrainError> {
            self.did.push(format!("saved {}", meta.step));
            Ok(())
        }

        fn ended(&self, meta: &Meta) -> Option<String> {
            (meta.step >= self.patience).then(|| "ended".into())
        }
    }

    const PACE: Pace = Pace { max_minutes: 0.0, stop_at: 0, validate_every: 2 };

    fn span(steps: usize, pace: Pace) -> Span {
        Span { name: "counting", unit: "step", steps, pace }
    }

    /// A run that has made `step` steps in `seconds`.
    fn begun(step: usize, seconds: f64) -> Meta {
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        let scoring = Some(Scoring::new(&Measuring::default(), &[8]));
        let run = Meta::imported(Kind::SlicePolicy(record), [8, 8], "phantom".into());
        Meta { step, seconds, scoring, ..run }
    }

    /// A session of the run in `out`, which goes on where there is one and else begins as `fresh`.
    fn session(out: &Path, fresh: Meta, span: Span) -> Session<2, Option<f64>> {
        let options = RunOptions { out, resume: out.join("last").exists(), device: &Device::flex() };
        let run = Opening::find(options).unwrap().describe(fresh).unwrap();
        let columns = Columns {
            steps: ["loss", "entropy"].map(|name| Quantity { name, digits: 1 }),
            validation: vec![Column::number("dice".into(), 2, |score: &Option<f64>| *score)],
        };
        run.open(span, columns).unwrap()
    }

    /// What is done by a run that begins as `fresh` and ends early at step `patience`.
    fn did(pace: Pace, fresh: Meta, patience: usize) -> Vec<String> {
        let (tmp, mut did) = (tempfile::tempdir().unwrap(), Vec::new());
        let (step, seconds) = (fresh.step, fresh.seconds);
        let trained = session(tmp.path(), fresh, span(5, pace)).drive(Counting::new(patience, &mut did)).unwrap();
        assert!(!trained.stopped && trained.meta.step >= step && trained.meta.seconds >= seconds);
        did
    }

    /// `validate` and `saved` at each of `steps`, after the beginning.
    fn validated(steps: &[usize]) -> Vec<String> {
        let at = |step: &usize| [format!("validate {step}"), format!("saved {step}")];
        [String::from("begin")].into_iter().chain(steps.iter().flat_map(at)).collect()
    }

    #[test]
    fn a_session_validates_in_between_and_at_its_end_whatever_ends_it() {
        assert_eq!(did(PACE, begun(0, 0.0), 9), validated(&[2, 4, 5]));
        assert_eq!(did(Pace { stop_at: 3, ..PACE }, begun(0, 0.0), 9), validated(&[2, 3]));
        assert_eq!(did(Pace { stop_at: 9, ..PACE }, begun(3, 0.0), 9), validated(&[4, 5]));
        assert_eq!(did(PACE, begun(0, 0.0), 2), validated(&[2]), "early stopping");
        assert_eq!(did(Pace { max_minutes: 1.0, ..PACE }, begun(0, 0.0), 9), validated(&[2, 4, 5]));
        assert_eq!(did(Pace { max_minutes: 1e-9, ..PACE }, begun(0, 0.0), 9), validated(&[]), "no time");
    }

    #[test]
    fn a_run_that_has_ended_makes_no_step_more() {
        assert_eq!(did(PACE, begun(5, 0.0), 9), validated(&[]));
        assert_eq!(did(PACE, begun(3, 0.0), 3), validated(&[]));
        assert_eq!(did(Pace { max_minutes: 1.0, ..PACE }, begun(3, 60.0), 9), validated(&[]));
    }

    #[test]
    fn a_step_that_reports_what_is_no_number_ends_the_session() {
        for lost in [[f64::NAN, 0.5], [0.5, f64::NAN], [f64::INFINITY, 0.5], [0.5, f64::NEG_INFINITY]] {
            let (tmp, mut did) = (tempfile::tempdir().unwrap(), Vec::new());
            let span = span(200, Pace { validate_every: 1, ..PACE });
            let failed =
                session(tmp.path(), begun(98, 0.0), span).drive(Counting { lost, ..Counting::new(1000, &mut did) });
            assert!(matches!(failed, Err(TrainError::Diverged { step: 100 })), "{lost:?}");
            assert_eq!(did, validated(&[99]));
        }
    }

    #[test]
    fn rows_tell_of_the_steps_since_the_one_before_and_a_run_in_parts_has_those_of_a_whole_one() {
        let rows = |stops: &[usize]| {
            let tmp = tempfile::tempdir().unwrap();
            for &stop_at in stops {
                let session = session(tmp.path(), begun(0, 0.0), span(5, Pace { stop_at, ..PACE }));
                session.drive(Counting::new(9, &mut Vec::new())).unwrap();
            }
            let best = checkpoint::read_meta(&tmp.path().join("best")).unwrap().1;
            assert_eq!((best.step, best.score), (2, Some(0.5)), "the best one is kept");
            std::fs::read_to_string(tmp.path().join("log.csv")).unwrap()
        };
        let whole = "step,seconds,loss,entropy,dice\n2,0,0.5,0.5,0.50\n4,0,2.5,0.5,0.25\n5,0,4.0,0.5,0.20\n";
        assert_eq!(rows(&[0]), whole);
        assert_eq!(rows(&[2, 4, 0]), whole);
        let in_between = rows(&[3, 0]);
        assert!(in_between.contains("\n3,0,2.0,0.5,0.33\n4,0,3.0,0.5,0.25\n"), "{in_between}");
    }

    #[test]
    fn the_median_of_none_is_none() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}
