//! `kscout predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use kscout_core::kspace::Reconstruction;

use super::cost::{CostArgs, cost};
use super::limit::FileLimit;
use super::notes::Notes;
use super::spacing::{Spacing, parse_spacing};
use super::threads::Threads;
use super::{Failure, number};
use crate::data::{Axes, CLASSES, DataError};
use crate::device::DeviceChoice;
use crate::inference::segment::{CoreSegmenter, DeviceSegmenter, Segment};
use crate::io::lock::Locks;
use crate::metrics::dice::Structure;
use crate::mri::Protocol;
use crate::predict::folders::{Task, Tasks, gather};
use crate::predict::input::Input;
use crate::predict::orientation::Trained;
use crate::predict::output::write;
use crate::predict::{Prediction, Predictor, Undersampling};
use crate::train::segmenter::load_segmenter;

/// `kscout predict`.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kscout predict --segmenter runs/segmenter --out out heart.nii.gz\n  kscout predict --blob heart.kscout --undersample centre-out:16 --overlay --out fast heart.nii.gz\n  kscout predict --segmenter runs/segmenter --out out Dataset027_ACDC/imagesTs\n\nheart.nii.gz becomes out/heart_seg.nii.gz with the same dimensions, spacing and place in space; slice.png becomes\nout/slice_seg.png, whose values are the classes: 0 background, 1 RV, 2 MYO, 3 LV. The network sees a crop around the\nmiddle; outside it there is background. `kscout metrics` compares with a ground truth.\n\nOf a folder all images are segmented, also in folders below; files of labels by their names (NAME_gt, NAME_seg, labelsTr,\nderivatives, ...) and ACDC's NAME_4d are left out, and nnU-Net's NAME_0000 becomes NAME_seg.\n\nVolumes that are stored with other axes than the network's training data (left-right, front-back, slices first) are\nsegmented in that order and written back in their own."
)]
pub struct PredictArgs {
    /// NIfTI volumes (.nii, .nii.gz), grey PNG pictures, and folders of them
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// Checkpoint of a segmenter: the folder that `kscout train segmenter` wrote, or its `best` or `last`
    #[arg(long, alias = "model", value_name = "DIR", required_unless_present = "blob", conflicts_with = "blob")]
    segmenter: Option<PathBuf>,
    /// Exported file: segments in int8, as a device does
    #[arg(long, value_name = "FILE.kscout")]
    blob: Option<PathBuf>,
    /// Folder for the segmentations; files of the same name are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Draw each slice with its classes over it: a volume's into the folder NAME_overlay, in place of all that is there
    #[arg(long)]
    overlay: bool,
    /// Measure only so many lines of k-space, such as centre-out:16, equispaced:32 or variable-density:24
    #[arg(long, value_name = "PATTERN:LINES")]
    undersample: Option<Undersampling>,
    /// In-plane spacing that the network was trained at, in mm, or `native` to take slices as they are; pictures are
    /// always taken so, whatever the size of their pixels
    #[arg(long, default_value = "1.5", value_parser = parse_spacing)]
    spacing: Spacing,
    /// How slices are measured: `igs` (magnitude only) or `scanner` (phase and noise)
    #[arg(long, default_value = "igs")]
    protocol: Protocol,
    #[command(flatten)]
    cost: CostArgs,
    /// Seed of phase, noise and random patterns
    #[arg(long, default_value_t = 1, value_parser = number::seed())]
    seed: u64,
    /// Orientation of the volumes that the network was trained on: the sides of the patient that x, y and slices point to, such
    /// as LPS (left, posterior, superior), instead of what the network says itself (LPS where it says nothing); `stored`: take
    /// every volume as it is stored
    #[arg(long, value_name = "AXES", value_parser = parse_axes)]
    axes: Option<Trained>,
    #[command(flatten)]
    limit: FileLimit,
    /// Keep only what the K-th head of a U-Net++ needs, 1 to 4; a blob is pruned when it is exported
    #[arg(long, value_name = "K", requires = "segmenter", conflicts_with = "blob", value_parser = number::head())]
    prune: Option<usize>,
    /// Where --segmenter computes: auto (the first GPU of this build that works, else the CPU), cpu, cuda, cuda:1, vulkan and so on;
    /// `kscout devices` lists them
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
    #[command(flatten)]
    threads: Threads,
}

