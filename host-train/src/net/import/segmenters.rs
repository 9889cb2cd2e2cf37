//! The segmenters' published weights: which network a state dict is of, and how wide.
//!
//! What they are called is said where the networks are ([`PublishedWeights`](crate::net::segmenters::PublishedWeights)).

use std::borrow::Cow;

use burn::tensor::Device;

use super::apply::load_state_dict;
use super::error::{ImportError, shortened};
use super::names::Wanted;
use super::state_dict::StateDict;
use crate::net::segmenters::{MOST_CHANNELS, MOST_CLASSES, MOST_WIDTH};
use crate::net::{Arch, Segmenter, SegmenterSpec};
use crate::shown::shown;

/// Beyond these a shape is no width, number of classes or number of channels.
const MOST: [(&str, usize); 3] = [("width", MOST_WIDTH), ("classes", MOST_CLASSES), ("channels", MOST_CHANNELS)];

/// A segmenter of the architecture `arch`, wherever in a file it is.
pub fn wanted_segmenter(arch: Arch) -> Wanted<'static> {
    Wanted { first_layer: Some(arch.description().weights.first_layer), key: None }
}

/// The segmenter of the architecture `arch` with the weights of `dict`; width, classes and channels are the weights' own.
///
/// # Errors
/// [`ImportError::OtherArch`] if the weights are of something else, [`ImportError::Mismatch`] if they nearly fit.
pub fn import_segmenter(
    arch: Arch,
    dict: &StateDict,
    device: &Device,
) -> Result<(Segmenter, SegmenterSpec), ImportError> {
    let spec = infer_spec(arch, dict)?;
    let weights = &arch.description().weights;
    let dict = without_folded_biases(weights.folded_biases, dict);
    let network = load_state_dict(Segmenter::new(&spec, device), &dict, weights.name)?;
    Ok((network, spec))
}

/// Width, classes and channels of the weights `dict` of an `arch`, by the shapes of its first and last layer.
///
/// # Errors
/// [`ImportError::OtherArch`] names the architecture that would fit, where one does.
pub fn infer_spec(arch: Arch, dict: &StateDict) -> Result<SegmenterSpec, ImportError> {
    let other = |why: String| other_arch(arch, dict, why);
    if let Some(found) = recognise(dict).filter(|&found| found != arch) {
        return Err(other(format!("the names and shapes are those of `{found}`")));
    }
    let weights = &arch.description().weights;
    if let Some((_, why)) = weights.mistaken_for.filter(|(layer, _)| dict.shape(layer).is_some()) {
        return Err(other(why.into()));
    }
    let shape = |name: &str| match dict.shape(name) {
        Some(&[out, input, _, _]) => Ok((out, input)),
        Some(shape) => {
            let shape = format!("{shape:?}");
            Err(other(format!("`{name}` is {} and should have four dimensions", shown(&shape))))
        }
        None => Err(other(format!("`{name}` is not there"))),
    };
    let ((width, channels), (classes, _)) = (shape(weights.first_layer)?, shape(weights.last_layer)?);
    for ((what, most), got) in MOST.into_iter().zip([width, classes, channels]) {
        if !(1..=most).contains(&got) {
            return Err(other(format!("a {what} of {got} is not within 1 to {most}")));
        }
    }
    Ok(SegmenterSpec { arch, width, classes, channels })
}

/// The network that the weights are of; `None` if none here has such names and shapes.
pub fn recognise(dict: &StateDict) -> Option<Arch> {
    Arch::ALL.into_iter().find(|arch| (arch.description().weights.are_these)(&|name| dict.shape(name)))
}

fn other_arch(arch: Arch, dict: &StateDict, why: String) -> ImportError {
    let advice = match recognise(dict) {
        Some(found) if found != arch => format!("Give --arch {found}"),
        _ => {
            let names: Vec<String> = dict.names().map(str::to_owned).collect();
            format!("The names are {}", shortened(&names, 4))
        }
    };
    ImportError::OtherArch { origin: dict.origin().to_owned(), asked: arch.name().into(), why, advice }
}

/// Weights without biases before batch norms, which move into the norms' running means.
fn without_folded_biases<'a>(folded: &[(&str, &str)], dict: &'a StateDict) -> Cow<'a, StateDict> {
    let mut without = Cow::Borrowed(dict);
    for (bias, mean) in folded {
        let biases: Vec<String> = dict.names().filter(|name| name.ends_with(bias)).map(str::to_owned).collect();
        for name in biases {
            let block = name.strip_suffix(bias).unwrap_or(&name);
            without.to_mut().fold_bias(&name, &format!("{block}{mean}"));
        }
    }
    without
}

