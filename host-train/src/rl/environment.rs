//! Scans as an environment: many at once, each over the core's scan loop, judged together.

use kscout_core::model::Model;
use kscout_core::scan::ScanError;

use super::config::RewardConfig;
use super::reward::{Glance, Pays, RewardModel, Truth};
use crate::data::Diagnosis;
use crate::eval::run::RunError;
use crate::kernels::{HostScan, scan as host_scan, scan_arena};
use crate::mri::KSpace;
use crate::play::{Sight, reconstructed};
use crate::segment::HeapArena;

/// The memory of `count` scans over `model`.
pub fn arenas(model: &Model<'_>, count: usize) -> Vec<HeapArena> {
    (0..count).map(|_| scan_arena(model)).collect()
}

/// A scan of one slice under way.
struct Episode<'a> {
    scan: HostScan<'a, 'a>,
    kspace: KSpace,
    truth: Truth,
    worth: f64,
}

/// Scans that run side by side. Those whose budget is spent rest.
pub struct Environment<'a> {
    episodes: Vec<Episode<'a>>,
    reward: &'a dyn RewardModel,
    config: &'a RewardConfig,
}

/// What a scan starts with.
pub struct Start {
    /// The slice's classes, row-major.
    pub label: Vec<u8>,
    /// Its labels; empty without a classifier.
    pub diagnosis: Diagnosis,
    /// What the scanner would measure of it.
    pub kspace: KSpace,
    /// Lines to measure.
    pub budget: usize,
}

impl<'a> Environment<'a> {
    /// Starts a scan in each arena. There are as many arenas as starts.
    pub fn new(
        model: &'a Model<'a>,
        arenas: &'a mut [HeapArena],
        starts: Vec<Start>,
        reward: &'a dyn RewardModel,
        config: &'a RewardConfig,
    ) -> Result<Self, ScanError> {
        let start = |(arena, start): (&'a mut HeapArena, Start)| {
            let mut scan = host_scan(model, arena)?;
            scan.start(start.budget)?;
            let truth = Truth::new(start.label, start.diagnosis, &start.kspace);
            Ok::<_, ScanError>(Episode { scan, kspace: start.kspace, truth, worth: 0.0 })
        };
        let episodes = arenas.iter_mut().zip(starts).map(start).collect::<Result<_, _>>()?;
        Ok(Self { episodes, reward, config })
    }

    /// The scans that may measure another line.
    pub fn active(&self) -> Vec<usize> {
        (0..self.episodes.len()).filter(|&i| self.episodes[i].scan.remaining() > 0).collect()
    }

    /// What a policy that `sees_phase`, or does not, sees of scan `index`.
    pub fn observe(&mut self, index: usize, sees_phase: bool) -> Sight {
        Sight::of(&mut self.episodes[index].scan, sees_phase)
    }

    /// Measures line `lines[i]` in scan `active[i]`; returns the rewards.
    pub fn step(&mut self, active: &[usize], lines: &[usize]) -> Result<Vec<f64>, RunError> {
        for (&index, &line) in active.iter().zip(lines) {
            let episode = &mut self.episodes[index];
            episode.scan.push_line(line, episode.kspace.line(line))?;
        }
        // Only these are judged: a paid step, and the last one, for what the scan was worth in the end.
        let judged: Vec<usize> =
            active.iter().copied().filter(|&i| self.pays(i) || self.episodes[i].scan.remaining() == 0).collect();
        let levels: Vec<Vec<i8>> = judged.iter().map(|&i| self.episodes[i].scan.image().to_vec()).collect();
        let glance = |(&index, levels): (&usize, Vec<i8>)| {
            let episode = &self.episodes[index];
            Glance { levels, image: reconstructed(&episode.scan), truth: &episode.truth }
        };
        let glances: Vec<Glance<'_>> = judged.iter().zip(levels).map(glance).collect();
        let worth = self.reward.worth(&glances)?;
        drop(glances);
        let mut rewards = vec![0.0; self.episodes.len()];
        for (&index, worth) in judged.iter().zip(worth) {
            let pays = self.pays(index);
            let episode = &mut self.episodes[index];
            let earned = match self.reward.pays() {
                Pays::Gain => worth - episode.worth,
                Pays::Level => worth,
            };
            episode.worth = worth;
            rewards[index] = if pays { earned * self.config.scale } else { 0.0 };
        }
        Ok(active.iter().map(|&index| rewards[index]).collect())
    }

