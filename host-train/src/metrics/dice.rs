//! Overlap and volume of segmentations: Dice, IoU, millilitres.
//!
//! Labels are 0 background, 1 RV, 2 MYO, 3 LV. Conventions for a structure that a segmentation lacks, the same everywhere:
//!
//! | lacking in | Dice, IoU | HD, HD95, ASSD | volume |
//! |---|---|---|---|
//! | prediction or truth alone | 0 | `None`: there is no surface to measure to | 0 ml on that side |
//! | both | `None` | `None` | 0 ml on both |
//!
//! What is `None` is left out of a mean, whose number of values is given beside it; in files it is an empty cell or `null`.
//!
//! A structure that no true segmentation of a data set has is left out of every mean over that data set, with a note
//! ([`Occurring`]): its Dice would be 0 for a single wrong voxel and nothing without, and says nothing of a segmenter.

/// A structure of the heart, with its label in the segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Structure {
    /// Right ventricle's cavity.
    Rv = 1,
    /// Left ventricle's myocardium.
    Myo = 2,
    /// Left ventricle's cavity.
    Lv = 3,
}

impl Structure {
    /// All structures, in the order of their labels.
    pub const ALL: [Self; 3] = [Self::Rv, Self::Myo, Self::Lv];

    /// The label in a segmentation.
    pub fn label(self) -> u8 {
        self as u8
    }

    /// The place in arrays of one value a structure: RV 0, MYO 1, LV 2.
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// The short name: `RV`, `MYO` or `LV`.
    pub fn name(self) -> &'static str {
        ["RV", "MYO", "LV"][self.index()]
    }
}

/// Why a metric could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// A buffer's length differs from what its shape says.
    #[error("{what}: {found} values given, {expected} expected; pass whole slices of the stated shape")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Values that the shape asks for.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// Two volumes that are compared differ in shape.
    #[error("prediction has shape {pred:?}, truth {truth:?} (slices, rows, columns); resample one onto the other")]
    Shape {
        /// Shape of the prediction.
        pred: [usize; 3],
        /// Shape of the truth.
        truth: [usize; 3],
    },
    /// Two volumes that are compared differ in voxel size.
    #[error("prediction has voxels of {pred:?} mm, truth {truth:?} mm (z, y, x); resample one onto the other")]
    SpacingDiffers {
        /// Voxel size of the prediction.
        pred: [f64; 3],
        /// Voxel size of the truth.
        truth: [f64; 3],
    },
    /// A voxel size that is not a length.
    #[error("voxel size {0:?} mm (z, y, x) must be finite and above 0; check the volume's header")]
    Spacing([f64; 3]),
    /// A label that is no class.
    #[error("label {label} at voxel {index}; expected 0 background, 1 RV, 2 MYO or 3 LV")]
    Label {
        /// The label found.
        label: u8,
        /// Its place in the buffer.
        index: usize,
    },
    /// An image too small for the window of a metric.
    #[error("image of {height}x{width} is smaller than the {window}x{window} window")]
    TooSmall {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Side of the window.
        window: usize,
    },
    /// A data range that is not a positive number.
    #[error("data range {0} must be finite and above 0; an all-zero reference has none")]
    DataRange(f64),
}

/// A segmented volume: labels of stacked slices, `[z][y][x]`, and the size of a voxel.
#[derive(Clone, Copy, Debug)]
pub struct LabelVolume<'a> {
    labels: &'a [u8],
    shape: [usize; 3],
    spacing_mm: [f64; 3],
}

impl<'a> LabelVolume<'a> {
    /// Checks the number of labels against `shape` (slices, rows, columns), every label, and `spacing_mm` (z, y, x).
    pub fn new(labels: &'a [u8], shape: [usize; 3], spacing_mm: [f64; 3]) -> Result<Self, MetricError> {
        same_length("labels", shape.iter().product(), labels.len())?;
        if let Some((index, &label)) = labels.iter().enumerate().find(|&(_, &label)| label > 3) {
            return Err(MetricError::Label { label, index });
        }
        if !spacing_mm.iter().all(|&mm| mm.is_finite() && mm > 0.0) {
            return Err(MetricError::Spacing(spacing_mm));
        }
        Ok(Self { labels, shape, spacing_mm })
    }

    /// Labels, `[z][y][x]`.
    pub fn labels(&self) -> &'a [u8] {
        self.labels
    }

    /// Slices, rows, columns.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Voxel size in mm: z, y, x.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.spacing_mm
    }

    /// Volume of a structure in ml.
    pub fn volume_ml(&self, structure: Structure) -> f64 {
        let voxels = self.labels.iter().filter(|&&label| label == structure.label()).count();
        voxels as f64 * self.spacing_mm.iter().product::<f64>() / 1000.0
    }
}

/// How two segmentations overlap in one structure, counted in voxels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Voxels of the prediction.
    pub pred: usize,
    /// Voxels of the truth.
    pub truth: usize,
    /// Voxels of both.
    pub both: usize,
}

