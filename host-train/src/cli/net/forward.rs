//! `kscout net forward`.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use kscout_core::model::TensorInfo;

use super::super::cost::CostArgs;
use super::super::{Failure, expect_no_input};
use super::npy::Array;
use crate::device::DeviceChoice;
use crate::export::BlobFile;
use crate::inference::numbers::{NoNumbers, numbers};
use crate::inference::segment::{CoreSegmenter, Segment};
use crate::io::lock::Locks;
use crate::net::import::{StateDict, import_segmenter, wanted_segmenter};
use crate::net::{Arch, Segmenter, SegmenterSpec};
use crate::train::checkpoint;

/// `kscout net forward`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  kscout net forward --arch unext-s --weights model.pth --input images.npy --output logits.npy\n  kscout net forward --blob heart.kscout --input images.npy --output logits.npy"
)]
pub struct ForwardArgs {
    /// The network; a checkpoint knows its own
    #[arg(long, value_name = "NAME", value_parser = super::segmenter(), required_unless_present_any = ["segmenter", "blob"])]
    arch: Option<Arch>,
    /// Weights: .pth, .pt or .ckpt as torch.save writes them, or .safetensors
    #[arg(long, value_name = "FILE", required_unless_present_any = ["segmenter", "blob"], conflicts_with = "segmenter")]
    weights: Option<PathBuf>,
    /// Of several networks in the weights' file, the one behind this key, such as model_ema
    #[arg(long, value_name = "NAME", requires = "weights")]
    key: Option<String>,
    /// A checkpoint, from `kscout import` or `kscout train segmenter`, instead of weights
    #[arg(long, alias = "model", value_name = "DIR")]
    segmenter: Option<PathBuf>,
    /// The int8 segmenter of a file that `kscout export` wrote: images are rounded to its input's steps, logits are its output's
    #[arg(long, value_name = "FILE.kscout", conflicts_with_all = ["arch", "weights", "segmenter", "device"])]
    blob: Option<PathBuf>,
    #[command(flatten)]
    cost: CostArgs,
    /// Images [B, C, H, W] as float32 or float64, C being 1 or the network's channels
    #[arg(long, value_name = "FILE.npy")]
    input: PathBuf,
    /// Where to write the logits [B, classes, H, W] as float32; of U-Net++ those of its heads, [4, B, classes, H, W]
    #[arg(long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Where to compute: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
}

impl ForwardArgs {
    /// Runs the network.
    pub fn run(self) -> Result<(), Failure> {
        let inputs = [Some(&self.input), self.weights.as_ref(), self.blob.as_ref()];
        let inputs: Vec<_> = inputs.into_iter().flatten().map(PathBuf::as_path).collect();
        expect_no_input("--output", &self.output, &inputs)?;
        let _locks = Locks::of([self.output.as_path()])?;
        let logits = match &self.blob {
            Some(blob) => self.in_int8(&self.cost.read(blob)?, blob)?,
            None => self.in_real_numbers()?,
        };
        logits.write(&self.output)?;
        println!("{}: {:?}, float32", self.output.display(), logits.shape);
        Ok(())
    }

    fn in_real_numbers(&self) -> Result<Array, Failure> {
        let device = self.device.open()?;
        let (network, spec) = self.network(&device)?;
        let images = Array::read(&self.input)?;
        let [batch, channels, height, width] = check_input(&self.input, &images, &spec)?;
        // One image at a time, so that memory does not grow with their number; batch norms do not mix images either.
        let heads: Vec<Vec<f32>> = images
            .data
            .chunks_exact(channels * height * width)
            .map(|image| {
                let image = TensorData::new(image.to_vec(), [1, channels, height, width]);
                let heads = network.heads(Tensor::<4>::from_data(image, &device));
                let heads = heads.into_iter().map(|head| numbers(head, "network")).collect::<Result<Vec<_>, _>>()?;
                Ok(heads.concat())
            })
            .collect::<Result<_, NoNumbers>>()?;
        let levels = spec.arch.levels();
        Ok(Array {
            shape: [&[levels][usize::from(levels == 1)..], &[batch, spec.classes, height, width]].concat(),
            data: heads_first(&heads, levels),
        })
    }

    fn in_int8(&self, file: &BlobFile, path: &Path) -> Result<Array, Failure> {
        let model = file.model()?;
        let graph = model.segmenter().ok_or_else(|| format!("{}: no segmenter in this file", path.display()))?;
        let images = Array::read(&self.input)?;
        let (input, output) = (graph.input(0).ok_or("a segmenter without an input")?, graph.output());
        let expected = [input.shape.c, input.shape.h, input.shape.w];
        if images.shape.len() != 4 || images.shape[1..] != expected || images.shape[0] == 0 {
            let ([c, h, w], got) = (expected, &images.shape);
            let name = self.input.display();
            return Err(format!("{name}: an array of {got:?}; this segmenter takes [B, {c}, {h}, {w}]").into());
        }
        let levels: Vec<i8> = images.data.iter().map(|&value| to_step(value, &input)).collect();
        let levels: Vec<&[i8]> = levels.chunks_exact(input.shape.len()).collect();
        let logits = CoreSegmenter { graph }.logits(&levels)?;
        let real = |q: f32| output.scale * (q - output.zero_point as f32);
        Ok(Array {
            shape: vec![images.shape[0], output.shape.c, output.shape.h, output.shape.w],
            data: logits.iter().flat_map(|logits| channels_first(logits, output.shape.c)).map(real).collect(),
        })
    }

