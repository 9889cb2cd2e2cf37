//! Evaluations as `kscout eval` left them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::cli::Failure;
use crate::metrics::dice::{Occurring, SliceDice};
use crate::metrics::stats::{Bootstrap, Estimate, Sample, StatsError, bootstrap_mean, mean};
use crate::samplers::MethodName;

/// What `kscout eval` writes of every volume.
const RESULTS: &str = "results.csv";

/// A method of an evaluation, or of several of the same volumes, of other phase and noise each.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    dirs: Vec<PathBuf>,
    method: MethodName,
}

impl FromStr for Evaluated {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((dirs, method)) if !method.is_empty() && dirs.split(',').all(|dir| !dir.is_empty()) => {
                // A folder may have a comma in its name.
                let one = Path::new(dirs).is_dir();
                let mut dirs: Vec<PathBuf> =
                    if one { vec![dirs.into()] } else { dirs.split(',').map(PathBuf::from).collect() };
                dirs.sort();
                Ok(Self { dirs, method: method.into() })
            }
            _ => {
                let dir = text.trim_end_matches([':', ',']);
                let there = help_with(Path::new(dir)).map_or(String::new(), |help| format!("; {help}"));
                Err(format!("`{text}` is no DIR:METHOD or DIR,DIR:METHOD, such as runs/eval:centre-out{there}"))
            }
        }
    }
}

/// The methods of the evaluation in `dir`, in its order; `None` where there is none that can be read.
fn methods_in(dir: &Path) -> Option<Vec<MethodName>> {
    #[derive(Deserialize)]
    struct Named {
        method: MethodName,
    }
    let rows = csv::Reader::from_path(dir.join(RESULTS)).ok()?.into_deserialize::<Named>();
    let (mut methods, mut known) = (Vec::new(), BTreeSet::new());
    for row in rows {
        let Named { method } = row.ok()?;
        if known.insert(method.clone()) {
            methods.push(method);
        }
    }
    (!methods.is_empty()).then_some(methods)
}

/// Says which methods the evaluation in `dir` has, and how two of them are compared.
fn help_with(dir: &Path) -> Option<String> {
    let methods = methods_in(dir)?;
    let dir = dir.display();
    let with = |first: &MethodName, second: &MethodName| {
        format!(", such as kscout compare {dir}:{first} --with {dir}:{second}")
    };
    let command = match &methods[..] {
        [first, .., last] => with(methods.iter().find(|method| **method == MethodName::Policy).unwrap_or(first), last),
        _ => String::new(),
    };
    let names: Vec<&str> = methods.iter().map(MethodName::as_str).collect();
    Some(format!("{dir} has the methods {}{command}", names.join(", ")))
}

/// What is read of a row.
#[derive(Deserialize, PartialEq)]
struct Row {
    method: MethodName,
    lines_per_slice: usize,
    /// Evaluations of before lack it.
    slices: Option<usize>,
    /// Of the whole volume.
    lines_measured: usize,
    reconstruction: String,
    patient: String,
    phase: String,
    /// Of phase and noise; evaluations of before lack it.
    seed: Option<u64>,
    dice_rv: Option<f64>,
    dice_myo: Option<f64>,
    dice_lv: Option<f64>,
    /// Evaluations of before lack them.
    volume_true_ml_rv: Option<f64>,
    volume_true_ml_myo: Option<f64>,
    volume_true_ml_lv: Option<f64>,
    ssim: f64,
}

impl Row {
    /// Mean Dice of the structures that have one.
    fn mean_dice(&self) -> Option<f64> {
        SliceDice([self.dice_rv, self.dice_myo, self.dice_lv]).mean()
    }

    /// Which structures the truth has; all where the evaluation does not say.
    fn truth_has(&self) -> [bool; 3] {
        let volumes = [self.volume_true_ml_rv, self.volume_true_ml_myo, self.volume_true_ml_lv];
        volumes.map(|ml| ml.is_none_or(|ml| ml > 0.0))
    }
}

