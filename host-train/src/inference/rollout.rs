//! Playing scans of slices whose k-space is at hand.

use std::fmt;

use kscout_core::Complex32;
use kscout_core::contract::STATE_EXTRAS;
use kscout_core::kernels::Kernels;
use kscout_core::kspace::Plan;
use kscout_core::scan::{Scan, ScanError};
use serde::{Deserialize, Serialize};

use crate::inference::numbers::{NoNumbers, check};
use crate::inference::partial_scan::PartialScan;
use crate::metrics::reference::Quality;
use crate::mri::KSpace;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::FloatGraph;

/// Scans that a [`Chooser`] is asked about at once.
const SIDE_BY_SIDE: usize = 32;

/// Why scans side by side broke off.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The core refused a step.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The policy gives no numbers.
    #[error(transparent)]
    NoNumbers(#[from] NoNumbers),
}

/// Measures `budget` lines, each one that `choose` names; ends early when it names none.
///
/// # Errors
/// Those of [`Scan`] and of `choose`.
pub fn rollout<'m, 'a, K: Kernels>(
    scan: &mut Scan<'m, 'a, K>,
    kspace: &KSpace,
    budget: usize,
    mut choose: impl FnMut(&mut Scan<'m, 'a, K>) -> Result<Option<usize>, ScanError>,
) -> Result<(), ScanError> {
    scan.start(budget)?;
    while scan.remaining() > 0 {
        let Some(line) = choose(scan)? else { break };
        scan.push_line(line, kspace.line(line))?;
    }
    Ok(())
}

/// The unmeasured line with the largest logit of a policy in real numbers.
///
/// # Errors
/// [`NoNumbers`] where the policy does not give any.
pub fn float_choice(policy: &FloatGraph, scan: &mut PartialScan) -> Result<Option<usize>, NoNumbers> {
    let image: Vec<f32> = levels_to_real(scan.image()).collect();
    let state: Vec<f32> = state_to_real(&scan.state()).collect();
    let logits = policy.run(&[&image, &state]).pop().unwrap_or_default();
    check(&logits, "policy")?;
    // The first of equal ones, as the core does it.
    Ok(scan.mask().missing().reduce(|best, line| if logits[line] > logits[best] { line } else { best }))
}

/// What a scan of one slice ended with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scanned {
    /// The lines, in the order they were measured.
    pub lines: Vec<u16>,
    /// The quantised image.
    pub levels: Vec<i8>,
    /// The classes.
    pub classes: Vec<u8>,
    /// Quality of the reconstructed image against the fully sampled one.
    pub quality: Quality,
}

/// What a policy may see of a scan as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The quantised image, row-major.
    pub levels: Vec<i8>,
    /// The state vector, `width + 3` values; see [`kscout_core::scan::write_state`].
    pub state: Vec<i8>,
    /// The complex zero-filled image, row-major; empty for a policy that does not look at phase.
    pub image: Vec<Complex32>,
    /// How many lines may still be measured.
    pub remaining: usize,
}

impl Observation {
    /// The scan as it stands, with its complex image for a policy that `sees_phase`.
    pub fn of(scan: &mut PartialScan, sees_phase: bool) -> Self {
        Self {
            levels: scan.image().to_vec(),
            state: scan.state(),
            image: if sees_phase { scan.reconstructor().zero_filled().to_vec() } else { Vec::new() },
            remaining: scan.remaining(),
        }
    }

    /// For each line, whether it has been measured.
    pub fn measured(&self) -> impl Iterator<Item = bool> + '_ {
        self.state[..self.state.len().saturating_sub(STATE_EXTRAS)].iter().map(|&m| m > 0)
    }
}

/// A policy in real numbers that is asked about many scans at once, as a device likes it.
pub trait Chooser: Sync + fmt::Debug {
    /// Whether it looks at [`Observation::image`].
    fn sees_phase(&self) -> bool;

    /// An unmeasured line for each scan.
    ///
    /// # Errors
    /// [`NoNumbers`] where the policy does not give any.
    fn choose(&self, observations: &[Observation]) -> Result<Vec<usize>, NoNumbers>;
}

/// The `budget` lines that `chooser` measures of each slice, in order.
///
/// # Errors
/// Those of `PartialScan` and of [`Chooser::choose`].
pub fn chosen_lines(
    plan: Plan,
    slices: &[&KSpace],
    chooser: &dyn Chooser,
    budget: usize,
) -> Result<Vec<Vec<u16>>, RolloutError> {
    let mut chosen = Vec::with_capacity(slices.len());
    let scans = (0..SIDE_BY_SIDE.min(slices.len())).map(|_| PartialScan::new(plan));
    let mut scans = scans.collect::<Result<Vec<_>, _>>().map_err(ScanError::from)?;
    for part in slices.chunks(SIDE_BY_SIDE) {
        let scans = &mut scans[..part.len()];
        scans.iter_mut().try_for_each(|scan| scan.start(budget)).map_err(ScanError::from)?;
        for _ in 0..budget {
            let observations: Vec<Observation> =
                scans.iter_mut().map(|scan| Observation::of(scan, chooser.sees_phase())).collect();
            for ((scan, kspace), line) in scans.iter_mut().zip(part).zip(chooser.choose(&observations)?) {
                scan.push_line(line, kspace.line(line)).map_err(ScanError::from)?;
            }
        }
        chosen.extend(scans.iter().map(|scan| scan.lines().to_vec()));
    }
    Ok(chosen)
}
