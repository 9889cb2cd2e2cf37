//! `kscout import`.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use kscout_core::kspace::fft::is_fft_length;

use super::Failure;
use crate::data::CLASSES;
use crate::export::cost::parameters;
use crate::net::import::{StateDict, import_segmenter};
use crate::net::{Arch, SegmenterSpec};
use crate::train::{Meta, checkpoint};

/// `kscout import`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout import --arch unext-s --weights model.pth --out runs/unext\n\nTakes state dicts with the original projects' own names, with or without DataParallel's `module.` prefix or a wrapping\n`state_dict`. Nothing in the file is ever run."
)]
pub struct ImportArgs {
    /// The network: unet, unet-bilinear, unetpp, unext or unext-s; width, classes and channels are the weights' own
    #[arg(long, value_name = "NAME")]
    arch: Arch,
    /// The weights: .pth, .pt or .ckpt as torch.save writes them, or .safetensors
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Height and width in pixels of the images it is for: 32, 64, 128, 256 or 512
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// The checkpoint to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ImportArgs {
    /// Imports.
    pub fn run(self) -> Result<(), Failure> {
        let Self { arch, weights, size, out } = self;
        if !(is_fft_length(size) && size >= 32) {
            return Err(format!("--size {size}: images have sides of 32, 64, 128, 256 or 512").into());
        }
        if out.exists() {
            return Err(format!("{}: there already; choose another --out, or remove it", out.display()).into());
        }
        let dict = StateDict::read(&weights)?;
        let (network, spec) = import_segmenter(arch, &dict, &Device::flex())?;
        let meta = Meta::untrained(spec, [size, size], format!("imported from {}", weights.display()));
        checkpoint::save(&out, &network, None, &meta)?;
        let SegmenterSpec { width, classes, channels, .. } = spec;
        println!(
            "{}: {arch}, width {width}, {classes} classes, {channels} image channels, {} parameters",
            out.display(),
            parameters(&network)
        );
        if !dict.left_out().is_empty() {
            println!(
                "left out as no weights: {} integer entries, such as {}",
                dict.left_out().len(),
                dict.left_out()[0]
            );
        }
        if classes != CLASSES {
            println!(
                "note: kscout's data sets have {CLASSES} classes; `kscout net` runs this network, training and evaluation do not"
            );
        }
        println!("licence: {}", licence(arch));
        Ok(())
    }
}

/// What the projects say that publish such weights.
fn licence(arch: Arch) -> &'static str {
    match arch {
        Arch::Unet | Arch::UnetBilinear => {
            "Pytorch-UNet, weights published with it included, is under GPL-3.0; weights that you trained are yours"
        }
        Arch::UnetPp => {
            "UNet++'s authors allow academic and other non-commercial use only, of what derives from their work too; \
             ask them before any other use of their weights"
        }
        Arch::Unext | Arch::UnextS => "UNeXt-pytorch is under the MIT licence; keep its notice with its weights",
    }
}
