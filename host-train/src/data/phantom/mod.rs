//! Synthetic short-axis hearts, made out of nothing: for demos, tests, and training where no data may be used.
//!
//! A patient is a set of lengths and intensities drawn from its seed ([`anatomy`]), with the five groups of ACDC: normal
//! (NOR), dilated (DCM) and hypertrophic (HCM) cardiomyopathy, infarction (MINF), abnormal right ventricle (RV). Its
//! tissues are sampled at 3x3 points a pixel over the slice's thickness ([`scene`]), so that edges have partial volume,
//! and get texture, a coil's shading and noise.

pub mod anatomy;
pub mod scene;

use std::path::Path;

use super::import::{ImportOptions, Origin, PreparedPatient, PreparedVolume, Progress, write_dataset};
use super::losses::Cut;
use super::{DataError, Manifest, Phase, SplitRule};
use crate::mri::random::mix;
use anatomy::{Anatomy, Group, SLICE_MM};

/// In-plane spacing of phantoms in mm.
pub const SPACING_MM: f32 = 1.5;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct PhantomOptions {
    /// Number of patients.
    pub patients: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Height and width in pixels.
    pub size: usize,
    /// How patients are assigned to splits.
    pub split: SplitRule,
    /// Whether a data set that is already there may be replaced.
    pub force: bool,
}

impl Default for PhantomOptions {
    fn default() -> Self {
        Self { patients: 20, seed: 0, size: 128, split: SplitRule::Auto, force: false }
    }
}

/// Writes a data set of phantoms into `dst`.
pub fn make(dst: &Path, options: &PhantomOptions, progress: &dyn Progress) -> Result<Manifest, DataError> {
    let PhantomOptions { size, split, force, .. } = *options;
    let import = ImportOptions { spacing_mm: Some(SPACING_MM), size, split, force, ..ImportOptions::default() };
    import.check()?;
    if !(1..=9999).contains(&options.patients) {
        let reason = format!("{}; expected 1 to 9999", options.patients);
        return Err(DataError::Option { option: "--patients", reason });
    }
    let numbers: Vec<u32> = (1..=options.patients as u32).collect();
    progress.begin(numbers.len() as u64);
    let origin = Origin { source: "phantom", masks: true, axes: None };
    let made = write_dataset(dst, &origin, &import, &numbers, progress, |_| 0, |&number| Ok(patient(number, options)))?;
    Ok(made.manifest)
}

/// One phantom patient; the same number, seed and size always give the same one.
pub fn patient(number: u32, options: &PhantomOptions) -> PreparedPatient {
    // Every fifth patient is for validation: this walk gives each split every group.
    let group = Group::ALL[(number + number.saturating_sub(1) / 5) as usize % Group::ALL.len()];
    let anatomy = Anatomy::draw(group, mix(options.seed) ^ u64::from(number));
    let volumes = [Phase::Ed, Phase::Es].map(|phase| {
        let slices = (0..anatomy.slices).map(|z| scene::render(&anatomy, phase, z, options.size, SPACING_MM));
        let (images, labels) = slices.unzip();
        PreparedVolume {
            phase,
            spacing_mm: [SPACING_MM, SPACING_MM, SLICE_MM],
            z: (0..anatomy.slices as u32).collect(),
            images,
            labels,
            cut: Cut::default(),
            remarks: Vec::new(),
        }
    });
    let name = format!("patient{number:03}");
    let split = options.split.deal([name.as_str()]).of(&name);
    PreparedPatient { name, group: group.name().to_string(), split, volumes: volumes.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn volume_ml(volume: &PreparedVolume, class: u8) -> f32 {
        let voxels = volume.labels.iter().flatten().filter(|&&c| c == class).count();
        voxels as f32 * volume.spacing_mm.iter().product::<f32>() / 1000.0
    }

    /// The first ten patients of the default seed: two of every group.
    static PATIENTS: LazyLock<Vec<PreparedPatient>> =
        LazyLock::new(|| (1..=10).map(|number| patient(number, &PhantomOptions::default())).collect());

    #[test]
    fn a_patient_is_the_same_every_time_and_differs_from_the_next() {
        let options = PhantomOptions { size: 64, ..PhantomOptions::default() };
        let (first, again, other) = (patient(3, &options), patient(3, &options), patient(4, &options));
        assert_eq!(first.volumes[0].images, again.volumes[0].images);
        assert_eq!(first.volumes[1].labels, again.volumes[1].labels);
        assert_ne!(first.volumes[0].images[4], other.volumes[0].images[4]);
    }

    #[test]
    fn hearts_have_the_volumes_and_ejection_fractions_of_their_group() {
        for patient in PATIENTS.iter() {
            let [lv_ed, lv_es] = [0, 1].map(|v| volume_ml(&patient.volumes[v], 3));
            let [rv, myo] = [1, 2].map(|class| volume_ml(&patient.volumes[0], class));
            let ejection = 1.0 - lv_es / lv_ed;
            let what = format!("{} {}: LV {lv_ed}, {lv_es} ml, RV {rv} ml, wall {myo} ml", patient.name, patient.group);
            let (volumes, ejections) = match patient.group.as_str() {
                "DCM" => (140.0..380.0, 0.1..0.4),
                "HCM" => (60.0..180.0, 0.55..0.9),
                "MINF" => (90.0..260.0, 0.2..0.5),
                _ => (70.0..190.0, 0.45..0.75),
            };
            assert!(volumes.contains(&lv_ed) && ejections.contains(&ejection), "{what}, EF {ejection}");
            assert!((70.0..300.0).contains(&rv) && (50.0..320.0).contains(&myo), "{what}");
        }
    }

    #[test]
    fn the_wall_closes_around_the_cavity() {
        for patient in PATIENTS.iter() {
            for label in patient.volumes.iter().flat_map(|volume| &volume.labels) {
                let open = (0..label.len() - 128).filter(|&i| {
                    let pair = [label[i], label[i + 128]];
                    pair == [0, 3] || pair == [3, 0] || pair == [1, 3] || pair == [3, 1]
                });
                assert!(open.count() == 0, "{}: the cavity touches something else than the wall", patient.name);
            }
        }
    }

    #[test]
    fn some_slices_lie_beyond_the_heart_and_most_do_not() {
        let labels = || PATIENTS.iter().flat_map(|p| &p.volumes).flat_map(|v| &v.labels);
        let empty = labels().filter(|label| label.iter().all(|&c| c == 0)).count();
        assert!(empty > 0 && empty * 5 < labels().count(), "{empty} of {} are empty", labels().count());
    }

    #[test]
    fn blood_is_brighter_than_the_wall() {
        for patient in PATIENTS.iter() {
            let volume = &patient.volumes[0];
            let mean = |class: u8| {
                let pairs = volume.images.iter().flatten().zip(volume.labels.iter().flatten());
                let values: Vec<f32> = pairs.filter(|(_, c)| **c == class).map(|(v, _)| *v).collect();
                values.iter().sum::<f32>() / values.len() as f32
            };
            assert!(mean(3) > 1.6 * mean(2) && mean(1) > 1.4 * mean(2), "{}", patient.name);
        }
    }
}
