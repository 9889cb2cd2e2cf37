//! Playing a scan of a slice whose k-space is at hand.

use kscout_core::kernels::Kernels;
use kscout_core::scan::{Scan, ScanError};

use crate::mri::KSpace;
use crate::mri::observation::{levels_to_real, state_to_real};
use crate::net::FloatGraph;

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
pub fn float_choice<K: Kernels>(policy: &FloatGraph, scan: &mut Scan<'_, '_, K>) -> Option<usize> {
    let image: Vec<f32> = levels_to_real(scan.image()).collect();
    let state: Vec<f32> = state_to_real(scan.state()).collect();
    let logits = policy.run(&[&image, &state]).pop().unwrap_or_default();
    // The first of equal ones, as the core does it.
    scan.mask().missing().reduce(|best, line| if logits[line] > logits[best] { line } else { best })
}
