//! Scores of many volumes: means by structure and phase, and how clinical indices agree with the truth.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::data::Phase;
use crate::data::in_turn::in_turn;
use crate::data::nifti_volume::NiftiVolume;
use crate::metrics::agreement::{Agreement, agreement};
use crate::metrics::compare::{CompareError, Compared, compare_files};
use crate::metrics::dice::{Occurring, Structure};
use crate::metrics::pairing::Pair;
use crate::metrics::scores::{StructureScores, VolumeScores, ejection_fraction_percent};
use crate::metrics::stats::{Bootstrap, Estimate, Sample, StatsError, bootstrap_mean, few_patients};

/// A scored prediction.
#[derive(Clone, Debug, Serialize)]
pub struct ScoredVolume {
    /// The volume's name.
    pub name: String,
    /// The patient.
    pub patient: String,
    /// The phase of the cycle.
    pub phase: Phase,
    /// The ground truth's file.
    pub truth: String,
    /// The prediction's file.
    pub prediction: String,
    /// The metrics.
    pub scores: VolumeScores,
    /// Whether the two files place the volume differently in space: see [`Compared::misplaced`].
    pub misplaced: bool,
    /// How far apart they place its corners, in mm, where both say.
    pub apart_mm: Option<f64>,
    /// What a user should know of the files, a sentence each.
    #[serde(skip)]
    pub notes: Vec<(PathBuf, String)>,
}

impl ScoredVolume {
    fn new(pair: &Pair, compared: &Compared) -> Self {
        Self {
            name: pair.name.clone(),
            patient: pair.patient.clone(),
            phase: pair.phase,
            truth: pair.truth.display().to_string(),
            prediction: pair.prediction.display().to_string(),
            scores: compared.scores,
            misplaced: compared.misplaced,
            apart_mm: compared.apart_mm,
            notes: compared.notes.clone(),
        }
    }
}

/// Reads and scores the pairs, in parallel as far as their files take no more than `max_bytes` together; a file of more is refused.
/// The first pair that cannot be compared is the error.
pub fn score_pairs(pairs: &[Pair], max_bytes: u64) -> Result<Vec<ScoredVolume>, CompareError> {
    let score = |pair: &Pair| {
        let compared = compare_files(&pair.truth, &pair.prediction, max_bytes)?;
        Ok(ScoredVolume::new(pair, &compared))
    };
    // Of one that cannot be read, its own reading says why.
    let bytes = |path: &PathBuf| NiftiVolume::read_place(path).map_or(0, |place| place.bytes());
    in_turn(pairs, max_bytes, |pair| bytes(&pair.truth).saturating_add(bytes(&pair.prediction)), score)
}

/// What many volumes come to.
#[derive(Clone, Debug, Serialize)]
pub struct Cohort {
    /// Number of patients.
    pub patients: usize,
    /// Means over all volumes, and over those of each phase where both occur, of the structures that some truth has.
    pub means: Vec<Means>,
    /// Structures that no truth has: their means would say nothing.
    pub absent: Vec<Absent>,
    /// Indices of the patients that have both phases.
    pub indices: Vec<Index>,
    /// What is to be known to read it, a sentence each: that intervals are of too few patients.
    pub notes: Vec<String>,
}

/// A structure that no truth of a cohort has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// `RV`, `MYO` or `LV`.
    pub structure: &'static str,
    /// In how many volumes it is predicted nevertheless.
    pub predicted_in: usize,
}

impl Absent {
    /// All but the structures that occur in some truth of these volumes.
    fn of(volumes: &[ScoredVolume], occurring: Occurring) -> Vec<Self> {
        let absent = |structure: Structure| {
            let predicted = |volume: &&ScoredVolume| volume.scores.of(structure).volume_pred_ml > 0.0;
            let predicted_in = || volumes.iter().filter(predicted).count();
            (!occurring.has(structure)).then(|| Self { structure: structure.name(), predicted_in: predicted_in() })
        };
        Structure::ALL.into_iter().filter_map(absent).collect()
    }
}

/// Means of one structure, with bootstrap intervals over patients; `None` where no volume has a value.
#[derive(Clone, Debug, Serialize)]
pub struct Means {
    /// `all`, `ED` or `ES`.
    pub phase: &'static str,
    /// `RV`, `MYO` or `LV`.
    pub structure: &'static str,
    /// 3-D Dice.
    pub dice: Option<Estimate>,
    /// Intersection over union.
    pub iou: Option<Estimate>,
    /// Hausdorff distance in mm.
    pub hd_mm: Option<Estimate>,
    /// 95th percentile of the surface distances in mm.
    pub hd95_mm: Option<Estimate>,
    /// Average symmetric surface distance in mm.
    pub assd_mm: Option<Estimate>,
    /// True volume in ml.
    pub volume_true_ml: Option<Estimate>,
    /// Predicted volume in ml.
    pub volume_pred_ml: Option<Estimate>,
    /// Predicted minus true volume in ml.
    pub volume_error_ml: Option<Estimate>,
}

