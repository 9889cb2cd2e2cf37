//! Lines of a volume whose slices share a budget: `budget` a slice on average.

use kscout_core::model::Model;
use kscout_core::volume::{Place, VolumeError, VolumeScan, volume_arena_bytes_with};

use crate::data::measured::MeasuredVolume;
use crate::metrics::dice::Occurring;
use crate::runtime::{HeapArena, fastest};
use crate::samplers::{LineOrder, MethodName, OrderError};
use crate::volume::Allocate;
use crate::volume::allocate::Oracle;
use crate::volume::position::Plans;
use crate::volume::trajectories::{centre_out, continued, follow};
use crate::volume::trajectory::Course;

/// How far the allocation oracle looks ahead.
pub const ORACLE_AHEAD: usize = 8;

/// The model's slice policy in int8, in the core's scan of a volume: what a device would measure.
pub struct SlicePolicyOrder<'m> {
    /// Holds segmenter and slice policy.
    pub model: &'m Model<'m>,
    /// A scan ends before its budget is spent when no slice's next line is expected to gain the volume at least this much Dice.
    pub least_gain: f32,
}

impl LineOrder for SlicePolicyOrder<'_> {
    fn name(&self) -> &'static str {
        MethodName::POLICY
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        Ok(self.scan(volume, budget * volume.slices.len())?)
    }
}

impl SlicePolicyOrder<'_> {
    fn scan(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, VolumeError> {
        let (slices, kernels) = (volume.slices.len(), fastest());
        let mut arena = HeapArena::new(volume_arena_bytes_with(self.model, slices, budget, &kernels));
        let mut scan = VolumeScan::with_kernels(self.model, arena.bytes(), slices, budget, kernels)?;
        let mut orders = vec![Vec::new(); slices];
        while let Some(place) = scan.propose_gaining(self.least_gain)? {
            let Place { slice, line } = place;
            scan.push_line(place, volume.slices[slice].kspace.line(line))?;
            orders[slice].push(line as u16);
        }
        Ok(orders)
    }
}

/// Lines by a slice's place between base and apex, as learned on training volumes.
pub struct PositionOrder {
    /// What was learned.
    pub plans: Plans,
}

impl PositionOrder {
    /// The name in tables and lists.
    pub const NAME: &'static str = "by-position";
}

impl LineOrder for PositionOrder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let width = volume.slices.first().map_or(0, |slice| slice.slice.width);
        let order = continued(&self.plans.line_order, width);
        afford(self.name(), &order, budget)?;
        Ok(prefixes(&order, &self.plans.plan(budget).lines(volume.slices.len(), order.len())))
    }
}

/// Knows the truth: gives lines to the slice whose next ones gain the most Dice. Inside a slice they come centre-out.
pub struct AllocationOracle<'m> {
    /// Holds the segmenter.
    pub model: &'m Model<'m>,
    /// Which structures occur in the data set; the others gain nothing.
    pub occurring: Occurring,
}

impl AllocationOracle<'_> {
    /// The name in tables and lists.
    pub const NAME: &'static str = "allocation-oracle";
}

impl LineOrder for AllocationOracle<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn orders(&self, volume: &MeasuredVolume<'_>, budget: usize) -> Result<Vec<Vec<u16>>, OrderError> {
        let order = centre_out(self.model.width());
        afford(self.name(), &order, budget)?;
        let mut hearts = follow(self.model, std::slice::from_ref(volume), Course::dice(&order))?;
        hearts.iter_mut().for_each(|heart| heart.occurring = self.occurring);
        let lines = Oracle { ahead: ORACLE_AHEAD }.share(&hearts, budget);
        Ok(lines.iter().flat_map(|lines| prefixes(&order, lines)).collect())
    }
}

/// Refuses a budget that the slices cannot spend.
fn afford(name: &'static str, order: &[u16], budget: usize) -> Result<(), OrderError> {
    if budget > order.len() {
        return Err(OrderError::TooFew { name, has: order.len(), asked: budget });
    }
    Ok(())
}

fn prefixes(order: &[u16], lines: &[usize]) -> Vec<Vec<u16>> {
    lines.iter().map(|&lines| order[..lines.min(order.len())].to_vec()).collect()
}
