//! Where tensors live: `--device auto|flex|ndarray|cuda`.

use burn::tensor::Device;
use clap::ValueEnum;

/// A compute device by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// CUDA where this build has it, else flex.
    #[default]
    Auto,
    /// The CPU, with burn's own kernels.
    Flex,
    /// The CPU, through ndarray (needs a build with `--features ndarray`).
    Ndarray,
    /// An NVIDIA GPU (needs a build with `--features cuda`).
    Cuda,
}

/// A device that this build does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "--device {name}: this build of kscout was made without it; build again with `cargo build --release -p kscout --features {name}`"
)]
pub struct MissingDevice {
    name: &'static str,
}

impl DeviceChoice {
    /// The device, without gradients.
    pub fn open(self) -> Result<Device, MissingDevice> {
        match self {
            Self::Auto if cfg!(feature = "cuda") => Self::Cuda.open(),
            Self::Auto | Self::Flex => Ok(Device::flex()),
            Self::Ndarray => ndarray(),
            Self::Cuda => cuda(),
        }
    }
}

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // deprecated upstream, kept for comparison
fn ndarray() -> Result<Device, MissingDevice> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, MissingDevice> {
    Err(MissingDevice { name: "ndarray" })
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, MissingDevice> {
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, MissingDevice> {
    Err(MissingDevice { name: "cuda" })
}
