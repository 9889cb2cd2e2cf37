//! Playing scans of slices whose k-space is at hand.

use std::borrow::Cow;
use std::fmt;

use kscout_core::Complex32;
use kscout_core::kernels::Kernels;
use kscout_core::model::Model;
use kscout_core::scan::{STATE_EXTRAS, Scan, ScanError};

use crate::kernels::{scan as host_scan, scan_arena};
use crate::mri::KSpace;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::FloatGraph;
use crate::numbers::{NoNumbers, check};
use crate::segment::HeapArena;

/// Scans that a [`Chooser`] is asked about at once.
const SIDE_BY_SIDE: usize = 32;

/// Why scans side by side broke off.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
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
pub fn play<'m, 'a, K: Kernels>(
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
pub fn float_choice<K: Kernels>(policy: &FloatGraph, scan: &mut Scan<'_, '_, K>) -> Result<Option<usize>, NoNumbers> {
    let image: Vec<f32> = levels_to_real(scan.image()).collect();
    let state: Vec<f32> = state_to_real(scan.state()).collect();
    let logits = policy.run(&[&image, &state]).pop().unwrap_or_default();
    check(&logits, "policy")?;
    // The first of equal ones, as the core does it.
    Ok(scan.mask().missing().reduce(|best, line| if logits[line] > logits[best] { line } else { best }))
}

/// The reconstructed image of the lines measured so far, row-major, before its magnitude is taken: what the networks see of a
/// scan, neither quantised nor made equal in brightness.
pub fn reconstructed<'s, K: Kernels>(scan: &'s Scan<'_, '_, K>) -> Cow<'s, [Complex32]> {
    let zero_filled = scan.complex_image();
    if !scan.reconstruction().is_symmetric() {
        return Cow::Borrowed(zero_filled);
    }
    let mut image = vec![Complex32::ZERO; zero_filled.len()];
    scan.reconstruct(&mut image);
    Cow::Owned(image)
}

/// What a policy may see of a scan as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// The quantised image, row-major.
    pub levels: Vec<i8>,
    /// The state vector, `width + 3` values; see [`kscout_core::scan::write_state`].
    pub state: Vec<i8>,
    /// The complex zero-filled image, row-major; empty for a policy that does not look at phase.
    pub image: Vec<Complex32>,
    /// How many lines may still be measured.
    pub remaining: usize,
}

impl Sight {
    /// The scan as it stands, with its complex image for a policy that `sees_phase`.
    pub fn of<K: Kernels>(scan: &mut Scan<'_, '_, K>, sees_phase: bool) -> Self {
        Self {
            levels: scan.image().to_vec(),
            state: scan.state().to_vec(),
            image: if sees_phase { scan.complex_image().to_vec() } else { Vec::new() },
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
    /// Whether it looks at [`Sight::image`].
    fn sees_phase(&self) -> bool;

    /// An unmeasured line for each scan.
    ///
    /// # Errors
    /// [`NoNumbers`] where the policy does not give any.
    fn choose(&self, sights: &[Sight]) -> Result<Vec<usize>, NoNumbers>;
}

/// The `budget` lines that `chooser` measures of each slice, in order.
///
/// # Errors
/// Those of [`Scan`] and of [`Chooser::choose`].
pub fn chosen_lines(
    model: &Model<'_>,
    slices: &[&KSpace],
    chooser: &dyn Chooser,
    budget: usize,
) -> Result<Vec<Vec<u16>>, PlayError> {
    let mut chosen = Vec::with_capacity(slices.len());
    let mut arenas: Vec<HeapArena> = (0..SIDE_BY_SIDE.min(slices.len())).map(|_| scan_arena(model)).collect();
    for part in slices.chunks(SIDE_BY_SIDE) {
        let mut scans = arenas
            .iter_mut()
            .zip(part)
            .map(|(arena, _)| {
                let mut scan = host_scan(model, arena)?;
                scan.start(budget)?;
                Ok(scan)
            })
            .collect::<Result<Vec<_>, ScanError>>()?;
        for _ in 0..budget {
            let sights: Vec<Sight> = scans.iter_mut().map(|scan| Sight::of(scan, chooser.sees_phase())).collect();
            for ((scan, kspace), line) in scans.iter_mut().zip(part).zip(chooser.choose(&sights)?) {
                scan.push_line(line, kspace.line(line))?;
            }
        }
        chosen.extend(scans.iter().map(|scan| scan.lines().to_vec()));
    }
    Ok(chosen)
}
