//! What an import says of the files that it had to interpret.

use std::collections::BTreeMap;

/// Something that an import did to a volume, or assumed of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// The label's axes run another way than the image's.
    LabelReordered,
    /// Image or label does not say where it lies in space.
    NoPlace,
    /// The volume's axes run another way than those of the data set.
    Reordered {
        /// The volume's own directions.
        from: String,
        /// The data set's.
        to: String,
    },
    /// The axis of the slices is not the last of the file's.
    SlicesLast,
    /// The volume's slices lie in another plane of the patient than those of most.
    OtherView {
        /// The volume's directions.
        own: String,
        /// The data set's.
        target: String,
        /// Whether the slices' axis was put last.
        moved: bool,
    },
    /// The file does not say clearly which way the volume's axes run, and others of the data set do.
    Unclear {
        /// The data set's directions.
        target: String,
        /// Whether the slices' axis was put last.
        moved: bool,
    },
    /// No voxel of the label is of any class.
    NoClass,
    /// Anything else, in words without the file's name.
    Words(String),
    /// The later frame is the fuller one.
    LaterFrameIsFuller,
}

impl Remark {
    fn in_words(&self) -> String {
        match self {
            Self::LabelReordered => {
                "the label's axes run another way than the image's; brought onto the image's grid".to_string()
            }
            Self::NoPlace => {
                "image or label does not say where it lies in space; taken to lie on each other".to_string()
            }
            Self::Reordered { from, to } => format!("axes {from} brought into the order {to} of the data set"),
            Self::SlicesLast => {
                "the slices' axis (thicker voxels, or far fewer) is not the last; its planes are taken for slices"
                    .to_string()
            }
            Self::OtherView { own, target, moved } => format!(
                "slices lie in another plane ({own}) than those of most volumes ({target}); {}",
                what_was_done(*moved)
            ),
            Self::Unclear { target, moved } => format!(
                "it is not clear which way its axes run (oblique, or not said), where most run {target}; {}",
                what_was_done(*moved)
            ),
            Self::NoClass => "no voxel of the label is of any class".to_string(),
            Self::Words(words) => words.clone(),
            Self::LaterFrameIsFuller => "the LV is larger in the later frame; taken for end-diastole".to_string(),
        }
    }
}

/// What was done with axes that could not be brought into the data set's order.
fn what_was_done(moved: bool) -> &'static str {
    if moved { "its slices' axis was put last, else kept as stored" } else { "kept as stored" }
}

/// A remark on a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The volume's name.
    pub volume: String,
    /// What is to be said about it.
    pub remark: Remark,
}

/// How many names a sentence lists.
const NAMES: usize = 3;

/// A sentence for each remark, with the first of the volumes that it is about. Remarks that differ in numbers alone are one,
/// with the first volume's numbers, which are said to be its own.
pub fn in_sentences<'a>(notes: impl Iterator<Item = &'a Note>) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for note in notes {
        let words = note.remark.in_words();
        let kind = words.replace(|c: char| c.is_ascii_digit() || c == '.', "");
        alike.entry(kind).or_default().push((&note.volume, words));
    }
    let sentence = |mut volumes: Vec<(&str, String)>| {
        volumes.sort();
        volumes.dedup_by(|a, b| a.0 == b.0);
        let words = volumes[0].1.clone();
        let (same, others): (Vec<_>, Vec<_>) = volumes.into_iter().partition(|(_, own)| *own == words);
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" (and {}, with other numbers)", listed(&others)),
        };
        format!("{}{others}: {words}", listed(&same))
    };
    alike.into_values().map(sentence).collect()
}

/// The first of the volumes' names, and how many more there are.
fn listed(volumes: &[(&str, String)]) -> String {
    let names: Vec<&str> = volumes.iter().map(|(name, _)| *name).take(NAMES).collect();
    let more = match volumes.len() - names.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    names.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_sentence_however_many_volumes_it_is_about() {
        let note = |n: u32, remark: Remark| Note { volume: format!("patient{n:03}/ED"), remark };
        let mut notes: Vec<Note> = (1..=5).rev().map(|n| note(n, Remark::NoPlace)).collect();
        notes.push(note(7, Remark::LabelReordered));
        let pixels = [(1, 1), (2, 2), (3, 1)];
        notes.extend(pixels.map(|(n, tenths)| note(n, Remark::Words(format!("pixels of 1.{tenths} mm")))));
        let said = in_sentences(notes.iter());
        assert_eq!(said.len(), 3);
        let starts = [
            "patient001/ED, patient002/ED, patient003/ED and 2 more: image or label",
            "patient001/ED, patient003/ED (and patient002/ED, with other numbers): pixels of 1.1 mm",
            "patient007/ED: the label's axes",
        ];
        for start in starts {
            assert!(said.iter().any(|sentence| sentence.starts_with(start)), "{said:?}");
        }
    }

    #[test]
    fn a_remark_says_what_was_done_with_the_axes() {
        let target = || "LPS".to_string();
        for (moved, done) in
            [(false, "; kept as stored"), (true, "; its slices' axis was put last, else kept as stored")]
        {
            for remark in [
                Remark::Unclear { target: target(), moved },
                Remark::OtherView { own: "ASL".to_string(), target: target(), moved },
            ] {
                assert!(remark.in_words().ends_with(done), "{}", remark.in_words());
            }
        }
    }
}
