//! Kinds of devices: what a build needs to have them, and a machine.

use burn::tensor::Device;
#[cfg(feature = "gpu")]
use burn::tensor::DeviceType;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The CPU: burn's flex backend, with this crate's operators.
    Cpu,
    /// The CPU through ndarray, burn's former backend.
    Ndarray,
    /// NVIDIA GPUs.
    Cuda,
    /// AMD GPUs.
    Rocm,
    /// Apple's GPUs.
    Metal,
    /// GPUs of any maker, by Vulkan.
    Vulkan,
    /// GPUs of any maker, by shaders that every graphics system takes.
    Webgpu,
}

impl Kind {
    /// All, the preferred of several GPUs first.
    pub const ALL: [Self; 7] =
        [Self::Cpu, Self::Cuda, Self::Rocm, Self::Metal, Self::Vulkan, Self::Webgpu, Self::Ndarray];
    /// The GPUs among them.
    pub const GPUS: [Self; 5] = [Self::Cuda, Self::Rocm, Self::Metal, Self::Vulkan, Self::Webgpu];

    /// The name after `--device`; that of the feature of the build, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Ndarray => "ndarray",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::Webgpu => "webgpu",
        }
    }

    /// Whether a machine may have several.
    pub fn is_numbered(self) -> bool {
        Self::GPUS.contains(&self)
    }

    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Rocm => cfg!(feature = "rocm"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Webgpu => cfg!(feature = "webgpu-untuned"),
        }
    }

    /// What a machine needs for it, and how to see whether it has it.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Cpu | Self::Ndarray => "nothing",
            Self::Cuda => {
                "an NVIDIA GPU with its driver, whose GPUs `nvidia-smi` lists, and the CUDA toolkit, where CUDA_PATH says: of it \
                 libdevice, or libnvrtc in a build with `cuda-nvrtc`"
            }
            Self::Rocm => "an AMD GPU with ROCm, whose GPUs `rocminfo` lists",
            Self::Metal => "a Mac",
            Self::Vulkan => {
                "the Vulkan loader and the driver of a GPU, which `vulkaninfo --summary` lists; on Debian and Ubuntu \
                 `apt-get install libvulkan1 mesa-vulkan-drivers`, which brings those of AMD and Intel and one for any CPU"
            }
            Self::Webgpu => {
                "a GPU's driver for Vulkan, Metal, DirectX 12 or OpenGL; on Debian and Ubuntu \
                 `apt-get install libvulkan1 mesa-vulkan-drivers`"
            }
        }
    }

    /// The devices of this kind that this build reaches on this machine, in the order of their numbers; none is opened.
    pub fn found(self) -> Vec<Device> {
        match self {
            Self::Cpu => vec![Device::flex()],
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // deprecated upstream, kept for comparison
            Self::Ndarray => vec![Device::ndarray()],
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::enumerate(DeviceType::Cuda).into_iter().collect(),
            #[cfg(feature = "rocm")]
            Self::Rocm => Device::enumerate(DeviceType::Rocm).into_iter().collect(),
            #[cfg(feature = "metal")]
            Self::Metal => Device::enumerate(DeviceType::Metal).into_iter().collect(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Device::enumerate(DeviceType::Vulkan).into_iter().collect(),
            // What burn calls WebGPU is a browser's; on a machine of its own it is whatever graphics system is there.
            #[cfg(feature = "webgpu-untuned")]
            Self::Webgpu => Device::enumerate(DeviceType::Wgpu).into_iter().collect(),
            #[allow(unreachable_patterns)] // where all features are on
            _ => Vec::new(),
        }
    }
}

/// Whether `device` is a program that stands in for a GPU.
pub(super) fn is_software(device: &Device) -> bool {
    #[cfg(feature = "wgpu")]
    {
        use burn::backend::{CubeDevice, DispatchDevice, WgpuDeviceKind};
        if let DispatchDevice::Cube(CubeDevice::Wgpu(device)) = device.as_dispatch() {
            return device.kind == WgpuDeviceKind::Cpu;
        }
    }
    let _ = device;
    false
}
