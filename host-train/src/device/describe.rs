//! What there is of a kind, in words: `kscout devices`.

use burn::tensor::Device;

use super::DeviceChoice;
use super::kind::{Kind, is_software};
use super::open::try_out;
use crate::ops::{has_bf16_products, is_cpu};

impl Kind {
    /// The devices of this kind that this build reaches on this machine: what `--device` calls each, and what it is. Opens them.
    pub fn described(self) -> Vec<(String, String)> {
        let name = |number| DeviceChoice::Of(self, number).to_string();
        self.found().iter().enumerate().map(|(number, device)| (name(number), self.describe(device))).collect()
    }

    fn describe(self, device: &Device) -> String {
        match self {
            Self::Cpu => {
                let threads = rayon::current_num_threads();
                let products = if has_bf16_products() { "f32, bf16 products by AVX512-BF16" } else { "f32" };
                format!("this machine's processor, {threads} threads, {products}")
            }
            Self::Ndarray => "the same by burn's ndarray backend: much slower".into(),
            _ => {
                let working = try_out(device).err().map(|said| format!("; does not compute: {said}"));
                let software = is_software(device).then_some("; software on the processor, slower than cpu");
                format!("{}{}{}", name(device), software.unwrap_or_default(), working.unwrap_or_default())
            }
        }
    }
}

/// What a device is called: the CPU, or what a GPU calls itself.
pub fn name(device: &Device) -> String {
    if is_cpu(device) { "the CPU".into() } else { gpu_name(device).unwrap_or_else(|| "a GPU without a name".into()) }
}

/// What a GPU calls itself.
#[cfg(feature = "gpu")]
fn gpu_name(device: &Device) -> Option<String> {
    super::open::quietly(|| device.identity()).ok().flatten().map(|identity| identity.name)
}

#[cfg(not(feature = "gpu"))]
fn gpu_name(_: &Device) -> Option<String> {
    None
}
