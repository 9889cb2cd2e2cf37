//! Named weights, from a file or from memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use burn::tensor::{DType as BurnType, TensorData};
use pytorch_reader::{DType, PickleError, PytorchError, PytorchReader};
use safetensors::{Dtype, SafeTensors};

use super::archive::{self, Pickle};
use super::error::ImportError;
use super::format::{Container, container};
use super::names::{Found, Unclear, Wanted, find};
use super::pickle::Foreign;
use super::plain;
use crate::io::scratch::Scratch;

/// Most bytes of weights, as f32; the largest network here has an eighth of it.
const MAX_BYTES: u64 = 1 << 30;

/// Longest header of a safetensors file.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Pickles in a file of PyTorch before 1.6: magic number, version, system, the object, keys of the storages.
const LEGACY_PICKLES: usize = 5;

/// A tensor of weights in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// The values, as many as the extents say.
    pub data: Vec<f32>,
}

/// A network's weights and buffers by their PyTorch names, as f32.
///
/// What is no floating-point tensor (batch norm's `num_batches_tracked`, for one) is left out and listed.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDict {
    origin: String,
    entries: BTreeMap<String, Weights>,
    left_out: Vec<String>,
    beside: Vec<String>,
}

impl StateDict {
    /// A state dict from memory, under the same rules as one from a file. `origin` is how errors call it.
    ///
    /// # Errors
    /// [`ImportError`] if nothing is left, or a value is not finite.
    pub fn new(
        origin: impl Into<String>,
        entries: impl IntoIterator<Item = (String, Weights)>,
    ) -> Result<Self, ImportError> {
        let mut given: BTreeMap<String, Weights> = entries.into_iter().collect();
        let names = given.keys().cloned().collect();
        Self::collect(origin.into(), names, Wanted::default(), |name| Ok(given.remove(name)))
    }

    /// The weights in the file `path`: a PyTorch file (the zip of PyTorch 1.6 and later, or the one before) or safetensors.
    ///
    /// # Errors
    /// [`ImportError`] names the file and what is wrong with it. Whatever the file holds, nothing of it is run.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        Self::read_wanted(path, Wanted::default())
    }

    /// [`read`](Self::read), of several networks in the file the one that is wanted.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), and [`ImportError::Several`] or [`ImportError::NoSuchKey`].
    pub fn read_wanted(path: &Path, wanted: Wanted<'_>) -> Result<Self, ImportError> {
        match container(path)? {
            Container::Safetensors => read_safetensors(path, wanted),
            Container::Zip => {
                let foreign = zip_globals(path)?;
                refuse_code(path, &foreign)?;
                read_pytorch(path, wanted, &foreign, plain::zip)
            }
            Container::Pickle => {
                let file = File::open(path).map_err(io(path))?;
                let foreign = Foreign::in_pickles(&mut BufReader::new(file), LEGACY_PICKLES);
                refuse_code(path, &foreign)?;
                read_pytorch(path, wanted, &foreign, plain::legacy)
            }
        }
    }

    /// Takes what `take` gives for each of the network's names in the file; `None` is left out.
    fn collect(
        origin: String,
        names: Vec<String>,
        wanted: Wanted<'_>,
        mut take: impl FnMut(&str) -> Result<Option<Weights>, ImportError>,
    ) -> Result<Self, ImportError> {
        let Found { names, beside } = find(names, wanted).map_err(|unclear| unclear_error(&origin, wanted, unclear))?;
        let (mut entries, mut left_out, mut bytes) = (BTreeMap::new(), Vec::new(), 0u64);
        for name in names {
            let Some(weights) = take(&name.full)? else {
                left_out.push(name.own);
                continue;
            };
            bytes += weights.data.len() as u64 * 4;
            if bytes > MAX_BYTES {
                return Err(ImportError::TooLarge { origin, bytes, max: MAX_BYTES });
            }
            check_values(&origin, &name.own, &weights)?;
            if entries.insert(name.own.clone(), weights).is_some() {
                return Err(ImportError::Twice { origin, name: name.own });
            }
        }
        if entries.is_empty() {
            return Err(ImportError::NoWeights(origin));
        }
        Ok(Self { origin, entries, left_out, beside })
    }

    /// Where the weights come from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Weights> {
        self.entries.get(name)
    }

    /// The shape of the entry called `name`.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(|weights| weights.shape.as_slice())
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Takes the bias `bias` out and off the running mean `mean` of the batch norm behind it, if both are there and agree.
    pub(super) fn fold_bias(&mut self, bias: &str, mean: &str) {
        if self.shape(bias) != self.shape(mean) {
            return;
        }
        let Some(bias) = self.entries.remove(bias) else { return };
        if let Some(mean) = self.entries.get_mut(mean) {
            mean.data.iter_mut().zip(&bias.data).for_each(|(mean, bias)| *mean -= bias);
        }
    }

    /// Names of what is not in floating point, and so no weight.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Names of what lies beside the network in the file: an optimizer's state, a loss's weights.
    pub fn beside(&self) -> &[String] {
        &self.beside
    }
}

