//! A scan of a slice whose k-space is at hand.

use kscout_core::kernels::Kernels;
use kscout_core::scan::{Scan, ScanError};

use crate::mri::KSpace;

/// Plays a scan of `budget` lines through to the segmentation: the lines of `order`, or those that the blob's own policy
/// chooses. `before_line` sees the scan before each line that the policy chose.
///
/// # Errors
/// Those of [`Scan`]; most of all that there is neither an order nor a policy.
pub fn play<K: Kernels>(
    scan: &mut Scan<'_, '_, K>,
    kspace: &KSpace,
    budget: usize,
    order: Option<&[u16]>,
    mut before_line: impl FnMut(&mut Scan<'_, '_, K>, usize),
) -> Result<(), ScanError> {
    scan.start(budget)?;
    match order {
        Some(order) => {
            for &line in order {
                let line = usize::from(line);
                scan.push_line(line, kspace.line(line))?;
            }
        }
        None => {
            while let Some(line) = scan.propose()? {
                before_line(scan, line);
                scan.push_line(line, kspace.line(line))?;
            }
        }
    }
    scan.segment()?;
    Ok(())
}
