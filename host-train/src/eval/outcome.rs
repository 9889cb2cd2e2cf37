//! What came of the scans of an evaluation: by one process, or put together from what several have done.

use std::collections::BTreeSet;

use kscout_core::kspace::{Pattern, Plan};
use serde::{Deserialize, Serialize};

use crate::data::measured::MeasuredVolume;
use crate::eval::run::{Method, RunError, scan_volumes, score};
use crate::inference::rollout::Scanned;
use crate::inference::segment::Segment;
use crate::metrics::scores::VolumeScores;
use crate::progress;
use crate::samplers::MethodName;
use crate::shard::interleaved;

/// Volumes whose images are in memory at a time.
const AT_ONCE: usize = 40;

/// One method at one budget, with everything.
#[derive(Serialize, Deserialize)]
pub struct Outcome {
    /// Who chose the lines.
    pub method: MethodName,
    /// Lines a slice.
    pub budget: usize,
    /// The scans of each volume; with images and classes where a picture is drawn of the volume.
    pub scans: Vec<Vec<Scanned>>,
    /// The scores of each volume.
    pub scores: Vec<VolumeScores>,
}

/// What is scanned, and how.
pub struct Scanning<'a> {
    /// The images that scans make.
    pub plan: Plan,
    /// Makes the segmentations.
    pub segmenter: &'a dyn Segment,
    /// The volumes.
    pub volumes: &'a [MeasuredVolume<'a>],
    /// Those of them, by place, that pictures are drawn of.
    pub pictured: &'a BTreeSet<usize>,
    /// The policy, if any, and the patterns.
    pub methods: &'a [Method<'a>],
    /// Lines a slice.
    pub budgets: &'a [usize],
    /// Lines of k-space.
    pub width: usize,
}

impl Scanning<'_> {
    /// Full sampling, then every method at every budget.
    ///
    /// # Errors
    /// [`RunError`] where scans cannot be run or scored.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, RunError> {
        let bar = progress::bar((self.methods.len() * self.budgets.len()) as u64, 0, "scans");
        let mut outcomes = vec![self.outcome(Method::Pattern(Pattern::CentreOut), self.width, MethodName::Full)?];
        for &method in self.methods {
            for &budget in self.budgets {
                outcomes.push(self.outcome(method, budget, method.name())?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(outcomes)
    }

    fn outcome(&self, method: Method<'_>, budget: usize, name: MethodName) -> Result<Outcome, RunError> {
        let mut outcome = Outcome { method: name, budget, scans: Vec::new(), scores: Vec::new() };
        for volumes in self.volumes.chunks(AT_ONCE) {
            let mut scans = scan_volumes(self.plan, self.segmenter, volumes, method, budget)?;
            outcome.scores.extend(score(volumes, &scans)?);
            let first = outcome.scans.len();
            let unseen = scans.iter_mut().enumerate().filter(|(place, _)| !self.pictured.contains(&(first + place)));
            unseen.flat_map(|(_, scans)| scans).for_each(|scan| (scan.levels, scan.classes) = Default::default());
            outcome.scans.extend(scans);
        }
        Ok(outcome)
    }
}

/// The outcomes of all volumes, from those of the shards that the volumes were dealt out to; `None` if these are not of the same
/// methods and budgets.
pub fn put_together(shards: Vec<Vec<Outcome>>) -> Option<Vec<Outcome>> {
    let many = shards.first()?.len();
    let mut shards: Vec<_> = shards.into_iter().map(Vec::into_iter).collect();
    (0..many)
        .map(|_| {
            let parts = shards.iter_mut().map(Iterator::next).collect::<Option<Vec<Outcome>>>()?;
            let (method, budget) = (parts[0].method.clone(), parts[0].budget);
            if parts.iter().any(|part| (&part.method, part.budget) != (&method, budget)) {
                return None;
            }
            let (scans, scores) = parts.into_iter().map(|part| (part.scans, part.scores)).unzip();
            Some(Outcome { method, budget, scans: interleaved(scans), scores: interleaved(scores) })
        })
        .collect()
}