#[cfg(test)]
mod tests {
    use super::super::state_dict::Weights;
    use super::*;

    /// A state dict of zeros.
    fn dict(entries: &[(&str, &[usize])]) -> StateDict {
        let zeros = |shape: &[usize]| Weights { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] };
        StateDict::new("a.pth", entries.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape)))).unwrap()
    }

    #[test]
    fn paths_become_the_published_names() {
        for (arch, path, name) in [
            (Arch::Unet, "inc.conv1.weight", "inc.double_conv.0.weight"),
            (Arch::Unet, "down4.bn2.running_var", "down4.maxpool_conv.1.double_conv.4.running_var"),
            (Arch::Unet, "up1.up.bias", "up1.up.bias"),
            (Arch::UnetBilinear, "up3.conv.conv2.weight", "up3.conv.double_conv.3.weight"),
            (Arch::UnetBilinear, "outc.bias", "outc.conv.bias"),
            (Arch::UnetPp, "encoder.4.conv2.bias", "x4_0.conv2.bias"),
            (Arch::UnetPp, "column.1.node.2.conv1.weight", "x2_2.conv1.weight"),
            (Arch::UnetPp, "column.3.up.0.weight", "up0_4.weight"),
            (Arch::UnetPp, "column.0.head.bias", "head1.bias"),
            (Arch::UnextS, "block1.0.mlp.fc1.weight", "block1.0.mlp.fc1.weight"),
        ] {
            assert_eq!((arch.description().weights.name)(path), name);
        }
    }

    #[test]
    fn width_classes_and_channels_are_the_weights_own() {
        let weights = dict(&[("x0_0.conv1.weight", &[16, 2, 3, 3]), ("head1.weight", &[5, 16, 1, 1])]);
        let expected = SegmenterSpec { arch: Arch::UnetPp, width: 16, classes: 5, channels: 2 };
        assert_eq!(infer_spec(Arch::UnetPp, &weights).unwrap(), expected);
    }

    #[test]
    fn weights_of_another_network_name_it() {
        let unext = |third| {
            dict(&[
                ("encoder1.weight", &[8, 3, 3, 3]),
                ("encoder3.weight", &[third, 16, 3, 3]),
                ("patch_embed3.proj.weight", &[64, 32, 3, 3]),
                ("final.weight", &[4, 8, 1, 1]),
            ])
        };
        let error = infer_spec(Arch::Unet, &unext(32)).unwrap_err().to_string();
        assert!(
            error.starts_with("a.pth: these are not weights of `unet`") && error.ends_with("--arch unext-s"),
            "{error}"
        );
        let error = infer_spec(Arch::UnextS, &unext(64)).unwrap_err().to_string();
        assert!(error.ends_with("--arch unext"), "{error}");
        let error = infer_spec(Arch::Unet, &dict(&[("layer1.weight", &[1, 1, 1, 1])])).unwrap_err().to_string();
        assert!(
            error.contains("`inc.double_conv.0.weight` is not there") && error.contains("layer1.weight"),
            "{error}"
        );
    }

    #[test]
    fn shapes_that_no_network_has_are_refused() {
        for (first, last) in [([0, 1, 3, 3], [4, 1, 1, 1]), ([1, 1, 3, 3], [300, 1, 1, 1])] {
            let weights = dict(&[("x0_0.conv1.weight", &first), ("head1.weight", &last)]);
            assert!(infer_spec(Arch::UnetPp, &weights).unwrap_err().to_string().contains("is not within 1 to"));
        }
        let flat = dict(&[("x0_0.conv1.weight", &[16]), ("head1.weight", &[4, 16, 1, 1])]);
        assert!(infer_spec(Arch::UnetPp, &flat).unwrap_err().to_string().contains("four dimensions"));
    }

    #[test]
    fn a_bias_before_a_batch_norm_moves_into_its_running_mean() {
        let weights = |data: &[f32]| Weights { shape: vec![data.len()], data: data.to_vec() };
        let entries = [("inc.double_conv.0.bias", [1.0, 2.0]), ("inc.double_conv.1.running_mean", [10.0, 10.0])];
        let entries = entries.iter().map(|(name, data)| ((*name).to_owned(), weights(data)));
        let dict = StateDict::new("memory", entries).unwrap();
        let folded = without_folded_biases(Arch::Unet.description().weights.folded_biases, &dict);
        assert_eq!(folded.names().collect::<Vec<_>>(), ["inc.double_conv.1.running_mean"]);
        assert_eq!(folded.get("inc.double_conv.1.running_mean").unwrap().data, [9.0, 8.0]);
    }
}
