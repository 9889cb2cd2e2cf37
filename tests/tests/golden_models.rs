//! The published UNeXt-S, computed by its own PyTorch code on weights that anyone can make again from their names.
//!
//! `uniform(name)`: state = FNV-1a 64 of `salt/name`, then SplitMix64; the top 24 bits of each output as a number in
//! [-1, 1). Each parameter is a scale and an offset of it, by the last part of its name.

use std::fs;

use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Tensor, TensorData};
use kscout::net::unext::{UNEXT_S_STAGES, UNext};
use kscout_tests::golden_dir;
use serde_json::{Map, Value, json};

fn uniform(salt: &str, name: &str, count: usize) -> Vec<f32> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let base = format!("{salt}/{name}").bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mut stream = kscout_core::kspace::SplitMix64::new(base);
    (0..count).map(|_| ((stream.next_u64() >> 40) as f64 / f64::from(1 << 23) - 1.0) as f32).collect()
}

fn parameter(salt: &str, name: &str, shape: &[usize]) -> Vec<f32> {
    let u = uniform(salt, name, shape.iter().product());
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let spread = |f: &dyn Fn(f32) -> f32| u.iter().map(|&u| f(u)).collect();
    match leaf {
        "running_var" => spread(&|u| 1.0 + 0.5 * u),
        "running_mean" | "bias" => spread(&|u| 0.1 * u),
        "weight" if shape.len() == 1 => spread(&|u| 1.0 + 0.1 * u),
        _ => {
            let scale = (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
            spread(&|u| scale * u)
        }
    }
}

/// A safetensors file of all parameters: header length, header, data.
fn safetensors(salt: &str, shapes: &Map<String, Value>) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape) in shapes {
        let dims: Vec<usize> = shape.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
        let start = data.len();
        data.extend(parameter(salt, name, &dims).iter().flat_map(|value| value.to_le_bytes()));
        // `final` is a word of Rust's own, so the module spells it `r#final`.
        let name = if name.starts_with("final.") { format!("r#{name}") } else { name.clone() };
        header.insert(name, json!({"dtype": "F32", "shape": dims, "data_offsets": [start, data.len()]}));
    }
    let header = Value::Object(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The values of a little-endian f32 `.npy` file.
fn npy(name: &str) -> Vec<f32> {
    let bytes = fs::read(golden_dir().join("models").join(name)).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn unext_s_gives_the_logits_of_the_published_network() {
    let text = fs::read_to_string(golden_dir().join("models/models.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let salt = golden["salt"].as_str().unwrap();
    let shapes = golden["models"]["unext_s"]["state_dict"].as_object().unwrap();

    let device = Device::flex();
    let mut network = UNext::new(3, 4, UNEXT_S_STAGES.map(|stage| 8 * stage), &device);
    let mut store =
        SafetensorsStore::from_bytes(Some(safetensors(salt, shapes))).with_from_adapter(PyTorchToBurnAdapter);
    network.load_from(&mut store).unwrap();

    let input = uniform(salt, "input/unext_s", 3 * 64 * 64);
    let input = Tensor::<4>::from_data(TensorData::new(input, [1, 3, 64, 64]), &device);
    let logits = network.forward(input).into_data().try_into_vec::<f32>().unwrap();
    let expected = npy("unext_s_out.npy");
    assert_eq!(logits.len(), expected.len());
    for (i, (a, b)) in logits.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() < 2e-4, "logit {i}: {a}, published {b}");
    }
}
