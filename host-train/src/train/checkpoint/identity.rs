//! Which weights a checkpoint holds, in 32 bits that a file made of it carries on.

use std::fmt;
use std::num::NonZeroU32;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A hash of a network's weights. It depends on their names, shapes and values alone: saved anew, in another order or in
/// another format, the same weights have the same hash.
///
/// It is the CRC-32 (ISO-HDLC, that of zlib) of all tensors of the module, running averages of its normalisations among them, in
/// the order of their names (bytes of UTF-8), and of each the name, a zero byte, the number of axes and the length of each (u32),
/// and the values as f32 in row-major order; numbers little-endian. A CRC of 0, which stands for "not known", becomes 1.
///
/// It tells files apart that somebody mixed up; it is no protection against somebody who means to deceive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WeightsHash(NonZeroU32);

impl WeightsHash {
    /// The hash of `module`'s weights.
    pub fn of(module: &impl Module) -> Self {
        let mut found = Weights::default();
        module.visit(&mut found);
        found.hash()
    }

    /// The hash of a fixed order of lines, which has no weights: the CRC-32 of `lines`, little-endian, after the word `order`.
    pub fn of_order(lines: &[u16]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(b"order");
        lines.iter().for_each(|line| crc.update(&line.to_le_bytes()));
        Self(NonZeroU32::new(crc.finalize()).unwrap_or(NonZeroU32::MIN))
    }

    /// Its number, never 0.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<NonZeroU32> for WeightsHash {
    fn from(hash: NonZeroU32) -> Self {
        Self(hash)
    }
}

impl fmt::Display for WeightsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:08x}", self.0))
    }
}

impl fmt::Debug for WeightsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for WeightsHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WeightsHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hash = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hash.then(|| u32::from_str_radix(&text, 16).ok()).flatten().and_then(NonZeroU32::new);
        hash.map(Self).ok_or_else(|| de::Error::custom("expected a hash of weights: 8 hexadecimal digits, not all 0"))
    }
}

/// The tensors of a module, by name.
#[derive(Default)]
struct Weights {
    path: Vec<String>,
    tensors: Vec<(String, TensorData)>,
}

impl Weights {
    fn add(&mut self, data: TensorData) {
        self.tensors.push((self.path.join("."), data));
    }

    fn hash(mut self) -> WeightsHash {
        self.tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut crc = crc32fast::Hasher::new();
        for (name, data) in self.tensors {
            crc.update(name.as_bytes());
            crc.update(&[0]);
            crc.update(&(data.shape().num_dims() as u32).to_le_bytes());
            data.shape().iter().for_each(|&extent| crc.update(&(extent as u32).to_le_bytes()));
            data.iter::<f32>().for_each(|value| crc.update(&value.to_le_bytes()));
        }
        WeightsHash(NonZeroU32::new(crc.finalize()).unwrap_or(NonZeroU32::MIN))
    }
}

/// What is saved is hashed, as burn's own records do it.
impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.transform_for_save().val().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param.transform_for_save().val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param.transform_for_save().val().into_data());
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::net::SlicePolicy;

    fn hash(tensors: &[(&str, &[f32], &[usize])]) -> WeightsHash {
        let tensors =
            tensors.iter().map(|&(name, values, shape)| (name.into(), TensorData::new(values.to_vec(), shape)));
        Weights { path: Vec::new(), tensors: tensors.collect() }.hash()
    }

    #[test]
    fn the_hash_is_the_crc_of_names_shapes_and_values_in_the_order_of_names() {
        let values: Vec<u8> = [1.0f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes =
            [&b"a.bias\0\x01\0\0\0\x02\0\0\0"[..], &values, b"b\0\x02\0\0\0\x01\0\0\0\x01\0\0\0", &[0; 4]].concat();
        let expected = crc32fast::hash(&bytes);
        let (a, b) = (("a.bias", &[1.0, -2.0][..], &[2][..]), ("b", &[0.0][..], &[1, 1][..]));
        assert_eq!(hash(&[a, b]).get(), expected);
        assert_eq!(hash(&[b, a]).get(), expected);
    }

    #[test]
    fn a_changed_value_name_or_shape_is_another_hash() {
        let whole = hash(&[("a", &[1.0, 2.0], &[2])]);
        for other in [
            hash(&[("a", &[1.0, f32::from_bits(2.0f32.to_bits() + 1)], &[2])]),
            hash(&[("b", &[1.0, 2.0], &[2])]),
            hash(&[("a", &[1.0, 2.0], &[1, 2])]),
            hash(&[("a", &[2.0, 1.0], &[2])]),
        ] {
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn weights_that_went_through_a_file_have_the_same_hash_and_new_ones_another() {
        let device = Device::flex();
        let (saved, other) = (SlicePolicy::new(&device), SlicePolicy::new(&device));
        let bytes = saved.clone().into_record().into_bytes().unwrap();
        let read = other.clone().try_load_record(burn::store::ModuleRecord::from_bytes(bytes).unwrap()).unwrap();
        assert_eq!(WeightsHash::of(&read), WeightsHash::of(&saved));
        assert_ne!(WeightsHash::of(&other), WeightsHash::of(&saved));
    }

    #[test]
    fn a_hash_is_written_as_eight_digits_and_other_texts_are_refused() {
        let hash = WeightsHash(NonZeroU32::new(0xab).unwrap());
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(text, "\"000000ab\"");
        assert_eq!(serde_json::from_str::<WeightsHash>(&text).unwrap(), hash);
        for text in ["\"00000000\"", "\"ab\"", "\"0000000g\"", "\"+00000ab\"", "171", "\"\""] {
            assert!(serde_json::from_str::<WeightsHash>(text).is_err(), "{text}");
        }
    }
}