impl Overlap {
    /// `2 |A and B| / (|A| + |B|)`; `None` if both are empty.
    pub fn dice(&self) -> Option<f64> {
        let sum = self.pred + self.truth;
        (sum > 0).then(|| 2.0 * self.both as f64 / sum as f64)
    }

    /// `|A and B| / |A or B|`; `None` if both are empty.
    pub fn iou(&self) -> Option<f64> {
        let union = self.pred + self.truth - self.both;
        (union > 0).then(|| self.both as f64 / union as f64)
    }
}

/// Overlaps of all structures, in the order of [`Structure::ALL`], over buffers of any shape.
pub fn overlaps(pred: &[u8], truth: &[u8]) -> Result<[Overlap; 3], MetricError> {
    same_length("prediction", truth.len(), pred.len())?;
    Ok(Structure::ALL.map(|structure| {
        let label = structure.label();
        let mut overlap = Overlap::default();
        // Counts of a block fit a byte, which lets the compiler count many voxels an instruction.
        for (pred, truth) in pred.chunks(255).zip(truth.chunks(255)) {
            let mut block = [0u8; 3];
            for (&p, &t) in pred.iter().zip(truth) {
                let (p, t) = (u8::from(p == label), u8::from(t == label));
                block[0] += p;
                block[1] += t;
                block[2] += p & t;
            }
            overlap.pred += usize::from(block[0]);
            overlap.truth += usize::from(block[1]);
            overlap.both += usize::from(block[2]);
        }
        overlap
    }))
}

/// Dice of one slice, or of any buffer, by structure: what the reward of a scan's step is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceDice(pub [Option<f64>; 3]);

impl SliceDice {
    /// Mean over the structures present in the prediction or the truth; `None` if there is none.
    pub fn mean(&self) -> Option<f64> {
        self.weighted_mean([1.0; 3])
    }

    /// Weighted mean over the structures present, with weights in the order of [`Structure::ALL`]; `None` if the
    /// weights of those present sum to 0.
    pub fn weighted_mean(&self, weights: [f64; 3]) -> Option<f64> {
        let present = self.0.iter().zip(weights).filter_map(|(dice, weight)| dice.map(|dice| (dice * weight, weight)));
        let (sum, weight) = present.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1));
        (weight > 0.0).then(|| sum / weight)
    }
}

/// Which structures occur in the truth of a data set, in any of its volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurring([bool; 3]);

impl Occurring {
    /// Of volumes that are not known to be a whole data set.
    pub const ALL: Self = Self([true; 3]);

    /// Of volumes whose truth has these structures, in the order of [`Structure::ALL`].
    pub fn of(volumes: impl IntoIterator<Item = [bool; 3]>) -> Self {
        let mut all = Self::default();
        volumes.into_iter().for_each(|volume| all.add(volume));
        all
    }

    /// Of true labels.
    pub fn in_labels<'l>(labels: impl IntoIterator<Item = &'l u8>) -> Self {
        let mut all = Self::default();
        for &label in labels {
            if let Some(found) = usize::from(label).checked_sub(1).and_then(|place| all.0.get_mut(place)) {
                *found = true;
            }
        }
        all
    }

    /// Takes another volume in.
    pub fn add(&mut self, volume: [bool; 3]) {
        self.0.iter_mut().zip(volume).for_each(|(occurs, there)| *occurs |= there);
    }

    /// Whether this structure occurs.
    pub fn has(self, structure: Structure) -> bool {
        self.0[structure.index()]
    }

    /// Names of those that never do.
    pub fn absent(self) -> Vec<&'static str> {
        Structure::ALL.into_iter().filter(|&structure| !self.has(structure)).map(Structure::name).collect()
    }

    /// A volume's values of the structures that occur; `None` for the others.
    pub fn only<T>(self, values: [Option<T>; 3]) -> [Option<T>; 3] {
        let mut occurs = self.0.into_iter();
        values.map(|value| occurs.next().and_then(|occurs| value.filter(|_| occurs)))
    }

    /// Says what is left out of means, if anything is.
    pub fn note(self) -> Option<String> {
        let names = self.absent();
        let (does, it) = if names.len() == 1 { ("does", "it is") } else { ("do", "they are") };
        let note = || {
            format!("{} {does} not occur in the truth of these data: {it} left out of all means", names.join(" and "))
        };
        (!names.is_empty()).then(note)
    }
}

/// Running mean of the Dice of RV, MYO and LV over the volumes of a data set. A volume in which a structure has none is left out
/// of its mean, and so is a structure that no truth has.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanDice {
    sums: [(f64, usize); 3],
    occurring: Occurring,
}

impl MeanDice {
    /// Adds a volume: its Dice, and which structures its truth has.
    pub fn add(&mut self, dice: [Option<f64>; 3], truth: [bool; 3]) {
        self.occurring.add(truth);
        for (sum, dice) in self.sums.iter_mut().zip(dice) {
            if let Some(dice) = dice {
                *sum = (sum.0 + dice, sum.1 + 1);
            }
        }
    }

    /// Adds a volume whose segmentations overlap so.
    pub fn add_overlaps(&mut self, overlaps: &[Overlap; 3]) {
        self.add(overlaps.map(|overlap| overlap.dice()), overlaps.map(|overlap| overlap.truth > 0));
    }

