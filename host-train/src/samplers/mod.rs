//! Lines that are chosen without running a policy: what policies are compared with.
//!
//! * [`LineOrder`]: lines of every slice of a volume. The core's patterns are such orders; so is one list of lines for all
//!   ([`Fixed`]), and what was worked out ahead ([`Planned`]).
//! * [`Scorer`]: the score of a segmentation with some lines. `tries`: with each line more.
//! * `forward`: one mask for many slices, by greedy forward selection; `reorder`: its lines in a better order. `learn` runs both on
//!   training volumes; a [`LearnedMask`] is the result.
//! * [`SlicePolicyOrder`], [`PositionOrder`], [`AllocationOracle`]: lines of volumes whose slices share a budget.
//! * [`Neighbours`]: the mask of the most alike training slice. [`Oracle`]: the best next line, the truth known.
//! * [`MethodName`]: how tables name whoever chose.

pub(crate) mod forward;
pub(crate) mod learn;
pub(crate) mod mask_file;
mod method_name;
pub(crate) mod neighbour;
pub(crate) mod oracle;
pub(crate) mod reorder;
pub(crate) mod scorer;
pub(crate) mod shared;
#[cfg(test)]
mod threshold;
pub(crate) mod tries;

use std::collections::HashMap;
use std::fmt;

use indicatif::ProgressBar;
use kscout_core::kspace::{Pattern, PatternError};
use kscout_core::scan::ScanError;
use kscout_core::volume::VolumeError;

use crate::data::SliceId;
use crate::data::measured::{Measured, MeasuredVolume};
use crate::shard::PartError;

pub use mask_file::{LearnedMask, MaskFileError};
pub use method_name::MethodName;
pub use neighbour::{Neighbours, Search};
pub use oracle::Oracle;
pub use scorer::{Score, Scorer};
pub use shared::{AllocationOracle, PositionOrder, SlicePolicyOrder};

/// Why lines could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A pattern cannot give that many lines.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The core cannot reconstruct images of that size.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The core cannot scan the volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A list of lines is too short.
    #[error("{name} orders {has} lines, {asked} were asked for")]
    TooFew {
        /// The order's name.
        name: &'static str,
        /// Lines it has.
        has: usize,
        /// Lines asked for.
        asked: usize,
    },
    /// What other processes have found cannot be had.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The command is to end.
    #[error("stopped")]
    Stopped,
    /// An order that was worked out ahead is asked about another slice.
    #[error("{name} was not worked out for slice {slice}")]
    NotPlanned {
        /// The order's name.
        name: &'static str,
        /// The slice.
        slice: SliceId,
    },
}

/// Chooses the lines of a volume's slices without being asked line by line.
///
/// It may look at all that was measured, and, where it says so, at the truth. Whole volumes are given, because what is best for
/// a volume is not what is best for each of its slices.
pub trait LineOrder: Sync {
    /// The name in tables; [`MethodName::POLICY`] of what asks a policy.
    fn name(&self) -> &'static str;

    /// `budget` distinct lines for each slice of the volume, or for each on average where slices share a budget, in the order in
    /// which they are measured.
    ///
    /// # Errors
    /// [`OrderError`] where there are not that many.
    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError>;
}

impl fmt::Debug for dyn LineOrder + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl LineOrder for Pattern {
    fn name(&self) -> &'static str {
        Pattern::name(self)
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let of = |width, seed| Ok(self.lines(width, budget, seed)?.to_vec());
        volume.slices.iter().map(|slice| of(slice.slice.width, slice.seed)).collect()
    }
}

/// The same lines for every slice.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The name in tables.
    pub name: &'static str,
    /// The lines, in order.
    pub lines: Vec<u16>,
}

impl LineOrder for Fixed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let lines = first(self.name, &self.lines, budget)?;
        Ok(vec![lines; volume.slices.len()])
    }
}

/// What a costly order gives for known volumes, worked out once for the largest budget.
///
/// Only for orders whose lines for a small budget begin those for a large one, as all that choose greedily do.
pub struct Planned {
    name: &'static str,
    /// By slice and the seed of its phase and noise.
    orders: HashMap<(SliceId, u64), Vec<u16>>,
}

