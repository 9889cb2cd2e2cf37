//! Why weights could not be taken over.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::shown::shown;

/// Why weights could not be taken over. Nothing has been written, and nothing of the file has been run.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name says nothing about the format.
    #[error("{0}: weights are files that end in .pth, .pt, .ckpt, .bin, .tar or .safetensors; rename it if it is one")]
    Extension(PathBuf),
    /// The name says one format, the bytes another.
    #[error("{path}: named as {named}, but it holds {found}; rename it so that it ends in {rename}")]
    Renamed {
        /// The file.
        path: PathBuf,
        /// The format of the name.
        named: &'static str,
        /// The format of the bytes.
        found: &'static str,
        /// The right ending.
        rename: &'static str,
    },
    /// The file is something else.
    #[error("{path}: {}, not weights; {advice}", shown(found))]
    NotWeights {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// The file breaks off or contradicts itself.
    #[error("{path}: cut short or damaged ({}); copy or download it again", shown(message))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The pickle names functions or classes that weights have no use for.
    #[error(
        "{path}: the pickle asks for {globals}, which is code and not weights; kscout takes tensors only and has run nothing of it. \
         If the file is your own, save `model.state_dict()` alone with torch.save, and import that"
    )]
    Code {
        /// The file.
        path: PathBuf,
        /// What it names, in words.
        globals: String,
    },
    /// A whole model was pickled, classes and all.
    #[error(
        "{path}: a whole pickled model ({globals}), which needs its Python classes to be read; in Python, save `model.state_dict()` \
         alone with torch.save, and import that"
    )]
    WholeModel {
        /// The file.
        path: PathBuf,
        /// The classes, in words.
        globals: String,
    },
    /// Nothing in the file is a weight.
    #[error("{0}: no weights in it; give the file that holds the network's state_dict")]
    NoWeights(String),
    /// The weights are larger than any network here.
    #[error("{origin}: {bytes} bytes of weights; at most {max} are taken, and no network here has as many")]
    TooLarge {
        /// Where the weights come from.
        origin: String,
        /// Bytes as f32.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A weight is infinite or not a number.
    #[error(
        "{origin}: `{}` holds {value}, so the network was not trained to an end; take an earlier checkpoint",
        shown(name)
    )]
    NotFinite {
        /// Where the weights come from.
        origin: String,
        /// The entry.
        name: String,
        /// The value.
        value: f32,
    },
    /// A batch norm's variance is below zero, whose root is no number.
    #[error(
        "{origin}: `{}` holds {value}, and a variance is never negative: the network would give no numbers; take another checkpoint",
        shown(name)
    )]
    NegativeVariance {
        /// Where the weights come from.
        origin: String,
        /// The entry.
        name: String,
        /// The value.
        value: f32,
    },
    /// The file holds the network more than once.
    #[error(
        "{origin}: {} networks of this kind in it, behind {}; say which with --key, such as --key {}",
        keys.len(), marked(keys, lacking), shown(example(keys, lacking))
    )]
    Several {
        /// Where the weights come from.
        origin: String,
        /// What stands before their names; `.`: nothing.
        keys: Vec<String>,
        /// Those of the keys whose networks lack the running averages that another has, and so cannot be taken over.
        lacking: Vec<String>,
    },
    /// Nothing is behind the key that was asked for.
    #[error("{origin}: --key {}: no weights there; the file has {}", shown(key), quoted(keys))]
    NoSuchKey {
        /// Where the weights come from.
        origin: String,
        /// The key.
        key: String,
        /// Those that are there.
        keys: Vec<String>,
    },
    /// Two entries have the same name, once wrappers are taken off.
    #[error(
        "{origin}: two entries are called `{}` without their wrappers; save the state_dict of one network alone",
        shown(name)
    )]
    Twice {
        /// Where the weights come from.
        origin: String,
        /// The name.
        name: String,
    },
    /// Weights and network are of one kind, but differ.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// The weights are of another architecture.
    #[error("{origin}: these are not weights of `{asked}`: {why}. {advice}")]
    OtherArch {
        /// Where the weights come from.
        origin: String,
        /// The architecture asked for.
        asked: String,
        /// What was looked for and not found.
        why: String,
        /// What they may be.
        advice: String,
    },
}