/// A row with the folder that it is of, and its mean Dice.
struct ScoredRow<'a> {
    folder: usize,
    row: &'a Row,
    dice: f64,
}

/// How long a volume's scan was.
#[derive(Clone, Copy)]
pub struct Lines {
    /// The volume's slices, where the evaluation says so.
    pub slices: Option<usize>,
    /// Lines measured of all of them together.
    pub measured: usize,
}

/// The volumes of a method at one budget.
pub struct Volumes {
    /// Patient and phase of each.
    pub names: Vec<[String; 2]>,
    /// Which of the method's folders each is of.
    pub folders: Vec<usize>,
    /// How long the scan of each was.
    pub lines: Vec<Lines>,
    /// Mean Dice of the structures.
    pub samples: Vec<Sample<String>>,
    /// Its mean over the volumes.
    pub dice: Estimate,
    /// Mean SSIM of the slices, over the volumes.
    pub ssim: f64,
}

impl Volumes {
    fn new(scored: &[ScoredRow<'_>]) -> Result<Self, StatsError> {
        let samples: Vec<_> =
            scored.iter().map(|scored| Sample::new(scored.row.patient.clone(), scored.dice)).collect();
        let rows = || scored.iter().map(|scored| scored.row);
        let dice = bootstrap_mean(&samples, &Bootstrap::default())?;
        let names = rows().map(|row| [row.patient.clone(), row.phase.clone()]).collect();
        let folders = scored.iter().map(|scored| scored.folder).collect();
        let lines = rows().map(|row| Lines { slices: row.slices, measured: row.lines_measured }).collect();
        let ssim: Vec<f64> = rows().map(|row| row.ssim).collect();
        Ok(Self { names, folders, lines, samples, dice, ssim: mean(&ssim).ok_or(StatsError::Empty)? })
    }
}

/// What two or more methods have of the same volumes.
pub struct Shared<const N: usize> {
    /// The mean Dice of each method, of patients and phases that all of them have.
    pub samples: [Vec<Sample<String>>; N],
    /// Volumes, a patient's phase each, that not all of them have.
    pub left_out: usize,
}

impl<const N: usize> Shared<N> {
    /// Of the volumes of each method.
    pub fn of(all: [&Volumes; N]) -> Self {
        let names = all.map(|volumes| volumes.names.iter().collect::<BTreeSet<_>>());
        let any: BTreeSet<_> = names.iter().flatten().copied().collect();
        let common: BTreeSet<_> = any.iter().filter(|name| names.iter().all(|own| own.contains(*name))).collect();
        let samples = all.map(|volumes| {
            let named = volumes.names.iter().zip(&volumes.samples);
            named.filter(|(name, _)| common.contains(name)).map(|(_, sample)| sample.clone()).collect()
        });
        Self { samples, left_out: any.len() - common.len() }
    }

    /// Patients that all of them have.
    pub fn patients(&self) -> usize {
        self.samples[0].iter().map(|sample| &sample.patient).collect::<BTreeSet<_>>().len()
    }
}

/// Volumes by budget.
pub type Scores = BTreeMap<usize, Volumes>;

impl Evaluated {
    fn name(&self) -> String {
        self.tail(usize::MAX)
    }

    /// The name with no more than the last `parts` parts of the first folder, and how many more there are.
    fn tail(&self, parts: usize) -> String {
        let all: Vec<_> = self.dirs[0].components().collect();
        let shown: PathBuf = all[all.len().saturating_sub(parts)..].iter().collect();
        let more = self.dirs.len() - 1;
        let others = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        if parts == 0 {
            return format!("{}{others}", self.method);
        }
        format!("{}{others}:{}", shown.display(), self.method)
    }

    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.dirs.iter().map(|dir| dir.join(RESULTS))
    }

    /// Says which other methods the first folder has, and how they are compared; nothing where that cannot be read.
    pub fn others(&self) -> String {
        let help = help_with(&self.dirs[0]);
        help.map_or(String::new(), |help| format!("; {help}"))
    }