/// What a network says that it was made for.
struct MadeFor {
    /// Rows and columns of its images.
    side: usize,
    /// The directions of its training data's axes; `None` where it does not say.
    axes: Option<Axes>,
    reconstruction: Reconstruction,
}

impl PredictArgs {
    /// Segments.
    pub fn run(self) -> Result<(), Failure> {
        self.threads.set()?;
        let tasks = self.check()?;
        let _locks = Locks::of([self.out.as_path()])?;
        match (&self.blob, &self.segmenter) {
            (Some(path), _) => {
                let file = self.cost.read(path)?;
                println!("{}: {}", path.display(), cost(&file)?);
                let model = file.model()?;
                let graph = model.segmenter().ok_or_else(|| format!("{}: holds no segmenter", path.display()))?;
                check_network(path, [model.height(), model.width()], model.classes())?;
                let made_for = MadeFor {
                    side: model.width(),
                    axes: model.axes().map(Axes::from),
                    reconstruction: model.reconstruction(),
                };
                self.segment(tasks, &CoreSegmenter { graph }, made_for)
            }
            (None, Some(path)) => {
                let device = self.device.open()?;
                let (network, meta) = load_segmenter(path, self.prune, &device)?;
                let size = [meta.height, meta.width];
                check_network(path, size, meta.segmenter(path)?.spec.classes)?;
                // The magnitude of all lines together does not depend on the phase; that of few does.
                if self.undersample.is_some() {
                    meta.note_protocol(&self.protocol.to_string());
                }
                let network = DeviceSegmenter { network, size, device };
                let (side, axes) = (meta.width, meta.axis_codes.map(Axes::from));
                self.segment(tasks, &network, MadeFor { side, axes, reconstruction: meta.reconstruction })
            }
            (None, None) => Err("give --segmenter or --blob".into()),
        }
    }

    /// What is to be done; what can be refused before a network is loaded is.
    fn check(&self) -> Result<Tasks, Failure> {
        Ok(gather(&self.inputs, &self.out)?)
    }

    /// Segments every input; what is wrong with one does not keep the others.
    fn segment(
        &self,
        Tasks { tasks, notes }: Tasks,
        network: &(dyn Segment + Sync),
        MadeFor { side, axes, reconstruction }: MadeFor,
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
        let trained = self.axes.unwrap_or(axes.map_or(Trained::Unknown, Trained::On));
        let mut said = Notes::default();
        notes.iter().for_each(|(folder, note)| said.say(folder, note));
        let mut failed = Vec::new();
        for task in &tasks {
            match self.one(&predictor, task, trained, &mut said) {
                Ok(line) => println!("{line}"),
                Err(error) => failed.push(error),
            }
        }
        said.finish();
        let Some(last) = failed.pop() else { return Ok(()) };
        if tasks.len() == 1 {
            return Err(last);
        }
        failed.iter().chain([&last]).for_each(|error| eprintln!("error: {error}"));
        Err(format!("{} of {} inputs were not segmented, see above", failed.len() + 1, tasks.len()).into())
    }

    fn one(
        &self,
        predictor: &Predictor<'_>,
        Task { path, name }: &Task,
        trained: Trained,
        said: &mut Notes,
    ) -> Result<String, Failure> {
        let input = Input::read(path, name, trained, self.limit.bytes())?;
        input.expect_within(predictor.side, self.limit.bytes())?;
        input.notes.iter().for_each(|note| said.say(path, note));
        let blank = || DataError::Blank { path: path.clone() };
        let predicted = predictor.predict(&input, self.overlay);
        let prediction = predicted.map_err(|error| format!("{}: {error}", path.display()))?.ok_or_else(blank)?;
        let written = write(&self.out, &input, &prediction, self.overlay)?;
        Ok(format!("{}: {}", written.display(), summary(&input, &prediction)))
    }
}

fn parse_axes(text: &str) -> Result<Trained, String> {
    match text {
        "stored" => Ok(Trained::AsStored),
        _ => text.parse().map(Trained::On).map_err(|error| format!("{error}; or `stored`")),
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
