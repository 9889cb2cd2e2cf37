//! `kscout net info`.

use clap::Args;

use super::super::{Failure, number};
use crate::data::CLASSES;
use crate::eval::table::{Align, Table};
use crate::export::cost::{Cost, cost};
use crate::net::segmenters::WIDEST;
use crate::net::{Arch, SegmenterSpec};

/// `kscout net info`.
#[derive(Args)]
pub struct InfoArgs {
    /// The network
    #[arg(long, value_name = "NAME", value_parser = super::segmenter())]
    arch: Arch,
    /// Height and width of the image in pixels: 32, 64, 128, 256 or 512
    #[arg(long, default_value_t = 128, value_parser = number::side())]
    size: usize,
    /// Channels of the first stage; as published if not given
    #[arg(long, value_name = "CHANNELS", value_parser = number::whole::<u16>(1..=WIDEST as u64))]
    width: Option<u16>,
    /// Classes told apart, background among them
    #[arg(long, default_value_t = CLASSES as u8, value_parser = number::whole::<u8>(1..=255))]
    classes: u8,
    /// Keep only what this head needs, counted from 1, of a network that has several (unetpp)
    #[arg(long, value_name = "HEAD", value_parser = number::head())]
    prune: Option<usize>,
    /// Print all of it as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl InfoArgs {
    /// Lists.
    pub fn run(self) -> Result<(), Failure> {
        let Self { arch, size, prune, .. } = self;
        let levels = arch.levels();
        if let Some(level) = prune.filter(|level| levels == 1 || !(1..=levels).contains(level)) {
            let takes = match levels {
                1 => format!("only {} can be pruned", prunable().join(" and ")),
                _ => format!("heads are 1 to {levels}"),
            };
            return Err(format!("--prune {level} for {arch}: {takes}").into());
        }
        let mut spec = SegmenterSpec::published(arch, usize::from(self.classes));
        spec.width = self.width.map_or(spec.width, usize::from);
        let cost = cost(&spec, prune, size, size)?;
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&serde_json::json!({ "spec": spec, "prune": prune, "cost": cost }))?
            );
        } else {
            print!("{}", text(&spec, prune, size, &cost));
        }
        Ok(())
    }
}

/// Networks of several heads.
fn prunable() -> Vec<&'static str> {
    Arch::ALL.into_iter().filter(|arch| arch.levels() > 1).map(Arch::name).collect()
}

fn text(spec: &SegmenterSpec, prune: Option<usize>, size: usize, cost: &Cost) -> String {
    let SegmenterSpec { arch, width, classes, channels } = spec;
    let pruned = prune.map_or(String::new(), |level| format!(", pruned to head {level}"));
    let left = ["layer", "operator"].map(|title| (title, Align::Left));
    let right = ["output", "parameters", "MACs", "f32 bytes"].map(|title| (title, Align::Right));
    let mut table = Table::new(left.into_iter().chain(right));
    let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
    for layer in &cost.layers {
        let [h, w, c] = layer.output;
        table.push([
            layer.name.clone(),
            layer.operator.clone(),
            if c == 0 { String::new() } else { format!("{h}x{w}x{c}") },
            number(layer.parameters as u64),
            number(layer.macs),
            number(layer.activation_bytes as u64),
        ]);
    }
    format!(
        "{arch}{pruned}: width {width}, {classes} classes, {channels} image channels, images of {size}x{size}\n\n{}\n\
         {} parameters, {} MACs for an image of one channel\n\
         activations at their peak: {} bytes in f32, {} bytes in int8 with the kernels' scratch memory\n",
        table.to_text(),
        cost.parameters,
        cost.macs,
        cost.peak_f32_bytes,
        cost.arena_int8_bytes,
    )
}
