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
        self.finder().is_some()
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
        self.finder().map_or_else(Vec::new, |find| find())
    }

    /// What lists the devices of this kind; `None` where the build lacks it.
    fn finder(self) -> Option<fn() -> Vec<Device>> {
        #[cfg(feature = "gpu")]
        macro_rules! all {
            ($kind:ident) => {
                Some(|| Device::enumerate(DeviceType::$kind).into_iter().collect())
            };
        }
        match self {
            Self::Cpu => Some(|| vec![Device::flex()]),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // deprecated upstream, kept for comparison
            Self::Ndarray => Some(|| vec![Device::ndarray()]),
            #[cfg(feature = "cuda")]
            Self::Cuda => all!(Cuda),
            #[cfg(feature = "rocm")]
            Self::Rocm => all!(Rocm),
            #[cfg(feature = "metal")]
            Self::Metal => all!(Metal),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => all!(Vulkan),
            // What burn calls WebGPU is a browser's; on a machine of its own it is whatever graphics system is there.
            #[cfg(feature = "webgpu-untuned")]
            Self::Webgpu => all!(Wgpu),
            #[allow(unreachable_patterns)] // where all features are on
            _ => None,
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
