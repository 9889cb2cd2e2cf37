//! All metrics of a segmented volume together, and the ejection fraction of a patient.

use super::metrics::{LabelVolume, MetricError, SliceDice, Structure, overlaps};
use super::surface::{SurfaceDistances, surface_distances};

/// All metrics of one structure in one volume.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct StructureScores {
    /// 3-D Dice; `None` if both segmentations lack the structure, 0 if one does.
    pub dice: Option<f64>,
    /// Intersection over union, with the same convention.
    pub iou: Option<f64>,
    /// Hausdorff distance in mm; `None` if either segmentation lacks the structure.
    pub hd_mm: Option<f64>,
    /// 95th percentile of the surface distances in mm; `None` likewise.
    pub hd95_mm: Option<f64>,
    /// Average symmetric surface distance in mm; `None` likewise.
    pub assd_mm: Option<f64>,
    /// Predicted volume in ml.
    pub volume_pred_ml: f64,
    /// True volume in ml.
    pub volume_true_ml: f64,
}

/// All metrics of one volume, in the order of [`Structure::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct VolumeScores(pub [StructureScores; 3]);

impl VolumeScores {
    /// The metrics of one structure.
    pub fn of(&self, structure: Structure) -> &StructureScores {
        &self.0[structure.index()]
    }

    /// Mean 3-D Dice over the structures that have one; `None` if none has.
    pub fn mean_dice(&self) -> Option<f64> {
        SliceDice(self.0.map(|scores| scores.dice)).mean()
    }
}

/// Compares a segmented volume with the truth.
pub fn score_volume(pred: &LabelVolume<'_>, truth: &LabelVolume<'_>) -> Result<VolumeScores, MetricError> {
    let overlaps = overlaps(pred.labels(), truth.labels())?;
    let mut scores = Structure::ALL.map(|structure| StructureScores {
        dice: overlaps[structure.index()].dice(),
        iou: overlaps[structure.index()].iou(),
        hd_mm: None,
        hd95_mm: None,
        assd_mm: None,
        volume_pred_ml: pred.volume_ml(structure),
        volume_true_ml: truth.volume_ml(structure),
    });
    for structure in Structure::ALL {
        if let Some(SurfaceDistances { hd_mm, hd95_mm, assd_mm }) = surface_distances(pred, truth, structure)? {
            let scores = &mut scores[structure.index()];
            (scores.hd_mm, scores.hd95_mm, scores.assd_mm) = (Some(hd_mm), Some(hd95_mm), Some(assd_mm));
        }
    }
    Ok(VolumeScores(scores))
}

/// Ejection fraction in per cent: `100 (EDV - ESV) / EDV`, from the LV's volumes at end diastole and end systole, in
/// ml; `None` if the end-diastolic volume is 0.
pub fn ejection_fraction_percent(end_diastolic_ml: f64, end_systolic_ml: f64) -> Option<f64> {
    (end_diastolic_ml > 0.0).then(|| 100.0 * (end_diastolic_ml - end_systolic_ml) / end_diastolic_ml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ejection_fraction_is_the_share_pumped_out() {
        assert_eq!(ejection_fraction_percent(120.0, 48.0), Some(60.0));
        assert_eq!(ejection_fraction_percent(0.0, 48.0), None);
    }

    #[test]
    fn empty_structure_has_no_surface_distance_but_a_dice() {
        let (pred, truth) = ([0, 0, 1, 1], [3, 0, 1, 1]);
        let volume = |labels| LabelVolume::new(labels, [1, 2, 2], [1.0; 3]).unwrap();
        let scores = score_volume(&volume(&pred), &volume(&truth)).unwrap();
        assert_eq!(scores.of(Structure::Lv).dice, Some(0.0));
        assert_eq!(scores.of(Structure::Lv).hd95_mm, None);
        assert_eq!(scores.of(Structure::Rv).hd95_mm, Some(0.0));
        assert_eq!(scores.mean_dice(), Some(0.5));
    }
}
