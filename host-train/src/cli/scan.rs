//! `kscout scan`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use kscout_core::capture::{Repr, blob_crc};
use kscout_core::kspace::recon::magnitude;
use kscout_core::kspace::{Pattern, Reconstruction};
use kscout_core::model::Model;
use kscout_core::scan::ScanError;

use super::cost::{CostArgs, cost};
use super::export::expect_size;
use super::measuring::MeasuringArgs;
use super::scan_output::{print_dice, write_capture};
use super::scan_volume::VolumeJob;
use super::{Failure, expect_no_input, number};
use crate::data::{Dataset, Slice};
use crate::export::BlobFile;
use crate::export::inspect::fixed_order;
use crate::figures::canvas::write_png;
use crate::figures::panel::{PanelInput, PanelRow, panel_scale, scan_panel};
use crate::inference::rollout::rollout;
use crate::io::lock::Locks;
use crate::metrics::dice::{SliceDice, slice_dice};
use crate::metrics::reference::Reference;
use crate::mri::{KSpace, acquire, seed_for};
use crate::runtime::{HostScan, reconstructed, scan as host_scan, scan_arena};
use crate::samplers::{LearnedMask, MethodName};

/// `kscout scan`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  kscout scan heart.kscout --data data/acdc128 --slice patient005/3 --budget 16 --out scan.png\n  kscout scan volume.kscout --data data/acdc128 --volume patient005/ED --budget 6 --out volume.png\n\nThe digest is over the chosen lines, the image, the logits and the classes, and of a volume over the slice policy's logits too: every machine that runs the same file on the\nsame measurement prints the same one. --capture writes that measurement with its expected outcome, for the firmware."
)]
pub struct ScanArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Data set with the slice
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The slice to scan, such as `patient005/3`
    #[arg(long, value_name = "PATIENT/N", required_unless_present = "volume")]
    slice: Option<String>,
    /// Scan a volume instead, such as `patient005/ED`, or `patient005` where the data has no phases: the file's slice policy
    /// says which slice each line goes to
    #[arg(long, value_name = "PATIENT/PHASE", conflicts_with_all = ["slice", "pattern", "mask"])]
    volume: Option<String>,
    /// How many lines the scan may measure; of a volume, a slice on average
    #[arg(long, value_name = "LINES", value_parser = number::whole::<usize>(1..=number::MAX_IMAGE_LINES))]
    budget: usize,
    /// What chooses the lines: `policy` (the file's own), `centre-out`, `equispaced`, `variable-density`, `partial-fourier`,
    /// `random-low-bias` or `random`; by default the policy, or centre-out where the file has none
    #[arg(long, value_name = "NAME")]
    pattern: Option<ChosenBy>,
    /// Measure the first lines of a mask from `kscout train mask` instead
    #[arg(long, value_name = "FILE.json", conflicts_with = "pattern")]
    mask: Option<PathBuf>,
    /// End a volume's scan when no line is expected to raise its mean Dice (or SSIM and Dice, as the policy was trained) by
    /// this much
    #[arg(long, value_name = "DICE", default_value_t = 0.0, requires = "volume", value_parser = number::least_gain())]
    least_gain: f32,
    #[command(flatten)]
    cost: CostArgs,
    /// Draw the scan as a PNG picture: of a volume, what every slice got and what came of it. A file of this name is replaced
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Write what the scan measured with its lines and digest, for other machines to repeat; a file of this name is replaced
    #[arg(long, value_name = "FILE.kscan")]
    capture: Option<PathBuf>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// Who chooses the lines.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ChosenBy {
    Policy,
    Pattern(Pattern),
}

impl FromStr for ChosenBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            MethodName::POLICY => Ok(Self::Policy),
            _ => text.parse().map(Self::Pattern).map_err(|error| format!("{error}, or policy")),
        }
    }
}