/// How many names of a kind an error lists.
const LISTED: usize = 10;

/// Names and shapes that differ between weights and network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mismatch {
    /// Where the weights come from.
    pub origin: String,
    /// PyTorch names that the network has and the weights lack.
    pub missing: Vec<String>,
    /// Names that the weights have and the network lacks.
    pub left_over: Vec<String>,
    /// Entries of another shape.
    pub shapes: Vec<WrongShape>,
}

/// An entry whose shape is not the network's.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongShape {
    /// Its PyTorch name.
    pub name: String,
    /// The shape in the weights.
    pub found: Vec<usize>,
    /// The network's, as PyTorch has it.
    pub expected: Vec<usize>,
}

impl Mismatch {
    /// Whether weights and network agree.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.left_over.is_empty() && self.shapes.is_empty()
    }

    /// Whether nothing is missing but running averages.
    fn lacks_averages_alone(&self) -> bool {
        let is_average = |name: &String| name.ends_with(".running_mean") || name.ends_with(".running_var");
        !self.missing.is_empty() && self.missing.iter().all(is_average)
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the weights do not fit the network", self.origin)?;
        list(f, "missing", &self.missing)?;
        list(f, "left over", &self.left_over)?;
        let shape = |s: &WrongShape| {
            let found = format!("{:?}", s.found);
            format!("{} is {}, should be {:?}", s.name, shown(&found), s.expected)
        };
        list(f, "of the wrong shape", &self.shapes.iter().map(shape).collect::<Vec<_>>())?;
        if self.lacks_averages_alone() {
            let source = "such as an EMA's shadow of the parameters";
            write!(
                f,
                "\n  these are parameters without the batch norms' running averages, {source}; give the whole state_dict"
            )?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    match names.len() {
        0 => Ok(()),
        count => write!(f, "\n  {count} {what}: {}", shortened(names, LISTED)),
    }
}

/// The first `listed` of `names`, as a terminal is shown them, and how many there are besides.
pub(super) fn shortened(names: &[String], listed: usize) -> String {
    let mut text = names.iter().take(listed).map(|name| shown(name).to_string()).collect::<Vec<_>>().join(", ");
    if names.len() > listed {
        text += &format!(", and {} more", names.len() - listed);
    }
    text
}

/// Keys in quotes, the first few of many.
fn quoted(keys: &[String]) -> String {
    marked(keys, &[])
}

/// Keys in quotes, the first few of many, and behind each of `lacking` what is the matter with it.
fn marked(keys: &[String], lacking: &[String]) -> String {
    let mark = |key| if lacking.contains(key) { " (without running averages)" } else { "" };
    match keys {
        [] => "none".into(),
        keys => shortened(&keys.iter().map(|key| format!("`{}`{}", shown(key), mark(key))).collect::<Vec<_>>(), LISTED),
    }
}

/// A key that can be asked for.
fn example<'k>(keys: &'k [String], lacking: &[String]) -> &'k str {
    let whole = keys.iter().rev().find(|key| !lacking.contains(key));
    whole.or(keys.last()).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_lists_ten_names_and_counts_the_rest() {
        let missing: Vec<String> = (0..12).map(|i| format!("layer{i}.weight")).collect();
        let shapes = vec![WrongShape { name: "head.bias".into(), found: vec![2], expected: vec![4] }];
        let text = Mismatch { origin: "a.pth".into(), missing, shapes, ..Mismatch::default() }.to_string();
        assert!(text.starts_with("a.pth: the weights do not fit the network\n  12 missing: layer0.weight, "), "{text}");
        assert!(text.contains("layer9.weight, and 2 more\n"), "{text}");
        assert!(text.ends_with("\n  1 of the wrong shape: head.bias is [2], should be [4]"), "{text}");
    }
}