    /// Parts of the first folder.
    fn parts(&self) -> usize {
        self.dirs[0].components().count()
    }

    /// What the evaluations say of the method, a draw of phase and noise each: of the same volumes, images and budgets, but not
    /// the same numbers.
    fn draws(&self) -> Result<Vec<Draw<'_>>, Failure> {
        let mut draws: Vec<Draw<'_>> = Vec::new();
        let first = self.dirs[0].display();
        for (folder, dir) in self.dirs.iter().enumerate() {
            draws.extend(Draw::each(folder, dir, self.rows(dir)?));
            let [own, others] = [folder, 0].map(|place| draws.iter().filter(|draw| draw.folder == place).count());
            if own != others {
                let dir = dir.display();
                return Err(format!(
                    "{dir}: evaluated with --draws {own}, and {first} with --draws {others}; use the same for both"
                )
                .into());
            }
        }
        let of_first = draws[0].what();
        for (place, draw) in draws.iter().enumerate() {
            if draw.what() != of_first {
                return Err(format!(
                    "{draw}: other volumes, numbers of lines or images than {first}; evaluate both alike, with other seeds"
                )
                .into());
            }
            let same = draws[..place].iter().find(|earlier| earlier.folder != draw.folder && earlier.rows == draw.rows);
            if let Some(same) = same {
                return Err(format!(
                    "{draw}: the same numbers as {same}; evaluate with seeds that do not meet, such as --seed 9 after --draws 8"
                )
                .into());
            }
        }
        Ok(draws)
    }

    /// What the evaluation in `dir` says of the method.
    fn rows(&self, dir: &Path) -> Result<Vec<Row>, Failure> {
        let path = dir.join(RESULTS);
        let refused = |error: csv::Error| format!("{}: {error}; give the folder of a `kscout eval`", path.display());
        let rows: Result<Vec<Row>, _> = csv::Reader::from_path(&path).map_err(refused)?.deserialize().collect();
        let mut rows = rows.map_err(refused)?;
        rows.retain(|row| row.method == self.method);
        let occurring = Occurring::of(rows.iter().map(Row::truth_has));
        for row in &mut rows {
            [row.dice_rv, row.dice_myo, row.dice_lv] = occurring.only([row.dice_rv, row.dice_myo, row.dice_lv]);
        }
        if rows.iter().all(|row| row.mean_dice().is_none()) {
            let there = help_with(dir).map_or(String::new(), |help| format!("; {help}"));
            return Err(format!("{}: no volumes of method `{}`{there}", path.display(), self.method).into());
        }
        Ok(rows)
    }

    /// What is read of the method, which pictures call `short`.
    fn read(&self, short: String) -> Result<Read, Failure> {
        let draws = self.draws()?;
        let occurring = Occurring::of(draws.iter().flat_map(|draw| &draw.rows).map(Row::truth_has));
        let mut budgets: BTreeMap<usize, Vec<ScoredRow<'_>>> = BTreeMap::new();
        for (folder, row) in draws.iter().flat_map(|draw| draw.rows.iter().map(move |row| (draw.folder, row))) {
            let Some(dice) = row.mean_dice() else { continue };
            budgets.entry(row.lines_per_slice).or_default().push(ScoredRow { folder, row, dice });
        }
        let scored = budgets.into_iter().map(|(lines, rows)| Ok((lines, Volumes::new(&rows)?)));
        let name = self.name();
        let scores = scored.collect::<Result<_, StatsError>>().map_err(|error| format!("{name}: {error}"))?;
        Ok(Read { name, short, scores, draws: draws.len(), occurring })
    }
}

/// What an evaluation says of a method, with phase and noise of one seed.
struct Draw<'a> {
    /// Which of the folders, and its path.
    folder: usize,
    dir: &'a Path,
    /// Evaluations of before do not say.
    seed: Option<u64>,
    /// Without the seed: other seeds do not make the same numbers others.
    rows: Vec<Row>,
}

