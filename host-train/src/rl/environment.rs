//! The core's scan loop as an environment: a slice each, scored by a reward model together.

use kscout_core::kspace::Plan;
use kscout_core::scan::ScanError;
use rayon::prelude::*;

use super::batch_env::BatchEnv;
use crate::data::Diagnosis;
use crate::eval::run::RunError;
use crate::inference::partial_scan::PartialScan;
use crate::inference::rollout::Observation;
use crate::mri::KSpace;
use crate::rl::config::RewardConfig;
use crate::rl::reward::{RewardInput, RewardMode, RewardModel, Truth};
use crate::runtime::reconstructed;

/// What an episode begins as.
pub struct EpisodeStart {
    /// The slice's classes, row-major.
    pub label: Vec<u8>,
    /// Its labels; empty without a classifier.
    pub diagnosis: Diagnosis,
    /// What the scanner would measure of it.
    pub kspace: KSpace,
    /// Lines to measure.
    pub budget: usize,
}

/// The scan of a slice under way.
struct Episode {
    scan: PartialScan,
    kspace: KSpace,
    truth: Truth,
    /// The objective when the scan was last scored.
    objective: f64,
}

impl Episode {
    fn begin(plan: Plan, start: EpisodeStart) -> Result<Self, ScanError> {
        let mut scan = PartialScan::new(plan)?;
        scan.start(start.budget)?;
        let truth = Truth::new(start.label, start.diagnosis, &start.kspace);
        Ok(Self { scan, kspace: start.kspace, truth, objective: 0.0 })
    }
}

/// Scans over the core, which measure and quantise on all threads. Those whose budget is spent rest.
pub struct CoreEnv<'a> {
    plan: Plan,
    episodes: Vec<Episode>,
    sees_phase: bool,
    reward: &'a dyn RewardModel,
    config: &'a RewardConfig,
}

impl<'a> CoreEnv<'a> {
    /// No scan yet; those to come make the images of `plan`, for a policy that `sees_phase`, or does not.
    pub fn new(plan: Plan, sees_phase: bool, reward: &'a dyn RewardModel, config: &'a RewardConfig) -> Self {
        Self { plan, episodes: Vec::new(), sees_phase, reward, config }
    }

    /// The objective of the scans as they stand, in units of the unscaled reward.
    pub fn objective(&self) -> Vec<f64> {
        self.episodes.iter().map(|episode| episode.objective).collect()
    }
}

impl BatchEnv for CoreEnv<'_> {
    type Start = EpisodeStart;
    type Observation = Observation;
    type Error = RunError;

    fn reset(&mut self, starts: Vec<EpisodeStart>) -> Result<(), RunError> {
        self.episodes.clear();
        let plan = self.plan;
        let episodes = starts.into_par_iter().map(|start| Episode::begin(plan, start));
        self.episodes = episodes.collect::<Result<_, ScanError>>()?;
        Ok(())
    }

    fn active(&self) -> Vec<usize> {
        (0..self.episodes.len()).filter(|&i| self.episodes[i].scan.remaining() > 0).collect()
    }

    fn observe(&mut self, episodes: &[usize]) -> Vec<Observation> {
        let sees_phase = self.sees_phase;
        let asked = self.asked(episodes, episodes);
        let observe = |(episode, asked): (&mut Episode, Option<usize>)| {
            asked.map(|_| Observation::of(&mut episode.scan, sees_phase))
        };
        self.episodes.par_iter_mut().zip(asked).filter_map(observe).collect()
    }

    /// The choices are lines.
    fn step(&mut self, episodes: &[usize], lines: &[usize]) -> Result<Vec<f64>, RunError> {
        let (reward, config) = (self.reward, self.config);
        let pays = |scan: &PartialScan| is_rewarded(scan, reward.mode(), config);
        // Only these are scored: a paid step, and the last one, for the objective in the end.
        let measure = |(episode, line): (&mut Episode, Option<usize>)| {
            let Some(line) = line else { return Ok(None) };
            episode.scan.push_line(line, episode.kspace.line(line)).map_err(ScanError::from)?;
            let is_scored = pays(&episode.scan) || episode.scan.remaining() == 0;
            Ok(is_scored.then(|| episode.scan.image().to_vec()))
        };
        let lines = self.asked(episodes, lines);
        let measured = self.episodes.par_iter_mut().zip(lines).map(measure);
        let levels = measured.collect::<Result<Vec<Option<Vec<i8>>>, ScanError>>()?;
        let scored: Vec<usize> = (0..levels.len()).filter(|&i| levels[i].is_some()).collect();
        let input = |(episode, levels): (_, Option<Vec<i8>>)| {
            let episode: &Episode = episode;
            Some(RewardInput {
                levels: levels?,
                image: reconstructed(episode.scan.reconstructor()),
                truth: &episode.truth,
            })
        };
        let inputs: Vec<RewardInput<'_>> = self.episodes.par_iter().zip(levels).filter_map(input).collect();
        let objectives = reward.objective(&inputs)?;
        drop(inputs);
        let mut rewards = vec![0.0; self.episodes.len()];
        for (index, objective) in scored.into_iter().zip(objectives) {
            let episode = &mut self.episodes[index];
            let earned = match reward.mode() {
                RewardMode::Gain => objective - episode.objective,
                RewardMode::Level => objective,
            };
            episode.objective = objective;
            rewards[index] = if pays(&episode.scan) { earned * config.scale } else { 0.0 };
        }
        Ok(episodes.iter().map(|&index| rewards[index]).collect())
    }
}