    /// The means; `None` where no volume had a Dice, and where no truth has the structure.
    pub fn means(&self) -> [Option<f64>; 3] {
        self.occurring.only(self.sums.map(|(sum, count)| (count > 0).then(|| sum / count as f64)))
    }

    /// Over how many volumes each of the means goes.
    pub fn counts(&self) -> [usize; 3] {
        self.occurring.only(self.sums.map(|(_, count)| Some(count))).map(Option::unwrap_or_default)
    }

    /// Mean over the structures; `None` where there is none.
    pub fn mean(&self) -> Option<f64> {
        SliceDice(self.means()).mean()
    }
}

/// Dice of one slice by structure.
pub fn slice_dice(pred: &[u8], truth: &[u8]) -> Result<SliceDice, MetricError> {
    Ok(SliceDice(overlaps(pred, truth)?.map(|overlap| overlap.dice())))
}

pub(super) fn same_length(what: &'static str, expected: usize, found: usize) -> Result<(), MetricError> {
    if expected == found { Ok(()) } else { Err(MetricError::Length { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_is_twice_the_overlap_over_the_sum() {
        let dice = slice_dice(&[1, 1, 2, 0], &[1, 2, 2, 0]).unwrap();
        assert_eq!(dice.0, [Some(2.0 / 3.0), Some(2.0 / 3.0), None]);
        assert!((dice.mean().unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn structure_missing_from_one_segmentation_scores_zero() {
        assert_eq!(slice_dice(&[3, 0], &[0, 0]).unwrap().0[2], Some(0.0));
        assert_eq!(slice_dice(&[0, 0], &[3, 0]).unwrap().0[2], Some(0.0));
    }

    #[test]
    fn structure_missing_from_both_is_left_out_of_the_mean() {
        let dice = slice_dice(&[1, 3], &[1, 3]).unwrap();
        assert_eq!(dice.0[1], None);
        assert_eq!(dice.mean(), Some(1.0));
        assert_eq!(slice_dice(&[0, 0], &[0, 0]).unwrap().mean(), None);
    }

    #[test]
    fn weighted_mean_weighs_only_structures_present() {
        let dice = SliceDice([Some(1.0), None, Some(0.0)]);
        assert_eq!(dice.weighted_mean([1.0, 5.0, 3.0]), Some(0.25));
        assert_eq!(dice.weighted_mean([0.0, 1.0, 0.0]), None);
    }

    #[test]
    fn a_structure_that_no_truth_has_is_left_out_of_means_even_where_it_is_found() {
        let mut mean = MeanDice::default();
        // LV everywhere; RV found wrongly in the first volume; MYO in the truth of the second alone.
        let volumes = [([3, 3, 1, 0], [3, 3, 0, 0]), ([3, 3, 0, 0], [3, 3, 0, 2])];
        let found = volumes.map(|(pred, truth)| overlaps(&pred, &truth).unwrap());
        found.iter().for_each(|overlaps| mean.add_overlaps(overlaps));
        assert_eq!(mean.means(), [None, Some(0.0), Some(1.0)]);
        assert_eq!((mean.counts(), mean.mean()), ([0, 1, 2], Some(0.5)));
        let occurring = Occurring::in_labels(volumes.iter().flat_map(|(_, truth)| truth));
        assert_eq!(occurring, Occurring::of(found.map(|overlaps| overlaps.map(|overlap| overlap.truth > 0))));
        assert_eq!(
            occurring.note().unwrap(),
            "RV does not occur in the truth of these data: it is left out of all means"
        );
        assert_eq!((Occurring::ALL.note(), Occurring::default().absent().len()), (None, 3));
        assert_eq!(MeanDice::default().mean(), None);
        assert_eq!(Occurring::of([[false, true, true]]).only([None, None, Some(1)]), [None, None, Some(1)]);
    }

    #[test]
    fn counts_beyond_one_byte_are_exact() {
        let (pred, truth) = (vec![2u8; 70_001], vec![2u8; 70_001]);
        let all = Overlap { pred: 70_001, truth: 70_001, both: 70_001 };
        assert_eq!(overlaps(&pred, &truth).unwrap()[1], all);
    }

    #[test]
    fn volume_is_voxels_times_voxel_size() {
        let labels = [3, 3, 0, 1];
        let volume = LabelVolume::new(&labels, [1, 2, 2], [10.0, 1.5, 2.0]).unwrap();
        assert!((volume.volume_ml(Structure::Lv) - 0.06).abs() < 1e-12);
    }

    #[test]
    fn bad_inputs_are_named() {
        assert!(matches!(slice_dice(&[0; 3], &[0; 4]), Err(MetricError::Length { expected: 4, found: 3, .. })));
        let unknown = LabelVolume::new(&[0, 4], [1, 1, 2], [1.0; 3]);
        assert!(matches!(unknown, Err(MetricError::Label { label: 4, index: 1 })));
        assert!(matches!(LabelVolume::new(&[0], [1, 1, 1], [0.0, 1.0, 1.0]), Err(MetricError::Spacing(_))));
    }
}
