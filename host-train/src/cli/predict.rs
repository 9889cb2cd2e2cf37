//! `kscout predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use kscout_core::kspace::Reconstruction;

use super::Failure;
use super::data::{Spacing, parse_spacing};
use crate::data::{CLASSES, DataError};
use crate::device::DeviceChoice;
use crate::eval::metrics::Structure;
use crate::export::BlobFile;
use crate::io::lock::Locks;
use crate::mri::Protocol;
use crate::predict::input::{Input, name_of};
use crate::predict::output::write;
use crate::predict::{Prediction, Predictor, Undersampling};
use crate::segment::{CoreSegmenter, DeviceSegmenter, Segment};
use crate::train::reward::load_segmenter;

/// `kscout predict`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout predict --model runs/reward --out out heart.nii.gz\n  kscout predict --blob heart.kscout --undersample centre-out:16 --overlay --out fast heart.nii.gz\n\nheart.nii.gz becomes out/heart_seg.nii.gz with the same dimensions, spacing and place in space; slice.png becomes\nout/slice_seg.png, whose values are the classes: 0 background, 1 RV, 2 MYO, 3 LV. The network sees a crop around the\nmiddle; outside it there is background. `kscout metrics` compares with a ground truth."
)]
pub struct PredictArgs {
    /// NIfTI volumes (.nii, .nii.gz) and grey PNG pictures
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Checkpoint of a segmenter: the folder that `kscout train reward` wrote, or its `best` or `last`
    #[arg(long, value_name = "DIR", required_unless_present = "blob", conflicts_with = "blob")]
    model: Option<PathBuf>,
    /// Exported file: segments in int8, as a device does
    #[arg(long, value_name = "FILE.kscout")]
    blob: Option<PathBuf>,
    /// Folder for the segmentations; files of the same name are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Draw each slice with its classes over it: a volume's into the folder NAME_overlay, in place of all that is there
    #[arg(long)]
    overlay: bool,
    /// Measure so many lines of k-space alone, such as centre-out:16, equispaced:32 or variable-density:24
    #[arg(long, value_name = "PATTERN:LINES")]
    undersample: Option<Undersampling>,
    /// In-plane spacing that the network was trained at, in mm, or `native` to take slices as they are; pictures are
    /// always taken so
    #[arg(long, default_value = "1.5", value_parser = parse_spacing)]
    spacing: Spacing,
    /// How slices are measured: `igs` (magnitude only) or `scanner` (phase and noise)
    #[arg(long, default_value = "igs")]
    protocol: Protocol,
    /// Seed of phase, noise and random patterns
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep only what the K-th head of a U-Net++ needs, 1 to 4; a blob is pruned when it is exported
    #[arg(long, value_name = "K", requires = "model", conflicts_with = "blob")]
    prune: Option<usize>,
    /// Where --model computes
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

impl PredictArgs {
    /// Segments.
    pub fn run(self) -> Result<(), Failure> {
        self.check()?;
        let _locks = Locks::of([self.out.as_path()])?;
        match (&self.blob, &self.model) {
            (Some(path), _) => {
                let file = BlobFile::read(path)?;
                let model = file.model()?;
                let graph = model.segmenter().ok_or_else(|| format!("{}: holds no segmenter", path.display()))?;
                check_network(path, [model.height(), model.width()], model.classes())?;
                self.segment(&CoreSegmenter { graph }, model.width(), model.reconstruction())
            }
            (None, Some(path)) => {
                let device = self.device.open()?;
                let (network, meta) = load_segmenter(path, self.prune, &device)?;
                let size = [meta.height, meta.width];
                check_network(path, size, meta.segmenter(path)?.classes)?;
                // The magnitude of all lines together does not depend on the phase; that of few does.
                if self.undersample.is_some() {
                    meta.note_protocol(&self.protocol.to_string());
                }
                self.segment(&DeviceSegmenter { network, size, device }, meta.width, meta.reconstruction)
            }
            (None, None) => Err("give --model or --blob".into()),
        }
    }

    /// What can be refused before a network is loaded.
    fn check(&self) -> Result<(), Failure> {
        if let Some(mm) = self.spacing.mm().filter(|mm| !(0.1..=20.0).contains(mm)) {
            return Err(format!("--spacing: {mm} mm; expected 0.1 to 20 mm, or `native`").into());
        }
        let mut names: Vec<(String, &Path)> = Vec::new();
        for path in &self.inputs {
            if !path.is_file() {
                return Err(format!("{}: no such file", path.display()).into());
            }
            // What is named alike would be written to one file.
            let name = name_of(path)?;
            if let Some((_, other)) = names.iter().find(|(other, _)| *other == name) {
                let (path, other) = (path.display(), other.display());
                return Err(format!("{other} and {path}: both would become {name}_seg; segment one at a time").into());
            }
            names.push((name, path));
        }
        Ok(())
    }

    /// Segments every input; what is wrong with one does not keep the others.
    fn segment(
        &self,
        network: &(dyn Segment + Sync),
        side: usize,
        reconstruction: Reconstruction,
    ) -> Result<(), Failure> {
        if let Some(undersampling) = self.undersample.filter(|undersampling| undersampling.lines > side) {
            return Err(format!("--undersample {undersampling}: a scan has 1 to {side} lines").into());
        }
        let predictor = Predictor {
            network,
            side,
            spacing_mm: self.spacing.mm(),
            undersampling: self.undersample,
            reconstruction,
            protocol: self.protocol,
            seed: self.seed,
        };
        let mut failed = Vec::new();
        for path in &self.inputs {
            match self.one(&predictor, path) {
                Ok(line) => println!("{line}"),
                Err(error) => failed.push(error),
            }
        }
        let Some(last) = failed.pop() else { return Ok(()) };
        if self.inputs.len() == 1 {
            return Err(last);
        }
        failed.iter().chain([&last]).for_each(|error| eprintln!("error: {error}"));
        Err(format!("{} of {} inputs were not segmented, see above", failed.len() + 1, self.inputs.len()).into())
    }

    fn one(&self, predictor: &Predictor<'_>, path: &Path) -> Result<String, Failure> {
        let input = Input::read(path)?;
        let blank = || DataError::Blank { path: path.to_path_buf() };
        let prediction = predictor.predict(&input).ok_or_else(blank)?;
        let written = write(&self.out, &input, &prediction, self.overlay)?;
        Ok(format!("{}: {}", written.display(), summary(&input, &prediction)))
    }
}

fn check_network(path: &Path, [height, width]: [usize; 2], classes: usize) -> Result<(), Failure> {
    let path = path.display();
    if classes != CLASSES {
        return Err(
            format!("{path}: tells {classes} classes apart; expected {CLASSES} (background, RV, MYO, LV)").into()
        );
    }
    if height != width || height == 0 {
        return Err(format!("{path}: made for images of {height}x{width}; slices are cropped to squares").into());
    }
    Ok(())
}

/// How large the file is and what was found in it: volumes in ml, or pixels of a picture.
fn summary(input: &Input, prediction: &Prediction) -> String {
    let [width, height] = input.dim;
    let count =
        |structure: Structure| prediction.classes.iter().flatten().filter(|&&class| class == structure.label()).count();
    let found = Structure::ALL.map(|structure| match input.voxel_ml() {
        Some(ml) => format!("{} {:.1} ml", structure.name(), count(structure) as f64 * ml),
        None => format!("{} {} pixels", structure.name(), count(structure)),
    });
    let slices = prediction.classes.len();
    let slices = if slices == 1 { "1 slice".to_string() } else { format!("{slices} slices") };
    format!("{slices} of {width}x{height}, {}", found.join(", "))
}
