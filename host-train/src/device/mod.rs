//! Where tensors live: `--device auto|cpu|cuda[:N]|...`.
//!
//! A build has the CPU and the kinds of its features; a machine has of those what its drivers name. [`DeviceChoice`] is what a
//! person asks for, [`Kind`] a kind of device, what of it is here and what it lacks.

mod describe;
mod kind;
mod open;

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

pub use describe::name;
pub use kind::Kind;
pub use open::{DeviceError, auto};

/// A device by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU of this build and machine that works, else the CPU.
    #[default]
    Auto,
    /// The one of this kind with this number, counted from 0.
    Of(Kind, usize),
}

impl DeviceChoice {
    /// The device, without gradients.
    ///
    /// # Errors
    /// [`DeviceError`] says what this build or this machine lacks, and how to get it.
    pub fn open(self) -> Result<Device, DeviceError> {
        let device = match self {
            Self::Auto => auto(),
            Self::Of(kind, number) => open::open(kind, number)?,
        };
        // A build without GPUs has nothing to tell.
        if Kind::GPUS.into_iter().any(Kind::is_built) {
            let on = match self {
                Self::Of(kind, _) if !kind.is_numbered() => format!("the CPU (--device {})", kind.name()),
                _ => name(&device),
            };
            eprintln!("note: computes on {on}");
        }
        Ok(device)
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Of(kind, number) if kind.is_numbered() => write!(f, "{}:{number}", kind.name()),
            Self::Of(kind, _) => f.write_str(kind.name()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        // What the CPU was called when there was a second one.
        let name = if name == "flex" { "cpu" } else { name };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(expected)?;
        match number {
            None => Ok(Self::Of(kind, 0)),
            Some(_) if !kind.is_numbered() => Err(format!("there is one {name} alone; leave the number out")),
            Some(number) => match number.parse() {
                Ok(number) => Ok(Self::Of(kind, number)),
                Err(_) => Err(format!("`{number}` is not the number of a device; expected {name}:0, {name}:1 and on")),
            },
        }
    }
}

fn expected() -> String {
    let names =
        Kind::ALL.map(|kind| if kind.is_numbered() { format!("{}[:N]", kind.name()) } else { kind.name().into() });
    format!("expected auto, {}; `kscout devices` lists what is here", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<DeviceChoice>();
        assert_eq!(read("auto"), Ok(DeviceChoice::Auto));
        assert_eq!(read("cpu"), Ok(DeviceChoice::Of(Kind::Cpu, 0)));
        assert_eq!(read("flex"), read("cpu"), "the old name");
        assert_eq!(read("cuda"), read("cuda:0"));
        assert_eq!(read("vulkan:12"), Ok(DeviceChoice::Of(Kind::Vulkan, 12)));
        for written in ["auto", "cpu", "ndarray", "cuda:3", "rocm:0", "metal:1", "vulkan:12", "webgpu:2"] {
            assert_eq!(read(written).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_device_is_told_what_is() {
        let refused = |text: &str| text.parse::<DeviceChoice>().unwrap_err();
        for text in ["", "gpu", "CUDA", "cuda0", "auto:0"] {
            let said = refused(text);
            assert!(said.contains("expected auto, cpu, ") && said.contains("cuda[:N]"), "{text}: {said}");
        }
        for text in ["cuda:", "cuda:x", "cuda:-1", "cuda:0:1"] {
            assert!(refused(text).contains("expected cuda:0, cuda:1"), "{text}");
        }
        assert!(refused("cpu:1").contains("leave the number out"));
    }
}
