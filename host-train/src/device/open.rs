//! Opening a device, so that what it lacks is said before the work begins.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use burn::tensor::{Device, Tensor};

use super::kind::{Kind, is_software};
use crate::ops;

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The build has none of the kind.
    #[error(
        "--device {0}: this build of kscout was made without it; build again with `cargo build --release -p kscout --features {0}`"
    )]
    NotBuilt(&'static str),
    /// The machine has none of the kind.
    #[error("--device {name}: none was found on this machine; it needs {needs}", name = .0.name(), needs = .0.needs())]
    NoneFound(Kind),
    /// The machine has fewer of the kind.
    #[error("--device {name}:{number}: this machine has {name}:0 to {name}:{}; `kscout devices` lists them", found - 1, name = kind.name())]
    Fewer {
        /// The kind.
        kind: Kind,
        /// What was asked for.
        number: usize,
        /// How many there are, at least one.
        found: usize,
    },
    /// It is there, but does not work.
    #[error("--device {name}:{number}: was found, but does not compute: {said}; it needs {needs}", name = kind.name(), needs = kind.needs())]
    Broken {
        /// The kind.
        kind: Kind,
        /// Its number.
        number: usize,
        /// What the driver or burn said.
        said: String,
    },
}

/// The device of this kind and number, seen to compute.
pub(super) fn open(kind: Kind, number: usize) -> Result<Device, DeviceError> {
    if !kind.is_built() {
        return Err(DeviceError::NotBuilt(kind.name()));
    }
    let found = kind.found();
    let Some(device) = found.get(number) else {
        return Err(match found.len() {
            0 => DeviceError::NoneFound(kind),
            found => DeviceError::Fewer { kind, number, found },
        });
    };
    if kind.is_numbered() {
        try_out(device).map_err(|said| DeviceError::Broken { kind, number, said })?;
    }
    Ok(device.clone())
}

/// The first GPU that works and is no program of the CPU's, else the CPU; says on standard error which GPU does not work.
pub fn auto() -> Device {
    for kind in Kind::GPUS {
        for (number, device) in kind.found().into_iter().enumerate() {
            if is_software(&device) {
                continue;
            }
            match try_out(&device) {
                Ok(()) => return device,
                Err(said) => {
                    let error = DeviceError::Broken { kind, number, said };
                    eprintln!("note: {error}; another device is taken");
                }
            }
        }
    }
    Device::flex()
}

/// Has `device` compute; else what it, or burn, said.
pub(super) fn try_out(device: &Device) -> Result<(), String> {
    let compute = || {
        // The functions come from a library of their own on some devices.
        let sum = ops::sum(Tensor::<1>::from_floats([1.0, 2.0, 4.0], device).log().exp());
        sum.try_into_scalar::<f32>().map_err(|error| error.to_string())
    };
    match quietly(compute) {
        Ok(Ok(sum)) if (sum - 7.0).abs() < 0.01 => Ok(()),
        Ok(Ok(sum)) => Err(format!("1 + 2 + 4 gives {sum}")),
        Ok(Err(said)) => Err(said),
        Err(panicked) => Err(words(panicked.as_ref())),
    }
}

/// `work`, whose panic is an answer and not printed: burn's backends panic where a driver lacks something.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(hook);
    done
}

/// What a panic said, in one line.
fn words(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("it gave up without a word");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_computes() {
        assert!(open(Kind::Cpu, 0).is_ok());
        assert_eq!(try_out(&Device::flex()), Ok(()));
    }

    #[test]
    fn a_kind_that_the_build_lacks_says_how_to_build_it() {
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_built()) {
            let said = open(kind, 0).unwrap_err().to_string();
            let feature = format!("--features {}", kind.name());
            assert!(said.starts_with(&format!("--device {}: ", kind.name())) && said.contains(&feature), "{said}");
        }
    }

    #[test]
    fn errors_name_the_device_and_what_it_needs() {
        let kind = Kind::Vulkan;
        let none = DeviceError::NoneFound(kind).to_string();
        assert!(none.contains("--device vulkan: none was found") && none.contains("mesa-vulkan-drivers"), "{none}");
        let fewer = DeviceError::Fewer { kind: Kind::Cuda, number: 4, found: 2 }.to_string();
        assert!(fewer.contains("--device cuda:4: this machine has cuda:0 to cuda:1"), "{fewer}");
        let broken = DeviceError::Broken { kind, number: 1, said: "lost".into() }.to_string();
        assert!(broken.contains("--device vulkan:1: ") && broken.contains("lost"), "{broken}");
    }

    #[test]
    fn a_panic_is_told_in_one_line() {
        let said = quietly(|| panic!("no\n  driver {}", 7)).unwrap_err();
        assert_eq!(words(said.as_ref()), "no driver 7");
        assert_eq!(words(&3), "it gave up without a word");
    }
}