    fn network(&self, device: &Device) -> Result<(Segmenter, SegmenterSpec), Failure> {
        if let (Some(weights), Some(arch)) = (&self.weights, self.arch) {
            let wanted = wanted_segmenter(arch).under(self.key.as_deref());
            return Ok(import_segmenter(arch, &StateDict::read_wanted(weights, wanted)?, device)?);
        }
        let dir = self.segmenter.as_deref().ok_or("--weights or --segmenter is needed")?;
        let (dir, mut meta) = checkpoint::read_meta(dir)?;
        let spec = meta.segmenter(&dir)?.spec;
        match self.arch {
            Some(arch) if arch != spec.arch => {
                Err(format!("{}: a checkpoint of `{}`, but --arch says `{arch}`", dir.display(), spec.arch).into())
            }
            _ => Ok((checkpoint::load_noted(&dir, Segmenter::new(&spec, device), &mut meta)?, spec)),
        }
    }
}

/// `[B, C, H, W]` of the images, if the network takes them.
fn check_input(path: &Path, images: &Array, spec: &SegmenterSpec) -> Result<[usize; 4], Failure> {
    let refuse = |what: String| Err(format!("{}: {what}", path.display()).into());
    let &[batch, channels, height, width] = images.shape.as_slice() else {
        return refuse(format!("an array of {:?}; images are [B, C, H, W]", images.shape));
    };
    if channels != 1 && channels != spec.channels {
        let own = if spec.channels == 1 { "1".into() } else { format!("1 or {}", spec.channels) };
        return refuse(format!("images of {channels} channels; this {} takes {own}", spec.arch));
    }
    let (least, even) = (spec.arch.description().least_side, spec.arch.description().needs_multiples);
    let fits = |side: usize| side >= least && (!even || side.is_multiple_of(least));
    if batch == 0 || !fits(height) || !fits(width) {
        let rule = if even { format!("multiples of {least}") } else { format!("at least {least}") };
        return refuse(format!("{batch} images of {height}x{width}; {} takes one or more, of sides {rule}", spec.arch));
    }
    Ok([batch, channels, height, width])
}

/// The step nearest to `value`, halves to even as ONNX's `QuantizeLinear` has it.
fn to_step(value: f32, tensor: &TensorInfo) -> i8 {
    ((value / tensor.scale).round_ties_even() + tensor.zero_point as f32).clamp(-128.0, 127.0) as i8
}

/// `[pixel][channel]` as `[channel][pixel]`.
fn channels_first(values: &[f32], channels: usize) -> impl Iterator<Item = f32> {
    (0..channels).flat_map(move |channel| values.iter().skip(channel).step_by(channels).copied())
}

/// From every image's heads, one behind the other, to every head's images.
fn heads_first(images: &[Vec<f32>], levels: usize) -> Vec<f32> {
    let head = |level: usize| {
        images.iter().flat_map(move |image| {
            let length = image.len() / levels;
            image[level * length..][..length].iter().copied()
        })
    };
    (0..levels).flat_map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arch: Arch, shape: &[usize]) -> Result<[usize; 4], String> {
        let images = Array { shape: shape.to_vec(), data: Vec::new() };
        let spec = SegmenterSpec::published(arch, 4);
        check_input(Path::new("in.npy"), &images, &spec).map_err(|error| error.to_string())
    }

    #[test]
    fn images_that_a_network_cannot_take_are_refused_in_words() {
        assert_eq!(check(Arch::Unet, &[2, 1, 50, 37]), Ok([2, 1, 50, 37]));
        assert_eq!(check(Arch::UnextS, &[1, 3, 32, 64]), Ok([1, 3, 32, 64]));
        let says = |arch, shape: &[usize], words: &str| {
            let error = check(arch, shape).unwrap_err();
            assert!(error.starts_with("in.npy: ") && error.contains(words), "{error}");
        };
        says(Arch::Unet, &[64, 64], "images are [B, C, H, W]");
        says(Arch::Unet, &[1, 3, 64, 64], "3 channels; this unet takes 1");
        says(Arch::Unext, &[1, 2, 64, 64], "2 channels; this unext takes 1 or 3");
        says(Arch::UnextS, &[1, 1, 50, 64], "multiples of 32");
        says(Arch::UnetPp, &[1, 1, 8, 64], "at least 16");
        says(Arch::Unet, &[0, 1, 64, 64], "0 images");
    }

    #[test]
    fn heads_come_first() {
        let images = vec![vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]];
        assert_eq!(heads_first(&images, 2), [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
    }
}