/// A clinical index and how its prediction agrees with the truth, over the patients that have it on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// Such as `LV EF`.
    pub name: String,
    /// `%` or `ml`.
    pub unit: &'static str,
    /// The agreement; `None` without a patient.
    pub agreement: Option<Agreement>,
    /// Each patient's values.
    pub patients: Vec<PatientIndex>,
}

/// An index of one patient; `None` where it is not defined: an ejection fraction of an end-diastolic volume of 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatientIndex {
    /// The patient.
    pub patient: String,
    /// The predicted value.
    pub predicted: Option<f64>,
    /// The true value.
    pub truth: Option<f64>,
}

impl Cohort {
    /// Averages scored volumes.
    pub fn of(volumes: &[ScoredVolume]) -> Result<Self, StatsError> {
        let has = |phase| volumes.iter().any(|volume| volume.phase == phase);
        let mut groups = vec![("all", None)];
        if has(Phase::Ed) && has(Phase::Es) {
            groups.extend([("ED", Some(Phase::Ed)), ("ES", Some(Phase::Es))]);
        }
        let occurring = Occurring::of(volumes.iter().map(|volume| volume.scores.truth_has()));
        let absent = Absent::of(volumes, occurring);
        let mut means = Vec::new();
        for (name, phase) in groups {
            let inside: Vec<&ScoredVolume> =
                volumes.iter().filter(|volume| phase.is_none_or(|phase| phase == volume.phase)).collect();
            for structure in Structure::ALL.into_iter().filter(|&structure| occurring.has(structure)) {
                means.push(Means::of(name, structure, &inside)?);
            }
        }
        let mut patients: Vec<&str> = volumes.iter().map(|volume| volume.patient.as_str()).collect();
        patients.sort_unstable();
        patients.dedup();
        let fewest = means.iter().flat_map(Means::estimates).map(|estimate| estimate.patients).min();
        let notes = fewest.and_then(few_patients).into_iter().collect();
        Ok(Self { patients: patients.len(), means, absent, indices: indices(volumes), notes })
    }
}

impl Means {
    /// Those that there are.
    fn estimates(&self) -> impl Iterator<Item = &Estimate> {
        let Self { dice, iou, hd_mm, hd95_mm, assd_mm, volume_true_ml, volume_pred_ml, volume_error_ml, .. } = self;
        let all = [dice, iou, hd_mm, hd95_mm, assd_mm, volume_true_ml, volume_pred_ml, volume_error_ml];
        all.into_iter().flatten()
    }

    fn of(phase: &'static str, structure: Structure, volumes: &[&ScoredVolume]) -> Result<Self, StatsError> {
        let mean = |value: fn(&StructureScores) -> Option<f64>| {
            let values = volumes.iter().map(|volume| (volume.patient.as_str(), value(volume.scores.of(structure))));
            let samples: Vec<Sample<&str>> =
                values.filter_map(|(patient, value)| Some(Sample::new(patient, value?))).collect();
            match samples.is_empty() {
                true => Ok(None),
                false => bootstrap_mean(&samples, &Bootstrap::default()).map(Some),
            }
        };
        Ok(Self {
            phase,
            structure: structure.name(),
            dice: mean(|scores| scores.dice)?,
            iou: mean(|scores| scores.iou)?,
            hd_mm: mean(|scores| scores.hd_mm)?,
            hd95_mm: mean(|scores| scores.hd95_mm)?,
            assd_mm: mean(|scores| scores.assd_mm)?,
            volume_true_ml: mean(|scores| Some(scores.volume_true_ml))?,
            volume_pred_ml: mean(|scores| Some(scores.volume_pred_ml))?,
            volume_error_ml: mean(|scores| Some(scores.volume_error_ml()))?,
        })
    }
}