/// What came of a scan.
struct Outcome {
    lines: Vec<u16>,
    image: Vec<f32>,
    reconstruction: Reconstruction,
    classes: Vec<u8>,
    digest: u64,
    /// Whether its lines were given, instead of chosen by the policy.
    given: bool,
}

impl ScanArgs {
    /// Scans.
    pub fn run(self) -> Result<(), Failure> {
        let inputs: Vec<_> =
            [Some(&self.file), self.mask.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
        for (option, out) in [("--out", &self.out), ("--capture", &self.capture)] {
            out.as_ref().map_or(Ok(()), |out| expect_no_input(option, out, &inputs))?;
        }
        let _locks = Locks::of([&self.out, &self.capture].into_iter().flatten().map(PathBuf::as_path))?;
        let file = self.cost.read(&self.file)?;
        let model = file.model()?;
        let data = Dataset::open(&self.data)?;
        let size = [model.height(), model.width()];
        expect_size(&self.data, [data.height(), data.width()], size, &self.file.display().to_string())?;
        if self.budget > data.width() {
            return Err(format!("--budget {}: expected 1 to {} lines", self.budget, data.width()).into());
        }
        println!("{}: {}", self.file.display(), cost(&file)?);
        let Some(name) = &self.slice else {
            return self.scan_volume(&file, &model, &data);
        };
        let slice = data.find(name)?;
        let seed = seed_for(&slice.id.patient, slice.id.n, self.measuring.seed);
        let kspace = acquire(&slice.image, slice.height, slice.width, &self.measuring.protocol, seed);
        let (name, lines) = self.lines(&model, seed)?;
        let outcome = self.scan(&model, &kspace, lines)?;
        let reference = Reference::new(&kspace);
        let ssim = reference.ssim_of(&outcome.image)?;
        let dice = match data.manifest().masks {
            true => Some(slice_dice(&outcome.classes, &slice.label)?),
            false => None,
        };
        print_outcome(slice, name, &outcome, dice.as_ref(), ssim);
        if let Some(order) = fixed_order(&model).filter(|_| !outcome.given) {
            println!("policy  {order}, whatever it sees");
        }
        if let Some(path) = &self.out {
            draw(path, slice, name, reference.image(), &outcome, dice.as_ref(), ssim)?;
        }
        if let Some(path) = &self.capture {
            self.write(path, &file, &kspace, &outcome)?;
        }
        Ok(())
    }

    fn scan_volume(&self, file: &BlobFile, model: &Model<'_>, data: &Dataset) -> Result<(), Failure> {
        let &Self { budget, least_gain, .. } = self;
        let volume = &data.find_volume(self.volume.as_deref().unwrap_or_default())?;
        let measured = &self.measuring.measured(volume);
        let budget = budget * volume.slices.len();
        let job = VolumeJob { path: &self.file, file, model, volume, measured, budget, least_gain };
        job.run(data.manifest().masks, self.out.as_deref(), self.capture.as_deref())
    }

    /// Who chooses the lines, and the lines themselves but where the policy does.
    fn lines(&self, model: &Model<'_>, seed: u64) -> Result<(&'static str, Option<Vec<u16>>), Failure> {
        if let Some(path) = &self.mask {
            let mask = LearnedMask::read_for(path, model.width(), self.budget)?;
            mask.note_conditions(&self.measuring.protocol.to_string(), model.reconstruction().name());
            return Ok((LearnedMask::NAME, Some(mask.lines)));
        }
        let default = if model.policy().is_some() { ChosenBy::Policy } else { ChosenBy::Pattern(Pattern::CentreOut) };
        Ok(match self.pattern.unwrap_or(default) {
            ChosenBy::Policy => (MethodName::POLICY, None),
            ChosenBy::Pattern(pattern) => {
                (pattern.name(), Some(pattern.lines(model.width(), self.budget, seed)?.to_vec()))
            }
        })
    }

    /// Scans the given lines, or those that the policy chooses.
    fn scan(&self, model: &Model<'_>, kspace: &KSpace, lines: Option<Vec<u16>>) -> Result<Outcome, Failure> {
        let file = self.file.display();
        let mut arena = scan_arena(model);
        let mut scan = host_scan(model, &mut arena).map_err(|error| format!("{file}: {error}"))?;
        let given = lines.is_some();
        let mut lines = lines.as_ref().map(|lines| lines.iter().map(|&line| usize::from(line)));
        let choose = |scan: &mut HostScan<'_, '_>| match &mut lines {
            Some(lines) => Ok(lines.next()),
            None => Ok(scan.propose()?),
        };
        let refused = |error: ScanError| format!("{file}: {error}");
        rollout(&mut scan, kspace, self.budget, choose).map_err(refused)?;
        let complex = reconstructed(scan.reconstructor());
        let mut image = vec![0.0; complex.len()];
        magnitude(&complex, &mut image)?;
        drop(complex);
        let digest = scan.digest().map_err(|error| refused(error.into()))?;
        let classes = scan.segment().map_err(|error| refused(error.into()))?.classes.to_vec();
        let (lines, reconstruction) = (scan.lines().to_vec(), model.reconstruction());
        Ok(Outcome { lines, image, reconstruction, classes, digest, given })
    }

    fn write(&self, path: &Path, file: &BlobFile, kspace: &KSpace, outcome: &Outcome) -> Result<(), Failure> {
        let capture = Repr {
            height: kspace.height,
            width: kspace.width,
            budget: self.budget,
            blob_crc: blob_crc(file.bytes()),
            digest: outcome.digest,
            lines: &outcome.lines,
            given: outcome.given,
            kspace: &kspace.samples,
        };
        let mut bytes = vec![0; capture.buffer_len()];
        capture.emit(&mut bytes)?;
        write_capture(path, &bytes)
    }
}

/// A slice's name and phase, if it has one.
fn called(slice: &Slice) -> String {
    format!("{} {}", slice.id, slice.phase).trim_end().to_string()
}

fn print_outcome(slice: &Slice, chooser: &str, outcome: &Outcome, dice: Option<&SliceDice>, ssim: f64) {
    let lines: Vec<String> = outcome.lines.iter().map(|line| line.to_string()).collect();
    println!("{}, {} of {} lines by {chooser}", called(slice), lines.len(), slice.width);
    println!("lines   {}", lines.join(" "));
    print_dice(dice);
    println!("SSIM    {ssim:.4} ({})", outcome.reconstruction);
    println!("digest  {:016x}", outcome.digest);
}

fn draw(
    path: &Path,
    slice: &Slice,
    chooser: &str,
    reference: &[f32],
    outcome: &Outcome,
    dice: Option<&SliceDice>,
    ssim: f64,
) -> Result<(), Failure> {
    let title = called(slice);
    let dice = dice.and_then(SliceDice::mean).map_or(String::new(), |dice| format!("Dice {dice:.3}, "));
    let label = format!("{chooser}, {} lines: {dice}SSIM {ssim:.3}", outcome.lines.len());
    let row = PanelRow { label: &label, lines: &outcome.lines, image: &outcome.image, labels: &outcome.classes };
    let picture = scan_panel(&PanelInput {
        title: &title,
        height: slice.height,
        width: slice.width,
        scale: panel_scale(slice.width),
        reconstruction: outcome.reconstruction,
        reference,
        truth: &slice.label,
        rows: &[row],
    })?;
    write_png(path, &picture).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_the_policy_or_a_named_pattern() {
        assert_eq!("policy".parse(), Ok(ChosenBy::Policy));
        assert_eq!("centre-out".parse(), Ok(ChosenBy::Pattern(Pattern::CentreOut)));
        let error = "centre".parse::<ChosenBy>().unwrap_err();
        assert!(error.contains("centre-out") && error.contains("policy"), "{error}");
    }
}