/// A volume, a number of lines, and how images are made of them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct What<'a> {
    lines: usize,
    patient: &'a str,
    phase: &'a str,
    reconstruction: &'a str,
}

impl<'a> Draw<'a> {
    /// Each of an evaluation.
    fn each(folder: usize, dir: &'a Path, rows: Vec<Row>) -> impl Iterator<Item = Self> {
        let mut draws: BTreeMap<Option<u64>, Vec<Row>> = BTreeMap::new();
        for mut row in rows {
            draws.entry(row.seed.take()).or_default().push(row);
        }
        draws.into_iter().map(move |(seed, rows)| Self { folder, dir, seed, rows })
    }

    /// What was evaluated.
    fn what(&self) -> BTreeSet<What<'_>> {
        let what = self.rows.iter().map(|row| What {
            lines: row.lines_per_slice,
            patient: &row.patient,
            phase: &row.phase,
            reconstruction: &row.reconstruction,
        });
        what.collect()
    }
}

impl fmt::Display for Draw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.map_or(String::new(), |seed| format!(" with seed {seed}"));
        write!(f, "{}{seed}", self.dir.display())
    }
}

/// Names for pictures: the methods', and of their folders as many parts as tell one from the others. Refuses a method that is
/// given twice.
fn short_names(methods: &[&Evaluated]) -> Result<Vec<String>, Failure> {
    let same = |place: usize| methods[..place].contains(&methods[place]);
    if let Some(place) = (0..methods.len()).find(|&place| same(place)) {
        return Err(format!("{}: given twice; name each method of a folder once", methods[place].name()).into());
    }
    let mut parts = vec![0; methods.len()];
    loop {
        let names: Vec<String> = methods.iter().zip(&parts).map(|(method, &parts)| method.tail(parts)).collect();
        let shared = |place: usize| names.iter().filter(|name| **name == names[place]).count() > 1;
        let grow: Vec<usize> =
            (0..names.len()).filter(|&place| shared(place) && parts[place] < methods[place].parts()).collect();
        if grow.is_empty() {
            return Ok(names);
        }
        grow.into_iter().for_each(|place| parts[place] += 1);
    }
}

/// A method and what was read of it.
pub struct Read {
    /// The name.
    pub name: String,
    /// The name in pictures.
    pub short: String,
    /// The scores.
    pub scores: Scores,
    /// Draws of phase and noise in all evaluations together.
    pub draws: usize,
    /// Which structures occur in the truth.
    pub occurring: Occurring,
}

/// A method's volumes at one number of lines.
#[derive(Clone, Copy)]
pub struct Scored<'a> {
    /// The method.
    pub read: &'a Read,
    /// The volumes.
    pub volumes: &'a Volumes,
}

impl Read {
    /// The volumes at `lines` lines a slice, if there are any.
    pub fn at(&self, lines: usize) -> Option<Scored<'_>> {
        self.scores.get(&lines).map(|volumes| Scored { read: self, volumes })
    }
}