/// Volumes of the ventricles at end-diastole (EDV) and end-systole (ESV), and ejection fractions (EF).
fn indices(volumes: &[ScoredVolume]) -> Vec<Index> {
    let of_phase = |phase| {
        let volumes = volumes.iter().filter(move |volume| volume.phase == phase);
        volumes.map(|volume| (volume.patient.as_str(), volume)).collect::<BTreeMap<_, _>>()
    };
    let (diastole, systole) = (of_phase(Phase::Ed), of_phase(Phase::Es));
    let both: Vec<_> = diastole.iter().filter_map(|(name, ed)| Some((name, ed, systole.get(name)?))).collect();
    if both.is_empty() {
        return Vec::new();
    }
    type Value = fn(f64, f64) -> Option<f64>;
    const KINDS: [(&str, &str, Value); 3] =
        [("EDV", "ml", |edv, _| Some(edv)), ("ESV", "ml", |_, esv| Some(esv)), ("EF", "%", ejection_fraction_percent)];
    let mut indices = Vec::new();
    for structure in [Structure::Lv, Structure::Rv] {
        for (kind, unit, value) in KINDS {
            let of_patient = |(name, ed, es): &(&&str, &&ScoredVolume, &&ScoredVolume)| {
                let (ed, es) = (ed.scores.of(structure), es.scores.of(structure));
                PatientIndex {
                    patient: name.to_string(),
                    predicted: value(ed.volume_pred_ml, es.volume_pred_ml),
                    truth: value(ed.volume_true_ml, es.volume_true_ml),
                }
            };
            let patients: Vec<PatientIndex> = both.iter().map(of_patient).collect();
            let pairs: Vec<(f64, f64)> = patients.iter().filter_map(|index| index.predicted.zip(index.truth)).collect();
            let name = format!("{} {kind}", structure.name());
            indices.push(Index { name, unit, agreement: agreement(&pairs), patients });
        }
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(volume_pred_ml: f64, volume_true_ml: f64, dice: Option<f64>) -> StructureScores {
        let (iou, hd_mm, hd95_mm, assd_mm) = (dice, None, None, None);
        StructureScores { dice, iou, hd_mm, hd95_mm, assd_mm, volume_pred_ml, volume_true_ml }
    }

    /// A volume whose LV is as given, with an RV that both segmentations lack.
    fn volume(patient: &str, phase: Phase, lv: StructureScores) -> ScoredVolume {
        let nothing = structure(0.0, 0.0, None);
        ScoredVolume {
            name: format!("{patient}_{phase}"),
            patient: patient.to_string(),
            phase,
            truth: String::new(),
            prediction: String::new(),
            scores: VolumeScores([nothing, nothing, lv]),
            misplaced: false,
            apart_mm: None,
            notes: Vec::new(),
        }
    }

    fn two_patients() -> Vec<ScoredVolume> {
        vec![
            volume("a", Phase::Ed, structure(110.0, 100.0, Some(0.9))),
            volume("a", Phase::Es, structure(44.0, 40.0, Some(0.8))),
            volume("b", Phase::Ed, structure(200.0, 200.0, Some(1.0))),
            volume("b", Phase::Es, structure(100.0, 120.0, Some(0.7))),
        ]
    }

    #[test]
    fn means_are_over_all_volumes_and_over_each_phase() {
        let cohort = Cohort::of(&two_patients()).unwrap();
        let lv: Vec<_> = cohort.means.iter().filter(|means| means.structure == "LV").collect();
        let dice: Vec<_> = lv.iter().map(|means| (means.phase, means.dice.unwrap().mean)).collect();
        assert_eq!(cohort.patients, 2);
        assert_eq!(dice.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(), ["all", "ED", "ES"]);
        assert!(dice.iter().zip([0.85, 0.95, 0.75]).all(|((_, found), expected)| (found - expected).abs() < 1e-12));
        assert_eq!(lv[0].volume_error_ml.unwrap().mean, -1.5);
    }

    #[test]
    fn what_no_truth_has_has_no_means() {
        let mut volumes = two_patients();
        volumes[1].scores.0[1] = structure(7.0, 0.0, Some(0.0));
        let cohort = Cohort::of(&volumes).unwrap();
        assert!(cohort.means.iter().all(|means| means.structure == "LV"), "{:?}", cohort.means);
        let absent = |structure, predicted_in| Absent { structure, predicted_in };
        assert_eq!(cohort.absent, [absent("RV", 0), absent("MYO", 1)]);
        // What one truth has counts in all: where only another phase has it, its row is empty.
        volumes[0].scores.0[1] = structure(7.0, 7.0, Some(1.0));
        let cohort = Cohort::of(&volumes).unwrap();
        let myo: Vec<_> =
            cohort.means.iter().filter(|means| means.structure == "MYO").map(|means| means.phase).collect();
        assert_eq!((myo, cohort.absent.len()), (vec!["all", "ED", "ES"], 1));
    }

    #[test]
    fn ejection_fractions_are_by_patient_and_agree_as_calculated_by_hand() {
        let cohort = Cohort::of(&two_patients()).unwrap();
        let of = |name: &str| cohort.indices.iter().find(|index| index.name == name).unwrap();
        let ef = of("LV EF");
        let expected = |patient: &str, predicted, truth| PatientIndex {
            patient: patient.to_string(),
            predicted: Some(predicted),
            truth: Some(truth),
        };
        assert_eq!(ef.patients, [expected("a", 60.0, 60.0), expected("b", 50.0, 40.0)]);
        let agreement = ef.agreement.unwrap();
        assert_eq!((agreement.pairs, agreement.bias, agreement.absolute_error), (2, 5.0, 5.0));
        assert_eq!(of("LV EDV").agreement.unwrap().bias, 5.0);
        assert_eq!(of("LV ESV").agreement.unwrap().bias, -8.0);
        // A ventricle of no volume has no ejection fraction.
        assert_eq!((of("RV EF").agreement, &of("RV EF").patients[0].truth), (None, &None));
    }

    #[test]
    fn patients_with_one_phase_have_no_indices() {
        let cohort = Cohort::of(&two_patients()[..1]).unwrap();
        assert!(cohort.indices.is_empty());
        assert_eq!(cohort.means.len(), 1, "one phase alone is all there is, and one structure");
    }
}