impl Planned {
    /// Asks `order` about every volume; `bar` advances with each.
    ///
    /// # Errors
    /// Those of the order.
    pub fn new(
        order: &dyn LineOrder,
        volumes: &[MeasuredVolume<'_>],
        most: usize,
        bar: &ProgressBar,
    ) -> Result<Self, OrderError> {
        let mut orders = HashMap::new();
        for volume in volumes {
            let keys = volume.slices.iter().map(|slice| (slice.slice.id.clone(), slice.seed));
            orders.extend(keys.zip(order.orders(volume, most)?));
            bar.inc(1);
        }
        Ok(Self { name: order.name(), orders })
    }
}

impl LineOrder for Planned {
    fn name(&self) -> &'static str {
        self.name
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let of = |measured: &Measured<'_>| {
            let key = (measured.slice.id.clone(), measured.seed);
            let planned = self.orders.get(&key);
            let unknown = || OrderError::NotPlanned { name: self.name, slice: key.0.clone() };
            first(self.name, planned.ok_or_else(unknown)?, budget)
        };
        volume.slices.iter().map(of).collect()
    }
}

/// The first `budget` of `lines`.
fn first(name: &'static str, lines: &[u16], budget: usize) -> Result<Vec<u16>, OrderError> {
    let too_few = OrderError::TooFew { name, has: lines.len(), asked: budget };
    lines.get(..budget).map(<[u16]>::to_vec).ok_or(too_few)
}

#[cfg(test)]
mod tests {
    use super::threshold::phantoms;
    use super::*;
    use crate::data::Split;
    use crate::data::measured::measure;
    use crate::mri::Protocol;

    #[test]
    fn what_is_planned_is_the_order_itself_at_every_smaller_budget() {
        let data = phantoms(1);
        let volumes = measure(&data, Split::Train, &Protocol::scanner(), 1);
        let planned = Planned::new(&Pattern::Random, &volumes, 12, &ProgressBar::hidden()).unwrap();
        for budget in [1, 5, 12] {
            let expected = Pattern::Random.orders(&volumes[1], budget).unwrap();
            assert_eq!(planned.orders(&volumes[1], budget).unwrap(), expected);
        }
        assert_ne!(planned.orders(&volumes[0], 12).unwrap()[0], planned.orders(&volumes[0], 12).unwrap()[1]);
        assert_eq!(
            planned.orders(&volumes[0], 13).unwrap_err().to_string(),
            "random orders 12 lines, 13 were asked for"
        );
        let draws: Vec<_> =
            [1, 2].iter().flat_map(|&seed| measure(&data, Split::Train, &Protocol::scanner(), seed)).collect();
        let planned = Planned::new(&Pattern::Random, &draws, 4, &ProgressBar::hidden()).unwrap();
        for volume in &draws {
            let [found, expected] = [&planned as &dyn LineOrder, &Pattern::Random].map(|order| order.orders(volume, 4));
            assert_eq!(found.unwrap(), expected.unwrap(), "seed {}", volume.seed);
        }
        let other = Planned::new(&Pattern::Random, &volumes[..1], 4, &ProgressBar::hidden()).unwrap();
        let error = other.orders(&volumes[1], 4).unwrap_err().to_string();
        assert!(error.starts_with("random was not worked out for slice patient001/"), "{error}");
    }

    #[test]
    fn a_fixed_order_is_the_same_for_every_slice() {
        let data = phantoms(1);
        let volumes = measure(&data, Split::Train, &Protocol::scanner(), 1);
        let fixed = Fixed { name: "learned-mask", lines: vec![32, 31, 33] };
        let orders = fixed.orders(&volumes[0], 2).unwrap();
        assert!(orders.len() == volumes[0].slices.len() && orders.iter().all(|lines| lines == &[32, 31]));
        assert!(matches!(fixed.orders(&volumes[0], 4), Err(OrderError::TooFew { has: 3, asked: 4, .. })));
    }
}
