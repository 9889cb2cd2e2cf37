//! All metrics of a segmented volume together, and the ejection fraction of a patient.
//!
//! What a metric is where a structure is lacking: see [`metrics`](crate::metrics).

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::metrics::dice::{LabelVolume, MetricError, Occurring, SliceDice, Structure, overlaps};
use crate::metrics::surface::{SurfaceDistances, surface_distances};

/// All metrics of one structure in one volume.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
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

impl StructureScores {
    /// Predicted volume minus true volume in ml.
    pub fn volume_error_ml(&self) -> f64 {
        self.volume_pred_ml - self.volume_true_ml
    }
}

/// All metrics of one volume, in the order of [`Structure::ALL`]; serialised by the structures' names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolumeScores(pub [StructureScores; 3]);

impl VolumeScores {
    /// The metrics of one structure.
    pub fn of(&self, structure: Structure) -> &StructureScores {
        &self.0[structure.index()]
    }

    /// Which structures the truth has.
    pub fn truth_has(&self) -> [bool; 3] {
        self.0.map(|scores| scores.volume_true_ml > 0.0)
    }

    /// Mean 3-D Dice over the structures that have one and occur in the data set; `None` if none does.
    pub fn mean_dice(&self, occurring: Occurring) -> Option<f64> {
        SliceDice(occurring.only(self.0.map(|scores| scores.dice))).mean()
    }
}

impl Serialize for VolumeScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Structure::ALL.len()))?;
        for structure in Structure::ALL {
            map.serialize_entry(structure.name(), self.of(structure))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for VolumeScores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let by_name = BTreeMap::<String, StructureScores>::deserialize(deserializer)?;
        let of = |structure: Structure| by_name.get(structure.name()).copied();
        let [Some(rv), Some(myo), Some(lv)] = Structure::ALL.map(of) else {
            return Err(D::Error::custom("expected the scores of RV, MYO and LV"));
        };
        Ok(Self([rv, myo, lv]))
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

/// Ejection fraction in per cent: `100 (EDV - ESV) / EDV`, from a ventricle's volumes at end diastole and end systole, in
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

    /// The LV's scores, voxels of 1 ml.
    fn lv(pred: [u8; 4], truth: [u8; 4]) -> StructureScores {
        let volume = |labels| LabelVolume::new(labels, [1, 2, 2], [10.0; 3]).unwrap();
        *score_volume(&volume(&pred), &volume(&truth)).unwrap().of(Structure::Lv)
    }

    /// Scores of a structure without surface distances.
    fn without_distances(overlap: Option<f64>, volume_pred_ml: f64, volume_true_ml: f64) -> StructureScores {
        let (hd_mm, hd95_mm, assd_mm) = (None, None, None);
        StructureScores { dice: overlap, iou: overlap, hd_mm, hd95_mm, assd_mm, volume_pred_ml, volume_true_ml }
    }

    #[test]
    fn structure_that_the_prediction_lacks() {
        assert_eq!(lv([0, 0, 1, 1], [3, 3, 1, 1]), without_distances(Some(0.0), 0.0, 2.0));
    }

    #[test]
    fn structure_that_the_truth_lacks() {
        assert_eq!(lv([3, 0, 1, 1], [0, 0, 1, 1]), without_distances(Some(0.0), 1.0, 0.0));
    }

    #[test]
    fn structure_that_both_lack() {
        assert_eq!(lv([0, 0, 1, 1], [0, 2, 2, 1]), without_distances(None, 0.0, 0.0));
    }

    #[test]
    fn structure_that_both_have() {
        let scores = lv([3, 0, 1, 1], [3, 0, 1, 1]);
        assert_eq!((scores.dice, scores.iou), (Some(1.0), Some(1.0)));
        assert_eq!((scores.hd_mm, scores.hd95_mm, scores.assd_mm), (Some(0.0), Some(0.0), Some(0.0)));
        assert_eq!((scores.volume_pred_ml, scores.volume_true_ml, scores.volume_error_ml()), (1.0, 1.0, 0.0));
    }

    #[test]
    fn mean_dice_leaves_out_what_both_lack_and_counts_what_one_lacks_as_zero() {
        let volume = |labels| LabelVolume::new(labels, [1, 2, 2], [1.0; 3]).unwrap();
        let scores = score_volume(&volume(&[0, 0, 1, 1]), &volume(&[3, 0, 1, 1])).unwrap();
        assert_eq!(scores.mean_dice(Occurring::ALL), Some(0.5));
        assert_eq!(scores.mean_dice(Occurring::of([[true, true, false]])), Some(1.0), "no LV anywhere");
        let nothing = score_volume(&volume(&[0; 4]), &volume(&[0; 4])).unwrap();
        assert_eq!(nothing.mean_dice(Occurring::ALL), None);
    }

    #[test]
    fn scores_are_serialised_by_name_and_none_is_null() {
        let volume = |labels| LabelVolume::new(labels, [1, 2, 2], [1.0; 3]).unwrap();
        let scores = score_volume(&volume(&[0, 0, 1, 1]), &volume(&[3, 0, 1, 1])).unwrap();
        let json = serde_json::to_value(scores).unwrap();
        assert_eq!((&json["LV"]["dice"], &json["RV"]["dice"]), (&0.0.into(), &1.0.into()));
        assert!(json["LV"]["hd_mm"].is_null());
        assert_eq!(serde_json::from_value::<VolumeScores>(json).unwrap(), scores);
    }
}