/// Refuses weights that no network can run with.
fn check_values(origin: &str, name: &str, weights: &Weights) -> Result<(), ImportError> {
    let (origin, name) = (origin.to_owned(), name.to_owned());
    if let Some(&value) = weights.data.iter().find(|value| !value.is_finite()) {
        return Err(ImportError::NotFinite { origin, name, value });
    }
    match weights.data.iter().find(|&&value| value < 0.0) {
        Some(&value) if name.ends_with("running_var") => Err(ImportError::NegativeVariance { origin, name, value }),
        _ => Ok(()),
    }
}

fn unclear_error(origin: &str, wanted: Wanted<'_>, unclear: Unclear) -> ImportError {
    let origin = origin.to_owned();
    match unclear {
        Unclear::Several { keys, lacking } => ImportError::Several { origin, keys, lacking },
        Unclear::NoSuchKey(keys) => {
            ImportError::NoSuchKey { origin, key: wanted.key.unwrap_or_default().to_owned(), keys }
        }
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ImportError {
    |source| ImportError::Io { path: path.to_owned(), source }
}

fn damaged(path: &Path, message: impl ToString) -> ImportError {
    ImportError::Damaged { path: path.to_owned(), message: message.to_string() }
}

/// Refuses a pickled object, and a file that names functions. Objects of classes may lie beside weights.
fn refuse_code(path: &Path, foreign: &Foreign) -> Result<(), ImportError> {
    match (foreign.is_object(), foreign.has_code()) {
        (true, _) => Err(whole_model(path, foreign)),
        (_, true) => Err(ImportError::Code { path: path.to_owned(), globals: foreign.code_in_words() }),
        _ => Ok(()),
    }
}

fn whole_model(path: &Path, foreign: &Foreign) -> ImportError {
    ImportError::WholeModel { path: path.to_owned(), globals: foreign.all_in_words() }
}

fn zip_globals(path: &Path) -> Result<Foreign, ImportError> {
    let mut file = File::open(path).map_err(io(path))?;
    let not = |found: &str| ImportError::NotWeights {
        path: path.to_owned(),
        found: found.into(),
        advice: "give the file that torch.save wrote",
    };
    match archive::find_pickle(&mut file) {
        Ok(Pickle::Stored { offset, length }) => {
            file.seek(SeekFrom::Start(offset)).map_err(io(path))?;
            Ok(Foreign::in_pickles(&mut BufReader::new(file.take(length)), 1))
        }
        Ok(Pickle::Compressed) => Err(not("a zip archive that was packed again")),
        Ok(Pickle::None) => Err(not("a zip archive without PyTorch's data.pkl")),
        Err(error) => Err(damaged(path, error)),
    }
}

/// Makes a copy of a file in which plain dictionaries are in the place of others, where there are others.
type MakePlain = fn(&Path) -> std::io::Result<Option<Scratch>>;

fn read_pytorch(
    path: &Path,
    wanted: Wanted<'_>,
    foreign: &Foreign,
    make_plain: MakePlain,
) -> Result<StateDict, ImportError> {
    read_tensors(path, wanted, foreign, make_plain).map_err(|error| match error {
        // A model that is a value of the file, and whose weights the reader could not find in it.
        ImportError::NoWeights(_) if foreign.has_layers() => whole_model(path, foreign),
        error => error,
    })
}

fn read_tensors(
    path: &Path,
    wanted: Wanted<'_>,
    foreign: &Foreign,
    make_plain: MakePlain,
) -> Result<StateDict, ImportError> {
    // The copy, if there is one, is read until all tensors are.
    let (reader, _copy) = open(path, foreign, make_plain)?;
    let mut tensors = reader.into_tensors();
    let names = tensors.keys().cloned().collect();
    StateDict::collect(path.display().to_string(), names, wanted, |name| {
        let Some(tensor) = tensors.remove(name) else { return Ok(None) };
        let dtype = match tensor.dtype() {
            DType::F64 => BurnType::F64,
            DType::F32 => BurnType::F32,
            DType::F16 => BurnType::F16,
            DType::BF16 => BurnType::BF16,
            _ => return Ok(None),
        };
        check_size(path, tensor.num_elements())?;
        let bytes = tensor.read().map_err(|error| damaged(path, error))?;
        weights(bytes, tensor.shape().to_vec(), dtype).map(Some).map_err(|message| damaged(path, message))
    })
}

/// Opens a file, or the plain copy of it where only that can be read.
fn open(
    path: &Path,
    foreign: &Foreign,
    make_plain: MakePlain,
) -> Result<(PytorchReader, Option<Scratch>), ImportError> {
    let failed = |error| pytorch_error(path, error, foreign);
    match PytorchReader::new(path) {
        Err(error @ PytorchError::Pickle(PickleError::UnexpectedOpCode(_))) if foreign.has_defaultdict() => {
            let copy = make_plain(path).map_err(io(path))?.ok_or_else(|| failed(error))?;
            Ok((PytorchReader::new(copy.path()).map_err(failed)?, Some(copy)))
        }
        reader => Ok((reader.map_err(failed)?, None)),
    }
}

fn pytorch_error(path: &Path, error: PytorchError, foreign: &Foreign) -> ImportError {
    let unusable = |found: String| ImportError::NotWeights {
        path: path.to_owned(),
        found,
        advice: "give a file with the network's state_dict, as torch.save writes it",
    };
    match error {
        PytorchError::Pickle(PickleError::UnsupportedType(name)) => {
            unusable(format!("a file with tensors of the kind `{name}`"))
        }
        PytorchError::Pickle(PickleError::UnexpectedOpCode(_)) if !foreign.filled_in_words().is_empty() => {
            let advice = "in Python, save `model.state_dict()` alone with torch.save, and give that file";
            let found = format!("a file with containers that only Python can fill ({})", foreign.filled_in_words());
            ImportError::NotWeights { path: path.to_owned(), found, advice }
        }
        PytorchError::Pickle(PickleError::NoDataSource) => unusable("a bare pickle".into()),
        PytorchError::InvalidFormat(message) if message.starts_with("Expected a dictionary") => {
            not_a_dictionary(path, message.rsplit(' ').next().unwrap_or_default())
        }
        error => damaged(path, error),
    }
}

/// A file whose outermost value is of the Python type `found`.
fn not_a_dictionary(path: &Path, found: &str) -> ImportError {
    let (found, advice) = match found {
        "list" | "tuple" => (
            format!("a {found} of several values (such as a model's state_dict and its optimizer's)"),
            "take the state_dict out of it; in Python, where it is the first value: \
             torch.save(torch.load('FILE', map_location='cpu')[0], 'weights.pth'); give that file",
        ),
        "torch.Tensor" => {
            ("a single tensor".into(), "give a file with the network's state_dict, as torch.save writes it")
        }
        found => (
            format!("a pickle that is no dictionary (its outermost value is `{found}`)"),
            "give a file with the network's state_dict, as torch.save writes it",
        ),
    };
    ImportError::NotWeights { path: path.to_owned(), found, advice }
}

fn read_safetensors(path: &Path, wanted: Wanted<'_>) -> Result<StateDict, ImportError> {
    // In f64 the weights take twice the bytes that they will have.
    let bytes = fs::metadata(path).map_err(io(path))?.len();
    if bytes > 2 * MAX_BYTES + MAX_HEADER_BYTES {
        return Err(ImportError::TooLarge { origin: path.display().to_string(), bytes, max: MAX_BYTES });
    }
    let bytes = fs::read(path).map_err(io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(path, error))?;
    let names = file.names().into_iter().map(str::to_owned).collect();
    StateDict::collect(path.display().to_string(), names, wanted, |name| {
        let tensor = file.tensor(name).map_err(|error| damaged(path, error))?;
        let dtype = match tensor.dtype() {
            Dtype::F64 => BurnType::F64,
            Dtype::F32 => BurnType::F32,
            Dtype::F16 => BurnType::F16,
            Dtype::BF16 => BurnType::BF16,
            _ => return Ok(None),
        };
        let read = weights(tensor.data().to_vec(), tensor.shape().to_vec(), dtype);
        read.map(Some).map_err(|message| damaged(path, message))
    })
}

/// Refuses a tensor before it is read: a view may claim far more elements than the file has bytes.
fn check_size(path: &Path, elements: usize) -> Result<(), ImportError> {
    match (elements as u64).checked_mul(4) {
        Some(bytes) if bytes <= MAX_BYTES => Ok(()),
        bytes => {
            let origin = path.display().to_string();
            Err(ImportError::TooLarge { origin, bytes: bytes.unwrap_or(u64::MAX), max: MAX_BYTES })
        }
    }
}

fn weights(bytes: Vec<u8>, shape: Vec<usize>, dtype: BurnType) -> Result<Weights, String> {
    let bytes = burn::tensor::Bytes::from_bytes_vec(bytes);
    let data = TensorData::try_from_bytes(bytes, shape.clone(), dtype).map_err(|error| error.to_string())?;
    let data = data.convert::<f32>().try_into_vec::<f32>().map_err(|error| error.to_string())?;
    Ok(Weights { shape, data })
}