impl CoreEnv<'_> {
    /// For each episode what is asked of it: `values[i]` of `episodes[i]`.
    fn asked(&self, episodes: &[usize], values: &[usize]) -> Vec<Option<usize>> {
        let mut asked = vec![None; self.episodes.len()];
        episodes.iter().zip(values).for_each(|(&episode, &value)| asked[episode] = Some(value));
        asked
    }
}

/// Whether the step that `scan` has just made is paid. Of gains nothing is lost: the last step pays what is left.
fn is_rewarded(scan: &PartialScan, mode: RewardMode, config: &RewardConfig) -> bool {
    let last = scan.remaining() == 0;
    let late = scan.lines().len() > config.delay_step;
    match mode {
        RewardMode::Gain => last || !config.final_only && late,
        RewardMode::Level => late && (last || !config.final_only),
    }
}

#[cfg(test)]
mod tests {
    use kscout_core::Complex32;
    use kscout_core::kspace::Reconstruction;

    use super::*;
    use crate::eval::run::{MeasuredVolume, Scanned};
    use crate::inference::numbers::NoNumbers;
    use crate::rl::reward::{Measure, Scored};

    const SIDE: usize = 32;
    const BUDGET: usize = 4;
    const SIDE_BY_SIDE: usize = 3;

    /// The objective is the energy of the image, which is the number of lines where every line has the energy 1.
    struct Lines(RewardMode);

    impl RewardModel for Lines {
        fn objective(&self, scans: &[RewardInput<'_>]) -> Result<Vec<f64>, NoNumbers> {
            Ok(scans.iter().map(|scan| scan.image.iter().map(|v| f64::from(v.norm_sqr())).sum()).collect())
        }

        fn mode(&self) -> RewardMode {
            self.0
        }

        fn measures(&self) -> &'static [Measure] {
            &[]
        }

        fn compares(&self) -> &'static str {
            "energy"
        }

        fn score(&self, _: &[MeasuredVolume<'_>], _: Vec<Vec<Scanned>>) -> Result<Scored, RunError> {
            Ok(Scored::default())
        }
    }

    /// The rewards of a scan of four lines, beside others.
    fn rewards(pays: RewardMode, delay_step: usize, final_only: bool) -> Vec<f64> {
        let samples = vec![Complex32::new((1.0 / SIDE as f32).sqrt(), 0.0); SIDE * SIDE];
        let kspace = KSpace { height: SIDE, width: SIDE, samples };
        let start = |budget| EpisodeStart {
            label: vec![0; SIDE * SIDE],
            diagnosis: Vec::new(),
            kspace: kspace.clone(),
            budget,
        };
        let config = RewardConfig { delay_step, final_only, scale: 2.0, ..RewardConfig::default() };
        let (plan, reward) = (Plan::new(Reconstruction::ZeroFilled, SIDE, SIDE), Lines(pays));
        let mut environment = CoreEnv::new(plan, false, &reward, &config);
        // Episodes before leave nothing behind.
        environment.reset(vec![start(2), start(3)]).unwrap();
        environment.step(&[0, 1], &[9, 9]).unwrap();
        environment.reset((0..SIDE_BY_SIDE).map(|i| start(if i == 0 { 1 } else { BUDGET })).collect()).unwrap();
        let mut rewards = Vec::new();
        for line in 0..BUDGET {
            let active = environment.active();
            assert_eq!(active.len(), if line == 0 { SIDE_BY_SIDE } else { SIDE_BY_SIDE - 1 }, "the first has one line");
            let paid = environment.step(&active, &vec![line; active.len()]).unwrap();
            let rounded: Vec<f64> = paid[active.len() - 2..].iter().map(|reward| reward.round()).collect();
            assert_eq!(rounded[0], rounded[1], "scans alike earn alike");
            rewards.push(rounded[0]);
        }
        assert!(environment.active().is_empty());
        let objectives = environment.objective();
        assert!((objectives[1] - BUDGET as f64).abs() < 1e-4, "the objective in the end is known");
        assert!((objectives[0] - 1.0).abs() < 1e-4);
        rewards
    }

    #[test]
    fn gains_are_paid_step_by_step_and_none_is_lost_to_a_delay() {
        assert_eq!(rewards(RewardMode::Gain, 0, false), [2.0, 2.0, 2.0, 2.0]);
        assert_eq!(rewards(RewardMode::Gain, 2, false), [0.0, 0.0, 6.0, 2.0]);
        assert_eq!(rewards(RewardMode::Gain, 9, false), [0.0, 0.0, 0.0, 8.0]);
        assert_eq!(rewards(RewardMode::Gain, 0, true), [0.0, 0.0, 0.0, 8.0]);
    }

    #[test]
    fn levels_are_paid_as_they_stand_after_the_delay_as_asmr_does() {
        assert_eq!(rewards(RewardMode::Level, 0, false), [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(rewards(RewardMode::Level, 2, false), [0.0, 0.0, 6.0, 8.0]);
        assert_eq!(rewards(RewardMode::Level, 9, false), [0.0; 4]);
        assert_eq!(rewards(RewardMode::Level, 2, true), [0.0, 0.0, 0.0, 8.0]);
    }
}
