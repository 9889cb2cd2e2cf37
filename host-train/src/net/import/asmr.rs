//! ASMR's published names: its policy with the critic, and its classifier.

use burn::tensor::Device;

use super::apply::load_state_dict;
use super::error::{ImportError, shortened};
use super::state_dict::StateDict;
use crate::net::asmr::{AsmrActorCritic, KspaceClassifier, pytorch_name};
use crate::net::resnet::Depth;

/// The policy and critic with the weights of `dict`, and the rows and columns of the images they are for, which are the
/// weights' own.
///
/// # Errors
/// [`ImportError::OtherArch`] if the weights are of something else, or choose among fewer lines than an image has;
/// [`ImportError::Mismatch`] if they nearly fit.
pub fn import_asmr(dict: &StateDict, device: &Device) -> Result<(AsmrActorCritic, [usize; 2]), ImportError> {
    let shape = |name: &str| match dict.shape(name) {
        Some(&[rows, columns]) => Ok([rows, columns]),
        Some(shape) => Err(other("asmr", dict, format!("`{name}` is {shape:?} and should have two dimensions"))),
        None => Err(other("asmr", dict, format!("`{name}` is not there"))),
    };
    let size = shape("pi.logits_net.layernorm.weight")?;
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
        return Err(other(&depth.to_string(), dict, "`label_layers.0.weight` is not there".into()));
    }
    load_state_dict(KspaceClassifier::new(depth, labels, 0.0, device), dict, pytorch_name)
}

fn other(asked: &str, dict: &StateDict, why: String) -> ImportError {
    let names: Vec<String> = dict.names().map(str::to_owned).collect();
    let advice = format!("The names are {}", shortened(&names, 4));
    ImportError::OtherArch { origin: dict.origin().to_owned(), asked: asked.into(), why, advice }
}
