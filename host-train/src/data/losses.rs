//! What an import leaves out of its slices: voxels beyond the crop, slices without a label, classes that never occur.

use serde::{Deserialize, Serialize};

use super::CLASS_NAMES;
use super::CLASSES;

/// How many voxels of each class a volume's source has, and how many of them the crop cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// All of the source's.
    pub all: [u64; CLASSES],
    /// Those outside the slices as written.
    pub lost: [u64; CLASSES],
}

/// Voxels of one class that the crop cut off, counted in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassLoss {
    /// The class's name.
    pub class: String,
    /// Voxels cut off, of all volumes together.
    pub voxels: u64,
    /// Voxels that there were.
    pub of: u64,
    /// The volume that lost the largest share, as `patient001/ED`.
    pub worst: String,
    /// Voxels that it lost.
    pub worst_voxels: u64,
    /// Voxels that it had.
    pub worst_of: u64,
}

/// The classes that lost voxels, of volumes by name; background does not count.
pub fn losses(volumes: &[(String, Cut)]) -> Vec<ClassLoss> {
    let share = |cut: &Cut, class: usize| cut.lost[class] as f64 / cut.all[class].max(1) as f64;
    let of_class = |class: usize| {
        let sum = |count: fn(&Cut) -> &[u64; CLASSES]| volumes.iter().map(|(_, cut)| count(cut)[class]).sum::<u64>();
        let (voxels, of) = (sum(|cut| &cut.lost), sum(|cut| &cut.all));
        let worst = volumes.iter().max_by(|(_, a), (_, b)| share(a, class).total_cmp(&share(b, class)));
        let (worst, cut) = worst.filter(|_| voxels > 0)?;
        let (worst_voxels, worst_of) = (cut.lost[class], cut.all[class]);
        let class = CLASS_NAMES[class].to_string();
        Some(ClassLoss { class, voxels, of, worst: worst.clone(), worst_voxels, worst_of })
    };
    (1..CLASSES).filter_map(of_class).collect()
}

/// The classes that no slice has, by name; `counts` are the voxels of each class.
pub fn missing_classes(counts: &[u64; CLASSES]) -> Vec<&'static str> {
    CLASS_NAMES.into_iter().zip(counts).skip(1).filter(|(_, count)| **count == 0).map(|(name, _)| name).collect()
}

/// A sentence on what the crop cut off, such as `cut off by the crop: RV 12 of 3400 voxels (0.4 %), most in patient003/ED
/// (10 of 500)`.
pub fn in_words(losses: &[ClassLoss]) -> String {
    if losses.is_empty() {
        return "cut off by the crop: no voxel of any class".to_string();
    }
    let one = |loss: &ClassLoss| {
        let ClassLoss { class, voxels, of, worst, worst_voxels, worst_of } = loss;
        let share = percent(*voxels, *of);
        format!("{class} {voxels} of {of} voxels ({share}), most in {worst} ({worst_voxels} of {worst_of})")
    };
    let all: Vec<String> = losses.iter().map(one).collect();
    format!("cut off by the crop: {}; a larger --size keeps them", all.join("; "))
}

/// A share with one digit after the point; never 0 for what is not.
fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    if part > 0 && percent < 0.1 { "below 0.1 %".to_string() } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(all: [u64; CLASSES], lost: [u64; CLASSES]) -> Cut {
        Cut { all, lost }
    }

    #[test]
    fn losses_are_summed_and_name_the_volume_with_the_largest_share() {
        let volumes = [
            ("patient001/ED".to_string(), cut([900, 1000, 50, 10], [800, 10, 0, 0])),
            ("patient001/ES".to_string(), cut([900, 20, 50, 10], [800, 5, 0, 0])),
            ("patient002/ED".to_string(), cut([900, 0, 50, 10], [800, 0, 0, 1])),
        ];
        let losses = losses(&volumes);
        assert_eq!(losses.len(), 2, "only classes that lost something, never the background");
        let rv = &losses[0];
        assert_eq!((rv.class.as_str(), rv.voxels, rv.of), ("RV", 15, 1020));
        assert_eq!((rv.worst.as_str(), rv.worst_voxels, rv.worst_of), ("patient001/ES", 5, 20));
        let words = in_words(&losses);
        let expected = "RV 15 of 1020 voxels (1.5 %), most in patient001/ES (5 of 20); LV 1 of 30 voxels (3.3 %)";
        assert!(words.contains(expected), "{words}");
    }

    #[test]
    fn nothing_lost_is_said_too() {
        assert_eq!(losses(&[("patient001".to_string(), cut([5; CLASSES], [5, 0, 0, 0]))]), []);
        assert!(in_words(&[]).contains("no voxel"));
        assert_eq!(percent(1, 100_000), "below 0.1 %");
    }

    #[test]
    fn classes_that_never_occur_are_named() {
        assert_eq!(missing_classes(&[0, 5, 0, 1]), ["myocardium"]);
        assert_eq!(missing_classes(&[9, 1, 1, 1]), [""; 0]);
    }
}
