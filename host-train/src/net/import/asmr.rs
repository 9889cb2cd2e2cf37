//! ASMR's published names: its policy with the critic, and its classifier.

use burn::tensor::Device;

use super::apply::load_state_dict;
use super::error::{ImportError, shortened};
use super::names::{ASMR, CLASSIFIER, Wanted};
use super::state_dict::StateDict;
use crate::net::asmr::{AsmrActorCritic, KspaceClassifier, pytorch_name};
use crate::net::resnet::Depth;
use crate::shown::shown;

/// Beyond this a shape is no image's side.
const MOST_PIXELS: usize = 1024;

/// Beyond this a number of layers is no number of labels.
const MOST_LABELS: usize = 256;

/// ASMR's policy, wherever in a file it is.
pub fn wanted_asmr() -> Wanted<'static> {
    Wanted { first_layer: Some(ASMR), key: None }
}

/// ASMR's classifier, wherever in a file it is.
pub fn wanted_classifier() -> Wanted<'static> {
    Wanted { first_layer: Some(CLASSIFIER), key: None }
}

/// The policy and critic with the weights of `dict`, and the rows and columns of the images they are for, which are the
/// weights' own.
///
/// # Errors
/// [`ImportError::OtherArch`] if the weights are of something else, or choose among fewer lines than an image has;
/// [`ImportError::Mismatch`] if they nearly fit.
pub fn import_asmr(dict: &StateDict, device: &Device) -> Result<(AsmrActorCritic, [usize; 2]), ImportError> {
    let shape = |name: &str| match dict.shape(name) {
        Some(&[rows, columns]) => Ok([rows, columns]),
        Some(shape) => {
            let shape = format!("{shape:?}");
            Err(other("asmr", dict, format!("`{name}` is {} and should have two dimensions", shown(&shape))))
        }
        None => Err(other("asmr", dict, format!("`{name}` is not there"))),
    };
    let size = shape(ASMR)?;
    if !size.iter().all(|side| (1..=MOST_PIXELS).contains(side)) {
        return Err(other("asmr", dict, format!("images of {size:?} pixels have no sides of 1 to {MOST_PIXELS}")));
    }
    let [lines, _] = shape("pi.logits_net.out_layer.2.weight")?;
    if lines != size[1] {
        let why =
            format!("it chooses among {lines} lines of images with {} columns; here every column is a line", size[1]);
        return Err(other("asmr", dict, why));
    }
    let network = load_state_dict(AsmrActorCritic::new(size, device), dict, pytorch_name)?;
    Ok((network, size))
}

/// The classifier on a ResNet of `depth` with the weights of `dict`; it has as many labels as the weights say. ASMR's training
/// saves it behind `model.`, which a [`StateDict`] takes off.
///
/// # Errors
/// As [`import_asmr`].
pub fn import_classifier(depth: Depth, dict: &StateDict, device: &Device) -> Result<KspaceClassifier, ImportError> {
    let labels = dict.names().filter(|name| name.starts_with("label_layers.") && name.ends_with(".weight")).count();
    if labels == 0 {
        return Err(other(&depth.to_string(), dict, format!("`{CLASSIFIER}` is not there")));
    }
    if labels > MOST_LABELS {
        return Err(other(&depth.to_string(), dict, format!("{labels} labels are more than {MOST_LABELS}")));
    }
    load_state_dict(KspaceClassifier::new(depth, labels, 0.0, device), dict, pytorch_name)
}

fn other(asked: &str, dict: &StateDict, why: String) -> ImportError {
    let names: Vec<String> = dict.names().map(str::to_owned).collect();
    let advice = format!("The names are {}", shortened(&names, 4));
    ImportError::OtherArch { origin: dict.origin().to_owned(), asked: asked.into(), why, advice }
}