/// Reads the evaluations of `methods`.
///
/// # Errors
/// In words: a method that is given twice, or whose evaluations cannot be read or do not go together.
pub fn read(methods: &[&Evaluated]) -> Result<Vec<Read>, Failure> {
    methods.iter().zip(short_names(methods)?).map(|(method, short)| method.read(short)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Volumes of one folder, by patient, phase and Dice.
    pub fn volumes(of: &[(&str, &str, f64)]) -> Volumes {
        let samples: Vec<_> = of.iter().map(|(patient, _, dice)| Sample::new((*patient).to_owned(), *dice)).collect();
        Volumes {
            names: of.iter().map(|(patient, phase, _)| [(*patient).to_owned(), (*phase).to_owned()]).collect(),
            folders: vec![0; of.len()],
            lines: vec![Lines { slices: None, measured: 8 }; of.len()],
            dice: bootstrap_mean(&samples, &Bootstrap::default()).unwrap(),
            samples,
            ssim: 0.5,
        }
    }

    /// A method of that name, evaluated at 8 lines.
    pub fn method(name: &str, volumes: Volumes) -> Read {
        let scores = [(8, volumes)].into();
        Read { name: name.into(), short: name.into(), scores, draws: 1, occurring: Occurring::default() }
    }

    #[test]
    fn volumes_are_shared_where_patient_and_phase_are_the_same() {
        let both = volumes(&[("p1", "ED", 0.9), ("p1", "ES", 0.7), ("p2", "ED", 0.8), ("p2", "ES", 0.6)]);
        let ed = volumes(&[("p2", "ED", 0.8), ("p1", "ED", 0.9), ("p3", "ED", 0.1)]);
        let shared = Shared::of([&both, &ed]);
        let values = |samples: &[Sample<String>]| samples.iter().map(|sample| sample.value).collect::<Vec<_>>();
        assert_eq!(values(&shared.samples[0]), [0.9, 0.8]);
        assert_eq!(values(&shared.samples[1]), [0.8, 0.9]);
        assert_eq!((shared.left_out, shared.patients()), (3, 2));
        let same = Shared::of([&both, &both, &both]);
        assert_eq!((same.left_out, same.patients(), same.samples[2].len()), (0, 2, 4));
        let es = volumes(&[("p1", "ES", 0.7)]);
        assert_eq!(Shared::of([&es, &ed]).patients(), 0);
    }

    #[test]
    fn a_method_of_an_evaluation_is_named_by_folder_and_name() {
        let named: Evaluated = "runs/eval:centre-out".parse().unwrap();
        assert_eq!(named, Evaluated { dirs: vec!["runs/eval".into()], method: "centre-out".into() });
        let named: Evaluated = "runs/1,runs/2:policy".parse().unwrap();
        assert_eq!(named, Evaluated { dirs: vec!["runs/1".into(), "runs/2".into()], method: "policy".into() });
        assert_eq!("runs/2,runs/1:policy".parse(), Ok(named));
        let tmp = tempfile::tempdir().unwrap();
        let tmp = tmp.path();
        std::fs::write(tmp.join("results.csv"), "method,x\nfull,1\npolicy,2\npolicy,3\nrandom,4\n").unwrap();
        for text in [tmp.display().to_string(), format!("{}:", tmp.display())] {
            let told = text.parse::<Evaluated>().unwrap_err();
            assert!(told.contains("has the methods full, policy, random, such as kscout compare "), "{told}");
            assert!(told.contains(":policy --with ") && told.ends_with(":random"), "{told}");
        }
        for text in ["runs/eval", ":policy", "runs/eval:", "runs/eval,:policy"] {
            assert!(text.parse::<Evaluated>().unwrap_err().contains("DIR:METHOD"), "{text}");
        }
    }

    #[test]
    fn names_in_pictures_are_as_short_as_tells_them_apart() {
        let names = |texts: &[&str]| {
            let methods: Vec<Evaluated> = texts.iter().map(|text| text.parse().unwrap()).collect();
            short_names(&methods.iter().collect::<Vec<_>>())
        };
        assert_eq!(names(&["runs/a:policy", "runs/b:policy"]).unwrap(), ["a:policy", "b:policy"]);
        assert_eq!(names(&["runs/a:policy", "runs/a:random"]).unwrap(), ["policy", "random"]);
        let same_last = names(&["one/a/eval:p", "two/a/eval:p", "two/b/eval:p", "b/other:p"]).unwrap();
        assert_eq!(same_last, ["one/a/eval:p", "two/a/eval:p", "b/eval:p", "other:p"]);
        assert_eq!(names(&["eval:p", "old/eval:p", "/old/eval:p"]).unwrap(), ["eval:p", "old/eval:p", "/old/eval:p"]);
        assert_eq!(names(&["a/1,a/2:p", "b/1,b/2:p"]).unwrap(), ["a/1 (and 1 more):p", "b/1 (and 1 more):p"]);
        let twice = names(&["runs/a:policy", "runs/a/:policy"]).unwrap_err().to_string();
        assert!(twice.contains("runs/a:policy: given twice"), "{twice}");
    }
}
