//! Putting a state dict into a burn module.
//!
//! burn and PyTorch differ in three ways: the scale and offset of norms are `gamma` and `beta` here and `weight` and `bias`
//! there, a linear layer's matrix is `[in, out]` here and `[out, in]` there, and fields have names of their own.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::error::{ImportError, Mismatch, WrongShape};
use super::state_dict::StateDict;

/// Loads `dict` into `module`. `rename` gives the PyTorch name of a parameter from its path in the module.
///
/// The path is the dotted path of fields, Vec indices among them, enum variants left out, without the `r#` of fields named
/// as Rust's keywords, and ends in `weight`, `bias`, `running_mean` or `running_var` as PyTorch would have it:
/// `down1.norm2.weight` for the `gamma` of that batch norm.
///
/// # Errors
/// [`ImportError::Mismatch`] lists every name that is missing or left over and every wrong shape; the module is then as it
/// was, running statistics included.
pub fn load_state_dict<M: Module>(
    module: M,
    dict: &StateDict,
    rename: impl Fn(&str) -> String,
) -> Result<M, ImportError> {
    let mut check =
        Check { place: Place::default(), dict, rename: &rename, known: BTreeSet::new(), found: Mismatch::default() };
    module.visit(&mut check);
    let Check { known, found: mut mismatch, .. } = check;
    mismatch.left_over = dict.names().filter(|name| !known.contains(*name)).map(str::to_owned).collect();
    if !mismatch.is_empty() {
        mismatch.origin = dict.origin().to_owned();
        return Err(ImportError::Mismatch(Box::new(mismatch)));
    }
    Ok(module.map(&mut Load { place: Place::default(), dict, rename: &rename }))
}

/// Where a traversal is: names, and the types they are fields of.
#[derive(Default)]
struct Place(Vec<(String, String)>);

impl Place {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    fn leave(&mut self) {
        self.0.pop();
    }

    /// The parameter's path, as [`load_state_dict`] describes it.
    fn path(&self) -> String {
        let fields = self.0.iter().filter(|(_, container)| !container.starts_with("Enum:"));
        let plain = |name: &str| name.strip_prefix("r#").unwrap_or(name).to_owned();
        let mut parts: Vec<String> = fields.map(|(name, _)| plain(name)).collect();
        if let Some(leaf) = parts.last_mut() {
            match leaf.as_str() {
                "gamma" => *leaf = "weight".into(),
                "beta" => *leaf = "bias".into(),
                _ => {}
            }
        }
        parts.join(".")
    }

    /// Whether the parameter is a matrix that PyTorch keeps the other way round.
    fn is_transposed(&self) -> bool {
        self.0.last().is_some_and(|(name, container)| name == "weight" && container == "Struct:Linear")
    }
}

/// Compares names and shapes.
struct Check<'a, F> {
    place: Place,
    dict: &'a StateDict,
    rename: &'a F,
    known: BTreeSet<String>,
    found: Mismatch,
}

impl<F: Fn(&str) -> String> ModuleVisitor for Check<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.leave();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut expected = param.lazy_shape().to_vec();
        if self.place.is_transposed() {
            expected.reverse();
        }
        let name = (self.rename)(&self.place.path());
        match self.dict.shape(&name) {
            None => self.found.missing.push(name.clone()),
            Some(found) if found != expected => {
                self.found.shapes.push(WrongShape { name: name.clone(), found: found.to_vec(), expected });
            }
            Some(_) => {}
        }
        self.known.insert(name);
    }
}

/// Replaces values, once names and shapes are known to agree.
struct Load<'a, F> {
    place: Place,
    dict: &'a StateDict,
    rename: &'a F,
}

impl<F: Fn(&str) -> String> ModuleMapper for Load<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.leave();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(weights) = self.dict.get(&(self.rename)(&self.place.path())) else { return param };
        let data = TensorData::new(weights.data.clone(), weights.shape.clone());
        let device = param.lazy_device();
        let mut tensor = Tensor::<D>::from_data(data, &device);
        if self.place.is_transposed() {
            // Laid out anew: a view would add up in another order than the same matrix from a checkpoint.
            tensor = Tensor::from_data(tensor.transpose().into_data(), &device);
        }
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    use super::super::state_dict::Weights;
    use super::*;

    #[derive(Module, Debug)]
    struct Small {
        r#final: Linear,
        norms: Vec<BatchNorm>,
    }

    fn small() -> Small {
        let device = Device::flex();
        Small { r#final: LinearConfig::new(3, 2).init(&device), norms: vec![BatchNormConfig::new(2).init(&device)] }
    }

    fn entry(shape: &[usize], first: f32) -> Weights {
        let count = shape.iter().product::<usize>();
        Weights { shape: shape.to_vec(), data: (0..count).map(|i| first + i as f32).collect() }
    }

    fn entries() -> Vec<(String, Weights)> {
        let entry = |name: &str, shape: &[usize], first| (name.to_owned(), entry(shape, first));
        vec![
            entry("last.weight", &[2, 3], 1.0),
            entry("last.bias", &[2], 10.0),
            entry("norms.0.weight", &[2], 20.0),
            entry("norms.0.bias", &[2], 30.0),
            entry("norms.0.running_mean", &[2], 40.0),
            entry("norms.0.running_var", &[2], 50.0),
        ]
    }

    fn rename(path: &str) -> String {
        path.replace("final.", "last.")
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn every_parameter_and_buffer_is_taken_over() {
        let dict = StateDict::new("memory", entries()).unwrap();
        let loaded = load_state_dict(small(), &dict, rename).unwrap();
        assert_eq!(values(loaded.r#final.weight.val()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0], "[out, in] becomes [in, out]");
        assert_eq!(values(loaded.r#final.bias.unwrap().val()), [10.0, 11.0]);
        let norm = &loaded.norms[0];
        assert_eq!(values(norm.gamma.val()), [20.0, 21.0]);
        assert_eq!(values(norm.beta.val()), [30.0, 31.0]);
        assert_eq!(values(norm.running_mean.value()), [40.0, 41.0]);
        assert_eq!(values(norm.running_var.value()), [50.0, 51.0]);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_the_module_stays_as_it_was() {
        let mut entries = entries();
        entries[0].1 = entry(&[3, 2], 0.0);
        entries[1].0 = "head.bias".into();
        let dict = StateDict::new("memory", entries).unwrap();
        let module = small();
        let Err(ImportError::Mismatch(mismatch)) = load_state_dict(module.clone(), &dict, rename) else {
            panic!("a mismatch")
        };
        assert_eq!(mismatch.missing, ["last.bias"]);
        assert_eq!(mismatch.left_over, ["head.bias"]);
        let shape = WrongShape { name: "last.weight".into(), found: vec![3, 2], expected: vec![2, 3] };
        assert_eq!(mismatch.shapes, [shape]);
        assert_eq!(values(module.norms[0].running_mean.value()), [0.0, 0.0]);
    }
}