    /// Whether the step that scan `index` has just made is paid. Of gains nothing is lost: the last step pays what is left.
    fn pays(&self, index: usize) -> bool {
        let scan = &self.episodes[index].scan;
        let last = scan.remaining() == 0;
        let late = scan.lines().len() > self.config.delay_step;
        match self.reward.pays() {
            Pays::Gain => last || !self.config.final_only && late,
            Pays::Level => late && (last || !self.config.final_only),
        }
    }

    /// What the scans are worth as they stand, in units of the unscaled reward.
    pub fn worth(&self) -> Vec<f64> {
        self.episodes.iter().map(|episode| episode.worth).collect()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use kscout_core::Complex32;
    use kscout_core::model::Reconstruction;
    use kscout_core::scan::STATE_EXTRAS;

    use super::*;
    use crate::eval::run::{MeasuredVolume, Scanned};
    use crate::export::{HeaderSpec, Observation, Origin, pack};
    use crate::net::Scout;
    use crate::numbers::NoNumbers;
    use crate::rl::reward::{Measure, Scored};

    const SIDE: usize = 32;
    const BUDGET: usize = 4;

    /// Worth is the energy of the image, which is the number of lines where every line has the energy 1.
    struct Lines(Pays);

    impl RewardModel for Lines {
        fn worth(&self, scans: &[Glance<'_>]) -> Result<Vec<f64>, NoNumbers> {
            Ok(scans.iter().map(|scan| scan.image.iter().map(|v| f64::from(v.norm_sqr())).sum()).collect())
        }

        fn pays(&self) -> Pays {
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

    /// The rewards of a scan of four lines.
    fn rewards(pays: Pays, delay_step: usize, final_only: bool) -> Vec<f64> {
        let scout = Scout::new(SIDE, SIDE, &Device::flex()).graph(SIDE, SIDE);
        let seen = Observation { levels: vec![0; SIDE * SIDE], state: vec![127; SIDE + STATE_EXTRAS] };
        let header = HeaderSpec {
            height: SIDE,
            width: SIDE,
            classes: 4,
            layout: kscout_core::kernels::Layout::Portable,
            reconstruction: Reconstruction::ZeroFilled,
            origin: Origin::default(),
            provenance: String::new(),
        };
        let blob = pack(None, Some(&scout), &[seen], &header).unwrap();
        let model = Model::new_checked(&blob).unwrap();
        let mut memory = arenas(&model, 1);
        let samples = vec![Complex32::new((1.0 / SIDE as f32).sqrt(), 0.0); SIDE * SIDE];
        let kspace = KSpace { height: SIDE, width: SIDE, samples };
        let start = Start { label: vec![0; SIDE * SIDE], diagnosis: Vec::new(), kspace, budget: BUDGET };
        let config = RewardConfig { delay_step, final_only, scale: 2.0, ..RewardConfig::default() };
        let reward = Lines(pays);
        let mut environment = Environment::new(&model, &mut memory, vec![start], &reward, &config).unwrap();
        let rewards = (0..BUDGET).map(|line| environment.step(&[0], &[line]).unwrap()[0].round()).collect();
        assert!((environment.worth()[0] - BUDGET as f64).abs() < 1e-4, "what it was worth in the end is known");
        rewards
    }

    #[test]
    fn gains_are_paid_step_by_step_and_none_is_lost_to_a_delay() {
        assert_eq!(rewards(Pays::Gain, 0, false), [2.0, 2.0, 2.0, 2.0]);
        assert_eq!(rewards(Pays::Gain, 2, false), [0.0, 0.0, 6.0, 2.0]);
        assert_eq!(rewards(Pays::Gain, 9, false), [0.0, 0.0, 0.0, 8.0]);
        assert_eq!(rewards(Pays::Gain, 0, true), [0.0, 0.0, 0.0, 8.0]);
    }

    #[test]
    fn levels_are_paid_as_they_stand_after_the_delay_as_asmr_does() {
        assert_eq!(rewards(Pays::Level, 0, false), [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(rewards(Pays::Level, 2, false), [0.0, 0.0, 6.0, 8.0]);
        assert_eq!(rewards(Pays::Level, 9, false), [0.0; 4]);
        assert_eq!(rewards(Pays::Level, 2, true), [0.0, 0.0, 0.0, 8.0]);
    }
}
